//! Finds the end of a sample's labels, also if a label value contains quotes or line breaks that are not escaped.

use super::labels::{self, Label, LabelError, LabelSet, Quotes, first_line, is_name};
use super::reader::Reader;
use super::sample_value::{SampleValue, parse_sample_value};
use memchr::memchr;

impl<'a> Reader<'_, 'a> {
    /// Reads the labels after an opening brace, and the value after the closing one.
    pub(super) fn read_label_set(
        &mut self,
        inside: &'a str,
        is_named: bool,
        labels: &mut Vec<Label<'a>>,
    ) -> Option<(LabelSet<'a>, SampleValue<'a>)> {
        let error = match labels::parse_strict(inside, is_named, labels) {
            Ok(set) => match with_value(set, is_named) {
                Some(read) => return Some(read),
                None => LabelError::Invalid,
            },
            Err(error) => error,
        };
        self.read_unusual_label_set(inside, is_named, error, labels)
    }

    /// Reads a label set that is not valid within its line.
    #[cold]
    fn read_unusual_label_set(
        &mut self,
        inside: &'a str,
        is_named: bool,
        error: LabelError,
        labels: &mut Vec<Label<'a>>,
    ) -> Option<(LabelSet<'a>, SampleValue<'a>)> {
        let start = self.position(inside);
        if let LabelError::Unclosed { .. } = error {
            let set = labels::parse_strict(&self.text[start..], is_named, labels);
            let set = set.map(|set| LabelSet { rest: first_line(set.rest), ..set });
            match set.ok().and_then(|set| with_value(set, is_named)) {
                Some((set, value)) => {
                    self.continue_after(set.rest);
                    return Some((set, value));
                }
                // The search ended at the next label set at the latest.
                None => self.count_searched(self.at - start),
            }
        }
        if !is_named {
            self.has_too_many_labels = error == LabelError::TooMany;
            return None;
        }
        let quotes = match labels::parse_lenient(inside, labels) {
            Ok(set) => return with_value(set, is_named),
            Err(LabelError::Invalid) => return None,
            Err(LabelError::TooMany) => {
                self.has_too_many_labels = true;
                return None;
            }
            Err(LabelError::Unclosed { quotes }) => quotes,
        };
        // If the value contains an odd number of quotes, it either ends on this line, which is then not a sample, or continues.
        let may_be_closed = quotes % 2 == 1;
        let Some(closing) = self.next_closing() else {
            if !may_be_closed {
                self.unclosed_line.get_or_insert(inside);
            }
            return None;
        };
        let line = self.line_at(closing);
        let end = self.position(line) + line.len();
        self.count_searched(line.len());
        if may_be_closed && is_sample(line.trim_ascii()) {
            return None;
        }
        self.at = end + 1;
        self.count_searched(end - start);
        labels::parse_lenient(&self.text[start..end], labels).ok().and_then(|set| with_value(set, is_named))
    }

    /// Returns the position of a part of the text.
    fn position(&self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }

    /// Continues with the line after this part of a line.
    fn continue_after(&mut self, part: &str) {
        self.at = self.position(part) + part.len() + 1;
    }

    /// Returns the line that contains a position.
    fn line_at(&self, position: usize) -> &'a str {
        let start = memchr::memrchr(b'\n', &self.text.as_bytes()[..position]).map_or(0, |before| before + 1);
        first_line(&self.text[start..])
    }

    /// Counts bytes that were searched without success.
    fn count_searched(&mut self, bytes: usize) {
        self.search_bytes_left = self.search_bytes_left.saturating_sub(bytes);
    }

    /// Returns the first quote in the next line or later that can be a closing one.
    fn next_closing(&mut self) -> Option<usize> {
        match self.next_closing {
            Some(None) => return None,
            Some(Some(found)) if found >= self.at => return Some(found),
            _ => {}
        }
        let mut at = self.at.min(self.text.len());
        let found = loop {
            let Some(quote) = memchr(b'"', &self.text.as_bytes()[at..]) else { break None };
            // The whole line is needed, because another label may follow the quote.
            let line = self.line_at(at + quote);
            let start = self.position(line);
            if let Some(closing) = Quotes::of(line).first_closing() {
                break Some(start + closing);
            }
            at = (start + line.len() + 1).min(self.text.len());
        };
        self.next_closing = Some(found);
        found
    }
}

/// Returns the label set with the value that follows it, if there is one and the metric has exactly one name.
fn with_value<'a>(set: LabelSet<'a>, is_named: bool) -> Option<(LabelSet<'a>, SampleValue<'a>)> {
    let value = parse_sample_value(set.rest)?;
    (is_named || set.name.is_some()).then_some((set, value))
}

/// Returns `true` if Prometheus would read the line as a sample.
fn is_sample(line: &str) -> bool {
    let Some(end) = line.bytes().position(|b| b == b'{' || b == b' ' || b == b'\t') else { return false };
    let (name, rest) = line.split_at(end);
    let is_named = end > 0;
    let is_label_set =
        |inside| labels::parse_strict(inside, is_named, &mut Vec::new()).ok().and_then(|set| with_value(set, is_named)).is_some();
    let rest = rest.trim_ascii_start();
    let is_complete = || match rest.strip_prefix('{') {
        Some(inside) => is_label_set(inside),
        None => is_named && parse_sample_value(rest).is_some(),
    };
    (!is_named || is_name(name, "_:")) && is_complete()
}
