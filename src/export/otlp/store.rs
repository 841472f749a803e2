//! The file of a spool: a store with transactions (redb), which is opened anew after anything went wrong with it.
//!
//! # After an error it is opened anew
//!
//! After one error of the disk redb reads and writes nothing more until the file is opened again. So it is dropped with the
//! error, and the next one who wants something opens it: a disk that was full for a second costs a second.
//!
//! # A file is made at the start only
//!
//! Where the file has gone while Postmeter runs (a disk that was unmounted), a new one in its place would make what is in the
//! old one count as lost. Only one that is there and cannot be read gives way to a new one.

use super::waiting::{Held, Key, Waiting};
use crate::messages::{BROKEN, set_aside};
use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{Builder, Database, Error, ReadableDatabase, ReadableTable, TableDefinition};
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::warn;

/// The file, in the configured directory.
pub(super) const FILE: &str = "otlp-metrics.redb";
/// Bytes of the store's cache: requests are written once and read once.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Only its owner may look: names of domains and users are in there.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Collection and part; the version of the layout is in the names.
const REQUESTS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("requests.v1");
/// Points, bytes, and when it was queued, in nanoseconds since 1970: read at the start without the requests.
const INDEX: TableDefinition<(u64, u32), (u64, u64, u64)> = TableDefinition::new("index.v1");

/// Why a spool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    /// Somebody else has it.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// It is of another time.
    #[error("{0} was written by another version of Postmeter: {1}; run that one until all is sent, or move the file away")]
    Version(PathBuf, String),
    /// The disk does not do it now, and may later.
    #[error("{0}: {1}")]
    Unusable(PathBuf, String),
    /// What was asked for is not there, and will never be.
    #[error("{0}: {1}")]
    Damaged(PathBuf, String),
}

/// A request as it is written.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub key: Key,
    pub points: u64,
    pub queued_at: SystemTime,
    pub bytes: Bytes,
}

/// The file. What it does waits for the disk.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    database: Option<Database>,
}

impl Store {
    /// Opens it, and says what is in it, oldest first. A file that cannot be read is set aside.
    pub(super) fn open(dir: &Path) -> Result<(Self, Vec<Waiting>), SpoolError> {
        let path = dir.join(FILE);
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(|error| failed(&path, &error.into()))?;
        let mut store = Self { database: Some(database(&path, Opening::New)?), path };
        let kept = store.with(kept)?;
        if let (Some(database), true) = (&mut store.database, kept.is_empty()) {
            database.compact().map_err(|error| failed(&store.path, &error.into()))?;
        }
        Ok((store, kept))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a request and removes others, or does nothing; when this returns it is on the disk.
    pub(super) fn change(&mut self, row: Option<&Row>, removed: &[Key]) -> Result<(), SpoolError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            {
                let (mut requests, mut index) = (transaction.open_table(REQUESTS)?, transaction.open_table(INDEX)?);
                for key in removed {
                    requests.remove(key.tuple())?;
                    index.remove(key.tuple())?;
                }
                if let Some(row) = row {
                    let nanos = row.queued_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                    requests.insert(row.key.tuple(), &row.bytes[..])?;
                    index.insert(row.key.tuple(), (row.points, row.bytes.len() as u64, u64::try_from(nanos).unwrap_or(u64::MAX)))?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// The bytes of a request.
    pub(super) fn bytes(&mut self, key: Key) -> Result<Bytes, SpoolError> {
        let found = self.with(|database| {
            let requests = database.begin_read()?.open_table(REQUESTS)?;
            Ok(requests.get(key.tuple())?.map(|value| Bytes::copy_from_slice(value.value())))
        })?;
        found.ok_or_else(|| SpoolError::Damaged(self.path.clone(), "a request is gone".to_owned()))
    }

    /// Closes it, as well as it goes.
    pub(super) fn close(&mut self) {
        self.database = None;
    }

    fn with<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, Error>) -> Result<T, SpoolError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => database(&self.path, Opening::Again)?,
        };
        let done = work(&database).map_err(|error| failed(&self.path, &error))?;
        self.database = Some(database);
        Ok(done)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    New,
    Again,
}

/// A file that cannot be read is set aside, and a new one begins.
fn database(path: &Path, opening: Opening) -> Result<Database, SpoolError> {
    let broken = match opened(path, opening) {
        Ok(database) => return Ok(database),
        Err(error) if is_broken(&error) => error,
        Err(error) => return Err(failed(path, &error)),
    };
    let aside = set_aside(path, BROKEN).map_err(|error| failed(path, &error.into()))?;
    warn!("the spool {} cannot be read ({broken}); it is now {}, and a new one begins", path.display(), aside.display());
    opened(path, Opening::New).map_err(|error| failed(path, &error))
}

fn opened(path: &Path, opening: Opening) -> Result<Database, Error> {
    let is_new = opening == Opening::New;
    let file = OpenOptions::new().read(true).write(true).create(is_new).truncate(false).mode(FILE_MODE).open(path)?;
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(FileBackend::new(file)?)?;
    // Again: a disk without room for that is read nonetheless.
    if is_new {
        let transaction = database.begin_write()?;
        transaction.open_table(REQUESTS)?;
        transaction.open_table(INDEX)?;
        transaction.commit()?;
    }
    Ok(database)
}

fn kept(database: &Database) -> Result<Vec<Waiting>, Error> {
    let mut kept = Vec::new();
    for row in database.begin_read()?.open_table(INDEX)?.iter()? {
        let (key, value) = row?;
        let ((collection, part), (points, len, nanos)) = (key.value(), value.value());
        let queued_at = UNIX_EPOCH + Duration::from_nanos(nanos);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        kept.push(Waiting { key: Key { collection, part }, points, len, queued_at, held: Held::Spool });
    }
    Ok(kept)
}

/// Whether another file would do better: this one is no store, or not a whole one.
fn is_broken(error: &Error) -> bool {
    match error {
        Error::Io(error) => matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        error => matches!(error, Error::Corrupted(_)),
    }
}

fn failed(path: &Path, error: &Error) -> SpoolError {
    let path = path.to_owned();
    match error {
        Error::DatabaseAlreadyOpen => SpoolError::InUse(path),
        Error::UpgradeRequired(_) | Error::TableTypeMismatch { .. } | Error::TypeDefinitionChanged { .. } => {
            SpoolError::Version(path, error.to_string())
        }
        Error::Corrupted(why) => SpoolError::Damaged(path, why.clone()),
        error => SpoolError::Unusable(path, error.to_string()),
    }
}

impl Key {
    const fn tuple(self) -> (u64, u32) {
        (self.collection, self.part)
    }
}

#[cfg(test)]
mod tests;
