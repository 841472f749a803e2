//! Requests on disk: what was queued before the process ended, however it ended, is sent by the next one.
//!
//! A store with transactions (redb) in one file. What is put in is synced to the disk before it counts as queued, and what was
//! taken by the receiver is removed before the next request is sent; a crash in between sends one request twice, with the
//! same times. The file keeps its largest size until a start finds it empty.

use super::waiting::{Held, Waiting};
use crate::config;
use bytes::Bytes;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError, TableDefinition};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::warn;

/// The file, in the configured directory.
const FILE: &str = "otlp-metrics.redb";
/// What a file that cannot be read is renamed to.
const BROKEN: &str = "otlp-metrics.redb.broken";
/// Bytes of the store's cache: requests are written once and read once.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Only its owner may look: names of domains and users are in there.
const DIR_MODE: u32 = 0o700;

/// Collection and part; the version of the layout is in the names.
const REQUESTS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("requests.v1");
/// Points, bytes, and when it was queued, in nanoseconds since 1970: read at the start without the requests.
const INDEX: TableDefinition<(u64, u32), (u64, u64, u64)> = TableDefinition::new("index.v1");

/// Which request: its collection, and its place in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub collection: u64,
    pub part: u32,
}

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    #[error("{0}: {1}")]
    Unusable(PathBuf, String),
}

/// An open spool.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    store: Arc<Database>,
    path: PathBuf,
}

impl Spool {
    /// Opens it, and says what is in it, oldest first. A file that cannot be read is set aside.
    pub(super) fn open(config: &config::Spool) -> Result<(Self, Vec<Waiting>), SpoolError> {
        let unusable = |error: io::Error| SpoolError::Unusable(config.dir.clone(), error.to_string());
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(&config.dir).map_err(unusable)?;
        let path = config.dir.join(FILE);
        match Self::read(&path) {
            Ok(opened) => Ok(opened),
            Err(redb::Error::DatabaseAlreadyOpen) => Err(SpoolError::InUse(path)),
            Err(redb::Error::Io(error)) if error.kind() != io::ErrorKind::InvalidData => Err(unusable(error)),
            Err(broken) => {
                let aside = config.dir.join(BROKEN);
                fs::rename(&path, &aside).map_err(unusable)?;
                warn!("the spool {} cannot be read ({broken}); it is now {}, and a new one begins", path.display(), aside.display());
                Self::read(&path).map_err(|error| SpoolError::Unusable(path, error.to_string()))
            }
        }
    }

    fn read(path: &Path) -> Result<(Self, Vec<Waiting>), redb::Error> {
        let mut store = Builder::new().set_cache_size(CACHE_BYTES).create(path)?;
        let transaction = store.begin_write()?;
        let is_empty = {
            transaction.open_table(REQUESTS)?;
            transaction.open_table(INDEX)?.is_empty()?
        };
        transaction.commit()?;
        if is_empty {
            store.compact()?;
        }
        let spool = Self { store: Arc::new(store), path: path.to_owned() };
        let mut kept = Vec::new();
        for row in spool.store.begin_read()?.open_table(INDEX)?.iter()? {
            let (key, value) = row?;
            let ((collection, part), (points, len, nanos)) = (key.value(), value.value());
            let queued_at = UNIX_EPOCH + Duration::from_nanos(nanos);
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            kept.push(Waiting { key: Key { collection, part }, points, len, queued_at, held: Held::Spool });
        }
        Ok((spool, kept))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a request; when this returns it is on the disk.
    pub(super) async fn write(&self, key: Key, points: u64, queued_at: SystemTime, bytes: Bytes) -> Result<(), String> {
        let nanos = queued_at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        self.blocking(move |store| {
            let transaction = store.begin_write()?;
            transaction.open_table(REQUESTS)?.insert(key.tuple(), &bytes[..])?;
            transaction.open_table(INDEX)?.insert(key.tuple(), (points, bytes.len() as u64, nanos))?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// The bytes of a request.
    pub(super) async fn bytes(&self, key: Key) -> Result<Bytes, String> {
        self.blocking(move |store| {
            let found = store.begin_read()?.open_table(REQUESTS)?.get(key.tuple())?;
            found
                .map(|value| Bytes::copy_from_slice(value.value()))
                .ok_or_else(|| StorageError::Corrupted("a request is gone".into()).into())
        })
        .await
    }

    /// Removes requests.
    pub(super) async fn remove(&self, keys: Vec<Key>) -> Result<(), String> {
        self.blocking(move |store| {
            let transaction = store.begin_write()?;
            {
                let (mut requests, mut index) = (transaction.open_table(REQUESTS)?, transaction.open_table(INDEX)?);
                for key in keys {
                    requests.remove(key.tuple())?;
                    index.remove(key.tuple())?;
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Disks wait: never in a task.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, String> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

impl Key {
    const fn tuple(self) -> (u64, u32) {
        (self.collection, self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: SystemTime = UNIX_EPOCH;

    fn key(collection: u64, part: u32) -> Key {
        Key { collection, part }
    }

    fn open(dir: &Path) -> (Spool, Vec<(Key, u64, usize)>) {
        let config = config::Spool { dir: dir.to_owned(), max_bytes: 1 << 20 };
        let (spool, kept) = Spool::open(&config).unwrap_or_else(|error| panic!("{error}"));
        (spool, kept.iter().map(|waiting| (waiting.key, waiting.points, waiting.len)).collect())
    }

    #[tokio::test]
    async fn what_was_written_is_there_again_oldest_first() -> Result<(), String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (spool, kept) = open(dir.path());
        assert_eq!(kept, []);
        spool.write(key(2, 0), 7, AT, Bytes::from_static(b"later")).await?;
        spool.write(key(1, 1), 5, AT, Bytes::from_static(b"b")).await?;
        spool.write(key(1, 0), 3, AT, Bytes::from_static(b"a")).await?;
        spool.remove(vec![key(1, 1)]).await?;
        drop(spool);
        let (spool, kept) = open(dir.path());
        assert_eq!(kept, [(key(1, 0), 3, 1), (key(2, 0), 7, 5)]);
        assert_eq!(spool.bytes(key(2, 0)).await?, "later");
        assert!(spool.bytes(key(9, 9)).await.is_err());
        Ok(())
    }

    #[tokio::test]
    async fn one_process_has_it() -> Result<(), String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (_spool, _) = open(dir.path());
        let second = Spool::open(&config::Spool { dir: dir.path().to_owned(), max_bytes: 1 });
        assert!(matches!(second, Err(SpoolError::InUse(_))));
        Ok(())
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_set_aside() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join(FILE), "no store at all, but long enough to be looked at\n".repeat(200))?;
        let (_spool, kept) = open(dir.path());
        assert_eq!(kept, []);
        assert!(dir.path().join(BROKEN).exists());
        Ok(())
    }
}
