//! Text within a limit.

/// As much of it as fits into so many bytes, in whole characters.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut_in_two() {
        for (bytes_max, left) in [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (4, "aé"), (6, "aé"), (7, "aé\u{1f4ec}"), (100, "aé\u{1f4ec}")]
        {
            assert_eq!(cut("aé\u{1f4ec}", bytes_max), left, "{bytes_max}");
        }
    }
}
