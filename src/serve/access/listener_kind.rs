//! The kinds of listeners: each has its own section of the configuration and its own clients.

/// A kind of listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// The pull endpoint, `export.prometheus`.
    Pull,
    /// The listener for probes, `health`.
    Health,
    /// The listener for delivery records, `receive`.
    Receive,
}

impl ListenerKind {
    /// Returns the configuration key of its section.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Pull => "export.prometheus",
            Self::Health => "health",
            Self::Receive => "receive",
        }
    }

    /// Returns true if routes check the credentials of a request. It is then unauthenticated until its route reports the client.
    pub(crate) const fn authenticates_in_routes(self) -> bool {
        matches!(self, Self::Receive)
    }

    /// Returns the connections that new ones can displace, in log lines.
    pub(crate) const fn displaced_connections(self) -> &'static str {
        "connections of clients that have not authenticated"
    }

    /// Returns its name in log lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pull => "the pull endpoint",
            Self::Health => "the health endpoint",
            Self::Receive => "the listener of receive",
        }
    }
}
