//! A server's rate limit, kept on our side: so many requests in any minute.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// A `Retry-After` beyond this is taken as this: a server's slip must not silence a target for a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How long to wait after a 429 that does not say.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(30);

/// Requests of the last minute, and when the server wants to be left alone.
#[derive(Debug)]
pub(super) struct Budget {
    per_minute_max: Option<u32>,
    sent: VecDeque<Instant>,
    not_before: Option<Instant>,
}

impl Budget {
    pub(super) fn new(per_minute_max: Option<u32>) -> Self {
        Self { per_minute_max, sent: VecDeque::new(), not_before: None }
    }

    /// Takes one request from the budget.
    ///
    /// # Errors
    /// How long until there is one again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.per_minute_max.is_some() {
            self.sent.push_back(now);
        }
        Ok(())
    }

    /// How long until there is a request to take.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        let refused = self.not_before.map(|t| t.saturating_duration_since(now)).unwrap_or_default();
        while self.sent.front().is_some_and(|t| now.saturating_duration_since(*t) >= MINUTE) {
            self.sent.pop_front();
        }
        let spent = self.per_minute_max.is_some_and(|max| self.sent.len() >= max as usize);
        let first = self.sent.front().filter(|_| spent);
        refused.max(first.map(|first| MINUTE.saturating_sub(now.saturating_duration_since(*first))).unwrap_or_default())
    }

    /// The server answered 429. Gives the wait that is kept.
    pub(super) fn refused(&mut self, now: Instant, retry_after: Option<Duration>) -> Duration {
        let wait = retry_after.unwrap_or(RETRY_AFTER_DEFAULT).min(RETRY_AFTER_MAX);
        self.not_before = Some(now + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_the_budget() {
        let mut budget = Budget::new(Some(3));
        let start = Instant::now();
        for second in [0, 10, 20] {
            assert_eq!(budget.take(start + Duration::from_secs(second)), Ok(()));
        }
        assert_eq!(budget.take(start + Duration::from_secs(30)), Err(Duration::from_secs(30)));
        assert_eq!(budget.take(start + Duration::from_secs(60)), Ok(()));
        assert_eq!(budget.take(start + Duration::from_secs(61)), Err(Duration::from_secs(9)));
    }

    #[test]
    fn a_refusal_is_obeyed_within_reason() {
        let mut budget = Budget::new(None);
        let now = Instant::now();
        assert_eq!(budget.refused(now, Some(Duration::from_secs(60))), Duration::from_secs(60));
        assert_eq!(budget.take(now + Duration::from_secs(59)), Err(Duration::from_secs(1)));
        assert_eq!(budget.take(now + Duration::from_secs(60)), Ok(()));
        assert_eq!(budget.refused(now, Some(Duration::from_secs(1_000_000))), RETRY_AFTER_MAX);
        assert_eq!(budget.refused(now, None), RETRY_AFTER_DEFAULT);
    }
}
