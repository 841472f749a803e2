//! Files that one process at a time locks.

use super::PRIVATE_FILE_MODE;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A lock, which ends when it is dropped.
///
/// It is released explicitly: a process that is being started has copies of all open files until its program is loaded, and with such
/// a copy, a lock outlives the file that is closed here ([flock(2)](https://man7.org/linux/man-pages/man2/flock.2.html)).
#[derive(Debug)]
pub(crate) struct LockFile(File);

impl LockFile {
    /// Opens the file, creates it if it does not exist, and locks it. Returns `None` if another process holds the lock.
    ///
    /// # Errors
    /// The file cannot be opened or locked.
    pub(crate) fn create(path: &Path) -> io::Result<Option<Self>> {
        Self::lock(OpenOptions::new().create(true).truncate(false).mode(PRIVATE_FILE_MODE), path)
    }

    /// As [`create`](Self::create), for a file that must exist.
    ///
    /// # Errors
    /// The file cannot be opened or locked.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        Self::lock(&mut OpenOptions::new(), path)
    }

    fn lock(options: &mut OpenOptions, path: &Path) -> io::Result<Option<Self>> {
        let file = options.write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The metadata of the locked file, which another file may have replaced.
    ///
    /// # Errors
    /// The file system reports an error.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // If it fails, the lock ends when the file is closed.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_although_a_new_process_has_a_copy_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(LockFile::open(&path).is_err());
        let lock = LockFile::create(&path).unwrap().unwrap();
        assert!(LockFile::create(&path).unwrap().is_none());
        let _copy = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(LockFile::open(&path).unwrap().is_some());
    }
}
