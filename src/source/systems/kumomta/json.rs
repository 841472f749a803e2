//! `/metrics.json` as KumoMTA really writes it: one pass, by position, with recovery.
//!
//! # Why no JSON library
//!
//! Since 2024.11 label values and help texts are written as they are, so one queue named after a header with a quote in it
//! makes the whole document no JSON. Here a closing quote is told by what stands behind it: only the end of a string in
//! that place can be followed by that. What still cannot be read costs its series, or its family, and is counted.
//!
//! Up to 2024.09 serde wrote the document, with escapes. The two are told apart by the newline behind a comma, which only
//! the later writer has.
//!
//! # A line is a series
//!
//! The later writer ends each series with a comma and a newline. In a family that is written so, a label value reaches to the last
//! quote of its line that a number follows: text inside a value can then look like series and families as much as it likes.
//! What a value with newlines of its own forges stands at the head of lines, and is found because it stands more than once
//! (see [`super::forged`]).

mod lines;
mod lookahead;

use super::escape;
use super::forged::{self, Heads};
use crate::format::quote;
use crate::model::{Families, FamiliesBuilder, FamilyType, READING_LIMITS, ReadingLimits, Repair, Text};
use crate::source::ReadError;
use lookahead::{Value, is_whole};
use memchr::{memchr2, memmem};
use std::collections::HashSet;

/// How far the end of a string with quotes in it is looked for.
const STRING_BYTES_MAX: usize = 16 * 1024;

/// Reads `/metrics.json`.
///
/// # Errors
/// When it is no such document, when it is cut short, when it is too much, or when no series of it can be read.
pub fn read(body: String) -> Result<Families, ReadError> {
    read_within(READING_LIMITS, body)
}

fn read_within(bounds: ReadingLimits, body: String) -> Result<Families, ReadError> {
    let mut forged = HashSet::new();
    let families = Families::read_within(bounds, body, |out| {
        let text = out.body();
        let raw = [&b",\n\""[..], b",\n{"].iter().any(|mark| memmem::find(text.as_bytes(), mark).is_some());
        Reader {
            out,
            text,
            bytes: text.as_bytes(),
            at: 0,
            raw,
            lines: false,
            strict: false,
            line_end: None,
            unescaped: 0,
            lost: false,
            names: Vec::new(),
            patience: text.len() + 16 * STRING_BYTES_MAX,
            heads: Heads::default(),
        }
        .document(&mut forged)
    })?;
    forged::leave_out(families, &forged)
}

struct Reader<'b, 'a> {
    out: &'b mut FamiliesBuilder<'a>,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Whether a backslash stands for itself.
    raw: bool,
    /// Whether each series of this family begins a line.
    lines: bool,
    /// Whether a series of this family must end its line.
    strict: bool,
    /// Where the first line ends that was last looked for, so that no line is searched twice.
    line_end: Option<usize>,
    /// Strings of this series that were not escaped.
    unescaped: u32,
    /// Whether anything could not be read.
    lost: bool,
    /// Label names of the last object, which the next one nearly always repeats.
    names: Vec<(&'a str, Text)>,
    /// Bytes that may still be searched in vain, or a hostile document would be searched over and over.
    patience: usize,
    /// The heads of families.
    heads: Heads<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn document(mut self, forged: &mut HashSet<String>) -> Result<(), ReadError> {
        let read = self.families();
        *forged = self.heads.into_forged();
        read
    }

    fn families(&mut self) -> Result<(), ReadError> {
        if self.next() != Some(b'{') {
            return Err(match self.bytes.get(self.at) {
                None => ReadError::Empty,
                Some(_) => ReadError::Malformed(format!("not a JSON object: `{}`", quote(self.text.trim_ascii()))),
            });
        }
        self.at += 1;
        while self.next().ok_or_else(cut_short)? != b'}' || self.skip(self.at + 1) < self.bytes.len() {
            let start = self.at;
            let read = self.family();
            if self.out.exceeded_limit().is_some() {
                return Ok(());
            }
            if read.is_some() {
                match self.next().ok_or_else(cut_short)? {
                    b',' => {
                        self.at += 1;
                        self.lines |= self.bytes.get(self.at) == Some(&b'\n');
                        continue;
                    }
                    b'}' if self.skip(self.at + 1) == self.bytes.len() => break,
                    _ => {}
                }
            }
            self.next().ok_or_else(cut_short)?;
            self.unreadable();
            let from = self.at.max(start + 1);
            // One that does not begin a line is read, so that a document is not taken for cut short, but not believed.
            match self.next_family(from).or_else(|| self.family_within(from, self.bytes.len())) {
                Some(at) => {
                    let believed = !self.strict || self.bytes[..at].ends_with(b",\n");
                    self.suspect_heads(from, if believed { at } else { self.bytes.len() });
                    self.at = at;
                }
                None if is_whole(&self.text[start..]) => break,
                None => return Err(cut_short()),
            }
        }
        match self.out.series() {
            0 if self.lost => Err(ReadError::Malformed("not one series of it can be read".to_owned())),
            0 => Err(ReadError::Empty),
            _ => Ok(()),
        }
    }

    /// One family with its series; `None` where it cannot be read on.
    fn family(&mut self) -> Option<()> {
        let start = self.at;
        let name = self.name()?;
        self.expect(b':')?;
        self.expect(b'{')?;
        self.heads.family(name);
        self.set_strict(start);
        let name = self.out.text(name);
        self.out.family(name, Text::default(), FamilyType::Unknown);
        loop {
            let member = self.at;
            let key = self.name()?;
            self.expect(b':')?;
            match (key, self.next()?) {
                ("help", b'"') => {
                    let (help, end) = self.string(Self::help_end, Self::ends_member)?;
                    self.at = end;
                    self.count_unescaped();
                    self.out.describe(Some(help), None);
                }
                ("type", b'"') => {
                    let kind = family_type(self.name()?);
                    self.out.describe(None, Some(kind));
                }
                ("value", _) => self.value()?,
                // A member that a later version may add.
                (_, b'"') => self.at = self.string(Self::help_end, Self::ends_member)?.1,
                (_, _) => {
                    let number = self.number(self.at);
                    // It may be the next family, behind one that lost a brace.
                    self.at = number.map_or(member, |(_, end)| end);
                    number?;
                }
            }
            if self.list_ends(b'}')? {
                return Some(());
            }
        }
    }

    fn value(&mut self) -> Option<()> {
        match self.next()? {
            b'[' => {
                self.at += 1;
                self.objects()
            }
            b'{' => {
                let start = self.at;
                self.at += 1;
                if self.next()? == b'}' {
                    self.at += 1;
                    return Some(());
                }
                let label = self.name()?;
                self.expect(b':')?;
                if self.next()? == b'{' {
                    self.at += 1;
                    let label = self.out.text(label);
                    self.one_label(label)?;
                    return self.expect(b'}');
                }
                self.at = start;
                self.unlabelled()
            }
            _ => self.unlabelled(),
        }
    }

    fn unlabelled(&mut self) -> Option<()> {
        let (value, end) = self.measure(self.at)?;
        self.at = end;
        self.push(value);
        Some(())
    }

    /// `{VALUE:N,...}` behind the name of the one label.
    fn one_label(&mut self, label: Text) -> Option<()> {
        if self.next()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let start = self.at;
            match self.one_label_series(label) {
                Some(()) if self.out.exceeded_limit().is_some() => return None,
                Some(()) if self.list_ends(b'}')? => return Some(()),
                Some(()) => {}
                None => self.next_series(start)?,
            }
        }
    }

    fn one_label_series(&mut self, label: Text) -> Option<()> {
        let (text, (value, end)) = self.string(Self::series_end, Self::ends_one_label)?;
        self.at = end;
        self.out.label(label, text);
        self.push(value);
        Some(())
    }

    /// `{"a":"x","b":"y","@":N},...]`
    fn objects(&mut self) -> Option<()> {
        if self.next()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            let start = self.at;
            // First by the next byte alone, which is nearly always right; else by the whole member that must follow.
            let read = self.object(Self::may_end_label).or_else(|| {
                self.forget();
                self.at = start;
                self.object(Self::ends_label)
            });
            match read {
                Some(()) if self.out.exceeded_limit().is_some() => return None,
                Some(()) if self.list_ends(b']')? => return Some(()),
                Some(()) => {}
                None => self.next_object(start)?,
            }
        }
    }

    fn object(&mut self, ends: impl Fn(&Self, usize) -> Option<usize> + Copy) -> Option<()> {
        self.expect(b'{')?;
        let mut value = None;
        for label in 0.. {
            if self.bytes.get(self.at..self.at + 3) == Some(b"\"@\"") {
                self.at += 3;
                self.expect(b':')?;
                let end;
                (value, end) = self.measure(self.at).map(|(v, end)| (Some(v), end))?;
                self.at = end;
            } else {
                let name = self.label_name(label)?;
                self.expect(b':')?;
                let (text, end) = self.string(Self::series_end, ends)?;
                self.out.label(name, text);
                self.at = end;
            }
            if self.list_ends(b'}')? {
                break;
            }
        }
        if !matches!(self.next()?, b',' | b']') || (self.strict && !self.ends_line(self.at, b"]}")) {
            return None;
        }
        self.push(value?);
        Some(())
    }

    fn label_name(&mut self, label: usize) -> Option<Text> {
        if let Some((name, text)) = self.names.get(label)
            && let Some(behind) = self.bytes[self.at..].strip_prefix(b"\"").and_then(|b| b.strip_prefix(name.as_bytes()))
            && behind.first() == Some(&b'"')
        {
            self.at += name.len() + 2;
            return Some(*text);
        }
        let name = self.name()?;
        let text = self.out.text(name);
        self.names.truncate(label);
        self.names.push((name, text));
        Some(text)
    }

    fn push(&mut self, value: Value) {
        self.count_unescaped();
        match value {
            Value::Number(n) => self.out.number(n),
            Value::Null => self.out.discard_labels(),
            Value::Histogram(buckets) => match buckets.finish() {
                Ok((histogram, repairs)) => {
                    self.out.histogram(histogram);
                    self.out.repairs(&repairs);
                }
                Err(repair) => self.out.add_unreadable_histogram(repair),
            },
        }
    }

    /// The string that begins here. `ends` says whether the quote at a position closes it, and what it saw behind;
    /// `stop` where it must have ended.
    fn string<T>(&mut self, stop: fn(&Self, usize) -> usize, ends: impl Fn(&Self, usize) -> Option<T>) -> Option<(Text, T)> {
        (self.bytes.get(self.at) == Some(&b'"')).then_some(())?;
        let start = self.at + 1;
        let end = start + memchr2(b'"', b'\\', &self.bytes[start..])?;
        if self.bytes[end] == b'"'
            && let Some(behind) = ends(self, end)
        {
            return Some((self.out.text(&self.text[start..end]), behind));
        }
        (self.patience > 0).then_some(())?;
        // What a writer that escapes would mean is tried first: in its strings, all that could end a series may stand.
        if !self.raw {
            let sound = self.sound_end(start);
            if let Some((end, behind)) = sound.and_then(|end| Some((end, ends(self, end)?))) {
                return Some((self.resolved(start..end), behind));
            }
            self.in_vain(sound.unwrap_or_else(|| self.help_end(start)) - start);
        }
        let stop = stop(self, start);
        let found = self.odd_string(start, stop, ends);
        if found.is_none() {
            self.in_vain(stop - start);
        }
        found
    }

    /// A string with quotes or backslashes in it.
    fn odd_string<T>(&mut self, start: usize, stop: usize, ends: impl Fn(&Self, usize) -> Option<T>) -> Option<(Text, T)> {
        let closing = |this: &Self, bare: bool| {
            let mut quotes = escape::Quotes { bytes: &this.bytes[start..stop], at: 0, bare };
            quotes.find_map(|i| ends(this, start + i).map(|behind| (start + i, behind)))
        };
        // A writer that escapes everything, and one that escapes nothing and ended on a backslash, differ only by context.
        let escaped = if self.raw { None } else { closing(self, false) };
        let resolve = escaped.is_some();
        if !self.raw && !resolve {
            self.in_vain(stop - start);
        }
        let (end, behind) = match escaped {
            Some(found) => found,
            None => closing(self, true)?,
        };
        self.suspect_heads(start, end);
        if !resolve {
            self.unescaped += 1;
            return Some((self.out.text(&self.text[start..end]), behind));
        }
        Some((self.resolved(start..end), behind))
    }

    /// The first quote without a backslash before it.
    fn sound_end(&self, start: usize) -> Option<usize> {
        let bytes = &self.bytes[start..self.help_end(start)];
        Some(start + escape::Quotes { bytes, at: 0, bare: false }.next()?)
    }

    /// A text with its escapes resolved.
    fn resolved(&mut self, range: std::ops::Range<usize>) -> Text {
        let (text, sound) = escape::resolve(&self.text[range]);
        self.unescaped += u32::from(!sound);
        self.out.add_text(&text)
    }

    /// After a series that cannot be read: the next one. `None` when that is not in this family.
    fn next_series(&mut self, from: usize) -> Option<()> {
        self.at = from;
        let end = (self.patience > 0).then(|| self.series_end(from))?;
        // Without lines, what follows may as well be a member of a histogram.
        if self.bytes.get(end..end + 2) != Some(b",\n") {
            self.in_vain(end - from);
            return None;
        }
        self.suspect_heads(from, end);
        self.at = self.skip(end + 2);
        (!self.is_family(self.at)).then(|| self.unreadable())
    }

    fn in_vain(&mut self, bytes: usize) {
        self.patience = self.patience.saturating_sub(bytes);
    }

    fn unreadable(&mut self) {
        self.forget();
        self.lost = true;
        self.out.repair(Repair::Unreadable);
    }

    fn forget(&mut self) {
        self.out.discard_labels();
        self.unescaped = 0;
    }

    fn count_unescaped(&mut self) {
        for _ in 0..std::mem::take(&mut self.unescaped) {
            self.out.repair(Repair::Unescaped);
        }
    }

    /// A quoted name of a family, a member or a label, which never has anything odd in it.
    fn name(&mut self) -> Option<&'a str> {
        self.next();
        let (name, end) = self.name_at(self.at)?;
        self.at = end;
        Some(name)
    }

    /// Behind an item of a list: goes to the next one, or past the end and says so.
    fn list_ends(&mut self, end: u8) -> Option<bool> {
        let byte = self.next()?;
        if byte == b',' {
            self.at += 1;
            self.lines |= self.bytes.get(self.at) == Some(&b'\n');
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

    /// The next byte that is no white space; stays before it.
    fn next(&mut self) -> Option<u8> {
        self.at = self.skip(self.at);
        self.bytes.get(self.at).copied()
    }
}

fn family_type(word: &str) -> FamilyType {
    match word {
        "counter" => FamilyType::Counter,
        "gauge" => FamilyType::Gauge,
        "histogram" => FamilyType::Histogram,
        _ => FamilyType::Unknown,
    }
}

fn cut_short() -> ReadError {
    ReadError::Malformed("the document is cut short".to_owned())
}

#[cfg(test)]
mod tests;
