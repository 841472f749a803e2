//! Logs when a target's requests begin to be refused, and when they are accepted again.

use std::time::{Duration, Instant};

/// The number of causes whose start is logged in one window, so that a sender that is refused now and then does not fill the log.
const STARTS_MAX: u32 = 10;
/// The length of a window.
const WINDOW: Duration = Duration::from_secs(3600);

/// The cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalCause {
    /// The credential is missing or wrong.
    Unauthenticated,
    /// Postmeter cannot read the configured credential.
    UnusableCredential,
    /// The target has too many requests at a time, or their bodies need too much memory.
    Busy,
    /// A request exceeds the limit of its size.
    TooLarge,
    /// There is no space for the records, or the disk fails.
    NotStored,
    /// The records are not stored in time.
    TooSlow,
}

impl RefusalCause {
    /// The causes that end when records of a request are durable.
    pub(super) const AFTER_AUTHENTICATION: &[Self] = &[Self::Busy, Self::TooLarge, Self::NotStored, Self::TooSlow];
    /// The causes that end when a request is authenticated.
    pub(super) const BEFORE_AUTHENTICATION: &[Self] = &[Self::Unauthenticated, Self::UnusableCredential];

    /// The status of the response.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::UnusableCredential | Self::Busy | Self::TooLarge | Self::NotStored | Self::TooSlow => 503,
        }
    }
}

/// A cause that has begun and not ended.
#[derive(Debug)]
struct Ongoing {
    cause: RefusalCause,
    is_logged: bool,
}

/// The refusals of a target.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    /// At most one for each cause.
    ongoing: Vec<Ongoing>,
    window: Option<Instant>,
    starts: u32,
}

impl RefusalLog {
    /// Notes a refused request. Returns `true` if it has to be logged: the cause is new, or was not logged when it began.
    pub(super) fn refuse(&mut self, cause: RefusalCause, now: Instant) -> bool {
        if self.window.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            (self.window, self.starts) = (Some(now), 0);
        }
        if !self.ongoing.iter().any(|ongoing| ongoing.cause == cause) {
            self.ongoing.push(Ongoing { cause, is_logged: false });
        }
        let Some(ongoing) = self.ongoing.iter_mut().find(|ongoing| ongoing.cause == cause) else { return false };
        if ongoing.is_logged || self.starts >= STARTS_MAX {
            return false;
        }
        ongoing.is_logged = true;
        self.starts += 1;
        true
    }

    /// Notes that a request has passed the checks of these causes. Returns `true` if the start of one was logged, and its end has to be.
    pub(super) fn accept(&mut self, causes: &[RefusalCause]) -> bool {
        self.ongoing.extract_if(.., |ongoing| causes.contains(&ongoing.cause)).filter(|ongoing| ongoing.is_logged).count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::RefusalCause::{NotStored, TooLarge, Unauthenticated};
    use super::*;

    #[test]
    fn the_start_and_the_end_of_each_cause_are_logged() {
        let (mut log, now) = (RefusalLog::default(), Instant::now());
        assert!(!log.accept(&[NotStored]));
        assert_eq!([NotStored, NotStored, Unauthenticated, NotStored].map(|cause| log.refuse(cause, now)), [true, false, true, false]);
        assert!(log.accept(&[NotStored, TooLarge]));
        assert!(!log.accept(&[NotStored, TooLarge]));
        assert!(log.refuse(NotStored, now), "it begins again");
        assert!(!log.refuse(Unauthenticated, now), "this one has not ended");
        assert!(log.accept(&[NotStored, Unauthenticated]));
    }

    #[test]
    fn the_lines_are_limited() {
        let (mut log, now) = (RefusalLog::default(), Instant::now());
        let mut refuse_and_accept = |at| (log.refuse(NotStored, at), log.accept(&[NotStored]));
        let logged = (0..50).map(|_| refuse_and_accept(now)).filter(|lines| *lines == (true, true)).count();
        assert_eq!(logged, STARTS_MAX as usize);
        assert_eq!(refuse_and_accept(now + WINDOW / 2), (false, false), "an end is logged only after its start");
        assert_eq!(refuse_and_accept(now + WINDOW), (true, true));
        // A cause whose start could not be logged is logged later, if it lasts.
        let mut lasting = RefusalLog { starts: STARTS_MAX, window: Some(now), ..RefusalLog::default() };
        assert_eq!([now, now + WINDOW, now + WINDOW].map(|at| lasting.refuse(NotStored, at)), [false, true, false]);
    }
}
