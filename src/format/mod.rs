//! Formats that several mail systems use. Pure functions from bytes to [`Families`](crate::model::Families).

mod buckets;
pub mod json_paths;
pub mod number;
pub mod prometheus;
mod quantiles;
mod smtp_reply;
mod unique_members;

pub use buckets::Buckets;
pub use smtp_reply::parse_smtp_reply;
pub use unique_members::{RepeatedMembers, UniqueMembers};

use crate::model::LimitExceeded;

/// The reason why a response contains no metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The response is an HTML page.
    #[error("the response is an HTML page instead of metrics: a login page or a proxy's error; check the url")]
    Html,
    /// The response is an XML document, but not a web page.
    #[error(
        "the response is an XML document instead of metrics; check the url, and whether the server offers JSON or the Prometheus format"
    )]
    Xml,
    /// The response is empty.
    #[error("the response has no metrics in it")]
    Empty,
    /// The response does not follow the format.
    #[error("the response cannot be read: {0}")]
    Malformed(String),
    /// No metric identifies the mail system. Contains the names of the first families.
    #[error("this looks like another exporter: {0}; check url and system")]
    OtherExporter(String),
    /// The server rejected the request, in a response with status 200.
    #[error("the server rejected the request: {0}")]
    Refused(String),
    /// The server rejected the request for lack of permissions, in a response with status 200.
    #[error("the server denied access: {0}")]
    AccessDenied(String),
}

impl From<LimitExceeded> for ReadError {
    fn from(exceeded: LimitExceeded) -> Self {
        Self::Malformed(exceeded.to_string())
    }
}

/// The largest length of a quotation, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// Returns the beginning of a text from a server, as it can be quoted in an error message or in one line of a log.
#[must_use]
pub fn quote(text: &str) -> String {
    crate::net::shorten(text, QUOTE_CHARS_MAX)
}
