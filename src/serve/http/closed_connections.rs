//! Log lines about connections that are closed because of a limit.

use super::client::Client;
use crate::net::Episode;
use crate::serve::access::control::Access;
use std::time::Instant;
use tracing::{info, warn};

/// The log of the connections of a listener that are closed because of a limit.
#[derive(Debug)]
pub(super) struct ClosedConnections {
    access: Access,
    new: Episode,
    unauthenticated: Episode,
}

impl ClosedConnections {
    pub(super) fn new(access: Access) -> Self {
        Self { access, new: Episode::default(), unauthenticated: Episode::default() }
    }

    /// Notes that a new connection was closed, because its client or all clients have too many. `client` is the one with the most.
    pub(super) fn note_new(&mut self, client: Client, now: Instant) {
        let Some(note) = self.new.start((), now) else { return };
        let (listener, limits) = (self.access.listener().name(), self.access.limits());
        let (max, client_max) = (limits.connections_max, limits.connections_client_max);
        warn!(
            %client,
            "{listener} closes new connections: there may be {client_max} of a client and {max} in total, and this one has the most; use fewer, or block addresses that are not yours{note}"
        );
    }

    /// Notes that a connection of a client that has not authenticated was closed for a new one, or is itself a new one of a client that has
    /// too many. `client` is the one with the most.
    pub(super) fn note_unauthenticated(&mut self, client: Client, now: Instant) {
        let Some(note) = self.unauthenticated.start((), now) else { return };
        let (listener, limits) = (self.access.listener(), self.access.limits());
        let (max, client_max, closed) = (limits.unauthenticated_max, limits.unauthenticated_client_max, listener.displaced_connections());
        warn!(
            %client,
            "{} closes {closed}: there may be {client_max} of a client and {max} in total, this one has the most, and new ones replace the oldest; block addresses that are not yours{note}",
            listener.name()
        );
    }

    /// Logs the end of the problems after a time without a closed connection.
    pub(super) fn end(&mut self, now: Instant) {
        let listener = self.access.listener();
        if self.new.end(now) {
            info!("{} has closed no new connection for a minute", listener.name());
        }
        if self.unauthenticated.end(now) {
            info!("{} has closed none of the {} for a minute", listener.name(), listener.displaced_connections());
        }
    }
}
