//! Admission: the limit of concurrent requests to mail servers.
//!
//! # A poll is admitted before it begins
//!
//! A poll waits for admission first, and its deadline starts afterwards. So no target fails because other targets were busy.
//!
//! # Two lanes
//!
//! A server that accepts a connection and never responds uses up a request until the deadline, and 90 % of a fleet may be such servers.
//! A target whose last poll failed is therefore admitted in a lane of its own, which has a small, fixed share of the requests. Targets
//! that respond never wait for targets that do not.
//!
//! # Size of the lanes
//!
//! A request needs a socket, and memory for the beginning of its response. The number of sockets is the limit of open files, less the
//! files that the rest of the program needs. The memory is bounded by the largest number of requests of a lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Concurrent requests to targets whose last poll succeeded, however many open files are allowed.
pub(super) const RESPONDING_REQUESTS_MAX: usize = 4096;
/// Concurrent requests to targets whose last poll failed.
const FAILING_REQUESTS_MAX: usize = 512;
/// Open files that are reserved for everything else: clients of the pull endpoint, receivers, files. At most half of the limit.
const RESERVED_FILES: usize = 768;
/// The lanes' shares of the sockets that remain. The third share is for connections that are kept open between polls.
const RESPONDING_SHARE: f64 = 0.5;
const FAILING_SHARE: f64 = 0.15;
const IDLE_SHARE: f64 = 0.35;
/// Connections that a target keeps open between polls.
const IDLE_CONNECTIONS_PER_TARGET_MAX: usize = 2;

/// A group of targets that share a concurrency limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Targets whose last poll succeeded, and new ones.
    Responding,
    /// Targets whose last poll failed.
    Failing,
}

impl Lane {
    pub(super) fn of(failing: bool) -> Self {
        if failing { Self::Failing } else { Self::Responding }
    }
}

/// The concurrency limits of a process. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    responding: Arc<LaneLimit>,
    failing: Arc<LaneLimit>,
    idle: Arc<Semaphore>,
}

#[derive(Debug)]
struct LaneLimit {
    requests: Arc<Semaphore>,
    requests_max: usize,
    waiting: AtomicUsize,
}

/// The concurrent requests of one poll, which are released when this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _requests: Option<OwnedSemaphorePermit>,
}

/// Connections that one target may keep open between polls, which are released when this is dropped.
#[derive(Debug)]
pub(super) struct IdleConnections {
    permit: Option<OwnedSemaphorePermit>,
}

/// The present usage of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneUsage {
    /// Requests that polls may send now.
    pub requests: usize,
    /// The limit of the lane.
    pub requests_max: usize,
    /// Polls that wait for the limit.
    pub waiting: usize,
}

impl Admission {
    /// Creates the limits of a process that may have this many open files.
    pub(super) fn for_open_files(open_files_max: usize) -> Self {
        let sockets = (open_files_max - RESERVED_FILES.min(open_files_max / 2)) as f64;
        let share = |share: f64| ((sockets * share) as usize).max(1);
        Self {
            responding: Arc::new(LaneLimit::new(share(RESPONDING_SHARE).min(RESPONDING_REQUESTS_MAX))),
            failing: Arc::new(LaneLimit::new(share(FAILING_SHARE).min(FAILING_REQUESTS_MAX))),
            idle: Arc::new(Semaphore::new(share(IDLE_SHARE))),
        }
    }

    /// Admits a poll with this many concurrent requests, if the limit allows it now.
    pub(super) fn try_admit(&self, lane: Lane, requests: usize) -> Option<Admitted> {
        let limit = self.limit(lane);
        let permit = limit.requests.clone().try_acquire_many_owned(limit.needed(requests)).ok()?;
        Some(Admitted { _requests: Some(permit) })
    }

    /// Waits until the limit allows a poll with this many concurrent requests.
    pub(super) async fn admit(&self, lane: Lane, requests: usize) -> Admitted {
        let limit = self.limit(lane);
        let _waiting = WaitingPoll::begin(&limit.waiting);
        // The semaphore is never closed, so this always returns permits.
        Admitted { _requests: limit.requests.clone().acquire_many_owned(limit.needed(requests)).await.ok() }
    }

    /// Allows a target to keep connections open, as far as there are sockets left.
    pub(super) fn keep_connections(&self) -> IdleConnections {
        let take = |n| self.idle.clone().try_acquire_many_owned(n).ok();
        IdleConnections { permit: take(IDLE_CONNECTIONS_PER_TARGET_MAX as u32).or_else(|| take(1)) }
    }

    pub(super) fn usage(&self, lane: Lane) -> LaneUsage {
        let limit = self.limit(lane);
        let requests = limit.requests_max.saturating_sub(limit.requests.available_permits());
        LaneUsage { requests, requests_max: limit.requests_max, waiting: limit.waiting.load(Ordering::Relaxed) }
    }

    fn limit(&self, lane: Lane) -> &LaneLimit {
        match lane {
            Lane::Responding => &self.responding,
            Lane::Failing => &self.failing,
        }
    }
}

impl LaneLimit {
    fn new(requests_max: usize) -> Self {
        Self { requests: Arc::new(Semaphore::new(requests_max)), requests_max, waiting: AtomicUsize::new(0) }
    }

    /// The number of permits for a poll. A poll with more requests than the limit takes all of them.
    fn needed(&self, requests: usize) -> u32 {
        requests.clamp(1, self.requests_max) as u32
    }
}

impl IdleConnections {
    /// The number of connections.
    pub(super) fn max(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

/// Counts a waiting poll, until it is dropped.
struct WaitingPoll<'a>(&'a AtomicUsize);

impl<'a> WaitingPoll<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for WaitingPoll<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[track_caller]
    fn expect_slots(open_files: usize, responding: usize, failing: usize, idle: usize) {
        let admission = Admission::for_open_files(open_files);
        let max = |lane| admission.usage(lane).requests_max;
        let found = (max(Lane::Responding), max(Lane::Failing), admission.idle.available_permits());
        assert_eq!(found, (responding, failing, idle), "{open_files} open files");
        assert!(responding + failing + idle <= open_files.max(3), "{open_files} open files");
    }

    #[test]
    fn slots_depend_on_the_limit_of_open_files() {
        expect_slots(0, 1, 1, 1);
        expect_slots(256, 64, 19, 44);
        expect_slots(1024, 256, 76, 179);
        expect_slots(20_000, 4096, 512, 6731);
        expect_slots(1_048_576, 4096, 512, 366_732);
    }

    #[tokio::test]
    async fn failing_targets_use_no_slots_of_responding_ones() {
        let admission = Admission::for_open_files(1024);
        let mut failing = Vec::new();
        while let Some(admitted) = admission.try_admit(Lane::Failing, 3) {
            failing.push(admitted);
        }
        assert_eq!(failing.len(), 25);
        assert!(timeout(PATIENCE, admission.admit(Lane::Responding, 256)).await.is_ok());
    }

    #[tokio::test]
    async fn a_poll_that_waits_is_counted_and_admitted_when_a_slot_is_free() {
        let admission = Admission::for_open_files(1024);
        // This poll has more requests than the limit.
        let all = admission.admit(Lane::Responding, 1000).await;
        let waits = tokio::spawn({
            let admission = admission.clone();
            async move { drop(admission.admit(Lane::Responding, 1).await) }
        });
        while admission.usage(Lane::Responding).waiting == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.usage(Lane::Responding), LaneUsage { requests: 256, requests_max: 256, waiting: 1 });
        drop(all);
        timeout(PATIENCE, waits).await.unwrap().unwrap();
        assert_eq!(admission.usage(Lane::Responding), LaneUsage { requests: 0, requests_max: 256, waiting: 0 });
    }

    #[test]
    fn kept_connections_are_limited_by_the_sockets() {
        let admission = Admission::for_open_files(64);
        let kept: Vec<_> = (0..8).map(|_| admission.keep_connections()).collect();
        let max: Vec<usize> = kept.iter().map(IdleConnections::max).collect();
        assert_eq!(max, [2, 2, 2, 2, 2, 1, 0, 0]);
        drop(kept);
        assert_eq!(admission.keep_connections().max(), 2);
    }
}
