//! The rate limit of a server, enforced before requests are sent: a number of requests in any minute, and the waits after a 429.
//!
//! A 429 for the required part suspends all requests to the target; a 429 for an optional part suspends only that part.

use crate::net::RETRY_AFTER_MAX;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// The wait after a 429 without `Retry-After`.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(30);

/// The requests of the last minute, and the waits that the server requires.
#[derive(Debug)]
pub(super) struct RateBudget {
    per_minute_max: Option<u32>,
    sent: VecDeque<Instant>,
    /// The end of each wait, with its scope.
    not_before: Vec<(Scope, Instant)>,
}

/// The scope of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The target as a whole: the server rejected the required part.
    Target,
    /// One optional part.
    Part(&'static str),
}

impl RateBudget {
    pub(super) fn new(per_minute_max: Option<u32>) -> Self {
        Self { per_minute_max, sent: VecDeque::new(), not_before: Vec::new() }
    }

    /// Spends one request of the budget.
    ///
    /// # Errors
    /// The time until a request is allowed.
    pub(super) fn spend(&mut self, now: Instant, scope: Scope) -> Result<(), Duration> {
        let wait = self.wait(now, scope);
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.per_minute_max.is_some() {
            self.sent.push_back(now);
        }
        Ok(())
    }

    /// The time until a request is allowed.
    pub(super) fn wait(&mut self, now: Instant, scope: Scope) -> Duration {
        let rejections = self.not_before.iter().filter(|(of, _)| *of == Scope::Target || *of == scope);
        let rejected = rejections.map(|(_, until)| until.saturating_duration_since(now)).max().unwrap_or_default();
        while self.sent.front().is_some_and(|t| now.saturating_duration_since(*t) >= MINUTE) {
            self.sent.pop_front();
        }
        let is_spent = self.per_minute_max.is_some_and(|max| self.sent.len() >= max as usize);
        let first = self.sent.front().filter(|_| is_spent);
        rejected.max(first.map(|first| MINUTE.saturating_sub(now.saturating_duration_since(*first))).unwrap_or_default())
    }

    /// Records a 429. Returns the wait until the next request.
    pub(super) fn record_rejection(&mut self, now: Instant, scope: Scope, retry_after: Option<Duration>) -> Duration {
        let wait = retry_after.unwrap_or(RETRY_AFTER_DEFAULT).min(RETRY_AFTER_MAX);
        self.not_before.retain(|(of, _)| *of != scope);
        self.not_before.push((scope, now + wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_the_budget() {
        let mut budget = RateBudget::new(Some(3));
        let start = Instant::now();
        for second in [0, 10, 20] {
            assert_eq!(budget.spend(start + Duration::from_secs(second), Scope::Target), Ok(()));
        }
        assert_eq!(budget.spend(start + Duration::from_secs(30), Scope::Target), Err(Duration::from_secs(30)));
        assert_eq!(budget.spend(start + Duration::from_secs(60), Scope::Target), Ok(()));
        assert_eq!(budget.spend(start + Duration::from_secs(61), Scope::Target), Err(Duration::from_secs(9)));
    }

    #[test]
    fn retry_after_is_respected_up_to_a_limit() {
        let mut budget = RateBudget::new(None);
        let now = Instant::now();
        assert_eq!(budget.record_rejection(now, Scope::Target, Some(Duration::from_secs(60))), Duration::from_secs(60));
        assert_eq!(budget.spend(now + Duration::from_secs(59), Scope::Target), Err(Duration::from_secs(1)));
        assert_eq!(budget.spend(now + Duration::from_secs(60), Scope::Target), Ok(()));
        assert_eq!(budget.record_rejection(now, Scope::Target, Some(Duration::from_secs(1_000_000))), RETRY_AFTER_MAX);
        assert_eq!(budget.record_rejection(now, Scope::Target, None), RETRY_AFTER_DEFAULT);
    }

    #[test]
    fn a_rejected_part_suspends_itself_and_a_rejected_target_everything() {
        let (mut budget, now, wait) = (RateBudget::new(None), Instant::now(), Duration::from_secs(60));
        budget.record_rejection(now, Scope::Part("queue"), Some(wait));
        assert_eq!(budget.spend(now, Scope::Part("queue")), Err(wait));
        assert_eq!((budget.spend(now, Scope::Target), budget.spend(now, Scope::Part("other"))), (Ok(()), Ok(())));
        budget.record_rejection(now, Scope::Target, Some(wait * 2));
        assert_eq!((budget.spend(now, Scope::Target), budget.spend(now, Scope::Part("queue"))), (Err(wait * 2), Err(wait * 2)));
        assert_eq!(budget.spend(now + wait * 2, Scope::Part("queue")), Ok(()));
    }
}
