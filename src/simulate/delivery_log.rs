//! The delivery log of a server that does not exist: what became of each attempt, and what WHM makes of searching in it.

use super::random::mix;
use super::{Domain, Origin};
use std::collections::VecDeque;

/// Attempts that are kept; the oldest go first.
pub const LOG_ATTEMPTS_MAX: usize = 200_000;

/// How an attempt ended, in WHM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Taken.
    Success,
    /// To be tried again.
    Defer,
    /// Given up.
    Failure,
    /// It has not ended.
    InProgress,
}

impl Ended {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Success, Self::Defer, Self::Failure, Self::InProgress];

    /// WHM's word, which is also the parameter that asks for it.
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

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The message.
    pub id: u64,
    /// Where it goes, by its place in the server's list.
    pub domain: u32,
    /// Who sent it.
    pub origin: Origin,
    /// Its size.
    pub bytes: u64,
    /// When it came, in Unix seconds.
    pub received: u64,
    /// When the attempt was made, likewise.
    pub at: u64,
    /// How it ended.
    pub ended: Ended,
    /// When the log has it, likewise: servers write late.
    pub shown: u64,
    /// It stands in the log twice.
    pub twice: bool,
}

/// All attempts, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct DeliveryLog {
    attempts: VecDeque<Attempt>,
    /// The most records of each kind that an answer has, whatever is asked for.
    pub results_by_type_max: Option<usize>,
    /// Each so-manieth search fails, in turns as [`LogFault`] has them.
    pub fault_every: Option<u64>,
    /// A search in more seconds than these never ends.
    pub search_seconds_max: Option<u64>,
    /// So many entries of each answer say neither when nor of what.
    pub odd: u64,
    searches: u64,
}

/// How a search fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFault {
    /// Status 500.
    Status,
    /// The answer ends in the middle.
    Truncated,
    /// A refusal in an answer that says 200.
    Refused,
}

impl DeliveryLog {
    /// Adds an attempt.
    pub fn push(&mut self, attempt: Attempt) {
        if self.attempts.len() == LOG_ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }

    /// Adds so many attempts, evenly from one time to another, of which some stand twice.
    pub fn fill(&mut self, count: u64, from: u64, to: u64, domains: usize) {
        for n in 0..count {
            let chance = mix(n ^ from);
            let at = from + (to - from) * n / count.max(1);
            let ended = match chance % 100 {
                0..=89 => Ended::Success,
                90..=95 => Ended::Defer,
                96..=98 => Ended::Failure,
                _ => Ended::InProgress,
            };
            let received = at - chance % 40;
            let origin = if chance.is_multiple_of(4) { Origin::Remote } else { Origin::Authenticated };
            let (domain, bytes) = ((chance >> 8) as u32 % domains.max(1) as u32, 1000 + (chance >> 16) % 90_000);
            self.push(Attempt { id: (from << 24) + n, domain, origin, bytes, received, at, ended, shown: at, twice: n % 997 == 5 });
        }
    }

    /// How many attempts it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter()
    }

    /// One more search, and how it fails, if it does.
    pub(super) fn search(&mut self) -> Option<LogFault> {
        self.searches += 1;
        let every = self.fault_every.filter(|every| self.searches.is_multiple_of(*every))?;
        Some([LogFault::Status, LogFault::Truncated, LogFault::Refused][(self.searches / every) as usize % 3])
    }

    /// How many searches there were.
    #[must_use]
    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// Those that the log shows at `now` and that pass, each as often as it stands there.
    pub(super) fn matching<'a>(&'a self, now: u64, passes: impl Fn(&Attempt) -> bool + 'a) -> impl Iterator<Item = &'a Attempt> {
        let shown = self.attempts.iter().filter(move |attempt| attempt.shown <= now && passes(attempt));
        shown.flat_map(|attempt| std::iter::repeat_n(attempt, 1 + usize::from(attempt.twice)))
    }
}

impl Attempt {
    /// What the server at the other end said, in Exim's words.
    pub(super) fn message(&self, domain: &Domain) -> String {
        let (name, to) = (&domain.name, self.recipient(domain));
        match (self.ended, mix(self.id) % 4) {
            (Ended::Success, _) => "Accepted".to_owned(),
            (Ended::InProgress, _) => "Message accepted".to_owned(),
            (Ended::Defer, 0) => format!("SMTP error from remote mail server after RCPT TO:<{to}>: 451 4.7.1 Greylisted, try again later"),
            (Ended::Defer, 1) => "Connection timed out".to_owned(),
            (Ended::Defer, _) => {
                format!("SMTP error from remote mail server after initial connection: 421 mx1.{name} Service not available")
            }
            (Ended::Failure, 0) => {
                format!("Domain {name} has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.")
            }
            (Ended::Failure, 1) => {
                format!("SMTP error from remote mail server after end of data: 550-5.7.26 Mail from \"{name}\" \\ refused")
            }
            (Ended::Failure, _) => format!("SMTP error from remote mail server after RCPT TO:<{to}>: 550 5.1.1 <{to}>: User unknown ü"),
        }
    }

    /// Who it is for.
    pub(super) fn recipient(&self, domain: &Domain) -> String {
        format!("reader{}@{}", self.id % 977, domain.name)
    }
}
