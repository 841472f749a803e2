//! The client of a connection, and whether it has authenticated.

use super::activity::Activity;
use super::client::Client;
use crate::serve::access::control::Access;
use crate::serve::access::rules::Rules;
use crate::serve::limits::unauthenticated::UnauthenticatedConnection;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;

/// The client of a connection. Clones share their state. Each request has one, by which a route that checks credentials itself reports that
/// the client has authenticated.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peer: SocketAddr,
    access: Access,
    activity: Arc<Activity>,
    cause_of_displacement: Option<Client>,
    /// The entry among unauthenticated connections, until the client has authenticated.
    unauthenticated: Mutex<Option<UnauthenticatedConnection>>,
}

impl ConnectionClient {
    /// Admits a connection, which may displace another unauthenticated one. Returns `None` if the client has too many of them.
    pub(super) fn admit(access: &Access, rules: &Rules, peer: SocketAddr, activity: &Arc<Activity>) -> Option<Self> {
        let unauthenticated = match access.is_unauthenticated(rules, peer) {
            true => Some(access.unauthenticated().admit(peer.into(), activity.clone())?),
            false => None,
        };
        if access.is_exempt(rules, peer) {
            activity.set_authenticated();
        }
        let cause_of_displacement = unauthenticated.as_ref().and_then(UnauthenticatedConnection::cause_of_displacement);
        let (access, activity, unauthenticated) = (access.clone(), activity.clone(), Mutex::new(unauthenticated));
        Some(Self(Arc::new(Inner { peer, access, activity, cause_of_displacement, unauthenticated })))
    }

    /// The address and port.
    pub(super) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// The client, for limits.
    pub(crate) fn client(&self) -> Client {
        self.0.peer.into()
    }

    /// Returns the client because of which the connection has displaced another one.
    pub(super) fn cause_of_displacement(&self) -> Option<Client> {
        self.0.cause_of_displacement
    }

    /// Waits until the connection is displaced and must be closed.
    pub(super) async fn displaced(&self) {
        let displaced = self.0.unauthenticated.lock().as_ref().map(UnauthenticatedConnection::displaced);
        match displaced {
            Some(displaced) => displaced.await,
            None => std::future::pending().await,
        }
    }

    /// Notes that a request of this connection has authenticated: it cannot be displaced any more.
    pub(super) fn set_authenticated(&self) {
        self.0.activity.set_authenticated();
        self.0.unauthenticated.lock().take();
    }

    /// Notes that a request of this connection has authenticated, and remembers the client: its further connections do not count as
    /// unauthenticated. For routes that check credentials themselves.
    pub(crate) fn remember_authenticated(&self) {
        self.set_authenticated();
        self.0.access.authenticated_clients().add(self.client());
    }

    /// Returns true if a request of this client has authenticated recently.
    pub(crate) fn has_authenticated(&self) -> bool {
        self.0.access.authenticated_clients().contains(self.client())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Prometheus;
    use crate::serve::{ListenerKind, ServerLimits};
    use crate::telemetry::SelfTelemetry;

    #[test]
    fn a_client_of_the_receiver_is_unauthenticated_until_its_route_reports_it() {
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let limits = ServerLimits { unauthenticated_client_max: 1, ..ServerLimits::default() };
        let config = Prometheus::open("127.0.0.1:0");
        let access = Access::of_listener(ListenerKind::Receive, config, telemetry, limits).unwrap();
        let admit = |host: u8| {
            let activity = Activity::new(access.limits());
            ConnectionClient::admit(&access, &access.rules(), ([192, 0, 2, host], 1).into(), &activity).unwrap()
        };
        let (first, other) = (admit(1), admit(2));
        let second = admit(1);
        assert_eq!([&first, &other, &second].map(ConnectionClient::cause_of_displacement), [None, None, Some(first.client())]);
        second.remember_authenticated();
        let more = [admit(1), admit(1)];
        assert!(more.iter().all(|client| client.cause_of_displacement().is_none()));
        assert!(admit(2).cause_of_displacement().is_some(), "the other client has not authenticated");
    }
}
