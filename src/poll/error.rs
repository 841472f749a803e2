//! Why a poll failed: one variant for each thing that an operator would do differently.

use crate::config::show_bytes;
use crate::net::Redactor;
use crate::source::ReadError;
use std::fmt;
use std::time::Duration;

/// Why a part of a target could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// No answer, or not all of it, in time.
    #[error("no complete answer within {0:?}; raise timeout if the server is only slow")]
    Timeout(Duration),
    /// Not all of it before those who collect had to go on without.
    #[error(
        "no complete answer within {0:?}, and who collects waits no longer (a scrape as long as export.prometheus.scrape_wait_max says), whatever timeout says; find out why the server is slow"
    )]
    Late(Duration),
    /// No connection, or it was lost.
    #[error("{0}; check the url, and that the server runs")]
    Connect(String),
    /// A connection, but no trust.
    #[error("TLS: {0}; check tls.ca_file, tls.server_name, and tls.cert_file if the server wants one")]
    Tls(String),
    /// 401 or 403, a refusal in an answer that says 200, or a credential that cannot be sent.
    #[error("{why}: {hint}")]
    Auth {
        /// What is wrong with the credential.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// 429, or our own budget is spent.
    #[error("the server's rate limit is reached, to be asked again in {} s; everything that polls it from this address shares that limit", .0.as_secs_f64().ceil())]
    RateLimited(Duration),
    /// Any other status than 200.
    #[error("the server answered {status}: {hint}")]
    Status {
        /// The status.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// Over a limit of ours.
    #[error("the answer is larger than {}; raise body_bytes_max if that is right", limit(*.0))]
    TooLarge(usize),
    /// Not what was asked for.
    #[error("{0}")]
    Malformed(String),
    /// The server's own refusal in an answer that says 200.
    #[error("{0}")]
    Api(String),
}

/// `256MiB`, as the configuration has it, or `1000 bytes`.
fn limit(bytes: usize) -> String {
    let shown = show_bytes(bytes);
    if shown.ends_with('B') { shown } else { format!("{shown} bytes") }
}

impl PollError {
    /// The value of `error.type`: a closed set.
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
            Self::Api(_) => "api",
        }
    }

    /// The same without the secrets of the request: a server may repeat them in its response.
    pub(super) fn without(mut self, secrets: &Redactor) -> Self {
        if let Self::Auth { why: said, .. } | Self::Malformed(said) | Self::Api(said) | Self::Connect(said) | Self::Tls(said) = &mut self {
            secrets.redact(said);
        }
        self
    }

    /// What a reader could not read.
    #[must_use]
    pub fn of_read(error: ReadError, hint: &'static str) -> Self {
        match error {
            ReadError::Html | ReadError::Empty | ReadError::Malformed(_) | ReadError::OtherExporter(_) => {
                Self::Malformed(error.to_string())
            }
            ReadError::Refused(_) => Self::Api(error.to_string()),
            ReadError::AccessDenied(said) => Self::refused(said, hint),
        }
    }

    /// The server knows the credential and does not want it: `said` is the status, or its words.
    pub(super) fn refused(said: impl fmt::Display, hint: &'static str) -> Self {
        Self::Auth { why: format!("the server refused the credential ({said})"), hint }
    }
}
