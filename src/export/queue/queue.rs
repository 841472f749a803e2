//! The queue of one receiver.
//!
//! The collector adds requests, and the worker sends them, oldest first. The request that is being sent is the current one. A request
//! leaves the queue when the receiver accepts it, rejects it permanently or does not accept it in time (`give_up_after`), and when the
//! queue is full and the request belongs to the oldest collection.

use super::queued_request::{QueuedRequest, RequestKey, Storage, first_collection, points_of, spooled_keys};
use super::receiver_state::ReceiverState;
use super::request_exporter::{ExportFailure, ExportRequest, PartialSuccess};
use super::request_file::SpoolEntry;
use super::request_list::{RequestList, SizeLimits};
use super::spool::Spool;
use super::status::PushStatus;
use super::store::SpoolSignal;
use crate::config;
use crate::export::request_body::RequestBody;
use crate::telemetry::{ExportMetrics, SelfTelemetry};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tracing::{info, warn};

/// The collector pauses while at least this many bytes are queued and the receiver accepts requests, so that a large collection is not
/// held in memory as a whole.
const PAUSE_FROM_BYTES: usize = 8 * 1024 * 1024;

/// The queue of requests to one receiver.
#[derive(Debug)]
pub struct ExportQueue {
    endpoint: String,
    requests: Mutex<RequestList>,
    spool: Option<Spool>,
    receiver: Mutex<ReceiverState>,
    next_collection: AtomicU64,
    is_closed: AtomicBool,
    telemetry: Arc<SelfTelemetry>,
    /// Notified when a request was added or the queue was closed.
    added: Notify,
    /// Notified when a request was removed or an attempt to send one failed.
    attempted: Notify,
}

impl ExportQueue {
    /// Creates a queue, with the requests that an earlier run left in the spool.
    #[must_use]
    pub fn new(endpoint: String, config: &config::Queue, telemetry: Arc<SelfTelemetry>) -> Self {
        let mut limits = SizeLimits { memory_bytes_max: config.max_bytes, spool_bytes_max: 0 };
        let (mut spool, mut found) = (None, Vec::new());
        if let Some(config) = &config.spool {
            let (opened, found_in_spool) = Spool::open(config, SpoolSignal::Metrics, telemetry.clone());
            limits.spool_bytes_max = config.max_bytes;
            (spool, found) = (Some(opened), found_in_spool);
        }
        telemetry.export.spool_damaged(0);
        let queue = Self {
            endpoint,
            requests: Mutex::new(RequestList::new(limits)),
            spool,
            receiver: Mutex::default(),
            next_collection: AtomicU64::new(first_collection(&found)),
            is_closed: AtomicBool::new(false),
            telemetry,
            added: Notify::new(),
            attempted: Notify::new(),
        };
        queue.add_found(found);
        queue.record_usage();
        queue
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn metrics(&self) -> &ExportMetrics {
        &self.telemetry.export
    }

    /// Returns the state of the queue and of its receiver.
    #[must_use]
    pub fn status(&self) -> PushStatus {
        let (requests, receiver) = (self.requests(), self.receiver());
        PushStatus {
            endpoint: self.endpoint.clone(),
            queued_requests: requests.len(),
            queued_points: requests.points(),
            memory: requests.memory_usage(),
            oldest_queued_at: requests.oldest().map(|oldest| oldest.queued_at),
            spool: self.spool.as_ref().map(|spool| spool.status(requests.spool_usage())),
            last_accepted_at: receiver.last_accepted_at,
            accepted_points: receiver.accepted_points,
            lost_points: receiver.lost_points,
            failure: receiver.failure.clone(),
        }
    }

    /// Returns the number of a new collection. The requests of a collection are kept or dropped together.
    pub(crate) fn next_collection(&self) -> u64 {
        self.next_collection.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits until less than [`PAUSE_FROM_BYTES`] are queued. Returns immediately if the receiver fails, because the queue would not become
    /// shorter.
    pub(crate) async fn wait_until_short(&self) {
        let is_short = || self.receiver().failure.is_some() || self.requests().bytes() < PAUSE_FROM_BYTES;
        wait_for(&self.attempted, || is_short().then_some(())).await;
    }

    /// Adds a request: to the spool if possible, otherwise in memory. Drops the oldest collections if the queue is full. The request is
    /// not added if the returned future is dropped before it completes.
    pub(crate) async fn add(&self, key: RequestKey, request: ExportRequest) {
        let queued_at = SystemTime::now();
        let points = request.points;
        let mut queued = QueuedRequest::in_memory(key, request.clone(), queued_at);
        if let Some(spool) = &self.spool {
            let entry = SpoolEntry { key, points, queued_at, owner: None, body: request.body };
            if self.write_to_spool(spool, entry).await {
                queued.storage = Storage::Spool;
            }
            self.add_found(spool.take_found());
        }
        self.metrics().waiting(signed(points));
        let dropped = self.requests().add(queued);
        self.record_usage();
        self.added.notify_one();
        self.count_dropped(&dropped);
    }

    /// Writes a request to the spool if it fits. Returns true if the request is on disk.
    async fn write_to_spool(&self, spool: &Spool, entry: SpoolEntry) -> bool {
        let freed = self.requests().free_spool(entry.body.len(), entry.key.collection);
        // A request that cannot fit on disk is kept in memory.
        let Some(dropped) = freed else { return false };
        self.count_dropped(&dropped);
        let is_written = spool.write(entry).await;
        if is_written {
            self.requests().set_spool_readable(true);
        }
        is_written
    }

    /// Adds requests that an earlier run left in the spool.
    fn add_found(&self, found: Vec<QueuedRequest>) {
        if found.is_empty() {
            return;
        }
        let points = points_of(&found);
        info!(endpoint = self.endpoint, requests = found.len(), points, "found unsent metrics of an earlier run in the spool");
        self.metrics().waiting(signed(points));
        self.requests().add_found(found);
    }

    /// Waits for the oldest request, which becomes the current one. Returns `None` once the queue is closed and empty.
    pub(crate) async fn next_request(&self) -> Option<QueuedRequest> {
        let next = || {
            let current = self.requests().next_request();
            (current.is_some() || self.is_closed()).then_some(current)
        };
        wait_for(&self.added, next).await
    }

    /// Reads the body to send: that of the request, or of its next part if it was split.
    pub(crate) async fn body(&self, request: &QueuedRequest) -> Result<RequestBody, ExportFailure> {
        if let Some(part) = request.next_part() {
            return Ok(part.body.clone());
        }
        match (&request.storage, &self.spool) {
            (Storage::Memory(body), _) => Ok(body.clone()),
            (Storage::Spool, Some(spool)) => {
                let body = spool.body(request.key).await;
                self.requests().set_spool_readable(!matches!(body, Err(ExportFailure::SpoolUnreadable(_))));
                body
            }
            (Storage::Spool, None) => Err(ExportFailure::Damaged("no spool is configured".to_owned())),
        }
    }

    /// Replaces the current request, or its next part, by smaller parts.
    pub(crate) fn split_current(&self, parts: Vec<ExportRequest>) {
        self.requests().split_current(parts);
    }

    /// Removes the current request, or its next part, which the receiver accepted except for the rejected points.
    pub(crate) async fn remove_accepted(&self, response: PartialSuccess) {
        let Some(request) = self.requests().remove_current() else { return };
        let rejected_points = response.rejected.min(request.points);
        let accepted_points = request.points - rejected_points;
        self.metrics().exported(accepted_points, None);
        if rejected_points > 0 {
            self.metrics().exported(rejected_points, Some("rejected"));
        }
        self.metrics().waiting(-signed(request.points));
        self.record_usage();
        let queued_requests = self.requests().len();
        {
            let mut receiver = self.receiver();
            receiver.count_accepted(accepted_points);
            let response = PartialSuccess { rejected: rejected_points, ..response };
            receiver.log_accepted(&self.endpoint, request.key.collection, &response, queued_requests);
            receiver.count_lost(rejected_points);
        }
        self.delete_files(&[request]).await;
        self.attempted.notify_waiters();
    }

    /// Keeps the current request, to be sent again after `wait`.
    pub(crate) fn retry_current(&self, failure: &ExportFailure, wait: Duration) {
        let collection = self.requests().requeue_current();
        self.metrics().retried(failure.error_type());
        {
            let mut receiver = self.receiver();
            receiver.log_retry(&self.endpoint, collection, failure);
            receiver.count_failure(failure, Some(wait));
        }
        self.attempted.notify_waiters();
    }

    /// Removes the current request, which will not be sent again.
    pub(crate) async fn drop_current(&self, failure: &ExportFailure) {
        let removed: Vec<_> = self.requests().remove_current().into_iter().collect();
        let Some(last) = removed.last() else { return };
        self.receiver().log_lost(&self.endpoint, last.key.collection, failure);
        self.lose(removed, failure.error_type(), failure, None).await;
    }

    /// Removes all requests that were queued for at least `age_max`, because the receiver still fails. The others are sent again after
    /// `wait`.
    pub(crate) async fn expire(&self, age_max: Duration, failure: &ExportFailure, wait: Duration) {
        let expired = self.requests().remove_older_than(age_max);
        let Some(last) = expired.last() else { return };
        self.receiver().log_expired(&self.endpoint, last.key.collection, points_of(&expired), age_max, failure);
        self.lose(expired, "expired", failure, Some(wait)).await;
    }

    /// Counts removed requests as lost, and deletes their files.
    async fn lose(&self, removed: Vec<QueuedRequest>, error_type: &'static str, failure: &ExportFailure, wait: Option<Duration>) {
        self.receiver().count_failure(failure, wait);
        self.count_lost(&removed, error_type);
        self.delete_files(&removed).await;
        self.record_usage();
        self.attempted.notify_waiters();
    }

    /// Counts requests that were dropped because the queue is full. Their files are deleted with the next operation on the spool.
    fn count_dropped(&self, dropped: &[QueuedRequest]) {
        if dropped.is_empty() {
            return;
        }
        self.receiver().log_overflow(&self.endpoint, points_of(dropped));
        self.count_lost(dropped, "queue_full");
        if let Some(spool) = &self.spool {
            spool.delete_later(spooled_keys(dropped));
        }
    }

    fn count_lost(&self, requests: &[QueuedRequest], error_type: &'static str) {
        let points = points_of(requests);
        self.metrics().exported(points, Some(error_type));
        self.metrics().waiting(-signed(points));
        self.receiver().count_lost(points);
    }

    /// Counts points of a collection that the shutdown kept from being queued.
    pub(crate) fn count_never_queued(&self, points: u64) {
        self.metrics().exported(points, Some("shutdown"));
        self.receiver().lost_points += points;
    }

    async fn delete_files(&self, requests: &[QueuedRequest]) {
        let mut keys = spooled_keys(requests).peekable();
        if let (Some(spool), Some(_)) = (&self.spool, keys.peek()) {
            spool.delete(keys).await;
        }
    }

    fn record_usage(&self) {
        let requests = self.requests();
        let (memory, spool) = (requests.memory_usage(), requests.spool_usage());
        drop(requests);
        self.metrics().queue("memory", memory.bytes, memory.max_bytes);
        if self.spool.is_some() {
            self.metrics().queue("disk", spool.bytes, spool.max_bytes);
        }
    }

    /// Closes the queue: no more requests will be added.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.added.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Ends the queue at shutdown. Requests in the spool stay there for the next start; requests in memory are lost and counted.
    pub(crate) async fn shut_down(&self) {
        let (spooled, lost): (Vec<_>, Vec<_>) = self.requests().drain().into_iter().partition(QueuedRequest::is_spooled);
        let endpoint = &self.endpoint;
        if let (Some(spool), false) = (&self.spool, spooled.is_empty()) {
            for remaining in spooled.iter().filter_map(QueuedRequest::remaining) {
                spool.replace(remaining).await;
            }
            let path = spool.path().display();
            info!(endpoint, requests = spooled.len(), %path, "unsent metrics stay in the spool until the next start");
        }
        if !lost.is_empty() {
            let (requests, points) = (lost.len(), points_of(&lost));
            match &self.spool {
                Some(_) => warn!(endpoint, requests, points, "unsent metrics are lost: they could not be written to the spool"),
                None => warn!(endpoint, requests, points, "unsent metrics are lost; set export.otlp.spool to keep them"),
            }
            self.count_lost(&lost, "shutdown");
        }
        if let Some(spool) = &self.spool {
            spool.close().await;
        }
    }

    fn requests(&self) -> MutexGuard<'_, RequestList> {
        self.requests.lock()
    }

    fn receiver(&self) -> MutexGuard<'_, ReceiverState> {
        self.receiver.lock()
    }
}

/// Waits until the check returns a value. It is repeated after each notification.
async fn wait_for<T>(notify: &Notify, check: impl Fn() -> Option<T>) -> T {
    loop {
        // Registered before the check, so that no notification between the check and the wait is missed.
        let notified = notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if let Some(value) = check() {
            return value;
        }
        notified.await;
    }
}

/// Converts a number of points to the type of an up-down counter.
fn signed(points: u64) -> i64 {
    i64::try_from(points).unwrap_or(i64::MAX)
}
