//! The identity of a file, which does not depend on its name.

use ring::digest::{Context, SHA256};
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};

/// The length of the beginning of a file that identifies it.
pub(super) const HEAD_BYTES_MAX: usize = 1024;
/// The length of a checksum.
pub(super) const CHECKSUM_BYTES: usize = 32;

/// A file whose beginning can be read, or a compressed one with the beginning of its text.
pub(super) trait Identified {
    fn metadata(&self) -> io::Result<Metadata>;

    /// Reads the beginning until the buffer is full or the text ends.
    fn read_head(&self, head: &mut [u8]) -> io::Result<usize>;
}

impl Identified for File {
    fn metadata(&self) -> io::Result<Metadata> {
        self.metadata()
    }

    fn read_head(&self, head: &mut [u8]) -> io::Result<usize> {
        read_at(self, head, 0)
    }
}

/// The identity of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileIdentity {
    pub device: u64,
    pub inode: u64,
    /// The length of the beginning that the checksum covers.
    pub head_bytes: usize,
    pub checksum: [u8; CHECKSUM_BYTES],
}

impl FileIdentity {
    /// The identity of an open file.
    pub(super) fn of(file: &impl Identified) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (head_bytes, checksum) = checksum(file, HEAD_BYTES_MAX)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), head_bytes, checksum })
    }

    /// Returns `true` if the file has the inode.
    pub(super) fn is_inode_of(&self, file: &impl Identified) -> io::Result<bool> {
        let metadata = file.metadata()?;
        Ok((metadata.dev(), metadata.ino()) == (self.device, self.inode))
    }

    /// Returns `true` if the file begins with the same bytes.
    pub(super) fn is_beginning_of(&self, file: &impl Identified) -> io::Result<bool> {
        Ok(checksum(file, self.head_bytes)? == (self.head_bytes, self.checksum))
    }

    /// Returns `true` if it is the same file. The file may have grown.
    pub(super) fn is_of(&self, file: &impl Identified) -> io::Result<bool> {
        Ok(self.is_inode_of(file)? && self.is_beginning_of(file)?)
    }

    /// Covers more of the beginning of the same file, if it has grown.
    pub(super) fn extend(&mut self, file: &impl Identified) -> io::Result<()> {
        if self.head_bytes < HEAD_BYTES_MAX {
            *self = Self::of(file)?;
        }
        Ok(())
    }
}

/// The checksum of the first bytes of a file, and their number.
fn checksum(file: &impl Identified, bytes_max: usize) -> io::Result<(usize, [u8; CHECKSUM_BYTES])> {
    let mut head = [0; HEAD_BYTES_MAX];
    let length = file.read_head(&mut head[..bytes_max.min(HEAD_BYTES_MAX)])?;
    let mut context = Context::new(&SHA256);
    context.update(&head[..length]);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.iter_mut().zip(context.finish().as_ref()).for_each(|(to, byte)| *to = *byte);
    Ok((length, checksum))
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_the_same_and_another_content_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let open = |text: &str| {
            std::fs::write(&path, text).unwrap();
            File::open(&path).unwrap()
        };
        let mut identity = FileIdentity::of(&open("one\n")).unwrap();
        assert!(identity.is_of(&open("one\ntwo\n")).unwrap());
        identity.extend(&open("one\ntwo\n")).unwrap();
        assert_eq!(identity.head_bytes, 8);
        for other in ["one\n", "one\ntwi\nthree\n", ""] {
            assert!(!identity.is_of(&open(other)).unwrap(), "{other}");
        }
        let renamed = dir.path().join("log.1");
        std::fs::rename(&path, &renamed).unwrap();
        std::fs::write(&renamed, "one\ntwo\n").unwrap();
        assert!(identity.is_of(&File::open(&renamed).unwrap()).unwrap());
        let copy = open("one\ntwo\n");
        assert!(!identity.is_of(&copy).unwrap() && identity.is_beginning_of(&copy).unwrap());
    }
}
