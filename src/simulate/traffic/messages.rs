//! The life of simulated messages: they arrive, are delivered, deferred or bounced, and every event is counted.

use super::super::delivery_log::Attempt;
use super::super::random::mix;
use super::super::{Account, AttemptOutcome, Domain, Message, Origin, Sums};
use super::{ARRIVALS_PER_SECOND, Traffic};

const DAY_SECONDS: f64 = 86_400.0;
/// Amplitude of the daily variation of arrivals, as a share of the mean.
const DAILY_AMPLITUDE: f64 = 0.45;
/// Probability that a first attempt is deferred.
const FIRST_ATTEMPT_DEFERRED: f64 = 0.045;
/// Probability that a first attempt fails permanently.
const FIRST_ATTEMPT_FAILED: f64 = 0.015;
/// Probability that a retry is deferred again.
const RETRY_DEFERRED: f64 = 0.32;
/// Probability that a retry fails permanently.
const RETRY_FAILED: f64 = 0.08;
/// Slow domains defer this many times as often.
const SLOW_DOMAIN_FACTOR: f64 = 4.0;
/// The attempt after which a message is no longer deferred.
const ATTEMPTS_MAX: u8 = 6;
const RETRY_SECONDS: f64 = 180.0;
/// Average time between the arrival of a message and its first attempt.
const READY_SECONDS: f64 = 1.2;
/// During a burst this many times as many messages arrive.
const BURST_FACTOR: f64 = 5.0;
const BURST_SECONDS: f64 = 30.0;
const BURSTS_PER_SECOND: f64 = 1.0 / 900.0;

impl Traffic {
    /// Queues one message for each domain, as after a restart with a full spool, so that every domain has a queue.
    pub(super) fn fill_queue(&mut self) {
        for domain in 0..self.domains.len() {
            let mut message = self.arrive(domain, Origin::Authenticated, self.started);
            message.tries = 1;
            self.attempt_seconds.observe(1.0);
            self.deferred_attempt_seconds.observe(1.0);
            self.defer(message, self.started);
        }
    }

    /// Simulates the time until `end`, which is within one minute.
    pub(super) fn step(&mut self, end: f64) {
        let seconds = end - self.now;
        let daily = 1.0 + DAILY_AMPLITUDE * ((self.now / DAY_SECONDS - 0.4) * std::f64::consts::TAU).sin();
        let mut rate = ARRIVALS_PER_SECOND * daily * self.random.lognormal(1.0, 0.1);
        if self.now < self.bursting_until {
            rate *= BURST_FACTOR;
        } else if self.random.chance(BURSTS_PER_SECOND * seconds) {
            self.bursting_until = end + BURST_SECONDS;
        }

        for mut message in std::mem::take(&mut self.inflight) {
            self.domains[message.domain].ready -= 1;
            message.tries = 1;
            self.attempt(message, end);
        }
        let arrivals = self.random.poisson(rate * seconds);
        let undelivered = self.random.poisson(rate * READY_SECONDS).min(arrivals);
        for nth in 0..arrivals {
            let share = self.random.unit();
            let domain = self.shares.partition_point(|upper| *upper <= share).min(self.domains.len() - 1);
            let origin = match self.random.below(100) {
                0..=24 => Origin::Remote,
                25..=96 => Origin::Authenticated,
                97 | 98 => Origin::LocalUser,
                _ => Origin::Report,
            };
            let message = self.arrive(domain, origin, self.now + seconds * nth as f64 / arrivals as f64);
            if nth < arrivals - undelivered {
                self.attempt(Message { tries: 1, ..message }, end);
            } else {
                self.domains[domain].ready += 1;
                self.inflight.push(message);
            }
        }
        for mut message in self.due(end) {
            self.domains[message.domain].scheduled -= 1;
            message.tries += 1;
            self.attempt(message, end);
        }
        self.clients(seconds, rate);
        self.machine(seconds, rate, end);
        self.now = end;
    }

    /// Removes the messages whose retry is due from the queue.
    fn due(&mut self, end: f64) -> Vec<Message> {
        let (due, waiting) = std::mem::take(&mut self.queue).into_iter().partition(|message| message.retry <= end);
        self.queue = waiting;
        due
    }

    /// Receives a message.
    fn arrive(&mut self, domain: usize, origin: Origin, at: f64) -> Message {
        let median = if origin == Origin::Remote { 12_000.0 } else { 4_000.0 };
        let bytes = self.random.lognormal(median, 1.8).clamp(200.0, 4e7) as u64;
        self.next_message += 1;
        let id = (1 << 58) + (self.next_message << 16) + (mix(self.next_message ^ self.seed) & 0xffff);
        self.received += 1;
        self.received_bytes += bytes;
        let by_http = matches!(origin, Origin::Authenticated | Origin::LocalUser) && self.random.chance(0.2);
        *if by_http { &mut self.received_http } else { &mut self.received_smtp } += 1;
        match origin {
            Origin::Remote => self.received_remote += 1,
            Origin::Authenticated | Origin::LocalUser => self.received_authenticated += 1,
            Origin::Dsn => self.received_dsn += 1,
            Origin::Report => self.received_report += 1,
        }
        if origin == Origin::Remote {
            self.remote_bytes.observe(bytes as f64);
            self.verify();
        } else {
            self.authenticated_bytes.observe(bytes as f64);
        }
        let message = Message { id, domain, origin, bytes, received: at, retry: at, tries: 0 };
        self.account(&message, |sums| {
            sums.sent += 1;
            sums.bytes += bytes;
        });
        message
    }

    /// Checks a received message for spam and verifies DKIM, SPF and DMARC.
    fn verify(&mut self) {
        let spam = self.random.chance(0.18);
        *if spam { &mut self.spam } else { &mut self.ham } += 1;
        let pass = !self.random.chance(if spam { 0.5 } else { 0.03 });
        *if pass { &mut self.dkim_pass } else { &mut self.dkim_fail } += 1;
        *if pass { &mut self.dmarc_pass } else { &mut self.dmarc_fail } += 1;
        let spf = self.random.chance(if pass { 0.97 } else { 0.4 });
        *if spf { &mut self.spf_pass } else { &mut self.spf_fail } += 1;
    }

    /// Attempts a delivery.
    fn attempt(&mut self, message: Message, at: f64) {
        let slow = Domain::slow(message.domain);
        let seconds = self.random.lognormal(if slow { 1.4 } else { 0.25 }, 0.9);
        self.attempt_seconds.observe(seconds);
        if self.random.chance(0.35) {
            self.outbound_opened += 1;
            self.domains[message.domain].opened += 1;
            *if self.random.chance(0.3) { &mut self.dane_ok } else { &mut self.dane_none } += 1;
        }
        let factor = if slow { SLOW_DOMAIN_FACTOR } else { 1.0 };
        let (deferred, failed) = match message.tries {
            0 | 1 => (FIRST_ATTEMPT_DEFERRED * factor, FIRST_ATTEMPT_FAILED),
            ATTEMPTS_MAX.. => (0.0, 0.6),
            _ => (RETRY_DEFERRED, RETRY_FAILED),
        };
        let outcome = self.random.unit();
        if outcome < deferred {
            self.deferred_attempt_seconds.observe(seconds);
            return self.defer(message, at);
        }
        self.delivery_seconds.observe(at - message.received + seconds);
        if outcome < deferred + failed {
            self.failed_attempt_seconds.observe(seconds);
            return self.fail(message, at);
        }
        self.delivered += 1;
        self.delivered_attempt_seconds.observe(seconds);
        self.log_attempt(&message, at + seconds, AttemptOutcome::Success);
        self.domains[message.domain].delivered += 1;
        self.account(&message, |sums| sums.delivered += 1);
        if self.random.chance(0.0008) {
            self.complaints += 1;
        }
        self.webhook();
    }

    /// Queues a message for another attempt.
    fn defer(&mut self, mut message: Message, at: f64) {
        let wait = RETRY_SECONDS * f64::from(message.tries.max(1)) * (0.5 + self.random.unit());
        message.retry = at + wait;
        self.deferred += 1;
        self.log_attempt(&message, at, AttemptOutcome::Defer);
        self.domains[message.domain].deferred += 1;
        self.domains[message.domain].scheduled += 1;
        self.account(&message, |sums| sums.deferred += 1);
        match self.random.below(10) {
            0..=5 => self.deferred_greylisted += 1,
            6..=8 => self.deferred_connect += 1,
            _ => {
                self.throttled += 1;
                self.domains[message.domain].throttled += 1;
            }
        }
        self.queue.push(message);
    }

    /// Ends a message as undeliverable.
    fn fail(&mut self, message: Message, at: f64) {
        self.failed += 1;
        self.log_attempt(&message, at, AttemptOutcome::Failure);
        self.domains[message.domain].failed += 1;
        self.account(&message, |sums| sums.failed += 1);
        let hard = self.random.chance(0.8);
        *if hard { &mut self.hard_bounces } else { &mut self.soft_bounces } += 1;
        *if self.random.chance(0.7) { &mut self.failed_rcpt } else { &mut self.failed_lookup } += 1;
        self.webhook();
        // The sender gets a bounce message immediately. Bounce messages themselves never bounce.
        if message.origin == Origin::Authenticated && self.random.chance(0.5) {
            let mut dsn = self.arrive(message.domain, Origin::Dsn, at);
            dsn.tries = 1;
            self.attempt(dsn, at);
        }
    }

    /// Adds an attempt to the delivery log. Some entries are written late, and some twice.
    fn log_attempt(&mut self, message: &Message, at: f64, outcome: AttemptOutcome) {
        let Message { id, domain, origin, bytes, received, tries, .. } = *message;
        let (at, received, chance) = (at as u64, received as u64, mix(id + u64::from(tries)));
        let late = if chance.is_multiple_of(50) { chance % 45 } else { 0 };
        let (domain, visible_at, is_duplicated) = (domain as u32, at + late, chance % 500 == 7);
        self.log.push(Attempt { id, domain, origin, bytes, received, at, outcome, visible_at, is_duplicated });
    }

    /// Calls a webhook, which the EmailEngine simulation reports.
    fn webhook(&mut self) {
        let ok = !self.random.chance(0.02);
        *if ok { &mut self.webhooks_succeeded } else { &mut self.webhooks_failed } += 1;
        let seconds = self.random.lognormal(0.09, 0.8);
        self.webhook_seconds.observe(seconds);
    }

    /// Adds to the sums of the account that a message belongs to.
    fn account(&mut self, message: &Message, count: impl FnOnce(&mut Sums)) {
        self.minutes.count(self.now, Account::of(message), count);
    }
}
