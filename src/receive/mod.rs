//! The receiver of delivery records: mail systems send requests that report deliveries, or write them to log files.
//!
//! # Acknowledged when durable
//!
//! A request gets 200 when its records are on disk, from where they are exported, or, without an OTLP receiver, when they are counted.
//! Everything that is not durable within [`COMMIT_WAIT_MAX`] gets 503, which makes every sender try again. The identity of a record
//! (`log.record.uid`) is the same in a retry, so a record that was durable after all is recognized.
//!
//! # Status codes
//!
//! 200; 401 without a valid credential; 404 for an unknown target; 415 for a `Content-Encoding` other than gzip; 400 for a body that cannot
//! be decompressed; and 503 for everything that a later attempt can change, because senders give up at other codes. An item of an
//! authenticated request that cannot be read is counted, and the request gets 200, because no retry would change it.
//!
//! # Bodies are read whole, and their records page by page
//!
//! A signature covers the whole body, so no record of it can be accepted before its end. Its records are read in pages, and each page is
//! durable before the next one is read: the memory of the records is bounded, whatever the body. If the pages take too long, the sender
//! gets 503; the records that are durable by then are recognized when it tries again, so that each attempt gets further.
//!
//! # No queue without bound
//!
//! The memory of bodies, the requests of one target and the disk space have limits. A request that exceeds one is rejected with 503 at
//! once; the sender has a queue of its own. Requests that only a signature authenticates have further limits until their bodies are read.
//! What a request occupies is free when its work has ended, which can be later than its response.

mod authenticate;
mod body;
mod body_memory;
mod commit;
mod files;
mod intake;
mod journal_threads;
mod limits;
mod one_time_tokens;
mod outbox;
mod parse;
mod pending_requests;
mod refusal;
mod refusal_log;
mod server;
mod store;
mod uid_journal;
mod unverified_requests;

pub use files::LogFileFollower;
pub use limits::ReceiveLimits;
pub use server::{Receiver, ReceiverError};
pub use store::{RecordInlet, RecordStore, StoreSettings};

use crate::telemetry::CollectedTarget;
use std::path::Path;
use std::time::Duration;

/// The longest time from the end of a request to its response. Postal, which waits the shortest, waits for 5 s.
pub const COMMIT_WAIT_MAX: Duration = Duration::from_secs(4);
/// The time after which a rejected sender may try again (`Retry-After`).
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The largest number of records of a target by which a repeated one is recognized.
pub const RECENT_UIDS_MAX: usize = 250_000;

/// Notes that records of a target were received before the start, so that its deliveries are counted from records from the first poll on.
pub fn resume(collected: &CollectedTarget, state_dir: &Path) {
    let target = &collected.target;
    if target.config.deliveries.is_some() && uid_journal::exists(state_dir, target.name()) {
        target.records.resume();
    }
}
