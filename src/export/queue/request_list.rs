//! The queued requests in the order in which they are sent, with a size limit for memory and one for the spool.
//!
//! # Collections are dropped as a whole
//!
//! When the queue is full, all requests of the oldest collection are dropped: part of a collection would show a server in a state that
//! never existed. The newest collection is kept even if it exceeds the limit of the memory; otherwise a large target would never be sent
//! completely.
//!
//! # Memory and disk have separate limits
//!
//! A full tier drops the oldest collection that has a request in that tier: dropping requests on disk would free no memory. The other
//! requests of that collection are dropped with it, wherever they are. Memory is freed after a request is added, the disk before: the
//! limit of the disk is exact, and a request that does not fit there is kept in memory.
//!
//! # A split request remains one request
//!
//! A request that the receiver accepts only in parts keeps its position, its space and its file until its last part is removed. Only when
//! Postmeter stops, the file is replaced by one with the remaining parts.

use super::queued_request::{QueuedRequest, RequestKey};
use super::request_exporter::ExportRequest;
use super::request_file::disk_bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest number of requests on disk, each of which is a file.
pub(crate) const SPOOLED_REQUESTS_MAX: usize = 250_000;

/// The size limits of the two tiers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeLimits {
    pub memory_bytes_max: usize,
    pub spool_bytes_max: usize,
}

/// The usage of a tier of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The bytes that are in use; on disk, those of whole blocks.
    pub bytes: usize,
    /// The configured limit.
    pub max_bytes: usize,
}

/// The requests in memory, or those on disk.
#[derive(Debug)]
struct Tier {
    requests: BTreeMap<RequestKey, QueuedRequest>,
    usage: Usage,
}

/// All queued requests.
#[derive(Debug)]
pub(crate) struct RequestList {
    memory: Tier,
    spool: Tier,
    points: u64,
    /// The request that is being sent. It is not dropped, because the receiver may have accepted it already.
    current: Option<RequestKey>,
    /// While the spool cannot be read, requests in memory are sent first.
    is_spool_readable: bool,
}

impl Tier {
    fn new(max_bytes: usize) -> Self {
        Self { requests: BTreeMap::new(), usage: Usage { bytes: 0, max_bytes } }
    }

    const fn is_over_limit(&self) -> bool {
        self.usage.bytes > self.usage.max_bytes
    }

    /// Returns true if a file of this size fits.
    fn has_space(&self, file_bytes: usize) -> bool {
        self.usage.bytes.saturating_add(file_bytes) <= self.usage.max_bytes && self.requests.len() < SPOOLED_REQUESTS_MAX
    }

    fn oldest(&self) -> Option<&QueuedRequest> {
        self.requests.first_key_value().map(|(_, oldest)| oldest)
    }
}

impl RequestList {
    /// Creates an empty list.
    pub(crate) fn new(limits: SizeLimits) -> Self {
        let (memory, spool) = (Tier::new(limits.memory_bytes_max), Tier::new(limits.spool_bytes_max));
        Self { memory, spool, points: 0, current: None, is_spool_readable: true }
    }

    /// Frees space on disk for a request of the newest collection. Returns the requests that were dropped, or `None` if the request cannot
    /// fit; nothing is dropped then.
    #[must_use]
    pub(crate) fn free_spool(&mut self, len: usize, newest: u64) -> Option<Vec<QueuedRequest>> {
        let bytes = disk_bytes(len);
        let of_newest = self.spool.requests.range(RequestKey { collection: newest, part: 0 }..);
        let newest_bytes: usize = of_newest.map(|(_, request)| request.occupied_bytes()).sum();
        let older_current = self.current.filter(|key| key.collection < newest).and_then(|key| self.spool.requests.get(&key));
        let kept_bytes = newest_bytes + older_current.map_or(0, QueuedRequest::occupied_bytes);
        if kept_bytes.saturating_add(bytes) > self.spool.usage.max_bytes {
            return None;
        }
        let mut dropped = Vec::new();
        while !self.spool.has_space(bytes) {
            let Some(oldest) = self.oldest_collection(&self.spool, newest) else { break };
            self.drop_collection(oldest, &mut dropped);
        }
        Some(dropped)
    }

    /// Adds a request. Returns the requests that were dropped because the memory is full.
    #[must_use]
    pub(crate) fn add(&mut self, request: QueuedRequest) -> Vec<QueuedRequest> {
        let newest = request.key.collection;
        self.insert(request);
        let mut dropped = Vec::new();
        while self.memory.is_over_limit() {
            let Some(oldest) = self.oldest_collection(&self.memory, newest) else { break };
            self.drop_collection(oldest, &mut dropped);
        }
        dropped
    }

    /// Adds requests that an earlier run left in the spool.
    pub(crate) fn add_found(&mut self, found: Vec<QueuedRequest>) {
        found.into_iter().for_each(|request| self.insert(request));
    }

    /// The oldest collection with a request in the tier that may be dropped. The newest collection may not.
    fn oldest_collection(&self, tier: &Tier, newest: u64) -> Option<u64> {
        let oldest = tier.requests.keys().find(|key| Some(**key) != self.current)?.collection;
        (oldest != newest).then_some(oldest)
    }

    fn drop_collection(&mut self, collection: u64, dropped: &mut Vec<QueuedRequest>) {
        let range = RequestKey { collection, part: 0 }..=RequestKey { collection, part: u32::MAX };
        let keys = [&self.memory, &self.spool].into_iter().flat_map(|tier| tier.requests.range(range.clone()));
        let keys: Vec<RequestKey> = keys.map(|(key, _)| *key).filter(|key| Some(*key) != self.current).collect();
        dropped.extend(keys.into_iter().filter_map(|key| self.remove(key)));
    }

    /// Returns the oldest request that can be read, which becomes the current one.
    pub(crate) fn next_request(&mut self) -> Option<QueuedRequest> {
        let in_memory = [&self.memory, &self.spool].into_iter().filter_map(Tier::oldest).filter(|oldest| oldest.is_in_memory());
        let in_memory = in_memory.min_by_key(|oldest| oldest.key).filter(|_| !self.is_spool_readable);
        let next = in_memory.or_else(|| self.oldest())?.clone();
        self.current = Some(next.key);
        Some(next)
    }

    /// Records the result of the last access to the spool.
    pub(crate) fn set_spool_readable(&mut self, is_readable: bool) {
        self.is_spool_readable = is_readable;
    }

    /// Keeps the current request, to be sent again. Returns its collection.
    pub(crate) fn requeue_current(&mut self) -> u64 {
        self.current.take().map_or(0, |current| current.collection)
    }

    /// Removes the current request, or its next part if it was split.
    pub(crate) fn remove_current(&mut self) -> Option<QueuedRequest> {
        let key = self.current.take()?;
        let current = self.tier_of(key).requests.get_mut(&key)?;
        let Some(part) = current.remove_part() else { return self.remove(key) };
        self.points -= part.points;
        Some(part)
    }

    /// Replaces the current request, or its next part, by smaller parts.
    pub(crate) fn split_current(&mut self, parts: Vec<ExportRequest>) {
        let Some(key) = self.current.take() else { return };
        if let Some(current) = self.tier_of(key).requests.get_mut(&key) {
            current.split(parts);
        }
    }

    /// Removes all requests that were queued at least `age_max` ago, the current one included.
    pub(crate) fn remove_older_than(&mut self, age_max: Duration) -> Vec<QueuedRequest> {
        self.current = None;
        let mut removed = Vec::new();
        while let Some(oldest) = self.oldest().filter(|oldest| oldest.has_waited(age_max)) {
            let key = oldest.key;
            removed.extend(self.remove(key));
        }
        removed
    }

    /// Removes all requests.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRequest> {
        let keys: Vec<RequestKey> = self.memory.requests.keys().chain(self.spool.requests.keys()).copied().collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.memory.requests.len() + self.spool.requests.len()
    }

    pub(crate) fn points(&self) -> u64 {
        self.points
    }

    /// The bytes in memory and on disk together.
    pub(crate) fn bytes(&self) -> usize {
        self.memory.usage.bytes + self.spool.usage.bytes
    }

    pub(crate) fn memory_usage(&self) -> Usage {
        self.memory.usage
    }

    pub(crate) fn spool_usage(&self) -> Usage {
        self.spool.usage
    }

    pub(crate) fn oldest(&self) -> Option<&QueuedRequest> {
        [&self.memory, &self.spool].into_iter().filter_map(Tier::oldest).min_by_key(|oldest| oldest.key)
    }

    fn insert(&mut self, request: QueuedRequest) {
        let tier = if request.is_spooled() { &mut self.spool } else { &mut self.memory };
        tier.usage.bytes += request.occupied_bytes();
        self.points += request.points;
        tier.requests.insert(request.key, request);
    }

    fn remove(&mut self, key: RequestKey) -> Option<QueuedRequest> {
        let tier = self.tier_of(key);
        let request = tier.requests.remove(&key)?;
        tier.usage.bytes -= request.occupied_bytes();
        self.points -= request.points;
        Some(request)
    }

    fn tier_of(&mut self, key: RequestKey) -> &mut Tier {
        if self.memory.requests.contains_key(&key) { &mut self.memory } else { &mut self.spool }
    }
}

#[cfg(test)]
mod tests;
