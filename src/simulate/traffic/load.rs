//! The load of a simulated server: client connections, and the resources of its machine.

use super::{ARRIVALS_PER_SECOND, CPUS, DISK_BYTES, MEMORY_BYTES, MINUTE_SECONDS, Traffic};

const JIFFIES_PER_SECOND: f64 = 100.0;
/// An outage of a service lasts this long.
const OUTAGE_SECONDS: f64 = 90.0;
const OUTAGES_PER_SECOND: f64 = 1.0 / 1200.0;

impl Traffic {
    /// Simulates the connections and logins of clients.
    pub(super) fn clients(&mut self, seconds: f64, rate: f64) {
        let opened = self.random.poisson(rate * 0.6 * seconds);
        for _ in 0..opened {
            let duration = self.random.lognormal(1.6, 1.0);
            self.smtp_seconds.observe(duration);
        }
        self.smtp_opened += opened;
        self.smtp_denied += self.random.poisson(rate * 0.002 * seconds);
        self.rejected += self.random.poisson(rate * 0.08 * seconds);
        self.blocked += self.random.poisson(0.002 * seconds);
        let imap = self.random.poisson(0.8 * seconds);
        for _ in 0..imap {
            let duration = self.random.lognormal(240.0, 1.4);
            self.imap_seconds.observe(duration);
        }
        self.imap_opened += imap;
        self.pop3_opened += self.random.poisson(0.1 * seconds);
        let http = self.random.poisson(0.5 * seconds);
        for _ in 0..http {
            let duration = self.random.lognormal(0.02, 1.0);
            self.http_seconds.observe(duration);
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

    /// Simulates processors, memory, disk and services.
    pub(super) fn machine(&mut self, seconds: f64, rate: f64, end: f64) {
        let target = (0.08 + rate / (ARRIVALS_PER_SECOND * 6.0) + 0.02 * self.random.normal()).clamp(0.02, 0.98);
        self.busy += (target - self.busy) * (1.0 - (-seconds / 20.0).exp());
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
