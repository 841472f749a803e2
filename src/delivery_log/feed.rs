//! The output of the queue: batches leave it here, and are acknowledged here.

use super::LogShared;
use super::locked_file::LockedFile;
use crate::model::{Record, RecordState, RecordUid};
use crate::net::ProblemLog;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// The pause before a failed write of the state is repeated.
const WRITE_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The time that a batch without a receiver has left when Postmeter stops.
const LAST_WRITE_MAX: Duration = Duration::from_secs(5);

/// Records that are acknowledged together.
#[derive(Debug)]
pub struct Batch {
    /// The records with their identities. May be empty.
    pub records: Vec<(RecordUid, Record)>,
    /// The time at which the records were read.
    pub observed: SystemTime,
    /// The read position after this batch.
    pub(super) position: Option<ReadPosition>,
    /// The cursor was moved in memory and has to be saved.
    pub(super) is_rebased: bool,
}

/// The end of a window that was read completely.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadPosition {
    /// Unix seconds.
    pub at: u64,
    /// The start of the poll, if this is the end of the log.
    pub end: Option<Instant>,
}

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The receiver has accepted the batch.
    Sent {
        /// The number of records that the receiver has rejected permanently.
        refused: u64,
    },
    /// There is no receiver; the records are only counted.
    Counted,
}

/// The output of the queue of one target.
#[derive(Debug)]
pub struct Feed {
    receiver: mpsc::Receiver<Batch>,
    shared: Arc<LogShared>,
    cursor_file: Arc<LockedFile>,
    write_problem: ProblemLog<()>,
}

impl Feed {
    pub(super) fn new(receiver: mpsc::Receiver<Batch>, shared: Arc<LogShared>, cursor_file: LockedFile) -> Self {
        Self { receiver, shared, cursor_file: Arc::new(cursor_file), write_problem: ProblemLog::default() }
    }

    /// Waits for the next batch. Returns `None` when the follower has stopped.
    pub async fn next(&mut self) -> Option<Batch> {
        self.receiver.recv().await
    }

    /// Acknowledges a batch: moves the cursor and saves it. A failed write is repeated until it succeeds, and nothing is sent meanwhile.
    pub async fn settle(&mut self, batch: Batch, acceptance: Acceptance) {
        let shared = self.shared.clone();
        let changed = {
            let mut cursor = shared.cursor();
            cursor.acknowledge(batch.records.iter().map(|(uid, _)| uid.short()));
            let moved = batch.position.is_some_and(|position| cursor.advance(position.at, shared.overlap));
            (moved || batch.is_rebased || !batch.records.is_empty()).then(|| cursor.encode())
        };
        if let Some(bytes) = changed {
            let bytes: Arc<[u8]> = bytes.into();
            while let Err(error) = self.write(bytes.clone()).await {
                self.log_write_problem(&error);
                tokio::time::sleep(WRITE_RETRY_PAUSE).await;
            }
            if self.write_problem.end().is_some() {
                info!(target = shared.target.name(), "the read position is saved again");
            }
        }
        let (n, deliveries) = (batch.records.len() as u64, &shared.deliveries);
        deliveries.record(&batch.records);
        if let Acceptance::Sent { refused } = acceptance {
            deliveries.count(RecordState::Sent, n.saturating_sub(refused));
            deliveries.count(RecordState::Refused, refused.min(n));
        }
        deliveries.set_queued(Some(shared.queued.fetch_sub(n, Ordering::Relaxed).saturating_sub(n)));
        if let Some(end) = batch.position.and_then(|position| position.end) {
            deliveries.completed(end);
            shared.target.note_log_counts(end, &deliveries.points(end));
        }
        shared.settled.send_modify(|settled| *settled += 1);
    }

    /// Counts and acknowledges all batches until `stop` is cancelled, for a target without a receiver. Records whose position could not
    /// be saved by then are read again at the next start.
    pub async fn count(mut self, stop: CancellationToken) {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => break,
                batch = self.next() => batch,
            };
            let Some(batch) = batch else { break };
            tokio::select! {
                biased;
                () = self.settle(batch, Acceptance::Counted) => {}
                () = after_stop(&stop, LAST_WRITE_MAX) => break,
            }
        }
    }

    /// The name of the target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.shared.target.name()
    }

    async fn write(&self, bytes: Arc<[u8]>) -> Result<(), String> {
        let cursor_file = self.cursor_file.clone();
        // Syncing a file may block for a while.
        match tokio::task::spawn_blocking(move || cursor_file.write(&bytes)).await {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(panic) => Err(format!("writing the read position failed inside Postmeter, please report it: {panic}")),
        }
    }

    fn log_write_problem(&mut self, error: &str) {
        if let Some(note) = self.write_problem.start(()) {
            error!(target = self.shared.target.name(), "delivery log paused, the read position cannot be saved: {error}{note}");
        }
    }
}

/// Waits for this long after `stop` is cancelled.
async fn after_stop(stop: &CancellationToken, wait: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(wait).await;
}
