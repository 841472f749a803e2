//! Decoding of text that a program may have encoded before it repeats the text: for URLs, HTML, JSON and source code.
//!
//! Each decoded character keeps the position of its original bytes, so that matches in the decoded text can be replaced in the original.

use super::html_entities::{NAME_CHARS_MAX, by_name, by_name_without_semicolon};
use std::collections::HashSet;

/// Digits of a numeric character reference, leading zeros included.
const REFERENCE_DIGITS_MAX: usize = 12;

/// A character, and the range of original bytes that it represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub ch: char,
    pub start: usize,
    pub end: usize,
}

/// The characters that may be decoded in the search for a secret in any text.
const DECODED_CHARS_MIN: usize = 512 * 1024;
/// The characters that may be decoded in addition, for each byte of the text. Responses that real servers sent needed at most 4.
const DECODED_CHARS_PER_BYTE: usize = 64;
/// The characters of all decodings of one text, which are in memory at the same time.
const KEPT_CHARS_MAX: usize = 2 * 1024 * 1024;

/// The number of characters that may still be decoded.
#[derive(Debug)]
pub(super) struct DecodingBudget {
    chars: usize,
    kept_chars_max: usize,
}

impl DecodingBudget {
    /// For text of the operator.
    pub(super) const fn unlimited() -> Self {
        Self { chars: usize::MAX, kept_chars_max: usize::MAX }
    }

    /// For a text that anybody may have written.
    pub(super) fn of_text(text: &str) -> Self {
        let chars = DECODED_CHARS_MIN.saturating_add(text.len().saturating_mul(DECODED_CHARS_PER_BYTE));
        Self { chars, kept_chars_max: KEPT_CHARS_MAX.max(text.len()) }
    }

    /// Takes characters, or returns `None` if not enough are left.
    pub(super) fn spend(&mut self, chars: usize) -> Option<()> {
        self.chars = self.chars.checked_sub(chars)?;
        Some(())
    }
}

/// The characters of a text without decoding.
fn units(text: &str) -> Vec<Unit> {
    text.char_indices().map(|(start, ch)| Unit { ch, start, end: start + ch.len_utf8() }).collect()
}

/// The largest number of nested encodings that are decoded.
const LEVELS_MAX: usize = 4;
/// The largest number of decodings of one text: an escape may be ambiguous, or plain text.
const DECODINGS_MAX: usize = 64;
/// The largest number of further decodings of one text, with character references that have no semicolon.
const UNENDED_DECODINGS_MAX: usize = 64;

/// The text itself and all of its possible decodings, also nested ones: percent, HTML and backslash escapes, each alone and all together,
/// because an escape of one encoding may be plain text in another. Character references of HTML without a semicolon are decoded last, in
/// further decodings, because they may be plain text. `None` if the budget is too small for them.
pub(super) fn decodings(text: &str, budget: &mut DecodingBudget) -> Option<Vec<Vec<Unit>>> {
    let first = units(text);
    budget.spend(first.len())?;
    let mut decodings = Decodings { kept_chars: first.len(), seen: HashSet::from([text.to_owned()]), all: vec![first], budget };
    decodings.add_nested(0, DECODINGS_MAX)?;
    let complete = decodings.all.len();
    for at in 0..complete {
        decodings.add(at, &['&'], Ending::Any, complete + UNENDED_DECODINGS_MAX)?;
    }
    decodings.add_nested(complete, complete + UNENDED_DECODINGS_MAX)?;
    Some(decodings.all)
}

/// The decodings of a text that are known so far.
struct Decodings<'a> {
    all: Vec<Vec<Unit>>,
    seen: HashSet<String>,
    kept_chars: usize,
    budget: &'a mut DecodingBudget,
}

impl Decodings<'_> {
    /// Adds the decodings of those from this position on, also nested ones, up to a number of decodings.
    fn add_nested(&mut self, mut begin: usize, len_max: usize) -> Option<()> {
        const MARKS: [&[char]; 4] = [&['%', '&', '\\'], &['%'], &['&'], &['\\']];
        for _ in 0..LEVELS_MAX {
            let end = self.all.len();
            for at in begin..end {
                for marks in MARKS {
                    self.add(at, marks, Ending::Semicolon, len_max)?;
                }
            }
            begin = end;
        }
        Some(())
    }

    /// Adds the decoding of the one at this position, if it is new, up to a number of decodings.
    fn add(&mut self, at: usize, marks: &[char], ending: Ending, len_max: usize) -> Option<()> {
        if self.all.len() >= len_max {
            return Some(());
        }
        let Some(decoded) = self.all.get(at).and_then(|units| decode(units, marks, ending)) else { return Some(()) };
        self.budget.spend(decoded.len())?;
        if self.seen.insert(decoded.iter().map(|unit| unit.ch).collect()) {
            self.kept_chars += decoded.len();
            self.all.push(decoded);
        }
        (self.kept_chars <= self.budget.kept_chars_max).then_some(())
    }
}

/// The end of a character reference of HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A semicolon.
    Semicolon,
    /// A semicolon, or, as browsers decode it, the end of the number or of one of the oldest names.
    Any,
}

/// Decodes the escapes that begin with one of `marks` once. Returns `None` if there are none.
fn decode(units: &[Unit], marks: &[char], ending: Ending) -> Option<Vec<Unit>> {
    let mut decoded = Vec::with_capacity(units.len());
    let mut at = 0;
    while let Some(first) = units.get(at) {
        let escape = if marks.contains(&first.ch) { escape(&units[at..], ending) } else { None };
        let (ch, len) = escape.unwrap_or((first.ch, 1));
        decoded.push(Unit { ch, start: first.start, end: units[at + len - 1].end });
        at += len;
    }
    (decoded.len() < units.len()).then_some(decoded)
}

/// The number of units at the end that may be the beginning of an escape that was cut off.
pub(super) fn cut_escape(units: &[Unit]) -> usize {
    let longest = units.len().min(NAME_CHARS_MAX);
    let is_cut = |len: &usize| {
        let mut chars = units[units.len() - len..].iter().map(|unit| unit.ch);
        match chars.next() {
            Some('%') => *len <= 6 && chars.all(|c| c.is_ascii_hexdigit() || matches!(c, 'u' | 'U')),
            Some('&') => chars.all(|c| c.is_ascii_alphanumeric() || c == '#'),
            Some('\\') => *len <= 10 && chars.all(|c| c.is_ascii_hexdigit() || matches!(c, 'u' | 'U' | 'x' | 'X' | '{')),
            _ => false,
        }
    };
    (1..=longest).find(is_cut).unwrap_or(0)
}

/// Decodes the escape at the beginning. Returns its character and its length in units.
fn escape(units: &[Unit], ending: Ending) -> Option<(char, usize)> {
    let ch = |at: usize| units.get(at).map(|unit| unit.ch);
    match ch(0)? {
        '%' if matches!(ch(1), Some('u' | 'U')) => utf16(units, 2, 4),
        '%' => byte_sequence(units, |units| if units.first()?.ch == '%' { Some((hex(units, 1, 2)?, 3)) } else { None }),
        '&' => reference(units).or_else(|| if ending == Ending::Any { unended_reference(units) } else { None }),
        '\\' => match ch(1)? {
            'u' | 'U' if ch(2) == Some('{') => {
                let close = (3..10).find(|at| ch(*at) == Some('}'))?;
                Some((char::from_u32(hex(units, 3, close - 3)?)?, close + 1))
            }
            'U' if hex(units, 2, 8).is_some() => Some((char::from_u32(hex(units, 2, 8)?)?, 10)),
            'u' | 'U' => utf16(units, 2, 4),
            'x' | 'X' => byte_sequence(units, |units| match (units.first()?.ch, units.get(1)?.ch) {
                ('\\', 'x' | 'X') => Some((hex(units, 2, 2)?, 4)),
                _ => None,
            }),
            '0'..='3' if number(units, 1, 3, 8).is_some() => byte_sequence(units, |units| {
                let is_octal = units.first()?.ch == '\\' && matches!(units.get(1)?.ch, '0'..='3');
                if is_octal { Some((number(units, 1, 3, 8)?, 4)) } else { None }
            }),
            'n' | 'N' => Some(('\n', 2)),
            'r' | 'R' => Some(('\r', 2)),
            't' | 'T' => Some(('\t', 2)),
            'b' | 'B' => Some(('\u{8}', 2)),
            'f' | 'F' => Some(('\u{c}', 2)),
            '0' => Some(('\0', 2)),
            c if c.is_ascii_punctuation() => Some((c, 2)),
            _ => None,
        },
        _ => None,
    }
}

/// Decodes escapes of single bytes: those of one character in UTF-8, or else one byte in Latin-1.
fn byte_sequence(units: &[Unit], byte: impl Fn(&[Unit]) -> Option<(u32, usize)>) -> Option<(char, usize)> {
    let (mut bytes, mut lengths, mut at) = (Vec::with_capacity(4), Vec::with_capacity(4), 0);
    while bytes.len() < 4
        && let Some((value, len)) = units.get(at..).and_then(&byte)
    {
        bytes.push(u8::try_from(value).ok()?);
        at += len;
        lengths.push(at);
    }
    for n in 1..=bytes.len() {
        if let Some(ch) = std::str::from_utf8(&bytes[..n]).ok().and_then(|text| text.chars().next()) {
            return Some((ch, lengths[n - 1]));
        }
    }
    Some((char::from(*bytes.first()?), *lengths.first()?))
}

/// Decodes hexadecimal digits at this position as UTF-16: one code unit, or a surrogate pair whose second escape begins like the first.
fn utf16(units: &[Unit], at: usize, digits: usize) -> Option<(char, usize)> {
    let high = u16::try_from(hex(units, at, digits)?).ok()?;
    let end = at + digits;
    let is_alike = |i: usize| units.get(end + i).is_some_and(|unit| unit.ch.eq_ignore_ascii_case(&units[i].ch));
    let low = if is_alike(0) && is_alike(1) { hex(units, end + at, digits).and_then(|low| u16::try_from(low).ok()) } else { None };
    match char::decode_utf16([high]).next()? {
        Ok(ch) => Some((ch, end)),
        Err(_) => Some((char::decode_utf16([high, low?]).next()?.ok()?, end + at + digits)),
    }
}

/// Decodes a character reference of HTML, numeric or named, with its semicolon.
fn reference(units: &[Unit]) -> Option<(char, usize)> {
    let close = units.iter().take(NAME_CHARS_MAX.max(REFERENCE_DIGITS_MAX + 2) + 2).position(|unit| unit.ch == ';')?;
    let name: String = units[1..close].iter().map(|unit| unit.ch).collect();
    let ch = match name.strip_prefix('#') {
        Some(digits) => {
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            code.ok().and_then(char::from_u32)?
        }
        None => by_name(&name)?,
    };
    Some((ch, close + 1))
}

/// Decodes a character reference of HTML without a semicolon: all digits of a number, or the longest name.
fn unended_reference(units: &[Unit]) -> Option<(char, usize)> {
    let name: String = units.iter().skip(1).take(NAME_CHARS_MAX.max(REFERENCE_DIGITS_MAX + 2)).map(|unit| unit.ch).collect();
    let Some(number) = name.strip_prefix('#') else {
        let len_max = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
        return (2..=len_max).rev().find_map(|len| Some((by_name_without_semicolon(&name[..len])?, len + 1)));
    };
    let (digits, radix, prefix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 3),
        None => (number, 10, 2),
    };
    let len = digits.chars().take_while(|c| c.is_digit(radix)).count();
    let ch = u32::from_str_radix(&digits[..len], radix).ok().and_then(char::from_u32)?;
    Some((ch, prefix + len))
}

fn hex(units: &[Unit], at: usize, digits: usize) -> Option<u32> {
    number(units, at, digits, 16)
}

fn number(units: &[Unit], at: usize, digits: usize, radix: u32) -> Option<u32> {
    let digits = units.get(at..at + digits).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |n, unit| n.checked_mul(radix)?.checked_add(unit.ch.to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> String {
        decode(&units(text), &['%', '&', '\\'], Ending::Semicolon).unwrap_or_else(|| units(text)).iter().map(|unit| unit.ch).collect()
    }

    #[test]
    fn escapes_are_decoded_once() {
        for (text, expected) in [
            ("plain & 100% \\", "plain & 100% \\"),
            ("%41%2f%C3%BC%e4%", "A/üä%"),
            ("%2541", "%41"),
            ("%u00fc", "ü"),
            ("&amp;lt; &#65;&#x42;&#0000067; &uuml; &nosuch; &", "&lt; ABC ü &nosuch; &"),
            (r#"\"\\\/\u0041\u00FC\ud83d\ude00\u{1f600}\U0001F600"#, "\"\\/Aü😀😀😀"),
            (r"\x41\xc3\xbc\xfc\303\274", "Aüüü"),
            (r"\ud83d alone", r"\ud83d alone"),
        ] {
            assert_eq!(decoded(text), expected, "{text}");
        }
    }

    #[test]
    fn a_decoded_character_keeps_its_position() {
        let units = units("ü%41&amp;");
        let spans: Vec<_> =
            decode(&units, &['%', '&'], Ending::Semicolon).unwrap_or_default().iter().map(|unit| (unit.ch, unit.start, unit.end)).collect();
        assert_eq!(spans, [('ü', 0, 2), ('A', 2, 5), ('&', 5, 10)]);
    }

    #[test]
    fn a_reference_without_a_semicolon_is_another_decoding() {
        let decoded = |text: &str| -> Vec<String> {
            let texts = decodings(text, &mut DecodingBudget::unlimited())
                .unwrap_or_default()
                .into_iter()
                .map(|units| units.into_iter().map(|unit| unit.ch).collect());
            texts.collect()
        };
        for (text, expected) in [
            ("&#97&#98&#x63&#X64-", "abcd-"),
            ("&#97;&#98c", "abc"),
            ("&lt&gt&amp&quot&AMP", "<>&\"&"),
            ("&uumlber &notit", "über ¬it"),
            ("%26%2397b", "ab"),
            ("&#37%34%31", "%41"),
            ("&#37&#52&#49", "A"),
        ] {
            assert!(decoded(text).iter().any(|decoded| decoded == expected), "{text}: {:?}", decoded(text));
        }
        assert!(decoded("a&region=%41").contains(&"a&region=A".to_owned()), "it may be plain text");
        for text in ["&#", "&#x", "&#xg", "&#99999999999999", "&#55296", "&", "&a", "&nosuch", "&periods"] {
            assert_eq!(decoded(text), [text]);
        }
    }

    #[test]
    fn an_escape_that_is_cut_off_is_detected() {
        for (text, expected) in [("abc%", 1), ("abc%4", 2), ("abc&quo", 4), ("abc&#x4", 4), (r"abc\u00", 4), (r"abc\", 1), ("abc", 0)] {
            assert_eq!(cut_escape(&units(text)), expected, "{text}");
        }
    }
}
