//! The spool: queued requests on disk, which survive the end of the process, including a crash.
//!
//! A request counts as queued once it is synced to the disk, and an accepted request is deleted before the next one is sent. After a crash
//! between the two, one request is sent twice, with the same timestamps. A request that is sent in parts is replaced by those that are left
//! when Postmeter stops; after a crash it is sent again as a whole.
//!
//! # `max_bytes` is exact
//!
//! Request files, the file that is being written and damaged files together never use more than `max_bytes` of the disk, counted in whole
//! blocks. If a request does not fit, the oldest collections are deleted before it is written.
//!
//! # Damaged requests are not sent
//!
//! Each request has a checksum. A damaged request is moved to a directory of its own and counted; the others are sent. If the spool
//! directory cannot be opened, requests are kept in memory, and each new request tries to open the directory again.
//!
//! # A disk that hangs
//!
//! Disk operations run one at a time on a blocking thread. A caller waits for [`DISK_WAIT_MAX`]; while one operation hangs, further ones
//! fail immediately. The next operation deletes a request whose write timed out, because it may have been written later.

use super::queued_request::{QueuedRequest, RequestKey};
use super::request_exporter::ExportFailure;
use super::request_file::SpoolEntry;
use super::request_list::Usage;
use super::status::SpoolStatus;
use super::store::{FoundRequests, SpoolError, SpoolSignal, Store};
use crate::config;
use crate::export::request_body::RequestBody;
use crate::net::ProblemLog;
use crate::telemetry::SelfTelemetry;
use parking_lot::{Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{info, warn};

/// The longest wait for a disk operation: shorter than the deadline of the last push.
const DISK_WAIT_MAX: Duration = Duration::from_secs(3);

/// The damage of files that are found when the spool is opened.
const DAMAGED_WHEN_OPENED: &str = "the name or the length of the file is invalid";

/// A spool. If its directory could not be opened, each write tries again.
#[derive(Debug)]
pub(crate) struct Spool {
    signal: SpoolSignal,
    path: PathBuf,
    store: Arc<tokio::sync::Mutex<Store>>,
    /// Requests that the next write or deletion deletes.
    to_delete: Arc<Mutex<Vec<RequestKey>>>,
    /// Requests of an earlier run that are not in the queue yet.
    found: Arc<Mutex<Vec<QueuedRequest>>>,
    /// The last disk operation timed out.
    is_hanging: AtomicBool,
    /// The directory was opened, and not closed since.
    is_open: Arc<AtomicBool>,
    failure: Mutex<Option<SpoolFailure>>,
    problem: Mutex<ProblemLog<()>>,
    damage: Arc<DamageCounter>,
    telemetry: Arc<SelfTelemetry>,
}

/// The current error of the disk.
#[derive(Debug)]
struct SpoolFailure {
    operation: Operation,
    message: String,
}

/// An operation on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Write,
    Read,
    Delete,
}

/// Counts damaged requests.
#[derive(Debug)]
struct DamageCounter {
    count: AtomicU64,
    telemetry: Arc<SelfTelemetry>,
}

impl DamageCounter {
    /// Counts damaged requests. Only the first one is logged, because a damaged disk may hold many.
    fn add(&self, requests: u64, path: &Path, damage: &str) {
        if requests == 0 {
            return;
        }
        self.telemetry.export.spool_damaged(requests);
        if self.count.fetch_add(requests, Ordering::Relaxed) == 0 {
            warn!(
                path = %path.display(),
                "a request in the spool is damaged and not sent; further ones are counted in \
                 postmeter_export_spool_damaged_requests_total and kept in the directory \"damaged\": {damage}"
            );
        }
    }
}

impl Spool {
    /// Opens the spool and returns the requests in it, oldest first. A spool that cannot be opened now is opened by a later write.
    pub(crate) fn open(config: &config::Spool, signal: SpoolSignal, telemetry: Arc<SelfTelemetry>) -> (Self, Vec<QueuedRequest>) {
        let mut store = Store::new(&config.dir, signal, config.max_bytes);
        let found = store.open();
        let damage = Arc::new(DamageCounter { count: AtomicU64::new(0), telemetry: telemetry.clone() });
        let spool = Self {
            signal,
            path: store.path().to_owned(),
            store: Arc::new(tokio::sync::Mutex::new(store)),
            to_delete: Arc::default(),
            found: Arc::default(),
            is_hanging: AtomicBool::new(false),
            is_open: Arc::new(AtomicBool::new(found.is_ok())),
            failure: Mutex::default(),
            problem: Mutex::default(),
            damage,
            telemetry,
        };
        spool.record_result(Operation::Write, &found);
        let found = found.unwrap_or_default();
        spool.damage.add(found.damaged, &spool.path, DAMAGED_WHEN_OPENED);
        (spool, found.requests)
    }

    /// The directory of the request files.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the state of the spool with this usage.
    pub(crate) fn status(&self, usage: Usage) -> SpoolStatus {
        SpoolStatus {
            path: self.path.clone(),
            usage,
            failure: self.failure().as_ref().map(|failure| failure.message.clone()),
            damaged_requests: self.damage.count.load(Ordering::Relaxed),
        }
    }

    /// Returns the requests of an earlier run that were found since the last call, because the spool was opened by a later write.
    pub(crate) fn take_found(&self) -> Vec<QueuedRequest> {
        std::mem::take(&mut *self.found.lock())
    }

    /// Writes a request. Returns true if the request is on the disk.
    pub(crate) async fn write(&self, entry: SpoolEntry) -> bool {
        let key = entry.key;
        let result = self.change(Some(entry)).await;
        match &result {
            // A full spool is not an error of the disk.
            Err(SpoolError::Full(_)) => return false,
            // The file may exist all the same, and would be sent a second time after the next start.
            Err(_) => self.delete_later([key]),
            Ok(()) => {}
        }
        self.record_result(Operation::Write, &result);
        result.is_ok()
    }

    /// Replaces a request by what is left of it. The whole request stays if both do not fit, or the disk fails.
    pub(crate) async fn replace(&self, remaining: SpoolEntry) {
        let result = self.change(Some(remaining)).await;
        if !matches!(result, Err(SpoolError::Full(_))) {
            self.record_result(Operation::Write, &result);
        }
    }

    /// Opens the directory if that has failed so far. Returns false if it fails again.
    pub(crate) async fn open_again(&self) -> bool {
        if self.is_open.load(Ordering::Relaxed) {
            return true;
        }
        let result = self.change(None).await;
        self.record_result(Operation::Write, &result);
        result.is_ok()
    }

    /// Reads the body of a request.
    pub(crate) async fn body(&self, key: RequestKey) -> Result<RequestBody, ExportFailure> {
        let result = self.on_disk(move |store| store.body(key)).await;
        match &result {
            Err(SpoolError::Damaged(path, damage)) => self.damage.add(1, path, damage),
            _ => self.record_result(Operation::Read, &result),
        }
        result.map_err(|error| match error {
            SpoolError::Damaged(..) => ExportFailure::Damaged(error.to_string()),
            _ => ExportFailure::SpoolUnreadable(error.to_string()),
        })
    }

    /// Deletes requests.
    pub(crate) async fn delete(&self, keys: impl IntoIterator<Item = RequestKey>) {
        self.delete_later(keys);
        let result = self.change(None).await;
        self.record_result(Operation::Delete, &result);
    }

    /// Deletes requests with the next write or deletion.
    pub(crate) fn delete_later(&self, keys: impl IntoIterator<Item = RequestKey>) {
        self.to_delete.lock().extend(keys);
    }

    /// Deletes the remaining requests that are to be deleted, and releases the directory. Does not wait for a disk that hangs.
    pub(crate) async fn close(&self) {
        if !self.to_delete.lock().is_empty() {
            self.delete([]).await;
        }
        self.is_open.store(false, Ordering::Relaxed);
        let closed = self.on_disk(|store| {
            store.close();
            Ok(())
        });
        if let Err(error) = closed.await {
            warn!("the spool could not be closed: {error}");
        }
    }

    /// Opens the store if necessary, deletes the requests that are to be deleted, and writes a request.
    async fn change(&self, entry: Option<SpoolEntry>) -> Result<(), SpoolError> {
        let to_delete = self.to_delete.clone();
        let (found, damage, is_open) = (self.found.clone(), self.damage.clone(), self.is_open.clone());
        self.on_disk(move |store| {
            let FoundRequests { requests, damaged } = store.open()?;
            damage.add(damaged, store.path(), DAMAGED_WHEN_OPENED);
            found.lock().extend(requests);
            // Last: an open spool has no further requests to be found.
            is_open.store(true, Ordering::Relaxed);
            let deleted = std::mem::take(&mut *to_delete.lock());
            let result = store.change(entry.as_ref(), &deleted);
            if matches!(&result, Err(error) if !matches!(error, SpoolError::Full(_))) {
                to_delete.lock().extend(deleted);
            }
            result
        })
        .await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Store) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let timed_out = || SpoolError::Unusable(self.path.clone(), format!("the disk did not respond within {DISK_WAIT_MAX:?}"));
        let free = self.store.clone().try_lock_owned();
        if free.is_err() && self.is_hanging.load(Ordering::Relaxed) {
            return Err(timed_out());
        }
        let result = timeout(DISK_WAIT_MAX, async {
            let mut store = match free {
                Ok(store) => store,
                Err(_) => self.store.clone().lock_owned().await,
            };
            tokio::task::spawn_blocking(move || operation(&mut store)).await
        });
        let result = result.await;
        self.is_hanging.store(result.is_err(), Ordering::Relaxed);
        let result = result.map_err(|_| timed_out())?;
        result.map_err(|panicked| SpoolError::Unusable(self.path.clone(), panicked.to_string()))?
    }

    /// Records and logs the start and the end of a failure. A successful write ends any failure; a successful read or deletion ends only a
    /// failure of the same operation, because it does not show that the disk can be written.
    fn record_result<T>(&self, operation: Operation, result: &Result<T, SpoolError>) {
        let mut failure = self.failure();
        match result {
            Err(error) => {
                let note = self.problem.lock().start(());
                if let Some(note) = note {
                    self.log_failure(error, note);
                }
                if failure.as_ref().is_none_or(|failure| failure.operation != Operation::Write) {
                    *failure = Some(SpoolFailure { operation, message: error.to_string() });
                }
            }
            Ok(_) => {
                let is_over = |failure: &SpoolFailure| operation == Operation::Write || operation == failure.operation;
                if failure.take_if(|failure| is_over(failure)).is_some() && self.problem.lock().end().is_some() {
                    self.log_recovery();
                }
            }
        }
        let metrics = &self.telemetry.export;
        match self.signal {
            SpoolSignal::Metrics => metrics.set_metrics_spool_failing(failure.is_some()),
            SpoolSignal::Logs => metrics.set_logs_spool_failing(failure.is_some()),
        }
    }

    fn log_failure(&self, error: &SpoolError, note: &str) {
        match self.signal {
            SpoolSignal::Metrics => {
                warn!("the spool cannot be used; its requests stay there and new ones are kept in memory: {error}{note}");
            }
            SpoolSignal::Logs => warn!(
                "delivery records cannot be stored in state_dir; stored ones stay there, and new ones are not accepted until it can be used: {error}{note}"
            ),
        }
    }

    fn log_recovery(&self) {
        match self.signal {
            SpoolSignal::Metrics => info!("the spool can be used again"),
            SpoolSignal::Logs => info!("delivery records can be stored again"),
        }
    }

    fn failure(&self) -> MutexGuard<'_, Option<SpoolFailure>> {
        self.failure.lock()
    }
}

#[cfg(test)]
mod tests;
