//! The limits of the receiver.

use super::{COMMIT_WAIT_MAX, RECENT_UIDS_MAX};
use crate::export::queue::request_list::SPOOLED_REQUESTS_MAX;
use std::time::Duration;

/// The limits. The defaults suit production; tests use smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// The largest number of stored requests, each of which is a file. Further records are refused.
    pub stored_requests_max: usize,
    /// The largest number of records of a target by which a repeated one is recognized.
    pub recent_uids_max: usize,
    /// The longest time from the end of a request to its response.
    pub commit_wait_max: Duration,
    /// The memory of the records of a page. The next page of a body is read when the records of this one are durable.
    pub page_bytes_max: usize,
}

impl Default for ReceiveLimits {
    fn default() -> Self {
        Self {
            stored_requests_max: SPOOLED_REQUESTS_MAX,
            recent_uids_max: RECENT_UIDS_MAX,
            commit_wait_max: COMMIT_WAIT_MAX,
            page_bytes_max: 8 * 1024 * 1024,
        }
    }
}
