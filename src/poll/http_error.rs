//! From the HTTP client's errors to ours, in a few words and without a URL.

use super::PollError;
use crate::source::quote;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Whether the server closed a connection before it answered: no fault, and safe to repeat, where the connection had been kept.
pub(super) fn was_closed(error: &reqwest::Error) -> bool {
    let by_hyper =
        |cause: &(dyn Error + 'static)| cause.downcast_ref::<hyper::Error>().is_some_and(|e| e.is_incomplete_message() || e.is_canceled());
    // What was sent into a closed connection comes back as a reset.
    let by_reset = |cause: &(dyn Error + 'static)| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe))
    };
    !error.is_connect() && !is_tls(error) && causes(error).any(|cause| by_hyper(cause) || by_reset(cause))
}

/// Why there was no answer.
pub(super) fn before_answer(error: &reqwest::Error, connect_timeout: Duration, scheme: &str) -> PollError {
    if is_tls(error) {
        // The other side speaks, and not TLS.
        if causes(error).any(is_no_tls) {
            return PollError::Tls(format!("{}; if the server does not speak TLS on this port, write http in the url", chain(error)));
        }
        return PollError::Tls(chain(error));
    }
    if error.is_timeout() {
        return PollError::Connect(format!("no connection within {connect_timeout:?}"));
    }
    if causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)) {
        let hint = if scheme == "http" { "; if the server speaks TLS on this port, write https in the url" } else { "" };
        return PollError::Malformed(format!("the answer is not valid HTTP: {}{hint}", chain(error)));
    }
    PollError::Connect(chain(error))
}

/// Why the answer ended too early.
pub(super) fn in_answer(error: &reqwest::Error) -> PollError {
    if error.is_decode() && !causes(error).any(|cause| cause.is::<hyper::Error>()) {
        return PollError::Malformed(format!("the answer's compression is broken: {}", chain(error)));
    }
    PollError::Connect(format!("the connection broke inside the answer: {}", chain(error)))
}

/// The last cause says what happened; what stands before it says only that something did. Never a URL, and cut where it is long:
/// one of TLS names every name of a certificate, which may be hundreds.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(|cause| quote(&cause.to_string())).unwrap_or_default()
}

fn is_no_tls(cause: &(dyn Error + 'static)) -> bool {
    let error = cause.downcast_ref::<rustls::Error>();
    matches!(error, Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}

fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        // What an I/O error wraps is not its source: that is the source of what it wraps. TLS errors come wrapped twice.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map_or_else(|| cause.source(), |wrapped| Some(wrapped));
        Some(cause)
    })
}
