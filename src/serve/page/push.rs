//! What the page says of the push: its queue, and how it goes.

use super::format::{self, TimeView, counted};
use crate::export::otlp::{PushStatus, SpoolStatus, Usage};
use std::time::SystemTime;

/// The push, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PushView {
    pub endpoint: String,
    /// Waiting requests.
    pub queue: String,
    /// Where they wait, and how much of the room they take.
    pub place: String,
    /// Since when the oldest waits.
    pub oldest: Option<TimeView>,
    /// When the receiver last took something.
    pub taken: Option<TimeView>,
    pub taken_points: String,
    pub lost_points: Option<String>,
    pub failing: Option<FailingView>,
    /// What is wrong with the disk.
    pub spool_failing: Option<String>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailingView {
    pub said: String,
    pub since: TimeView,
    pub attempts: String,
    /// When it is tried again.
    pub next: String,
}

impl PushView {
    pub(super) fn of(status: PushStatus, now: SystemTime) -> Self {
        let at = |time| TimeView::new(time, now);
        let queue = match status.queued_requests {
            0 => "empty".to_owned(),
            requests => {
                let points = counted(usize::try_from(status.queued_points).unwrap_or(usize::MAX), "point");
                format!("{} with {points}", counted(requests, "request"))
            }
        };
        let failing = status.failure.map(|failing| FailingView {
            said: failing.message,
            since: at(failing.since),
            attempts: counted(usize::try_from(failing.attempts).unwrap_or(usize::MAX), "attempt"),
            next: match failing.retry_at.map(|next| next.duration_since(now).unwrap_or_default()) {
                None => "not sent again".to_owned(),
                Some(wait) if wait.as_secs() == 0 => "tried again now".to_owned(),
                Some(wait) => format!("tried again in {}", format::span(wait)),
            },
        });
        Self {
            endpoint: status.endpoint,
            queue,
            place: place(status.memory, status.spool.as_ref()),
            oldest: status.oldest_queued_at.map(at),
            taken: status.last_accepted_at.map(at),
            taken_points: format::count(status.accepted_points),
            lost_points: (status.lost_points > 0).then(|| format::count(status.lost_points)),
            failing,
            spool_failing: status.spool.and_then(|spool| spool.failure),
        }
    }
}

/// The memory is a place beside a spool only while there is something in it.
fn place(memory: Usage, spool: Option<&SpoolStatus>) -> String {
    let used = |room: Usage, place: &str| {
        format!("{} of at most {} {place}", format::bytes(room.bytes as f64), format::bytes(room.max_bytes as f64))
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
    fn a_push_that_fails_says_what_waits_and_when_it_is_tried_again() {
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
        assert_eq!((view.queue.as_str(), view.place.as_str()), ("2 requests with 1,500 points", "2 KiB of at most 64 MiB in memory"));
        assert_eq!((view.spool_failing, view.taken_points.as_str(), view.lost_points.as_deref()), (None, "12,345", None));
        let failing = view.failing.unwrap();
        assert_eq!(
            (failing.next.as_str(), failing.attempts.as_str(), failing.since.ago.as_str()),
            ("tried again in 12 s", "3 attempts", "1 min ago")
        );

        status = PushStatus { failure: None, queued_requests: 0, lost_points: 7, ..status };
        let view = PushView::of(status, now);
        assert_eq!((view.queue.as_str(), view.lost_points.as_deref(), view.failing), ("empty", Some("7"), None));
    }

    #[test]
    fn a_spool_that_fails_is_said_with_what_waits_where() {
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
        assert_eq!((view.place.as_str(), view.spool_failing), ("4 KiB of at most 1 GiB on disk", None));
        let view = PushView::of(failing(Some("no space left"), 2048), SystemTime::UNIX_EPOCH);
        assert_eq!(view.place, "4 KiB of at most 1 GiB on disk, 2 KiB of at most 64 MiB in memory");
        assert_eq!(view.spool_failing.as_deref(), Some("no space left"));
    }
}
