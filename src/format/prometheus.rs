//! The Prometheus text format 0.0.4 and OpenMetrics 1.0, as servers really write them.
//!
//! A line that cannot be read is skipped and counted as a repair. Its family is stored, because all sums of the family lack it.
//!
//! # Text in a label value is never read as a sample
//!
//! A label value may contain line breaks that are not escaped, and the text after them may look like a sample. So a sample ends after its
//! value, not at the next line break (see `labels`). If it is unclear whether a quote is ever closed, the lines up to the next closing
//! quote are skipped as well. If there is none, the response is rejected.
//!
//! # Truncated responses
//!
//! In this format, each line ends with a line feed. If the last line does not, the response is truncated: missing series would be read as
//! 0, and `12345` may have become `12`. Such a response is rejected. From generic endpoints, a last line that is a sample is accepted
//! without a line feed, as Prometheus does. A comment is not, because samples were to follow it.

mod comments;
mod distributions;
mod label_sets;
mod labels;
mod pending;
mod plain_line;
mod reader;
mod sample_value;
mod text_format;
mod unreadable_lines;

use super::{ReadError, quote};
use crate::model::{Families, READING_LIMITS, ReadingLimits, Repair};
use reader::Reader;

pub(crate) use plain_line::PlainLine;
pub use text_format::{TextFormat, check_complete};

/// The meaning of a last line without a line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLine {
    /// The response is truncated.
    MustEnd,
    /// The line is accepted if it is a sample.
    MayLackLineFeed,
}

/// Reads a response in this format. If it is not declared, the response is OpenMetrics if its last line is `# EOF`.
///
/// # Errors
/// If no line is a sample, or if the response is truncated or exceeds a limit.
pub fn read_as(declared: Option<TextFormat>, last_line: LastLine, body: String) -> Result<Families, ReadError> {
    read_within(READING_LIMITS, body, declared, last_line)
}

/// Reads a response whose format is not declared, of a server that ends each line with a line feed.
///
/// # Errors
/// The errors of [`read_as`].
pub fn read(body: String) -> Result<Families, ReadError> {
    read_as(None, LastLine::MustEnd, body)
}

/// Reads a response whose format is not declared, of a server that may not end its last line with a line feed.
#[cfg(test)]
pub(crate) fn read_unterminated(body: String) -> Result<Families, ReadError> {
    read_as(None, LastLine::MayLackLineFeed, body)
}

fn read_within(limits: ReadingLimits, body: String, declared: Option<TextFormat>, last_line: LastLine) -> Result<Families, ReadError> {
    Families::read_within(limits, body, |out| {
        let text = out.body();
        let mut reader = Reader::new(out, text, declared.unwrap_or_else(|| TextFormat::of_body(text)));
        let (mut first_unreadable, mut last_unreadable) = (None, None);
        loop {
            if !reader.read_plain_line() {
                let start = reader.at;
                let Some(line) = reader.next_line() else { break };
                if reader.read_line(line).is_none() {
                    reader.out.discard_labels();
                    reader.note_unreadable_lines(start);
                    if std::mem::take(&mut reader.has_too_many_labels) {
                        reader.out.repair(Repair::TooManyLabels);
                    } else {
                        reader.out.repair(Repair::Unreadable);
                        first_unreadable.get_or_insert(line);
                        last_unreadable = Some(line);
                    }
                }
            }
            if reader.exceeds_limits() {
                return Ok(());
            }
            if reader.search_bytes_left == 0 {
                return Err(ReadError::Malformed("too many of its label values do not end".to_owned()));
            }
        }
        let unclosed_line = reader.unclosed_line;
        reader.pending.finish(reader.format, reader.out);
        if let Some(line) = unclosed_line {
            return Err(ReadError::Malformed(format!("it is truncated inside a label value: `{}`", quote(line))));
        }
        match (reader.out.series(), first_unreadable) {
            (0, Some(line)) => Err(ReadError::Malformed(format!("no line of it is a sample; the first one is `{}`", quote(line)))),
            (0, None) => Err(reader.out.main_repair().map_or(ReadError::Empty, |repair| {
                ReadError::Malformed(format!("no line is a valid sample: it has {}", repair.description()))
            })),
            _ => match truncated_line(text, last_unreadable, last_line) {
                Some(line) => Err(ReadError::Malformed(format!("it is truncated: its last line `{}` has no line feed", quote(line)))),
                None => Ok(()),
            },
        }
    })
}

/// Returns the last line if the text is truncated in it.
fn truncated_line<'a>(text: &'a str, last_unreadable: Option<&str>, last_line: LastLine) -> Option<&'a str> {
    let line = text.rsplit('\n').next().map(str::trim_ascii).filter(|line| !line.is_empty())?;
    let is_complete = match line.strip_prefix('#') {
        Some(comment) => comment.trim_ascii() == "EOF",
        None => last_line == LastLine::MayLackLineFeed && last_unreadable != Some(line),
    };
    (!is_complete).then_some(line)
}

#[cfg(test)]
mod tests;
