//! Damaged requests of a spool: kept for whoever wants to know why, within bounds, the oldest deleted first.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directory, in that of the spool.
pub(crate) const DIR: &str = "damaged";
/// How many damaged files are kept.
pub(crate) const FILES_MAX: usize = 32;
/// Damaged files take at most this part of the spool's `max_bytes`.
const SHARE_DIVISOR: usize = 16;

/// The directory of damaged files. Their total size is known, so that it counts toward the bound of the spool.
#[derive(Debug)]
pub(crate) struct Quarantine {
    dir: PathBuf,
    bytes_max: usize,
    bytes: usize,
}

impl Quarantine {
    /// In this directory of a spool with this bound; reads what earlier runs left there.
    pub(crate) fn open(spool_dir: &Path, spool_bytes_max: usize) -> io::Result<Self> {
        let mut quarantine = Self { dir: spool_dir.join(DIR), bytes_max: spool_bytes_max / SHARE_DIVISOR, bytes: 0 };
        quarantine.shrink(quarantine.bytes_max)?;
        Ok(quarantine)
    }

    /// Bytes of a disk that its files take.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves a file here.
    pub(crate) fn take(&mut self, file: &Path) -> io::Result<()> {
        let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(crate::export::queue::store::DIR_MODE).create(&self.dir)?;
        fs::rename(file, self.dir.join(name))?;
        self.shrink(self.bytes_max)
    }

    /// Deletes the oldest files until the others take at most this many bytes.
    pub(crate) fn shrink(&mut self, bytes_max: usize) -> io::Result<()> {
        let mut files = Vec::new();
        let listed = match fs::read_dir(&self.dir) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.bytes = 0;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for file in listed {
            let file = file?;
            files.push((file.file_name(), crate::export::queue::store::disk_bytes_of(&file.metadata()?)));
        }
        files.sort();
        self.bytes = files.iter().map(|(_, bytes)| bytes).sum();
        let mut count = files.len();
        for (name, bytes) in files {
            if self.bytes <= bytes_max && count <= FILES_MAX {
                break;
            }
            fs::remove_file(self.dir.join(name))?;
            self.bytes -= bytes;
            count -= 1;
        }
        Ok(())
    }
}
