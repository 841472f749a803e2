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
//! part go its others, wherever they are. The memory makes room after a request was put in, the disk before: its bound is exact,
//! and what does not fit there waits in memory.
//!
//! # A request in parts stays one request
//!
//! What a receiver accepts only in parts keeps its place, its room and its file until the last part is done with.

use super::request_file::disk_bytes;
use crate::export::otlp::metrics::Request;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

/// How many requests may wait on disk: each is a file.
pub(crate) const SPOOLED_REQUESTS_MAX: usize = 250_000;

/// Which request: its collection, and its place in that. A later one is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub collection: u64,
    pub part: u32,
}

/// Where the bytes of a request are.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    CounterMemory(Bytes),
    Spool,
}

/// A request that waits.
#[derive(Clone, Debug)]
pub(crate) struct QueuedRequest {
    pub key: Key,
    pub points: u64,
    pub len: usize,
    pub queued_at: SystemTime,
    pub held: Storage,
    /// What is left of it, once it was split.
    parts: VecDeque<Request>,
    age: Age,
}

/// How long a request has waited, whatever the clock does meanwhile.
#[derive(Clone, Copy, Debug)]
struct Age {
    /// Before this process found it on disk.
    before: Duration,
    since: Instant,
}

impl QueuedRequest {
    pub(crate) fn in_memory(key: Key, request: Request, queued_at: SystemTime) -> Self {
        let age = Age { before: Duration::ZERO, since: Instant::now() };
        let (points, len) = (request.points, request.bytes.len());
        Self { key, points, len, queued_at, held: Storage::CounterMemory(request.bytes), parts: VecDeque::new(), age }
    }

    /// One that an earlier run has left.
    pub(crate) fn in_spool(key: Key, points: u64, len: usize, queued_at: SystemTime) -> Self {
        let age = Age { before: queued_at.elapsed().unwrap_or_default(), since: Instant::now() };
        Self { key, points, len, queued_at, held: Storage::Spool, parts: VecDeque::new(), age }
    }

    /// Whether it has waited this long.
    pub(crate) fn has_waited(&self, limit: Duration) -> bool {
        self.age.before.saturating_add(self.age.since.elapsed()) >= limit
    }

    /// What is sent of it next, where it was split.
    pub(crate) fn next_part(&self) -> Option<&Request> {
        self.parts.front()
    }

    /// The room that it takes where it is.
    const fn room(&self) -> usize {
        if self.is_spooled() { disk_bytes(self.len) } else { self.len }
    }

    /// Whether its bytes can be had while the disk does not give back what is there.
    fn is_in_memory(&self) -> bool {
        !self.is_spooled() || !self.parts.is_empty()
    }

    pub(crate) const fn is_spooled(&self) -> bool {
        matches!(self.held, Storage::Spool)
    }
}

/// How many bytes may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub memory_bytes_max: usize,
    pub spool_bytes_max: usize,
}

/// How full it is where requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of requests that wait there; on disk those of the blocks that they take.
    pub bytes: usize,
    /// How many may.
    pub max_bytes: usize,
}

/// What waits in one place.
#[derive(Debug)]
struct Place {
    requests: BTreeMap<Key, QueuedRequest>,
    room: Usage,
}

/// Everything that waits.
#[derive(Debug)]
pub(crate) struct RequestList {
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
        Self { requests: BTreeMap::new(), room: Usage { bytes: 0, max_bytes } }
    }

    const fn is_too_full(&self) -> bool {
        self.room.bytes > self.room.max_bytes
    }

    /// Whether one more file, of so many bytes, may be here.
    fn has_room(&self, bytes: usize) -> bool {
        self.room.bytes.saturating_add(bytes) <= self.room.max_bytes && self.requests.len() < SPOOLED_REQUESTS_MAX
    }

    fn first(&self) -> Option<&QueuedRequest> {
        self.requests.first_key_value().map(|(_, first)| first)
    }
}

impl RequestList {
    /// An empty one.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let (memory, spool) = (Place::new(bounds.memory_bytes_max), Place::new(bounds.spool_bytes_max));
        Self { memory, spool, points: 0, sending: None, spool_is_readable: true }
    }

    /// Makes room on disk for a request of the newest collection. Returns what had to go for it; `None` where it does not fit
    /// even so, and nothing goes.
    #[must_use]
    pub(crate) fn make_room_on_disk(&mut self, len: usize, newest: u64) -> Option<Vec<QueuedRequest>> {
        let bytes = disk_bytes(len);
        let of_newest = self.spool.requests.range(Key { collection: newest, part: 0 }..).map(|(_, waiting)| waiting.room());
        let sending = self.sending.filter(|key| key.collection < newest).and_then(|key| self.spool.requests.get(&key));
        let stays = of_newest.sum::<usize>() + sending.map_or(0, QueuedRequest::room);
        if stays.saturating_add(bytes) > self.spool.room.max_bytes {
            return None;
        }
        let mut dropped = Vec::new();
        while !self.spool.has_room(bytes) {
            let Some(oldest) = self.oldest_of(&self.spool, newest) else { break };
            self.drop_collection(oldest, &mut dropped);
        }
        Some(dropped)
    }

    /// Puts a request at the end. What had to go for it in memory is returned.
    #[must_use]
    pub(crate) fn add(&mut self, waiting: QueuedRequest) -> Vec<QueuedRequest> {
        let newest = waiting.key.collection;
        self.insert(waiting);
        let mut dropped = Vec::new();
        while self.memory.is_too_full() {
            let Some(oldest) = self.oldest_of(&self.memory, newest) else { break };
            self.drop_collection(oldest, &mut dropped);
        }
        dropped
    }

    /// Adds requests that an earlier run has left.
    pub(crate) fn add_found(&mut self, found: Vec<QueuedRequest>) {
        found.into_iter().for_each(|waiting| self.insert(waiting));
    }

    /// The oldest collection with a request there that may go; not the newest.
    fn oldest_of(&self, place: &Place, newest: u64) -> Option<u64> {
        let oldest = place.requests.keys().find(|key| Some(**key) != self.sending)?.collection;
        (oldest != newest).then_some(oldest)
    }

    fn drop_collection(&mut self, collection: u64, dropped: &mut Vec<QueuedRequest>) {
        let parts = Key { collection, part: 0 }..=Key { collection, part: u32::MAX };
        let keys = [&self.memory, &self.spool].into_iter().flat_map(|place| place.requests.range(parts.clone()));
        let keys: Vec<Key> = keys.map(|(key, _)| *key).filter(|key| Some(*key) != self.sending).collect();
        dropped.extend(keys.into_iter().filter_map(|key| self.remove(key)));
    }

    /// The first request, which is being sent from now on: the oldest that can be read.
    pub(crate) fn send_first(&mut self) -> Option<QueuedRequest> {
        let in_memory = [&self.memory, &self.spool].into_iter().filter_map(Place::first).filter(|first| first.is_in_memory());
        let in_memory = in_memory.min_by_key(|first| first.key).filter(|_| !self.spool_is_readable);
        let first = in_memory.or_else(|| self.oldest())?.clone();
        self.sending = Some(first.key);
        Some(first)
    }

    /// Whether the disk gives back what is there.
    pub(crate) fn spool_is_readable(&mut self, is: bool) {
        self.spool_is_readable = is;
    }

    /// The first request was not taken, and waits again. Says of which collection it is.
    pub(crate) fn keep_first(&mut self) -> u64 {
        self.sending.take().map_or(0, |first| first.collection)
    }

    /// The first request, or the first part of one that was split, is done with. Of a part, what is returned has its points and
    /// no place: the request stays until its last one.
    pub(crate) fn remove_first(&mut self) -> Option<QueuedRequest> {
        let key = self.sending.take()?;
        let place = if self.memory.requests.contains_key(&key) { &mut self.memory } else { &mut self.spool };
        let first = place.requests.get_mut(&key)?;
        if first.parts.len() <= 1 {
            return self.remove(key);
        }
        let part = first.parts.pop_front()?;
        let points = part.points.min(first.points);
        first.points -= points;
        self.points -= points;
        Some(QueuedRequest { points, held: Storage::CounterMemory(Bytes::new()), parts: VecDeque::new(), ..first.clone() })
    }

    /// The first request, or its first part, is sent in these parts instead.
    pub(crate) fn split_first(&mut self, parts: Vec<Request>) {
        let Some(key) = self.sending.take() else { return };
        let place = if self.memory.requests.contains_key(&key) { &mut self.memory } else { &mut self.spool };
        let Some(first) = place.requests.get_mut(&key) else { return };
        first.parts.pop_front();
        parts.into_iter().rev().for_each(|part| first.parts.push_front(part));
        if let Storage::CounterMemory(bytes) = &mut first.held {
            // The parts have them.
            *bytes = Bytes::new();
        }
    }

    /// The oldest request is done with, if it is such a one. None is on its way.
    pub(crate) fn remove_oldest_if(&mut self, is_such: impl FnOnce(&QueuedRequest) -> bool) -> Option<QueuedRequest> {
        self.sending = None;
        let oldest = self.oldest().filter(|oldest| is_such(oldest))?.key;
        self.remove(oldest)
    }

    /// Everything, at the end.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRequest> {
        let keys: Vec<Key> = self.memory.requests.keys().chain(self.spool.requests.keys()).copied().collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.memory.requests.len() + self.spool.requests.len()
    }

    pub(crate) fn points(&self) -> u64 {
        self.points
    }

    pub(crate) fn bytes(&self) -> usize {
        self.memory.room.bytes + self.spool.room.bytes
    }

    pub(crate) fn memory(&self) -> Usage {
        self.memory.room
    }

    pub(crate) fn spool(&self) -> Usage {
        self.spool.room
    }

    pub(crate) fn oldest(&self) -> Option<&QueuedRequest> {
        [&self.memory, &self.spool].into_iter().filter_map(Place::first).min_by_key(|first| first.key)
    }

    fn insert(&mut self, waiting: QueuedRequest) {
        let place = if waiting.is_spooled() { &mut self.spool } else { &mut self.memory };
        place.room.bytes += waiting.room();
        self.points += waiting.points;
        place.requests.insert(waiting.key, waiting);
    }

    fn remove(&mut self, key: Key) -> Option<QueuedRequest> {
        let place = if self.memory.requests.contains_key(&key) { &mut self.memory } else { &mut self.spool };
        let waiting = place.requests.remove(&key)?;
        place.room.bytes -= waiting.room();
        self.points -= waiting.points;
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
