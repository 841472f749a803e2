//! Characters that must not reach a terminal: they move the cursor, break the line, or change the displayed order of the text.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Returns true for characters that a terminal does not simply display: control characters, line and paragraph separators, marks that
/// change the direction of text (bidi), and invisible characters.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with a space in place of each unprintable character.
#[must_use]
pub fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

/// The start of a text on one line, of at most this many characters and with an ellipsis in place of what follows.
#[must_use]
pub fn shorten(text: &str, chars_max: usize) -> String {
    let mut rest = text.char_indices().skip(chars_max);
    rest.next().map_or_else(|| on_one_line(text), |(end, _)| on_one_line(&text[..end]) + "…")
}

/// A text whose unprintable characters are displayed as escapes (`\u202e`), except for those that `keep` accepts.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'t> {
    text: &'t str,
    keep: fn(char) -> bool,
}

impl<'t> Escaped<'t> {
    /// Displays the text on one line.
    #[must_use]
    pub const fn line(text: &'t str) -> Self {
        Self { text, keep: |_| false }
    }

    /// Keeps line breaks and tabs.
    #[must_use]
    pub const fn lines(text: &'t str) -> Self {
        Self { text, keep: |c| matches!(c, '\n' | '\t') }
    }

    /// A line of a log formatter. Control characters are kept: the formatter writes its own (colors, the end of the line) and has escaped
    /// all others.
    #[must_use]
    pub const fn formatted(text: &'t str) -> Self {
        Self { text, keep: char::is_control }
    }

    /// The escaped text; borrowed where there is nothing to escape.
    #[must_use]
    pub fn text(self) -> Cow<'t, str> {
        let is_safe = self.text.chars().all(|c| !is_unprintable(c) || (self.keep)(c));
        if is_safe { Cow::Borrowed(self.text) } else { Cow::Owned(self.to_string()) }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                c if !is_unprintable(c) || (self.keep)(c) => f.write_char(c)?,
                '\n' | '\r' | '\t' => write!(f, "{}", c.escape_default())?,
                // Escapes as in JSON, so that a line of JSON remains valid.
                c => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_number_of_characters_and_ends_with_an_ellipsis() {
        for (text, expected) in [("", ""), ("ü\nü", "ü ü"), ("ü\nü\n", "ü ü…"), ("\u{1f4ec}abcdef", "\u{1f4ec}ab…")] {
            assert_eq!(shorten(text, 3), expected, "{text:?}");
        }
    }

    #[test]
    fn characters_that_a_terminal_interprets_are_escaped() {
        for (text, line) in [
            ("plain, ünïcode, 漢字", "plain, ünïcode, 漢字"),
            ("a\nb\r\tc\u{1b}[2J", "a\\nb\\r\\tc\\u001b[2J"),
            ("user\u{202e}gpj.exe", "user\\u202egpj.exe"),
            ("a\u{2028}b\u{2029}c\u{85}d", "a\\u2028b\\u2029c\\u0085d"),
            ("\u{2066}x\u{2069}\u{200f}\u{feff}", "\\u2066x\\u2069\\u200f\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(Escaped::line(text).to_string(), line);
            assert_eq!(Escaped::line(text).text(), line);
        }
        assert_eq!(Escaped::lines("a\n\tb\u{2028}\r").text(), "a\n\tb\\u2028\\r");
        assert_eq!(Escaped::formatted("\u{1b}[1m\u{202d}x\n").text(), "\u{1b}[1m\\u202dx\n");
        assert_eq!(on_one_line("a\nb\u{202e}c\u{2028}d"), "a b c d");
    }
}
