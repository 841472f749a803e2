//! The compression that the receiver supports: the configured one, until the receiver rejects it.

use super::response::SendError;
use crate::config::Compression;
use parking_lot::Mutex;

/// The compression of requests to one receiver.
#[derive(Debug)]
pub(crate) struct SupportedCompression(Mutex<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    compression: Compression,
    /// The receiver has accepted a request with this compression.
    is_confirmed: bool,
}

impl SupportedCompression {
    pub(crate) const fn new(configured: Compression) -> Self {
        Self(Mutex::new(State { compression: configured, is_confirmed: false }))
    }

    /// The compression of the next request.
    pub(crate) fn current(&self) -> Compression {
        self.0.lock().compression
    }

    /// Records that the receiver accepted a request with this compression. Returns the compression that it replaces, if it is another one.
    /// A replaced compression is not used again: some instances of a receiver may support it and others not.
    pub(crate) fn accepted(&self, compression: Compression) -> Option<Compression> {
        let mut state = self.0.lock();
        if compression > state.compression {
            return None;
        }
        let replaced = (state.compression != compression).then_some(state.compression);
        *state = State { compression, is_confirmed: true };
        replaced
    }

    /// Returns the compression with which a rejected request is sent once more. `None` if another compression would not help.
    ///
    /// A receiver that does not know zstd may report it, or may try to decode the compressed bytes and respond with 400. Once it has
    /// accepted zstd, such a response is about the request.
    pub(crate) fn after_rejection(&self, rejected: Compression, error: &SendError) -> Option<Compression> {
        let is_confirmed = self.0.lock().is_confirmed;
        match (rejected, error) {
            (Compression::Zstd, SendError::UnsupportedEncoding(_)) => Some(Compression::Gzip),
            (Compression::Zstd, SendError::BadRequest(_)) if !is_confirmed => Some(Compression::Gzip),
            (Compression::Gzip, SendError::UnsupportedEncoding(_)) => Some(Compression::None),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Compression::{Gzip, None as Uncompressed, Zstd};

    fn unsupported() -> SendError {
        SendError::UnsupportedEncoding(String::new())
    }

    fn bad_request() -> SendError {
        SendError::BadRequest(String::new())
    }

    #[test]
    fn a_receiver_without_zstd_gets_gzip_from_then_on() {
        for error in [unsupported(), bad_request()] {
            let supported = SupportedCompression::new(Zstd);
            assert_eq!(supported.after_rejection(Zstd, &error), Some(Gzip));
            assert_eq!(supported.current(), Zstd, "the receiver has not accepted gzip yet");
            assert_eq!(supported.accepted(Gzip), Some(Zstd));
            assert_eq!((supported.current(), supported.accepted(Gzip)), (Gzip, None), "reported once");
            // A request that was sent before.
            assert_eq!((supported.accepted(Zstd), supported.current()), (None, Gzip));
        }
    }

    #[test]
    fn a_compression_that_was_accepted_before_survives_a_bad_request() {
        let supported = SupportedCompression::new(Zstd);
        assert_eq!(supported.accepted(Zstd), None);
        assert_eq!(supported.after_rejection(Zstd, &bad_request()), None);
        assert_eq!(supported.after_rejection(Zstd, &unsupported()), Some(Gzip), "the receiver was replaced");
    }

    #[test]
    fn requests_are_uncompressed_only_if_the_receiver_reports_it() {
        let supported = SupportedCompression::new(Gzip);
        assert_eq!(supported.after_rejection(Gzip, &bad_request()), None);
        assert_eq!(supported.after_rejection(Gzip, &unsupported()), Some(Uncompressed));
        assert_eq!(supported.accepted(Uncompressed), Some(Gzip));
        assert_eq!(supported.after_rejection(Uncompressed, &unsupported()), None);
    }

    #[test]
    fn other_errors_keep_the_compression() {
        let supported = SupportedCompression::new(Zstd);
        for error in [SendError::Rejected(String::new()), SendError::TooLarge(String::new()), SendError::Unreachable(String::new())] {
            assert_eq!(supported.after_rejection(Zstd, &error), None, "{error}");
        }
    }
}
