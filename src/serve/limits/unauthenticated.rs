//! Connections of clients that have not authenticated: few in all and of each address, short-lived, and the first to go.
//!
//! # A newcomer displaces, it is not refused
//!
//! Whoever holds connections open could otherwise keep everybody else out. Where there is no room, the oldest connection without a
//! request goes: of the same client where that has its share, and else of the client that has most. A client whose address has
//! authenticated before is not counted here at all, so no number of strangers takes its place.

use crate::serve::http::activity::Activity;
use crate::serve::http::client::Client;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

/// Addresses that have authenticated, of which so many are remembered.
const ACQUAINTANCES_MAX: usize = 1000;

/// The connections of strangers, oldest first.
#[derive(Debug)]
pub(crate) struct Strangers {
    max: usize,
    client_max: usize,
    connections: Mutex<VecDeque<Arc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    client: Client,
    activity: Arc<Activity>,
    displaced: Notify,
}

/// A stranger's connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    strangers: Arc<Strangers>,
    entry: Arc<Entry>,
}

impl Strangers {
    pub(crate) fn new(max: usize, client_max: usize) -> Arc<Self> {
        Arc::new(Self { max, client_max, connections: Mutex::default() })
    }

    /// Admits a connection. `None` if its client has its share already, and each of them is being answered.
    pub(crate) fn admit(self: &Arc<Self>, client: Client, activity: Arc<Activity>) -> Option<Stranger> {
        let mut connections = self.connections();
        let of = |wanted: Client| move |entry: &Arc<Entry>| entry.client == wanted;
        let is_idle = |entry: &Arc<Entry>| !entry.activity.is_answering();
        let displaced = if connections.iter().filter(|entry| of(client)(entry)).count() >= self.client_max {
            Some(connections.iter().position(|entry| of(client)(entry) && is_idle(entry))?)
        } else if connections.len() >= self.max {
            let mut counts: HashMap<Client, usize> = HashMap::new();
            connections.iter().for_each(|entry| *counts.entry(entry.client).or_default() += 1);
            let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(client, _)| client)?;
            let idle = connections.iter().position(|entry| of(most)(entry) && is_idle(entry));
            idle.or_else(|| connections.iter().position(is_idle)).or_else(|| connections.iter().position(of(most)))
        } else {
            None
        };
        if let Some(entry) = displaced.and_then(|at| connections.remove(at)) {
            entry.displaced.notify_one();
        }
        let entry = Arc::new(Entry { client, activity, displaced: Notify::new() });
        connections.push_back(entry.clone());
        drop(connections);
        Some(Stranger { strangers: self.clone(), entry })
    }

    fn connections(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.connections.lock()
    }
}

impl Stranger {
    /// What completes when the connection should be closed for a newcomer.
    pub(crate) fn displaced(&self) -> impl Future<Output = ()> + use<> {
        let entry = self.entry.clone();
        async move { entry.displaced.notified().await }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.connections().retain(|entry| !Arc::ptr_eq(entry, &self.entry));
    }
}

/// Addresses whose clients have authenticated, the latest of them.
#[derive(Debug, Default)]
pub(crate) struct Acquaintances(Mutex<VecDeque<Client>>);

impl Acquaintances {
    pub(crate) fn add(&self, client: Client) {
        let mut clients = self.0.lock();
        if clients.back() == Some(&client) {
            return;
        }
        clients.retain(|known| *known != client);
        clients.push_back(client);
        if clients.len() > ACQUAINTANCES_MAX {
            clients.pop_front();
        }
    }

    pub(crate) fn has(&self, client: Client) -> bool {
        self.0.lock().contains(&client)
    }

    /// What was known under other rules counts no longer.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::serve::Limits;
    use std::net::SocketAddr;
    use std::task::{Context, Poll, Waker};

    fn client(n: u8) -> Client {
        SocketAddr::from(([192, 0, 2, n], 1)).into()
    }

    fn idle() -> Arc<Activity> {
        Activity::new(&Limits::default())
    }

    fn is_displaced(stranger: &Stranger) -> bool {
        let mut displaced = Box::pin(stranger.displaced());
        displaced.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_newcomer_displaces_the_oldest_idle_connection_of_the_client_that_has_most() {
        let strangers = Strangers::new(4, 3);
        let first = strangers.admit(client(2), idle()).unwrap();
        let many: Vec<_> = (0..3).map(|_| strangers.admit(client(1), idle()).unwrap()).collect();
        let newcomer = strangers.admit(client(3), idle()).unwrap();
        assert_eq!(many.iter().map(is_displaced).collect::<Vec<_>>(), [true, false, false]);
        assert!(!is_displaced(&first) && !is_displaced(&newcomer));
        assert_eq!(strangers.connections().len(), 4);
        drop((first, many, newcomer));
        assert!(strangers.connections().is_empty());
    }

    #[test]
    fn a_client_displaces_its_own_and_none_that_is_being_answered() {
        let strangers = Strangers::new(10, 2);
        let busy = idle();
        let answering = busy.begin();
        let (one, two) = (strangers.admit(client(1), busy).unwrap(), strangers.admit(client(1), idle()).unwrap());
        let other = strangers.admit(client(2), idle()).unwrap();
        let busy = idle();
        let also = busy.begin();
        let three = strangers.admit(client(1), busy).unwrap();
        assert_eq!([&one, &two, &other, &three].map(is_displaced), [false, true, false, false]);
        assert!(strangers.admit(client(1), idle()).is_none());
        drop((answering, also));
        assert!(strangers.admit(client(1), idle()).is_some());
    }

    #[test]
    fn the_latest_acquaintances_are_remembered() {
        let acquaintances = Acquaintances::default();
        let at = |n: usize| Client::from(SocketAddr::from(([10, 0, (n / 256) as u8, (n % 256) as u8], 1)));
        (0..=ACQUAINTANCES_MAX).for_each(|n| acquaintances.add(at(n)));
        assert!(!acquaintances.has(at(0)) && acquaintances.has(at(1)));
        acquaintances.add(at(1));
        acquaintances.add(at(0));
        assert!(acquaintances.has(at(1)) && !acquaintances.has(at(2)));
    }
}
