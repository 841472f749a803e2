//! Reads one window of a delivery log, page by page, and queues its new records.

use super::BATCH_RECORDS_MAX;
use super::feed::{Batch, ReadPosition};
use super::follower::Follower;
use super::page_shape::PageShape;
use super::rounds::RoundEnd;
use super::search_window::{NextRead, SearchWindow};
use crate::model::RecordState;
use crate::model::{Record, unix_seconds};
use crate::poll::PollError;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};
use tracing::warn;

/// Pages of one window. A window with more pages is halved.
const WINDOW_PAGES_MAX: u64 = 10;

/// The way in which reading a window ended.
pub(super) enum ReadEnd {
    /// All records were read.
    Complete,
    /// The window has more records than can be read at once.
    LimitExceeded,
    /// The server omits records, and the window cannot be divided further.
    Incomplete,
    /// The receiving end of the queue is closed.
    Closed,
    /// The poll has used up its requests.
    OutOfRequests,
}

impl Follower {
    /// Reads the rest of a window.
    pub(super) async fn read_window(&mut self, window: &mut SearchWindow, requests: &mut usize) -> Result<ReadEnd, PollError> {
        loop {
            if *requests == 0 {
                return Ok(ReadEnd::OutOfRequests);
            }
            *requests -= 1;
            let requested_at = unix_seconds(self.target.now());
            let (start, end, offset) = (window.page_start, window.end, window.rounds.map_or(1, |rounds| rounds.offset));
            let page = match self.reader.page(start, end, offset, window.page_rows).await {
                Err(PollError::TooLarge(_)) if window.has_large_page() => {
                    window.read_in_rounds();
                    continue;
                }
                Err(PollError::TooLarge(_)) if window.is_divisible() => return Ok(ReadEnd::LimitExceeded),
                page => page?,
            };
            // A server that fails occasionally is not down, so its pauses do not grow.
            self.backoff.reset();
            self.shared.deliveries.count(RecordState::Unreadable, self.unreadable.count_new(&page.unreadable));
            let (shape, pages, total) = (PageShape::of(&page, start, end), page.pages, page.total);
            // Some servers ignore the filter.
            let records: Vec<Record> = page.records.into_iter().filter(|record| (start..=end).contains(&record.at)).collect();
            window.note_page(requested_at, records.iter().map(|record| record.at));
            // From here on the records are known, so reading them again does not send them again.
            let Some(new) = self.queue(records).await else { return Ok(ReadEnd::Closed) };
            if let Some(rounds) = &mut window.rounds {
                rounds.found |= new > 0;
            }
            if self.overflow.has_omissions(&shape, window.is_part_of_overflowed, new) {
                if window.is_divisible() {
                    window.is_part_of_overflowed = true;
                    return Ok(ReadEnd::LimitExceeded);
                }
                if shape.next.is_none() {
                    return Ok(ReadEnd::Incomplete);
                }
            }
            self.report_unfounded_marks();
            let Some(next) = shape.next else {
                let Some(rounds) = &mut window.rounds else { return Ok(ReadEnd::Complete) };
                let known = self.shared.cursor().known_between(start, end);
                match rounds.end_round(total.is_some_and(|total| known >= total)) {
                    RoundEnd::Again => continue,
                    RoundEnd::Complete => return Ok(ReadEnd::Complete),
                    RoundEnd::Incomplete => return Ok(ReadEnd::Incomplete),
                }
            };
            if next <= offset {
                return Err(PollError::Malformed("the pages of the response do not advance".into()));
            }
            if window.advance(&shape) == NextRead::Divide
                || window.rounds.is_none() && pages.is_some_and(|pages| pages > WINDOW_PAGES_MAX) && window.is_divisible()
            {
                return Ok(ReadEnd::LimitExceeded);
            }
        }
    }

    /// Logs once that the server omits records, until a poll is complete again.
    pub(super) fn report_incomplete(&mut self, window: &SearchWindow) {
        self.shared.deliveries.failed(self.reader.part(), "too_large");
        if let Some(note) = self.incomplete.start(()) {
            let (target, part, second) = (self.target.name(), self.reader.part(), window.page_start);
            warn!(target, part, second, "the server omits records even from a query of one second; these records cannot be read{note}");
        }
    }

    /// Logs once that the server reports omissions although nothing is missing.
    fn report_unfounded_marks(&mut self) {
        if self.overflow.are_unfounded()
            && let Some(note) = self.unfounded_marks.start(())
        {
            let (target, part) = (self.target.name(), self.reader.part());
            warn!(
                target,
                part, "the server sets the overflow flag on complete responses; the flag is ignored if no record is missing{note}"
            );
        }
    }

    /// Queues the new records, and waits while the queue is full. Returns the number of new records, or `None` if the queue is closed.
    async fn queue(&mut self, records: Vec<Record>) -> Option<u64> {
        let deliveries = &self.shared.deliveries;
        let (read, mut new) = (records.len(), Vec::with_capacity(records.len()));
        {
            let mut cursor = self.shared.cursor();
            // The cursor may have moved while this page was read. Records before it were acknowledged and then removed.
            let start = cursor.next_start(self.shared.overlap);
            for record in records {
                let uid = self.key.uid(&record, &mut self.scratch);
                if record.at >= start && cursor.observe(uid.short(), record.at) {
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
            let batch = Batch { records: std::mem::replace(&mut new, rest), observed, position: None, is_rebased: false };
            self.shared.deliveries.set_queued(Some(self.shared.queued.fetch_add(n, Ordering::Relaxed) + n));
            if !self.send(batch).await {
                return None;
            }
        }
        Some(found)
    }

    /// Queues a batch. Returns false if the queue is closed, which happens when Postmeter stops.
    pub(super) async fn send(&mut self, batch: Batch) -> bool {
        self.sent += 1;
        self.sender.send(batch).await.is_ok()
    }

    /// Queues the read position after a window. The cursor moves when all earlier batches are acknowledged.
    pub(super) async fn send_position(&mut self, at: u64, end: Option<Instant>) {
        let position = Some(ReadPosition { at, end });
        self.send(Batch { records: Vec::new(), observed: SystemTime::now(), position, is_rebased: false }).await;
    }
}
