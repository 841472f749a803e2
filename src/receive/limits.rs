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
    /// The memory of the bodies of all targets.
    pub bodies_bytes_max: usize,
    /// The memory of the bodies of one target, so that one sender leaves room for the others.
    pub target_bodies_bytes_max: usize,
    /// The memory of the bodies of requests that only a signature authenticates, until it is verified. The rest of
    /// [`Self::bodies_bytes_max`] is left to senders with a credential in the headers.
    pub unverified_bodies_bytes_max: usize,
    /// The part of it for clients that have not authenticated before. A whole body of every system fits.
    pub unknown_bodies_bytes_max: usize,
    /// Concurrent requests that only a signature authenticates, of clients that have authenticated before, until it is verified. Together
    /// with [`Self::unknown_requests_max`] far fewer than the listener's requests, the rest of which is left to senders with a credential
    /// in the headers.
    pub unverified_requests_max: usize,
    /// Those of one client, which may be a proxy.
    pub unverified_requests_client_max: usize,
    /// Such requests of clients that have not authenticated before.
    pub unknown_requests_max: usize,
    /// Those of one client.
    pub unknown_requests_client_max: usize,
}

const MEBIBYTE: usize = 1024 * 1024;

impl Default for ReceiveLimits {
    fn default() -> Self {
        Self {
            stored_requests_max: SPOOLED_REQUESTS_MAX,
            recent_uids_max: RECENT_UIDS_MAX,
            commit_wait_max: COMMIT_WAIT_MAX,
            page_bytes_max: 8 * MEBIBYTE,
            bodies_bytes_max: 128 * MEBIBYTE,
            target_bodies_bytes_max: 64 * MEBIBYTE,
            unverified_bodies_bytes_max: 96 * MEBIBYTE,
            unknown_bodies_bytes_max: 64 * MEBIBYTE,
            unverified_requests_max: 96,
            unverified_requests_client_max: 64,
            unknown_requests_max: 96,
            unknown_requests_client_max: 16,
        }
    }
}
