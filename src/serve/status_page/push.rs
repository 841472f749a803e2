//! The OTLP push on the page: its state and its queue.

use super::format::{self, TimeView, pluralize};
use crate::export::otlp::{PushStatus, SpoolStatus, Usage};
use std::time::SystemTime;

/// The state of the push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PushView {
    pub endpoint: String,
    /// The number of queued requests and points.
    pub queue: String,
    /// The used and the maximum size of the queue, in memory and on disk.
    pub usage: String,
    /// The time of the oldest queued request.
    pub oldest: Option<TimeView>,
    /// The time when the receiver last accepted a request.
    pub last_accepted: Option<TimeView>,
    pub accepted_points: String,
    pub lost_points: Option<String>,
    pub failing: Option<FailingView>,
    /// The error of the spool, if it cannot be used.
    pub spool_error: Option<String>,
}

/// The current failure of the push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailingView {
    pub error: String,
    pub since: TimeView,
    pub attempts: String,
    pub next_retry: String,
}

impl PushView {
    pub(super) fn of(status: PushStatus, now: SystemTime) -> Self {
        let at = |time| TimeView::new(time, now);
        let queue = match status.queued_requests {
            0 => "empty".to_owned(),
            requests => {
                let points = pluralize(usize::try_from(status.queued_points).unwrap_or(usize::MAX), "point");
                format!("{} with {points}", pluralize(requests, "request"))
            }
        };
        let failing = status.failure.map(|failing| FailingView {
            error: failing.message,
            since: at(failing.since),
            attempts: pluralize(usize::try_from(failing.attempts).unwrap_or(usize::MAX), "failed attempt"),
            next_retry: match failing.retry_at.map(|next| next.duration_since(now).unwrap_or_default()) {
                None => "no retry".to_owned(),
                Some(wait) if wait.as_secs() == 0 => "next retry now".to_owned(),
                Some(wait) => format!("next retry in {}", format::elapsed(wait)),
            },
        });
        Self {
            endpoint: status.endpoint,
            queue,
            usage: usage(status.memory, status.spool.as_ref()),
            oldest: status.oldest_queued_at.map(at),
            last_accepted: status.last_accepted_at.map(at),
            accepted_points: format::count(status.accepted_points),
            lost_points: (status.lost_points > 0).then(|| format::count(status.lost_points)),
            failing,
            spool_error: status.spool.and_then(|spool| spool.failure),
        }
    }
}

/// Formats the usage of the queue. With a spool the memory is mentioned only while requests are in it.
fn usage(memory: Usage, spool: Option<&SpoolStatus>) -> String {
    let used = |usage: Usage, storage: &str| {
        format!("{} of at most {} {storage}", format::bytes(usage.bytes as f64), format::bytes(usage.max_bytes as f64))
    };
    match spool {
        None => used(memory, "in memory"),
        Some(spool) if memory.bytes == 0 => used(spool.usage, "on disk"),
        Some(spool) => format!("{}, {}", used(spool.usage, "on disk"), used(memory, "in memory")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::otlp::PushFailure;
    use std::time::Duration;

    #[test]
    fn a_failing_push_has_its_queue_and_next_retry() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ago = |seconds| now - Duration::from_secs(seconds);
        let failing = PushFailure {
            error_type: "x",
            message: "<gone>".into(),
            since: ago(60),
            attempts: 3,
            retry_at: Some(now + Duration::from_secs(12)),
        };
        let mut status = PushStatus {
            endpoint: "http://localhost:4317".into(),
            queued_requests: 2,
            queued_points: 1500,
            memory: Usage { bytes: 2048, max_bytes: 64 << 20 },
            oldest_queued_at: Some(ago(70)),
            spool: None,
            last_accepted_at: Some(ago(75)),
            accepted_points: 12_345,
            lost_points: 0,
            failure: Some(failing),
        };
        let view = PushView::of(status.clone(), now);
        assert_eq!((view.queue.as_str(), view.usage.as_str()), ("2 requests with 1,500 points", "2 KiB of at most 64 MiB in memory"));
        assert_eq!((view.spool_error, view.accepted_points.as_str(), view.lost_points.as_deref()), (None, "12,345", None));
        let failing = view.failing.unwrap();
        assert_eq!(
            (failing.next_retry.as_str(), failing.attempts.as_str(), failing.since.ago.as_str()),
            ("next retry in 12 s", "3 failed attempts", "1 min ago")
        );

        status = PushStatus { failure: None, queued_requests: 0, lost_points: 7, ..status };
        let view = PushView::of(status, now);
        assert_eq!((view.queue.as_str(), view.lost_points.as_deref(), view.failing), ("empty", Some("7"), None));
    }

    #[test]
    fn a_failing_spool_has_its_error_and_the_usage_of_both_storages() {
        let failing = |failing: Option<&str>, memory| PushStatus {
            endpoint: "http://localhost:4317".into(),
            queued_requests: 3,
            queued_points: 3,
            memory: Usage { bytes: memory, max_bytes: 64 << 20 },
            oldest_queued_at: None,
            spool: Some(SpoolStatus {
                path: "/spool".into(),
                usage: Usage { bytes: 4096, max_bytes: 1 << 30 },
                failure: failing.map(str::to_owned),
                damaged_requests: 0,
            }),
            last_accepted_at: None,
            accepted_points: 0,
            lost_points: 0,
            failure: None,
        };
        let view = PushView::of(failing(None, 0), SystemTime::UNIX_EPOCH);
        assert_eq!((view.usage.as_str(), view.spool_error), ("4 KiB of at most 1 GiB on disk", None));
        let view = PushView::of(failing(Some("no space left"), 2048), SystemTime::UNIX_EPOCH);
        assert_eq!(view.usage, "4 KiB of at most 1 GiB on disk, 2 KiB of at most 64 MiB in memory");
        assert_eq!(view.spool_error.as_deref(), Some("no space left"));
    }
}
