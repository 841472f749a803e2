//! Text of a reading, as a position.

use std::ops::Range;

/// The position of a text: in the body of the response or, beyond its end, in the text that was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text {
    start: u32,
    len: u32,
}

impl Text {
    /// The text at this position. Bodies are limited to lengths that fit into 32 bits.
    pub(super) const fn new(start: usize, len: usize) -> Self {
        Self { start: start as u32, len: len as u32 }
    }

    pub(super) const fn start(self) -> usize {
        self.start as usize
    }

    /// The length in bytes.
    #[must_use]
    pub(in crate::model) const fn len(self) -> usize {
        self.len as usize
    }

    /// The part of the text in this range of bytes, as far as it exists.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Self {
        let (start, end) = (range.start.min(self.len()), range.end.min(self.len()));
        Self { start: self.start + start as u32, len: end.saturating_sub(start) as u32 }
    }
}
