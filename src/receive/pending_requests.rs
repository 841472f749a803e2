//! The stored requests by age, and the number of records of each target.

use crate::export::queue::queued_request::{QueuedRequest, RequestKey};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The largest number of stored requests that are sent as one.
const MERGED_MAX: usize = 256;

/// A stored request.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// The target, unless the request is of an earlier run and was not read yet.
    pub(super) target: Option<Arc<str>>,
    pub(super) records: u64,
    pub(super) bytes: usize,
}

impl Pending {
    /// A request of an earlier run.
    pub(super) fn found(request: &QueuedRequest) -> (RequestKey, Self) {
        (request.key, Self { target: None, records: request.points, bytes: request.len })
    }
}

/// The stored requests.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    by_key: BTreeMap<RequestKey, Pending>,
    /// The records of each target that is known.
    records: HashMap<Arc<str>, u64>,
    /// The number of requests whose target is not known.
    unknown: usize,
}

impl PendingRequests {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn extend(&mut self, requests: impl IntoIterator<Item = (RequestKey, Pending)>) {
        for (key, request) in requests {
            match &request.target {
                Some(target) => *self.records.entry(target.clone()).or_default() += request.records,
                None => self.unknown += 1,
            }
            self.by_key.insert(key, request);
        }
    }

    pub(super) fn remove(&mut self, key: RequestKey) {
        let Some(Pending { target, records, .. }) = self.by_key.remove(&key) else { return };
        let Some(target) = target else {
            self.unknown -= 1;
            return;
        };
        if let Some(of_target) = self.records.get_mut(&target) {
            *of_target -= records;
            if *of_target == 0 {
                self.records.remove(&target);
            }
        }
    }

    /// Sets the target of a request of an earlier run, which was read.
    pub(super) fn identify(&mut self, key: RequestKey, target: &Arc<str>) {
        let Some(request) = self.by_key.get_mut(&key).filter(|request| request.target.is_none()) else { return };
        request.target = Some(target.clone());
        self.unknown -= 1;
        *self.records.entry(target.clone()).or_default() += request.records;
    }

    /// The oldest request whose target is not known.
    pub(super) fn first_unknown(&self) -> Option<RequestKey> {
        let is_unknown = |(_, request): &(&RequestKey, &Pending)| request.target.is_none();
        self.by_key.iter().find(is_unknown).filter(|_| self.unknown > 0).map(|(key, _)| *key)
    }

    /// The number of records of a target, unless further ones may be in requests whose target is not known.
    pub(super) fn records(&self, target: &str) -> Option<u64> {
        (self.unknown == 0).then(|| self.records.get(target).copied().unwrap_or(0))
    }

    /// The oldest request, and those that follow it, may be of the same target and fit into one request of `bytes_max` bytes.
    pub(super) fn next(&self, bytes_max: usize) -> Vec<(RequestKey, Pending)> {
        let mut next = Vec::<(RequestKey, Pending)>::new();
        let (mut bytes, mut target) = (0, None);
        for (key, request) in self.by_key.iter().take(MERGED_MAX) {
            bytes += request.bytes;
            let is_other = target.is_some() && request.target.is_some() && target != request.target;
            if !next.is_empty() && (is_other || bytes > bytes_max) {
                break;
            }
            target = target.or_else(|| request.target.clone());
            next.push((*key, request.clone()));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(collection: u64) -> RequestKey {
        RequestKey { collection, part: 0 }
    }

    fn request(collection: u64, target: Option<&str>) -> (RequestKey, Pending) {
        (key(collection), Pending { target: target.map(Into::into), records: collection, bytes: 10 })
    }

    #[test]
    fn the_number_of_records_is_known_when_all_requests_are() {
        let mut pending = PendingRequests::default();
        pending.extend([request(1, None), request(2, None), request(3, Some("a")), request(4, None)]);
        assert_eq!((pending.records("a"), pending.first_unknown()), (None, Some(key(1))));
        pending.identify(key(1), &"b".into());
        pending.identify(key(1), &"c".into());
        pending.identify(key(9), &"c".into());
        pending.remove(key(2));
        pending.remove(key(2));
        assert_eq!((pending.records("a"), pending.first_unknown()), (None, Some(key(4))));
        pending.identify(key(4), &"a".into());
        assert_eq!((pending.records("a"), pending.records("b"), pending.records("c")), (Some(7), Some(1), Some(0)));
        pending.remove(key(3));
        assert_eq!((pending.records("a"), pending.first_unknown(), pending.len()), (Some(4), None, 2));
    }

    #[test]
    fn requests_of_one_target_are_merged() {
        let merged = |targets: &[Option<&str>], bytes_max: usize| {
            let mut pending = PendingRequests::default();
            pending.extend((0..).zip(targets).map(|(number, target)| request(number, *target)));
            pending.next(bytes_max).len()
        };
        for (targets, bytes_max, expected) in [
            (&[][..], 100, 0),
            (&[Some("a"), Some("a"), Some("b"), Some("a")], 100, 2),
            (&[Some("a"), None, Some("a"), Some("b")], 100, 3),
            (&[None, None, Some("a"), None, Some("b")], 100, 4),
            (&[None, None, None], 20, 2),
            (&[Some("a"), Some("a")], 5, 1),
        ] {
            assert_eq!(merged(targets, bytes_max), expected, "{targets:?} {bytes_max}");
        }
        assert_eq!(merged(&vec![None; 2 * MERGED_MAX], usize::MAX), MERGED_MAX);
    }
}
