//! Rejected requests: the reasons and the responses.

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// The reason why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client exceeds its rate limit. It may retry after this time.
    RateLimited(Duration),
    /// Too many requests are in progress, or too many passwords are being checked.
    Busy,
    /// The path with its query is too long.
    PathTooLong,
    /// The header `Host` is missing, repeated or not valid.
    InvalidHost,
    /// The request has no credential, or (`presented`) an invalid one. `bearer` and `basic` are the accepted schemes.
    Unauthenticated { bearer: bool, basic: bool, presented: bool },
    /// The password is longer than bcrypt supports. `bearer` is true if tokens are accepted too.
    PasswordTooLong { bearer: bool },
    /// The token has expired.
    Expired,
    /// Access is granted by address only, and the client's address is not trusted.
    Forbidden,
}

/// The `Retry-After` of a busy endpoint.
const BUSY_RETRY: Duration = Duration::from_secs(1);

impl Refusal {
    /// Returns the value of the label `postmeter_refusal_reason`.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::RateLimited(_) => "rate_limited",
            Self::Busy => "busy",
            Self::PathTooLong => "path_too_long",
            Self::InvalidHost => "invalid_host",
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
            Self::InvalidHost => StatusCode::BAD_REQUEST,
            Self::Unauthenticated { .. } | Self::PasswordTooLong { .. } | Self::Expired => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::RateLimited(_) => "too many requests; retry after the time in Retry-After\n",
            Self::Busy => "too many requests in progress; try again\n",
            Self::PathTooLong => "the path is too long\n",
            Self::InvalidHost => "the header Host is missing, repeated or not valid; HTTP/1.1 requires it once\n",
            Self::Unauthenticated { bearer, basic, presented: false } => match (bearer, basic) {
                (true, false) => "authentication required: a token\n",
                (false, true) => "authentication required: a user name and a password\n",
                _ => "authentication required: a token, or a user name and a password\n",
            },
            Self::Unauthenticated { bearer, basic, presented: true } => match (bearer, basic) {
                (true, false) => "invalid token\n",
                (false, true) => "invalid user name or password\n",
                _ => "invalid token or password\n",
            },
            Self::PasswordTooLong { .. } => "the password has more than 72 bytes, the maximum of bcrypt\n",
            Self::Expired => "the token has expired\n",
            Self::Forbidden => "access from this address is not allowed\n",
        }
    }
}

/// Adds a `WWW-Authenticate` header for each accepted scheme.
fn add_challenges(headers: &mut HeaderMap, bearer: bool, basic: bool, presented: bool) {
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
            Self::Unauthenticated { bearer, basic, presented } => add_challenges(headers, bearer, basic, presented),
            Self::PasswordTooLong { bearer } => add_challenges(headers, bearer, true, true),
            Self::Expired => {
                let challenge = "Bearer realm=\"postmeter\", error=\"invalid_token\", error_description=\"expired\"";
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            Self::PathTooLong | Self::InvalidHost | Self::Forbidden => {}
        }
        response
    }
}
