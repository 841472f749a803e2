//! Places of which there are so many, and for one client fewer: so that no client takes what others need.

use crate::serve::http::client::Client;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Places.
#[derive(Debug)]
pub(crate) struct ClientQuota {
    max: usize,
    client_max: usize,
    taken: Mutex<Taken>,
}

/// Never more clients than places.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    clients: HashMap<Client, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct QuotaPermit {
    slots: Arc<ClientQuota>,
    client: Client,
}

impl ClientQuota {
    pub(crate) fn new(max: usize, client_max: usize) -> Arc<Self> {
        Arc::new(Self { max, client_max, taken: Mutex::default() })
    }

    /// A place, if there is one for this client.
    pub(crate) fn take(self: &Arc<Self>, client: Client) -> Option<QuotaPermit> {
        let mut taken = self.taken.lock();
        let own = taken.clients.get(&client).copied().unwrap_or(0);
        if taken.all >= self.max || own >= self.client_max {
            return None;
        }
        taken.all += 1;
        taken.clients.insert(client, own + 1);
        Some(QuotaPermit { slots: self.clone(), client })
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        let own = taken.clients.get(&self.client).copied().unwrap_or(0);
        if own > 1 {
            taken.clients.insert(self.client, own - 1);
        } else {
            taken.clients.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn one_client_does_not_take_all() {
        let client = |n: u8| Client::from(SocketAddr::from(([192, 0, 2, n], 1)));
        let slots = ClientQuota::new(3, 2);
        let mut held: Vec<Option<QuotaPermit>> = (0..3).map(|_| slots.take(client(1))).collect();
        assert_eq!(held.iter().flatten().count(), 2);
        held.push(slots.take(client(2)));
        assert!(held[3].is_some() && slots.take(client(3)).is_none());
        held[0].take();
        assert!(slots.take(client(1)).is_some());
        drop(held);
        assert!(slots.taken.lock().clients.is_empty());
    }
}
