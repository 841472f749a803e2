//! How a push stands, for people.

use std::time::SystemTime;

/// How a push stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushStatus {
    /// Where it goes.
    pub endpoint: String,
    /// Requests that wait, the one on its way included.
    pub waiting_requests: usize,
    /// Points in them.
    pub waiting_points: u64,
    /// Bytes of them.
    pub waiting_bytes: usize,
    /// How many bytes may wait: of the spool where there is one, or else in memory.
    pub max_bytes: usize,
    /// Since when the oldest waits.
    pub waiting_since: Option<SystemTime>,
    /// Whether they outlive the process.
    pub spool: bool,
    /// When the receiver last took something.
    pub last_taken: Option<SystemTime>,
    /// Points that it took, since the start of the process.
    pub taken_points: u64,
    /// Points that will never arrive, since the start of the process.
    pub lost_points: u64,
    /// What is wrong now.
    pub failing: Option<Failing>,
}

/// Why nothing is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// A closed set: the value of `error.type`.
    pub error_type: &'static str,
    /// The same in words, with what to do.
    pub said: String,
    /// Since when.
    pub since: SystemTime,
    /// How often in a row.
    pub attempts: u64,
    /// When it is tried again; never where the receiver would say the same.
    pub next: Option<SystemTime>,
}
