//! Reading of input whose size is limited.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

/// Reads up to one byte more than the limit, which shows that the limit is exceeded.
///
/// # Errors
/// The error of the reader.
pub(crate) fn read_limited(from: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads an opened file like [`read_limited`]. Returns `None` if it could not be opened because it does not exist.
///
/// # Errors
/// The error of the file.
pub(crate) fn read_if_exists(file: io::Result<File>, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    match file {
        Ok(file) => read_limited(file, bytes_max).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_more_than_the_limit_is_read() {
        let read = |text: &str| read_limited(text.as_bytes(), 3).map_err(|_| ());
        assert_eq!(read("ab"), Ok(b"ab".to_vec()));
        assert_eq!(read("abc"), Ok(b"abc".to_vec()));
        assert_eq!(read("abcde"), Ok(b"abcd".to_vec()));
    }

    #[test]
    fn only_a_missing_file_is_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let read = || read_if_exists(File::open(&path), 3);
        assert_eq!(read().unwrap(), None);
        std::fs::write(&path, "abcde").unwrap();
        assert_eq!(read().unwrap(), Some(b"abcd".to_vec()));
        assert!(read_if_exists(File::open(path.join("none")), 3).is_err(), "a file in a file");
        assert!(read_if_exists(File::open(folder.path()), 3).is_err(), "a directory");
    }
}
