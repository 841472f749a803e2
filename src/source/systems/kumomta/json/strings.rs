//! Reads strings, including those with quotes or backslashes that are not escaped.

use super::Reader;
use crate::model::Text;
use crate::source::systems::kumomta::escape;
use memchr::memchr2;
use std::ops::Range;

impl Reader<'_, '_> {
    /// Reads the string that begins here. `ends` decides whether the quote at a position closes it, and returns what it found after the
    /// quote. `limit` returns the position at which the string must have ended.
    pub(super) fn read_string<T>(
        &mut self,
        limit: fn(&Self, usize) -> usize,
        ends: impl Fn(&Self, usize) -> Option<T>,
    ) -> Option<(Text, T)> {
        (self.bytes.get(self.at) == Some(&b'"')).then_some(())?;
        let start = self.at + 1;
        let end = start + memchr2(b'"', b'\\', &self.bytes[start..])?;
        if self.bytes[end] == b'"'
            && let Some(after) = ends(self, end)
        {
            return Some((self.out.text(&self.text[start..end]), after));
        }
        (self.search_bytes_left > 0).then_some(())?;
        // The meaning of a writer that escapes is tried first: its strings can contain text that looks like the end of a series.
        if !self.is_unescaped {
            let escaped_end = self.escaped_end(start);
            if let Some((end, after)) = escaped_end.and_then(|end| Some((end, ends(self, end)?))) {
                return Some((self.unescape(start..end), after));
            }
            self.count_searched(escaped_end.unwrap_or_else(|| self.string_limit(start)) - start);
        }
        let limit = limit(self, start);
        let found = self.read_unusual_string(start, limit, ends);
        if found.is_none() {
            self.count_searched(limit - start);
        }
        found
    }

    /// Reads a string that contains quotes or backslashes.
    fn read_unusual_string<T>(&mut self, start: usize, limit: usize, ends: impl Fn(&Self, usize) -> Option<T>) -> Option<(Text, T)> {
        let closing_quote = |reader: &Self, is_any: bool| {
            let mut quotes = escape::Quotes { bytes: &reader.bytes[start..limit], at: 0, is_any };
            quotes.find_map(|i| ends(reader, start + i).map(|after| (start + i, after)))
        };
        // An escaped string, and an unescaped one that ends in a backslash, differ only by the text that follows.
        let escaped = if self.is_unescaped { None } else { closing_quote(self, false) };
        let is_escaped = escaped.is_some();
        if !self.is_unescaped && !is_escaped {
            self.count_searched(limit - start);
        }
        let (end, after) = match escaped {
            Some(found) => found,
            None => closing_quote(self, true)?,
        };
        self.mark_heads_as_forged(start, end);
        if !is_escaped {
            self.unescaped_strings += 1;
            return Some((self.out.text(&self.text[start..end]), after));
        }
        Some((self.unescape(start..end), after))
    }

    /// Returns the first quote without a backslash before it.
    fn escaped_end(&self, start: usize) -> Option<usize> {
        let bytes = &self.bytes[start..self.string_limit(start)];
        Some(start + escape::Quotes { bytes, at: 0, is_any: false }.next()?)
    }

    fn unescape(&mut self, range: Range<usize>) -> Text {
        let (text, is_valid) = escape::unescape(&self.text[range]);
        self.unescaped_strings += u32::from(!is_valid);
        self.out.add_text(&text)
    }
}
