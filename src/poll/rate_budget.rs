//! A server's rate limit, kept on our side: so many requests in any minute.
//!
//! A 429 for the required part is about all that is asked; one for an optional part silences that part alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// A `Retry-After` beyond this is taken as this: a server's slip must not silence a target for a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// How long to wait after a 429 that does not say.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(30);

/// Requests of the last minute, and when the server wants to be left alone.
#[derive(Debug)]
pub(super) struct RateBudget {
    per_minute_max: Option<u32>,
    sent: VecDeque<Instant>,
    /// For which part, or for all.
    not_before: Vec<(Scope, Instant)>,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The target as a whole: its required part was refused.
    All,
    /// An optional part.
    Part(&'static str),
}

impl RateBudget {
    pub(super) fn new(per_minute_max: Option<u32>) -> Self {
        Self { per_minute_max, sent: VecDeque::new(), not_before: Vec::new() }
    }

    /// Takes one request from the budget.
    ///
    /// # Errors
    /// How long until there is one again.
    pub(super) fn take(&mut self, now: Instant, scope: Scope) -> Result<(), Duration> {
        let wait = self.wait(now, scope);
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.per_minute_max.is_some() {
            self.sent.push_back(now);
        }
        Ok(())
    }

    /// How long until there is a request to take.
    pub(super) fn wait(&mut self, now: Instant, scope: Scope) -> Duration {
        let refusals = self.not_before.iter().filter(|(of, _)| *of == Scope::All || *of == scope);
        let refused = refusals.map(|(_, until)| until.saturating_duration_since(now)).max().unwrap_or_default();
        while self.sent.front().is_some_and(|t| now.saturating_duration_since(*t) >= MINUTE) {
            self.sent.pop_front();
        }
        let spent = self.per_minute_max.is_some_and(|max| self.sent.len() >= max as usize);
        let first = self.sent.front().filter(|_| spent);
        refused.max(first.map(|first| MINUTE.saturating_sub(now.saturating_duration_since(*first))).unwrap_or_default())
    }

    /// The server answered 429. Gives the wait that is kept.
    pub(super) fn refused(&mut self, now: Instant, scope: Scope, retry_after: Option<Duration>) -> Duration {
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
            assert_eq!(budget.take(start + Duration::from_secs(second), Scope::All), Ok(()));
        }
        assert_eq!(budget.take(start + Duration::from_secs(30), Scope::All), Err(Duration::from_secs(30)));
        assert_eq!(budget.take(start + Duration::from_secs(60), Scope::All), Ok(()));
        assert_eq!(budget.take(start + Duration::from_secs(61), Scope::All), Err(Duration::from_secs(9)));
    }

    #[test]
    fn a_refusal_is_obeyed_within_reason() {
        let mut budget = RateBudget::new(None);
        let now = Instant::now();
        assert_eq!(budget.refused(now, Scope::All, Some(Duration::from_secs(60))), Duration::from_secs(60));
        assert_eq!(budget.take(now + Duration::from_secs(59), Scope::All), Err(Duration::from_secs(1)));
        assert_eq!(budget.take(now + Duration::from_secs(60), Scope::All), Ok(()));
        assert_eq!(budget.refused(now, Scope::All, Some(Duration::from_secs(1_000_000))), RETRY_AFTER_MAX);
        assert_eq!(budget.refused(now, Scope::All, None), RETRY_AFTER_DEFAULT);
    }

    #[test]
    fn a_refused_part_silences_itself_and_a_refused_target_everything() {
        let (mut budget, now, wait) = (RateBudget::new(None), Instant::now(), Duration::from_secs(60));
        budget.refused(now, Scope::Part("queue"), Some(wait));
        assert_eq!(budget.take(now, Scope::Part("queue")), Err(wait));
        assert_eq!((budget.take(now, Scope::All), budget.take(now, Scope::Part("other"))), (Ok(()), Ok(())));
        budget.refused(now, Scope::All, Some(wait * 2));
        assert_eq!((budget.take(now, Scope::All), budget.take(now, Scope::Part("queue"))), (Err(wait * 2), Err(wait * 2)));
        assert_eq!(budget.take(now + wait * 2, Scope::Part("queue")), Ok(()));
    }
}
