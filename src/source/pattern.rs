//! Patterns of names and label values: `*` matches any text, also none, and `?` one character.

/// Returns true if the text is a pattern, and not a name or value that only matches itself.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'*' | b'?'))
}

/// Returns true if the text has the form of the pattern.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    matches_by(pattern, text, |expected, found| expected == found)
}

/// Compares a text with a pattern whose other characters are compared by `is_equal`.
fn matches_by(pattern: &str, text: &str, is_equal: impl Fn(char, char) -> bool) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // The rest of the pattern after the last `*`, and the text from which it was compared last.
    let mut after_star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        match (pattern.clone().next(), text.clone().next()) {
            (Some('*'), _) => {
                pattern.next();
                after_star = Some((pattern.clone(), text.clone()));
            }
            (None, None) => return true,
            (Some(expected), Some(found)) if expected == '?' || is_equal(expected, found) => {
                pattern.next();
                text.next();
            }
            _ => {
                let Some((rest, from)) = &mut after_star else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, text) = (rest.clone(), from.clone());
            }
        }
    }
}

/// Returns true if a name or value equals the text, or is a pattern that matches it.
#[must_use]
pub fn is_match(name: &str, text: &str) -> bool {
    name == text || (is_pattern(name) && matches(name, text))
}

/// As [`is_match`], without regard to the case of ASCII letters.
#[must_use]
pub fn is_match_ignoring_case(name: &str, text: &str) -> bool {
    name.eq_ignore_ascii_case(text) || (is_pattern(name) && matches_by(name, text, |expected, found| expected.eq_ignore_ascii_case(&found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, matching, other) in [
            ("4??", &["450", "4ü?"][..], &["45", "4500", "550", ""][..]),
            (
                "*_queue_ok_total",
                &["haraka_queue_ok_total", "_queue_ok_total", "a_queue_ok_total_queue_ok_total"],
                &["queue_ok_total", "x"],
            ),
            ("exim_*", &["exim_", "exim_queue"], &["exim", "exi_m"]),
            ("*", &["", "x", "any text"], &[]),
            ("?*", &["x", "xy"], &[""]),
            ("a*b*c", &["abc", "aXbbYc", "abcbc"], &["ab", "acb", "abcd"]),
            ("**a", &["a", "ba"], &["", "ab"]),
            ("", &[""], &["x"]),
            ("plain", &["plain"], &["Plain", "plain "]),
        ] {
            matching.iter().for_each(|text| assert!(is_match(pattern, text), "{pattern} matches {text}"));
            other.iter().for_each(|text| assert!(!is_match(pattern, text), "{pattern} does not match {text}"));
        }
        assert!(is_pattern("4??") && is_pattern("*") && !is_pattern("a.b"));
    }

    #[test]
    fn the_case_of_ascii_letters_can_be_ignored() {
        for (pattern, text, is_equal) in [
            ("failed", "FAILED", true),
            ("Failed", "failed", true),
            ("failed", "failed ", false),
            ("rcpt*", "RCPT TO", true),
            ("*RE?AYED", "is reLayed", true),
            ("*relayed", "delayed", false),
            ("\u{fc}*", "\u{dc}x", false),
        ] {
            assert_eq!(is_match_ignoring_case(pattern, text), is_equal, "{pattern} {text}");
            assert!(pattern == text || !is_match(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_long_text_is_compared_in_time() {
        let text = "a".repeat(2048);
        assert!(!matches("*a*a*a*a*a*b", &text));
    }
}
