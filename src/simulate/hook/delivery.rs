//! A delivery attempt that a sender reports.

use super::super::random::mix;
use super::super::{Attempt, AttemptOutcome, Domain, Origin};

/// A delivery attempt with everything that senders report of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message's number.
    pub id: u64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The outcome.
    pub outcome: AttemptOutcome,
    /// The time of the attempt, in Unix seconds.
    pub at: u64,
    /// The time the message was received, in Unix seconds.
    pub received: u64,
    /// The size of the message in bytes.
    pub bytes: u64,
    /// The origin of the message.
    pub origin: Origin,
    /// The recipient's domain.
    pub domain: String,
    /// The tenant that sent the message, if any.
    pub tenant: Option<&'static str>,
    /// The campaign of the message, if any.
    pub campaign: Option<&'static str>,
}

/// The reply of the next hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextHopReply {
    pub code: u16,
    pub status: [u16; 3],
    pub text: &'static str,
}

impl Delivery {
    /// A delivery with this number at this time, in Unix seconds. Of twenty deliveries, three are deferred and one fails.
    #[must_use]
    pub fn nth(id: u64, at: u64) -> Self {
        let outcome = match mix(id) % 20 {
            0..=2 => AttemptOutcome::Defer,
            3 => AttemptOutcome::Failure,
            _ => AttemptOutcome::Success,
        };
        let domain = ["example.net", "example.org", "mail.example.net"][(id % 3) as usize].to_owned();
        let (received, bytes) = (at - mix(id) % 60, 1000 + mix(id) % 90_000);
        Self { id, attempt: 1, outcome, at, received, bytes, origin: Origin::Authenticated, domain, tenant: None, campaign: None }
    }

    /// The delivery of a simulated server's attempt. `None` for an attempt that has not ended.
    pub(super) fn of_attempt(attempt: &Attempt, domain: &Domain) -> Option<Self> {
        (attempt.outcome != AttemptOutcome::InProgress).then(|| Self {
            id: attempt.id,
            attempt: 1,
            outcome: attempt.outcome,
            at: attempt.at,
            received: attempt.received,
            bytes: attempt.bytes,
            origin: attempt.origin,
            domain: domain.name.clone(),
            tenant: domain.tenant,
            campaign: domain.campaign,
        })
    }

    pub(super) fn recipient(&self) -> String {
        format!("reader{}@{}", self.id % 977, self.domain)
    }

    /// The name of the recipient's mail server.
    pub(super) fn host(&self) -> String {
        format!("mx.{}", self.domain)
    }

    /// The address of the recipient's mail server.
    pub(super) fn peer(&self) -> String {
        format!("192.0.2.{}", 1 + self.domain.len() % 100)
    }

    /// The address from which the message was sent.
    pub(super) fn source_address(&self) -> String {
        format!("192.0.2.{}", 200 + self.id % 2)
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.outcome == AttemptOutcome::Success
    }

    pub(super) fn reply(&self) -> NextHopReply {
        let of = |code, status, text| NextHopReply { code, status, text };
        match (self.outcome, mix(self.id) % 2) {
            (AttemptOutcome::Success | AttemptOutcome::InProgress, _) => of(250, [2, 0, 0], "OK: queued"),
            (AttemptOutcome::Defer, 0) => of(451, [4, 7, 1], "greylisted, try again later"),
            (AttemptOutcome::Defer, _) => of(421, [4, 3, 2], "service not available"),
            (AttemptOutcome::Failure, 0) => of(550, [5, 7, 26], "unauthenticated mail is refused"),
            (AttemptOutcome::Failure, _) => of(550, [5, 1, 1], "user unknown"),
        }
    }
}

impl NextHopReply {
    /// The enhanced status code.
    pub(super) fn status(&self) -> String {
        let [class, subject, detail] = self.status;
        format!("{class}.{subject}.{detail}")
    }

    /// The reply as the next hop sends it.
    pub(super) fn line(&self) -> String {
        format!("{} {} {}", self.code, self.status(), self.text)
    }
}

/// A time in Unix seconds as RFC 3339.
pub(super) fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
