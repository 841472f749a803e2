//! The request files of a spool, one file for each request, as in the queue directory of a mail server.
//!
//! # One file per request
//!
//! Damage to a file affects one request only. An accepted request is a deleted file, so no compaction is necessary, and `max_bytes` is
//! exactly the space that the files use. The file system is the index.
//!
//! # Files are written atomically
//!
//! A request is written under a temporary name, synced and renamed; then the directory is synced. An incomplete file under its final name
//! was therefore damaged later. A temporary file belongs to a request that did not count as queued when the process ended; it is deleted
//! at the next start.
//!
//! # The directory is created at the start only
//!
//! If the directory disappears while Postmeter runs, for example because a disk is unmounted, it is not created again: the requests in the
//! original directory would count as lost. The lock file, which is created with the directory, shows that the directory is the original.

use super::damaged_requests::DamagedRequests;
use super::queued_request::{QueuedRequest, RequestKey};
use super::request_file::{HEADER_LEN, RequestFileName, SUFFIX, SpoolEntry, disk_bytes};
use super::stored_file::{StoredFile, delete_file, is_damage, read, write_synced};
use crate::export::request_body::RequestBody;
use crate::net::{LockFile, create_private_directory, sync_directory};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The signal of the requests in a spool. Each signal has a directory of its own inside the configured directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpoolSignal {
    Metrics,
    Logs,
}

impl SpoolSignal {
    /// The name of the directory.
    pub(crate) const fn dir(self) -> &'static str {
        match self {
            Self::Metrics => "otlp-metrics",
            Self::Logs => "otlp-logs",
        }
    }
}

/// The file that the process locks which uses the directory.
const LOCK: &str = "lock";
/// The temporary name of the request that is being written.
const WRITING: &str = "writing";
/// The largest valid file, which limits the bytes that are read into memory.
const FILE_LEN_MAX: u64 = 256 * 1024 * 1024;

/// The reason why an operation on the spool failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// Another process uses the directory.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The disk reports an error, which may be temporary.
    #[error("{0}: {1}")]
    Unusable(PathBuf, String),
    /// The request does not fit within `max_bytes`.
    #[error("{0} is full")]
    Full(PathBuf),
    /// The file of the request is damaged or missing.
    #[error("{0}: {1}")]
    Damaged(PathBuf, String),
}

/// The requests that are found when a spool is opened.
#[derive(Debug, Default)]
pub(crate) struct FoundRequests {
    /// The requests of an earlier run, oldest first.
    pub requests: Vec<QueuedRequest>,
    /// The number of damaged files, which were moved away.
    pub damaged: u64,
}

/// The directory of a spool. All operations block on the disk.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    bytes_max: usize,
    opened: Option<OpenedDir>,
}

/// The directory while it is open.
#[derive(Debug)]
struct OpenedDir {
    lock: LockFile,
    files: BTreeMap<RequestKey, StoredFile>,
    /// The disk usage of `files`.
    bytes: usize,
    damaged: DamagedRequests,
}

impl Store {
    /// A store in this directory, which is not opened yet.
    pub(crate) fn new(parent: &Path, signal: SpoolSignal, bytes_max: usize) -> Self {
        Self { dir: parent.join(signal.dir()), bytes_max, opened: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// Opens the directory if it is not open, and returns the requests in it.
    pub(crate) fn open(&mut self) -> Result<FoundRequests, SpoolError> {
        if self.opened.is_some() {
            return Ok(FoundRequests::default());
        }
        let (opened, found) = self.open_dir()?;
        self.opened = Some(opened);
        Ok(found)
    }

    fn open_dir(&self) -> Result<(OpenedDir, FoundRequests), SpoolError> {
        let failed = |error: io::Error| self.unusable(&error);
        let is_new = !self.dir.exists();
        create_private_directory(&self.dir).map_err(failed)?;
        if is_new {
            // Synced files survive a power failure only if their directory does.
            self.dir.ancestors().skip(1).take(2).try_for_each(sync_directory).map_err(failed)?;
        }
        let lock = self.locked(LockFile::create)?;
        let damaged = DamagedRequests::open(&self.dir, self.bytes_max).map_err(failed)?;
        let mut opened = OpenedDir { lock, files: BTreeMap::new(), bytes: 0, damaged };
        let mut found = FoundRequests::default();
        for file in fs::read_dir(&self.dir).map_err(failed)? {
            let file = file.map_err(failed)?;
            let (name, path) = (file.file_name(), file.path());
            let Some(name) = name.to_str().filter(|name| name.ends_with(SUFFIX)) else { continue };
            let metadata = file.metadata().map_err(failed)?;
            match RequestFileName::parse(name) {
                Some(name) if metadata.is_file() && (HEADER_LEN as u64..=FILE_LEN_MAX).contains(&metadata.len()) => {
                    let replaced = opened.add(StoredFile { name, len: metadata.len() });
                    replaced.map_or(Ok(()), |replaced| delete_file(&self.dir.join(replaced.name.to_string()))).map_err(failed)?;
                }
                _ => {
                    opened.damaged.add(&path).map_err(failed)?;
                    found.damaged += 1;
                }
            }
        }
        delete_file(&self.dir.join(WRITING)).map_err(failed)?;
        found.requests = opened.files.values().map(StoredFile::queued_request).collect();
        Ok((opened, found))
    }

    /// Locks the lock file.
    fn locked(&self, lock: impl FnOnce(&Path) -> io::Result<Option<LockFile>>) -> Result<LockFile, SpoolError> {
        let lock = lock(&self.dir.join(LOCK)).map_err(|error| self.unusable(&error))?;
        lock.ok_or_else(|| SpoolError::InUse(self.dir.clone()))
    }

    /// Deletes requests, then writes one. Both changes are synced to the disk when this returns.
    pub(crate) fn change(&mut self, entry: Option<&SpoolEntry>, deleted: &[RequestKey]) -> Result<(), SpoolError> {
        let (dir, bytes_max) = (self.dir.clone(), self.bytes_max);
        let opened = self.opened()?;
        let changed = opened.delete(&dir, deleted).and_then(|()| match entry {
            Some(entry) if !opened.free_space(disk_bytes(entry.body.len()), bytes_max)? => Ok(false),
            Some(entry) => opened.write(&dir, entry).map(|()| true),
            None => Ok(true),
        });
        let synced = changed.and_then(|is_written| sync_directory(&dir).map(|()| is_written));
        match synced {
            Ok(true) => Ok(()),
            Ok(false) => Err(SpoolError::Full(dir)),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// Reads the body of a request. A damaged file is moved to the directory of damaged requests.
    pub(crate) fn body(&mut self, key: RequestKey) -> Result<RequestBody, SpoolError> {
        let dir = self.dir.clone();
        let opened = self.opened()?;
        let Some(stored) = opened.files.get(&key).cloned() else {
            return Err(SpoolError::Damaged(dir, "the file of a request is missing".to_owned()));
        };
        let path = dir.join(stored.name.to_string());
        let damage = match read(&path, stored.len) {
            Ok(content) => match stored.name.body(content) {
                Ok(body) => return Ok(body),
                Err(damage) => damage.to_owned(),
            },
            Err(error) if is_damage(&error) => error.to_string(),
            Err(error) => return Err(self.unusable(&error)),
        };
        if let Err(error) = opened.damaged.add(&path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(self.unusable(&error));
        }
        opened.remove(key);
        Err(SpoolError::Damaged(path, damage))
    }

    /// Closes the directory and releases the lock.
    pub(crate) fn close(&mut self) {
        self.opened = None;
    }

    /// Returns the open directory. Fails if the directory is missing or is not the original.
    fn opened(&mut self) -> Result<&mut OpenedDir, SpoolError> {
        let failed = |error: io::Error| self.unusable(&error);
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let found = fs::metadata(self.dir.join(LOCK)).map(identity).map_err(failed)?;
        let locked = self.opened.as_ref().map(|opened| opened.lock.metadata().map(identity)).transpose().map_err(failed)?;
        // A disk that was mounted again may have another device number: lock the file that is there now.
        let new_lock = match locked {
            Some(locked) if locked != found => Some(self.locked(LockFile::open)?),
            _ => None,
        };
        let closed = SpoolError::Unusable(self.dir.clone(), "the spool is not open".to_owned());
        let opened = self.opened.as_mut().ok_or(closed)?;
        if let Some(lock) = new_lock {
            opened.lock = lock;
        }
        Ok(opened)
    }

    fn unusable(&self, error: &io::Error) -> SpoolError {
        SpoolError::Unusable(self.dir.clone(), error.to_string())
    }
}

impl OpenedDir {
    /// Deletes files. A missing file is not an error.
    fn delete(&mut self, dir: &Path, keys: &[RequestKey]) -> io::Result<()> {
        for key in keys {
            if let Some(stored) = self.files.get(key) {
                delete_file(&dir.join(stored.name.to_string()))?;
                self.remove(*key);
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: RequestKey) {
        if let Some(stored) = self.files.remove(&key) {
            self.bytes -= stored.disk_bytes();
        }
    }

    /// Adds a file. Returns the other one if there are two of the request: the one with fewer points is what is left of it.
    fn add(&mut self, file: StoredFile) -> Option<StoredFile> {
        let key = file.name.key;
        let other = self.files.get(&key).cloned();
        let (kept, replaced) = match other {
            Some(other) if other.name.points < file.name.points => (other, Some(file)),
            other => (file, other),
        };
        self.remove(key);
        self.bytes += kept.disk_bytes();
        self.files.insert(key, kept);
        replaced
    }

    /// Deletes damaged files if their space is needed. Returns false if this many bytes do not fit.
    fn free_space(&mut self, bytes: usize, bytes_max: usize) -> io::Result<bool> {
        let Some(free_bytes) = bytes_max.checked_sub(self.bytes.saturating_add(bytes)) else { return Ok(false) };
        if self.damaged.bytes() > free_bytes {
            self.damaged.shrink(free_bytes)?;
        }
        Ok(true)
    }

    fn write(&mut self, dir: &Path, entry: &SpoolEntry) -> io::Result<()> {
        let (name, writing) = (RequestFileName::of(entry), dir.join(WRITING));
        let written = write_synced(&writing, &name.header(&entry.body), &entry.body.bytes)
            .and_then(|()| fs::rename(&writing, dir.join(name.to_string())));
        if let Err(error) = written {
            // On a full disk, even an incomplete file uses space that other requests need.
            let _ = fs::remove_file(&writing);
            return Err(error);
        }
        let stored = StoredFile { name: name.clone(), len: (HEADER_LEN + entry.body.len()) as u64 };
        match self.add(stored).filter(|replaced| replaced.name != name) {
            Some(replaced) => delete_file(&dir.join(replaced.name.to_string())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
