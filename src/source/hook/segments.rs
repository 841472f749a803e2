//! Segment files of KumoMTA: JSON in lines, in a zstd stream that grows until the segment is complete. Without I/O: the caller reads the
//! file and passes on its bytes.

use super::ITEM_BYTES_MAX;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// The first bytes of a zstd frame.
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The largest window of a frame, as a power of two: 128 MiB, which zstd accepts by default.
const WINDOW_LOG_MAX: u32 = 27;
/// The size of the decompressed text that is held at a time, besides a line that has not ended.
const CHUNK_BYTES: usize = 64 * 1024;

/// The reason why the rest of a segment cannot be read. It is final: more bytes do not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the segment is damaged after {lines} lines: {message}")]
pub struct DamagedSegment {
    /// The number of complete lines before the damage.
    pub lines: u64,
    /// The message of the decoder.
    pub message: String,
}

/// The end of the bytes that a reader has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnd {
    /// A frame and a line end here. More can follow while the segment grows.
    Complete,
    /// The last frame or line has not ended: its rest is not in the file yet, or the writer crashed.
    Incomplete,
}

/// The result of a step of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStep {
    /// The number of bytes that were read.
    pub consumed: usize,
    /// The number of bytes of text that they contain.
    pub text: usize,
    /// There is more text: the next step must follow before other bytes.
    pub has_more: bool,
}

/// Reads a segment as its bytes arrive.
pub struct SegmentReader {
    decoder: Decoder<'static>,
    line: Vec<u8>,
    /// The line exceeds the limit, and the rest of it is skipped.
    is_skipping: bool,
    is_frame_open: bool,
    chunk: Vec<u8>,
    lines: u64,
    skip: u64,
    too_long: u64,
}

impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentReader").field("lines", &self.lines).field("too_long", &self.too_long).finish_non_exhaustive()
    }
}

impl SegmentReader {
    /// Creates a reader for the start of a segment.
    ///
    /// # Errors
    /// The decoder cannot be created.
    pub fn new() -> Result<Self, DamagedSegment> {
        let damaged = |error: std::io::Error| DamagedSegment { lines: 0, message: error.to_string() };
        let mut decoder = Decoder::new().map_err(damaged)?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(damaged)?;
        Ok(Self {
            decoder,
            line: Vec::new(),
            is_skipping: false,
            is_frame_open: false,
            chunk: vec![0; CHUNK_BYTES],
            lines: 0,
            skip: 0,
            too_long: 0,
        })
    }

    /// Skips the first lines, which were read before.
    #[must_use]
    pub fn skipping(mut self, lines: u64) -> Self {
        self.skip = lines;
        self
    }

    /// Reads bytes that follow those of the last call, and calls `on_line` with each complete line that is not empty.
    ///
    /// # Errors
    /// The bytes are not zstd. The reader must not be used any more.
    pub fn push(&mut self, bytes: &[u8], on_line: &mut impl FnMut(&[u8])) -> Result<(), DamagedSegment> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let step = self.step(rest, on_line)?;
            rest = &rest[step.consumed..];
            if rest.is_empty() && step.has_more {
                while self.step(rest, on_line)?.has_more {}
            }
        }
        Ok(())
    }

    /// Reads as many of the bytes as result in at most `CHUNK_BYTES` of text.
    ///
    /// # Errors
    /// The bytes are not zstd. The reader must not be used any more.
    pub fn step(&mut self, bytes: &[u8], on_line: &mut impl FnMut(&[u8])) -> Result<SegmentStep, DamagedSegment> {
        let mut input = InBuffer::around(bytes);
        let mut chunk = std::mem::take(&mut self.chunk);
        let mut output = OutBuffer::around(&mut chunk);
        let hint = self.decoder.run(&mut input, &mut output);
        let written = output.pos();
        if let Ok(hint) = hint {
            self.is_frame_open = hint != 0;
            self.push_text(&chunk[..written], on_line);
        }
        self.chunk = chunk;
        let hint = hint.map_err(|error| DamagedSegment { lines: self.lines, message: error.to_string() })?;
        let has_more = input.pos() < bytes.len() || (written == CHUNK_BYTES && hint != 0);
        Ok(SegmentStep { consumed: input.pos(), text: written, has_more })
    }

    fn push_text(&mut self, text: &[u8], on_line: &mut impl FnMut(&[u8])) {
        let mut rest = text;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.extend_line(&rest[..end]);
            rest = &rest[end + 1..];
            self.end_line(on_line);
        }
        self.extend_line(rest);
    }

    fn extend_line(&mut self, text: &[u8]) {
        if self.is_skipping {
            return;
        }
        if self.line.len() + text.len() > ITEM_BYTES_MAX {
            self.is_skipping = true;
            self.line.clear();
            return;
        }
        self.line.extend_from_slice(text);
    }

    fn end_line(&mut self, on_line: &mut impl FnMut(&[u8])) {
        let is_new = self.lines >= self.skip;
        if std::mem::take(&mut self.is_skipping) {
            self.too_long += u64::from(is_new);
        } else if is_new && !self.line.trim_ascii().is_empty() {
            on_line(&self.line);
        }
        self.lines += 1;
        self.line.clear();
    }

    /// The number of lines that have ended, so that a reader that starts again can skip them.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The number of lines that exceeded the limit and were skipped.
    #[must_use]
    pub const fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Returns whether the bytes so far end with a frame and a line.
    #[must_use]
    pub const fn end(&self) -> SegmentEnd {
        if self.is_frame_open || !self.line.is_empty() || self.is_skipping { SegmentEnd::Incomplete } else { SegmentEnd::Complete }
    }
}

/// Compresses a text as a segment, for simulators and tests.
///
/// # Errors
/// The encoder cannot be created.
pub fn compress(text: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::stream::encode_all(text, 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn compress(text: &[u8]) -> Vec<u8> {
        super::compress(text).unwrap()
    }

    /// Reads a segment in pieces of this size.
    fn read(segment: &[u8], size: usize) -> (Vec<String>, Result<SegmentEnd, DamagedSegment>, SegmentReader) {
        let mut reader = SegmentReader::new().unwrap();
        let mut lines = Vec::new();
        let mut result = Ok(());
        for piece in segment.chunks(size) {
            result = reader.push(piece, &mut |line| lines.push(String::from_utf8_lossy(line).into_owned()));
            if result.is_err() {
                break;
            }
        }
        let end = result.map(|()| reader.end());
        (lines, end, reader)
    }

    fn text(lines: usize) -> String {
        (0..lines)
            .map(|n| format!("{{\"type\":\"Delivery\",\"id\":\"{n}\",\"filler\":\"{}\"}}\n", (n * 7919).to_string().repeat(n % 50)))
            .collect()
    }

    #[test]
    fn a_segment_is_read_in_pieces_of_any_size() {
        let text = text(2000);
        let expected: Vec<&str> = text.lines().collect();
        let one = compress(text.as_bytes());
        let half = text.match_indices('\n').nth(1000).unwrap().0 + 1;
        let two = [compress(&text.as_bytes()[..half]), compress(&text.as_bytes()[half..])].concat();
        for segment in [one, two] {
            for size in [1, 7, 4096, usize::MAX] {
                let (lines, end, reader) = read(&segment, size);
                assert_eq!(end, Ok(SegmentEnd::Complete), "{size}");
                assert_eq!((lines.len(), reader.lines()), (expected.len(), 2000));
                assert_eq!(lines, expected);
            }
        }
    }

    #[test]
    fn an_end_in_the_middle_is_not_yet_the_end() {
        let text = text(2000);
        let segment = compress(text.as_bytes());
        let (whole, ..) = read(&segment, usize::MAX);
        for cut in (0..segment.len()).step_by(97).skip(1) {
            let mut reader = SegmentReader::new().unwrap();
            let mut lines = Vec::new();
            let mut collect = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
            reader.push(&segment[..cut], &mut collect).unwrap();
            assert_eq!(reader.end(), SegmentEnd::Incomplete, "{cut}");
            // The file has grown.
            reader.push(&segment[cut..], &mut collect).unwrap();
            assert_eq!((reader.end(), lines == whole), (SegmentEnd::Complete, true), "{cut}");
        }
        let (lines, end, _) = read(&compress(b"{}\n{\"cut"), usize::MAX);
        assert_eq!((lines.len(), end), (1, Ok(SegmentEnd::Incomplete)));
        assert_eq!(SegmentReader::new().unwrap().end(), SegmentEnd::Complete);
    }

    #[test]
    fn damage_is_final_and_keeps_the_lines_before_it() {
        let text = text(20_000);
        let good = compress(text.as_bytes());
        let mut damaged = good.clone();
        let middle = damaged.len() / 2;
        damaged[middle..].fill(0xff);
        let (lines, end, reader) = read(&damaged, 4096);
        let error = end.unwrap_err();
        assert_eq!((error.lines, lines.len() as u64), (reader.lines(), reader.lines()));
        assert!(error.to_string().contains("damaged after"), "{error}");
        assert!((1..20_000).contains(&lines.len()), "{}", lines.len());
        assert!(text.starts_with(&lines.join("\n")));
        for segment in [&b"{\"type\":\"Delivery\"}\n"[..], b"\x1f\x8b\x08", &[good, b"trailing text".to_vec()].concat()] {
            assert!(read(segment, usize::MAX).1.is_err());
        }
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let long = "x".repeat(3 * ITEM_BYTES_MAX);
        let (lines, end, reader) = read(&compress(format!("{{\"a\":1}}\n{long}\n\n{{\"b\":2}}\n").as_bytes()), usize::MAX);
        assert_eq!((lines, end), (vec!["{\"a\":1}".to_owned(), "{\"b\":2}".to_owned()], Ok(SegmentEnd::Complete)));
        assert_eq!((reader.lines(), reader.too_long()), (4, 1));
        let (_, end, reader) = read(&compress(long.as_bytes()), usize::MAX);
        assert_eq!((end, reader.line.capacity() <= 2 * ITEM_BYTES_MAX), (Ok(SegmentEnd::Incomplete), true));
    }
}
