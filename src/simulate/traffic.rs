//! The mail that passes through a server that does not exist: one model, which all five stand-ins render in their own words.
//!
//! # Why each message is dealt with singly
//!
//! The truth is then a count of things that happened, so that any two sums over it agree: `received` is always `delivered`
//! and `failed` and what waits. An advance costs its messages and what waits, whatever the number of domains.

use super::account::Minutes;
use super::delivery_log::{Attempt, DeliveryLog, Ended};
use super::distribution::{BYTES, SECONDS};
use super::random::{Random, mix};
use super::{Account, Distribution, Domain, Message, Origin, Sums};
use std::collections::BTreeMap;

/// Where the clock of a traffic begins that is given no time: a constant, so that tests see the same each day.
pub const EPOCH_UNIX_SECONDS: u64 = 1_790_000_040;
/// What has passed already when a traffic is new, so that a first look is not at zeros.
pub const WARM_UP_SECONDS: u64 = 900;
const MINUTE_SECONDS: f64 = 60.0;
const DAY_SECONDS: f64 = 86_400.0;
const ARRIVALS_PER_SECOND: f64 = 6.0;
/// How far the daily wave leaves the mean.
const WAVE: f64 = 0.45;
const FIRST_DEFERRED: f64 = 0.045;
const FIRST_FAILED: f64 = 0.015;
const AGAIN_DEFERRED: f64 = 0.32;
const AGAIN_FAILED: f64 = 0.08;
/// What a domain with a slow mail server defers more often.
const SLOW_FACTOR: f64 = 4.0;
const TRIES_MAX: u8 = 6;
const RETRY_SECONDS: f64 = 180.0;
const READY_SECONDS: f64 = 1.2;
const BURST_FACTOR: f64 = 5.0;
const BURST_SECONDS: f64 = 30.0;
const BURSTS_PER_SECOND: f64 = 1.0 / 900.0;
const OUTAGE_SECONDS: f64 = 90.0;
const OUTAGES_PER_SECOND: f64 = 1.0 / 1200.0;
const CPUS: f64 = 4.0;
const JIFFIES_PER_SECOND: f64 = 100.0;
/// The machine that all five run on.
pub const MEMORY_BYTES: u64 = 8 << 30;
/// The disk of that machine.
pub const DISK_BYTES: u64 = 80 << 30;

/// A service of the machine.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its unit's name.
    pub name: &'static str,
    /// Whether it runs.
    pub up: bool,
}

const SERVICES: &[&str] = &["postfix", "dovecot", "opendkim", "mariadb", "spamassassin", "nginx", "unbound", "rsyslog", "fail2ban"];
/// The mail traffic of one server, and everything that was counted of it.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each field is the count that its name says")]
pub struct Traffic {
    random: Random,
    seed: u64,
    started: f64,
    now: f64,
    /// Upper ends of each domain's share of arrivals.
    shares: Vec<f64>,
    inflight: Vec<Message>,
    minutes: Minutes,
    next_message: u64,
    bursting_until: f64,
    outage_until: f64,
    busy: f64,

    /// What became of each attempt.
    pub log: DeliveryLog,
    pub domains: Vec<Domain>,
    /// Messages that wait for a retry.
    pub queue: Vec<Message>,
    pub services: Vec<Service>,

    pub received: u64,
    pub received_remote: u64,
    /// Users' and `nobody`'s.
    pub received_authenticated: u64,
    pub received_dsn: u64,
    pub received_report: u64,
    pub received_smtp: u64,
    pub received_http: u64,
    pub received_bytes: u64,
    pub rejected: u64,
    pub delivered: u64,
    pub deferred: u64,
    pub failed: u64,
    pub failed_rcpt: u64,
    pub failed_lookup: u64,
    pub deferred_connect: u64,
    pub deferred_greylisted: u64,
    pub throttled: u64,
    pub hard_bounces: u64,
    pub soft_bounces: u64,
    pub complaints: u64,
    pub ham: u64,
    pub spam: u64,
    pub dkim_pass: u64,
    pub dkim_fail: u64,
    pub spf_pass: u64,
    pub spf_fail: u64,
    pub dmarc_pass: u64,
    pub dmarc_fail: u64,
    pub dane_ok: u64,
    pub dane_none: u64,
    pub auth_success: u64,
    pub auth_failed: u64,
    pub auth_error: u64,
    pub auth_rate_limited: u64,
    pub blocked: u64,
    pub smtp_opened: u64,
    pub smtp_denied: u64,
    pub imap_opened: u64,
    pub pop3_opened: u64,
    pub http_opened: u64,
    pub outbound_opened: u64,
    pub imap_bytes_sent: u64,
    pub imap_bytes_received: u64,
    pub webhooks_succeeded: u64,
    pub webhooks_failed: u64,

    /// Gauges: as they stood at the last step.
    pub smtp_active: u64,
    pub imap_active: u64,
    pub pop3_active: u64,
    pub http_active: u64,
    pub outbound_active: u64,
    pub webhooks_waiting: u64,
    pub bouncing: u64,
    pub load: [f64; 3],
    pub cpu_idle_jiffies: u64,
    pub cpu_total_jiffies: u64,
    pub memory_used_bytes: u64,
    pub disk_used_bytes: u64,

    pub attempt_seconds: Distribution,
    pub delivery_seconds: Distribution,
    pub remote_bytes: Distribution,
    pub authenticated_bytes: Distribution,
    pub smtp_seconds: Distribution,
    pub imap_seconds: Distribution,
    pub http_seconds: Distribution,
    pub webhook_seconds: Distribution,
}

impl Traffic {
    /// The traffic of this many domains, at a time that is always the same.
    #[must_use]
    pub fn new(seed: u64, size: usize) -> Self {
        Self::starting_at(seed, size, EPOCH_UNIX_SECONDS)
    }

    /// The traffic of this many domains that has come to this time.
    #[must_use]
    pub fn starting_at(seed: u64, size: usize, unix_seconds: u64) -> Self {
        let size = size.max(1);
        let started = unix_seconds.saturating_sub(WARM_UP_SECONDS) as f64;
        let mut shares: Vec<f64> = (0..size)
            .scan(0.0, |sum, i| {
                *sum += 1.0 / (i as f64 + 1.0);
                Some(*sum)
            })
            .collect();
        let whole = shares.last().copied().unwrap_or(1.0);
        shares.iter_mut().for_each(|share| *share /= whole);
        let mut random = Random::new(seed);
        let busy = 0.2 + 0.1 * random.unit();
        let mut traffic = Self {
            seed,
            started,
            now: started,
            shares,
            busy,
            domains: (0..size).map(Domain::nth).collect(),
            services: SERVICES.iter().map(|name| Service { name, up: true }).collect(),
            load: [busy * CPUS; 3],
            cpu_idle_jiffies: 180_000_000,
            cpu_total_jiffies: 200_000_000,
            memory_used_bytes: 2 << 30,
            disk_used_bytes: 30 << 30,
            attempt_seconds: Distribution::new(SECONDS),
            delivery_seconds: Distribution::new(SECONDS),
            remote_bytes: Distribution::new(BYTES),
            authenticated_bytes: Distribution::new(BYTES),
            smtp_seconds: Distribution::new(SECONDS),
            imap_seconds: Distribution::new(SECONDS),
            http_seconds: Distribution::new(SECONDS),
            webhook_seconds: Distribution::new(SECONDS),
            random,
            ..Self::default()
        };
        traffic.fill_queue();
        traffic.advance(WARM_UP_SECONDS as f64);
        traffic
    }

    /// Lets time pass.
    pub fn advance(&mut self, seconds: f64) {
        let end = self.now + seconds.max(0.0);
        while self.now < end {
            let minute_ends = ((self.now / MINUTE_SECONDS).floor() + 1.0) * MINUTE_SECONDS;
            self.step(end.min(minute_ends));
        }
    }

    /// The time inside, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.now
    }

    /// When its counters were zero, in Unix seconds.
    #[must_use]
    pub fn started(&self) -> f64 {
        self.started
    }

    /// What makes one server's names differ from another's.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The share of the processors that works, from 0 to 1.
    #[must_use]
    pub fn cpu_busy(&self) -> f64 {
        self.busy
    }

    /// Messages that wait for a retry.
    #[must_use]
    pub fn scheduled(&self) -> u64 {
        self.queue.len() as u64
    }

    /// Messages before their first attempt.
    #[must_use]
    pub fn ready(&self) -> u64 {
        self.inflight.len() as u64
    }

    /// Attempts so far.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.delivered + self.deferred + self.failed
    }

    /// What each account did in the minutes that begin from `start` to `end`, both included, in Unix seconds.
    #[must_use]
    pub fn window(&self, start: u64, end: u64) -> BTreeMap<Account, Sums> {
        self.minutes.window(start, end)
    }

    /// The sums of [`Self::window`] over all accounts.
    #[must_use]
    pub fn window_total(&self, start: u64, end: u64) -> Sums {
        self.window(start, end).values().fold(Sums::default(), |mut total, sums| {
            total += *sums;
            total
        })
    }

    /// A message for each domain waits from the start, as after a restart with a full spool: so that each has its queue.
    fn fill_queue(&mut self) {
        for domain in 0..self.domains.len() {
            let mut message = self.arrive(domain, Origin::Authenticated, self.started);
            message.tries = 1;
            self.attempt_seconds.observe(1.0);
            self.defer(message, self.started);
        }
    }

    fn step(&mut self, end: f64) {
        let seconds = end - self.now;
        let wave = 1.0 + WAVE * ((self.now / DAY_SECONDS - 0.4) * std::f64::consts::TAU).sin();
        let mut rate = ARRIVALS_PER_SECOND * wave * self.random.lognormal(1.0, 0.1);
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
        let stay = self.random.poisson(rate * READY_SECONDS).min(arrivals);
        for nth in 0..arrivals {
            let share = self.random.unit();
            let domain = self.shares.partition_point(|upper| *upper <= share).min(self.domains.len() - 1);
            let origin = match self.random.below(100) {
                0..=24 => Origin::Remote,
                25..=96 => Origin::Authenticated,
                97 | 98 => Origin::Nobody,
                _ => Origin::Report,
            };
            let message = self.arrive(domain, origin, self.now + seconds * nth as f64 / arrivals as f64);
            if nth < arrivals - stay {
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

    fn due(&mut self, end: f64) -> Vec<Message> {
        let (due, waiting) = std::mem::take(&mut self.queue).into_iter().partition(|message| message.retry <= end);
        self.queue = waiting;
        due
    }

    fn arrive(&mut self, domain: usize, origin: Origin, at: f64) -> Message {
        let median = if origin == Origin::Remote { 12_000.0 } else { 4_000.0 };
        let bytes = self.random.lognormal(median, 1.8).clamp(200.0, 4e7) as u64;
        self.next_message += 1;
        let id = (1 << 58) + (self.next_message << 16) + (mix(self.next_message ^ self.seed) & 0xffff);
        self.received += 1;
        self.received_bytes += bytes;
        let by_http = matches!(origin, Origin::Authenticated | Origin::Nobody) && self.random.chance(0.2);
        *if by_http { &mut self.received_http } else { &mut self.received_smtp } += 1;
        match origin {
            Origin::Remote => self.received_remote += 1,
            Origin::Authenticated | Origin::Nobody => self.received_authenticated += 1,
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

    fn verify(&mut self) {
        let spam = self.random.chance(0.18);
        *if spam { &mut self.spam } else { &mut self.ham } += 1;
        let pass = !self.random.chance(if spam { 0.5 } else { 0.03 });
        *if pass { &mut self.dkim_pass } else { &mut self.dkim_fail } += 1;
        *if pass { &mut self.dmarc_pass } else { &mut self.dmarc_fail } += 1;
        let spf = self.random.chance(if pass { 0.97 } else { 0.4 });
        *if spf { &mut self.spf_pass } else { &mut self.spf_fail } += 1;
    }

    fn attempt(&mut self, message: Message, at: f64) {
        let slow = Domain::slow(message.domain);
        let seconds = self.random.lognormal(if slow { 1.4 } else { 0.25 }, 0.9);
        self.attempt_seconds.observe(seconds);
        if self.random.chance(0.35) {
            self.outbound_opened += 1;
            self.domains[message.domain].opened += 1;
            *if self.random.chance(0.3) { &mut self.dane_ok } else { &mut self.dane_none } += 1;
        }
        let factor = if slow { SLOW_FACTOR } else { 1.0 };
        let (deferred, failed) = match message.tries {
            0 | 1 => (FIRST_DEFERRED * factor, FIRST_FAILED),
            TRIES_MAX.. => (0.0, 0.6),
            _ => (AGAIN_DEFERRED, AGAIN_FAILED),
        };
        let luck = self.random.unit();
        if luck < deferred {
            return self.defer(message, at);
        }
        self.delivery_seconds.observe(at - message.received + seconds);
        if luck < deferred + failed {
            return self.fail(message, at);
        }
        self.delivered += 1;
        self.note(&message, at + seconds, Ended::Success);
        self.domains[message.domain].delivered += 1;
        self.account(&message, |sums| sums.delivered += 1);
        if self.random.chance(0.0008) {
            self.complaints += 1;
        }
        self.webhook();
    }

    fn defer(&mut self, mut message: Message, at: f64) {
        let wait = RETRY_SECONDS * f64::from(message.tries.max(1)) * (0.5 + self.random.unit());
        message.retry = at + wait;
        self.deferred += 1;
        self.note(&message, at, Ended::Defer);
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

    fn fail(&mut self, message: Message, at: f64) {
        self.failed += 1;
        self.note(&message, at, Ended::Failure);
        self.domains[message.domain].failed += 1;
        self.account(&message, |sums| sums.failed += 1);
        let hard = self.random.chance(0.8);
        *if hard { &mut self.hard_bounces } else { &mut self.soft_bounces } += 1;
        *if self.random.chance(0.7) { &mut self.failed_rcpt } else { &mut self.failed_lookup } += 1;
        self.webhook();
        // A message that failed is told to its sender, at once; what tells it is not told again.
        if message.origin == Origin::Authenticated && self.random.chance(0.5) {
            let mut dsn = self.arrive(message.domain, Origin::Dsn, at);
            dsn.tries = 1;
            self.attempt(dsn, at);
        }
    }

    /// One in a while is written late, and one in a while twice.
    fn note(&mut self, message: &Message, at: f64, ended: Ended) {
        let Message { id, domain, origin, bytes, received, tries, .. } = *message;
        let (at, received, chance) = (at as u64, received as u64, mix(id + u64::from(tries)));
        let late = if chance.is_multiple_of(50) { chance % 45 } else { 0 };
        let (domain, shown, twice) = (domain as u32, at + late, chance % 500 == 7);
        self.log.push(Attempt { id, domain, origin, bytes, received, at, ended, shown, twice });
    }

    fn webhook(&mut self) {
        let ok = !self.random.chance(0.02);
        *if ok { &mut self.webhooks_succeeded } else { &mut self.webhooks_failed } += 1;
        let seconds = self.random.lognormal(0.09, 0.8);
        self.webhook_seconds.observe(seconds);
    }

    fn account(&mut self, message: &Message, count: impl FnOnce(&mut Sums)) {
        self.minutes.count(self.now, Account::of(message), count);
    }

    /// Who connects and logs in.
    fn clients(&mut self, seconds: f64, rate: f64) {
        let opened = self.random.poisson(rate * 0.6 * seconds);
        for _ in 0..opened {
            let lasts = self.random.lognormal(1.6, 1.0);
            self.smtp_seconds.observe(lasts);
        }
        self.smtp_opened += opened;
        self.smtp_denied += self.random.poisson(rate * 0.002 * seconds);
        self.rejected += self.random.poisson(rate * 0.08 * seconds);
        self.blocked += self.random.poisson(0.002 * seconds);
        let imap = self.random.poisson(0.8 * seconds);
        for _ in 0..imap {
            let lasts = self.random.lognormal(240.0, 1.4);
            self.imap_seconds.observe(lasts);
        }
        self.imap_opened += imap;
        self.pop3_opened += self.random.poisson(0.1 * seconds);
        let http = self.random.poisson(0.5 * seconds);
        for _ in 0..http {
            let lasts = self.random.lognormal(0.02, 1.0);
            self.http_seconds.observe(lasts);
        }
        self.http_opened += http;
        self.imap_bytes_sent += self.random.poisson(90.0 * seconds) * 11;
        self.imap_bytes_received += self.random.poisson(900.0 * seconds) * 37;
        self.auth_success += self.random.poisson((rate * 0.4 + 0.9) * seconds);
        self.auth_failed += self.random.poisson(0.07 * seconds);
        self.auth_error += self.random.poisson(0.0005 * seconds);
        self.auth_rate_limited += self.random.poisson(0.004 * seconds);
        self.smtp_active = self.random.poisson(rate * 0.6 * 2.5);
        self.imap_active = self.random.poisson(60.0);
        self.pop3_active = self.random.poisson(0.4);
        self.http_active = 1 + self.random.poisson(0.3);
        self.outbound_active = self.random.poisson(rate * 0.8);
        self.webhooks_waiting = self.random.poisson(rate * 0.05);
        self.bouncing = self.random.poisson(rate * 0.02);
    }

    fn machine(&mut self, seconds: f64, rate: f64, end: f64) {
        let aim = (0.08 + rate / (ARRIVALS_PER_SECOND * 6.0) + 0.02 * self.random.normal()).clamp(0.02, 0.98);
        self.busy += (aim - self.busy) * (1.0 - (-seconds / 20.0).exp());
        let total = (seconds * CPUS * JIFFIES_PER_SECOND).round();
        self.cpu_total_jiffies += total as u64;
        self.cpu_idle_jiffies += (total * (1.0 - self.busy)).round() as u64;
        for (load, minutes) in self.load.iter_mut().zip([1.0, 5.0, 15.0]) {
            *load += (self.busy * CPUS - *load) * (1.0 - (-seconds / (minutes * MINUTE_SECONDS)).exp());
        }
        self.memory_used_bytes = (MEMORY_BYTES as f64 * (0.25 + 0.2 * self.busy)) as u64 + self.scheduled() * 2048;
        self.disk_used_bytes = (self.disk_used_bytes + self.random.poisson(seconds) * 4096).min(DISK_BYTES);
        if end >= self.outage_until && self.random.chance(OUTAGES_PER_SECOND * seconds) {
            self.outage_until = end + OUTAGE_SECONDS;
        }
        let up = end >= self.outage_until;
        self.services.iter_mut().filter(|service| service.name == "spamassassin").for_each(|service| service.up = up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_every_sum_agrees() {
        let mut traffic = Traffic::new(7, 20);
        for seconds in [0.3, 1.0, 15.0, 61.0, 3600.0] {
            traffic.advance(seconds);
            let t = &traffic;
            assert_eq!(t.received, t.delivered + t.failed + t.scheduled() + t.ready());
            assert_eq!(t.received, t.received_smtp + t.received_http);
            assert_eq!(t.received, t.received_remote + t.received_authenticated + t.received_dsn + t.received_report);
            let domains = |of: fn(&Domain) -> u64| t.domains.iter().map(of).sum::<u64>();
            assert_eq!(domains(|d| d.delivered), t.delivered);
            assert_eq!(domains(|d| d.deferred), t.deferred);
            assert_eq!(domains(|d| d.failed), t.failed);
            assert_eq!(domains(|d| d.scheduled), t.scheduled());
            assert_eq!(domains(|d| d.ready), t.ready());
            assert_eq!(t.attempt_seconds.count, t.attempts());
            let all = t.window_total(0, u64::MAX);
            let truth = Sums { sent: t.received, delivered: t.delivered, deferred: t.deferred, failed: t.failed, bytes: t.received_bytes };
            assert_eq!(all, truth);
        }
    }

    #[test]
    fn outcomes_are_about_as_on_a_real_server() {
        let mut traffic = Traffic::new(1, 20);
        traffic.advance(6.0 * 3600.0);
        let share = |n: u64| n as f64 / traffic.attempts() as f64;
        assert!((0.88..0.95).contains(&share(traffic.delivered)), "{}", share(traffic.delivered));
        assert!((0.04..0.10).contains(&share(traffic.deferred)), "{}", share(traffic.deferred));
        assert!((0.01..0.04).contains(&share(traffic.failed)), "{}", share(traffic.failed));
    }

    #[test]
    fn windows_part_the_whole() {
        let mut traffic = Traffic::new(3, 5);
        traffic.advance(4000.0);
        let cut = EPOCH_UNIX_SECONDS + 1000;
        let mut both = traffic.window_total(0, cut);
        both += traffic.window_total(cut + 1, u64::MAX);
        assert_eq!(both, traffic.window_total(0, u64::MAX));
        assert!(traffic.window_total(cut + 1, u64::MAX).sent > 0);
    }

    #[test]
    fn a_service_goes_down_and_comes_back_and_the_queue_rises_and_falls() {
        let mut traffic = Traffic::new(2, 20);
        let mut down = 0;
        let mut depths = Vec::new();
        for _ in 0..600 {
            traffic.advance(15.0);
            down += u32::from(traffic.services.iter().any(|service| !service.up));
            depths.push(traffic.scheduled());
        }
        assert!((1..300).contains(&down), "{down}");
        assert!(depths.windows(2).any(|w| w[1] > w[0]) && depths.windows(2).any(|w| w[1] < w[0]));
        assert!(depths.iter().all(|depth| *depth < 2000), "{depths:?}");
    }

    #[test]
    fn a_seed_decides_everything() {
        let (mut a, mut b, mut c) = (Traffic::new(9, 20), Traffic::new(9, 20), Traffic::new(10, 20));
        for traffic in [&mut a, &mut b, &mut c] {
            traffic.advance(77.7);
        }
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
        assert_ne!(a.received, c.received);
    }
}
