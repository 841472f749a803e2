//! The queue of scrapes: few are processed at a time, the others wait, and one client cannot use the whole capacity.

use crate::serve::http::client::Client;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Scrapes that are processed at a time. Further ones wait.
const SCRAPES_CONCURRENT_MAX: usize = 16;
/// Scrapes of one client that are processed at a time.
const SCRAPES_CONCURRENT_CLIENT_MAX: usize = 12;

/// The queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeQueue {
    all: Arc<Semaphore>,
    /// Entries without a scrape in progress or waiting are removed when the next client is added.
    clients: Arc<Mutex<HashMap<Client, Weak<Semaphore>>>>,
}

/// The permission to process a scrape, until dropped.
#[derive(Debug)]
pub(crate) struct ScrapePermit {
    _all: OwnedSemaphorePermit,
    _client: OwnedSemaphorePermit,
}

impl Default for ScrapeQueue {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(SCRAPES_CONCURRENT_MAX)), clients: Arc::default() }
    }
}

impl ScrapeQueue {
    /// Waits for a permit. Returns `None` if none is available within this time. The permit of the client is acquired first, so a scrape
    /// that waits for other scrapes of its client does not occupy a global permit.
    pub(crate) async fn acquire(&self, client: Client, within: Duration) -> Option<ScrapePermit> {
        let own = self.client_semaphore(client);
        let permit = async {
            let client = own.acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(ScrapePermit { _all: all, _client: client })
        };
        tokio::time::timeout(within, permit).await.ok().flatten()
    }

    fn client_semaphore(&self, client: Client) -> Arc<Semaphore> {
        let mut clients = self.clients.lock();
        if let Some(own) = clients.get(&client).and_then(Weak::upgrade) {
            return own;
        }
        clients.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(SCRAPES_CONCURRENT_CLIENT_MAX));
        clients.insert(client, Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;

    #[tokio::test]
    async fn a_busy_client_leaves_permits_to_others_and_waiting_is_limited() {
        let client = |n: u8| Client::from(SocketAddr::from(([192, 0, 2, n], 1)));
        let (queue, short) = (ScrapeQueue::default(), Duration::from_millis(20));
        let mut permits = Vec::new();
        while let Some(permit) = queue.acquire(client(1), short).await {
            permits.push(permit);
        }
        assert_eq!(permits.len(), SCRAPES_CONCURRENT_CLIENT_MAX);
        let other = queue.acquire(client(2), short).await.unwrap();
        drop(permits);
        assert!(queue.acquire(client(1), short).await.is_some());
        drop(other);
        let _ = queue.acquire(client(3), short).await;
        assert_eq!(queue.clients.lock().len(), 1);
    }
}
