//! `/metrics.json` as KumoMTA really writes it: read in one pass, with recovery from text that is not escaped.
//!
//! # No JSON library
//!
//! Since version 2024.11, KumoMTA does not escape label values and help texts. One queue whose name comes from a message header with a
//! quote in it makes the whole document invalid JSON. This reader decides by the following text whether a quote closes a string: it does
//! if only the end of a string can be followed by that text. A series or a family that still cannot be read is skipped and counted.
//!
//! Up to version 2024.09, serde wrote the document, with escapes. The two writers are distinguished by the line feed after a comma,
//! which only the newer one writes.
//!
//! # One series per line
//!
//! The newer writer ends each series with a comma and a line feed. In a family that is written this way, a label value extends to the last
//! quote of its line that is followed by a number, so text inside a value can look like series and families without being read as such.
//! A value that contains line feeds can forge series at the start of a line. They are detected because they occur more than once (see
//! [`super::forged`]).

mod lookahead;
mod recovery;
mod series;
mod strings;

use super::forged::{self, FamilyHeads};
use crate::format::quote;
use crate::model::{Families, FamiliesBuilder, FamilyType, READING_LIMITS, ReadingLimits, Text};
use crate::source::ReadError;
use lookahead::is_complete;
use memchr::memmem;
use std::collections::HashSet;
use std::ops::Range;

/// The largest size of a string that contains quotes, in bytes. Its end is not searched beyond that.
const STRING_BYTES_MAX: usize = 16 * 1024;

/// Reads `/metrics.json`.
///
/// # Errors
/// If the body is not such a document, is truncated, exceeds a limit, or has no series that can be read.
pub fn read(body: String) -> Result<Families, ReadError> {
    read_within(READING_LIMITS, body)
}

fn read_within(limits: ReadingLimits, body: String) -> Result<Families, ReadError> {
    let mut forged = HashSet::new();
    let families = Families::read_within(limits, body, |out| {
        let text = out.body();
        let is_unescaped = [&b",\n\""[..], b",\n{"].iter().any(|mark| memmem::find(text.as_bytes(), mark).is_some());
        Reader {
            out,
            text,
            bytes: text.as_bytes(),
            at: 0,
            is_unescaped,
            has_line_per_series: false,
            must_end_lines: false,
            line_end: None,
            unescaped_strings: 0,
            has_unreadable: false,
            label_names: Vec::new(),
            search_bytes_left: text.len() + 16 * STRING_BYTES_MAX,
            heads: FamilyHeads::default(),
            families: Vec::new(),
        }
        .read_document(&mut forged)
    })?;
    forged::drop_forged(families, &forged)
}

struct Reader<'b, 'a> {
    out: &'b mut FamiliesBuilder<'a>,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// `true` if the writer does not escape, so that a backslash is a literal one.
    is_unescaped: bool,
    /// `true` if each series of the current family begins a line.
    has_line_per_series: bool,
    /// `true` if each series of the current family must end its line.
    must_end_lines: bool,
    /// The end of the line that was searched last, so that no line is searched twice.
    line_end: Option<usize>,
    /// The number of strings of the current series that were not escaped.
    unescaped_strings: u32,
    /// `true` if anything could not be read.
    has_unreadable: bool,
    /// The label names of the last object. The next object nearly always has the same ones.
    label_names: Vec<(&'a str, Text)>,
    /// The number of bytes that may still be searched without success. Without a limit, a hostile document would be searched again and
    /// again.
    search_bytes_left: usize,
    /// The families that have been seen.
    heads: FamilyHeads<'a>,
    /// The families that begin outside of text that is skipped, and where each was read.
    families: Vec<(&'a str, Range<usize>)>,
}

impl<'a> Reader<'_, 'a> {
    fn read_document(mut self, forged: &mut HashSet<String>) -> Result<(), ReadError> {
        let read = self.read_families();
        self.mark_ended_families_as_forged();
        *forged = self.heads.into_forged();
        read
    }

    fn read_families(&mut self) -> Result<(), ReadError> {
        if self.next() != Some(b'{') {
            return Err(match self.bytes.get(self.at) {
                None => ReadError::Empty,
                Some(_) => ReadError::Malformed(format!("not a JSON object: `{}`", quote(self.text.trim_ascii()))),
            });
        }
        self.at += 1;
        while self.next().ok_or_else(truncated)? != b'}' || self.skip_blanks(self.at + 1) < self.bytes.len() {
            let start = self.at;
            let head = self.name_at(start).filter(|_| self.begins_family(start) && self.families.len() < forged::FAMILIES_MAX);
            let is_read = self.read_family().is_some();
            self.families.extend(head.map(|(name, _)| (name, start..self.at)));
            if self.out.exceeded_limit().is_some() {
                return Ok(());
            }
            if is_read {
                match self.next().ok_or_else(truncated)? {
                    b',' => {
                        self.at += 1;
                        self.has_line_per_series |= self.bytes.get(self.at) == Some(&b'\n');
                        continue;
                    }
                    b'}' if self.skip_blanks(self.at + 1) == self.bytes.len() => break,
                    _ => {}
                }
            }
            self.next().ok_or_else(truncated)?;
            self.count_unreadable();
            let from = self.at.max(start + 1);
            // A family that does not begin a line is read, so that the document does not seem truncated, but it counts as forged.
            match self.next_family(from).or_else(|| self.family_within(from, self.bytes.len())) {
                Some(at) => {
                    let is_trusted = !self.must_end_lines || self.bytes[..at].ends_with(b",\n");
                    self.mark_heads_as_forged(from, if is_trusted { at } else { self.bytes.len() });
                    self.at = at;
                }
                None if is_complete(&self.text[start..]) => break,
                None => return Err(truncated()),
            }
        }
        match self.out.series() {
            0 if self.has_unreadable => Err(ReadError::Malformed("no member is a valid metric".to_owned())),
            0 => Err(ReadError::Empty),
            _ => Ok(()),
        }
    }

    /// Reads one family with its series. Returns `None` if it cannot be read to its end.
    fn read_family(&mut self) -> Option<()> {
        let start = self.at;
        let name = self.read_name()?;
        self.expect(b':')?;
        self.expect(b'{')?;
        self.heads.add(name);
        self.detect_lines(start);
        let text = self.out.text(name);
        self.out.family(text, Text::default(), FamilyType::Unknown);
        loop {
            let member = self.at;
            let key = self.read_name()?;
            self.expect(b':')?;
            match (key, self.next()?) {
                ("help", b'"') => {
                    let (help, end) = self.read_string(Self::string_limit, Self::ends_member)?;
                    self.at = end;
                    self.count_unescaped();
                    self.out.describe(Some(help), None);
                }
                ("type", b'"') => {
                    let kind = family_type(self.read_name()?);
                    self.out.describe(None, Some(kind));
                }
                ("value", _) => self.read_value()?,
                // A member that a later version may add.
                (_, b'"') => self.at = self.read_string(Self::string_limit, Self::ends_member)?.1,
                (_, _) => {
                    let number = self.number(self.at);
                    // If it is not a number, it may be the next family, after one that lacks a brace.
                    self.at = number.map_or(member, |(_, end)| end);
                    number?;
                }
            }
            if self.read_separator(b'}')? {
                return Some(());
            }
        }
    }

    /// Reads the quoted name of a family, a member or a label. Such names never contain special characters.
    fn read_name(&mut self) -> Option<&'a str> {
        self.next();
        let (name, end) = self.name_at(self.at)?;
        self.at = end;
        Some(name)
    }

    /// Reads what follows an item of a list: the comma, or `end`. Returns `true` at the end of the list.
    fn read_separator(&mut self, end: u8) -> Option<bool> {
        let byte = self.next()?;
        if byte == b',' {
            self.at += 1;
            self.has_line_per_series |= self.bytes.get(self.at) == Some(&b'\n');
            self.next();
            return Some(false);
        }
        (byte == end).then(|| {
            self.at += 1;
            true
        })
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| {
            self.at += 1;
            self.next();
        })
    }

    /// Moves to the next byte that is not white space, and returns it.
    fn next(&mut self) -> Option<u8> {
        self.at = self.skip_blanks(self.at);
        self.bytes.get(self.at).copied()
    }
}

fn family_type(name: &str) -> FamilyType {
    match name {
        "counter" => FamilyType::Counter,
        "gauge" => FamilyType::Gauge,
        "histogram" => FamilyType::Histogram,
        _ => FamilyType::Unknown,
    }
}

fn truncated() -> ReadError {
    ReadError::Malformed("the document is truncated".to_owned())
}

#[cfg(test)]
mod tests;
