//! The items of a sender that are not acknowledged yet.

use super::request::Item;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The largest number of items that wait. Beyond it the oldest is dropped.
pub(super) const WAITING_MAX: usize = 100_000;

/// An item, and its attempts so far.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    /// The message's number.
    pub id: u64,
    pub item: Item,
    pub failed_attempts: u32,
    pub due: Instant,
}

/// Items that wait for an attempt, oldest first.
#[derive(Debug, Default)]
pub(super) struct OutgoingQueue {
    waiting: VecDeque<Outgoing>,
    /// Items in requests that have not ended.
    sending: usize,
}

impl OutgoingQueue {
    /// Adds an item. Returns `false` if the oldest item was dropped for it.
    pub(super) fn push(&mut self, item: Outgoing) -> bool {
        self.waiting.push_back(item);
        self.waiting.len() <= WAITING_MAX || self.waiting.pop_front().is_none()
    }

    /// Removes the item of a message that waits for a retry. Returns `true` if there was one.
    pub(super) fn replace(&mut self, id: u64) -> bool {
        let at = self.waiting.iter().position(|waiting| waiting.id == id && waiting.failed_attempts > 0);
        at.is_some_and(|at| self.waiting.remove(at).is_some())
    }

    /// Removes the due items of the next request. `Err`: the time until there is one, if it is known.
    pub(super) fn next(&mut self, items_max: usize, is_newest_first: bool, now: Instant) -> Result<Vec<Outgoing>, Option<Duration>> {
        let due = |waiting: &Outgoing| waiting.due <= now;
        let mut next = Vec::new();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        let take_from = |queue: &mut VecDeque<Outgoing>| if is_newest_first { queue.pop_back() } else { queue.pop_front() };
        while next.len() < items_max
            && let Some(waiting) = take_from(&mut self.waiting)
        {
            match due(&waiting) {
                true => next.push(waiting),
                false if is_newest_first => kept.push_front(waiting),
                false => kept.push_back(waiting),
            }
        }
        if is_newest_first {
            self.waiting.append(&mut kept);
        } else {
            kept.append(&mut self.waiting);
            self.waiting = kept;
        }
        if next.is_empty() {
            return Err(self.waiting.iter().map(|waiting| waiting.due.saturating_duration_since(now)).min());
        }
        self.sending += next.len();
        Ok(next)
    }

    /// Notes that a request with so many items has ended.
    pub(super) fn end(&mut self, items: usize) {
        self.sending -= items.min(self.sending);
    }

    /// Returns `true` if nothing waits and nothing is being sent.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.sending == 0
    }
}
