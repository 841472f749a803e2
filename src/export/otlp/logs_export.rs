//! Exports the delivery records of one target, until the receiver accepts or rejects each of them.
//!
//! Records that are not accepted remain in the log of the mail server.

use super::exporter::OtlpExporter;
use super::logs::LogsEncoder;
use super::logs_sender::LogsSender;
use crate::delivery_log::{Acceptance, Batch, Feed, HashKey};
use crate::model::unix_nanos;
use crate::telemetry::{CollectedTarget, SelfTelemetry};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug_span};

/// The time that the batch which is being sent may still take after the stop.
const LAST_BATCH_MAX: Duration = Duration::from_secs(5);

/// The export of one target's delivery records.
#[derive(Debug)]
pub struct LogsExport {
    feed: Feed,
    encoder: LogsEncoder,
    target: Arc<CollectedTarget>,
    sender: LogsSender,
}

impl LogsExport {
    /// Creates the export of a target's feed. `key` hashes the fields of the records.
    #[must_use]
    pub fn new(feed: Feed, key: HashKey, target: Arc<CollectedTarget>, exporter: Arc<OtlpExporter>, telemetry: Arc<SelfTelemetry>) -> Self {
        let config = &target.target.config;
        let include = config.delivery_log.as_ref().map(|messages| messages.include.clone()).unwrap_or_default();
        let encoder = LogsEncoder::new(config.source.name, key, include);
        Self { feed, encoder, target, sender: LogsSender::new(exporter, telemetry) }
    }

    /// Runs until `stop` is cancelled. Records that are not accepted by then are read again after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = self.feed.next() => batch,
            };
            let Some(batch) = batch else { return };
            let deadline = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_BATCH_MAX).await;
            };
            let span = debug_span!("deliver", target = self.feed.target(), records = batch.records.len());
            tokio::select! {
                () = deadline => return,
                () = self.export(batch).instrument(span) => {}
            }
        }
    }

    async fn export(&mut self, batch: Batch) {
        let identity = self.target.last_identity();
        let bytes_max = self.sender.bytes_max();
        let mut rejected = 0;
        for request in self.encoder.requests(&identity, &batch.records, unix_nanos(batch.observed), bytes_max) {
            rejected += self.sender.send(self.feed.target(), request).await;
        }
        self.feed.settle(batch, Acceptance::Sent { refused: rejected }).await;
    }
}
