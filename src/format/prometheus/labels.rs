//! The labels between the braces of a sample: first exactly as Prometheus reads them, then as servers that escape nothing mean them.
//!
//! # Two grammars, in this order
//!
//! Prometheus ends a value at the first quote that no backslash escapes, on whatever line that is, and needs no comma between two labels.
//! A server that escapes its values is always read by this grammar, so nothing that stands in a value of it can become anything else.
//! Only where this grammar fails is a quote judged by what follows it: the rest of a label set can only follow a closing quote.

use super::ending::ending;
use crate::model::LABELS_PER_SERIES_MAX;
use memchr::memchr2;
use std::borrow::Cow;

/// A longer name is not read: it would be written with every line and every point of its series.
const NAME_BYTES_MAX: usize = 1024;

/// A label's name and value; owned where an escape was resolved.
pub(super) type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What was read between the braces beside the labels.
#[derive(Debug)]
pub(super) struct LabelSet<'a> {
    /// The metric's name, where it is among the labels in quotes.
    pub(super) name: Option<Cow<'a, str>>,
    /// The text behind the closing brace.
    pub(super) behind: &'a str,
    /// Quotes and backslashes that were not escaped.
    pub(super) unescaped: u64,
}

/// Why a label set could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text ends inside a quoted string. `quotes` unescaped quotes stand in that string.
    Open { quotes: usize },
    /// The text does not follow the grammar.
    Invalid,
}

/// Reads labels behind an opening brace as Prometheus does. `named` sets have the metric's name before the brace.
pub(super) fn strict<'a>(text: &'a str, named: bool, labels: &mut Vec<Label<'a>>) -> Result<LabelSet<'a>, Fault> {
    let bytes = text.as_bytes();
    let (mut at, mut metric, mut unescaped) = (0, None, 0);
    labels.clear();
    loop {
        at = skip(bytes, at, b" \t,");
        let name = match bytes.get(at) {
            Some(b'}') => return Ok(LabelSet { name: metric, behind: &text[at + 1..], unescaped }),
            Some(b'"') => {
                let (name, end) = quoted(text, at + 1, &mut unescaped)?;
                at = skip(bytes, end, b" \t");
                name
            }
            _ => {
                let end = at + bytes[at..].iter().position(|b| !is_label_byte(*b)).unwrap_or(bytes.len() - at);
                let name = &text[at..end];
                at = skip(bytes, end, b" \t");
                if name.bytes().next().is_none_or(|first| first.is_ascii_digit()) {
                    return Err(Fault::Invalid);
                }
                Cow::Borrowed(name)
            }
        };
        if !is_utf8_name(&name) {
            return Err(Fault::Invalid);
        }
        match bytes.get(at) {
            Some(b'=') => {}
            // The name of the metric, which stands once.
            Some(b',' | b'}') if !named && metric.is_none() => {
                metric = Some(name);
                continue;
            }
            _ => return Err(Fault::Invalid),
        }
        at = skip(bytes, at + 1, b" \t");
        if bytes.get(at) != Some(&b'"') {
            return Err(Fault::Invalid);
        }
        let (value, end) = quoted(text, at + 1, &mut unescaped)?;
        labels.push((name, value));
        // One of them may be `le`.
        if labels.len() > LABELS_PER_SERIES_MAX + 1 {
            return Err(Fault::Invalid);
        }
        at = end;
    }
}

/// The quoted string that begins at `start`, behind its quote, and the position behind its closing quote.
pub(super) fn quoted<'a>(text: &'a str, start: usize, unescaped: &mut u64) -> Result<(Cow<'a, str>, usize), Fault> {
    let bytes = text.as_bytes();
    let (mut at, mut escapes) = (start, false);
    loop {
        at += memchr2(b'"', b'\\', &bytes[at..]).ok_or(Fault::Open { quotes: 0 })?;
        if bytes[at] == b'"' {
            break;
        }
        escapes = true;
        match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'n') => at += 2,
            // The backslash stands for itself.
            _ => {
                *unescaped += 1;
                at += 1;
            }
        }
    }
    let value = &text[start..at];
    Ok((if escapes { Cow::Owned(unescape(value)) } else { Cow::Borrowed(value) }, at + 1))
}

/// Reads labels behind an opening brace as a server means them that does not escape its values. `text` ends with a line.
pub(super) fn lenient<'a>(text: &'a str, labels: &mut Vec<Label<'a>>) -> Result<LabelSet<'a>, Fault> {
    let (mut rest, mut unescaped) = (text, 0);
    let quotes = Quotes::of(text);
    labels.clear();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok(LabelSet { name: None, behind, unescaped });
        }
        let (name, inside) = label_start(rest).ok_or(Fault::Invalid)?;
        let (value, behind) = lenient_value(inside, &quotes, &mut unescaped)?;
        labels.push((Cow::Borrowed(name), value));
        if labels.len() > LABELS_PER_SERIES_MAX + 1 {
            return Err(Fault::Invalid);
        }
        rest = behind;
    }
}

/// A label's name, and the text behind the opening quote of its value.
fn label_start(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.split_at(memchr::memchr(b'=', text.as_bytes())?);
    let name = name.trim_end_matches([' ', '\t']);
    let inside = behind[1..].trim_start_matches([' ', '\t']).strip_prefix('"')?;
    is_name(name, "_").then_some((name, inside))
}

/// A label value up to its closing quote, and what stands behind it.
fn lenient_value<'a>(inside: &'a str, all: &Quotes<'_>, unescaped: &mut u64) -> Result<(Cow<'a, str>, &'a str), Fault> {
    let bytes = inside.as_bytes();
    let (mut at, mut quotes, mut escapes, mut next_closes) = (0, 0, false, None);
    loop {
        at += memchr2(b'"', b'\\', &bytes[at..]).ok_or(Fault::Open { quotes })?;
        if bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'n')) {
            // `\"` closes the value where the next bare quote could not: a server that escapes nothing wrote it.
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

/// The quotes of a text, judged by what follows them.
pub(super) struct Quotes<'a> {
    text: &'a str,
    /// The last quote that the end of a sample follows. One that another label follows stands before it.
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

    /// The first quote that can be a closing one.
    pub(super) fn first_closing(&self) -> Option<usize> {
        let mut quotes = memchr::memchr_iter(b'"', self.text.as_bytes());
        self.last.and_then(|_| quotes.find(|quote| self.closes(&self.text[quote + 1..])))
    }

    /// Whether a quote before `behind` can be the closing one: another label, or the end of a sample, follows it.
    fn closes(&self, behind: &str) -> bool {
        let Some(last) = self.last else { return false };
        let rest = behind.trim_start_matches([' ', '\t']);
        if !rest.starts_with(',') {
            return ends_sample(behind);
        }
        let rest = rest.trim_start_matches([' ', '\t', ',']);
        match label_start(line(rest)) {
            _ if rest.starts_with('}') => ends_sample(rest),
            // The value of that label must end, too.
            Some((_, inside)) => (inside.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize) <= last,
            None => false,
        }
    }

    /// Whether the next quote without a backslash can be a closing one.
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

/// Whether the closing brace and the end of a sample stand here.
fn ends_sample(text: &str) -> bool {
    text.trim_start_matches([' ', '\t']).strip_prefix('}').is_some_and(|behind| ending(line(behind)).is_some())
}

/// The text up to the end of its line.
fn line(text: &str) -> &str {
    memchr::memchr(b'\n', text.as_bytes()).map_or(text, |end| &text[..end])
}

/// `\\`, `\"` and `\n` resolved; any other backslash stands for itself.
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

/// Whether it is a name of letters, digits and these other characters.
pub(super) fn is_name(text: &str, others: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || others.as_bytes().contains(&b))
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && text.len() <= NAME_BYTES_MAX
}

/// Whether it can be a name in quotes. One with a line break in it is what a server without escapes wrote between two quotes.
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
