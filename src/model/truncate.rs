//! Cutting of text at a length limit.

/// The start of a text, at most this many bytes long and without a partial character.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_never_split() {
        for (bytes_max, expected) in
            [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (4, "aé"), (6, "aé"), (7, "aé\u{1f4ec}"), (100, "aé\u{1f4ec}")]
        {
            assert_eq!(cut("aé\u{1f4ec}", bytes_max), expected, "{bytes_max}");
        }
    }
}
