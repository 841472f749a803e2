//! A concurrency limit, global and per client, so that no client can use the whole capacity.

use crate::serve::http::client::Client;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The limit. Permits are granted until the maximum or the client's own maximum is reached.
#[derive(Debug)]
pub(crate) struct ClientQuota {
    max: usize,
    client_max: usize,
    in_use: Mutex<InUse>,
}

/// The permits in use. There are never more clients than permits.
#[derive(Debug, Default)]
struct InUse {
    all: usize,
    clients: HashMap<Client, usize>,
}

/// A permit, which is returned when dropped.
#[derive(Debug)]
pub(crate) struct QuotaPermit {
    quota: Arc<ClientQuota>,
    client: Client,
}

/// The permit of a request, which all that works for the request shares: after a client has disconnected, its request counts until the
/// thread that writes the response has noticed it. Otherwise, a client could occupy all threads by requests that it abandons.
#[derive(Clone, Debug)]
pub(crate) struct RequestPermit(#[expect(dead_code, reason = "returned when dropped")] Arc<QuotaPermit>);

impl From<QuotaPermit> for RequestPermit {
    fn from(permit: QuotaPermit) -> Self {
        Self(Arc::new(permit))
    }
}

impl ClientQuota {
    pub(crate) fn new(max: usize, client_max: usize) -> Arc<Self> {
        Arc::new(Self { max, client_max, in_use: Mutex::default() })
    }

    /// Grants a permit. Returns `None` if the global or the client's limit is reached.
    pub(crate) fn try_acquire(self: &Arc<Self>, client: Client) -> Option<QuotaPermit> {
        let mut in_use = self.in_use.lock();
        let of_client = in_use.clients.get(&client).copied().unwrap_or(0);
        if in_use.all >= self.max || of_client >= self.client_max {
            return None;
        }
        in_use.all += 1;
        in_use.clients.insert(client, of_client + 1);
        Some(QuotaPermit { quota: self.clone(), client })
    }

    /// Returns the client because of which this one gets no permit: itself if its own limit is reached, otherwise the one with the most.
    pub(crate) fn cause_of_refusal(&self, client: Client) -> Client {
        let in_use = self.in_use.lock();
        if in_use.clients.get(&client).is_some_and(|of_client| *of_client >= self.client_max) {
            return client;
        }
        in_use.clients.iter().max_by_key(|(_, permits)| **permits).map_or(client, |(most, _)| *most)
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        let mut in_use = self.quota.in_use.lock();
        in_use.all = in_use.all.saturating_sub(1);
        let of_client = in_use.clients.get(&self.client).copied().unwrap_or(0);
        if of_client > 1 {
            in_use.clients.insert(self.client, of_client - 1);
        } else {
            in_use.clients.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;

    fn client(n: u8) -> Client {
        Client::from(SocketAddr::from(([192, 0, 2, n], 1)))
    }

    #[test]
    fn the_cause_of_a_refusal_is_the_client_with_the_most_permits() {
        let quota = ClientQuota::new(4, 3);
        let _permits: Vec<QuotaPermit> = [1, 2, 2, 2].into_iter().map(|n| quota.try_acquire(client(n)).unwrap()).collect();
        assert_eq!([1, 2, 3].map(|n| quota.cause_of_refusal(client(n))), [client(2); 3]);
        let quota = ClientQuota::new(4, 1);
        let _permits: Vec<QuotaPermit> = [1, 2].into_iter().map(|n| quota.try_acquire(client(n)).unwrap()).collect();
        assert_eq!([1, 2].map(|n| quota.cause_of_refusal(client(n))), [client(1), client(2)]);
    }

    #[test]
    fn a_client_gets_at_most_its_own_maximum() {
        let quota = ClientQuota::new(3, 2);
        let mut permits: Vec<Option<QuotaPermit>> = (0..3).map(|_| quota.try_acquire(client(1))).collect();
        assert_eq!(permits.iter().flatten().count(), 2);
        permits.push(quota.try_acquire(client(2)));
        assert!(permits[3].is_some() && quota.try_acquire(client(3)).is_none());
        permits[0].take();
        assert!(quota.try_acquire(client(1)).is_some());
        drop(permits);
        assert!(quota.in_use.lock().clients.is_empty());
    }
}
