//! What waits for the receiver: requests of whole collections, oldest first, bounded by bytes.
//!
//! # Collections are dropped whole
//!
//! Where there is no room, the oldest collection goes, not the oldest request: half a collection is a picture of a server that
//! never was. The newest is kept even where it alone is larger than the bound, or a large target would never be sent whole.
//!
//! # Memory and disk have bounds of their own
//!
//! What goes is the oldest collection with a part where the room is short: dropping what is on disk frees no memory. With that
//! part go its others, wherever they are.

use super::encode::Request;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Which request: its collection, and its place in that. A later one is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub collection: u64,
    pub part: u32,
}

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

    pub(super) const fn is_spooled(&self) -> bool {
        matches!(self.held, Held::Spool)
    }
}

/// How many bytes may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub memory_bytes_max: usize,
    pub spool_bytes_max: usize,
}

/// How full it is where requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of requests that wait there.
    pub bytes: usize,
    /// How many may.
    pub max_bytes: usize,
}

/// What waits in one place.
#[derive(Debug)]
struct Place {
    requests: BTreeMap<Key, Waiting>,
    room: Room,
}

/// Everything that waits.
#[derive(Debug)]
pub(super) struct Line {
    memory: Place,
    spool: Place,
    points: u64,
    /// This one is on its way: it is not dropped, for it may be arriving.
    sending: Option<Key>,
    /// What is in memory need not wait for a disk.
    spool_is_readable: bool,
}

impl Place {
    fn new(max_bytes: usize) -> Self {
        Self { requests: BTreeMap::new(), room: Room { bytes: 0, max_bytes } }
    }

    const fn is_too_full(&self) -> bool {
        self.room.bytes > self.room.max_bytes
    }

    fn first(&self) -> Option<&Waiting> {
        self.requests.first_key_value().map(|(_, first)| first)
    }
}

impl Line {
    /// What a spool kept from an earlier run stands first.
    pub(super) fn new(bounds: Bounds, kept: Vec<Waiting>) -> Self {
        let (memory, spool) = (Place::new(bounds.memory_bytes_max), Place::new(bounds.spool_bytes_max));
        let mut line = Self { memory, spool, points: 0, sending: None, spool_is_readable: true };
        kept.into_iter().for_each(|waiting| line.insert(waiting));
        line
    }

    /// Puts a request at the end. What had to go for it is returned.
    #[must_use]
    pub(super) fn add(&mut self, waiting: Waiting) -> Vec<Waiting> {
        let newest = waiting.key.collection;
        self.insert(waiting);
        let mut dropped = Vec::new();
        while let Some(oldest) = self.oldest_that_takes_room(newest) {
            let parts = Key { collection: oldest, part: 0 }..=Key { collection: oldest, part: u32::MAX };
            let keys = [&self.memory, &self.spool].into_iter().flat_map(|place| place.requests.range(parts.clone()));
            let keys: Vec<Key> = keys.map(|(key, _)| *key).filter(|key| Some(*key) != self.sending).collect();
            dropped.extend(keys.into_iter().filter_map(|key| self.remove(key)));
        }
        dropped
    }

    /// The oldest collection with a part that may go where there is too little room; not the newest.
    fn oldest_that_takes_room(&self, newest: u64) -> Option<u64> {
        let short = [&self.memory, &self.spool].into_iter().filter(|place| place.is_too_full());
        let oldest = short.filter_map(|place| place.requests.keys().find(|key| Some(**key) != self.sending));
        oldest.map(|key| key.collection).filter(|collection| *collection != newest).min()
    }

    /// The first request, which is being sent from now on: the oldest that can be read.
    pub(super) fn send_first(&mut self) -> Option<Waiting> {
        let in_memory = self.memory.first().filter(|_| !self.spool_is_readable);
        let first = in_memory.or_else(|| self.oldest())?.clone();
        self.sending = Some(first.key);
        Some(first)
    }

    /// Whether the disk gives back what is there.
    pub(super) fn spool_is_readable(&mut self, is: bool) {
        self.spool_is_readable = is;
    }

    /// The first request was not taken, and waits again. Says of which collection it is.
    pub(super) fn keep_first(&mut self) -> u64 {
        self.sending.take().map_or(0, |first| first.collection)
    }

    /// The first request is done with.
    pub(super) fn remove_first(&mut self) -> Option<Waiting> {
        let first = self.sending.take()?;
        self.remove(first)
    }

    /// The oldest request is done with, if it is such a one. None is on its way.
    pub(super) fn remove_oldest_if(&mut self, is_such: impl FnOnce(&Waiting) -> bool) -> Option<Waiting> {
        self.sending = None;
        let oldest = self.oldest().filter(|oldest| is_such(oldest))?.key;
        self.remove(oldest)
    }

    /// Everything, at the end.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        let keys: Vec<Key> = self.memory.requests.keys().chain(self.spool.requests.keys()).copied().collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.memory.requests.len() + self.spool.requests.len()
    }

    pub(super) fn points(&self) -> u64 {
        self.points
    }

    pub(super) fn bytes(&self) -> usize {
        self.memory.room.bytes + self.spool.room.bytes
    }

    pub(super) fn memory(&self) -> Room {
        self.memory.room
    }

    pub(super) fn spool(&self) -> Room {
        self.spool.room
    }

    pub(super) fn oldest(&self) -> Option<&Waiting> {
        [&self.memory, &self.spool].into_iter().filter_map(Place::first).min_by_key(|first| first.key)
    }

    fn insert(&mut self, waiting: Waiting) {
        let place = if waiting.is_spooled() { &mut self.spool } else { &mut self.memory };
        place.room.bytes += waiting.len;
        self.points += waiting.points;
        place.requests.insert(waiting.key, waiting);
    }

    fn remove(&mut self, key: Key) -> Option<Waiting> {
        let place = if self.memory.requests.contains_key(&key) { &mut self.memory } else { &mut self.spool };
        let waiting = place.requests.remove(&key)?;
        place.room.bytes -= waiting.len;
        self.points -= waiting.points;
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
