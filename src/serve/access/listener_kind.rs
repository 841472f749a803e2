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

    /// Returns true if clients count as unauthenticated until a route reports them: those of `receive`, whose route checks credentials, and
    /// all probes, which have none, so that idle connections cannot lock out other probes.
    pub(crate) const fn authenticates_in_routes(self) -> bool {
        matches!(self, Self::Receive | Self::Health)
    }

    /// Returns the connections that new ones can displace, in log lines.
    pub(crate) const fn displaced_connections(self) -> &'static str {
        match self {
            Self::Health => "idle connections",
            Self::Pull | Self::Receive => "connections of clients that have not authenticated",
        }
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
