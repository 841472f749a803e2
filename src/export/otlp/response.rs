//! Receivers' responses: accepted, to be sent again, or rejected permanently.
//!
//! The OTLP specification defines which status codes allow a retry (sections "Failures" of OTLP/gRPC and OTLP/HTTP).

use crate::export::queue::request_exporter::{ExportFailure, RetryDecision};
use crate::net::{AUTHORITY_AS_SERVER, RETRY_AFTER_MAX, Redactor, is_authority_as_server, root_cause, shorten, stable_cause};
use http::StatusCode;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The longest part of a receiver's message that is quoted in an error.
const MESSAGE_CHARS_MAX: usize = 200;

/// The reason why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The configuration cannot be used.
    #[error("export.otlp.{0}")]
    Config(String),
    /// The receiver did not respond, or not in time.
    #[error("{0}; {advice}", advice = unreachable_advice(.0))]
    Unreachable(String),
    /// The receiver cannot accept the request now, but may accept it later.
    #[error("the receiver is busy: {message}")]
    Busy {
        /// The status and the receiver's message.
        message: String,
        /// The time to wait before the next attempt, if the receiver requests one.
        retry_after: Option<Duration>,
    },
    /// The receiver rejected the request, and would reject it again.
    #[error("the receiver rejected the request: {0}")]
    Rejected(String),
    /// The receiver rejected the request, and would reject it again: it cannot decode it, or does not support something in it.
    #[error("the receiver rejected the request: {0}")]
    BadRequest(String),
    /// The request is larger than the receiver accepts. Parts of the request may be accepted.
    #[error("the receiver accepts only smaller requests: {0}; check its limit")]
    TooLarge(String),
    /// The receiver does not support compressed requests.
    #[error("the receiver does not support this encoding: {0}; check export.otlp.compression and export.otlp.protocol")]
    UnsupportedEncoding(String),
    /// The receiver rejected the credentials.
    #[error("the receiver rejected the credentials: {0}; check export.otlp.headers and export.otlp.tls")]
    Unauthenticated(String),
}

impl SendError {
    /// The value of `error.type`, one of a closed set.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Unreachable(_) => "unreachable",
            Self::Busy { .. } => "busy",
            Self::Rejected(_) | Self::BadRequest(_) | Self::UnsupportedEncoding(_) => "refused",
            Self::TooLarge(_) => "too_large",
            Self::Unauthenticated(_) => "unauthenticated",
        }
    }

    /// The difference between errors of one type that an operator handles differently, such as a refused connection and an expired
    /// certificate. It is the same for each occurrence of a cause.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Config(text) | Self::Unreachable(text) => stable_cause(text),
            // The text begins with the status. The rest, the receiver's message, may differ for each request.
            Self::Busy { message, .. }
            | Self::Rejected(message)
            | Self::BadRequest(message)
            | Self::TooLarge(message)
            | Self::UnsupportedEncoding(message)
            | Self::Unauthenticated(message) => message.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    /// The time at which the same request may be sent again. A wrong configuration is retried, because the operator can repair the files
    /// that it refers to without a restart.
    #[must_use]
    pub const fn retry_decision(&self) -> RetryDecision {
        match self {
            Self::Config(_) | Self::Unreachable(_) | Self::Busy { retry_after: None, .. } => RetryDecision::Later,
            Self::Busy { retry_after: Some(wait), .. } => RetryDecision::After(*wait),
            Self::Rejected(_) | Self::BadRequest(_) | Self::TooLarge(_) | Self::UnsupportedEncoding(_) | Self::Unauthenticated(_) => {
                RetryDecision::Never
            }
        }
    }

    /// Removes the secrets of the request from the message, because a receiver may repeat them.
    pub(crate) fn redacted(mut self, secrets: &Redactor) -> Self {
        let (Self::Config(message)
        | Self::Unreachable(message)
        | Self::Busy { message, .. }
        | Self::Rejected(message)
        | Self::BadRequest(message)
        | Self::TooLarge(message)
        | Self::UnsupportedEncoding(message)
        | Self::Unauthenticated(message)) = &mut self;
        secrets.redact(message);
        self
    }

    /// Converts the status of a gRPC response.
    pub(crate) fn from_grpc(status: &Status) -> Self {
        let message = format!("{:?} {}", status.code(), shortened(status.message())).trim_end().to_owned();
        let transport_error = std::error::Error::source(status);
        let retry_after = status.get_details_retry_info().map(|info| info.retry_delay.unwrap_or_default().min(RETRY_AFTER_MAX));
        match (status.code(), transport_error) {
            // A status from the receiver has no source: tonic made this one.
            (_, Some(cause)) => Self::Unreachable(root_cause(cause)),
            // tonic's servers respond with OUT_OF_RANGE; proxies respond with the others instead of an HTTP status.
            (Code::ResourceExhausted | Code::OutOfRange | Code::InvalidArgument | Code::Internal | Code::Unknown, None)
                if is_about_size(status.message()) =>
            {
                Self::TooLarge(message)
            }
            (Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange | Code::Unavailable | Code::DataLoss, None) => {
                Self::Busy { message, retry_after }
            }
            // RESOURCE_EXHAUSTED allows a retry only if the receiver sends RetryInfo.
            (Code::ResourceExhausted, _) if retry_after.is_some() => Self::Busy { message, retry_after },
            // The gRPC libraries of Go, Rust, Java and C++ all mention the compression.
            (Code::Unimplemented, None) if status.message().to_ascii_lowercase().contains("compress") => Self::UnsupportedEncoding(message),
            (Code::Unimplemented, None) => Self::BadRequest(message),
            (Code::Unauthenticated | Code::PermissionDenied, _) => Self::Unauthenticated(message),
            _ => Self::Rejected(message),
        }
    }

    /// Converts the status of an HTTP response that is not a success. `retry_after` is the header `Retry-After`.
    pub(crate) fn from_http(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let mut message = format!("{status} {}", shortened(&String::from_utf8_lossy(body))).trim_end().to_owned();
        if status.is_redirection() {
            message.push_str("; redirects are not followed, set export.otlp.endpoint to the final URL");
        }
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Busy { message, retry_after: retry_after.map(|wait| wait.min(RETRY_AFTER_MAX)) }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthenticated(message),
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(message),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedEncoding(message),
            StatusCode::BAD_REQUEST if is_about_size(&message) => Self::TooLarge(message),
            StatusCode::BAD_REQUEST => Self::BadRequest(message),
            _ => Self::Rejected(message),
        }
    }
}

/// The advice about a receiver without a response, by the text of the cause.
fn unreachable_advice(cause: &str) -> &'static str {
    if is_authority_as_server(cause) {
        AUTHORITY_AS_SERVER
    } else if cause.contains("invalid peer certificate") {
        "check export.otlp.tls, and the names and the validity of the receiver's certificate"
    } else if cause.contains("received fatal alert") {
        "check export.otlp.tls, and the log of the receiver"
    } else {
        "check the endpoint, including http or https, and that the receiver is running"
    }
}

impl From<SendError> for ExportFailure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TooLarge(_) => Self::TooLarge(error.to_string()),
            _ => Self::NotAccepted {
                error_type: error.error_type(),
                cause: error.cause(),
                message: error.to_string(),
                retry: error.retry_decision(),
            },
        }
    }
}

/// Phrases in messages of receivers that reject a request for its size: gRPC libraries (Go, Rust, Java, C++, .NET), proxies, and receivers
/// with limits of their own. Messages about rates and quotas contain none of them.
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

/// Returns true if a rejection is about the size of the request, so that parts of the request may be accepted.
fn is_about_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    SIZE_PHRASES.iter().any(|phrase| message.contains(phrase))
}

/// Shortens a receiver's message and puts it on one line.
pub(crate) fn shortened(message: &str) -> String {
    shorten(message, MESSAGE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    const SOON: Duration = Duration::from_secs(7);

    #[track_caller]
    fn grpc(code: Code, expected: RetryDecision) {
        assert_eq!(SendError::from_grpc(&Status::new(code, "no")).retry_decision(), expected, "{code:?}");
    }

    #[test]
    fn grpc_codes_are_retried_as_specified() {
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
    fn an_unreachable_receiver_is_reported_with_advice() {
        let text = SendError::Unreachable("Connection refused".to_owned()).to_string();
        assert_eq!(text, "Connection refused; check the endpoint, including http or https, and that the receiver is running");
    }

    #[test]
    fn a_requested_wait_is_respected_up_to_a_limit() {
        let decision = |code, wait| {
            SendError::from_grpc(&Status::with_error_details(code, "", ErrorDetails::with_retry_info(Some(wait)))).retry_decision()
        };
        assert_eq!(decision(Code::Unavailable, SOON), RetryDecision::After(SOON));
        assert_eq!(decision(Code::ResourceExhausted, SOON), RetryDecision::After(SOON));
        assert_eq!(decision(Code::Unavailable, Duration::from_secs(1_000_000)), RetryDecision::After(RETRY_AFTER_MAX));
        assert_eq!(decision(Code::InvalidArgument, SOON), RetryDecision::Never);
    }

    #[test]
    fn a_cause_is_the_same_for_each_occurrence() {
        let expired = |seconds| SendError::Unreachable(format!("invalid peer certificate: certificate expired: {seconds} seconds ago"));
        assert_eq!(expired(17).cause(), expired(3018).cause());
        assert_ne!(expired(17).cause(), SendError::Unreachable("Connection refused (os error 111)".to_owned()).cause());
        let busy = |status, message: &str| SendError::from_http(status, message.as_bytes(), None).cause();
        assert_eq!(busy(StatusCode::SERVICE_UNAVAILABLE, "request a81"), busy(StatusCode::SERVICE_UNAVAILABLE, "request b94"));
        assert_ne!(busy(StatusCode::SERVICE_UNAVAILABLE, ""), busy(StatusCode::TOO_MANY_REQUESTS, ""));
        let rejected = |code| SendError::from_grpc(&Status::new(code, "no")).cause();
        assert_ne!(rejected(Code::Internal), rejected(Code::NotFound));
    }

    #[track_caller]
    fn http(status: u16, retry_after: Option<Duration>, expected: RetryDecision, error_type: &str) {
        let error = SendError::from_http(StatusCode::from_u16(status).unwrap_or_default(), b"no\n", retry_after);
        assert_eq!((error.retry_decision(), error.error_type()), (expected, error_type), "{status}");
    }

    #[test]
    fn http_codes_are_retried_as_specified() {
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
        let error = SendError::from_grpc(&Status::new(code, message));
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
        let error = SendError::from_http(StatusCode::BAD_REQUEST, b"too big data size exceeding -maxInsertRequestSize", None);
        assert_eq!(error.error_type(), "too_large");
    }

    #[test]
    fn unsupported_compression_is_recognized() {
        for message in [
            "Content is compressed with `gzip` which isn't supported",
            "grpc: Decompressor is not installed for grpc-encoding \"gzip\"",
            "Can't find decompressor for gzip",
        ] {
            assert!(matches!(SendError::from_grpc(&Status::unimplemented(message)), SendError::UnsupportedEncoding(_)), "{message}");
        }
        assert!(matches!(SendError::from_grpc(&Status::unimplemented("unknown service")), SendError::BadRequest(_)));
        assert!(matches!(SendError::from_http(StatusCode::BAD_REQUEST, b"invalid", None), SendError::BadRequest(_)));
        assert!(matches!(SendError::from_http(StatusCode::UNSUPPORTED_MEDIA_TYPE, b"", None), SendError::UnsupportedEncoding(_)));
    }

    #[test]
    fn a_rejection_for_size_is_not_retried_even_with_a_wait() {
        let details = ErrorDetails::with_retry_info(Some(SOON));
        let status = Status::with_error_details(Code::ResourceExhausted, "message larger than max", details);
        assert_eq!(SendError::from_grpc(&status).error_type(), "too_large");
    }

    #[test]
    fn messages_are_put_on_one_line() {
        let error = SendError::from_http(StatusCode::BAD_REQUEST, "a\nb\u{1b}c".as_bytes(), None);
        assert_eq!(error.to_string(), "the receiver rejected the request: 400 Bad Request a b c");
    }
}
