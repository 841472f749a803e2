//! Formats that several mail systems speak: bytes in, [`Families`](crate::model::Families) out. Pure.

mod buckets;
pub mod number;
pub mod prometheus;
mod quantiles;
mod reply;

pub use buckets::Buckets;
pub use reply::reply;

use crate::model::LimitExceeded;

/// Why an answer gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A page for people.
    #[error("the answer is an HTML page, not metrics: a login page or a proxy's error; check the url")]
    Html,
    /// Nothing in it.
    #[error("the answer has no metrics in it")]
    Empty,
    /// Not of the format.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
    /// Metrics, but not one that the mail system is known for; the names of the first.
    #[error("this looks like another exporter: {0}; check url and system")]
    Foreign(String),
    /// The server's own refusal, in an answer that says 200.
    #[error("the server refused: {0}")]
    Api(String),
    /// The server's own refusal for want of a right, in an answer that says 200.
    #[error("the server denied access: {0}")]
    Denied(String),
}

impl From<LimitExceeded> for ReadError {
    fn from(too_much: LimitExceeded) -> Self {
        Self::Malformed(too_much.to_string())
    }
}

/// Bytes of a server's own words in an error.
const QUOTE_BYTES_MAX: usize = 200;

/// A server's own words, fit for one line of a log.
#[must_use]
pub fn quote(text: &str) -> String {
    let quoted = crate::model::cut(text, QUOTE_BYTES_MAX);
    let mut line: String = crate::net::on_one_line(quoted);
    if quoted.len() < text.len() {
        line.push('…');
    }
    line
}
