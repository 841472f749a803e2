//! Files in `state_dir`: one cursor for each target, and files that one process at a time uses.
//!
//! After a crash there is either the old file or the new one ([`replace_private_file`]). Only one process at a time holds the lock of a
//! target.

use super::cursor::{Cursor, CursorError};
use crate::model::unix_seconds;
use crate::net::quarantine::{BROKEN, OTHER_LOG, quarantine};
use crate::net::{LockFile, create_private_directory, remove_unfinished_replacement, replace_private_file};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::warn;

/// Bytes of a cursor file that are read. Files that Postmeter writes are smaller.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The reason why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory or a file in it cannot be used.
    #[error("state_dir: {path}: {error}; it must be a directory that Postmeter may write to")]
    File {
        /// The path.
        path: PathBuf,
        /// The I/O error.
        error: io::Error,
    },
    /// Another process holds the lock.
    #[error("state_dir: {0} is in use; another Postmeter follows the same target with the same state_dir")]
    InUse(PathBuf),
    /// The file has the format of another version.
    #[error("state_dir: {path} cannot be used: {reason}; use the version of Postmeter that wrote it, or remove the file to start again")]
    Version {
        /// The path.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// The cursor file of one target, locked for this process.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    _lock: LockFile,
}

/// A file in `state_dir` that one process at a time uses.
#[derive(Debug)]
pub struct LockedFile {
    path: PathBuf,
    _lock: LockFile,
}

impl LockedFile {
    /// Locks the file, which need not exist. Its name must not have the extensions `lock` and `new`.
    ///
    /// # Errors
    /// The directory cannot be used, or another process holds the lock.
    pub fn lock(directory: &Path, name: &str) -> Result<Self, StateError> {
        create_directory(directory)?;
        let path = directory.join(name);
        Ok(Self { _lock: lock(&path)?, path })
    }

    /// Reads the file, unless it does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, StateError> {
        let mut bytes = Vec::new();
        match File::open(&self.path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&self.path)(error)),
        }
    }

    /// Replaces the content of the file. After a crash there is either the old content or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StateError> {
        write(&self.path, bytes)
    }

    /// Renames a damaged file, and returns its new path.
    ///
    /// # Errors
    /// The file cannot be renamed.
    pub fn quarantine(&self) -> Result<PathBuf, StateError> {
        quarantine(&self.path, BROKEN).map_err(failed(&self.path))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns `true` if there is a cursor of a target.
pub(super) fn exists(directory: &Path, target: &str) -> bool {
    path(directory, target).exists()
}

fn path(directory: &Path, target: &str) -> PathBuf {
    directory.join(format!("messages-{target}.cursor"))
}

impl StateFile {
    /// Locks the file and reads the cursor. A damaged file is quarantined, and the log is read again from the time at which the file was
    /// written.
    ///
    /// # The log of the cursor
    ///
    /// A target may have been pointed at another server under its old name. The position in the log of the other server is meaningless
    /// then, so the file is quarantined.
    pub(super) fn open(directory: &Path, target: &str, log: &str, overlap: Duration) -> Result<(Self, Option<Cursor>), StateError> {
        create_directory(directory)?;
        let path = path(directory, target);
        let state_file = Self { _lock: lock(&path)?, path };
        let path = &state_file.path;
        let mut bytes = Vec::new();
        let written = match File::open(path) {
            Ok(file) => {
                let written = file.metadata().and_then(|data| data.modified()).map_err(failed(path))?;
                file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed(path))?;
                unix_seconds(written)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((state_file, None)),
            Err(error) => return Err(failed(path)(error)),
        };
        match Cursor::decode(&bytes) {
            Ok(cursor) if cursor.log() == log => Ok((state_file, Some(cursor))),
            Ok(cursor) => {
                let renamed = quarantine(path, OTHER_LOG).map_err(failed(path))?;
                let (file, renamed_to) = (path.display(), renamed.display());
                warn!(target, %file, %renamed_to, of = cursor.log(), now = log, "the read position belongs to another server: the log is read from the start");
                Ok((state_file, None))
            }
            Err(error @ CursorError::Version(_)) => Err(StateError::Version { path: path.clone(), reason: error.to_string() }),
            Err(CursorError::Damaged) => {
                let renamed = quarantine(path, BROKEN).map_err(failed(path))?;
                let (file, renamed_to) = (path.display(), renamed.display());
                warn!(target, %file, %renamed_to, "the read position is damaged: records since its last change are sent again");
                Ok((state_file, Some(Cursor::starting(log, written, overlap))))
            }
        }
    }

    /// Replaces the content of the file.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), StateError> {
        write(&self.path, bytes)
    }
}

/// Creates `state_dir`.
pub(super) fn create_directory(directory: &Path) -> Result<(), StateError> {
    create_private_directory(directory).map_err(failed(directory))
}

/// Locks a file, and removes what a process that was killed may have left beside it.
fn lock(path: &Path) -> Result<LockFile, StateError> {
    let lock_path = path.with_extension("lock");
    let lock = LockFile::create(&lock_path).map_err(failed(&lock_path))?.ok_or(StateError::InUse(lock_path))?;
    remove_unfinished_replacement(path).map_err(failed(path))?;
    Ok(lock)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    replace_private_file(path, bytes).map_err(failed(path))
}

/// The error of a file.
pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |error| StateError::File { path, error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_secs(10);
    const LOG: &str = "cpanel at a.example.com";

    #[test]
    fn a_written_cursor_is_read_again_and_is_locked() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("not/created");
        let (state_file, none) = StateFile::open(&inside, "a", LOG, OVERLAP).unwrap();
        assert_eq!(none, None);
        // Another process that has the lock may be replacing the file.
        let new = inside.join("messages-a.new");
        std::fs::write(&new, "half").unwrap();
        assert!(matches!(StateFile::open(&inside, "a", LOG, OVERLAP), Err(StateError::InUse(_))));
        let cursor = Cursor::starting(LOG, 100, Duration::ZERO);
        assert!(new.exists());
        state_file.write(&cursor.encode()).unwrap();
        drop(state_file);
        std::fs::write(&new, "half").unwrap();
        assert_eq!(StateFile::open(&inside, "a", LOG, OVERLAP).unwrap().1, Some(cursor));
        assert!(!new.exists(), "a process was killed while it wrote the file");
        assert_eq!(StateFile::open(&inside, "b", LOG, OVERLAP).unwrap().1, None);
    }

    #[test]
    fn a_damaged_file_is_quarantined_and_a_newer_format_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("messages-a.cursor");
        std::fs::write(&path, "postmeter-cursor 1\nnonsense").unwrap();
        let (state_file, cursor) = StateFile::open(directory.path(), "a", LOG, OVERLAP).unwrap();
        let now = unix_seconds(std::time::SystemTime::now());
        let start = cursor.unwrap().next_start(OVERLAP);
        assert!((now - 60..=now - 9).contains(&start), "{start} at {now}");
        assert!(!path.exists() && directory.path().join("messages-a.cursor.broken").exists());
        drop(state_file);
        std::fs::write(&path, "postmeter-cursor 7\n").unwrap();
        let error = StateFile::open(directory.path(), "a", LOG, OVERLAP).unwrap_err().to_string();
        assert!(error.contains("has format 7"), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn the_cursor_of_another_server_is_quarantined() {
        let directory = tempfile::tempdir().unwrap();
        let (state_file, _) = StateFile::open(directory.path(), "a", LOG, OVERLAP).unwrap();
        let cursor = Cursor::starting(LOG, 100, Duration::ZERO);
        state_file.write(&cursor.encode()).unwrap();
        drop(state_file);
        assert_eq!(StateFile::open(directory.path(), "a", LOG, OVERLAP).unwrap().1, Some(cursor));
        assert_eq!(StateFile::open(directory.path(), "a", "cpanel at b.example.com", OVERLAP).unwrap().1, None);
        assert!(directory.path().join("messages-a.cursor.other").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = StateFile::open(file.path(), "a", LOG, OVERLAP).unwrap_err().to_string();
        assert!(error.starts_with("state_dir: ") && error.contains("must be a directory"), "{error}");
    }
}
