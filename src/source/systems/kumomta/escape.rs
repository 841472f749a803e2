//! Escape sequences in JSON strings, which may be missing.

use memchr::memchr2;

/// Iterates over the positions of quotes: of those without a backslash before them, or of all if `is_any`.
pub struct Quotes<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub is_any: bool,
}

impl Iterator for Quotes<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let at = self.at + memchr2(b'"', b'\\', self.bytes.get(self.at..)?)?;
            self.at = at + 1;
            match self.bytes[at] {
                b'"' => return Some(at),
                _ if self.is_any => {}
                _ => self.at += 1,
            }
        }
    }
}

/// Resolves the escape sequences of a text. Returns `true` if it was escaped correctly.
pub fn unescape(text: &str) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut is_valid) = (text, true);
    while let Some(at) = memchr2(b'"', b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (unescaped, len) = escape_sequence(rest).unwrap_or_else(|| {
            is_valid = false;
            (char::from(rest.as_bytes()[0]), 1)
        });
        out.push(unescaped);
        rest = &rest[len..];
    }
    out.push_str(rest);
    (out, is_valid)
}

/// Returns the character that the escape sequence at the start of the text means, and the length of the sequence in bytes.
fn escape_sequence(text: &str) -> Option<(char, usize)> {
    let escaped = *text.strip_prefix('\\')?.as_bytes().first()?;
    let unescaped = match escaped {
        b'"' | b'\\' | b'/' => char::from(escaped),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = utf16_unit(text)?;
            if let Some(unescaped) = char::from_u32(first) {
                return Some((unescaped, 6));
            }
            let second = utf16_unit(text.get(6..)?).filter(|low| (0xdc00..0xe000).contains(low) && first < 0xdc00)?;
            return Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12));
        }
        _ => return None,
    };
    Some((unescaped, 2))
}

fn utf16_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_resolved() {
        for (text, expected, is_valid) in [
            ("", "", true),
            (r"\", r"\", false),
            (r"\u12", r"\u12", false),
            (r"\ud83d", r"\ud83d", false),
            (r"\ud83dx\ude00", r"\ud83dx\ude00", false),
            (r"\udc00\udc00", r"\udc00\udc00", false),
            (r"\u+123", r"\u+123", false),
            (r"\é", r"\é", false),
            (r#"a"b"#, r#"a"b"#, false),
            (r#"\"a\\b\/\n\u00e9\ud83d\ude00"#, "\"a\\b/\né😀", true),
        ] {
            assert_eq!(unescape(text), (expected.to_owned(), is_valid), "{text}");
        }
    }
}
