//! How a push stands, for people.

pub use super::request_list::Usage;

use std::path::PathBuf;
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
    /// How full the memory is: all of them without a spool, and with one what it could not take.
    pub memory: Usage,
    /// Since when the oldest waits.
    pub waiting_since: Option<SystemTime>,
    /// Where they outlive the process, if anywhere.
    pub spool: Option<SpoolStatus>,
    /// When the receiver last took something.
    pub last_taken: Option<SystemTime>,
    /// Points that it took, since the start of the process.
    pub taken_points: u64,
    /// Points that will never arrive, since the start of the process.
    pub lost_points: u64,
    /// What is wrong now.
    pub failing: Option<Failing>,
}

/// How a spool stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Its file.
    pub path: PathBuf,
    /// How full it is.
    pub room: Usage,
    /// What the disk says, when it does not do what it is asked.
    pub failing: Option<String>,
    /// Requests that were damaged and set aside, since the start of the process.
    pub damaged_requests: u64,
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
