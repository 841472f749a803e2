//! Following delivery logs: each record once, from a mail server to a receiver that has acknowledged it.
//!
//! A [`Follower`] reads a target's log on a timer of its own and queues what it has not seen; a [`Feed`] is the other end of
//! that queue. Which mail system it is does not matter here: what reads pages is [`crate::poll::RecordReader`].
//!
//! # The cursor follows the acknowledgement
//!
//! What survives a restart is how far the log was read and which records near that point were taken. It is written when a
//! batch was acknowledged, and before the next one is sent. So a crash loses nothing, and sends at most one batch twice, with
//! the same `log.record.uid` in both.
//!
//! # Windows, and not pages, move it
//!
//! A server need not sort as it is asked to, and rows come and go between two pages. So a page begins at the time of the last record
//! before it, and the cursor moves when a window of time was read whole. Until then, and for `overlap` behind it, records are
//! told apart by their identities. A window that is too large for one reading is halved, and one that takes the server too long
//! becomes a quarter.
//!
//! # Where a first start begins
//!
//! By the server's clock, which may be behind: what its log has at the first poll is known from then on, and what it has not is new,
//! whatever its time is.
//!
//! # A full queue stops the reading
//!
//! Nothing is dropped: the log stays where it is, on the server.
//!
//! # What a receiver never takes is passed over
//!
//! A batch that the receiver refuses for good (see [`crate::export::otlp::SendError`]) is counted and logged. Otherwise one
//! bad batch would stop the log for ever. Refused credentials are no such refusal: an operator mends them, and until then
//! the log waits.

mod cursor;
mod feed;
mod first;
mod follower;
mod overflow;
mod page_shape;
mod record_id;
mod rounds;
mod search_window;
mod state;
mod unreadable;

pub(crate) use crate::net::quarantine::set_aside;
pub use cursor::{Cursor, CursorError};
pub use feed::{Acceptance, Batch, Feed};
pub use follower::Follower;
pub use record_id::{KEY_BYTES, Key, Uid};
pub use state::{StateError, key};

use crate::telemetry::{CollectedTarget, DeliveryMetrics};
use parking_lot::{Mutex, MutexGuard};
use state::State;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Records that wait, in batches.
pub const QUEUE_BATCHES_MAX: usize = 2;
/// Records of one batch: what is acknowledged together, and at most sent twice.
pub const BATCH_RECORDS_MAX: usize = 2000;

/// What both ends of the queue share.
#[derive(Debug)]
struct Shared {
    target: String,
    overlap: Duration,
    cursor: Mutex<Cursor>,
    deliveries: Arc<DeliveryMetrics>,
    queued: std::sync::atomic::AtomicU64,
    /// How many batches were taken and written down, so that the next poll begins behind them.
    settled: tokio::sync::watch::Sender<u64>,
}

impl Shared {
    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock()
    }
}

/// Both ends for a target, and the key of its hashes; nothing where its log is not to be followed.
///
/// # Errors
/// What of the state cannot be used.
pub fn open(monitored: &CollectedTarget, state_dir: &Path) -> Result<Option<(Follower, Feed, Key)>, StateError> {
    let target = &monitored.target;
    let (Some(messages), Some(reader), Some(deliveries)) = (&target.config.messages, target.record_reader(), &monitored.deliveries) else {
        return Ok(None);
    };
    let key = state::key(state_dir)?;
    // Not the port nor the path: a way to the server may change, and a cursor that is not used costs the records since.
    let of = format!("{} at {}", target.config.source.name, target.config.url.host_str().unwrap_or_default());
    let (state, known) = State::open(state_dir, target.name(), &of, messages.overlap)?;
    let cursor = match known {
        Some(cursor) => cursor,
        None => {
            // Kept at once: "now" must stay what it was at the first start.
            let first = Cursor::starting(&of, seconds(target.now()), messages.since);
            state.write(&first.encode())?;
            first
        }
    };
    // What an earlier one has left in its queue is read again.
    deliveries.set_queued(0);
    let shared = Arc::new(Shared {
        target: target.name().to_owned(),
        overlap: messages.overlap,
        cursor: Mutex::new(cursor),
        deliveries: deliveries.clone(),
        queued: Default::default(),
        settled: Default::default(),
    });
    let (sender, receiver) = tokio::sync::mpsc::channel(QUEUE_BATCHES_MAX);
    let follower = Follower::new(target.clone(), reader, messages.interval, key.clone(), shared.clone(), sender);
    Ok(Some((follower, Feed::new(receiver, shared, state), key)))
}

/// Unix seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
