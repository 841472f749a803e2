//! Turns: few pulls are collected at one time, the others wait, and one client leaves some turns to the rest.

use crate::serve::http::client::Client;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pulls that are collected at one time; more wait for their turn.
const SCRAPES_CONCURRENT_MAX: usize = 16;
/// Those of one client.
const SCRAPES_CONCURRENT_CLIENT_MAX: usize = 12;

/// Turns. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeQueue {
    all: Arc<Semaphore>,
    /// As many as there are requests, at most.
    clients: Arc<Mutex<HashMap<Client, Weak<Semaphore>>>>,
}

/// A turn, until it is dropped.
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
    /// A turn, if there is one within this time. The client's own first: what waits there takes nothing from others.
    pub(crate) async fn take(&self, client: Client, within: Duration) -> Option<ScrapePermit> {
        let own = self.of(client);
        let turn = async {
            let client = own.acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(ScrapePermit { _all: all, _client: client })
        };
        tokio::time::timeout(within, turn).await.ok().flatten()
    }

    fn of(&self, client: Client) -> Arc<Semaphore> {
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
    async fn a_busy_client_leaves_turns_to_others_and_waiting_ends() {
        let client = |n: u8| Client::from(SocketAddr::from(([192, 0, 2, n], 1)));
        let (turns, short) = (ScrapeQueue::default(), Duration::from_millis(20));
        let mut held = Vec::new();
        while let Some(turn) = turns.take(client(1), short).await {
            held.push(turn);
        }
        assert_eq!(held.len(), SCRAPES_CONCURRENT_CLIENT_MAX);
        let other = turns.take(client(2), short).await.unwrap();
        drop(held);
        assert!(turns.take(client(1), short).await.is_some());
        drop(other);
        let _ = turns.take(client(3), short).await;
        assert_eq!(turns.clients.lock().len(), 1);
    }
}
