//! HMAC-SHA-256 of a time and a token, which are in the body with the signature. It covers no other byte of the body, so a token is
//! accepted with one body only.

use super::SignatureError;
use ring::hmac;
use serde::Deserialize;
use std::time::Duration;

/// The largest length of a token and of a time.
const TEXT_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
struct Body {
    signature: Option<Signature>,
    /// Made with the key of the parent account.
    #[serde(rename = "parent-signature")]
    parent_signature: Option<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    timestamp: String,
    token: String,
    signature: String,
}

/// Verifies one of the signatures of the body. Returns the signed time.
pub(super) fn verify(key: &hmac::Key, body: &[u8]) -> Result<Duration, SignatureError> {
    let body: Body = serde_json::from_slice(body).map_err(|_| SignatureError::Malformed)?;
    let mut result = Err(SignatureError::Missing);
    for signature in [body.signature, body.parent_signature].into_iter().flatten() {
        result = signature.verify(key);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The tokens of all signatures of the body. All count, because one of them may have been verified.
pub(super) fn tokens(body: &[u8]) -> Vec<String> {
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return Vec::new() };
    [body.signature, body.parent_signature].into_iter().flatten().map(|signature| signature.token).collect()
}

impl Signature {
    fn verify(&self, key: &hmac::Key) -> Result<Duration, SignatureError> {
        if self.timestamp.len() > TEXT_BYTES_MAX || self.token.len() > TEXT_BYTES_MAX {
            return Err(SignatureError::Malformed);
        }
        // Digits only, so that no digit of the time can be moved into the token.
        let is_number = !self.timestamp.is_empty() && self.timestamp.bytes().all(|b| b.is_ascii_digit());
        let seconds = self.timestamp.parse().ok().filter(|_| is_number).ok_or(SignatureError::Malformed)?;
        let signature = hex(&self.signature).ok_or(SignatureError::Malformed)?;
        let signed = format!("{}{}", self.timestamp, self.token);
        hmac::verify(key, signed.as_bytes(), &signature).map_err(|_| SignatureError::Mismatch)?;
        Ok(Duration::from_secs(seconds))
    }
}

/// Decodes hexadecimal digits.
fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * ring::digest::SHA256_OUTPUT_LEN || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
