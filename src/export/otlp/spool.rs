//! Requests on disk: what was queued before the process ended, however it ended, is sent by the next one.
//!
//! What is put in is synced to the disk before it counts as queued, and what was taken by the receiver is removed before the
//! next request is sent; a crash in between sends one request twice, with the same times.
//!
//! # How large the file is
//!
//! `max_bytes` counts bytes of requests. Each lies in a page of a power of two, and what is changed is written beside what was
//! there: up to twice as much is on the disk, and the length of the file (with holes in it) is up to four times as much. What
//! is removed makes room in the file; the file itself gets small again when a start finds it empty.
//!
//! # A disk that hangs
//!
//! Disks wait in a thread of their own, one at a time. Who asks waits for [`DISK_WAIT_MAX`], and while one operation hangs the
//! next ones fail at once. What may or may not have been written then is removed with the next transaction.

use super::answer::SendError;
use super::status::SpoolStatus;
use super::store::{Row, SpoolError, Store};
use super::waiting::{Key, Room, Waiting};
use crate::config;
use crate::telemetry::Own;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{info, warn};

/// How long an operation on the disk is waited for: shorter than the last push may take.
const DISK_WAIT_MAX: Duration = Duration::from_secs(3);

/// An open spool.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    store: Arc<tokio::sync::Mutex<Store>>,
    /// Requests that the next transaction removes.
    leaving: Arc<Mutex<Vec<Key>>>,
    /// An operation was waited for in vain.
    hangs: AtomicBool,
    failing: Mutex<Option<Failing>>,
    own: Arc<Own>,
}

/// What the disk did not do.
#[derive(Debug)]
struct Failing {
    what: Use,
    said: String,
}

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Write,
    Read,
    Remove,
}

impl Spool {
    /// Opens it, and says what is in it, oldest first. A file that cannot be read is set aside.
    pub(super) fn open(config: &config::Spool, own: Arc<Own>) -> Result<(Self, Vec<Waiting>), SpoolError> {
        let (store, kept) = Store::open(&config.dir)?;
        own.exporting.spool(false);
        let path = store.path().to_owned();
        let store = Arc::new(tokio::sync::Mutex::new(store));
        Ok((Self { path, store, leaving: Arc::default(), hangs: AtomicBool::new(false), failing: Mutex::default(), own }, kept))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How it stands, with so much in it.
    pub(super) fn status(&self, room: Room) -> SpoolStatus {
        SpoolStatus { path: self.path.clone(), room, failing: self.failing().as_ref().map(|failing| failing.said.clone()) }
    }

    /// Writes a request. Whether it is on the disk when this returns.
    pub(super) async fn write(&self, row: Row) -> bool {
        let key = row.key;
        let written = self.change(Some(row)).await;
        if written.is_err() {
            // Even so it may be there, and would be sent once more after the next start.
            self.leave([key]);
        }
        self.said(Use::Write, &written);
        written.is_ok()
    }

    /// The bytes of a request.
    pub(super) async fn bytes(&self, key: Key) -> Result<Bytes, SendError> {
        let bytes = self.on_disk(move |store| store.bytes(key)).await;
        match bytes {
            Err(SpoolError::Damaged(..)) => {}
            _ => self.said(Use::Read, &bytes),
        }
        bytes.map_err(|error| match error {
            SpoolError::Damaged(..) => SendError::Damaged(error.to_string()),
            _ => SendError::Spool(error.to_string()),
        })
    }

    /// Removes requests.
    pub(super) async fn remove(&self, keys: impl IntoIterator<Item = Key>) {
        self.leave(keys);
        let removed = self.change(None).await;
        self.said(Use::Remove, &removed);
    }

    /// Removes requests with the next transaction.
    pub(super) fn leave(&self, keys: impl IntoIterator<Item = Key>) {
        locked(&self.leaving).extend(keys);
    }

    /// At the end: removes what is to leave, and closes the file, which a disk that hangs does not hold up.
    pub(super) async fn close(&self) {
        if !locked(&self.leaving).is_empty() {
            self.remove([]).await;
        }
        let closed = self.on_disk(|store| {
            store.close();
            Ok(())
        });
        if let Err(error) = closed.await {
            warn!("the spool is left as it is: {error}");
        }
    }

    async fn change(&self, row: Option<Row>) -> Result<(), SpoolError> {
        let leaving = self.leaving.clone();
        self.on_disk(move |store| {
            let removed = std::mem::take(&mut *locked(&leaving));
            let changed = store.change(row.as_ref(), &removed);
            if changed.is_err() {
                locked(&leaving).extend(removed);
            }
            changed
        })
        .await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let late = || SpoolError::Unusable(self.path.clone(), format!("the disk has not answered within {DISK_WAIT_MAX:?}"));
        let free = self.store.clone().try_lock_owned();
        if free.is_err() && self.hangs.load(Ordering::Relaxed) {
            return Err(late());
        }
        let done = timeout(DISK_WAIT_MAX, async {
            let mut store = match free {
                Ok(store) => store,
                Err(_) => self.store.clone().lock_owned().await,
            };
            tokio::task::spawn_blocking(move || work(&mut store)).await
        });
        let done = done.await;
        self.hangs.store(done.is_err(), Ordering::Relaxed);
        let done = done.map_err(|_| late())?;
        done.map_err(|panicked| SpoolError::Damaged(self.path.clone(), panicked.to_string()))?
    }

    /// Says it once. What can be written is well again; what can be read or removed says nothing of writing.
    fn said<T>(&self, what: Use, done: &Result<T, SpoolError>) {
        let mut failing = self.failing();
        match done {
            Err(error) => {
                if failing.is_none() {
                    warn!("the spool cannot be used: {error}; what is in it stays there, and what is new waits in memory");
                }
                if failing.as_ref().is_none_or(|failing| failing.what != Use::Write) {
                    *failing = Some(Failing { what, said: error.to_string() });
                }
            }
            Ok(_) if failing.as_ref().is_some_and(|failing| what == Use::Write || what == failing.what) => {
                info!("the spool can be used again");
                *failing = None;
            }
            Ok(_) => {}
        }
        self.own.exporting.spool(failing.is_some());
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        locked(&self.failing)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
