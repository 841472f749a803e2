//! Records on disk that the OTLP receiver has not accepted yet, and their export.

use crate::config;
use crate::export::otlp::{EncodedRequest, LogsSender};
use crate::export::queue::request_exporter::ExportFailure;
use crate::export::queue::request_file::SpoolEntry;
use crate::export::queue::request_list::{QueuedRequest, RequestKey};
use crate::export::queue::spool::Spool;
use crate::export::queue::store::SpoolSignal;
use crate::export::request_body::RequestBody;
use crate::model::RecordState;
use crate::telemetry::{SelfTelemetry, TargetSet};
use bytes::BytesMut;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use parking_lot::Mutex;
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The directory of the requests, inside `state_dir`.
const DIR: &str = "received";
/// The largest number of stored requests that are sent as one.
const MERGED_MAX: usize = 256;
/// The pause before a request that cannot be read now is read again.
const READ_RETRY: Duration = Duration::from_secs(5);
/// The time that the request which is being sent may still take after the stop.
const LAST_REQUEST_MAX: Duration = Duration::from_secs(5);

/// Stored requests, oldest first.
#[derive(Debug)]
pub(super) struct Outbox {
    spool: Spool,
    requests_max: usize,
    pending: Mutex<PendingRequests>,
    added: Notify,
    next_collection: AtomicU64,
}

/// The stored requests by age, and the number of their records.
#[derive(Debug, Default)]
struct PendingRequests {
    by_key: BTreeMap<RequestKey, Pending>,
    /// The records of each target that is known.
    records: HashMap<Arc<str>, u64>,
}

impl PendingRequests {
    fn extend(&mut self, requests: impl IntoIterator<Item = (RequestKey, Pending)>) {
        for (key, request) in requests {
            if let Some(target) = &request.target {
                *self.records.entry(target.clone()).or_default() += request.records;
            }
            self.by_key.insert(key, request);
        }
    }

    fn remove(&mut self, key: RequestKey) {
        let Some(Pending { target: Some(target), records, .. }) = self.by_key.remove(&key) else { return };
        if let Some(of_target) = self.records.get_mut(&target) {
            *of_target -= records;
            if *of_target == 0 {
                self.records.remove(&target);
            }
        }
    }
}

/// A stored request.
#[derive(Clone, Debug)]
struct Pending {
    /// The target, unless the request is of an earlier run and was not read yet.
    target: Option<Arc<str>>,
    records: u64,
    bytes: usize,
}

impl Pending {
    fn found(request: &QueuedRequest) -> (RequestKey, Self) {
        (request.key, Self { target: None, records: request.points, bytes: request.len })
    }
}

impl Outbox {
    /// Opens the directory in `state_dir`. A directory that cannot be opened now is opened by a later write.
    /// At most `requests_max` requests are stored.
    pub(super) fn open(state_dir: &Path, max_bytes: usize, requests_max: usize, telemetry: Arc<SelfTelemetry>) -> Self {
        let config = config::Spool { dir: state_dir.join(DIR), max_bytes };
        let (spool, found) = Spool::open(&config, SpoolSignal::Logs, telemetry);
        if !found.is_empty() {
            let records: u64 = found.iter().map(|request| request.points).sum();
            info!(records, "found delivery records of an earlier run that are not exported yet");
        }
        // Larger than the number of any earlier request, whatever the clock.
        let after_found = found.last().map_or(0, |last| last.key.collection.saturating_add(1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let first = u64::try_from(now).unwrap_or_default().max(after_found);
        let mut pending = PendingRequests::default();
        pending.extend(found.iter().map(Pending::found));
        Self { spool, requests_max, pending: Mutex::new(pending), added: Notify::new(), next_collection: AtomicU64::new(first) }
    }

    /// Stores requests of a target: all of them or, if the disk is full or fails, none. Returns `true` if they are on disk.
    pub(super) async fn store(&self, target: &Arc<str>, requests: Vec<EncodedRequest>) -> bool {
        if self.pending.lock().by_key.len() + requests.len() > self.requests_max {
            return false;
        }
        let mut stored = Vec::new();
        for request in requests {
            let key = RequestKey { collection: self.next_collection.fetch_add(1, Ordering::Relaxed), part: 0 };
            let pending = Pending { target: Some(target.clone()), records: request.points, bytes: request.bytes.len() };
            // Uncompressed, because stored requests are joined before they are sent.
            let body = RequestBody::uncompressed(request.bytes);
            let entry = SpoolEntry { key, points: request.points, queued_at: SystemTime::now(), body };
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

    /// Adds requests of an earlier run, if the directory could be opened only now.
    fn add_found(&self) {
        let found = self.spool.take_found();
        self.pending.lock().extend(found.iter().map(Pending::found));
    }

    /// The number of stored records of each target that is known.
    pub(super) fn records(&self, target: &str) -> u64 {
        self.pending.lock().records.get(target).copied().unwrap_or(0)
    }

    /// The oldest request, and those of the same target that follow it and fit into one request of `bytes_max` bytes.
    fn next(&self, bytes_max: usize) -> Vec<(RequestKey, Pending)> {
        let pending = self.pending.lock();
        let mut next = Vec::<(RequestKey, Pending)>::new();
        let mut bytes = 0;
        for (key, request) in pending.by_key.iter().take(MERGED_MAX) {
            bytes += request.bytes;
            let belongs =
                |(_, first): &(RequestKey, Pending)| first.target.is_some() && first.target == request.target && bytes <= bytes_max;
            if !next.first().is_none_or(belongs) {
                break;
            }
            next.push((*key, request.clone()));
        }
        next
    }

    /// Exports the stored requests, oldest first, until `stop` is cancelled. What is not accepted by then stays on disk.
    pub(super) async fn run(self: Arc<Self>, mut sender: LogsSender, targets: TargetSet, stop: CancellationToken) {
        loop {
            let next = self.next(sender.bytes_max());
            if next.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.added.notified() => continue,
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
        self.spool.close().await;
    }

    async fn export(&self, requests: &[(RequestKey, Pending)], sender: &mut LogsSender, targets: &TargetSet) {
        let (mut merged, mut records, mut keys) = (BytesMut::new(), 0, Vec::new());
        let mut target = None;
        for (key, request) in requests {
            match self.spool.body(*key).await {
                Ok(RequestBody { bytes, .. }) => {
                    target = target.or_else(|| request.target.clone()).or_else(|| target_of(&bytes));
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
        if keys.is_empty() {
            return;
        }
        let name = target.as_deref().unwrap_or("unknown");
        let rejected = sender.send(name, EncodedRequest { bytes: merged.freeze(), points: records }).await.min(records);
        self.spool.delete(keys.iter().copied()).await;
        {
            let mut pending = self.pending.lock();
            keys.iter().for_each(|key| pending.remove(*key));
        }
        if let Some(deliveries) = targets.find(name).and_then(|collected| collected.deliveries.clone()) {
            deliveries.count(RecordState::Sent, records - rejected);
            deliveries.count(RecordState::Refused, rejected);
            deliveries.set_queued(self.records(name));
        }
    }
}

/// The target of a stored request: the instance of its resource.
fn target_of(request: &[u8]) -> Option<Arc<str>> {
    let request = ExportLogsServiceRequest::decode(request).ok()?;
    let resource = request.resource_logs.into_iter().next()?.resource?;
    let instance = resource.attributes.into_iter().find(|attribute| attribute.key == "service.instance.id")?;
    match instance.value?.value? {
        Value::StringValue(name) => Some(name.into()),
        _ => None,
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
        // Requests of an earlier run count, too.
        outbox.spool.close().await;
        drop(outbox);
        let outbox = Outbox::open(dir.path(), usize::MAX, 6, telemetry);
        assert!(outbox.store(&one, requests(1)).await);
        assert!(!outbox.store(&one, requests(1)).await);
        // Space is free again when a request was exported.
        let oldest = outbox.next(usize::MAX)[0].0;
        outbox.spool.delete([oldest]).await;
        outbox.pending.lock().remove(oldest);
        assert!(outbox.store(&other, requests(1)).await);
        assert_eq!((files(dir.path()), outbox.records("mta1"), outbox.records("mta2")), (6, 2, 2));
    }
}
