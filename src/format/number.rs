//! Numbers in metrics formats.

/// Parses a decimal number, or `NaN`, `Inf` or `infinity` in any case.
#[must_use]
pub fn parse(text: &[u8]) -> Option<f64> {
    // Most values are short whole numbers, for which this loop is exact and faster than the general algorithm.
    if (1..=15).contains(&text.len()) {
        let mut whole = 0u64;
        for byte in text {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return parse_any(text);
            }
            whole = whole * 10 + u64::from(digit);
        }
        return Some(whole as f64);
    }
    parse_any(text)
}

fn parse_any(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn decimals_and_special_values_are_parsed() {
        for (text, value) in [
            ("0", 0.0),
            ("42", 42.0),
            ("999999999999999", 999_999_999_999_999.0),
            ("18446744073709551615", 1.844_674_407_370_955_2e19),
            ("-3", -3.0),
            ("0.0", 0.0),
            ("8.4e-05", 8.4e-05),
            ("+Inf", f64::INFINITY),
            ("inf", f64::INFINITY),
            ("-Inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(super::parse(text.as_bytes()), Some(value), "{text}");
        }
        assert!(super::parse(b"NaN").is_some_and(f64::is_nan));
        for text in ["", " 1", "1 ", "0x10", "1_000", "--1", "ten"] {
            assert_eq!(super::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
