//! Connections of unauthenticated clients. Their number is limited, in total and per client.
//!
//! # A new connection displaces an old one
//!
//! If new connections were refused instead, a client could lock out all others by holding connections open. When a limit is reached,
//! the oldest connection without a request is closed: one of the same client if its own limit is reached, otherwise one of the client
//! with the most connections. Clients that have authenticated before are not counted here, so unauthenticated ones cannot displace
//! them.

use crate::serve::http::activity::Activity;
use crate::serve::http::client::Client;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

/// The maximum number of remembered authenticated clients.
const AUTHENTICATED_CLIENTS_MAX: usize = 1000;

/// The connections of unauthenticated clients, oldest first.
#[derive(Debug)]
pub(crate) struct UnauthenticatedConnections {
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

/// The entry of an unauthenticated connection, removed when dropped.
#[derive(Debug)]
pub(crate) struct UnauthenticatedConnection {
    all: Arc<UnauthenticatedConnections>,
    entry: Arc<Entry>,
    cause_of_displacement: Option<Client>,
}

impl UnauthenticatedConnections {
    pub(crate) fn new(max: usize, client_max: usize) -> Arc<Self> {
        Arc::new(Self { max, client_max, connections: Mutex::default() })
    }

    /// Adds a connection, which may displace another one. Returns `None` if the limit of its client is reached and all of its connections
    /// have a request in progress.
    pub(crate) fn admit(self: &Arc<Self>, client: Client, activity: Arc<Activity>) -> Option<UnauthenticatedConnection> {
        let mut connections = self.connections();
        let is_of = |client: Client| move |entry: &Arc<Entry>| entry.client == client;
        let is_idle = |entry: &Arc<Entry>| !entry.activity.has_requests();
        let (displaced, cause) = if connections.iter().filter(|entry| is_of(client)(entry)).count() >= self.client_max {
            (Some(connections.iter().position(|entry| is_of(client)(entry) && is_idle(entry))?), client)
        } else if connections.len() >= self.max {
            let mut counts: HashMap<Client, usize> = HashMap::new();
            connections.iter().for_each(|entry| *counts.entry(entry.client).or_default() += 1);
            let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(client, _)| client)?;
            let idle = connections.iter().position(|entry| is_of(most)(entry) && is_idle(entry));
            (idle.or_else(|| connections.iter().position(is_idle)).or_else(|| connections.iter().position(is_of(most))), most)
        } else {
            (None, client)
        };
        let displaced = displaced.and_then(|at| connections.remove(at));
        let cause_of_displacement = displaced.as_ref().map(|_| cause);
        if let Some(entry) = displaced {
            entry.displaced.notify_one();
        }
        let entry = Arc::new(Entry { client, activity, displaced: Notify::new() });
        connections.push_back(entry.clone());
        drop(connections);
        Some(UnauthenticatedConnection { all: self.clone(), entry, cause_of_displacement })
    }

    fn connections(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.connections.lock()
    }
}

impl UnauthenticatedConnection {
    /// Returns the client because of which this connection has displaced another one: the one with the most connections.
    pub(crate) fn cause_of_displacement(&self) -> Option<Client> {
        self.cause_of_displacement
    }

    /// Returns a future that completes when the connection is displaced and must be closed.
    pub(crate) fn displaced(&self) -> impl Future<Output = ()> + use<> {
        let entry = self.entry.clone();
        async move { entry.displaced.notified().await }
    }
}

impl Drop for UnauthenticatedConnection {
    fn drop(&mut self) {
        self.all.connections().retain(|entry| !Arc::ptr_eq(entry, &self.entry));
    }
}

/// The clients that authenticated most recently.
#[derive(Debug, Default)]
pub(crate) struct AuthenticatedClients(Mutex<VecDeque<Client>>);

impl AuthenticatedClients {
    /// Adds a client, or marks it as the most recent one.
    pub(crate) fn add(&self, client: Client) {
        let mut clients = self.0.lock();
        if clients.back() == Some(&client) {
            return;
        }
        clients.retain(|other| *other != client);
        clients.push_back(client);
        if clients.len() > AUTHENTICATED_CLIENTS_MAX {
            clients.pop_front();
        }
    }

    pub(crate) fn contains(&self, client: Client) -> bool {
        self.0.lock().contains(&client)
    }

    /// Removes all clients, because the credentials have changed.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::serve::ServerLimits;
    use std::net::SocketAddr;
    use std::task::{Context, Poll, Waker};

    fn client(n: u8) -> Client {
        SocketAddr::from(([192, 0, 2, n], 1)).into()
    }

    fn idle() -> Arc<Activity> {
        Activity::new(&ServerLimits::default())
    }

    fn is_displaced(connection: &UnauthenticatedConnection) -> bool {
        let mut displaced = Box::pin(connection.displaced());
        displaced.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_new_connection_displaces_the_oldest_idle_one_of_the_client_with_the_most() {
        let connections = UnauthenticatedConnections::new(4, 3);
        let first = connections.admit(client(2), idle()).unwrap();
        let of_busiest: Vec<_> = (0..3).map(|_| connections.admit(client(1), idle()).unwrap()).collect();
        let newest = connections.admit(client(3), idle()).unwrap();
        assert_eq!(of_busiest.iter().map(is_displaced).collect::<Vec<_>>(), [true, false, false]);
        assert!(!is_displaced(&first) && !is_displaced(&newest));
        assert_eq!((newest.cause_of_displacement(), first.cause_of_displacement()), (Some(client(1)), None));
        assert_eq!(connections.connections().len(), 4);
        drop((first, of_busiest, newest));
        assert!(connections.connections().is_empty());
    }

    #[test]
    fn a_client_displaces_its_own_connections_but_none_with_a_request_in_progress() {
        let connections = UnauthenticatedConnections::new(10, 2);
        let busy = idle();
        let request = busy.begin_request();
        let (one, two) = (connections.admit(client(1), busy).unwrap(), connections.admit(client(1), idle()).unwrap());
        let other = connections.admit(client(2), idle()).unwrap();
        let busy = idle();
        let other_request = busy.begin_request();
        let three = connections.admit(client(1), busy).unwrap();
        assert_eq!([&one, &two, &other, &three].map(is_displaced), [false, true, false, false]);
        assert!(connections.admit(client(1), idle()).is_none());
        drop((request, other_request));
        assert!(connections.admit(client(1), idle()).is_some());
    }

    #[test]
    fn the_latest_authenticated_clients_are_remembered() {
        let clients = AuthenticatedClients::default();
        let at = |n: usize| Client::from(SocketAddr::from(([10, 0, (n / 256) as u8, (n % 256) as u8], 1)));
        (0..=AUTHENTICATED_CLIENTS_MAX).for_each(|n| clients.add(at(n)));
        assert!(!clients.contains(at(0)) && clients.contains(at(1)));
        clients.add(at(1));
        clients.add(at(0));
        assert!(clients.contains(at(1)) && !clients.contains(at(2)));
    }
}
