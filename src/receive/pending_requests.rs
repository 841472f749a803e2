//! The stored requests by age, and the number of records of each target.

use crate::export::queue::queued_request::{QueuedRequest, RequestKey};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The largest number of stored requests that are sent as one.
const MERGED_MAX: usize = 256;
/// The target of a request whose file does not name one. Postmeter writes no such file.
const UNKNOWN: &str = "(unknown)";

/// A stored request.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) target: Arc<str>,
    pub(super) records: u64,
    pub(super) bytes: usize,
}

impl Pending {
    /// A request of an earlier run.
    pub(super) fn found(request: &QueuedRequest) -> (RequestKey, Self) {
        let target = request.owner.clone().unwrap_or_else(|| UNKNOWN.into());
        (request.key, Self { target, records: request.points, bytes: request.len })
    }
}

/// The stored requests.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    by_key: BTreeMap<RequestKey, Pending>,
    /// The records of each target.
    records: HashMap<Arc<str>, u64>,
}

impl PendingRequests {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn extend(&mut self, requests: impl IntoIterator<Item = (RequestKey, Pending)>) {
        for (key, request) in requests {
            *self.records.entry(request.target.clone()).or_default() += request.records;
            self.by_key.insert(key, request);
        }
    }

    pub(super) fn remove(&mut self, key: RequestKey) {
        let Some(Pending { target, records, .. }) = self.by_key.remove(&key) else { return };
        if let Some(of_target) = self.records.get_mut(&target) {
            *of_target -= records;
            if *of_target == 0 {
                self.records.remove(&target);
            }
        }
    }

    /// The number of records of a target.
    pub(super) fn records(&self, target: &str) -> u64 {
        self.records.get(target).copied().unwrap_or(0)
    }

    /// The oldest request, and those that follow it, are of the same target and fit into one request of `bytes_max` bytes.
    pub(super) fn next(&self, bytes_max: usize) -> Vec<(RequestKey, Pending)> {
        let mut next = Vec::<(RequestKey, Pending)>::new();
        let mut bytes = 0;
        for (key, request) in self.by_key.iter().take(MERGED_MAX) {
            bytes += request.bytes;
            if next.first().is_some_and(|(_, first)| first.target != request.target || bytes > bytes_max) {
                break;
            }
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

    fn request(collection: u64, target: &str) -> (RequestKey, Pending) {
        (key(collection), Pending { target: target.into(), records: collection, bytes: 10 })
    }

    #[test]
    fn the_records_of_each_target_are_counted() {
        let mut pending = PendingRequests::default();
        pending.extend([request(1, "b"), request(2, "a"), request(3, "a"), request(4, "a")]);
        assert_eq!(["a", "b", "c"].map(|target| pending.records(target)), [9, 1, 0]);
        pending.remove(key(2));
        pending.remove(key(2));
        pending.remove(key(1));
        assert_eq!((["a", "b"].map(|target| pending.records(target)), pending.len()), ([7, 0], 2));
    }

    #[test]
    fn the_target_of_a_request_of_an_earlier_run_is_its_owner() {
        let mut found = QueuedRequest::in_spool(key(1), 3, 10, std::time::SystemTime::now());
        assert_eq!(&*Pending::found(&found).1.target, UNKNOWN);
        found.owner = Some("a".into());
        assert_eq!(&*Pending::found(&found).1.target, "a");
    }

    #[test]
    fn requests_of_one_target_are_merged() {
        let merged = |targets: &[&str], bytes_max: usize| {
            let mut pending = PendingRequests::default();
            pending.extend((0..).zip(targets).map(|(number, target)| request(number, target)));
            pending.next(bytes_max).len()
        };
        for (targets, bytes_max, expected) in
            [(&[][..], 100, 0), (&["a", "a", "b", "a"], 100, 2), (&["a", "a", "a"], 20, 2), (&["a", "a"], 5, 1)]
        {
            assert_eq!(merged(targets, bytes_max), expected, "{targets:?} {bytes_max}");
        }
        assert_eq!(merged(&["a"; 2 * MERGED_MAX], usize::MAX), MERGED_MAX);
    }
}
