//! Recognizes the lines that make up nearly all of a large response: `NAME NUMBER` or `NAME{LABEL="VALUE",...} NUMBER` and a line feed,
//! without escapes, line feeds in values, timestamps, exemplars or unusual blanks.
//!
//! Every other line is read by the complete grammar, which reads these lines in the same way; it is only slower.

use super::labels::NAME_BYTES_MAX;
use crate::format::number;
use crate::model::{LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX};
use memchr::{memchr, memchr3};

/// A line that begins with the name of a metric.
pub(crate) struct PlainLine<'a> {
    text: &'a str,
    /// The name of the metric.
    pub(crate) name: &'a str,
}

/// The rest of a plain line after its labels.
pub(crate) struct PlainValue {
    pub(crate) value: f64,
    /// The length of the line, with its line feed.
    pub(crate) len: usize,
}

impl<'a> PlainLine<'a> {
    /// Reads the name at the beginning of a text. Returns `None` if the line begins with anything else.
    #[inline]
    pub(crate) fn begin(text: &'a str) -> Option<Self> {
        let name = name_at(text, 0, METRIC)?;
        Some(Self { text, name })
    }

    /// Reads the rest of the line, and passes names and values of its labels. Returns `None` if it is not a plain line; some labels may
    /// have been passed then.
    #[inline]
    pub(crate) fn read(&self, mut label: impl FnMut(&'a str, &'a str)) -> Option<PlainValue> {
        let (text, bytes, mut at) = (self.text, self.text.as_bytes(), self.name.len());
        if bytes.get(at) == Some(&b'{') {
            for read in 0.. {
                let name = name_at(text, at + 1, LABEL).filter(|_| read < LABELS_PER_SERIES_MAX)?;
                let start = at + 1 + name.len() + 2;
                let is_opened = bytes.get(start - 2..start) == Some(b"=\"");
                let end = start + memchr3(b'"', b'\\', b'\n', bytes.get(start..).filter(|_| is_opened)?)?;
                if bytes[end] != b'"' || end - start > LABEL_VALUE_BYTES_MAX {
                    return None;
                }
                label(name, text.get(start..end)?);
                at = end + 1;
                match bytes.get(at)? {
                    b',' => at += usize::from(bytes.get(at + 1) == Some(&b' ')),
                    b'}' => break,
                    _ => return None,
                }
            }
            at += 1;
        }
        if bytes.get(at) != Some(&b' ') {
            return None;
        }
        let number = &bytes[at + 1..];
        let len = memchr(b'\n', number)?;
        Some(PlainValue { value: number::parse(&number[..len])?, len: at + 1 + len + 1 })
    }
}

/// The bytes of names: bit 0 for labels, bit 1 for metrics. A table, because each byte of each name is checked.
const NAME_BYTES: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        let is_label_byte = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        kinds[byte] = if is_label_byte {
            LABEL | METRIC
        } else if byte as u8 == b':' {
            METRIC
        } else {
            0
        };
        byte += 1;
    }
    kinds
};
const LABEL: u8 = 1;
const METRIC: u8 = 2;

/// Returns the name of this kind that begins at a position.
#[inline]
fn name_at(text: &str, start: usize, kind: u8) -> Option<&str> {
    let rest = text.as_bytes().get(start..)?;
    let len = rest.iter().position(|byte| NAME_BYTES[usize::from(*byte)] & kind == 0)?;
    let is_name = (1..=NAME_BYTES_MAX).contains(&len) && !rest[0].is_ascii_digit();
    text.get(start..start + len).filter(|_| is_name)
}
