//! The files of a spool: one for each request, as in the queue directory of a mail server.
//!
//! # Why not one file with all of them
//!
//! A damaged bit costs the request whose file it is in and no other; a request that was sent is a file that is deleted, so
//! nothing has to be compacted, and `max_bytes` is the room that the files take. The file system is the index.
//!
//! # What is on disk stays there
//!
//! A request is written under another name, synced, renamed, and then the directory is synced. A file under its own name is
//! therefore whole: one that is not was damaged later. What was being written when the process ended was not acknowledged and
//! is deleted at the next start.
//!
//! # The directory is made at the start only
//!
//! Where it has gone while Postmeter runs (a disk that was unmounted), a new one in its place would make what is in the old
//! one count as lost. The lock file, which is made with it, shows that it is there.

use super::damaged_requests::Quarantine;
use super::request_file::{HEADER_LEN, RequestName, Row, SUFFIX, disk_bytes};
use super::request_list::{Key, QueuedRequest};
use crate::net::quarantine::quarantine;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tracing::warn;

/// The directory of the files, in the configured one.
pub(crate) const DIR: &str = "otlp-metrics";
/// Locked by the process that uses the directory.
const LOCK: &str = "lock";
/// A request that is being written.
const WRITING: &str = "writing";
/// What spools were before there was a file for each request, in the configured directory.
const OLD_FILE: &str = "otlp-metrics.redb";
/// The ending that such a file gets.
const OLD_FILE_ENDING: &str = ".old";
/// Only the owner may read: names of domains and users are in there.
pub(crate) const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// No request is longer: so much of a file is read into memory at most.
const FILE_LEN_MAX: u64 = 256 * 1024 * 1024;
/// Errors of a disk that concern one file, and do not go away: EIO, EBADMSG and EUCLEAN. File systems with checksums of their
/// own report a damaged bit so.
const DAMAGE_ERRNOS: [i32; 3] = [5, 74, 117];

/// Why a spool did not do what was requested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// Another process uses the directory.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The disk does not do it now, and may later.
    #[error("{0}: {1}")]
    Unusable(PathBuf, String),
    /// The request does not fit within `max_bytes`.
    #[error("{0} is full")]
    Full(PathBuf),
    /// The request is damaged or gone.
    #[error("{0}: {1}")]
    Damaged(PathBuf, String),
}

/// What opening a spool found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Requests of an earlier run, oldest first.
    pub requests: Vec<QueuedRequest>,
    /// Files that were set aside.
    pub damaged: u64,
}

/// The directory. Its operations wait for the disk.
#[derive(Debug)]
pub(crate) struct Store {
    parent: PathBuf,
    dir: PathBuf,
    bytes_max: usize,
    opened: Option<Opened>,
}

/// The directory while it is open.
#[derive(Debug)]
struct Opened {
    lock: File,
    files: BTreeMap<Key, StoredFile>,
    /// Bytes of the disk that `files` take.
    bytes: usize,
    quarantine: Quarantine,
}

/// A file with a request.
#[derive(Clone, Copy, Debug)]
struct StoredFile {
    name: RequestName,
    len: u64,
}

impl StoredFile {
    fn disk_bytes(self) -> usize {
        disk_bytes(usize::try_from(self.len).unwrap_or(usize::MAX).saturating_sub(HEADER_LEN))
    }
}

/// Bytes of a disk that a file takes.
pub(crate) fn disk_bytes_of(metadata: &Metadata) -> usize {
    disk_bytes(usize::try_from(metadata.len()).unwrap_or(usize::MAX).saturating_sub(HEADER_LEN))
}

impl Store {
    /// The spool in this directory, which is not opened yet.
    pub(crate) fn new(parent: &Path, bytes_max: usize) -> Self {
        Self { parent: parent.to_owned(), dir: parent.join(DIR), bytes_max, opened: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// Opens it if it is not open. Returns what was found in it then.
    pub(crate) fn open(&mut self) -> Result<Found, SpoolError> {
        if self.opened.is_some() {
            return Ok(Found::default());
        }
        let (opened, found) = self.opening()?;
        self.opened = Some(opened);
        Ok(found)
    }

    fn opening(&self) -> Result<(Opened, Found), SpoolError> {
        let failed = |error: io::Error| self.unusable(&error);
        let is_new = !self.dir.exists();
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(&self.dir).map_err(failed)?;
        if is_new {
            // What is synced in a directory is there after a power failure only if the directory is.
            self.dir.ancestors().skip(1).take(2).try_for_each(sync_dir).map_err(failed)?;
        }
        let lock = self.locked(OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE))?;
        let quarantine = Quarantine::open(&self.dir, self.bytes_max).map_err(failed)?;
        let mut opened = Opened { lock, files: BTreeMap::new(), bytes: 0, quarantine };
        let mut found = Found { damaged: self.set_old_file_aside(), ..Found::default() };
        for file in fs::read_dir(&self.dir).map_err(failed)? {
            let file = file.map_err(failed)?;
            let (name, path) = (file.file_name(), file.path());
            let Some(name) = name.to_str().filter(|name| name.ends_with(SUFFIX)) else { continue };
            let metadata = file.metadata().map_err(failed)?;
            match RequestName::parse(name) {
                Some(name) if metadata.is_file() && (HEADER_LEN as u64..=FILE_LEN_MAX).contains(&metadata.len()) => {
                    let stored = StoredFile { name, len: metadata.len() };
                    opened.bytes += stored.disk_bytes();
                    opened.files.insert(name.key, stored);
                }
                _ => {
                    opened.quarantine.take(&path).map_err(failed)?;
                    found.damaged += 1;
                }
            }
        }
        remove(&self.dir.join(WRITING)).map_err(failed)?;
        found.requests = opened.files.values().map(|stored| stored.waiting()).collect();
        Ok((opened, found))
    }

    /// Locks the file that is opened so.
    fn locked(&self, options: &OpenOptions) -> Result<File, SpoolError> {
        let lock = options.open(self.dir.join(LOCK)).map_err(|error| self.unusable(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(SpoolError::InUse(self.dir.clone())),
            Err(TryLockError::Error(error)) => Err(self.unusable(&error)),
        }
    }

    /// Renames the file of an older version, which is not read. Returns how many there were.
    fn set_old_file_aside(&self) -> u64 {
        let old = self.parent.join(OLD_FILE);
        if !old.exists() {
            return 0;
        }
        match quarantine(&old, OLD_FILE_ENDING) {
            Ok(aside) => warn!("the spool of an older version is not read: it is now {}, and may be deleted", aside.display()),
            Err(error) => warn!("the spool of an older version is not read: {}, which could not be renamed: {error}", old.display()),
        }
        1
    }

    /// Deletes requests, then writes one. When this returns, both are on the disk.
    pub(crate) fn change(&mut self, row: Option<&Row>, removed: &[Key]) -> Result<(), SpoolError> {
        let (dir, bytes_max) = (self.dir.clone(), self.bytes_max);
        let opened = self.present()?;
        let changed = opened.remove(&dir, removed).and_then(|()| match row {
            Some(row) if !opened.make_room(disk_bytes(row.bytes.len()), bytes_max)? => Ok(false),
            Some(row) => opened.write(&dir, row).map(|()| true),
            None => Ok(true),
        });
        let synced = changed.and_then(|is_written| sync_dir(&dir).map(|()| is_written));
        match synced {
            Ok(true) => Ok(()),
            Ok(false) => Err(SpoolError::Full(dir)),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// The bytes of a request. A damaged one is set aside.
    pub(crate) fn bytes(&mut self, key: Key) -> Result<Bytes, SpoolError> {
        let dir = self.dir.clone();
        let opened = self.present()?;
        let Some(stored) = opened.files.get(&key).copied() else {
            return Err(SpoolError::Damaged(dir, "a request is gone".to_owned()));
        };
        let path = dir.join(stored.name.to_string());
        let damage = match read(&path, stored.len) {
            Ok(content) => match stored.name.request(content) {
                Ok(request) => return Ok(request),
                Err(damage) => damage.to_owned(),
            },
            Err(error) if is_damage(&error) => error.to_string(),
            Err(error) => return Err(self.unusable(&error)),
        };
        if let Err(error) = opened.quarantine.take(&path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(self.unusable(&error));
        }
        opened.forget(key);
        Err(SpoolError::Damaged(path, damage))
    }

    /// Releases the directory.
    pub(crate) fn close(&mut self) {
        self.opened = None;
    }

    /// The open directory, if it is where it was.
    fn present(&mut self) -> Result<&mut Opened, SpoolError> {
        let failed = |error: io::Error| self.unusable(&error);
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let found = fs::metadata(self.dir.join(LOCK)).map(identity).map_err(failed)?;
        let locked = self.opened.as_ref().map(|opened| opened.lock.metadata().map(identity)).transpose().map_err(failed)?;
        // A disk that was mounted again may have another number.
        let again = match locked {
            Some(locked) if locked != found => Some(self.locked(OpenOptions::new().write(true))?),
            _ => None,
        };
        let closed = SpoolError::Unusable(self.dir.clone(), "it is not open".to_owned());
        let opened = self.opened.as_mut().ok_or(closed)?;
        if let Some(lock) = again {
            opened.lock = lock;
        }
        Ok(opened)
    }

    fn unusable(&self, error: &io::Error) -> SpoolError {
        SpoolError::Unusable(self.dir.clone(), error.to_string())
    }
}

impl Opened {
    /// Deletes files; one that has gone already is no error.
    fn remove(&mut self, dir: &Path, keys: &[Key]) -> io::Result<()> {
        for key in keys {
            if let Some(stored) = self.files.get(key) {
                remove(&dir.join(stored.name.to_string()))?;
                self.forget(*key);
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: Key) {
        if let Some(stored) = self.files.remove(&key) {
            self.bytes -= stored.disk_bytes();
        }
    }

    /// Whether so many bytes fit, for which damaged files are deleted if need be.
    fn make_room(&mut self, bytes: usize, bytes_max: usize) -> io::Result<bool> {
        let Some(left) = bytes_max.checked_sub(self.bytes.saturating_add(bytes)) else { return Ok(false) };
        if self.quarantine.bytes() > left {
            self.quarantine.shrink(left)?;
        }
        Ok(true)
    }

    fn write(&mut self, dir: &Path, row: &Row) -> io::Result<()> {
        let (name, writing) = (RequestName::of(row), dir.join(WRITING));
        let written =
            write_synced(&writing, &name.header(&row.bytes), &row.bytes).and_then(|()| fs::rename(&writing, dir.join(name.to_string())));
        if let Err(error) = written {
            // On a full disk even a part of it takes room that others need.
            let _ = fs::remove_file(&writing);
            return Err(error);
        }
        let stored = StoredFile { name, len: (HEADER_LEN + row.bytes.len()) as u64 };
        self.forget(row.key);
        self.bytes += stored.disk_bytes();
        self.files.insert(row.key, stored);
        Ok(())
    }
}

impl StoredFile {
    fn waiting(self) -> QueuedRequest {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX).saturating_sub(HEADER_LEN);
        QueuedRequest::in_spool(self.name.key, self.name.points, len, self.name.queued_at())
    }
}

fn write_synced(path: &Path, header: &[u8], request: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(header)?;
    file.write_all(request)?;
    file.sync_data()
}

/// Has the names in a directory survive a power failure.
fn sync_dir(path: &Path) -> io::Result<()> {
    // The empty path is that of the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// All of a file, but no more than it is expected to hold, and one byte that shows whether there is more.
fn read(path: &Path, len: u64) -> io::Result<Bytes> {
    let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or_default().saturating_add(1));
    File::open(path)?.take(len.saturating_add(1)).read_to_end(&mut content)?;
    Ok(content.into())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether an error is about one file, and will be the same at each attempt.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory)
        || error.raw_os_error().is_some_and(|errno| DAMAGE_ERRNOS.contains(&errno))
}

#[cfg(test)]
mod tests;
