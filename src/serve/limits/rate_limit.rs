//! How often a client may ask: a token bucket for each address, kept as one number, in a table that cannot grow.
//!
//! # What happens when the table is full
//!
//! A client whose bucket is full again is the same as one that was never seen, and is forgotten without loss. When all places
//! are taken by clients who are not, further ones share one bucket: nobody gets a fresh one by coming from many addresses,
//! and those who are known are not crowded out.

use crate::serve::http::client::Client;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Clients whose requests are counted one by one.
const CLIENTS_MAX: usize = 10_000;

/// So many at once, and then one in each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub interval: Duration,
    pub burst: u32,
}

/// When the bucket will be full again, since the table began.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Duration,
}

impl RateLimit {
    /// How long an empty bucket takes to be full.
    fn period(&self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }

    /// Takes one, or says how long until there is one.
    fn take(&self, bucket: &mut Bucket, now: Duration) -> Result<(), Duration> {
        let full_at = bucket.full_at.max(now) + self.interval;
        match full_at.checked_sub(now + self.period()).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                bucket.full_at = full_at;
                Ok(())
            }
        }
    }
}

/// The buckets of all clients.
#[derive(Debug)]
pub(crate) struct ClientRateLimits {
    pub rate: RateLimit,
    began: Instant,
    /// When what is recent becomes old.
    turned: Duration,
    recent: HashMap<Client, Bucket>,
    old: HashMap<Client, Bucket>,
    /// Of all for whom there is no place.
    others: Bucket,
    clients_max: usize,
}

impl ClientRateLimits {
    pub(crate) fn new(rate: RateLimit) -> Self {
        Self::of(rate, CLIENTS_MAX)
    }

    fn of(rate: RateLimit, clients_max: usize) -> Self {
        let (recent, old) = (HashMap::new(), HashMap::new());
        Self { rate, began: Instant::now(), turned: Duration::ZERO, recent, old, others: Bucket::default(), clients_max }
    }

    /// Counts a request, or says how long the client should wait.
    pub(crate) fn take(&mut self, client: Client, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.began);
        self.turn(now);
        let rate = self.rate;
        if let Some(bucket) = self.recent.get_mut(&client) {
            return rate.take(bucket, now);
        }
        let mut bucket = match self.old.remove(&client) {
            Some(bucket) => bucket,
            None if self.recent.len() + self.old.len() < self.clients_max => Bucket::default(),
            None => return rate.take(&mut self.others, now),
        };
        let taken = rate.take(&mut bucket, now);
        self.recent.insert(client, bucket);
        taken
    }

    /// What was not touched for a period is full, and goes.
    fn turn(&mut self, now: Duration) {
        let period = self.rate.period();
        let past = now.saturating_sub(self.turned);
        if past < period {
            return;
        }
        self.old = std::mem::take(&mut self.recent);
        if past >= period * 2 {
            self.old.clear();
        }
        self.turned = now;
    }
}

/// One bucket for everybody.
#[derive(Debug)]
pub(crate) struct GlobalRateLimit {
    pub rate: RateLimit,
    began: Instant,
    bucket: Bucket,
}

impl GlobalRateLimit {
    pub(crate) fn new(rate: RateLimit) -> Self {
        Self { rate, began: Instant::now(), bucket: Bucket::default() }
    }

    /// Counts a request, or says how long to wait.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.began);
        self.rate.take(&mut self.bucket, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn client(n: u16) -> Client {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([198, 51, high, low], 1)).into()
    }

    /// Requests as (client, second), and whether each is let through or how many seconds it is to wait.
    #[track_caller]
    fn counts(clients: &mut ClientRateLimits, requests: &[(u16, u64, Result<(), u64>)]) {
        for (n, second, expected) in requests {
            let taken = clients.take(client(*n), clients.began + Duration::from_secs(*second));
            assert_eq!(taken.map_err(|wait| wait.as_secs()), *expected, "client {n} at {second} s");
        }
    }

    fn twelve_a_minute(burst: u32, clients_max: usize) -> ClientRateLimits {
        ClientRateLimits::of(RateLimit { interval: Duration::from_secs(5), burst }, clients_max)
    }

    #[test]
    fn each_client_has_its_burst_and_then_one_in_each_interval() {
        let mut clients = twelve_a_minute(2, 10);
        let through = Ok(());
        counts(&mut clients, &[(1, 0, through), (1, 0, through), (1, 0, Err(5)), (2, 0, through), (1, 3, Err(2)), (1, 5, through)]);
        counts(&mut clients, &[(1, 5, Err(5)), (1, 14, through), (1, 15, through), (1, 16, Err(4)), (1, 1000, through)]);
    }

    #[test]
    fn a_client_is_not_forgotten_while_its_bucket_is_not_full() {
        let mut clients = twelve_a_minute(2, 10);
        counts(&mut clients, &[(1, 9, Ok(())), (1, 9, Ok(())), (2, 10, Ok(())), (1, 10, Err(4)), (1, 12, Err(2)), (1, 14, Ok(()))]);
    }

    #[test]
    fn a_full_table_lets_nobody_begin_anew() {
        let mut clients = twelve_a_minute(1, 2);
        counts(&mut clients, &[(1, 0, Ok(())), (2, 0, Ok(())), (3, 0, Ok(())), (4, 0, Err(5)), (5, 1, Err(4)), (1, 1, Err(4))]);
        assert_eq!(clients.recent.len() + clients.old.len(), 2);
        // Once the first are forgotten there is place.
        counts(&mut clients, &[(4, 20, Ok(())), (5, 20, Ok(()))]);
    }

    #[test]
    fn the_table_does_not_grow() {
        let mut clients = twelve_a_minute(12, 100);
        for n in 0..5000 {
            let _ = clients.take(client(n), clients.began + Duration::from_millis(u64::from(n) * 100));
            assert!(clients.recent.len() + clients.old.len() <= 100);
        }
    }
}
