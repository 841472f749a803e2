//! The worker of the export queue: sends one request after the other, until each is accepted or lost.

use super::queue::ExportQueue;
use super::queued_request::QueuedRequest;
use super::request_exporter::{ExportFailure, RequestExporter, RetryDecision};
use super::request_size::RequestSize;
use super::retry_backoff::RetryBackoff;
use crate::config::Retry;
use crate::export::request_body::RequestBody;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The longest wait between two attempts during shutdown.
const SHUTDOWN_WAIT_MAX: Duration = Duration::from_millis(100);

/// Rejections in a row before sending pauses. One rejection may be due to the request; several are due to the sender (a wrong URL or
/// wrong credentials), and sending on would lose the whole queue.
const REJECTIONS_MAX: u32 = 1;

/// Sends the requests of one queue to one receiver.
#[derive(Debug)]
pub(crate) struct Worker<'a, E> {
    pub queue: &'a ExportQueue,
    pub exporter: &'a E,
    /// The limit of request sizes, adjusted to the sizes that the receiver accepts.
    pub request_size: &'a RequestSize,
    pub retry: Retry,
}

impl<E: RequestExporter> Worker<'_, E> {
    /// Runs until the queue is closed and either empty or the receiver fails. `shutdown` shortens the waits between two attempts.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        let mut backoff = RetryBackoff::new(self.retry);
        let mut rejections = 0;
        while let Some(request) = self.queue.next_request().await {
            let failure = match self.send(&request).await {
                Ok(()) => {
                    backoff.reset();
                    rejections = 0;
                    continue;
                }
                Err(failure) => failure,
            };
            let was_closed = self.queue.is_closed();
            let wait = match backoff.next(failure.retry_decision()) {
                Some(wait) => {
                    match self.retry.give_up_after {
                        Some(limit) if request.has_waited(limit) => self.queue.expire(limit, &failure, wait).await,
                        _ => self.queue.retry_current(&failure, wait),
                    }
                    if was_closed {
                        return;
                    }
                    wait
                }
                None => {
                    self.queue.drop_current(&failure).await;
                    // A damaged file is not a rejection by the receiver.
                    if matches!(failure, ExportFailure::Damaged(_)) {
                        continue;
                    }
                    rejections += 1;
                    if rejections <= REJECTIONS_MAX || was_closed {
                        continue;
                    }
                    backoff.next(RetryDecision::Later).unwrap_or_default()
                }
            };
            if shutdown.is_cancelled() {
                // Short waits leave time for a few more attempts before the deadline of the shutdown.
                tokio::time::sleep(wait.min(SHUTDOWN_WAIT_MAX)).await;
            } else {
                let _ = tokio::time::timeout(wait, shutdown.cancelled()).await;
            }
        }
    }

    /// Sends a request, or replaces it by smaller parts if it is too large.
    async fn send(&self, request: &QueuedRequest) -> Result<(), ExportFailure> {
        let body = self.queue.body(request).await?;
        let (len, bytes_max) = (body.uncompressed_len, self.request_size.limit());
        if len > bytes_max && self.split_current(&body, bytes_max) {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.exporter.send(&body).await;
        let error_type = result.as_ref().err().map(ExportFailure::error_type);
        self.queue.metrics().attempted(error_type, started.elapsed());
        if matches!(result, Err(ExportFailure::TooLarge(_))) {
            self.request_size.too_large(len);
            if self.split_current(&body, len / 2) {
                return Ok(());
            }
        }
        let response = result?;
        if let Some(limit_bytes) = self.request_size.accepted(len) {
            info!(endpoint = self.queue.endpoint(), limit_bytes, "the receiver accepts metrics only in smaller requests");
        }
        self.queue.remove_accepted(response).await;
        Ok(())
    }

    /// Replaces the current request by parts of at most `bytes_max` bytes before compression. Returns false if the request cannot be split.
    fn split_current(&self, body: &RequestBody, bytes_max: usize) -> bool {
        let parts = self.exporter.split(body, bytes_max);
        let can_be_split = parts.len() > 1;
        if can_be_split {
            self.queue.split_current(parts);
        }
        can_be_split
    }
}
