//! Delivery logs: each record is sent once from a mail server to the receiver, which acknowledges it.
//!
//! A [`Follower`] reads a target's log on a timer of its own and queues the new records; a [`Feed`] is the output of that queue. Nothing
//! here depends on the mail system: [`crate::poll::RecordReader`] reads the pages.
//!
//! # The cursor follows the acknowledgement
//!
//! The read position and the acknowledged records near it are saved when a batch is acknowledged, before the next batch is sent. So a crash
//! loses nothing, and sends at most one batch twice, with the same `log.record.uid` in both.
//!
//! # Windows move the cursor, not pages
//!
//! A server may ignore the requested order, and rows are added and removed between two pages. So a page begins at the time of the last
//! record before it, and the cursor moves when a whole window of time was read. Until then, and for `overlap` after it, records are
//! recognised by their identities. A window that is too large is halved, and one that times out is quartered.
//!
//! # Start of the first poll
//!
//! The server's clock, which may be behind, determines the start: records that its log has at the first poll are known from then on, and
//! all others are new, whatever their time.
//!
//! # A full queue stops the reading
//!
//! Nothing is dropped: unread records remain in the log on the server.
//!
//! # Records that the receiver rejects are skipped
//!
//! A batch that the receiver rejects permanently (see [`crate::export::otlp::SendError`]) is counted and logged. Otherwise one invalid
//! batch would stop the log for ever. Rejected credentials do not count as that: an operator can fix them, and the log waits until then.

mod cursor;
mod cursor_file;
mod feed;
mod first_start;
mod follower;
mod hash_key_file;
mod locked_file;
mod overflow;
mod page_shape;
mod record_id;
mod rounds;
mod search_window;
mod unreadable;
mod window_reader;

pub use crate::model::RecordUid;
pub use cursor::Cursor;
pub use feed::{Acceptance, Batch, Feed};
pub use follower::Follower;
pub use hash_key_file::hash_key;
pub use locked_file::{LockedFile, StateError};
pub use record_id::{HashKey, KEY_BYTES};

use crate::model::unix_seconds;
use crate::poll::Target;
use crate::telemetry::{CollectedTarget, DeliveryMetrics};
use parking_lot::{Mutex, MutexGuard};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The capacity of the queue in batches.
pub const QUEUE_BATCHES_MAX: usize = 2;
/// The largest number of records of one batch. They are acknowledged together, and at most one batch is sent twice.
pub const BATCH_RECORDS_MAX: usize = 2000;

/// State that the follower and the feed of a log share.
#[derive(Debug)]
struct LogShared {
    target: Arc<Target>,
    overlap: Duration,
    cursor: Mutex<Cursor>,
    deliveries: Arc<DeliveryMetrics>,
    /// The number of queued records.
    queued: AtomicU64,
    /// The number of batches that were acknowledged and saved, after which the next poll begins.
    settled: watch::Sender<u64>,
}

impl LogShared {
    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock()
    }
}

/// Notes that a log was followed before the start, so that its records are counted from the first poll on.
pub fn resume(collected: &CollectedTarget, state_dir: &Path) {
    let target = &collected.target;
    if target.config.delivery_log.is_some() && cursor_file::exists(state_dir, target.name()) {
        target.records.resume();
    }
}

/// Opens the delivery log of a target. Returns the follower, the feed and the key of the hashes, or `None` if the log is not to be
/// followed.
///
/// # Errors
/// The state file that cannot be used.
pub fn open(collected: &CollectedTarget, state_dir: &Path) -> Result<Option<(Follower, Feed, HashKey)>, StateError> {
    let target = &collected.target;
    let (Some(messages), Some(reader), Some(deliveries)) = (&target.config.delivery_log, target.record_reader(), &collected.deliveries)
    else {
        return Ok(None);
    };
    let key = hash_key(state_dir)?;
    // The port and the path are not part of this: they may change, and without the cursor all records since then would be missed.
    let log = format!("{} at {}", target.config.source.name, target.config.url.host_str().unwrap_or_default());
    let (cursor_file, saved) = cursor_file::open(state_dir, target.name(), &log, messages.overlap)?;
    let cursor = match saved {
        Some(cursor) => cursor,
        None => {
            // The cursor is saved at once, so that a restart does not move the start.
            let first = Cursor::starting(&log, unix_seconds(target.now()), messages.since);
            cursor_file.write(&first.encode())?;
            first
        }
    };
    // Records that an earlier follower left in its queue are read again.
    deliveries.set_queued(Some(0));
    let shared = Arc::new(LogShared {
        target: target.clone(),
        overlap: messages.overlap,
        cursor: Mutex::new(cursor),
        deliveries: deliveries.clone(),
        queued: Default::default(),
        settled: Default::default(),
    });
    let (sender, receiver) = mpsc::channel(QUEUE_BATCHES_MAX);
    let follower = Follower::new(target.clone(), reader, messages.interval, key.clone(), shared.clone(), sender);
    Ok(Some((follower, Feed::new(receiver, shared, cursor_file), key)))
}
