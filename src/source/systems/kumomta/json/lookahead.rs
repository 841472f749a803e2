//! What stands at a position of the document: looks ahead, and moves nothing.

use super::{Reader, STRING_BYTES_MAX};
use crate::format::{Buckets, number};
use memchr::{memchr, memmem};

/// Digits of the longest number that a 64-bit float prints as, and its sign.
const NUMBER_BYTES_MAX: usize = 400;
/// Buckets of one histogram; the server has a dozen.
const BUCKETS_MAX: usize = 1000;
/// Members of a histogram; the server has four.
const HISTOGRAM_MEMBERS_MAX: usize = 8;

/// A measured value.
pub(super) enum Value {
    Number(f64),
    /// Boxed, so that a number stays small on its way.
    Histogram(Box<Buckets>),
    Null,
}

impl<'a> Reader<'_, 'a> {
    /// `":N,"` or `":N}}`: the end of a series with one label.
    pub(super) fn ends_one_label(&self, quote: usize) -> Option<(Value, usize)> {
        let at = self.is(self.skip(quote + 1), b':')?;
        let (value, end) = self.measure(self.skip(at))?;
        let behind = self.skip(end + 1);
        match (self.bytes.get(end)?, self.bytes.get(behind)?) {
            (b',', b'"') | (b'}', b'}') if !self.strict || self.ends_line(end, b"}}}") => Some((value, end)),
            _ => None,
        }
    }

    /// Whether this is the end of a series that ends its line: a comma and a newline, or the end of its family, which `closing` writes.
    pub(super) fn ends_line(&self, at: usize, closing: &[u8]) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        match rest.strip_prefix(closing) {
            Some(behind) => behind.starts_with(b",\n") || behind.strip_prefix(b"}").is_some_and(|end| end.trim_ascii().is_empty()),
            None => rest.starts_with(b",\n"),
        }
    }

    /// `",` or `"}`.
    pub(super) fn may_end_label(&self, quote: usize) -> Option<usize> {
        matches!(self.bytes.get(self.skip(quote + 1))?, b',' | b'}').then_some(quote + 1)
    }

    /// `","name":"` or `","@":`: the end of a label's value in an object, for the server writes the number last.
    pub(super) fn ends_label(&self, quote: usize) -> Option<usize> {
        let at = self.skip(quote + 1);
        let next = self.skip(at + 1);
        let ends = match self.bytes.get(at)? {
            b',' if self.bytes.get(next..next + 3) == Some(b"\"@\"") => self.ends_object(next + 3),
            b',' => {
                let (_, end) = self.name_at(next)?;
                self.is(self.skip(end), b':').and_then(|at| self.is(self.skip(at), b'"')).is_some()
            }
            _ => false,
        };
        ends.then_some(quote + 1)
    }

    /// `:N}` behind the `"@"` of an object.
    fn ends_object(&self, at: usize) -> bool {
        let Some(at) = self.is(self.skip(at), b':') else { return false };
        if !self.strict {
            return true;
        }
        let end = self.measure(self.skip(at)).and_then(|(_, end)| self.is(end, b'}'));
        end.is_some_and(|end| self.ends_line(self.skip(end), b"]}"))
    }

    /// `","name":` or `"}`: the end of a family's help.
    pub(super) fn ends_member(&self, quote: usize) -> Option<usize> {
        let at = self.skip(quote + 1);
        let ends = match self.bytes.get(at)? {
            b'}' => matches!(self.bytes.get(self.skip(at + 1))?, b',' | b'}'),
            b',' => self.name_at(self.skip(at + 1)).is_some_and(|(_, end)| self.is(self.skip(end), b':').is_some()),
            _ => false,
        };
        ends.then_some(quote + 1)
    }

    /// A number, a histogram or `null`, and where the next `,`, `}` or `]` stands.
    pub(super) fn measure(&self, at: usize) -> Option<(Value, usize)> {
        let (value, end) = match self.bytes.get(at)? {
            b'{' => self.histogram(at).map(|(buckets, end)| (Value::Histogram(Box::new(buckets)), end))?,
            _ => self.number(at).map(|(n, end)| (n.map_or(Value::Null, Value::Number), end))?,
        };
        Some((value, self.skip(end)))
    }

    /// A number, or none for `null`, and where it ends.
    pub(super) fn number(&self, at: usize) -> Option<(Option<f64>, usize)> {
        let rest = self.bytes.get(at..)?;
        let mut whole = 0u64;
        for (i, byte) in rest.iter().enumerate().take(16) {
            match byte {
                b'0'..=b'9' if i < 15 => whole = whole * 10 + u64::from(byte - b'0'),
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

    /// `{"count":N,"sum":N,"avg":N,"bucket":[[le,N],...]}` in any order, and where it ends.
    fn histogram(&self, at: usize) -> Option<(Buckets, usize)> {
        let mut at = self.skip(self.is(at, b'{')?);
        let mut buckets = Buckets::default();
        for _ in 0..HISTOGRAM_MEMBERS_MAX {
            let (key, end) = self.name_at(at)?;
            at = self.skip(self.is(self.skip(end), b':')?);
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
            at = self.skip(at);
            match self.bytes.get(at)? {
                b',' => at = self.skip(at + 1),
                b'}' => return Some((buckets, at + 1)),
                _ => return None,
            }
        }
        None
    }

    fn buckets(&self, at: usize, counts: &mut Vec<(f64, f64)>) -> Option<usize> {
        let mut at = self.skip(self.is(at, b'[')?);
        if self.bytes.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        counts.reserve(16);
        while counts.len() < BUCKETS_MAX {
            let (bound, end) = self.number(self.skip(self.is(at, b'[')?))?;
            let (count, end) = self.number(self.skip(self.is(self.skip(end), b',')?))?;
            counts.push((bound?, count?));
            at = self.skip(self.is(self.skip(end), b']')?);
            match self.bytes.get(at)? {
                b',' => at = self.skip(at + 1),
                b']' => return Some(at + 1),
                _ => return None,
            }
        }
        None
    }

    /// The comma behind the series in which this position is, or where looking for it ends.
    pub(super) fn series_end(&self, at: usize) -> usize {
        let max = self.help_end(at);
        let line = memmem::find(&self.bytes[at..max], b",\n").map_or(max, |i| at + i);
        if self.lines {
            return line;
        }
        memmem::find(&self.bytes[at..line], b",\"").map_or(line, |i| at + i)
    }

    pub(super) fn help_end(&self, at: usize) -> usize {
        at.saturating_add(STRING_BYTES_MAX).min(self.bytes.len())
    }

    /// Where the next family begins: at the head of a line, where lines are series.
    pub(super) fn next_family(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let head = self.family_within(at, self.bytes.len())?;
            if !self.strict || self.bytes[..head].ends_with(b",\n") {
                return Some(head);
            }
            at = head + 1;
        }
    }

    /// Where a family begins, or seems to, in this range.
    pub(super) fn family_within(&self, from: usize, to: usize) -> Option<usize> {
        memmem::find_iter(self.bytes.get(from..to)?, b"\":{\"").find_map(|i| {
            let name = self.bytes[from..from + i].iter().rev().take_while(|b| is_name(**b)).count();
            let quote = (from + i).checked_sub(name + 1).filter(|quote| *quote >= from)?;
            self.is_family(quote).then_some(quote)
        })
    }

    pub(super) fn is_family(&self, at: usize) -> bool {
        self.name_at(at).and_then(|(_, end)| self.bytes.get(end..)?.strip_prefix(b":{\"")).is_some_and(|inside| {
            let members: [&[u8]; 3] = [b"help\":\"", b"type\":\"", b"value\":"];
            members.iter().any(|member| inside.starts_with(member))
        })
    }

    pub(super) fn name_at(&self, at: usize) -> Option<(&'a str, usize)> {
        let start = self.is(at, b'"')?;
        let len = memchr(b'"', self.bytes.get(start..(start + 256).min(self.bytes.len()))?)?;
        let name = &self.bytes[start..start + len];
        let sound = !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(|b| is_name(*b));
        sound.then(|| (&self.text[start..start + len], start + len + 1))
    }

    pub(super) fn skip(&self, mut at: usize) -> usize {
        while matches!(self.bytes.get(at), Some(b'\n' | b' ' | b'\r' | b'\t')) {
            at += 1;
        }
        at
    }

    /// The position behind this byte, if it stands here.
    pub(super) fn is(&self, at: usize, byte: u8) -> Option<usize> {
        (self.bytes.get(at) == Some(&byte)).then_some(at + 1)
    }
}

/// Whether a last family that could not be read ends as its kind must: else the document is cut short.
pub(super) fn is_whole(family: &str) -> bool {
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
