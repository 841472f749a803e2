//! A file in `state_dir` that one process at a time uses.
//!
//! After a crash there is either the old content or the new one ([`replace_private_file`]).

use crate::net::quarantine::quarantine;
use crate::net::{LockFile, create_private_directory, read_if_exists, remove_unfinished_replacement, replace_private_file};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a file that are read. Files that Postmeter writes are smaller.
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

/// A file in `state_dir`, locked for this process.
#[derive(Debug)]
pub struct LockedFile {
    path: PathBuf,
    _lock: LockFile,
}

impl LockedFile {
    /// Locks the file, which need not exist, and removes what a process that was killed may have left beside it. Its name must not have the
    /// extensions `lock` and `new`.
    ///
    /// # Errors
    /// The directory cannot be used, or another process holds the lock.
    pub fn lock(directory: &Path, name: &str) -> Result<Self, StateError> {
        create_directory(directory)?;
        let path = directory.join(name);
        let lock_path = path.with_extension("lock");
        let lock = LockFile::create(&lock_path).map_err(failed(&lock_path))?.ok_or(StateError::InUse(lock_path))?;
        remove_unfinished_replacement(&path).map_err(failed(&path))?;
        Ok(Self { path, _lock: lock })
    }

    /// Reads the file, unless it does not exist.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, StateError> {
        read_if_exists(File::open(&self.path), FILE_BYTES_MAX).map_err(failed(&self.path))
    }

    /// Replaces the content of the file. After a crash there is either the old content or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StateError> {
        replace_private_file(&self.path, bytes).map_err(failed(&self.path))
    }

    /// Renames a file that cannot be used, and returns its new path.
    ///
    /// # Errors
    /// The file cannot be renamed.
    pub fn quarantine(&self, suffix: &str) -> Result<PathBuf, StateError> {
        quarantine(&self.path, suffix).map_err(failed(&self.path))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates `state_dir`.
pub(super) fn create_directory(directory: &Path) -> Result<(), StateError> {
    create_private_directory(directory).map_err(failed(directory))
}

/// The error of a file.
pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |error| StateError::File { path, error }
}
