//! Follows a delivery log on a timer: window by window, page by page, into the queue.

use super::first_start::{Opening, corrected_start, first_start};
use super::overflow::OverflowMarks;
use super::record_id::HashKey;
use super::search_window::SearchWindow;
use super::unreadable::UnreadableRecords;
use super::window_reader::ReadEnd;
use super::{LogShared, feed::Batch};
use crate::model::{CLOCK_SECONDS_MIN, unix_seconds};
use crate::net::{Backoff, ProblemLog};
use crate::poll::{PollError, RecordReader, Target};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::field::{Empty, display};
use tracing::{Instrument, debug_span, info, warn};

/// The age in seconds up to which the first request searches a log. If nothing is found, a second request searches further back.
const FIRST_SEARCH_SECONDS: [u64; 2] = [3600, 86_400];
/// The shortest first search, for a server that takes long to search.
const FIRST_SEARCH_SECONDS_MIN: u64 = 60;
/// Requests of one poll. The next poll reads the rest.
const POLL_REQUESTS_MAX: usize = 200;

/// Follows the delivery log of one target.
#[derive(Debug)]
pub struct Follower {
    pub(super) target: Arc<Target>,
    pub(super) reader: RecordReader,
    interval: Duration,
    pub(super) key: HashKey,
    pub(super) shared: Arc<LogShared>,
    pub(super) sender: mpsc::Sender<Batch>,
    /// The window in which the last poll stopped before the end of the log.
    resume_at: Option<SearchWindow>,
    pub(super) unreadable: UnreadableRecords,
    pub(super) overflow: OverflowMarks,
    /// The log has never been read.
    is_first: bool,
    /// The time at which the follower was created, by the target's clock, and by one that nobody sets.
    opened: (u64, Instant),
    /// The clock has not been set, so the start is not known.
    unset_clock: ProblemLog<()>,
    /// The age in seconds up to which the first request searches.
    first_search: u64,
    /// The number of batches that were queued.
    pub(super) sent: u64,
    /// The first pause is the interval itself, so a single failure delays nothing.
    pub(super) backoff: Backoff,
    /// The error of the last poll.
    poll_problem: ProblemLog<(&'static str, String)>,
    /// Some seconds cannot be read completely.
    pub(super) incomplete: ProblemLog<()>,
    /// Unfounded overflow marks of the server are ignored.
    pub(super) unfounded_marks: ProblemLog<()>,
    pub(super) scratch: Vec<u8>,
}

impl Follower {
    pub(super) fn new(
        target: Arc<Target>,
        reader: RecordReader,
        interval: Duration,
        key: HashKey,
        shared: Arc<LogShared>,
        sender: mpsc::Sender<Batch>,
    ) -> Self {
        let is_first = shared.cursor().is_unread();
        let backoff = Backoff::new(interval, interval.saturating_add(target.config.backoff_max), 0.0);
        let opened = (unix_seconds(target.now()), Instant::now());
        Self {
            target,
            reader,
            interval,
            key,
            shared,
            sender,
            resume_at: None,
            unreadable: UnreadableRecords::default(),
            overflow: OverflowMarks::default(),
            is_first,
            opened,
            unset_clock: ProblemLog::default(),
            first_search: FIRST_SEARCH_SECONDS[0],
            sent: 0,
            backoff,
            poll_problem: ProblemLog::default(),
            incomplete: ProblemLog::default(),
            unfounded_marks: ProblemLog::default(),
            scratch: Vec::new(),
        }
    }

    /// Reads the log at each interval until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let span = debug_span!("messages", target = self.target.name(), otel.status_description = Empty);
            let result = tokio::select! {
                () = stop.cancelled() => return,
                result = self.poll().instrument(span.clone()) => result,
            };
            if let Err(error) = &result {
                span.record("otel.status_description", display(error));
            }
            drop(span);
            if let Some(pause) = self.report(result) {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.settled() => {}
            }
        }
    }

    /// Waits until all queued batches are acknowledged and the cursor has moved. Otherwise the next poll would read the same records again.
    async fn settled(&self) {
        let mut settled = self.shared.settled.subscribe();
        tokio::select! {
            _ = settled.wait_for(|settled| *settled >= self.sent) => {}
            () = self.sender.closed() => {}
        }
    }

    /// Logs changes and counts failures. Returns the pause in addition to the interval.
    fn report(&mut self, result: Result<(), PollError>) -> Option<Duration> {
        let (target, part) = (self.target.name(), self.reader.part());
        let Err(error) = result else {
            self.backoff.reset();
            if self.poll_problem.end().is_some() {
                info!(target, part, "poll succeeded again");
            }
            return None;
        };
        if let Some(note) = self.poll_problem.start((error.error_type(), error.cause())) {
            warn!(target, part, error.type = error.error_type(), "poll failed: {error}{note}");
        }
        self.shared.deliveries.failed(part, error.error_type());
        self.target.note_log_failure(part, &error);
        let pause = self.backoff.next(0.0).saturating_sub(self.interval);
        match error {
            PollError::RateLimited(required) => Some(pause.max(required)),
            _ => Some(pause),
        }
    }

    /// Reads from the cursor to the end of the log, or as far as the requests of one poll reach.
    async fn poll(&mut self) -> Result<(), PollError> {
        let began = Instant::now();
        if self.starts_in_future() {
            (self.is_first, self.resume_at) = (true, None);
        }
        if self.is_first {
            if !self.is_clock_set() {
                return Ok(());
            }
            self.start_at_newest_records().await?;
        }
        let mut requests = POLL_REQUESTS_MAX;
        let overlap = self.shared.overlap;
        let start = self.shared.cursor().next_start(overlap);
        let mut window = self.resume_at.take().unwrap_or(SearchWindow::since(start));
        let mut is_complete = true;
        self.overflow.start_poll();
        loop {
            let now = unix_seconds(self.target.now());
            window = match self.read_window(&mut window, &mut requests).await {
                Ok(end @ (ReadEnd::Complete | ReadEnd::Incomplete)) => {
                    if matches!(end, ReadEnd::Incomplete) {
                        is_complete = false;
                        self.report_incomplete(&window);
                    }
                    let log_end = window.is_open().then_some(began);
                    self.send_position(window.position(), log_end).await;
                    if log_end.is_some() {
                        self.unreadable.finish_reading();
                        if is_complete {
                            self.incomplete.end();
                        }
                        return Ok(());
                    }
                    window.next_window(now, overlap.as_secs())
                }
                Ok(ReadEnd::LimitExceeded) => window.first_half(now),
                Ok(ReadEnd::Closed) => return Ok(()),
                Ok(ReadEnd::OutOfRequests) => {
                    self.resume_at = Some(window);
                    return Ok(());
                }
                Err(error) => {
                    let is_slow = matches!(error, PollError::Timeout(_)) && window.is_divisible();
                    self.resume_at = Some(if is_slow { window.first_quarter(now) } else { window });
                    return Err(error);
                }
            };
        }
    }

    /// Returns true if nothing was read yet because the log was opened while the clock was ahead. All records would be before the start.
    fn starts_in_future(&self) -> bool {
        let cursor = self.shared.cursor();
        cursor.is_unread() && cursor.next_start(self.shared.overlap) > unix_seconds(self.target.now())
    }

    /// Returns false, and logs it once, while the clock shows a time before the first release: existing and new records would be confused.
    fn is_clock_set(&mut self) -> bool {
        let is_set = unix_seconds(self.target.now()) >= CLOCK_SECONDS_MIN;
        let target = self.target.name();
        if is_set {
            if self.unset_clock.end().is_some() {
                info!(target, "the clock of this machine is set; the delivery log is read");
            }
        } else if let Some(note) = self.unset_clock.start(()) {
            warn!(target, "the clock of this machine shows a time before 2026; the delivery log is not read until it is set{note}");
        }
        is_set
    }

    /// Before the first poll: marks the records that the log already has as known, and derives the start of new records from the newest.
    async fn start_at_newest_records(&mut self) -> Result<(), PollError> {
        let now = unix_seconds(self.target.now());
        let mut age = self.first_search;
        let mut page = match self.reader.newest_page(now.saturating_sub(age)).await {
            Err(error @ PollError::Timeout(_)) => {
                self.first_search = (age / 4).max(FIRST_SEARCH_SECONDS_MIN);
                return Err(error);
            }
            page => page?,
        };
        let [first_age, second_age] = FIRST_SEARCH_SECONDS;
        if page.records.is_empty() && age == first_age {
            match self.reader.newest_page(now.saturating_sub(second_age)).await {
                Ok(older) => (page, age) = (older, second_age),
                Err(PollError::Timeout(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let (opened_at, opened) = self.opened;
        let since = self.target.config.delivery_log.as_ref().map_or(0, |log| log.since.as_secs());
        let mut floor = self.shared.cursor().next_start(self.shared.overlap);
        let opening = Opening { at: opened_at, elapsed: opened.elapsed().as_secs() };
        if let Some(corrected) = corrected_start(floor, since, opening, now) {
            let (target, before, start) = (self.target.name(), floor, corrected);
            warn!(
                target,
                before,
                start,
                "the clock of this machine was corrected before the first record of the delivery log was read; the start is corrected"
            );
            self.shared.cursor().restart(corrected);
            floor = corrected;
        }
        let first = first_start(page, now.saturating_sub(age), floor, now, self.shared.overlap.as_secs());
        let unwanted: Vec<(u64, u64)> =
            first.unwanted.iter().map(|record| (self.key.uid(record, &mut self.scratch).short(), record.at)).collect();
        self.shared.cursor().rebase(first.floor, unwanted.into_iter());
        self.is_first = false;
        let batch = Batch { records: Vec::new(), observed: SystemTime::now(), position: None, is_rebased: true };
        self.send(batch).await;
        Ok(())
    }
}
