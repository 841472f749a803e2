//! Requests on disk: what was queued before the process ended, however it ended, is sent by the next one.
//!
//! A request is synced to the disk before it counts as queued, and one that the receiver accepted is deleted before the next
//! one is sent; a crash in between sends one request twice, with the same times.
//!
//! # `max_bytes` is exact
//!
//! The files of requests, what is being written, and damaged files together never take more than `max_bytes` of the disk,
//! counted in whole blocks. Where a request does not fit, the oldest collections are dropped first, and only then is it written.
//!
//! # Nothing damaged is sent
//!
//! Each request has a checksum. A damaged one is set aside and counted, and the others are sent. A directory that cannot be
//! opened does not end the process: requests wait in memory, and each one tries to open it again.
//!
//! # A disk that hangs
//!
//! Disks wait in a thread of their own, one at a time. Who asks waits for [`DISK_WAIT_MAX`], and while one operation hangs the
//! next ones fail at once. What may or may not have been written then is removed with the next operation.

use super::request_file::Row;
use super::request_list::{Key, QueuedRequest, Usage};
use super::status::SpoolStatus;
use super::store::{Found, SpoolError, Store};
use crate::config;
use crate::export::otlp::response::SendError;
use crate::telemetry::SelfTelemetry;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{info, warn};

/// How long an operation on the disk is waited for: shorter than the last push may take.
const DISK_WAIT_MAX: Duration = Duration::from_secs(3);

/// An open spool, or one that is tried to be opened with each request.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    store: Arc<tokio::sync::Mutex<Store>>,
    /// Requests that the next operation removes.
    leaving: Arc<Mutex<Vec<Key>>>,
    /// Requests of an earlier run that are not in the queue yet.
    found: Arc<Mutex<Vec<QueuedRequest>>>,
    /// An operation was waited for in vain.
    hangs: AtomicBool,
    failing: Mutex<Option<Failing>>,
    damaged: Arc<DamagedRequests>,
    own: Arc<SelfTelemetry>,
}

/// What the disk did not do.
#[derive(Debug)]
struct Failing {
    what: Use,
    said: String,
}

/// What is requested of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Write,
    Read,
    Remove,
}

/// Counts requests that were set aside.
#[derive(Debug)]
struct DamagedRequests {
    count: AtomicU64,
    own: Arc<SelfTelemetry>,
}

impl DamagedRequests {
    /// The first is logged; a spool may hold many.
    fn add(&self, requests: u64, path: &Path, damage: &str) {
        if requests == 0 {
            return;
        }
        self.own.export.spool_damaged(requests);
        if self.count.fetch_add(requests, Ordering::Relaxed) == 0 {
            let path = path.display();
            warn!(
                "a request in the spool is damaged and not sent: {path}: {damage}; damaged ones are counted in postmeter_export_spool_damaged_requests_total and kept beside the others"
            );
        }
    }
}

impl Spool {
    /// Opens it, and returns the requests in it, oldest first. One that cannot be opened is opened later.
    pub(crate) fn open(config: &config::Spool, own: Arc<SelfTelemetry>) -> (Self, Vec<QueuedRequest>) {
        let mut store = Store::new(&config.dir, config.max_bytes);
        let found = store.open();
        let damaged = Arc::new(DamagedRequests { count: AtomicU64::new(0), own: own.clone() });
        let spool = Self {
            path: store.path().to_owned(),
            store: Arc::new(tokio::sync::Mutex::new(store)),
            leaving: Arc::default(),
            found: Arc::default(),
            hangs: AtomicBool::new(false),
            failing: Mutex::default(),
            damaged,
            own,
        };
        spool.report(Use::Write, &found);
        let found = found.unwrap_or_default();
        spool.damaged.add(found.damaged, &spool.path, "its name or its length is wrong, or it is of an older version");
        (spool, found.requests)
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How it stands, with so much in it.
    pub(crate) fn status(&self, room: Usage) -> SpoolStatus {
        SpoolStatus {
            path: self.path.clone(),
            room,
            failing: self.failing().as_ref().map(|failing| failing.said.clone()),
            damaged_requests: self.damaged.count.load(Ordering::Relaxed),
        }
    }

    /// Requests of an earlier run that were found when it was opened late.
    pub(crate) fn take_found(&self) -> Vec<QueuedRequest> {
        std::mem::take(&mut *locked(&self.found))
    }

    /// Writes a request. Whether it is on the disk when this returns.
    pub(crate) async fn write(&self, row: Row) -> bool {
        let key = row.key;
        let written = self.change(Some(row)).await;
        match &written {
            // There is no room for it, which is not the disk's fault.
            Err(SpoolError::Full(_)) => return false,
            // Even so it may be there, and would be sent once more after the next start.
            Err(_) => self.leave([key]),
            Ok(()) => {}
        }
        self.report(Use::Write, &written);
        written.is_ok()
    }

    /// The bytes of a request.
    pub(crate) async fn bytes(&self, key: Key) -> Result<Bytes, SendError> {
        let bytes = self.on_disk(move |store| store.bytes(key)).await;
        match &bytes {
            Err(SpoolError::Damaged(path, damage)) => self.damaged.add(1, path, damage),
            _ => self.report(Use::Read, &bytes),
        }
        bytes.map_err(|error| match error {
            SpoolError::Damaged(..) => SendError::Damaged(error.to_string()),
            _ => SendError::Spool(error.to_string()),
        })
    }

    /// Removes requests.
    pub(crate) async fn remove(&self, keys: impl IntoIterator<Item = Key>) {
        self.leave(keys);
        let removed = self.change(None).await;
        self.report(Use::Remove, &removed);
    }

    /// Removes requests with the next operation.
    pub(crate) fn leave(&self, keys: impl IntoIterator<Item = Key>) {
        locked(&self.leaving).extend(keys);
    }

    /// At the end: removes what is to leave, and releases the directory, which a disk that hangs does not hold up.
    pub(crate) async fn close(&self) {
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
        let (found, damaged) = (self.found.clone(), self.damaged.clone());
        self.on_disk(move |store| {
            let Found { requests, damaged: count } = store.open()?;
            damaged.add(count, store.path(), "its name or its length is wrong, or it is of an older version");
            locked(&found).extend(requests);
            let removed = std::mem::take(&mut *locked(&leaving));
            let changed = store.change(row.as_ref(), &removed);
            if matches!(&changed, Err(error) if !matches!(error, SpoolError::Full(_))) {
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
        done.map_err(|panicked| SpoolError::Unusable(self.path.clone(), panicked.to_string()))?
    }

    /// Logs a failure once. What can be written is well again; what can be read or removed proves nothing about writing.
    fn report<T>(&self, what: Use, done: &Result<T, SpoolError>) {
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
        self.own.export.spool(failing.is_some());
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        locked(&self.failing)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(test)]
mod tests;
