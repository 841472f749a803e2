//! Rate limits: a token bucket for each client, stored as one number, in a table of bounded size.
//!
//! # When the table is full
//!
//! A client whose bucket is full again does not differ from a new one, so its entry is removed. While all entries are in use, further
//! clients share one bucket: requests from many addresses get no additional rate and do not displace the entries of others.

use crate::serve::http::client::Client;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Clients that have a bucket of their own.
const CLIENTS_MAX: usize = 10_000;

/// A rate of one request per interval, after a burst of `burst` requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    pub interval: Duration,
    pub burst: u32,
}

/// A token bucket, stored as the time when it will be full again, since the creation of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Duration,
}

impl RateLimit {
    /// Returns the time in which an empty bucket becomes full.
    fn period(&self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }

    /// Takes a token, or returns the time until one is available.
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
    created: Instant,
    /// The time of the last [`Self::rotate`].
    rotated: Duration,
    recent: HashMap<Client, Bucket>,
    old: HashMap<Client, Bucket>,
    /// The shared bucket of all clients without an entry.
    others: Bucket,
    clients_max: usize,
}

impl ClientRateLimits {
    pub(crate) fn new(rate: RateLimit) -> Self {
        Self::with_clients_max(rate, CLIENTS_MAX)
    }

    fn with_clients_max(rate: RateLimit, clients_max: usize) -> Self {
        let (recent, old) = (HashMap::new(), HashMap::new());
        Self { rate, created: Instant::now(), rotated: Duration::ZERO, recent, old, others: Bucket::default(), clients_max }
    }

    /// Counts a request, or returns the time after which the client may retry.
    pub(crate) fn take(&mut self, client: Client, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.created);
        self.rotate(now);
        let rate = self.rate;
        if let Some(bucket) = self.recent.get_mut(&client) {
            return rate.take(bucket, now);
        }
        let mut bucket = match self.old.remove(&client) {
            Some(bucket) => bucket,
            None if self.recent.len() + self.old.len() < self.clients_max => Bucket::default(),
            None => return rate.take(&mut self.others, now),
        };
        let result = rate.take(&mut bucket, now);
        self.recent.insert(client, bucket);
        result
    }

    /// Removes the entries that were not used for a period: their buckets are full.
    fn rotate(&mut self, now: Duration) {
        let period = self.rate.period();
        let elapsed = now.saturating_sub(self.rotated);
        if elapsed < period {
            return;
        }
        self.old = std::mem::take(&mut self.recent);
        if elapsed >= period * 2 {
            self.old.clear();
        }
        self.rotated = now;
    }
}

/// One bucket for all clients.
#[derive(Debug)]
pub(crate) struct GlobalRateLimit {
    pub rate: RateLimit,
    created: Instant,
    bucket: Bucket,
}

impl GlobalRateLimit {
    pub(crate) fn new(rate: RateLimit) -> Self {
        Self { rate, created: Instant::now(), bucket: Bucket::default() }
    }

    /// Counts a request, or returns the time after which the client may retry.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.created);
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

    /// Sends requests of (client, second) and compares the results: accepted, or the seconds to wait.
    #[track_caller]
    fn assert_results(clients: &mut ClientRateLimits, requests: &[(u16, u64, Result<(), u64>)]) {
        for (n, second, expected) in requests {
            let result = clients.take(client(*n), clients.created + Duration::from_secs(*second));
            assert_eq!(result.map_err(|wait| wait.as_secs()), *expected, "client {n} at {second} s");
        }
    }

    fn twelve_a_minute(burst: u32, clients_max: usize) -> ClientRateLimits {
        ClientRateLimits::with_clients_max(RateLimit { interval: Duration::from_secs(5), burst }, clients_max)
    }

    #[test]
    fn each_client_has_its_burst_and_then_one_in_each_interval() {
        let mut clients = twelve_a_minute(2, 10);
        let accepted = Ok(());
        assert_results(
            &mut clients,
            &[(1, 0, accepted), (1, 0, accepted), (1, 0, Err(5)), (2, 0, accepted), (1, 3, Err(2)), (1, 5, accepted)],
        );
        assert_results(&mut clients, &[(1, 5, Err(5)), (1, 14, accepted), (1, 15, accepted), (1, 16, Err(4)), (1, 1000, accepted)]);
    }

    /// The time in the response is exact: the client is served then, and not before.
    #[test]
    fn a_client_is_served_after_the_wait() {
        let mut clients = twelve_a_minute(1, 10);
        let wait = |clients: &mut ClientRateLimits, at| clients.take(client(1), clients.created + Duration::from_nanos(at));
        const SECOND: u64 = 1_000_000_000;
        assert_eq!(wait(&mut clients, 7 * SECOND), Ok(()));
        assert_eq!(wait(&mut clients, 9 * SECOND), Err(Duration::from_secs(3)));
        assert_eq!(wait(&mut clients, 12 * SECOND - 1), Err(Duration::from_nanos(1)));
        assert_eq!(wait(&mut clients, 12 * SECOND), Ok(()));
    }

    #[test]
    fn an_entry_is_kept_until_its_bucket_is_full() {
        let mut clients = twelve_a_minute(2, 10);
        assert_results(&mut clients, &[(1, 9, Ok(())), (1, 9, Ok(())), (2, 10, Ok(())), (1, 10, Err(4)), (1, 12, Err(2)), (1, 14, Ok(()))]);
    }

    #[test]
    fn a_full_table_gives_no_new_buckets() {
        let mut clients = twelve_a_minute(1, 2);
        assert_results(&mut clients, &[(1, 0, Ok(())), (2, 0, Ok(())), (3, 0, Ok(())), (4, 0, Err(5)), (5, 1, Err(4)), (1, 1, Err(4))]);
        assert_eq!(clients.recent.len() + clients.old.len(), 2);
        // The first entries have been removed by then.
        assert_results(&mut clients, &[(4, 20, Ok(())), (5, 20, Ok(()))]);
    }

    #[test]
    fn the_table_has_a_bounded_size() {
        let mut clients = twelve_a_minute(12, 100);
        for n in 0..5000 {
            let _ = clients.take(client(n), clients.created + Duration::from_millis(u64::from(n) * 100));
            assert!(clients.recent.len() + clients.old.len() <= 100);
        }
    }
}
