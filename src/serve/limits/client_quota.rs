//! A concurrency limit, global and per client, so that no client can use the whole capacity.

use crate::net::Quota;
use crate::serve::http::client::Client;
use std::sync::Arc;

/// The limit. Permits are granted until the maximum or the client's own maximum is reached.
#[derive(Debug)]
pub(crate) struct ClientQuota(Quota<Client>);

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
        Arc::new(Self(Quota::new(max, Some(client_max))))
    }

    /// Grants a permit.
    ///
    /// # Errors
    /// Returns the client because of which there is no permit: this one if its own limit is reached, otherwise the one with the most.
    pub(crate) fn try_acquire(self: &Arc<Self>, client: Client) -> Result<QuotaPermit, Client> {
        self.0.take(&client, 1)?;
        Ok(QuotaPermit { quota: self.clone(), client })
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        self.quota.0.give_back(&self.client, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn client(n: u8) -> Client {
        Client::from(SocketAddr::from(([192, 0, 2, n], 1)))
    }

    #[test]
    fn a_permit_is_returned_when_it_is_dropped() {
        let quota = ClientQuota::new(3, 2);
        let mut permits = [1, 1, 2].map(|n| quota.try_acquire(client(n)).ok());
        assert!(permits.iter().all(Option::is_some));
        assert_eq!([1, 3].map(|n| quota.try_acquire(client(n)).map(drop)), [Err(client(1)); 2]);
        permits[0].take();
        assert!(quota.try_acquire(client(3)).is_ok());
        drop(permits);
        assert_eq!(quota.0.used(), 0);
    }
}
