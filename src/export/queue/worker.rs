//! Sends what waits, one request after the other, until each is taken or will never be.

use super::backoff::Backoff;
use super::queue::ExportQueue;
use super::request_list::QueuedRequest;
use crate::export::otlp::exporter::{OtlpExporter, Signal};
use crate::export::otlp::response::{RetryDecision, SendError};
use crate::export::otlp::split::split;
use crate::telemetry::SelfTelemetry;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The longest wait between two attempts when Postmeter ends.
const HURRIED_WAIT_MAX: Duration = Duration::from_millis(100);

/// Refusals in a row behind which there is a wait: one may be about a request, several are about us, and must not cost all that waits.
const REFUSALS_FREE: u32 = 1;

/// Delivers until the outbox is closed and empty, or closed and the receiver fails. `hurry` ends a wait between two attempts.
pub(crate) async fn deliver(outbox: Arc<ExportQueue>, sender: OtlpExporter, own: Arc<SelfTelemetry>, hurry: CancellationToken) {
    let retry = sender.config().queue.retry;
    let mut backoff = Backoff::new(retry);
    let mut refusals = 0;
    while let Some(first) = outbox.first().await {
        let error = match attempt(&outbox, &sender, &own, &first).await {
            Ok(()) => {
                backoff.reset();
                refusals = 0;
                continue;
            }
            Err(error) => error,
        };
        let was_closed = outbox.is_closed();
        let wait = match backoff.wait(error.again()) {
            Some(wait) => {
                match retry.give_up_after {
                    Some(limit) if first.has_waited(limit) => outbox.expire(limit, &error, wait).await,
                    _ => outbox.not_taken(&error, wait),
                }
                if was_closed {
                    return;
                }
                wait
            }
            None => {
                outbox.given_up(&error).await;
                // What the disk has lost is no refusal.
                if matches!(error, SendError::Damaged(_)) {
                    continue;
                }
                refusals += 1;
                if refusals <= REFUSALS_FREE || was_closed {
                    continue;
                }
                backoff.wait(RetryDecision::Later).unwrap_or_default()
            }
        };
        // In a hurry there is time for more attempts, but not for as many as fit into it.
        if hurry.is_cancelled() {
            tokio::time::sleep(wait.min(HURRIED_WAIT_MAX)).await;
            continue;
        }
        let _ = tokio::time::timeout(wait, hurry.cancelled()).await;
    }
}

async fn attempt(outbox: &ExportQueue, sender: &OtlpExporter, own: &SelfTelemetry, first: &QueuedRequest) -> Result<(), SendError> {
    let (bytes, size) = (outbox.bytes(first).await?, outbox.request_size());
    if bytes.len() > size.limit() && split_first(outbox, &bytes, size.limit()) {
        return Ok(());
    }
    let began = Instant::now();
    let result = sender.send(Signal::Metrics, bytes.clone()).await;
    own.export.attempted(result.as_ref().err().map(SendError::error_type), began.elapsed());
    if matches!(result, Err(SendError::TooLarge(_))) {
        size.too_large(bytes.len());
        if split_first(outbox, &bytes, bytes.len() / 2) {
            return Ok(());
        }
    }
    let rejected = result?;
    if let Some(limit) = size.accepted(bytes.len()) {
        info!(endpoint = sender.receiver(), "the receiver accepts metrics in requests of at most {limit} bytes");
    }
    outbox.taken(rejected.count, &rejected.reason).await;
    Ok(())
}

/// Has the first request sent in parts. Whether it has parts.
fn split_first(outbox: &ExportQueue, bytes: &[u8], bytes_max: usize) -> bool {
    let parts = split(Signal::Metrics, bytes, bytes_max);
    let has_parts = parts.len() > 1;
    if has_parts {
        outbox.split_first(parts);
    }
    has_parts
}
