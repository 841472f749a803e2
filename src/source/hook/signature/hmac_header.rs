//! HMAC-SHA-256 of the body, in a header.

use super::SignatureError;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;

/// The encoding of the signature.
#[derive(Clone, Copy, Debug)]
pub(super) enum Encoding {
    /// Base64 with padding.
    Standard,
    /// Base64 for URLs, without padding.
    UrlSafe,
}

pub(super) fn verify(key: &hmac::Key, signature: &[u8], encoding: Encoding, body: &[u8]) -> Result<(), SignatureError> {
    let decoded = match encoding {
        Encoding::Standard => STANDARD.decode(signature),
        Encoding::UrlSafe => URL_SAFE_NO_PAD.decode(signature),
    };
    let decoded = decoded.map_err(|_| SignatureError::Malformed)?;
    hmac::verify(key, body, &decoded).map_err(|_| SignatureError::Mismatch)
}
