//! The state of a push, for the status page.

pub use super::request_list::Usage;

use std::path::PathBuf;
use std::time::SystemTime;

/// The state of a push: its queue, its totals since the start of the process, and its current failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushStatus {
    /// The URL of the receiver, without secrets.
    pub endpoint: String,
    /// The number of queued requests, including the one that is being sent.
    pub queued_requests: usize,
    /// The number of points in the queued requests.
    pub queued_points: u64,
    /// The usage of memory: by all requests, or, with a spool, by those that could not be written to the spool.
    pub memory: Usage,
    /// The time at which the oldest request was queued.
    pub oldest_queued_at: Option<SystemTime>,
    /// The state of the spool, if one is configured.
    pub spool: Option<SpoolStatus>,
    /// The time at which the receiver last accepted a request.
    pub last_accepted_at: Option<SystemTime>,
    /// The number of points that the receiver accepted.
    pub accepted_points: u64,
    /// The number of points that were rejected or dropped.
    pub lost_points: u64,
    /// The current failure; `None` if the last request was accepted.
    pub failure: Option<PushFailure>,
}

/// The state of a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The directory of the requests.
    pub path: PathBuf,
    /// The disk usage.
    pub usage: Usage,
    /// The current error of the disk.
    pub failure: Option<String>,
    /// The number of damaged requests found since the start of the process. They are kept in a directory of their own.
    pub damaged_requests: u64,
}

/// The reason why the receiver accepts no requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushFailure {
    /// The value of `error.type`, one of a closed set.
    pub error_type: &'static str,
    /// The error text, with what to do.
    pub message: String,
    /// The time of the first failed attempt.
    pub since: SystemTime,
    /// The number of failed attempts in a row.
    pub attempts: u64,
    /// The time of the next attempt; `None` if the last request was lost.
    pub retry_at: Option<SystemTime>,
}
