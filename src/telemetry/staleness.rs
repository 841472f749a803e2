//! Stale readings: readings that are too old to describe the present state of a target.

use crate::poll::{Circuit, Target};
use std::fmt;
use std::time::{Duration, Instant};

/// The minimum age of a stale reading.
const STALE_AFTER_MIN: Duration = Duration::from_secs(300);
/// A reading is stale after this many of its intervals.
const STALE_INTERVALS: u32 = 3;

/// The rule by which a reading is stale.
#[derive(Clone, Copy, Debug, Default)]
pub struct StalenessRule {
    /// The interval of the push, if it is enabled.
    pub push_interval: Option<Duration>,
}

/// A stale reading, with the reason why it was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleReading {
    /// The age of the reading.
    pub age: Duration,
    /// The reason why it was not replaced.
    pub reason: StaleReason,
}

/// The reason why a stale reading was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Nothing has requested a reading.
    NotCollected,
    /// A poll has started and has not ended.
    PollRunning,
    /// A poll waits for the concurrency limit that all targets share.
    WaitsForLimit,
    /// The server fails repeatedly and is polled less often.
    SlowedDown,
}

impl fmt::Display for StaleReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the last poll was {} s ago: {}", self.age.as_secs(), self.reason)
    }
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCollected => "no scrape and no push has requested a reading since then",
            Self::PollRunning => "the next poll has started, and the server has not responded yet",
            Self::WaitsForLimit => "the next poll waits for the concurrency limit, because many other polls are running",
            Self::SlowedDown => "the server failed repeatedly, so that it is polled less often",
        })
    }
}

impl StalenessRule {
    /// The age from which a reading of this target is stale.
    #[must_use]
    pub fn reading_age_max(self, target: &Target) -> Duration {
        self.age_max(target.config.min_interval)
    }

    fn age_max(self, min_interval: Duration) -> Duration {
        STALE_AFTER_MIN.max(min_interval * STALE_INTERVALS).max(self.push_interval.unwrap_or_default() * STALE_INTERVALS)
    }

    /// The latest reading of the target, if it is stale.
    #[must_use]
    pub fn stale_reading(self, target: &Target, now: Instant) -> Option<StaleReading> {
        let age = now.saturating_duration_since(target.latest()?.began);
        let reason = || match target.circuit() {
            _ if target.waits_for_limit() => StaleReason::WaitsForLimit,
            _ if target.is_polling() => StaleReason::PollRunning,
            Circuit::Open { until, .. } if until > now => StaleReason::SlowedDown,
            _ => StaleReason::NotCollected,
        };
        (age > self.reading_age_max(target)).then(|| StaleReading { age, reason: reason() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{self, Environment};
    use crate::poll::Limits;

    #[test]
    fn a_reading_is_stale_after_the_longest_of_three_ages() {
        for (min_interval, push_interval, minutes) in [(15, None, 5), (15, Some(60), 5), (15, Some(600), 30), (1200, Some(600), 60)] {
            let rule = StalenessRule { push_interval: push_interval.map(Duration::from_secs) };
            assert_eq!(rule.age_max(Duration::from_secs(min_interval)), Duration::from_secs(60 * minutes));
        }
    }

    #[tokio::test]
    async fn a_stale_reading_has_the_reason_why_it_was_not_replaced() {
        // Nothing listens on this port, so each poll fails immediately.
        let text = "targets: [{name: a, system: kumomta, url: 'http://127.0.0.1:1', min_interval: 1s, backoff_max: 1h}]";
        let config = config::parse(text, "postmeter.yaml", &Environment::default()).unwrap();
        let target = Target::new(config.targets[0].clone(), Limits::default()).unwrap();
        let rule = StalenessRule::default();
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(rule.stale_reading(&target, at(3600)), None, "a target that was never polled has no reading");
        target.reading().await;
        assert_eq!(rule.stale_reading(&target, at(299)), None);
        let stale = rule.stale_reading(&target, at(400)).unwrap();
        assert_eq!(stale.reason, StaleReason::NotCollected);
        assert!(stale.to_string().ends_with("no scrape and no push has requested a reading since then"), "{stale}");
        assert_eq!(StalenessRule { push_interval: Some(Duration::from_secs(200)) }.stale_reading(&target, at(400)), None);
    }
}
