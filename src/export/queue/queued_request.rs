//! A request in the export queue, with its identity, its storage and its age.

use super::request_exporter::ExportRequest;
use super::request_file::{SpoolEntry, disk_bytes};
use crate::export::request_body::RequestBody;
use crate::model::unix_nanos;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The identity of a request: its collection and its number in the collection. Keys sort by age, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestKey {
    pub collection: u64,
    pub part: u32,
}

/// The storage of a request's body.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Memory(RequestBody),
    Spool,
}

/// A request in the queue.
#[derive(Clone, Debug)]
pub(crate) struct QueuedRequest {
    pub key: RequestKey,
    pub points: u64,
    /// The length of the body as it is stored.
    pub len: usize,
    pub queued_at: SystemTime,
    /// The target of the records, if all of the request are of one.
    pub owner: Option<Arc<str>>,
    pub storage: Storage,
    /// The unsent parts, if the request was split.
    parts: VecDeque<ExportRequest>,
    /// A part was removed: it was accepted, or is lost.
    has_removed_parts: bool,
    age: Age,
}

/// Returns the number of the first collection. It is derived from the clock, so that it differs from the numbers of earlier runs whose
/// requests are found in the spool later, and is larger than those of the requests that were found, whatever the clock.
pub(crate) fn first_collection(found: &[QueuedRequest]) -> u64 {
    let after_found = found.last().map_or(0, |last| last.key.collection.saturating_add(1));
    unix_nanos(SystemTime::now()).max(after_found)
}

/// The age of a request, independent of changes of the system clock during the run of the process.
#[derive(Clone, Copy, Debug)]
struct Age {
    /// The age at `since`: above zero for a request of an earlier run.
    before: Duration,
    since: Instant,
}

impl QueuedRequest {
    pub(crate) fn in_memory(key: RequestKey, request: ExportRequest, queued_at: SystemTime) -> Self {
        let age = Age { before: Duration::ZERO, since: Instant::now() };
        let (points, len) = (request.points, request.body.len());
        let storage = Storage::Memory(request.body);
        Self { key, points, len, queued_at, owner: None, storage, parts: VecDeque::new(), has_removed_parts: false, age }
    }

    /// A request that an earlier run left in the spool.
    pub(crate) fn in_spool(key: RequestKey, points: u64, len: usize, queued_at: SystemTime) -> Self {
        let age = Age { before: queued_at.elapsed().unwrap_or_default(), since: Instant::now() };
        let storage = Storage::Spool;
        Self { key, points, len, queued_at, owner: None, storage, parts: VecDeque::new(), has_removed_parts: false, age }
    }

    /// Returns true if the request was queued at least `age_max` ago.
    pub(crate) fn has_waited(&self, age_max: Duration) -> bool {
        self.age.before.saturating_add(self.age.since.elapsed()) >= age_max
    }

    /// The part to send next, if the request was split.
    pub(crate) fn next_part(&self) -> Option<&ExportRequest> {
        self.parts.front()
    }

    /// Removes the next part, unless it is the last one. The result has the points of the part and empty bytes in memory, because the
    /// request stays in the queue until its last part is removed.
    pub(super) fn remove_part(&mut self) -> Option<Self> {
        let part = if self.parts.len() > 1 { self.parts.pop_front()? } else { return None };
        let points = part.points.min(self.points);
        self.points -= points;
        self.has_removed_parts = true;
        Some(Self { points, storage: Storage::Memory(empty()), parts: VecDeque::new(), ..self.clone() })
    }

    /// Replaces the request, or its next part, by smaller parts.
    pub(super) fn split(&mut self, parts: Vec<ExportRequest>) {
        self.parts.pop_front();
        parts.into_iter().rev().for_each(|part| self.parts.push_front(part));
        if let Storage::Memory(body) = &mut self.storage {
            // The parts hold the bytes now.
            *body = empty();
        }
    }

    /// The remaining parts as one entry of the spool, if others were removed.
    pub(super) fn remaining(&self) -> Option<SpoolEntry> {
        let compression = self.parts.front().filter(|_| self.has_removed_parts)?.body.compression;
        // Protobuf: the fields of messages in a row are those of one message.
        let parts: Result<Vec<Bytes>, _> = self.parts.iter().map(|part| part.body.decompressed()).collect();
        let body = RequestBody::compressed(parts.ok()?.concat().into(), compression);
        Some(SpoolEntry { key: self.key, points: self.points, queued_at: self.queued_at, owner: self.owner.clone(), body })
    }

    pub(crate) const fn is_spooled(&self) -> bool {
        matches!(self.storage, Storage::Spool)
    }

    /// The bytes that the request occupies in its tier.
    pub(super) const fn occupied_bytes(&self) -> usize {
        if self.is_spooled() { disk_bytes(self.len) } else { self.len }
    }

    /// Returns true if the request can be sent without reading the disk.
    pub(super) fn is_in_memory(&self) -> bool {
        !self.is_spooled() || !self.parts.is_empty()
    }
}

fn empty() -> RequestBody {
    RequestBody::uncompressed(Bytes::new())
}

/// The number of points in these requests.
pub(crate) fn points_of(requests: &[QueuedRequest]) -> u64 {
    requests.iter().map(|request| request.points).sum()
}

/// The keys of those requests that are on disk.
pub(crate) fn spooled_keys(requests: &[QueuedRequest]) -> impl Iterator<Item = RequestKey> {
    requests.iter().filter(|request| request.is_spooled()).map(|request| request.key)
}
