//! The end of the queue that batches come out of, and go back to when they were taken.

use super::Shared;
use super::record_id::Uid;
use super::state::State;
use crate::model::Record;
use crate::telemetry::RecordState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How long to wait before state that could not be written is written again.
const WRITE_AGAIN_WAIT: Duration = Duration::from_secs(5);

/// How long a batch without a receiver may still take when Postmeter ends.
const LAST_WRITE_MAX: Duration = Duration::from_secs(5);

/// Ends so long after `stop` says so.
async fn ended(stop: &CancellationToken, wait: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(wait).await;
}

/// Records that are taken together.
#[derive(Debug)]
pub struct Batch {
    /// The records and who they are; may be none.
    pub records: Vec<(Uid, Record)>,
    /// When they were read.
    pub observed: SystemTime,
    /// What is reached when it was taken.
    pub(super) reached: Option<ReadPosition>,
    /// The cursor was moved in memory and has to be written down.
    pub(super) is_rebased: bool,
}

/// The end of a window that was read whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadPosition {
    /// Unix seconds.
    pub at: u64,
    /// When the poll began, if this is where the log ends.
    pub end: Option<Instant>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The receiver has it, but for so many of its records.
    Sent {
        /// Which it will never take.
        refused: u64,
    },
    /// There is no receiver: they are only counted.
    Counted,
}

/// What comes out of the queue of one target.
#[derive(Debug)]
pub struct Feed {
    receiver: mpsc::Receiver<Batch>,
    shared: Arc<Shared>,
    state: Arc<State>,
    /// The state could not be written, and the log has said so.
    failing: bool,
}

impl Feed {
    pub(super) fn new(receiver: mpsc::Receiver<Batch>, shared: Arc<Shared>, state: State) -> Self {
        Self { receiver, shared, state: Arc::new(state), failing: false }
    }

    /// The next batch; nothing when there are no more.
    pub async fn next(&mut self) -> Option<Batch> {
        self.receiver.recv().await
    }

    /// A batch was taken: the cursor moves, on the disk first. What cannot be written is written again until it can, and
    /// meanwhile nothing is sent.
    pub async fn settle(&mut self, batch: Batch, taken: Acceptance) {
        let shared = self.shared.clone();
        let changed = {
            let mut cursor = shared.cursor();
            cursor.take(batch.records.iter().map(|(uid, _)| uid.short()));
            let moved = batch.reached.is_some_and(|reached| cursor.reach(reached.at, shared.overlap));
            (moved || batch.is_rebased || !batch.records.is_empty()).then(|| cursor.encode())
        };
        if let Some(bytes) = changed {
            let bytes: Arc<[u8]> = bytes.into();
            while let Err(error) = self.write(bytes.clone()).await {
                self.say(&error);
                tokio::time::sleep(WRITE_AGAIN_WAIT).await;
            }
            if std::mem::take(&mut self.failing) {
                info!(target = shared.target, "state_dir can be written to again");
            }
        }
        let (n, deliveries) = (batch.records.len() as u64, &shared.deliveries);
        let records: Vec<Record> = batch.records.into_iter().map(|(_, record)| record).collect();
        deliveries.record(&records);
        if let Acceptance::Sent { refused } = taken {
            deliveries.count(RecordState::Sent, n.saturating_sub(refused));
            deliveries.count(RecordState::Refused, refused.min(n));
        }
        deliveries.set_queued(shared.queued.fetch_sub(n, Ordering::Relaxed).saturating_sub(n));
        if let Some(end) = batch.reached.and_then(|reached| reached.end) {
            deliveries.completed(end);
        }
        shared.settled.send_modify(|settled| *settled += 1);
    }

    /// Where there is no receiver: everything is taken, and only counted. What could not be written down when `stop` says so is
    /// read again at the next start.
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
                () = ended(&stop, LAST_WRITE_MAX) => break,
            }
        }
    }

    /// Whose log it is.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.shared.target
    }

    async fn write(&self, bytes: Arc<[u8]>) -> Result<(), String> {
        let state = self.state.clone();
        // Flushing a disk takes its time.
        match tokio::task::spawn_blocking(move || state.write(&bytes)).await {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(broken) => Err(format!("writing it failed inside Postmeter, please report it: {broken}")),
        }
    }

    fn say(&mut self, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            error!(target = self.shared.target, "the delivery log waits: {why}");
        }
    }
}
