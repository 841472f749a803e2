//! Parsers for the labels between the braces of a sample: a strict one that reads them as Prometheus does, and a lenient one for servers
//! that do not escape label values.
//!
//! # The strict grammar comes first
//!
//! In the grammar of Prometheus, a value ends at the first quote without a backslash, on whatever line that is, and no comma is needed
//! between two labels. Servers that escape their values are always read by this grammar, so text in a value cannot be taken for anything
//! else. The lenient grammar is used only if the strict one fails. It decides by the following text whether a quote closes the value:
//! only a closing quote can be followed by the rest of a label set.

use super::sample_value::parse_sample_value;
use crate::model::LABELS_PER_SERIES_MAX;
use memchr::memchr2;
use std::borrow::Cow;

/// The largest size of a name, in bytes. A longer one is not accepted, since every line and every point of its series would contain it.
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// The name and value of a label. They are owned if an escape was resolved.
pub(super) type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A label set, except for its labels.
#[derive(Debug)]
pub(super) struct LabelSet<'a> {
    /// The name of the metric, if it is in quotes between the braces.
    pub(super) name: Option<Cow<'a, str>>,
    /// The text after the closing brace.
    pub(super) rest: &'a str,
    /// The number of quotes and backslashes that were not escaped.
    pub(super) unescaped: u64,
}

/// The reason why a label set could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelError {
    /// The text ends inside a quoted string, which contains this number of unescaped quotes.
    Unclosed { quotes: usize },
    /// The text does not follow the grammar.
    Invalid,
    /// There are more labels than a series may have.
    TooMany,
}

/// Reads the labels after an opening brace as Prometheus does. If `is_named`, the name of the metric is before the brace.
pub(super) fn parse_strict<'a>(text: &'a str, is_named: bool, labels: &mut Vec<Label<'a>>) -> Result<LabelSet<'a>, LabelError> {
    let bytes = text.as_bytes();
    let (mut at, mut metric, mut unescaped) = (0, None, 0);
    labels.clear();
    loop {
        at = skip(bytes, at, b" \t,");
        let name = match bytes.get(at) {
            Some(b'}') => return Ok(LabelSet { name: metric, rest: &text[at + 1..], unescaped }),
            Some(b'"') => {
                let (name, end) = parse_quoted(text, at + 1, &mut unescaped)?;
                at = skip(bytes, end, b" \t");
                name
            }
            _ => {
                let end = at + bytes[at..].iter().position(|b| !is_label_byte(*b)).unwrap_or(bytes.len() - at);
                let name = &text[at..end];
                at = skip(bytes, end, b" \t");
                if name.bytes().next().is_none_or(|first| first.is_ascii_digit()) {
                    return Err(LabelError::Invalid);
                }
                Cow::Borrowed(name)
            }
        };
        if !is_utf8_name(&name) {
            return Err(LabelError::Invalid);
        }
        match bytes.get(at) {
            Some(b'=') => {}
            // The name of the metric, which may occur only once.
            Some(b',' | b'}') if !is_named && metric.is_none() => {
                metric = Some(name);
                continue;
            }
            _ => return Err(LabelError::Invalid),
        }
        at = skip(bytes, at + 1, b" \t");
        if bytes.get(at) != Some(&b'"') {
            return Err(LabelError::Invalid);
        }
        let (value, end) = parse_quoted(text, at + 1, &mut unescaped)?;
        labels.push((name, value));
        // One more is allowed, because one of them may be `le`.
        if labels.len() > LABELS_PER_SERIES_MAX + 1 {
            return Err(LabelError::TooMany);
        }
        at = end;
    }
}

/// Returns the quoted string that begins at `start`, after the opening quote, and the position after the closing quote.
pub(super) fn parse_quoted<'a>(text: &'a str, start: usize, unescaped: &mut u64) -> Result<(Cow<'a, str>, usize), LabelError> {
    let bytes = text.as_bytes();
    let (mut at, mut escapes) = (start, false);
    loop {
        at += memchr2(b'"', b'\\', &bytes[at..]).ok_or(LabelError::Unclosed { quotes: 0 })?;
        if bytes[at] == b'"' {
            break;
        }
        escapes = true;
        match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'n') => at += 2,
            // The backslash is a literal one.
            _ => {
                *unescaped += 1;
                at += 1;
            }
        }
    }
    let value = &text[start..at];
    Ok((if escapes { Cow::Owned(unescape(value)) } else { Cow::Borrowed(value) }, at + 1))
}

/// Reads the labels after an opening brace as written by a server that does not escape values. `text` ends at the end of a line.
pub(super) fn parse_lenient<'a>(text: &'a str, labels: &mut Vec<Label<'a>>) -> Result<LabelSet<'a>, LabelError> {
    let (mut rest, mut unescaped) = (text, 0);
    let quotes = Quotes::of(text);
    labels.clear();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok(LabelSet { name: None, rest, unescaped });
        }
        let (name, inside) = parse_label_start(rest).ok_or(LabelError::Invalid)?;
        let (value, after) = parse_lenient_value(inside, &quotes, &mut unescaped)?;
        labels.push((Cow::Borrowed(name), value));
        if labels.len() > LABELS_PER_SERIES_MAX + 1 {
            return Err(LabelError::TooMany);
        }
        rest = after;
    }
}

/// Returns the name of a label, and the text after the opening quote of its value.
fn parse_label_start(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_at(memchr::memchr(b'=', text.as_bytes())?);
    let name = name.trim_end_matches([' ', '\t']);
    let inside = rest[1..].trim_start_matches([' ', '\t']).strip_prefix('"')?;
    is_name(name, "_").then_some((name, inside))
}

/// Returns a label value up to its closing quote, and the text after the quote.
fn parse_lenient_value<'a>(inside: &'a str, all: &Quotes<'_>, unescaped: &mut u64) -> Result<(Cow<'a, str>, &'a str), LabelError> {
    let bytes = inside.as_bytes();
    let (mut at, mut quotes, mut escapes, mut next_closes) = (0, 0, false, None);
    loop {
        at += memchr2(b'"', b'\\', &bytes[at..]).ok_or(LabelError::Unclosed { quotes })?;
        if bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'n')) {
            // If the next bare quote cannot close the value, `\"` does: the server does not escape, and the backslash is a literal one.
            if bytes[at + 1] == b'"'
                && all.closes(&inside[at + 2..])
                && !*next_closes.get_or_insert_with(|| all.next_bare_closes(&inside[at + 2..]))
            {
                *unescaped += 1;
                at += 1;
                break;
            }
            escapes = true;
            at += 2;
            continue;
        }
        if bytes[at] == b'\\' {
            *unescaped += 1;
            escapes = true;
            at += 1;
            continue;
        }
        if all.closes(&inside[at + 1..]) {
            break;
        }
        (quotes, next_closes) = (quotes + 1, None);
        at += 1;
    }
    *unescaped += u64::from(quotes > 0 || memchr::memchr(b'\n', &bytes[..at]).is_some());
    let value = &inside[..at];
    let value = if escapes { Cow::Owned(unescape(value)) } else { Cow::Borrowed(value) };
    Ok((value, &inside[at + 1..]))
}

/// Decides which quotes of a text can close a label value, by the text after them.
pub(super) struct Quotes<'a> {
    text: &'a str,
    /// The last quote before the end of a sample. Quotes before another label are before this one.
    last: Option<usize>,
}

impl<'a> Quotes<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut end = text.len();
        let last = loop {
            let Some(quote) = memchr::memrchr(b'"', &text.as_bytes()[..end]) else { break None };
            if ends_sample(&text[quote + 1..]) {
                break Some(quote);
            }
            end = quote;
        };
        Self { text, last }
    }

    /// Returns the first quote that can be a closing one.
    pub(super) fn first_closing(&self) -> Option<usize> {
        let mut quotes = memchr::memchr_iter(b'"', self.text.as_bytes());
        self.last.and_then(|_| quotes.find(|quote| self.closes(&self.text[quote + 1..])))
    }

    /// Returns `true` if a quote followed by this text can be a closing one: the text begins with another label or the end of the sample.
    fn closes(&self, after: &str) -> bool {
        let Some(last) = self.last else { return false };
        let rest = after.trim_start_matches([' ', '\t']);
        if !rest.starts_with(',') {
            return ends_sample(after);
        }
        let rest = rest.trim_start_matches([' ', '\t', ',']);
        match parse_label_start(first_line(rest)) {
            _ if rest.starts_with('}') => ends_sample(rest),
            // The value of that label must end as well.
            Some((_, inside)) => (inside.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize) <= last,
            None => false,
        }
    }

    /// Returns `true` if the next quote without a backslash can be a closing one.
    fn next_bare_closes(&self, text: &str) -> bool {
        let (bytes, mut at) = (text.as_bytes(), 0);
        while let Some(found) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
            at += found;
            if bytes[at] == b'"' {
                return self.closes(&text[at + 1..]);
            }
            at += 2;
        }
        false
    }
}

/// Returns `true` if the text begins with the closing brace and the value of a sample.
fn ends_sample(text: &str) -> bool {
    text.trim_start_matches([' ', '\t']).strip_prefix('}').is_some_and(|rest| parse_sample_value(first_line(rest)).is_some())
}

/// Returns the text up to the end of its line.
pub(super) fn first_line(text: &str) -> &str {
    memchr::memchr(b'\n', text.as_bytes()).map_or(text, |end| &text[..end])
}

/// Resolves `\\`, `\"` and `\n`. Any other backslash is a literal one.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let resolved = (c == '\\').then(|| match chars.peek() {
            Some('\\') => Some('\\'),
            Some('"') => Some('"'),
            Some('n') => Some('\n'),
            _ => None,
        });
        match resolved.flatten() {
            Some(resolved) => {
                chars.next();
                out.push(resolved);
            }
            None => out.push(c),
        }
    }
    out
}

/// Returns `true` if the text is a name that consists of letters, digits and the characters in `others`.
pub(super) fn is_name(text: &str, others: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || others.as_bytes().contains(&b))
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && text.len() <= NAME_BYTES_MAX
}

/// Returns `true` if the text can be a name in quotes. With a line break, it is text between two unescaped quotes instead.
pub(super) fn is_utf8_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains('\n')
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn skip(bytes: &[u8], mut at: usize, any_of: &[u8]) -> usize {
    while bytes.get(at).is_some_and(|byte| any_of.contains(byte)) {
        at += 1;
    }
    at
}
