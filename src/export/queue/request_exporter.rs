//! The exporter as the export queue sees it: a trait and its results, without a protocol.

use crate::config::Compression;
use crate::export::request_body::RequestBody;
use bytes::Bytes;
use std::future::Future;
use std::time::Duration;

/// An encoded request.
#[derive(Clone, Debug, Default)]
pub struct EncodedRequest {
    /// The bytes, which are not compressed.
    pub bytes: Bytes,
    /// The number of data points (or log records) in the request.
    pub points: u64,
}

impl EncodedRequest {
    /// Compresses the request.
    pub(crate) fn compressed(self, compression: Compression) -> ExportRequest {
        ExportRequest { body: RequestBody::compressed(self.bytes, compression), points: self.points }
    }
}

/// A request as it is queued and sent.
#[derive(Clone, Debug)]
pub(crate) struct ExportRequest {
    pub body: RequestBody,
    /// The number of data points (or log records) in the request.
    pub points: u64,
}

/// Sends encoded requests to a receiver. The export queue needs nothing else of a protocol.
pub(crate) trait RequestExporter: Send + Sync {
    /// Sends one request.
    fn send(&self, body: &RequestBody) -> impl Future<Output = Result<PartialSuccess, ExportFailure>> + Send;

    /// Splits a request into requests of at most `bytes_max` bytes before compression each, or of one point each. Returns at most one part
    /// if the request cannot be split.
    fn split(&self, body: &RequestBody, bytes_max: usize) -> Vec<ExportRequest>;
}

/// The response to an accepted request. The receiver may have rejected some of its points.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// The number of rejected data points or log records.
    pub rejected: u64,
    /// The receiver's reason, or its warning if nothing was rejected; empty if there is none.
    pub message: String,
}

impl PartialSuccess {
    /// The receiver's reason or warning, for a log line.
    pub(crate) fn reason(&self) -> &str {
        if self.message.trim().is_empty() { "it gives no reason" } else { &self.message }
    }
}

/// The reason why a queued request was not exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportFailure {
    /// The receiver rejected the request or could not be reached.
    #[error("{message}")]
    NotAccepted {
        /// The value of `error.type`.
        error_type: &'static str,
        /// The cause among those of the type: the same text for each occurrence.
        cause: String,
        /// The error text, with what to do.
        message: String,
        /// The time of the next attempt.
        retry: RetryDecision,
    },
    /// The request is larger than the receiver accepts. Parts of the request may be accepted.
    #[error("{0}")]
    TooLarge(String),
    /// The spool cannot be read now.
    #[error("the spool cannot be read: {0}; check the disk")]
    SpoolUnreadable(String),
    /// The file of the request is damaged or missing.
    #[error("a request in the spool is damaged or missing and is not sent: {0}")]
    Damaged(String),
}

impl ExportFailure {
    /// The value of `error.type`, one of a closed set.
    pub(crate) const fn error_type(&self) -> &'static str {
        match self {
            Self::NotAccepted { error_type, .. } => error_type,
            Self::TooLarge(_) => "too_large",
            Self::SpoolUnreadable(_) | Self::Damaged(_) => "spool",
        }
    }

    /// The cause among those of the type, the same text for each occurrence.
    pub(crate) fn cause(&self) -> &str {
        match self {
            Self::NotAccepted { cause, .. } => cause,
            Self::TooLarge(_) | Self::SpoolUnreadable(_) => "",
            Self::Damaged(_) => "damaged",
        }
    }

    /// The time at which the same request may be sent again.
    pub(crate) const fn retry_decision(&self) -> RetryDecision {
        match self {
            Self::NotAccepted { retry, .. } => *retry,
            Self::SpoolUnreadable(_) => RetryDecision::Later,
            Self::TooLarge(_) | Self::Damaged(_) => RetryDecision::Never,
        }
    }
}

/// The time at which a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Never: the receiver would reject the same request again.
    Never,
    /// After the backoff.
    Later,
    /// After the backoff, but no earlier than after this time.
    After(Duration),
}
