//! Reading a log on a timer: window by window, page by page, into the queue.

use super::feed::{Batch, ReadPosition};
use super::first::first_records;
use super::overflow::OverflowMarks;
use super::page_shape::PageShape;
use super::record_id::Key;
use super::rounds::RoundEnd;
use super::search_window::{Next, SearchWindow};
use super::unreadable::UnreadableRecords;
use super::{BATCH_RECORDS_MAX, Shared, seconds};
use crate::model::Record;
use crate::poll::{PollError, RecordReader, Target};
use crate::telemetry::RecordState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span, info, warn};

/// Pages of one window; one that has more is halved.
const WINDOW_PAGES_MAX: u64 = 10;
/// How far back the first look at a log goes, and where nothing is found, the second.
const FIRST_LOOK_SECONDS: [u64; 2] = [3600, 86_400];
/// The shortest first look, on a server that takes long to search.
const FIRST_LOOK_SECONDS_MIN: u64 = 60;
/// Requests of one poll. What is left is read by the next.
const POLL_REQUESTS_MAX: usize = 200;

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
    left_at: Option<SearchWindow>,
    odd: UnreadableRecords,
    overflow: OverflowMarks,
    /// The log has never been read.
    is_first: bool,
    /// How far back the first look goes, in seconds.
    first_look: u64,
    /// How many batches were queued.
    sent: u64,
    failures: u32,
    /// What went wrong last: said once, until something else does.
    failing: Option<&'static str>,
    /// The log says that some seconds cannot be read completely.
    reported_incomplete: bool,
    /// The log says that marks of the server are ignored.
    reported_marks: bool,
    scratch: Vec<u8>,
}

/// How reading a window ended.
enum Read {
    /// All of it was read.
    Whole,
    /// It has more than can be read at once.
    LimitExceeded,
    /// All of it was read that the server gives: records are missing, and the window cannot be divided.
    Incomplete,
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
        let is_first = shared.cursor().is_unread();
        Self {
            target,
            reader,
            interval,
            key,
            shared,
            sender,
            left_at: None,
            odd: UnreadableRecords::default(),
            overflow: OverflowMarks::default(),
            is_first,
            first_look: FIRST_LOOK_SECONDS[0],
            sent: 0,
            failures: 0,
            failing: None,
            reported_incomplete: false,
            reported_marks: false,
            scratch: Vec::new(),
        }
    }

    /// Reads every interval until `stop` says so.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let span = debug_span!("messages", target = self.target.name());
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.poll().instrument(span) => result,
            };
            if let Some(wait) = self.report(result) {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.settled() => {}
            }
        }
    }

    /// Waits until all that was queued is taken and the cursor is where it belongs. The next poll would read the same again.
    async fn settled(&self) {
        let mut settled = self.shared.settled.subscribe();
        tokio::select! {
            _ = settled.wait_for(|settled| *settled >= self.sent) => {}
            () = self.sender.closed() => {}
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
        let wait = self.interval.saturating_mul((1 << self.failures.min(16)) - 1).min(self.target.config.backoff_max);
        self.failures += 1;
        match error {
            PollError::RateLimited(asked) => Some(wait.max(asked)),
            _ => Some(wait),
        }
    }

    /// Reads from the cursor to the end of the log, or as far as one poll goes.
    async fn poll(&mut self) -> Result<(), PollError> {
        let began = Instant::now();
        if self.is_first {
            self.begin_with_what_is_there().await?;
        }
        let mut requests = POLL_REQUESTS_MAX;
        let overlap = self.shared.overlap;
        let begin = self.shared.cursor().begin(overlap);
        let mut place = self.left_at.take().unwrap_or(SearchWindow::from(begin));
        let mut is_complete = true;
        self.overflow.begin_poll();
        loop {
            let now = seconds(self.target.now());
            place = match self.window(&mut place, &mut requests).await {
                Ok(read @ (Read::Whole | Read::Incomplete)) => {
                    if matches!(read, Read::Incomplete) {
                        is_complete = false;
                        self.report_incomplete(&place);
                    }
                    let end = place.is_open().then_some(began);
                    self.reached(place.reached(), end).await;
                    if end.is_some() {
                        self.odd.end();
                        self.reported_incomplete &= !is_complete;
                        return Ok(());
                    }
                    place.after(now, overlap.as_secs())
                }
                Ok(Read::LimitExceeded) => place.smaller(now),
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

    /// Before the first poll: what the log has already is known from now on, and where new records begin is read off its newest.
    async fn begin_with_what_is_there(&mut self) -> Result<(), PollError> {
        let now = seconds(self.target.now());
        let mut look = self.first_look;
        let mut page = match self.reader.newest_page(now.saturating_sub(look)).await {
            Err(error @ PollError::Timeout(_)) => {
                self.first_look = (look / 4).max(FIRST_LOOK_SECONDS_MIN);
                return Err(error);
            }
            page => page?,
        };
        let [first_look, second_look] = FIRST_LOOK_SECONDS;
        if page.records.is_empty() && look == first_look {
            match self.reader.newest_page(now.saturating_sub(second_look)).await {
                Ok(older) => (page, look) = (older, second_look),
                Err(PollError::Timeout(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let floor = self.shared.cursor().begin(self.shared.overlap);
        let first = first_records(page, now.saturating_sub(look), floor, now, self.shared.overlap.as_secs());
        let unwanted: Vec<(u64, u64)> =
            first.unwanted.iter().map(|record| (self.key.uid(record, &mut self.scratch).short(), record.at)).collect();
        self.shared.cursor().rebase(first.floor, unwanted.into_iter());
        self.is_first = false;
        let batch = Batch { records: Vec::new(), observed: SystemTime::now(), reached: None, is_rebased: true };
        self.send(batch).await;
        Ok(())
    }

    async fn window(&mut self, place: &mut SearchWindow, requests: &mut usize) -> Result<Read, PollError> {
        loop {
            if *requests == 0 {
                return Ok(Read::Spent);
            }
            *requests -= 1;
            let asked_at = seconds(self.target.now());
            let (from, end, offset) = (place.from, place.end, place.rounds.map_or(1, |rounds| rounds.offset));
            let page = match self.reader.page(from, end, offset, place.page_rows).await {
                Err(PollError::TooLarge(_)) if place.has_large_page() => {
                    place.read_in_rounds();
                    continue;
                }
                Err(PollError::TooLarge(_)) if place.has_parts() => return Ok(Read::LimitExceeded),
                page => page?,
            };
            // A server that fails now and then is not one that is down.
            self.failures = 0;
            self.shared.deliveries.count(RecordState::Unreadable, self.odd.meet(&page.unreadable));
            let (shape, pages, total) = (PageShape::of(&page, from, end), page.pages, page.total);
            // A server may not know the filter.
            let records: Vec<Record> = page.records.into_iter().filter(|record| (from..=end).contains(&record.at)).collect();
            place.note_page(asked_at, records.iter().map(|record| record.at));
            // All that was read is known now, and is not sent again when it is read again.
            let Some(new) = self.queue(records).await else { return Ok(Read::Closed) };
            if let Some(rounds) = &mut place.rounds {
                rounds.found |= new > 0;
            }
            if self.overflow.are_left_out(&shape, place.is_part_of_overflowed, new) {
                if place.has_parts() {
                    place.is_part_of_overflowed = true;
                    return Ok(Read::LimitExceeded);
                }
                if shape.next.is_none() {
                    return Ok(Read::Incomplete);
                }
            }
            self.report_marks();
            let Some(next) = shape.next else {
                let Some(rounds) = &mut place.rounds else { return Ok(Read::Whole) };
                let known = self.shared.cursor().known_between(from, end);
                match rounds.end_round(total.is_some_and(|total| known >= total)) {
                    RoundEnd::Again => continue,
                    RoundEnd::Complete => return Ok(Read::Whole),
                    RoundEnd::Incomplete => return Ok(Read::Incomplete),
                }
            };
            if next <= offset {
                return Err(PollError::Malformed("the pages of the answer do not advance".into()));
            }
            if place.advance(&shape) == Next::Divide
                || place.rounds.is_none() && pages.is_some_and(|pages| pages > WINDOW_PAGES_MAX) && place.has_parts()
            {
                return Ok(Read::LimitExceeded);
            }
        }
    }

    /// Logs once that a window is read as far as the server lets it be read, until a poll gets everything again.
    fn report_incomplete(&mut self, place: &SearchWindow) {
        self.shared.deliveries.failed(self.reader.part(), "too_large");
        if !std::mem::replace(&mut self.reported_incomplete, true) {
            let (target, part) = (self.target.name(), self.reader.part());
            warn!(
                target,
                part,
                from = place.from,
                "the server leaves records out of its response even for a single second: they cannot be read"
            );
        }
    }

    /// Logs once that the server reports omissions that are none.
    fn report_marks(&mut self) {
        if self.overflow.are_unfounded() && !std::mem::replace(&mut self.reported_marks, true) {
            let (target, part) = (self.target.name(), self.reader.part());
            warn!(target, part, "the server marks complete responses as overflowed: the mark is ignored where nothing is missing");
        }
    }

    /// Queues what is new, and waits where the queue is full. Returns how many records were new; nothing when nobody takes them.
    async fn queue(&mut self, records: Vec<Record>) -> Option<u64> {
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
        let found = new.len() as u64;
        deliveries.count(RecordState::Read, found);
        deliveries.count(RecordState::Repeated, (read - new.len()) as u64);
        let observed = SystemTime::now();
        while !new.is_empty() {
            let rest = new.split_off(new.len().min(BATCH_RECORDS_MAX));
            let n = new.len() as u64;
            let batch = Batch { records: std::mem::replace(&mut new, rest), observed, reached: None, is_rebased: false };
            self.shared.deliveries.set_queued(self.shared.queued.fetch_add(n, Ordering::Relaxed) + n);
            if !self.send(batch).await {
                return None;
            }
        }
        Some(found)
    }

    /// Queues a batch. Returns whether anybody takes it: nobody does when Postmeter ends.
    async fn send(&mut self, batch: Batch) -> bool {
        self.sent += 1;
        self.sender.send(batch).await.is_ok()
    }

    /// A window was read whole: the cursor moves when all before it was taken.
    async fn reached(&mut self, at: u64, end: Option<Instant>) {
        let reached = Some(ReadPosition { at, end });
        self.send(Batch { records: Vec::new(), observed: SystemTime::now(), reached, is_rebased: false }).await;
    }
}
