//! The mail traffic of a simulated server: one model, which every simulated system renders in its own format.
//!
//! # Every message is simulated individually
//!
//! All counters are counts of simulated events, so any two sums agree: `received` always equals `delivered` plus `failed` plus
//! the queued messages. The cost of an advance depends on the number of messages, not on the number of domains.

mod load;
mod messages;

use super::account::Minutes;
use super::delivery_log::DeliveryLog;
use super::distribution::{BYTES, SECONDS};
use super::random::Random;
use super::{Account, Distribution, Domain, Message, Sums};
use std::collections::BTreeMap;

/// The start of the simulated clock if no time is given, in Unix seconds: a constant, so that tests are reproducible.
pub const EPOCH_UNIX_SECONDS: u64 = 1_790_000_040;
/// Seconds that are simulated when traffic is created, so that the first poll does not read only zeros.
pub const WARM_UP_SECONDS: u64 = 900;
const MINUTE_SECONDS: f64 = 60.0;
/// Average number of messages that arrive per second.
const ARRIVALS_PER_SECOND: f64 = 6.0;
/// Processors of the simulated machine.
const CPUS: f64 = 4.0;
/// Memory of the simulated machine.
pub const MEMORY_BYTES: u64 = 8 << 30;
/// Size of the root partition of the simulated machine.
pub const DISK_BYTES: u64 = 80 << 30;

/// A service of the simulated machine.
#[derive(Clone, Debug)]
pub struct Service {
    /// The name of its systemd unit.
    pub name: &'static str,
    /// `true` if the service is running.
    pub up: bool,
}

const SERVICES: &[&str] = &["postfix", "dovecot", "opendkim", "mariadb", "spamassassin", "nginx", "unbound", "rsyslog", "fail2ban"];

/// The mail traffic of one server and all of its counters.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each field is the counter that it is named after")]
pub struct Traffic {
    random: Random,
    seed: u64,
    started: f64,
    now: f64,
    /// Cumulative shares of the arrivals by domain, from 0 to 1.
    shares: Vec<f64>,
    inflight: Vec<Message>,
    minutes: Minutes,
    next_message: u64,
    bursting_until: f64,
    outage_until: f64,
    busy: f64,

    /// The outcome of each delivery attempt.
    pub log: DeliveryLog,
    pub domains: Vec<Domain>,
    /// Messages that are queued for a retry.
    pub queue: Vec<Message>,
    pub services: Vec<Service>,

    pub received: u64,
    pub received_remote: u64,
    /// From authenticated users and from `nobody`.
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

    // Gauges: their values at the last step.
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
    pub delivered_attempt_seconds: Distribution,
    pub deferred_attempt_seconds: Distribution,
    pub failed_attempt_seconds: Distribution,
    pub delivery_seconds: Distribution,
    pub remote_bytes: Distribution,
    pub authenticated_bytes: Distribution,
    pub smtp_seconds: Distribution,
    pub imap_seconds: Distribution,
    pub http_seconds: Distribution,
    pub webhook_seconds: Distribution,
}

impl Traffic {
    /// Creates the traffic of this many domains, starting at [`EPOCH_UNIX_SECONDS`].
    #[must_use]
    pub fn new(seed: u64, size: usize) -> Self {
        Self::starting_at(seed, size, EPOCH_UNIX_SECONDS)
    }

    /// Creates the traffic of this many domains, warmed up until this time.
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
        let total = shares.last().copied().unwrap_or(1.0);
        shares.iter_mut().for_each(|share| *share /= total);
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
            delivered_attempt_seconds: Distribution::new(SECONDS),
            deferred_attempt_seconds: Distribution::new(SECONDS),
            failed_attempt_seconds: Distribution::new(SECONDS),
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

    /// Advances the simulated time.
    pub fn advance(&mut self, seconds: f64) {
        let end = self.now + seconds.max(0.0);
        while self.now < end {
            let minute_ends = ((self.now / MINUTE_SECONDS).floor() + 1.0) * MINUTE_SECONDS;
            self.step(end.min(minute_ends));
        }
    }

    /// The simulated time, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.now
    }

    /// The time at which all counters were zero, in Unix seconds.
    #[must_use]
    pub fn started(&self) -> f64 {
        self.started
    }

    /// The seed of all random decisions. Node identifiers are derived from it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Processor utilization, from 0 to 1.
    #[must_use]
    pub fn cpu_busy(&self) -> f64 {
        self.busy
    }

    /// The number of messages that are queued for a retry.
    #[must_use]
    pub fn scheduled(&self) -> u64 {
        self.queue.len() as u64
    }

    /// The number of messages before their first delivery attempt.
    #[must_use]
    pub fn ready(&self) -> u64 {
        self.inflight.len() as u64
    }

    /// The number of delivery attempts so far.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.delivered + self.deferred + self.failed
    }

    /// The sums of each account over the minutes that start between `start` and `end` inclusive, in Unix seconds.
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
}

#[cfg(test)]
mod tests;
