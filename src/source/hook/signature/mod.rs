//! Signatures of the requests that mail systems send.

use http::HeaderMap;
use std::time::SystemTime;

/// A way in which a mail system signs its requests.
#[derive(Debug)]
pub struct SignatureScheme {
    /// The name in a definition.
    pub name: &'static str,
    /// `true` if the signature does not cover the body, or if others sign with the same key, so that another credential is required beside it.
    pub needs_secret: bool,
}

/// A key that verifies signatures. Its debug form does not show the key.
#[derive(Clone)]
pub struct VerificationKey(());

/// The reason why a request is not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The request has no signature, or a part of it is missing.
    #[error("the request has no signature")]
    Missing,
    /// The signature is not written as the system writes it.
    #[error("the signature is malformed")]
    Malformed,
    /// The signature does not belong to this body and key.
    #[error("the signature does not match")]
    Mismatch,
    /// The time that the system signed is too far in the past or in the future.
    #[error("the signed time is out of bounds")]
    OutOfTime,
}

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerificationKey")
    }
}

impl VerificationKey {
    /// Parses the key as the system shows it to its operator.
    ///
    /// # Errors
    /// Describes what is wrong, without the key.
    pub fn parse(_scheme: &SignatureScheme, _text: &str) -> Result<Self, String> {
        Ok(Self(()))
    }
}

impl SignatureScheme {
    /// Verifies that the sender of a request has the key, in constant time, and that the time that it signed, if it signs one, is near.
    ///
    /// # Errors
    /// The request is not authentic, or is too old.
    pub fn verify(&self, _key: &VerificationKey, _headers: &HeaderMap, _body: &[u8], _now: SystemTime) -> Result<(), SignatureError> {
        Err(SignatureError::Missing)
    }

    /// The token that makes a signed request unique, if the signature does not cover the body. The receiver refuses a token that it has
    /// seen with another body.
    #[must_use]
    pub fn one_time_token(&self, _body: &[u8]) -> Option<String> {
        None
    }
}
