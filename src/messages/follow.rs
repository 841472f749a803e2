//! Reading a log on a timer: window by window, page by page, into the queue.

use super::feed::{Batch, Reached};
use super::identity::Key;
use super::odd::Odd;
use super::place::Place;
use super::{BATCH_RECORDS_MAX, Shared, seconds};
use crate::model::Record;
use crate::poll::{PollError, RecordReader, Target};
use crate::telemetry::RecordState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tracing::{Instrument, debug_span, info, warn};

/// Pages of one window; one that has more is halved.
const WINDOW_PAGES_MAX: u64 = 10;
/// Requests of one poll. What is left is read by the next.
const POLL_REQUESTS_MAX: usize = 200;
/// The longest wait after failures in a row, each of which doubles it.
const WAIT_MAX: Duration = Duration::from_secs(900);

/// What reads one target's log.
#[derive(Debug)]
pub struct Follower {
    target: Arc<Target>,
    reader: RecordReader,
    interval: Duration,
    key: Key,
    shared: Arc<Shared>,
    sender: mpsc::Sender<Batch>,
    /// Where the last poll did not get to the end.
    left_at: Option<Place>,
    odd: Odd,
    failures: u32,
    /// What went wrong last: said once, until something else does.
    failing: Option<&'static str>,
    scratch: Vec<u8>,
}

/// How reading a window ended.
enum Read {
    /// All of it was read.
    Whole,
    /// It has more than can be read at once.
    TooMuch,
    /// Nobody takes records any more.
    Closed,
    /// The poll has made all its requests.
    Spent,
}

impl Follower {
    pub(super) fn new(
        target: Arc<Target>,
        reader: RecordReader,
        interval: Duration,
        key: Key,
        shared: Arc<Shared>,
        sender: mpsc::Sender<Batch>,
    ) -> Self {
        let (left_at, odd, scratch) = Default::default();
        Self { target, reader, interval, key, shared, sender, left_at, odd, failures: 0, failing: None, scratch }
    }

    /// Reads every interval until `stop` says so.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = tick.tick() => {}
            }
            let span = debug_span!("messages", target = self.target.name());
            let result = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                result = self.poll().instrument(span) => result,
            };
            if let Some(wait) = self.report(result) {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }

    /// Says what is new, and how long to wait besides the interval.
    fn report(&mut self, result: Result<(), PollError>) -> Option<Duration> {
        let (target, part) = (self.target.name(), self.reader.part());
        let now = result.as_ref().err().map(PollError::error_type);
        let changed = std::mem::replace(&mut self.failing, now) != now;
        let Err(error) = result else {
            self.failures = 0;
            if changed {
                info!(target, part, "answers again");
            }
            return None;
        };
        if changed {
            warn!(target, part, error.type = error.error_type(), "{error}");
        }
        self.shared.deliveries.failed(part, error.error_type());
        let wait = self.interval.saturating_mul((1 << self.failures.min(16)) - 1).min(WAIT_MAX);
        self.failures += 1;
        match error {
            PollError::RateLimited(asked) => Some(wait.max(asked)),
            _ => Some(wait),
        }
    }

    /// Reads from the cursor to the end of the log, or as far as one poll goes.
    async fn poll(&mut self) -> Result<(), PollError> {
        let began = Instant::now();
        let mut requests = POLL_REQUESTS_MAX;
        let overlap = self.shared.overlap;
        let begin = self.shared.cursor().begin(overlap);
        let mut place = self.left_at.take().unwrap_or(Place::from(begin));
        loop {
            let now = seconds(self.target.now());
            place = match self.window(&mut place, &mut requests).await {
                Ok(Read::Whole) => {
                    let end = place.is_open().then_some(began);
                    self.reached(place.reached(), end).await;
                    if end.is_some() {
                        self.odd.end();
                        return Ok(());
                    }
                    place.after(now, overlap.as_secs())
                }
                Ok(Read::TooMuch) if place.has_parts() => place.smaller(now),
                Ok(Read::TooMuch) => {
                    // A second cannot be parted: what the server leaves out of it cannot be had.
                    let target = self.target.name();
                    warn!(target, second = place.start, "the server leaves records out of its answer even for a single second");
                    self.shared.deliveries.failed(self.reader.part(), "too_large");
                    place.after(now, overlap.as_secs())
                }
                Ok(Read::Closed) => return Ok(()),
                Ok(Read::Spent) => {
                    self.left_at = Some(place);
                    return Ok(());
                }
                Err(error) => {
                    let slow = matches!(error, PollError::Timeout(_)) && place.has_parts();
                    self.left_at = Some(if slow { place.quicker(now) } else { place });
                    return Err(error);
                }
            };
        }
    }

    async fn window(&mut self, place: &mut Place, requests: &mut usize) -> Result<Read, PollError> {
        let Place { start, end, .. } = *place;
        loop {
            if *requests == 0 {
                return Ok(Read::Spent);
            }
            *requests -= 1;
            let asked_at = seconds(self.target.now());
            let page = match self.reader.page(start, end, place.offset).await {
                Err(PollError::TooLarge(_)) if end > start => return Ok(Read::TooMuch),
                page => page?,
            };
            // A server that fails now and then is not one that is down.
            self.failures = 0;
            self.shared.deliveries.count(RecordState::Unreadable, self.odd.meet(&page.unreadable));
            // A server may not know the filter.
            let asked: Vec<Record> = page.records.into_iter().filter(|record| (start..=end).contains(&record.at)).collect();
            place.page(asked_at, asked.iter().map(|record| record.at).max());
            if !self.queue(asked).await {
                return Ok(Read::Closed);
            }
            // All that was read is known now, and is not sent again when the halves are read.
            if page.pages.is_some_and(|pages| pages > WINDOW_PAGES_MAX) && end > start {
                return Ok(Read::TooMuch);
            }
            match page.next {
                Some(next) if next <= place.offset => return Err(PollError::Malformed("the pages of the answer do not advance".into())),
                Some(next) => place.offset = next,
                None if page.overflowed && place.newest.is_some() => return Ok(Read::TooMuch),
                None => return Ok(Read::Whole),
            }
        }
    }

    /// Queues what is new, and waits where the queue is full. False when nobody takes it.
    async fn queue(&mut self, records: Vec<Record>) -> bool {
        let deliveries = &self.shared.deliveries;
        let (read, mut new) = (records.len(), Vec::with_capacity(records.len()));
        {
            let mut cursor = self.shared.cursor();
            // It may have moved while this page was read, and what is behind it has been forgotten because it was taken.
            let begin = cursor.begin(self.shared.overlap);
            for record in records {
                let uid = self.key.uid(&record, &mut self.scratch);
                if record.at >= begin && cursor.meet(uid.short(), record.at) {
                    new.push((uid, record));
                }
            }
        }
        deliveries.count(RecordState::Read, new.len() as u64);
        deliveries.count(RecordState::Repeated, (read - new.len()) as u64);
        let observed = SystemTime::now();
        while !new.is_empty() {
            let rest = new.split_off(new.len().min(BATCH_RECORDS_MAX));
            let n = new.len() as u64;
            let batch = Batch { records: std::mem::replace(&mut new, rest), observed, reached: None };
            deliveries.queued(self.shared.queued.fetch_add(n, Ordering::Relaxed) + n);
            if self.sender.send(batch).await.is_err() {
                return false;
            }
        }
        true
    }

    /// A window was read whole: the cursor moves when all before it was taken.
    async fn reached(&self, at: u64, end: Option<Instant>) {
        let batch = Batch { records: Vec::new(), observed: SystemTime::now(), reached: Some(Reached { at, end }) };
        // Nobody takes it when Postmeter ends.
        let _ = self.sender.send(batch).await;
    }
}
