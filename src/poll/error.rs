//! Errors of a poll: one variant for each case that an operator handles differently.

use crate::config::show_bytes;
use crate::net::{Redactor, stable_cause};
use crate::source::ReadError;
use std::fmt;
use std::time::Duration;

/// The reason why a part of a target could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The response did not arrive completely within the target's `timeout`.
    #[error("no complete response within {0:?}; raise timeout if the server is only slow")]
    Timeout(Duration),
    /// The response did not arrive completely while its callers could wait.
    #[error(
        "no complete response within {0:?}, and the caller waits no longer, regardless of timeout (scrapes: see export.prometheus.scrape_wait_max); find out why the server is slow"
    )]
    Late(Duration),
    /// The connection failed, or was lost.
    #[error("{0}; check the url, and that the server runs")]
    Connect(String),
    /// TLS failed.
    #[error(
        "TLS: {0}; check tls.ca_file (on the command line --ca-file), tls.server_name, and tls.cert_file if the server requires a client certificate"
    )]
    Tls(String),
    /// The server rejected the credential, with 401, 403 or an error in a response with status 200; or the credential cannot be sent.
    #[error("{reason}: {hint}")]
    Auth {
        /// The problem with the credential.
        reason: String,
        /// The advice for the operator.
        hint: &'static str,
    },
    /// The server responded with 429, or Postmeter's own budget for it is spent.
    #[error("the server's rate limit is reached, next request in {} s; all clients that poll it from this address share that limit", .0.as_secs_f64().ceil())]
    RateLimited(Duration),
    /// The status is neither 200 nor one of those above.
    #[error("the server responded with {status}: {hint}")]
    Status {
        /// The status.
        status: u16,
        /// The advice for the operator.
        hint: &'static str,
    },
    /// The response exceeds `body_bytes_max`.
    #[error("the response is larger than {}; raise body_bytes_max if that is expected", size(*.0))]
    TooLarge(usize),
    /// The response is not what was requested.
    #[error("{0}")]
    Malformed(String),
    /// A file on this machine cannot be read.
    #[error("{0}")]
    File(String),
    /// The server's API reports an error in a response with status 200.
    #[error("{0}")]
    Api(String),
}

/// Formats a size as the configuration has it (`256MiB`), or as `1000 bytes`.
fn size(bytes: usize) -> String {
    let shown = show_bytes(bytes);
    if shown.ends_with('B') { shown } else { format!("{shown} bytes") }
}

impl PollError {
    /// Returns true if the server has responded to this request, and would probably respond to another one.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        matches!(self, Self::Status { .. } | Self::TooLarge(_) | Self::Malformed(_) | Self::Api(_))
    }

    /// The values of `error.type`.
    pub const TYPES: [&'static str; 10] =
        ["timeout", "connect", "tls", "auth", "rate_limited", "status", "too_large", "malformed", "file", "api"];

    /// The value of `error.type`: one of [`Self::TYPES`].
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Timeout(_) | Self::Late(_) => "timeout",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Auth { .. } => "auth",
            Self::RateLimited(_) => "rate_limited",
            Self::Status { .. } => "status",
            Self::TooLarge(_) => "too_large",
            Self::Malformed(_) => "malformed",
            Self::File(_) => "file",
            Self::Api(_) => "api",
        }
    }

    /// The difference between errors of one type that an operator handles differently, such as a refused connection and an unknown name. It
    /// is the same for each occurrence of a cause.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Connect(text) | Self::Tls(text) => stable_cause(text),
            Self::Status { status, .. } => status.to_string(),
            _ => String::new(),
        }
    }

    /// Redacts the secrets of the request: a server may repeat them in its response.
    pub(super) fn redacted(mut self, secrets: &Redactor) -> Self {
        if let Self::Auth { reason: text, .. } | Self::Malformed(text) | Self::Api(text) | Self::Connect(text) | Self::Tls(text) = &mut self
        {
            secrets.redact(text);
        }
        self
    }

    /// The poll error of a response that could not be parsed.
    #[must_use]
    pub fn of_read(error: ReadError, hint: &'static str) -> Self {
        match error {
            ReadError::Html | ReadError::Xml | ReadError::Empty | ReadError::Malformed(_) | ReadError::OtherExporter(_) => {
                Self::Malformed(error.to_string())
            }
            ReadError::Refused(_) => Self::Api(error.to_string()),
            ReadError::AccessDenied(reason) => Self::rejected_credential(reason, hint),
        }
    }

    /// The error of a credential that the server rejected. `response` is the status, or the message of the response.
    pub(super) fn rejected_credential(response: impl fmt::Display, hint: &'static str) -> Self {
        Self::Auth { reason: format!("the server rejected the credential ({response})"), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_listed_once() {
        let text = String::new;
        let errors = [
            PollError::Timeout(Duration::ZERO),
            PollError::Connect(text()),
            PollError::Tls(text()),
            PollError::Auth { reason: text(), hint: "" },
            PollError::RateLimited(Duration::ZERO),
            PollError::Status { status: 503, hint: "" },
            PollError::TooLarge(0),
            PollError::Malformed(text()),
            PollError::File(text()),
            PollError::Api(text()),
        ];
        assert_eq!(errors.map(|error| error.error_type()), PollError::TYPES);
        assert_eq!(PollError::Late(Duration::ZERO).error_type(), PollError::TYPES[0]);
    }
}
