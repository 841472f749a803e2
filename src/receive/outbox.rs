//! Records on disk that the OTLP receiver has not accepted yet, and their export.

use crate::config;
use crate::export::otlp::{EncodedRequest, LogsSender};
use crate::export::queue::request_exporter::ExportFailure;
use crate::export::queue::request_file::SpoolEntry;
use crate::export::queue::request_list::{QueuedRequest, RequestKey, SPOOLED_REQUESTS_MAX};
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
use std::collections::BTreeMap;
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
    pending: Mutex<BTreeMap<RequestKey, Pending>>,
    added: Notify,
    next_collection: AtomicU64,
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
    pub(super) fn open(state_dir: &Path, max_bytes: usize, telemetry: Arc<SelfTelemetry>) -> Self {
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
        Self {
            spool,
            pending: Mutex::new(found.iter().map(Pending::found).collect()),
            added: Notify::new(),
            next_collection: AtomicU64::new(first),
        }
    }

    /// Stores requests of a target: all of them or, if the disk is full or fails, none. Returns `true` if they are on disk.
    pub(super) async fn store(&self, target: &Arc<str>, requests: Vec<EncodedRequest>) -> bool {
        if self.pending.lock().len() + requests.len() > SPOOLED_REQUESTS_MAX {
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
        let pending = self.pending.lock();
        pending.values().filter(|request| request.target.as_deref() == Some(target)).map(|request| request.records).sum()
    }

    /// The oldest request, and those of the same target that follow it and fit into one request of `bytes_max` bytes.
    fn next(&self, bytes_max: usize) -> Vec<(RequestKey, Pending)> {
        let pending = self.pending.lock();
        let mut next = Vec::<(RequestKey, Pending)>::new();
        let mut bytes = 0;
        for (key, request) in pending.iter().take(MERGED_MAX) {
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
                Err(ExportFailure::Damaged(_)) => drop(self.pending.lock().remove(key)),
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
            keys.iter().for_each(|key| drop(pending.remove(key)));
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
