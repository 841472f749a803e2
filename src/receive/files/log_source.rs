//! An open log file: a plain one, or one that was compressed by gzip after a rotation. Offsets are those of the text.

use super::READ_BYTES;
use super::identity::{Identified, read_at};
use super::log_name::GZIP_EXTENSION;
use crate::net::open_regular_file;
use flate2::read::MultiGzDecoder;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The text before the offset that is decompressed in a round.
const SKIPPED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An open log file.
#[derive(Debug)]
pub(super) struct LogSource {
    file: File,
    /// The text, if the file is compressed.
    gzip: Option<GzipText>,
}

/// The text of a compressed file, which is decompressed as it is read.
#[derive(Debug)]
struct GzipText {
    decoder: MultiGzDecoder<SharedFile>,
    /// Text that may be read again: at most that of a call, and a piece.
    text: Vec<u8>,
    /// The offset of that text.
    start: u64,
    has_ended: bool,
    damage: Option<String>,
}

/// Reads a file from its start, whatever else reads it.
#[derive(Debug)]
struct SharedFile {
    file: File,
    offset: u64,
}

impl LogSource {
    /// Opens a file, which is compressed if its name has the extension of gzip.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = open_regular_file(path)?;
        let is_compressed = path.as_os_str().as_bytes().ends_with(GZIP_EXTENSION);
        let gzip = if is_compressed { Some(GzipText::new(&file)?) } else { None };
        Ok(Self { file, gzip })
    }

    pub(super) const fn is_compressed(&self) -> bool {
        self.gzip.is_some()
    }

    /// Reads until the buffer is full or the text ends. `None`: the offset is not reached yet, and the next call continues.
    pub(super) fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        match &mut self.gzip {
            None => read_at(&self.file, bytes, offset).map(Some),
            Some(gzip) => {
                if offset < gzip.start {
                    *gzip = GzipText::new(&self.file)?;
                }
                gzip.read_at(bytes, offset)
            }
        }
    }

    /// The reason why a part of a compressed file cannot be read, once.
    pub(super) fn take_damage(&mut self) -> Option<String> {
        self.gzip.as_mut()?.damage.take()
    }
}

impl Identified for LogSource {
    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    fn read_head(&self, head: &mut [u8]) -> io::Result<usize> {
        if !self.is_compressed() {
            return self.file.read_head(head);
        }
        let mut gzip = GzipText::new(&self.file)?;
        gzip.read_at(head, 0).map(Option::unwrap_or_default)
    }
}

impl GzipText {
    fn new(file: &File) -> io::Result<Self> {
        let decoder = MultiGzDecoder::new(SharedFile { file: file.try_clone()?, offset: 0 });
        Ok(Self { decoder, text: Vec::new(), start: 0, has_ended: false, damage: None })
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut skipped = 0;
        loop {
            let before = usize::try_from(offset - self.start).unwrap_or(usize::MAX).min(self.text.len());
            self.text.drain(..before);
            (self.start, skipped) = (self.start + before as u64, skipped + before);
            if self.start == offset && self.text.len() >= bytes.len() || self.has_ended {
                break;
            }
            if skipped > SKIPPED_BYTES_MAX {
                return Ok(None);
            }
            self.read_piece(offset)?;
        }
        let length = if self.start == offset { self.text.len().min(bytes.len()) } else { 0 };
        bytes[..length].copy_from_slice(&self.text[..length]);
        Ok(Some(length))
    }

    /// Decompresses the next piece.
    fn read_piece(&mut self, offset: u64) -> io::Result<()> {
        let length = self.text.len();
        self.text.resize(length + READ_BYTES, 0);
        let read = self.decoder.read(&mut self.text[length..]);
        self.text.truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => {
                self.has_ended = true;
                let end = self.start + self.text.len() as u64;
                self.damage = (end < offset).then(|| format!("it has only {end} bytes of text"));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof) => {
                (self.has_ended, self.damage) = (true, Some(error.to_string()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Read for SharedFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = read_at(&self.file, bytes, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn source(bytes: &[u8]) -> LogSource {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mail.log.2.gz");
        std::fs::write(&path, bytes).unwrap();
        LogSource::open(&path).unwrap()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn any_part_of_a_compressed_text_is_read() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        // Several members are one text.
        let mut source = source(&[gzip(&text[..150_000]), gzip(&text[150_000..])].concat());
        for (offset, length) in [(0, 10), (5, 300_000), (4, 1), (250_000, 150_000), (250_000, 150_001), (400_000, 1), (0, 0)] {
            let mut bytes = vec![0; length];
            let read = source.read_at(&mut bytes, offset as u64).unwrap().unwrap();
            assert!(bytes[..read] == text[offset..(offset + length).min(text.len())], "{length} bytes at {offset}");
        }
        let mut head = [0; 1024];
        assert_eq!((source.read_head(&mut head).unwrap(), source.take_damage()), (1024, None));
        assert!(head[..] == text[..1024]);
    }

    #[test]
    fn a_distant_offset_is_reached_in_several_calls() {
        let mut source = source(&gzip(&vec![b'x'; 2 * SKIPPED_BYTES_MAX]));
        let mut bytes = [0; 10];
        let end = 2 * SKIPPED_BYTES_MAX as u64 - 4;
        assert_eq!([(); 3].map(|()| source.read_at(&mut bytes, end).unwrap()), [None, Some(4), Some(4)]);
        assert_eq!((source.read_at(&mut bytes, end + 5).unwrap(), source.take_damage()), (Some(0), None));
    }

    #[test]
    fn damage_is_the_end_of_the_text_and_is_reported_once() {
        let text = b"line\n".repeat(50_000);
        let whole = gzip(&text);
        for damaged in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], b"not gzip", b""] {
            let mut source = source(damaged);
            let mut bytes = vec![0; text.len() + 1];
            let read = source.read_at(&mut bytes, 0).unwrap().unwrap();
            assert!(bytes[..read] == text[..read] && (read == text.len()) == (damaged.len() == whole.len() - 1));
            assert!(source.take_damage().is_some() && source.take_damage().is_none());
        }
        // It is shorter than what was read of the log.
        let mut source = source(&whole);
        assert_eq!(source.read_at(&mut [0; 10], text.len() as u64 + 1).unwrap(), Some(0));
        assert_eq!(source.take_damage().unwrap(), "it has only 250000 bytes of text");
    }
}
