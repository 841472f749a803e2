//! Escapes of JSON strings, and strings that have none where they should.

use memchr::memchr2;

/// Positions of the quotes that may close a string: those without a backslash before them, or all.
pub struct Quotes<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub bare: bool,
}

impl Iterator for Quotes<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let at = self.at + memchr2(b'"', b'\\', self.bytes.get(self.at..)?)?;
            self.at = at + 1;
            match self.bytes[at] {
                b'"' => return Some(at),
                _ if self.bare => {}
                _ => self.at += 1,
            }
        }
    }
}

/// The text that is meant, and whether all of it was escaped as it must be.
pub fn resolve(text: &str) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut sound) = (text, true);
    while let Some(at) = memchr2(b'"', b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (meant, len) = one(rest).unwrap_or_else(|| {
            sound = false;
            (char::from(rest.as_bytes()[0]), 1)
        });
        out.push(meant);
        rest = &rest[len..];
    }
    out.push_str(rest);
    (out, sound)
}

fn one(text: &str) -> Option<(char, usize)> {
    let escaped = *text.strip_prefix('\\')?.as_bytes().first()?;
    let meant = match escaped {
        b'"' | b'\\' | b'/' => char::from(escaped),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = unit(text)?;
            if let Some(meant) = char::from_u32(first) {
                return Some((meant, 6));
            }
            let second = unit(text.get(6..)?).filter(|low| (0xdc00..0xe000).contains(low) && first < 0xdc00)?;
            return Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12));
        }
        _ => return None,
    };
    Some((meant, 2))
}

fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_and_the_rest_stays() {
        for (text, meant, sound) in [
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
            assert_eq!(resolve(text), (meant.to_owned(), sound), "{text}");
        }
    }
}
