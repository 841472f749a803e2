//! Percent-encoding (RFC 3986).

/// Returns true for a character that no URL and no form encodes.
#[must_use]
pub const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Encodes all other bytes than these.
#[must_use]
pub fn percent_encoded(text: &str, is_plain: fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Decodes a text. Returns `None` if a percent sign is not followed by two hexadecimal digits, or the result is not UTF-8.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_text_is_decoded() {
        let text = "a-Z09._~ %&=+\u{e4}\0";
        let encoded = percent_encoded(text, is_unreserved);
        assert_eq!(encoded, "a-Z09._~%20%25%26%3D%2B%C3%A4%00");
        assert_eq!(percent_decoded(&encoded).as_deref(), Some(text));
    }

    #[test]
    fn an_invalid_encoding_is_not_decoded() {
        for text in ["%", "%2", "%2g", "%+1", "%ff"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
        assert_eq!(percent_decoded("%c3%A4").as_deref(), Some("\u{e4}"));
    }
}
