//! What a receiver's answer means: taken, taken in part, to be sent again, or never to be taken.
//!
//! Which codes may be sent again is the OTLP specification's word, sections "Failures" of OTLP/gRPC and OTLP/HTTP.

use crate::net::{Redactor, on_one_line};
use http::StatusCode;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Characters of a receiver's words in an error.
const WORDS_CHARS_MAX: usize = 200;
/// A wait that a receiver asks for is taken as this where it is longer: a slip must not silence us for a day.
pub(crate) const ASKED_WAIT_MAX: Duration = Duration::from_secs(3600);

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The configuration cannot be used.
    #[error("export.otlp.{0}")]
    Config(String),
    /// The receiver did not answer, or not in time.
    #[error("{0}; check the endpoint, http or https included, and that the receiver runs")]
    Unreachable(String),
    /// The receiver cannot take it now, and may later.
    #[error("the receiver is busy: {said}")]
    Busy {
        /// Its words.
        said: String,
        /// How long it asked to be left alone.
        after: Option<Duration>,
    },
    /// The receiver said no, and would again.
    #[error("the receiver refused: {0}")]
    Refused(String),
    /// The request is larger than the receiver accepts; parts of it may be accepted.
    #[error("the receiver accepts only smaller requests: {0}; check its limit")]
    TooLarge(String),
    /// The receiver does not read compressed requests.
    #[error("the receiver does not accept this encoding: {0}; check export.otlp.compression and protocol")]
    Encoding(String),
    /// What was queued cannot be read now.
    #[error("the spool cannot be read: {0}; check the disk")]
    Spool(String),
    /// What was queued cannot be read ever again.
    #[error("a request in the spool is damaged or gone, and is not sent: {0}")]
    Damaged(String),
    /// The receiver does not know who asks, or does not allow it.
    #[error("the receiver refused the credentials: {0}; check export.otlp.headers and tls")]
    Unauthenticated(String),
}

/// Whether and when a request may be sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Never: the same request would be refused.
    Never,
    /// When the sender's own backoff says so.
    Later,
    /// Not before this long from now.
    After(Duration),
}

impl SendError {
    /// The value of `error.type`: a closed set.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Unreachable(_) => "unreachable",
            Self::Busy { .. } => "busy",
            Self::Refused(_) | Self::Encoding(_) => "refused",
            Self::TooLarge(_) => "too_large",
            Self::Spool(_) | Self::Damaged(_) => "spool",
            Self::Unauthenticated(_) => "unauthenticated",
        }
    }

    /// Whether the same request may be taken later. What the operator can mend in place (a file that cannot be read) counts as that.
    #[must_use]
    pub const fn again(&self) -> RetryDecision {
        match self {
            Self::Config(_) | Self::Unreachable(_) | Self::Spool(_) | Self::Busy { after: None, .. } => RetryDecision::Later,
            Self::Busy { after: Some(after), .. } => RetryDecision::After(*after),
            Self::Refused(_) | Self::TooLarge(_) | Self::Encoding(_) | Self::Damaged(_) | Self::Unauthenticated(_) => RetryDecision::Never,
        }
    }

    /// Without the secrets of the request: a receiver may repeat them.
    pub(crate) fn without(mut self, secrets: &Redactor) -> Self {
        let (Self::Config(said)
        | Self::Unreachable(said)
        | Self::Busy { said, .. }
        | Self::Refused(said)
        | Self::TooLarge(said)
        | Self::Encoding(said)
        | Self::Spool(said)
        | Self::Damaged(said)
        | Self::Unauthenticated(said)) = &mut self;
        secrets.redact(said);
        self
    }

    /// What a gRPC status says.
    pub(crate) fn of_status(status: &Status) -> Self {
        let said = format!("{:?} {}", status.code(), words(status.message())).trim_end().to_owned();
        let transport = std::error::Error::source(status);
        let after = status.get_details_retry_info().map(|info| info.retry_delay.unwrap_or_default().min(ASKED_WAIT_MAX));
        match (status.code(), transport) {
            // What a receiver says has no cause: this status is tonic's own.
            (_, Some(cause)) => Self::Unreachable(last_cause(cause)),
            // OUT_OF_RANGE is what tonic's servers respond; the others come from proxies, for a status of HTTP.
            (Code::ResourceExhausted | Code::OutOfRange | Code::InvalidArgument | Code::Internal | Code::Unknown, None)
                if is_about_size(status.message()) =>
            {
                Self::TooLarge(said)
            }
            (Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange | Code::Unavailable | Code::DataLoss, None) => {
                Self::Busy { said, after }
            }
            // Recovery is possible only where the receiver says when.
            (Code::ResourceExhausted, _) if after.is_some() => Self::Busy { said, after },
            // The gRPC libraries of Go, Rust, Java and C++ all name the compression.
            (Code::Unimplemented, None) if status.message().to_ascii_lowercase().contains("compress") => Self::Encoding(said),
            (Code::Unauthenticated | Code::PermissionDenied, _) => Self::Unauthenticated(said),
            _ => Self::Refused(said),
        }
    }

    /// What an HTTP status other than success says. `after` is its `Retry-After`.
    pub(crate) fn of_http(status: StatusCode, body: &[u8], after: Option<Duration>) -> Self {
        let said = format!("{status} {}", words(&String::from_utf8_lossy(body))).trim_end().to_owned();
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Busy { said, after: after.map(|after| after.min(ASKED_WAIT_MAX)) }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthenticated(said),
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(said),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::Encoding(said),
            StatusCode::BAD_REQUEST if is_about_size(&said) => Self::TooLarge(said),
            _ => Self::Refused(said),
        }
    }
}

/// Parts of messages by which receivers reject a request for its size: gRPC's libraries (Go, Rust, Java, C++, .NET), proxies, and
/// receivers with limits of their own. Messages about rates and quotas have none of them.
const SIZE_PHRASES: [&str; 11] = [
    "larger than max",
    "length too large",
    "too large",
    "too big",
    "exceeds maximum size",
    "exceeds the maximum configured message size",
    "message size",
    "request size",
    "body size",
    "size limit",
    "status code 413",
];

/// Whether a rejection is about the size of the request, so that parts of it may be accepted.
fn is_about_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    SIZE_PHRASES.iter().any(|phrase| message.contains(phrase))
}

/// What a receiver did not take of a request that it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Points, or log records.
    pub count: u64,
    /// Why.
    pub reason: String,
}

/// The cause behind all others: it says what happened, the rest only that something did.
pub(crate) fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Somebody else's words, on one line.
pub(crate) fn words(text: &str) -> String {
    let end = text.char_indices().nth(WORDS_CHARS_MAX).map_or(text.len(), |(end, _)| end);
    on_one_line(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    const SOON: Duration = Duration::from_secs(7);

    #[track_caller]
    fn grpc(code: Code, expected: RetryDecision) {
        assert_eq!(SendError::of_status(&Status::new(code, "no")).again(), expected, "{code:?}");
    }

    #[test]
    fn grpc_codes_are_sent_again_as_the_specification_says() {
        for code in [Code::Cancelled, Code::DeadlineExceeded, Code::Aborted, Code::OutOfRange, Code::Unavailable, Code::DataLoss] {
            grpc(code, RetryDecision::Later);
        }
        for code in [Code::Unknown, Code::InvalidArgument, Code::NotFound, Code::AlreadyExists, Code::FailedPrecondition] {
            grpc(code, RetryDecision::Never);
        }
        for code in [Code::Unimplemented, Code::Internal, Code::Unauthenticated, Code::PermissionDenied, Code::ResourceExhausted] {
            grpc(code, RetryDecision::Never);
        }
    }

    #[test]
    fn what_does_not_answer_says_what_to_look_at() {
        let said = SendError::Unreachable("Connection refused".to_owned()).to_string();
        assert_eq!(said, "Connection refused; check the endpoint, http or https included, and that the receiver runs");
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept() {
        let asks =
            |code, wait| SendError::of_status(&Status::with_error_details(code, "", ErrorDetails::with_retry_info(Some(wait)))).again();
        assert_eq!(asks(Code::Unavailable, SOON), RetryDecision::After(SOON));
        assert_eq!(asks(Code::ResourceExhausted, SOON), RetryDecision::After(SOON));
        assert_eq!(asks(Code::Unavailable, Duration::from_secs(1_000_000)), RetryDecision::After(ASKED_WAIT_MAX));
        assert_eq!(asks(Code::InvalidArgument, SOON), RetryDecision::Never);
    }

    #[track_caller]
    fn http(status: u16, after: Option<Duration>, expected: RetryDecision, error_type: &str) {
        let error = SendError::of_http(StatusCode::from_u16(status).unwrap_or_default(), b"no\n", after);
        assert_eq!((error.again(), error.error_type()), (expected, error_type), "{status}");
    }

    #[test]
    fn http_codes_are_sent_again_as_the_specification_says() {
        for status in [429, 502, 503, 504] {
            http(status, None, RetryDecision::Later, "busy");
            http(status, Some(SOON), RetryDecision::After(SOON), "busy");
        }
        for status in [400, 404, 415, 500, 501, 302] {
            http(status, Some(SOON), RetryDecision::Never, "refused");
        }
        http(413, Some(SOON), RetryDecision::Never, "too_large");
        http(401, None, RetryDecision::Never, "unauthenticated");
        http(403, None, RetryDecision::Never, "unauthenticated");
    }

    #[track_caller]
    fn too_large(code: Code, message: &str, expected: bool) {
        let error = SendError::of_status(&Status::new(code, message));
        assert_eq!(error.error_type() == "too_large", expected, "{code:?} {message}");
    }

    #[test]
    fn a_request_that_is_too_large_is_recognized() {
        for message in [
            "grpc: received message larger than max (5000000 vs. 4194304)",
            "grpc: received message after decompression larger than max 4194304",
            "Received message larger than max (5000000 vs. 4194304)",
            "gRPC message exceeds maximum size 4194304: 5000000",
            "Received message exceeds the maximum configured message size.",
            "the request is too big",
            "Request Entity Too Large",
        ] {
            too_large(Code::ResourceExhausted, message, true);
        }
        too_large(Code::OutOfRange, "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes", true);
        too_large(Code::Unknown, "grpc-status header missing, mapped from HTTP status code 413", true);
        too_large(Code::InvalidArgument, "request size 5000000 exceeds 4194304", true);
        too_large(Code::Unavailable, "too large", false);
        for message in [
            "the request has been rejected because the tenant exceeded the ingestion rate limit, set to 10000 items/s",
            "ingestion rate limit exceeded (limit: 4194304 bytes/sec) while attempting to ingest 5 lines totaling 9 bytes",
            "data dropped due to high memory usage",
            "quota exceeded",
            "",
        ] {
            too_large(Code::ResourceExhausted, message, false);
        }
        let error = SendError::of_http(StatusCode::BAD_REQUEST, b"too big data size exceeding -maxInsertRequestSize", None);
        assert_eq!(error.error_type(), "too_large");
    }

    #[test]
    fn a_compression_that_is_not_supported_is_recognized() {
        for message in [
            "Content is compressed with `gzip` which isn't supported",
            "grpc: Decompressor is not installed for grpc-encoding \"gzip\"",
            "Can't find decompressor for gzip",
        ] {
            assert!(matches!(SendError::of_status(&Status::unimplemented(message)), SendError::Encoding(_)), "{message}");
        }
        assert!(matches!(SendError::of_status(&Status::unimplemented("unknown service")), SendError::Refused(_)));
    }

    #[test]
    fn a_size_that_comes_with_a_wait_is_a_size() {
        let details = ErrorDetails::with_retry_info(Some(SOON));
        let status = Status::with_error_details(Code::ResourceExhausted, "message larger than max", details);
        assert_eq!(SendError::of_status(&status).error_type(), "too_large");
    }

    #[test]
    fn words_stay_on_one_line() {
        let error = SendError::of_http(StatusCode::BAD_REQUEST, "a\nb\u{1b}c".as_bytes(), None);
        assert_eq!(error.to_string(), "the receiver refused: 400 Bad Request a b c");
    }
}
