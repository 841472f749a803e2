//! What the page says of the push: its queue, and how it goes.

use super::words::{self, Moment, counted};
use crate::export::otlp::PushStatus;
use std::time::SystemTime;

/// The push, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PushView {
    pub endpoint: String,
    /// Waiting requests, and how much of the room they take.
    pub queue: String,
    /// Where they wait.
    pub place: &'static str,
    /// Since when the oldest waits.
    pub oldest: Option<Moment>,
    /// When the receiver last took something.
    pub taken: Option<Moment>,
    pub taken_points: String,
    pub lost_points: Option<String>,
    pub failing: Option<FailingView>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailingView {
    pub said: String,
    pub since: Moment,
    pub attempts: String,
    /// When it is tried again.
    pub next: String,
}

impl PushView {
    pub(super) fn of(status: PushStatus, now: SystemTime) -> Self {
        let at = |time| Moment::new(time, now);
        let queue = match status.waiting_requests {
            0 => "empty".to_owned(),
            requests => {
                let points = counted(usize::try_from(status.waiting_points).unwrap_or(usize::MAX), "point");
                let (bytes, max) = (words::bytes(status.waiting_bytes as f64), words::bytes(status.max_bytes as f64));
                format!("{} with {points}, {bytes} of at most {max}", counted(requests, "request"))
            }
        };
        let failing = status.failing.map(|failing| FailingView {
            said: failing.said,
            since: at(failing.since),
            attempts: counted(usize::try_from(failing.attempts).unwrap_or(usize::MAX), "attempt"),
            next: match failing.next.map(|next| next.duration_since(now).unwrap_or_default()) {
                None => "not sent again".to_owned(),
                Some(wait) if wait.as_secs() == 0 => "tried again now".to_owned(),
                Some(wait) => format!("tried again in {}", words::span(wait)),
            },
        });
        Self {
            endpoint: status.endpoint,
            queue,
            place: if status.spool { "on disk" } else { "in memory" },
            oldest: status.waiting_since.map(at),
            taken: status.last_taken.map(at),
            taken_points: words::count(status.taken_points),
            lost_points: (status.lost_points > 0).then(|| words::count(status.lost_points)),
            failing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::otlp::Failing;
    use std::time::Duration;

    #[test]
    fn a_push_that_fails_says_what_waits_and_when_it_is_tried_again() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ago = |seconds| now - Duration::from_secs(seconds);
        let failing =
            Failing { error_type: "x", said: "<gone>".into(), since: ago(60), attempts: 3, next: Some(now + Duration::from_secs(12)) };
        let mut status = PushStatus {
            endpoint: "http://localhost:4317".into(),
            waiting_requests: 2,
            waiting_points: 1500,
            waiting_bytes: 2048,
            max_bytes: 64 << 20,
            waiting_since: Some(ago(70)),
            spool: false,
            last_taken: Some(ago(75)),
            taken_points: 12_345,
            lost_points: 0,
            failing: Some(failing),
        };
        let view = PushView::of(status.clone(), now);
        assert_eq!(view.queue, "2 requests with 1,500 points, 2 KiB of at most 64 MiB");
        assert_eq!((view.place, view.taken_points.as_str(), view.lost_points.as_deref()), ("in memory", "12,345", None));
        let failing = view.failing.unwrap();
        assert_eq!(
            (failing.next.as_str(), failing.attempts.as_str(), failing.since.ago.as_str()),
            ("tried again in 12 s", "3 attempts", "1 min ago")
        );

        status = PushStatus { failing: None, waiting_requests: 0, lost_points: 7, ..status };
        let view = PushView::of(status, now);
        assert_eq!((view.queue.as_str(), view.lost_points.as_deref(), view.failing), ("empty", Some("7"), None));
    }
}
