//! Logs when a target's requests begin to be rejected, and when they are accepted again.

use crate::net::{LineLimit, RECOVERY};
use std::time::Instant;

/// The cause of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalCause {
    /// The credential is missing or wrong.
    Unauthenticated,
    /// Postmeter cannot read the configured credential.
    UnusableCredential,
    /// The target has too many requests at a time, or their bodies need too much memory.
    Busy,
    /// There are too many requests whose signature is not verified yet, or their bodies need too much memory.
    Unverified,
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
    pub(super) const BEFORE_AUTHENTICATION: &[Self] = &[Self::Unauthenticated, Self::UnusableCredential, Self::Unverified];

    /// The status of the response.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            Self::UnusableCredential | Self::Unverified | Self::Busy | Self::TooLarge | Self::NotStored | Self::TooSlow => 503,
        }
    }
}

/// A cause that has begun and not ended.
#[derive(Debug)]
struct Ongoing {
    cause: RefusalCause,
    is_logged: bool,
    last: Instant,
}

/// The rejections of a target.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    /// At most one for each cause.
    ongoing: Vec<Ongoing>,
    limit: LineLimit,
}

impl RefusalLog {
    /// Notes a rejected request. Returns the end of the line if it has to be logged: the cause is new, or was not logged when it
    /// began.
    pub(super) fn refuse(&mut self, cause: RefusalCause, now: Instant) -> Option<&'static str> {
        if !self.ongoing.iter().any(|ongoing| ongoing.cause == cause) {
            self.ongoing.push(Ongoing { cause, is_logged: false, last: now });
        }
        let ongoing = self.ongoing.iter_mut().find(|ongoing| ongoing.cause == cause)?;
        ongoing.last = now;
        let note = if ongoing.is_logged { None } else { self.limit.admit(now) };
        ongoing.is_logged |= note.is_some();
        note
    }

    /// Notes that a request has passed the checks of these causes. Returns `true` if the start of one was logged, and its end has to be.
    pub(super) fn accept(&mut self, causes: &[RefusalCause], now: Instant) -> bool {
        // Other clients cause it, so that requests of the sender are accepted meanwhile.
        let lasts = |ongoing: &Ongoing| ongoing.cause == RefusalCause::Unverified && now.saturating_duration_since(ongoing.last) < RECOVERY;
        let has_ended = |ongoing: &mut Ongoing| causes.contains(&ongoing.cause) && !lasts(ongoing);
        self.ongoing.extract_if(.., has_ended).filter(|ongoing| ongoing.is_logged).count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::RefusalCause::{NotStored, TooLarge, Unauthenticated, Unverified};
    use super::*;

    #[test]
    fn the_start_and_the_end_of_each_cause_are_logged() {
        let (mut log, now) = (RefusalLog::default(), Instant::now());
        assert!(!log.accept(&[NotStored], now));
        assert_eq!(
            [NotStored, NotStored, Unauthenticated, NotStored].map(|cause| log.refuse(cause, now)),
            [Some(""), None, Some(""), None]
        );
        assert!(log.accept(&[NotStored, TooLarge], now));
        assert!(!log.accept(&[NotStored, TooLarge], now));
        assert_eq!(log.refuse(NotStored, now), Some(""), "it begins again");
        assert_eq!(log.refuse(Unauthenticated, now), None, "this one has not ended");
        assert!(log.accept(&[NotStored, Unauthenticated], now));
    }

    #[test]
    fn the_lines_are_limited() {
        let (mut log, now) = (RefusalLog::default(), Instant::now());
        let lines: Vec<_> = (0..50).map(|_| (log.refuse(NotStored, now), log.accept(&[NotStored], now))).collect();
        assert!(lines.contains(&(Some(""), true)) && lines.ends_with(&[(None, false)]), "an end is logged only after its start: {lines:?}");
        let notes: Vec<&str> = lines.iter().filter_map(|(note, _)| *note).collect();
        assert_eq!(notes.iter().position(|note| !note.is_empty()), Some(notes.len() - 1), "the last line has a note");
    }

    #[test]
    fn rejected_strangers_are_logged_once_while_the_sender_is_accepted() {
        let (mut log, mut now) = (RefusalLog::default(), Instant::now());
        assert!(log.refuse(Unverified, now).is_some());
        for _ in 0..10 {
            now += RECOVERY / 2;
            assert!(!log.accept(&[Unverified], now) && log.refuse(Unverified, now).is_none());
        }
        assert!(log.accept(&[Unverified], now + RECOVERY));
    }
}
