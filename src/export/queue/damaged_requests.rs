//! The directory of damaged request files, which are kept for inspection. The oldest files are deleted first when a limit is reached.

use super::stored_file::{delete_file, disk_bytes_of};
use crate::net::create_private_directory;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The name of the directory inside the spool directory.
pub(crate) const DIR: &str = "damaged";
/// The largest number of damaged files that are kept.
pub(crate) const FILES_MAX: usize = 32;
/// Damaged files may use `max_bytes` of the spool divided by this.
const SPOOL_SHARE_DIVISOR: usize = 16;

/// The directory of damaged files. Their total size counts toward the limit of the spool.
#[derive(Debug)]
pub(crate) struct DamagedRequests {
    dir: PathBuf,
    bytes_max: usize,
    bytes: usize,
}

impl DamagedRequests {
    /// Opens the directory in the directory of a spool, and measures the files that earlier runs left there.
    pub(crate) fn open(spool_dir: &Path, spool_bytes_max: usize) -> io::Result<Self> {
        let mut damaged = Self { dir: spool_dir.join(DIR), bytes_max: spool_bytes_max / SPOOL_SHARE_DIVISOR, bytes: 0 };
        damaged.shrink(damaged.bytes_max)?;
        Ok(damaged)
    }

    /// The disk usage of the files.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves a file into the directory.
    pub(crate) fn add(&mut self, file: &Path) -> io::Result<()> {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        create_private_directory(&self.dir)?;
        fs::rename(file, self.dir.join(name))?;
        self.shrink(self.bytes_max)
    }

    /// Deletes the oldest files until the others use at most this many bytes.
    pub(crate) fn shrink(&mut self, bytes_max: usize) -> io::Result<()> {
        let mut files = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.bytes = 0;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // A directory is not a request of Postmeter, and cannot be deleted like a file.
            if !metadata.is_dir() {
                files.push((entry.file_name(), disk_bytes_of(&metadata)));
            }
        }
        // The names sort by age.
        files.sort();
        self.bytes = files.iter().map(|(_, bytes)| bytes).sum();
        let mut count = files.len();
        for (name, bytes) in files {
            if self.bytes <= bytes_max && count <= FILES_MAX {
                break;
            }
            delete_file(&self.dir.join(name))?;
            self.bytes -= bytes;
            count -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_kept_and_not_counted() {
        let spool = tempfile::tempdir().unwrap();
        let dir = spool.path().join(DIR);
        fs::create_dir_all(dir.join("0-other.request/inside")).unwrap();
        for number in 0..FILES_MAX + 5 {
            fs::write(dir.join(format!("{number:03}.request")), [0; 100]).unwrap();
        }
        let mut damaged = DamagedRequests::open(spool.path(), usize::MAX).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), FILES_MAX + 1);
        damaged.shrink(0).unwrap();
        assert_eq!((fs::read_dir(&dir).unwrap().count(), damaged.bytes()), (1, 0));
    }
}
