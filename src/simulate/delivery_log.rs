//! The delivery log of a simulated server: the outcome of each delivery attempt, and the defects of WHM's search in it.

use super::random::mix;
use super::{Domain, Origin};
use std::collections::VecDeque;

/// Attempts that are kept; the oldest are removed first.
pub const LOG_ATTEMPTS_MAX: usize = 200_000;

/// The outcome of a delivery attempt, as WHM classifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Delivered.
    Success,
    /// Deferred: there will be another attempt.
    Defer,
    /// Failed permanently.
    Failure,
    /// Not finished.
    InProgress,
}

impl AttemptOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Success, Self::Defer, Self::Failure, Self::InProgress];

    /// WHM's name, which is also the parameter that selects the outcome in a search.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Defer => "defer",
            Self::Failure => "failure",
            Self::InProgress => "inprogress",
        }
    }
}

/// A delivery attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The message's number.
    pub id: u64,
    /// The recipient's domain, as an index of the server's domains.
    pub domain: u32,
    /// The origin of the message.
    pub origin: Origin,
    /// The size of the message in bytes.
    pub bytes: u64,
    /// The time the message was received, in Unix seconds.
    pub received: u64,
    /// The time of the attempt, in Unix seconds.
    pub at: u64,
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// The time from which a search finds the attempt, in Unix seconds: servers write their log late.
    pub visible_at: u64,
    /// `true` if the log contains the attempt twice.
    pub is_duplicated: bool,
}

/// All attempts, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct DeliveryLog {
    attempts: VecDeque<Attempt>,
    /// The number of attempts so far, including removed ones.
    pushed: u64,
    /// The maximum number of records of each outcome in a response, whatever the request allows.
    pub results_by_type_max: Option<usize>,
    /// Every n-th search fails, with the variants of [`LogFault`] in turn.
    pub fault_every: Option<u64>,
    /// A search over more seconds than this never ends.
    pub search_seconds_max: Option<u64>,
    /// The number of entries in each response that have neither a time nor a message.
    pub incomplete_entries: u64,
    searches: u64,
}

/// A way in which a search fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFault {
    /// Status 500.
    Status,
    /// The response is truncated.
    Truncated,
    /// An error in a response with status 200.
    Refused,
}

impl DeliveryLog {
    /// Adds an attempt.
    pub fn push(&mut self, attempt: Attempt) {
        if self.attempts.len() == LOG_ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
        self.pushed += 1;
    }

    /// Adds this many attempts, evenly distributed between two times. Some of them are duplicated.
    pub fn fill(&mut self, count: u64, from: u64, to: u64, domains: usize) {
        for n in 0..count {
            let chance = mix(n ^ from);
            let at = from + (to - from) * n / count.max(1);
            let outcome = match chance % 100 {
                0..=89 => AttemptOutcome::Success,
                90..=95 => AttemptOutcome::Defer,
                96..=98 => AttemptOutcome::Failure,
                _ => AttemptOutcome::InProgress,
            };
            let received = at - chance % 40;
            let origin = if chance.is_multiple_of(4) { Origin::Remote } else { Origin::Authenticated };
            let (domain, bytes) = ((chance >> 8) as u32 % domains.max(1) as u32, 1000 + (chance >> 16) % 90_000);
            self.push(Attempt {
                id: (from << 24) + n,
                domain,
                origin,
                bytes,
                received,
                at,
                outcome,
                visible_at: at,
                is_duplicated: n % 997 == 5,
            });
        }
    }

    /// The number of attempts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    /// `true` if the log is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// All attempts, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter()
    }

    /// The attempts after the first `position` ones, oldest first. Sets `position` to the number of attempts so far.
    pub(super) fn since(&self, position: &mut u64) -> impl Iterator<Item = &Attempt> {
        let new = usize::try_from(self.pushed - (*position).min(self.pushed)).unwrap_or(usize::MAX);
        *position = self.pushed;
        self.attempts.iter().skip(self.attempts.len().saturating_sub(new))
    }

    /// Counts a search, and returns the fault that it has, if any.
    pub(super) fn search(&mut self) -> Option<LogFault> {
        self.searches += 1;
        let every = self.fault_every.filter(|every| self.searches.is_multiple_of(*every))?;
        Some([LogFault::Status, LogFault::Truncated, LogFault::Refused][(self.searches / every) as usize % 3])
    }

    /// The number of searches so far.
    #[must_use]
    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// The attempts that are visible at `now` and pass the filter; duplicated ones twice.
    pub(super) fn matching<'a>(&'a self, now: u64, passes: impl Fn(&Attempt) -> bool + 'a) -> impl Iterator<Item = &'a Attempt> {
        let visible = self.attempts.iter().filter(move |attempt| attempt.visible_at <= now && passes(attempt));
        visible.flat_map(|attempt| std::iter::repeat_n(attempt, 1 + usize::from(attempt.is_duplicated)))
    }
}

impl Attempt {
    /// The response of the remote server, as Exim logs it.
    pub(super) fn message(&self, domain: &Domain) -> String {
        let (name, to) = (&domain.name, self.recipient(domain));
        match (self.outcome, mix(self.id) % 4) {
            (AttemptOutcome::Success, _) => "Accepted".to_owned(),
            (AttemptOutcome::InProgress, _) => "Message accepted".to_owned(),
            (AttemptOutcome::Defer, 0) => {
                format!("SMTP error from remote mail server after RCPT TO:<{to}>: 451 4.7.1 Greylisted, try again later")
            }
            (AttemptOutcome::Defer, 1) => "Connection timed out".to_owned(),
            (AttemptOutcome::Defer, _) => {
                format!("SMTP error from remote mail server after initial connection: 421 mx1.{name} Service not available")
            }
            (AttemptOutcome::Failure, 0) => {
                format!("Domain {name} has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.")
            }
            (AttemptOutcome::Failure, 1) => {
                format!("SMTP error from remote mail server after end of data: 550-5.7.26 Mail from \"{name}\" \\ refused")
            }
            (AttemptOutcome::Failure, _) => {
                format!("SMTP error from remote mail server after RCPT TO:<{to}>: 550 5.1.1 <{to}>: User unknown ü")
            }
        }
    }

    /// The address of the recipient.
    pub(super) fn recipient(&self, domain: &Domain) -> String {
        format!("reader{}@{}", self.id % 977, domain.name)
    }
}
