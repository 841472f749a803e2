//! Checks the credentials of a request.

use super::intake::Intake;
use crate::config::{Deliveries, Secret, SecretError};
use crate::source::{SignatureError, VerificationKey};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use std::time::SystemTime;
use subtle::ConstantTimeEq;

/// The reason why a request is not authenticated.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthenticationError {
    /// The request has no credential, or a wrong one.
    #[error("the {0} is missing or wrong")]
    Credential(&'static str),
    /// The signature is missing or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The signature belongs to another request.
    #[error("the signature was already used for another request")]
    Reused,
    /// The configured credential cannot be read.
    #[error("the configured {0} cannot be read: {1}")]
    Config(&'static str, SecretError),
    /// The configured key cannot be used.
    #[error("the configured signing_key cannot be used: {0}")]
    Key(String),
}

impl AuthenticationError {
    /// Returns `true` if the sender is not at fault, so that it should try again.
    pub(super) const fn is_configuration_error(&self) -> bool {
        matches!(self, Self::Config(..) | Self::Key(_) | Self::Signature(SignatureError::UnsetClock))
    }

    /// Returns what to do, for the log.
    pub(super) const fn advice(&self) -> &'static str {
        match self {
            Self::Signature(SignatureError::OutOfTime) => "compare the clocks here and at the sender",
            _ => "compare the credentials here and at the sender",
        }
    }
}

/// Checks the credentials in the headers: all that are configured are required.
pub(super) async fn check_headers(intake: &Intake, deliveries: &Deliveries, headers: &HeaderMap) -> Result<(), AuthenticationError> {
    let mut presented = headers.get_all(AUTHORIZATION).iter();
    // Two headers could be read differently by a proxy.
    let presented = presented.next().filter(|_| presented.next().is_none()).map(|value| value.as_bytes()).unwrap_or_default();
    let (scheme, credential) = split_scheme(presented);
    if let Some(token) = &deliveries.token {
        let token = read(intake, "token", token).await?;
        // Mox sends the configured text as the whole header.
        let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && is_equal(credential, token.as_bytes());
        if !is_bearer && !is_equal(presented, token.as_bytes()) {
            return Err(AuthenticationError::Credential("token"));
        }
    }
    if let Some((username, password)) = &deliveries.basic {
        let expected = format!("{username}:{}", read(intake, "password", password).await?);
        let decoded = STANDARD.decode(credential).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(b"basic") || !is_equal(&decoded, expected.as_bytes()) {
            return Err(AuthenticationError::Credential("user name or password"));
        }
    }
    Ok(())
}

/// Checks the signature of a request, if a key is configured.
pub(super) async fn check_signature(
    intake: &Intake,
    deliveries: &Deliveries,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<(), AuthenticationError> {
    let Some((key, scheme)) = deliveries.signing_key.as_ref().zip(deliveries.hook.signature) else { return Ok(()) };
    let key = VerificationKey::parse(scheme, &read(intake, "signing_key", key).await?).map_err(AuthenticationError::Key)?;
    scheme.verify(&key, headers, body, now)?;
    if intake.admit_tokens(&scheme.one_time_tokens(body), body) { Ok(()) } else { Err(AuthenticationError::Reused) }
}

async fn read(intake: &Intake, name: &'static str, secret: &Secret) -> Result<String, AuthenticationError> {
    secret.read_on(&intake.files).await.map_err(|error| AuthenticationError::Config(name, error))
}

/// Splits the value of a header into the scheme and the credential.
fn split_scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    (&value[..end], value.get(end + 1..).unwrap_or_default().trim_ascii())
}

/// Compares in constant time: digests have the same length, whatever the lengths of the texts.
fn is_equal(presented: &[u8], expected: &[u8]) -> bool {
    digest(&SHA256, presented).as_ref().ct_eq(digest(&SHA256, expected).as_ref()).into()
}
