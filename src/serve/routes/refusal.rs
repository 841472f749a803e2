//! Why a request is not answered as it was asked, and what the client is told.

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It asked too often, and may again after this time.
    RateLimited(Duration),
    /// Too many requests are being answered, or passwords being checked.
    Busy,
    /// The path is too long.
    PathTooLong,
    /// It does not say who it is, or says something wrong. Which of both ways there are.
    Unauthenticated { bearer: bool, basic: bool, presented: bool },
    /// Its password is longer than bcrypt reads. Whether tokens are accepted too.
    PasswordTooLong { bearer: bool },
    /// It has a token that was good once.
    Expired,
    /// Only addresses are trusted, and this one is not.
    Forbidden,
}

/// When there may be room again.
const BUSY_RETRY: Duration = Duration::from_secs(1);

impl Refusal {
    /// For the metric.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::RateLimited(_) => "rate_limited",
            Self::Busy => "busy",
            Self::PathTooLong => "path_too_long",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::PasswordTooLong { .. } => "password_too_long",
            Self::Expired => "token_expired",
            Self::Forbidden => "forbidden",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::PathTooLong => StatusCode::URI_TOO_LONG,
            Self::Unauthenticated { .. } | Self::PasswordTooLong { .. } | Self::Expired => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::RateLimited(_) => "too many requests; Retry-After says when there may be another\n",
            Self::Busy => "too many requests are being answered; try again\n",
            Self::PathTooLong => "the path is too long\n",
            Self::Unauthenticated { presented: false, .. } => "who are you? This needs a token or a password\n",
            Self::Unauthenticated { .. } => "this token or password is not good\n",
            Self::PasswordTooLong { .. } => "this password has more than 72 bytes, and bcrypt ignores the rest\n",
            Self::Expired => "this token has expired\n",
            Self::Forbidden => "this address may not read this\n",
        }
    }
}

/// Names the ways to authenticate.
fn challenge(headers: &mut HeaderMap, bearer: bool, basic: bool, presented: bool) {
    if bearer {
        let challenge = if presented { "Bearer realm=\"postmeter\", error=\"invalid_token\"" } else { "Bearer realm=\"postmeter\"" };
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if basic {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"postmeter\", charset=\"UTF-8\""));
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.message()).into_response();
        let headers = response.headers_mut();
        let seconds = |time: Duration| HeaderValue::from(time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        match self {
            Self::RateLimited(wait) => drop(headers.insert(RETRY_AFTER, seconds(wait))),
            Self::Busy => drop(headers.insert(RETRY_AFTER, seconds(BUSY_RETRY))),
            Self::Unauthenticated { bearer, basic, presented } => challenge(headers, bearer, basic, presented),
            Self::PasswordTooLong { bearer } => challenge(headers, bearer, true, true),
            Self::Expired => {
                let challenge = "Bearer realm=\"postmeter\", error=\"invalid_token\", error_description=\"expired\"";
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            Self::PathTooLong | Self::Forbidden => {}
        }
        response
    }
}
