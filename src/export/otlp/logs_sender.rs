//! Sends requests with delivery records until the receiver accepts or rejects each record.
//!
//! Records are retried without a limit: `retry.give_up_after` applies to metrics only, which the next collection replaces. Nothing else
//! sends these records.

use super::exporter::{OtlpExporter, Signal};
use super::response::SendError;
use super::split::split;
use crate::export::queue::request_exporter::{EncodedRequest, PartialSuccess, RetryDecision};
use crate::export::queue::retry_backoff::RetryBackoff;
use crate::export::request_body::RequestBody;
use crate::net::{LineLimit, ProblemLog};
use crate::telemetry::SelfTelemetry;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tracing::{info, warn};

/// A sender, its log lines and its counts, which include the records of targets that were removed since.
#[derive(Debug)]
pub struct LogsSender {
    exporter: Arc<OtlpExporter>,
    telemetry: Arc<SelfTelemetry>,
    /// The URL of the receiver for logs, without secrets.
    endpoint: String,
    /// The receiver's problem: the type of the error and its cause.
    problems: ProblemLog<(&'static str, String)>,
    /// The limit of lines about skipped records.
    skip_lines: LineLimit,
    /// The records that were skipped since the last line about them.
    skipped_records: u64,
}

/// The result of sending a request.
enum SendResult {
    /// The request is settled: accepted except for this many records, or rejected as a whole.
    Settled { rejected: u64 },
    /// The request is too large and must be sent in these parts.
    Split(Vec<EncodedRequest>),
}

impl LogsSender {
    /// Creates a sender by this exporter.
    #[must_use]
    pub fn new(exporter: Arc<OtlpExporter>, telemetry: Arc<SelfTelemetry>) -> Self {
        let endpoint = exporter.config().logs_receiver().unwrap_or_else(|| exporter.endpoint().to_owned());
        Self { exporter, telemetry, endpoint, problems: ProblemLog::default(), skip_lines: LineLimit::default(), skipped_records: 0 }
    }

    /// The largest request that the receiver is known to accept, in bytes before compression.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.exporter.request_size(Signal::Logs).limit()
    }

    /// Sends a request, in parts if it is too large, until the receiver has accepted or rejected each part. Returns the number of rejected
    /// records.
    pub async fn send(&mut self, target: &str, request: EncodedRequest) -> u64 {
        let mut rejected = 0;
        let mut parts = VecDeque::from([request]);
        while let Some(part) = parts.pop_front() {
            match self.send_part(target, &part).await {
                SendResult::Settled { rejected: in_part } => rejected += in_part,
                SendResult::Split(smaller) => smaller.into_iter().rev().for_each(|part| parts.push_front(part)),
            }
        }
        rejected
    }

    async fn send_part(&mut self, target: &str, request: &EncodedRequest) -> SendResult {
        let exporter = self.exporter.clone();
        let size = exporter.request_size(Signal::Logs);
        let (len, bytes_max) = (request.bytes.len(), size.limit());
        if len > bytes_max
            && let Some(parts) = split_request(request, bytes_max)
        {
            return SendResult::Split(parts);
        }
        let body = RequestBody::compressed(request.bytes.clone(), exporter.compression());
        let mut backoff = RetryBackoff::new(exporter.config().queue.retry);
        loop {
            let mut result = exporter.send(Signal::Logs, &body).await;
            if let Ok(response) = &mut result {
                // A receiver cannot have rejected more records than it got.
                response.rejected = response.rejected.min(request.points);
            }
            let retry = match &result {
                // The operator can repair the credentials, and a skipped record would not be read again.
                Err(SendError::Unauthenticated(_)) => RetryDecision::Later,
                Err(error) => error.retry_decision(),
                Ok(_) => RetryDecision::Never,
            };
            if matches!(result, Err(SendError::TooLarge(_))) {
                size.too_large(len);
                if let Some(parts) = split_request(request, len / 2) {
                    return SendResult::Split(parts);
                }
            }
            self.log_result(target, &result, request.points, retry);
            match (result, backoff.next(retry)) {
                (Ok(response), _) => {
                    if let Some(limit_bytes) = size.accepted(len) {
                        info!(endpoint = self.endpoint, limit_bytes, "the receiver accepts logs only in smaller requests");
                    }
                    self.count(request.points, response.rejected, "rejected");
                    return SendResult::Settled { rejected: response.rejected };
                }
                (Err(_), Some(wait)) => tokio::time::sleep(wait).await,
                (Err(error), None) => {
                    self.count(request.points, request.points, error.error_type());
                    return SendResult::Settled { rejected: request.points };
                }
            }
        }
    }

    /// Counts the records of a settled request.
    fn count(&self, records: u64, rejected: u64, error: &'static str) {
        self.telemetry.export.exported_records(records - rejected, None);
        self.telemetry.export.exported_records(rejected, Some(error));
    }

    /// Logs a problem when it starts or changes, and when it ends. Skipped records are logged each time up to a limit, because they are
    /// lost.
    fn log_result(&mut self, target: &str, result: &Result<PartialSuccess, SendError>, records: u64, retry: RetryDecision) {
        match result {
            Ok(PartialSuccess { rejected: 0, message }) if message.trim().is_empty() => self.log_end(target),
            Ok(response) => {
                let problem = if response.rejected == 0 { "warning" } else { "rejected" };
                if let Some(note) = self.problems.start((problem, String::new())) {
                    let (endpoint, reason) = (self.endpoint.as_str(), response.reason());
                    match response.rejected {
                        0 => warn!(target, endpoint, "the receiver accepted delivery records with a warning: {reason}{note}"),
                        records => warn!(target, endpoint, records, "the receiver rejected some delivery records: {reason}{note}"),
                    }
                }
            }
            Err(error) => {
                let retry_note = self.problems.start((error.error_type(), error.cause()));
                let endpoint = self.endpoint.as_str();
                if retry == RetryDecision::Never {
                    self.skipped_records += records;
                    let Some(note) = self.skip_lines.admit(Instant::now()) else { return };
                    let records = std::mem::take(&mut self.skipped_records);
                    warn!(target, endpoint, records, error.type = error.error_type(), "the receiver rejected delivery records, they are skipped: {error}{note}");
                } else if let Some(note) = retry_note {
                    warn!(target, endpoint, error.type = error.error_type(), "export of delivery records failed and is retried: {error}{note}");
                }
            }
        }
    }

    /// Logs the end of a problem, with the records that were skipped and not logged yet.
    fn log_end(&mut self, target: &str) {
        let endpoint = self.endpoint.as_str();
        if self.problems.end().is_none() {
            return;
        }
        match std::mem::take(&mut self.skipped_records) {
            0 => info!(target, endpoint, "the receiver accepts delivery records again"),
            records => info!(target, endpoint, records, "the receiver accepts delivery records again; more records were skipped"),
        }
    }
}

/// Returns `None` if the request cannot be split.
fn split_request(request: &EncodedRequest, bytes_max: usize) -> Option<Vec<EncodedRequest>> {
    let parts = split(Signal::Logs, &request.bytes, bytes_max);
    (parts.len() > 1).then_some(parts)
}
