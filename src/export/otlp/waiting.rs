//! What waits for the receiver: requests of whole collections, oldest first, bounded by bytes.
//!
//! # Collections are dropped whole
//!
//! Where there is no room, the oldest collection goes, not the oldest request: half a collection is a picture of a server that
//! never was. The newest is kept even where it alone is larger than the bound, or a large target would never be sent whole.

use super::encode::Request;
use super::spool::Key;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// Where the bytes of a request are.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Memory(Bytes),
    Spool,
}

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub key: Key,
    pub points: u64,
    pub len: usize,
    pub queued_at: SystemTime,
    pub held: Held,
}

impl Waiting {
    pub(super) fn in_memory(key: Key, request: Request, queued_at: SystemTime) -> Self {
        Self { key, points: request.points, len: request.bytes.len(), queued_at, held: Held::Memory(request.bytes) }
    }

    /// Whether it has waited this long.
    pub(super) fn has_waited(&self, limit: Duration) -> bool {
        self.queued_at.elapsed().unwrap_or_default() >= limit
    }

    const fn is_spooled(&self) -> bool {
        matches!(self.held, Held::Spool)
    }
}

/// How many bytes may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub memory_bytes_max: usize,
    pub spool_bytes_max: usize,
}

/// Everything that waits.
#[derive(Debug)]
pub(super) struct Line {
    bounds: Bounds,
    requests: VecDeque<Waiting>,
    memory_bytes: usize,
    spool_bytes: usize,
    points: u64,
    /// The first one is on its way: it is not dropped, for it may be arriving.
    sending: bool,
}

impl Line {
    /// What a spool kept from an earlier run stands first.
    pub(super) fn new(bounds: Bounds, kept: Vec<Waiting>) -> Self {
        let mut line = Self { bounds, requests: VecDeque::new(), memory_bytes: 0, spool_bytes: 0, points: 0, sending: false };
        for waiting in kept {
            line.count(&waiting);
            line.requests.push_back(waiting);
        }
        line
    }

    /// Puts a request at the end. What had to go for it is returned.
    #[must_use]
    pub(super) fn add(&mut self, waiting: Waiting) -> Vec<Waiting> {
        self.count(&waiting);
        self.requests.push_back(waiting);
        let mut dropped = Vec::new();
        while self.memory_bytes > self.bounds.memory_bytes_max || self.spool_bytes > self.bounds.spool_bytes_max {
            let before = dropped.len();
            self.drop_oldest_collection(&mut dropped);
            if dropped.len() == before {
                break;
            }
        }
        dropped
    }

    fn drop_oldest_collection(&mut self, dropped: &mut Vec<Waiting>) {
        let at = usize::from(self.sending);
        let (Some(oldest), Some(newest)) = (self.requests.get(at), self.requests.back()) else { return };
        let (oldest, newest) = (oldest.key.collection, newest.key.collection);
        while oldest != newest && self.requests.get(at).is_some_and(|waiting| waiting.key.collection == oldest) {
            let Some(waiting) = self.requests.remove(at) else { return };
            self.discount(&waiting);
            dropped.push(waiting);
        }
    }

    /// The first request, which is being sent from now on.
    pub(super) fn send_first(&mut self) -> Option<Waiting> {
        let first = self.requests.front()?.clone();
        self.sending = true;
        Some(first)
    }

    /// The first request was not taken, and waits again. Says of which collection it is.
    pub(super) fn keep_first(&mut self) -> u64 {
        self.sending = false;
        self.requests.front().map_or(0, |first| first.key.collection)
    }

    /// The first request is done with.
    pub(super) fn remove_first(&mut self) -> Option<Waiting> {
        self.sending = false;
        let first = self.requests.pop_front()?;
        self.discount(&first);
        Some(first)
    }

    /// The same, if it is such a one.
    pub(super) fn remove_first_if(&mut self, is_such: impl FnOnce(&Waiting) -> bool) -> Option<Waiting> {
        self.requests.front().is_some_and(is_such).then(|| self.remove_first()).flatten()
    }

    /// Everything, at the end.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        let all: Vec<Waiting> = self.requests.drain(..).collect();
        all.iter().for_each(|waiting| self.discount(waiting));
        all
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn points(&self) -> u64 {
        self.points
    }

    pub(super) fn bytes(&self) -> usize {
        self.memory_bytes + self.spool_bytes
    }

    pub(super) fn oldest(&self) -> Option<SystemTime> {
        self.requests.front().map(|first| first.queued_at)
    }

    fn count(&mut self, waiting: &Waiting) {
        let bytes = if waiting.is_spooled() { &mut self.spool_bytes } else { &mut self.memory_bytes };
        *bytes += waiting.len;
        self.points += waiting.points;
    }

    fn discount(&mut self, waiting: &Waiting) {
        let bytes = if waiting.is_spooled() { &mut self.spool_bytes } else { &mut self.memory_bytes };
        *bytes -= waiting.len;
        self.points -= waiting.points;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::new(Bounds { memory_bytes_max: 10, spool_bytes_max: 10 }, Vec::new())
    }

    fn memory(collection: u64, part: u32, len: usize) -> Waiting {
        let request = Request { bytes: vec![0; len].into(), points: 1 };
        Waiting::in_memory(Key { collection, part }, request, SystemTime::UNIX_EPOCH)
    }

    fn spooled(collection: u64, part: u32, len: usize) -> Waiting {
        Waiting { held: Held::Spool, ..memory(collection, part, len) }
    }

    #[track_caller]
    fn add(line: &mut Line, waiting: Waiting, dropped: &[(u64, u32)]) {
        let keys: Vec<_> = line.add(waiting).iter().map(|waiting| (waiting.key.collection, waiting.key.part)).collect();
        assert_eq!(keys, dropped);
        assert_eq!(line.points, line.requests.len() as u64);
        assert_eq!(line.bytes(), line.requests.iter().map(|waiting| waiting.len).sum::<usize>());
    }

    #[test]
    fn the_oldest_collection_goes_whole() {
        let mut line = line();
        add(&mut line, memory(1, 0, 4), &[]);
        add(&mut line, memory(1, 1, 1), &[]);
        add(&mut line, memory(2, 0, 5), &[]);
        add(&mut line, memory(3, 0, 1), &[(1, 0), (1, 1)]);
    }

    #[test]
    fn a_collection_larger_than_the_bound_stays_whole() {
        let mut line = line();
        add(&mut line, memory(1, 0, 8), &[]);
        add(&mut line, memory(2, 0, 8), &[(1, 0)]);
        add(&mut line, memory(2, 1, 8), &[]);
        add(&mut line, memory(2, 2, 8), &[]);
        add(&mut line, memory(3, 0, 1), &[(2, 0), (2, 1), (2, 2)]);
    }

    #[test]
    fn what_is_on_its_way_is_not_dropped() {
        let mut line = line();
        add(&mut line, memory(1, 0, 4), &[]);
        add(&mut line, memory(1, 1, 4), &[]);
        let first = line.send_first().unwrap_or_else(|| memory(0, 0, 0));
        assert_eq!(first.key, Key { collection: 1, part: 0 });
        add(&mut line, memory(2, 0, 4), &[(1, 1)]);
        add(&mut line, memory(3, 0, 4), &[(2, 0)]);
        assert_eq!(line.remove_first().map(|waiting| waiting.key), Some(first.key));
        assert_eq!(line.len(), 1);
    }

    #[test]
    fn what_was_not_taken_may_be_dropped_again() {
        let mut line = line();
        add(&mut line, memory(1, 0, 6), &[]);
        assert!(line.send_first().is_some());
        line.keep_first();
        add(&mut line, memory(2, 0, 6), &[(1, 0)]);
    }

    #[test]
    fn disk_and_memory_have_bounds_of_their_own() {
        let mut line = line();
        add(&mut line, spooled(1, 0, 9), &[]);
        add(&mut line, memory(2, 0, 9), &[]);
        add(&mut line, spooled(3, 0, 2), &[(1, 0)]);
        assert_eq!(line.bytes(), 11);
    }

    #[test]
    fn what_is_drained_is_gone() {
        let mut line = line();
        add(&mut line, memory(1, 0, 4), &[]);
        add(&mut line, memory(2, 0, 4), &[]);
        assert_eq!(line.drain().len(), 2);
        assert_eq!((line.len(), line.bytes(), line.points()), (0, 0, 0));
    }
}
