//! The responses to requests whose records are not accepted.

use super::RETRY_AFTER;
use axum::http::header::{ACCEPT_ENCODING, RETRY_AFTER as RETRY_AFTER_HEADER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// A response without records.
pub(super) enum Refusal {
    /// 401.
    Unauthenticated,
    /// 404.
    UnknownTarget,
    /// 415.
    UnknownEncoding,
    /// 400: the body cannot be decompressed.
    Damaged,
    /// 503, with the reason.
    Later(&'static str),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthenticated => {
                let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"postmeter\", Basic realm=\"postmeter\""))];
                (StatusCode::UNAUTHORIZED, challenge, "the credential is missing or wrong\n").into_response()
            }
            Self::UnknownTarget => (StatusCode::NOT_FOUND, "there is no target of this name that receives deliveries\n").into_response(),
            Self::UnknownEncoding => {
                let accepted = [(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))];
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, accepted, "the only Content-Encoding that is supported is gzip\n").into_response()
            }
            Self::Damaged => (StatusCode::BAD_REQUEST, "the body cannot be decompressed\n").into_response(),
            Self::Later(reason) => {
                let seconds = [(RETRY_AFTER_HEADER, HeaderValue::from(RETRY_AFTER.as_secs()))];
                (StatusCode::SERVICE_UNAVAILABLE, seconds, format!("{reason}; try again later\n")).into_response()
            }
        }
    }
}
