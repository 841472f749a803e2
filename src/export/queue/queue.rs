//! Between collecting and sending: what was encoded, until it was taken.

use super::request_file::Row;
use super::request_list::{Bounds, Key, QueuedRequest, RequestList, Storage};
use super::spool::Spool;
use super::status::{Failing, PushStatus};
use crate::config;
use crate::export::otlp::metrics::Request;
use crate::export::otlp::news::ProblemLog;
use crate::export::otlp::request_size::RequestSize;
use crate::export::otlp::response::SendError;
use crate::telemetry::SelfTelemetry;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tracing::{info, warn};

/// `error.type` of points that a receiver left out.
const REJECTED: &str = "rejected";
/// What a receiver says of a request that it took.
const WARNED: &str = "warned";
/// While the receiver takes what it gets, no more than this waits: the next request is written when there is room.
const PACE_BYTES: usize = 8 * 1024 * 1024;

/// The queue of a push.
#[derive(Debug)]
pub struct ExportQueue {
    endpoint: String,
    spool: Option<Spool>,
    line: Mutex<RequestList>,
    state: Mutex<State>,
    collection: AtomicU64,
    request_size: Arc<RequestSize>,
    own: Arc<SelfTelemetry>,
    /// Something was put in, or will not be any more.
    filled: Notify,
    /// Something was taken out, or the receiver failed.
    moved: Notify,
}

/// How it goes.
#[derive(Debug, Default)]
struct State {
    last_taken: Option<SystemTime>,
    failing: Option<Failing>,
    taken_points: u64,
    lost_points: u64,
    news: ProblemLog,
    overflowing: bool,
    closed: bool,
}

impl ExportQueue {
    /// Where what becomes of it is counted.
    pub(crate) fn own(&self) -> &SelfTelemetry {
        &self.own
    }

    /// An empty one, or with what the spool has kept.
    #[must_use]
    pub fn new(config: &config::Otlp, own: Arc<SelfTelemetry>) -> Self {
        let queue = &config.queue;
        let mut bounds = Bounds { memory_bytes_max: queue.max_bytes, spool_bytes_max: 0 };
        let (mut spool, mut kept) = (None, Vec::new());
        if let Some(of) = &queue.spool {
            let (opened, found) = Spool::open(of, own.clone());
            bounds.spool_bytes_max = of.max_bytes;
            (spool, kept) = (Some(opened), found);
        }
        // A time, so that it differs from those of an earlier run that are found later.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let after_kept = kept.last().map_or(0, |last| last.key.collection.saturating_add(1));
        let next = u64::try_from(now).unwrap_or_default().max(after_kept);
        let line = RequestList::new(bounds);
        own.export.spool_damaged(0);
        let outbox = Self {
            endpoint: config.receiver(),
            spool,
            line: Mutex::new(line),
            state: Mutex::default(),
            collection: AtomicU64::new(next),
            request_size: Arc::new(RequestSize::new(config.max_request_bytes)),
            own,
            filled: Notify::new(),
            moved: Notify::new(),
        };
        outbox.add_found(kept);
        outbox.measure();
        outbox
    }

    /// Queues what an earlier run has left in the spool.
    fn add_found(&self, found: Vec<QueuedRequest>) {
        if found.is_empty() {
            return;
        }
        let points = found.iter().map(|waiting| waiting.points).sum::<u64>();
        info!(requests = found.len(), points, "the spool has kept what an earlier run could not deliver");
        self.own.export.waiting(i64::try_from(points).unwrap_or(i64::MAX));
        self.line().add_found(found);
    }

    /// How large requests may be.
    pub(crate) fn request_size(&self) -> Arc<RequestSize> {
        self.request_size.clone()
    }

    /// Counts samples that were left out of a collection, by why.
    pub(crate) fn left_out(&self, samples: impl IntoIterator<Item = (&'static str, u64)>) {
        samples.into_iter().for_each(|(why, n)| self.own.changed(why, n));
    }

    /// How much waits where.
    fn measure(&self) {
        let line = self.line();
        let (memory, spool) = (line.memory(), line.spool());
        drop(line);
        self.own.export.queue("memory", memory.bytes, memory.max_bytes);
        if self.spool.is_some() {
            self.own.export.queue("disk", spool.bytes, spool.max_bytes);
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> PushStatus {
        let (line, state) = (self.line(), self.state());
        PushStatus {
            endpoint: self.endpoint.clone(),
            waiting_requests: line.len(),
            waiting_points: line.points(),
            memory: line.memory(),
            waiting_since: line.oldest().map(|oldest| oldest.queued_at),
            spool: self.spool.as_ref().map(|spool| spool.status(line.spool())),
            last_taken: state.last_taken,
            taken_points: state.taken_points,
            lost_points: state.lost_points,
            failing: state.failing.clone(),
        }
    }

    /// The number of a new collection, whose requests are kept or dropped together.
    pub(crate) fn collection(&self) -> u64 {
        self.collection.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits until there is little to send, or a reason not to wait for that.
    pub(crate) async fn room(&self) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let failing = self.state().failing.is_some();
            if failing || self.line().bytes() < PACE_BYTES {
                return;
            }
            moved.await;
        }
    }

    /// Queues a request. What the spool cannot take waits in memory. Given up halfway, it is not queued.
    pub(crate) async fn put(&self, key: Key, request: Request) {
        let queued_at = SystemTime::now();
        let (points, bytes) = (request.points, request.bytes.clone());
        let mut waiting = QueuedRequest::in_memory(key, request, queued_at);
        if let Some(spool) = &self.spool {
            let dropped = self.line().make_room_on_disk(bytes.len(), key.collection);
            // Where it cannot fit, it waits in memory.
            if let Some(dropped) = dropped {
                self.overflowed(&dropped);
                if spool.write(Row { key, points, queued_at, bytes }).await {
                    waiting.held = Storage::Spool;
                    self.line().spool_is_readable(true);
                }
            }
            self.add_found(spool.take_found());
        }
        self.own.export.waiting(i64::try_from(points).unwrap_or(i64::MAX));
        let dropped = self.line().add(waiting);
        self.measure();
        self.filled.notify_one();
        self.overflowed(&dropped);
    }

    /// So many points of a collection were not put, and never will be.
    pub(crate) fn not_put(&self, points: u64) {
        self.own.export.exported(points, Some("shutdown"));
        self.state().lost_points += points;
    }

    fn overflowed(&self, dropped: &[QueuedRequest]) {
        if dropped.is_empty() {
            return;
        }
        let first = !std::mem::replace(&mut self.state().overflowing, true);
        if first {
            let endpoint = &self.endpoint;
            warn!(endpoint, "the queue is full: the oldest collections are dropped and counted until the receiver takes some");
        }
        self.count_lost(dropped, "queue_full");
        if let Some(spool) = &self.spool {
            spool.leave(spooled(dropped));
        }
    }

    /// Counts what will never arrive.
    async fn lost(&self, requests: Vec<QueuedRequest>, error_type: &'static str) {
        self.count_lost(&requests, error_type);
        self.forget(requests).await;
    }

    fn count_lost(&self, requests: &[QueuedRequest], error_type: &'static str) {
        let points = requests.iter().map(|waiting| waiting.points).sum();
        self.own.export.exported(points, Some(error_type));
        self.own.export.waiting(-i64::try_from(points).unwrap_or(i64::MAX));
        self.state().lost_points += points;
    }

    async fn forget(&self, requests: Vec<QueuedRequest>) {
        let mut keys = spooled(&requests).peekable();
        if let (Some(spool), Some(_)) = (&self.spool, keys.peek()) {
            spool.remove(keys).await;
        }
    }

    /// The oldest request, once there is one; `None` when there will be no more.
    pub(crate) async fn first(&self) -> Option<QueuedRequest> {
        loop {
            let filled = self.filled.notified();
            tokio::pin!(filled);
            filled.as_mut().enable();
            if let Some(first) = self.line().send_first() {
                return Some(first);
            }
            if self.is_closed() {
                return None;
            }
            filled.await;
        }
    }

    /// Its bytes, or those of its first part.
    pub(crate) async fn bytes(&self, waiting: &QueuedRequest) -> Result<Bytes, SendError> {
        if let Some(part) = waiting.next_part() {
            return Ok(part.bytes.clone());
        }
        match (&waiting.held, &self.spool) {
            (Storage::CounterMemory(bytes), _) => Ok(bytes.clone()),
            (Storage::Spool, Some(spool)) => {
                let bytes = spool.bytes(waiting.key).await;
                self.line().spool_is_readable(!matches!(bytes, Err(SendError::Spool(_))));
                bytes
            }
            (Storage::Spool, None) => Err(SendError::Damaged("there is no spool".to_owned())),
        }
    }

    /// The first is sent in these parts instead.
    pub(crate) fn split_first(&self, parts: Vec<Request>) {
        self.line().split_first(parts);
    }

    /// The first, or its first part, was taken, but for so many points.
    pub(crate) async fn taken(&self, rejected: u64, reason: &str) {
        let Some(first) = self.line().remove_first() else { return };
        let rejected = rejected.min(first.points);
        let taken = first.points - rejected;
        self.own.export.exported(taken, None);
        if rejected > 0 {
            self.own.export.exported(rejected, Some(REJECTED));
        }
        self.own.export.waiting(-i64::try_from(first.points).unwrap_or(i64::MAX));
        self.measure();
        {
            let mut state = self.state();
            state.last_taken = Some(SystemTime::now());
            state.taken_points += taken;
            state.lost_points += rejected;
            state.overflowing = false;
            state.failing = None;
        }
        self.say_of_taken(&first, rejected, reason);
        self.forget(vec![first]).await;
        self.moved.notify_waiters();
    }

    fn say_of_taken(&self, first: &QueuedRequest, rejected: u64, reason: &str) {
        let (endpoint, collection) = (&self.endpoint, first.key.collection);
        let news = match (rejected, reason) {
            (0, "") => {
                let over = self.state().news.is_over(collection);
                if let Some(attempts) = over {
                    info!(endpoint, attempts, waiting_requests = self.line().len(), "the receiver takes metrics again");
                }
                return;
            }
            (0, _) => WARNED,
            _ => REJECTED,
        };
        let is_new = self.state().news.is_new(news, collection);
        match rejected {
            _ if !is_new => {}
            0 => warn!(endpoint, "the receiver took all, and warns: {reason}"),
            points => warn!(endpoint, points, "the receiver left points out: {reason}"),
        }
    }

    /// The first was not taken and will be sent again after this wait.
    pub(crate) fn not_taken(&self, error: &SendError, wait: Duration) {
        let collection = self.line().keep_first();
        self.own.export.retried(error.error_type());
        self.say(error, collection, "metrics were not delivered, and wait");
        self.fails(error, Some(wait));
        self.moved.notify_waiters();
    }

    /// All that have waited this long will not be sent again: the receiver fails, and is not asked about each.
    pub(crate) async fn expire(&self, limit: Duration, error: &SendError, wait: Duration) {
        let mut expired = Vec::new();
        while let Some(first) = self.line().remove_oldest_if(|first| first.has_waited(limit)) {
            expired.push(first);
        }
        self.gone(expired, "expired", error, Some(wait)).await;
    }

    /// The first will not be sent again.
    pub(crate) async fn given_up(&self, error: &SendError) {
        let first = self.line().remove_first();
        self.gone(first.into_iter().collect(), error.error_type(), error, None).await;
    }

    async fn gone(&self, requests: Vec<QueuedRequest>, error_type: &'static str, error: &SendError, wait: Option<Duration>) {
        let Some(last) = requests.last() else { return };
        self.say(error, last.key.collection, "metrics were not delivered, and are lost");
        self.fails(error, wait);
        self.lost(requests, error_type).await;
        self.measure();
        self.moved.notify_waiters();
    }

    /// `wait` is until the next attempt; without one the request is gone.
    fn fails(&self, error: &SendError, wait: Option<Duration>) {
        let now = SystemTime::now();
        let mut state = self.state();
        let (since, attempts) = state.failing.as_ref().map_or((now, 0), |failing| (failing.since, failing.attempts));
        state.failing = Some(Failing {
            error_type: error.error_type(),
            said: error.to_string(),
            since,
            attempts: attempts.saturating_add(1),
            next: wait.map(|wait| now + wait),
        });
    }

    fn say(&self, error: &SendError, collection: u64, what: &'static str) {
        // The spool has said what is wrong with it.
        if !matches!(error, SendError::Spool(_)) && self.state().news.is_new(error.error_type(), collection) {
            warn!(endpoint = &self.endpoint, error.type = error.error_type(), "{what}: {error}");
        }
    }

    /// Nothing is put in any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// At the end: what is on disk stays there, what is in memory is lost and counted.
    pub(crate) async fn end(&self) {
        let left = self.line().drain();
        let (spooled, lost): (Vec<_>, Vec<_>) = left.into_iter().partition(QueuedRequest::is_spooled);
        let endpoint = &self.endpoint;
        if let (Some(spool), false) = (&self.spool, spooled.is_empty()) {
            let path = spool.path().display();
            info!(endpoint, requests = spooled.len(), "what was not delivered waits in {path} for the next start");
        }
        if !lost.is_empty() {
            let points: u64 = lost.iter().map(|waiting| waiting.points).sum();
            let advice = if self.spool.is_some() { "the spool could not take it" } else { "export.otlp.spool would keep it" };
            warn!(endpoint, requests = lost.len(), points, "what was not delivered ends with the process; {advice}");
            self.lost(lost, "shutdown").await;
        }
        if let Some(spool) = &self.spool {
            spool.close().await;
        }
    }

    fn line(&self) -> MutexGuard<'_, RequestList> {
        self.line.lock()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn spooled(requests: &[QueuedRequest]) -> impl Iterator<Item = Key> {
    requests.iter().filter(|waiting| waiting.is_spooled()).map(|waiting| waiting.key)
}
