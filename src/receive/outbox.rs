//! Records on disk that the OTLP receiver has not accepted yet, and their export.

use super::pending_requests::{Pending, PendingRequests};
use crate::config;
use crate::export::otlp::{EncodedRequest, LogsSender};
use crate::export::queue::queued_request::{RequestKey, first_collection};
use crate::export::queue::request_exporter::ExportFailure;
use crate::export::queue::request_file::SpoolEntry;
use crate::export::queue::spool::Spool;
use crate::export::queue::store::SpoolSignal;
use crate::export::request_body::RequestBody;
use crate::model::RecordState;
use crate::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use bytes::BytesMut;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The directory of the requests, inside `state_dir`.
pub(super) const DIR: &str = "received";
/// The pause before a request that cannot be read now is read again.
const READ_RETRY: Duration = Duration::from_secs(5);
/// The interval in which a directory that cannot be opened is opened again.
const OPEN_RETRY: Duration = Duration::from_secs(5);
/// The time that the request which is being sent may still take after the stop.
const LAST_REQUEST_MAX: Duration = Duration::from_secs(5);

/// Stored requests, oldest first.
#[derive(Debug)]
pub(super) struct Outbox {
    spool: Spool,
    requests_max: usize,
    pending: Mutex<PendingRequests>,
    added: Notify,
    /// Requests of an earlier run were added, and the targets' numbers of stored records do not have them yet.
    has_found: AtomicBool,
    next_collection: AtomicU64,
}

impl Outbox {
    /// Opens the directory in `state_dir`. A directory that cannot be opened now is opened by a later write, or by
    /// the export. At most `requests_max` requests are stored.
    pub(super) fn open(state_dir: &Path, max_bytes: usize, requests_max: usize, telemetry: Arc<SelfTelemetry>) -> Self {
        let config = config::Spool { dir: state_dir.join(DIR), max_bytes };
        let (spool, found) = Spool::open(&config, SpoolSignal::Logs, telemetry);
        if !found.is_empty() {
            let records: u64 = found.iter().map(|request| request.points).sum();
            info!(records, "found delivery records of an earlier run that are not exported yet");
        }
        let mut pending = PendingRequests::default();
        pending.extend(found.iter().map(Pending::found));
        Self {
            spool,
            requests_max,
            pending: Mutex::new(pending),
            added: Notify::new(),
            has_found: AtomicBool::new(true),
            next_collection: AtomicU64::new(first_collection(&found)),
        }
    }

    /// Stores requests of a target: all of them or, if the disk is full or fails, none. Returns `true` if they are on disk.
    pub(super) async fn store(&self, target: &Arc<str>, requests: Vec<EncodedRequest>) -> bool {
        if self.pending.lock().len() + requests.len() > self.requests_max {
            return false;
        }
        let mut stored = Vec::new();
        for request in requests {
            let key = RequestKey { collection: self.next_collection.fetch_add(1, Ordering::Relaxed), part: 0 };
            let pending = Pending { target: target.clone(), records: request.points, bytes: request.bytes.len() };
            // Uncompressed, because stored requests are joined before they are sent.
            let body = RequestBody::uncompressed(request.bytes);
            let entry = SpoolEntry { key, points: request.points, queued_at: SystemTime::now(), owner: Some(target.clone()), body };
            let is_written = self.spool.write(entry).await;
            self.add_found();
            if !is_written {
                self.spool.delete(stored.into_iter().map(|(key, _)| key)).await;
                return false;
            }
            stored.push((key, pending));
        }
        self.pending.lock().extend(stored);
        self.added.notify_one();
        true
    }

    /// Opens the directory if that has failed so far. Returns `false` if it fails again.
    pub(super) async fn open_again(&self) -> bool {
        let is_open = self.spool.open_again().await;
        self.add_found();
        is_open
    }

    /// Releases the directory.
    pub(super) async fn close(&self) {
        self.spool.close().await;
    }

    /// Adds requests of an earlier run, if the directory could be opened only now.
    fn add_found(&self) {
        let found = self.spool.take_found();
        if !found.is_empty() {
            self.pending.lock().extend(found.iter().map(Pending::found));
            self.has_found.store(true, Ordering::Release);
            self.added.notify_one();
        }
    }

    /// The number of stored records of a target.
    pub(super) fn records(&self, target: &str) -> u64 {
        self.pending.lock().records(target)
    }

    /// Reports the stored records of each target. Those of a target that was removed are sent, and belong to no series.
    fn update_depths(&self, targets: &TargetSet) {
        let receives = |collected: &CollectedTarget| collected.target.config.deliveries.is_some();
        for collected in targets.now().iter().filter(|collected| receives(collected)) {
            if let Some(deliveries) = &collected.deliveries {
                deliveries.set_queued(Some(self.records(collected.target.name())));
            }
        }
    }

    /// Exports the stored requests, oldest first, until `stop` is cancelled. What is not accepted by then stays on disk.
    pub(super) async fn run(self: Arc<Self>, mut sender: LogsSender, targets: TargetSet, stop: CancellationToken) {
        let mut is_open = self.open_again().await;
        loop {
            if self.has_found.swap(false, Ordering::Acquire) {
                self.update_depths(&targets);
            }
            let next = self.pending.lock().next(sender.bytes_max());
            if next.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.added.notified() => continue,
                    // Another process may have had the directory, or its file system appears only now.
                    () = tokio::time::sleep(OPEN_RETRY), if !is_open => {
                        is_open = self.open_again().await;
                        continue;
                    }
                }
            }
            let deadline = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_REQUEST_MAX).await;
            };
            tokio::select! {
                () = deadline => break,
                () = self.export(&next, &mut sender, &targets) => {}
            }
            if stop.is_cancelled() {
                break;
            }
        }
    }

    async fn export(&self, requests: &[(RequestKey, Pending)], sender: &mut LogsSender, targets: &TargetSet) {
        let Some(name) = requests.first().map(|(_, request)| request.target.clone()) else { return };
        let (mut merged, mut records, mut keys) = (BytesMut::new(), 0, Vec::new());
        for (key, request) in requests {
            match self.spool.body(*key).await {
                Ok(RequestBody { bytes, .. }) => {
                    // Messages of protobuf that are joined are one message with the items of both.
                    merged.extend_from_slice(&bytes);
                    records += request.records;
                    keys.push(*key);
                }
                // It was counted, and moved to the directory of damaged requests.
                Err(ExportFailure::Damaged(_)) => self.pending.lock().remove(*key),
                Err(_) => {
                    tokio::time::sleep(READ_RETRY).await;
                    break;
                }
            }
        }
        let mut rejected = 0;
        if !keys.is_empty() {
            rejected = sender.send(&name, EncodedRequest { bytes: merged.freeze(), points: records }).await.min(records);
            self.spool.delete(keys.iter().copied()).await;
            let mut pending = self.pending.lock();
            keys.iter().for_each(|key| pending.remove(*key));
        }
        if let Some(deliveries) = targets.find(&name).and_then(|collected| collected.deliveries.clone()) {
            deliveries.count(RecordState::Sent, records - rejected);
            deliveries.count(RecordState::Refused, rejected);
            deliveries.set_queued(Some(self.records(&name)));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn requests(count: usize) -> Vec<EncodedRequest> {
        vec![EncodedRequest { bytes: Bytes::from_static(b"request"), points: 2 }; count]
    }

    fn files(state_dir: &Path) -> usize {
        let dir = state_dir.join(DIR).join(SpoolSignal::Logs.dir());
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "lock" && name != "damaged").count()
    }

    #[tokio::test]
    async fn at_the_limit_of_requests_none_of_them_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let outbox = Outbox::open(dir.path(), usize::MAX, 5, telemetry.clone());
        let (one, other) = ("mta1".into(), "mta2".into());
        assert!(outbox.store(&one, requests(3)).await);
        assert!(!outbox.store(&other, requests(3)).await, "all or none");
        assert_eq!((files(dir.path()), outbox.records("mta1"), outbox.records("mta2")), (3, 6, 0));
        assert!(outbox.store(&other, requests(2)).await);
        assert!(!outbox.store(&one, requests(1)).await);
        // Requests of an earlier run count, too, and their files name their targets.
        outbox.spool.close().await;
        drop(outbox);
        let outbox = Outbox::open(dir.path(), usize::MAX, 6, telemetry);
        assert_eq!(["mta1", "mta2"].map(|target| outbox.records(target)), [6, 4]);
        assert!(outbox.store(&one, requests(1)).await);
        assert!(!outbox.store(&one, requests(1)).await);
        // Space is free again when a request was exported.
        let oldest = outbox.pending.lock().next(usize::MAX)[0].0;
        outbox.spool.delete([oldest]).await;
        outbox.pending.lock().remove(oldest);
        assert!(outbox.store(&other, requests(1)).await);
        assert_eq!((files(dir.path()), outbox.records("mta1"), outbox.records("mta2")), (6, 6, 6));
    }
}
