//! One segment file: it is decompressed as it grows.
//!
//! The state of a decoder cannot be saved. So the position of a segment is the end of its last complete frame and the number of lines after
//! that, which are decompressed again and skipped.

use super::positions::FilePosition;
use super::{FILE_LINES_MAX, READ_BYTES};
use crate::source::hook::segments::{SegmentEnd, SegmentReader, ZSTD_MAGIC};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// The size of the text that is decompressed in a round, or of the bytes that are searched, although they have no new lines.
const SKIPPED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An open segment.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub file: File,
    reader: SegmentReader,
    /// Bytes of the file, of which some are not decompressed yet.
    piece: Vec<u8>,
    consumed: usize,
    /// The offset of the next piece.
    next_piece: u64,
    /// The decoder has text that did not fit.
    has_more: bool,
    /// The number of lines that had ended at the offset of the position.
    lines_at_offset: u64,
    /// The number of lines that had been read when the segment was opened.
    skip: u64,
}

/// The text of a segment that was read.
#[derive(Debug, Default)]
pub(super) struct SegmentText {
    /// Whole lines.
    pub text: Vec<u8>,
    /// The number of lines that exceed the limit.
    pub too_long: u64,
    /// There is more to read.
    pub has_more: bool,
    /// The losses, one for each damaged frame.
    pub damages: Vec<String>,
}

impl OpenSegment {
    /// Opens a segment at its position.
    pub(super) fn open(file: File, position: &FilePosition) -> io::Result<Self> {
        Ok(Self {
            file,
            reader: new_reader()?.skipping(position.lines),
            piece: Vec::new(),
            consumed: 0,
            next_piece: position.offset,
            has_more: false,
            lines_at_offset: 0,
            skip: position.lines,
        })
    }

    /// Reads lines, and moves the position behind them.
    pub(super) fn read(&mut self, position: &mut FilePosition, text_bytes_max: usize) -> io::Result<SegmentText> {
        let mut read = SegmentText::default();
        let (mut lines, mut bytes, too_long) = (0, 0, self.reader.too_long());
        while read.text.len() < text_bytes_max && lines < FILE_LINES_MAX && bytes < SKIPPED_BYTES_MAX {
            if self.consumed == self.piece.len() && !self.has_more && !self.read_piece()? {
                position.read_bytes = position.read_bytes.max(self.next_piece);
                read.too_long += self.reader.too_long() - too_long;
                return Ok(read);
            }
            if position.is_damaged {
                bytes += self.piece.len();
                if self.find_frame(position)? {
                    continue;
                }
                return Ok(read);
            }
            let text = &mut read.text;
            let step = self.reader.step(&self.piece[self.consumed..], &mut |line| {
                lines += 1;
                text.extend_from_slice(line);
                text.push(b'\n');
            });
            match step {
                Ok(step) => {
                    self.consumed += step.consumed;
                    self.has_more = step.has_more && self.consumed == self.piece.len();
                    bytes += step.text.max(1);
                    self.move_position(position);
                }
                Err(damage) => {
                    let lines = position.lines;
                    let message = format!("damaged {lines} lines after byte {}: {}", position.offset, damage.message);
                    read.damages.push(message);
                    (position.is_damaged, position.offset) = (true, position.offset + 1);
                    self.restart(position)?;
                }
            }
        }
        read.too_long += self.reader.too_long() - too_long;
        read.has_more = true;
        Ok(read)
    }

    /// Returns `true` if the bytes that were read end with a whole frame and a whole line.
    pub(super) fn is_complete(&self, position: &FilePosition) -> bool {
        !position.is_damaged && self.reader.end() == SegmentEnd::Complete
    }

    fn move_position(&mut self, position: &mut FilePosition) {
        let at = self.next_piece - (self.piece.len() - self.consumed) as u64;
        if self.reader.end() == SegmentEnd::Complete && !self.has_more {
            (position.offset, self.lines_at_offset) = (at, self.reader.lines());
        }
        position.lines = self.reader.lines().max(self.skip).saturating_sub(self.lines_at_offset);
        position.read_bytes = position.read_bytes.max(at);
    }

    /// Reads the next piece of the file. `false`: there is none.
    fn read_piece(&mut self) -> io::Result<bool> {
        self.piece.resize(READ_BYTES, 0);
        self.consumed = 0;
        let read = loop {
            match self.file.read_at(&mut self.piece, self.next_piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.piece.truncate(*read.as_ref().unwrap_or(&0));
        self.next_piece += self.piece.len() as u64;
        read.map(|read| read > 0)
    }

    /// Searches the piece for the beginning of a frame, and moves the position to it, or else behind the piece. `false`: the file ends.
    fn find_frame(&mut self, position: &mut FilePosition) -> io::Result<bool> {
        let is_end = self.piece.len() < ZSTD_MAGIC.len();
        position.read_bytes = position.read_bytes.max(self.next_piece);
        match memchr::memmem::find(&self.piece, &ZSTD_MAGIC) {
            Some(at) => {
                position.offset += at as u64;
                position.is_damaged = false;
            }
            // The end of the piece may be in the middle of the beginning.
            None if !is_end => position.offset += (self.piece.len() - (ZSTD_MAGIC.len() - 1)) as u64,
            None => {}
        }
        self.restart(position)?;
        Ok(!is_end)
    }

    /// Begins again at the position.
    fn restart(&mut self, position: &mut FilePosition) -> io::Result<()> {
        self.reader = new_reader()?;
        (self.piece, self.consumed, self.next_piece, self.has_more) = (Vec::new(), 0, position.offset, false);
        (self.lines_at_offset, self.skip, position.lines) = (0, 0, 0);
        Ok(())
    }
}

fn new_reader() -> io::Result<SegmentReader> {
    SegmentReader::new().map_err(io::Error::other)
}
