//! Examines the text at a position of the document, without changing the state of the reader.

use super::{Reader, STRING_BYTES_MAX};
use crate::format::{Buckets, number};
use memchr::{memchr, memmem};

/// The longest family name. KumoMTA's own names are far shorter; a longer one is text that looks like a family, and counts as unreadable.
const NAME_BYTES_MAX: usize = 255;

/// The largest size of a number, in bytes: the longest text that a 64-bit float is printed as.
const NUMBER_BYTES_MAX: usize = 400;
/// The digits of a whole number that is calculated here: a 64-bit float holds each such number exactly.
const EXACT_DIGITS: usize = 15;
/// The largest number of buckets of a histogram. KumoMTA has a dozen.
const BUCKETS_MAX: usize = 1000;
/// The largest number of members of a histogram. KumoMTA has four.
const HISTOGRAM_MEMBERS_MAX: usize = 8;

/// The value of a series.
pub(super) enum Value {
    Number(f64),
    /// Boxed, so that the enum is small for numbers.
    Histogram(Box<Buckets>),
    Null,
}

impl<'a> Reader<'_, 'a> {
    /// Detects the end of a label value in a series with one label: `":N,"` or `":N}}`. Returns the value of the series, and where it ends.
    pub(super) fn ends_one_label(&self, quote: usize) -> Option<(Value, usize)> {
        let at = self.after(self.skip_blanks(quote + 1), b':')?;
        let (value, end) = self.value_at(self.skip_blanks(at))?;
        let next = self.skip_blanks(end + 1);
        match (self.bytes.get(end)?, self.bytes.get(next)?) {
            (b',', b'"') | (b'}', b'}') if !self.must_end_lines || self.ends_line(end, b"}}}") => Some((value, end)),
            _ => None,
        }
    }

    /// Returns `true` at the end of a series that ends its line: a comma and a line feed, or `closing`, which ends the family.
    pub(super) fn ends_line(&self, at: usize, closing: &[u8]) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        match rest.strip_prefix(closing) {
            Some(after) => after.starts_with(b",\n") || after.strip_prefix(b"}").is_some_and(|end| end.trim_ascii().is_empty()),
            None => rest.starts_with(b",\n"),
        }
    }

    /// Detects a possible end of a label value in an object, by the next byte: `",` or `"}`.
    pub(super) fn may_end_label(&self, quote: usize) -> Option<usize> {
        matches!(self.bytes.get(self.skip_blanks(quote + 1))?, b',' | b'}').then_some(quote + 1)
    }

    /// Detects the end of a label value in an object, by the next member: `","name":"` or `","@":`. The server writes the number last.
    pub(super) fn ends_label(&self, quote: usize) -> Option<usize> {
        let at = self.skip_blanks(quote + 1);
        let next = self.skip_blanks(at + 1);
        let ends = match self.bytes.get(at)? {
            b',' if self.bytes.get(next..next + 3) == Some(b"\"@\"") => self.ends_object(next + 3),
            b',' => {
                let (_, end) = self.name_at(next)?;
                self.after(self.skip_blanks(end), b':').and_then(|at| self.after(self.skip_blanks(at), b'"')).is_some()
            }
            _ => false,
        };
        ends.then_some(quote + 1)
    }

    /// Returns `true` if `:N}` follows the `"@"` of an object.
    fn ends_object(&self, at: usize) -> bool {
        let Some(at) = self.after(self.skip_blanks(at), b':') else { return false };
        if !self.must_end_lines {
            return true;
        }
        let end = self.value_at(self.skip_blanks(at)).and_then(|(_, end)| self.after(end, b'}'));
        end.is_some_and(|end| self.ends_line(self.skip_blanks(end), b"]}"))
    }

    /// Detects the end of a family's help text: `","name":` or `"}`.
    pub(super) fn ends_member(&self, quote: usize) -> Option<usize> {
        let at = self.skip_blanks(quote + 1);
        let ends = match self.bytes.get(at)? {
            b'}' => matches!(self.bytes.get(self.skip_blanks(at + 1))?, b',' | b'}'),
            b',' => self.name_at(self.skip_blanks(at + 1)).is_some_and(|(_, end)| self.after(self.skip_blanks(end), b':').is_some()),
            _ => false,
        };
        ends.then_some(quote + 1)
    }

    /// Returns the number, histogram or `null` at a position, and the position of the next `,`, `}` or `]`.
    pub(super) fn value_at(&self, at: usize) -> Option<(Value, usize)> {
        let (value, end) = match self.bytes.get(at)? {
            b'{' => self.histogram(at).map(|(buckets, end)| (Value::Histogram(Box::new(buckets)), end))?,
            _ => self.number(at).map(|(n, end)| (n.map_or(Value::Null, Value::Number), end))?,
        };
        Some((value, self.skip_blanks(end)))
    }

    /// Returns the number at a position, or `None` inside for `null`, and where it ends.
    pub(super) fn number(&self, at: usize) -> Option<(Option<f64>, usize)> {
        let rest = self.bytes.get(at..)?;
        let mut whole = 0u64;
        for (i, byte) in rest.iter().enumerate().take(EXACT_DIGITS + 1) {
            match byte {
                b'0'..=b'9' if i < EXACT_DIGITS => whole = whole * 10 + u64::from(byte - b'0'),
                b',' | b'}' | b']' if i > 0 => return Some((Some(whole as f64), at + i)),
                _ => break,
            }
        }
        let len = rest.iter().take(NUMBER_BYTES_MAX).position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))?;
        match &rest[..len] {
            b"null" => Some((None, at + len)),
            token => Some((Some(number::parse(token)?), at + len)),
        }
    }

    /// Returns the histogram at a position, and where it ends: `{"count":N,"sum":N,"avg":N,"bucket":[[le,N],...]}`, in any order.
    fn histogram(&self, at: usize) -> Option<(Buckets, usize)> {
        let mut at = self.skip_blanks(self.after(at, b'{')?);
        let mut buckets = Buckets::default();
        for _ in 0..HISTOGRAM_MEMBERS_MAX {
            let (key, end) = self.name_at(at)?;
            at = self.skip_blanks(self.after(self.skip_blanks(end), b':')?);
            if key == "bucket" {
                at = self.buckets(at, &mut buckets.counts)?;
            } else {
                let (n, end) = self.number(at)?;
                at = end;
                match key {
                    "count" => buckets.count = n,
                    "sum" => buckets.sum = n,
                    "avg" => {}
                    _ => return None,
                }
            }
            at = self.skip_blanks(at);
            match self.bytes.get(at)? {
                b',' => at = self.skip_blanks(at + 1),
                b'}' => return Some((buckets, at + 1)),
                _ => return None,
            }
        }
        None
    }

    fn buckets(&self, at: usize, counts: &mut Vec<(f64, f64)>) -> Option<usize> {
        let mut at = self.skip_blanks(self.after(at, b'[')?);
        if self.bytes.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        counts.reserve(16);
        while counts.len() < BUCKETS_MAX {
            let (bound, end) = self.number(self.skip_blanks(self.after(at, b'[')?))?;
            let (count, end) = self.number(self.skip_blanks(self.after(self.skip_blanks(end), b',')?))?;
            counts.push((bound?, count?));
            at = self.skip_blanks(self.after(self.skip_blanks(end), b']')?);
            match self.bytes.get(at)? {
                b',' => at = self.skip_blanks(at + 1),
                b']' => return Some(at + 1),
                _ => return None,
            }
        }
        None
    }

    /// Returns the position of the comma after the series that contains this position, or the position at which the search ends.
    pub(super) fn series_end(&self, at: usize) -> usize {
        let max = self.string_limit(at);
        let line = memmem::find(&self.bytes[at..max], b",\n").map_or(max, |i| at + i);
        if self.has_line_per_series {
            return line;
        }
        memmem::find(&self.bytes[at..line], b",\"").map_or(line, |i| at + i)
    }

    /// Returns the position at which a string that begins here must have ended.
    pub(super) fn string_limit(&self, at: usize) -> usize {
        at.saturating_add(STRING_BYTES_MAX).min(self.bytes.len())
    }

    /// Returns the start of the next family. If each series has a line, only families at the start of a line count.
    pub(super) fn next_family(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let head = self.family_within(at, self.bytes.len())?;
            if !self.must_end_lines || self.bytes[..head].ends_with(b",\n") {
                return Some(head);
            }
            at = head + 1;
        }
    }

    /// Returns the first position in this range at which a family begins or seems to begin.
    pub(super) fn family_within(&self, from: usize, to: usize) -> Option<usize> {
        memmem::find_iter(self.bytes.get(from..to)?, b"\":{\"").find_map(|i| {
            let name = self.bytes[from..from + i].iter().rev().take_while(|b| is_name(**b)).count();
            let quote = (from + i).checked_sub(name + 1).filter(|quote| *quote >= from)?;
            self.is_family(quote).then_some(quote)
        })
    }

    /// Returns `true` if the text at this position looks like the head of a family.
    pub(super) fn is_family(&self, at: usize) -> bool {
        self.name_at(at).and_then(|(_, end)| self.bytes.get(end..)?.strip_prefix(b":{\"")).is_some_and(|inside| {
            let members: [&[u8]; 3] = [b"help\":\"", b"type\":\"", b"value\":"];
            members.iter().any(|member| inside.starts_with(member))
        })
    }

    /// Returns `true` if the name of a family and the start of its object are here.
    pub(super) fn begins_family(&self, at: usize) -> bool {
        let colon = self.name_at(at).map(|(_, end)| self.skip_blanks(end)).and_then(|end| self.after(end, b':'));
        colon.is_some_and(|end| self.after(self.skip_blanks(end), b'{').is_some())
    }

    /// Returns the quoted name at a position, and the position after it.
    pub(super) fn name_at(&self, at: usize) -> Option<(&'a str, usize)> {
        let start = self.after(at, b'"')?;
        let len = memchr(b'"', self.bytes.get(start..(start + NAME_BYTES_MAX + 1).min(self.bytes.len()))?)?;
        let name = &self.bytes[start..start + len];
        let is_valid = !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(|b| is_name(*b));
        is_valid.then(|| (&self.text[start..start + len], start + len + 1))
    }

    pub(super) fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.bytes.get(at), Some(b'\n' | b' ' | b'\r' | b'\t')) {
            at += 1;
        }
        at
    }

    /// Returns the position after this byte, if it is at this position.
    pub(super) fn after(&self, at: usize, byte: u8) -> Option<usize> {
        (self.bytes.get(at) == Some(&byte)).then_some(at + 1)
    }
}

/// Returns `true` if the last family, which could not be read, ends as a family of its kind does. Otherwise the document is truncated.
pub(super) fn is_complete(family: &str) -> bool {
    let family = family.trim_ascii_end();
    let braces = family.len() - family.trim_end_matches('}').len();
    let (head, value) = family.split_once("\"value\":").unwrap_or((family, ""));
    let has_label = value.strip_prefix("{\"").and_then(|v| v.split_once('"')).is_some_and(|(_, v)| v.starts_with(":{"));
    match value.as_bytes().first() {
        Some(b'[') => family.ends_with("]}}"),
        Some(b'{') if has_label => braces >= 4 + usize::from(head.contains("\"histogram\"")),
        Some(b'{') => braces >= 3,
        _ => braces >= 2,
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}
