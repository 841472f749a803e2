//! Signatures of the requests that mail systems send: they are verified over the raw body, in constant time.

mod body_token;
mod ec_public_key;
mod hmac_header;
mod rsa_public_key;
mod spki;
#[cfg(test)]
mod tests;

use super::items::value_at;
use crate::model::{CLOCK_SECONDS_MIN, since_1970};
use http::{HeaderMap, HeaderName};
use std::time::{Duration, SystemTime};

/// The largest age of a signed time. Older requests are rejected, which limits replays; a replay before that has only repeated records.
/// It is longer than the time for which the systems retry: some of them sign once, and send an event hours later.
pub const AGE_MAX: Duration = Duration::from_secs(25 * 3600);
/// The time by which the clock of a mail system may be ahead.
pub const AHEAD_MAX: Duration = Duration::from_secs(3600);
/// The largest key.
const KEY_BYTES_MAX: usize = 64 * 1024;

/// All schemes.
pub static SCHEMES: &[SignatureScheme] = &[
    SignatureScheme {
        name: "emailengine",
        key_help: "the service secret of EmailEngine (setting serviceSecret)",
        form: Form::HmacHeader { header: "x-ee-wh-signature", encoding: hmac_header::Encoding::UrlSafe, time: &["date"] },
    },
    SignatureScheme {
        name: "stalwart",
        key_help: "the signature key of the webhook",
        form: Form::HmacHeader { header: "x-signature", encoding: hmac_header::Encoding::Standard, time: &["events", "0", "createdAt"] },
    },
    SignatureScheme {
        name: "postal",
        key_help: "the public key of the installation: PEM, or the JSON at /.well-known/jwks.json",
        form: Form::RsaHeader { header: "x-postal-signature-256", time: &["timestamp"] },
    },
    SignatureScheme {
        name: "sendgrid",
        key_help: "the verification key of the event webhook, in base64",
        form: Form::EcdsaHeader { header: "x-twilio-email-event-webhook-signature", timestamp: "x-twilio-email-event-webhook-timestamp" },
    },
    SignatureScheme { name: "mailgun", key_help: "the HTTP webhook signing key of the account", form: Form::BodyToken },
];

/// A way in which a mail system signs its requests.
#[derive(Debug)]
pub struct SignatureScheme {
    /// The name in a definition.
    pub name: &'static str,
    /// A description of the key, and the place where the operator finds it.
    pub key_help: &'static str,
    form: Form,
}

/// The signed bytes, the algorithm, and the header that contains the signature.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// HMAC-SHA-256 of the body, in a header. The body has a time at a path.
    HmacHeader { header: &'static str, encoding: hmac_header::Encoding, time: &'static [&'static str] },
    /// RSA (PKCS #1 v1.5, SHA-256) of the body, in a header. The body has a time at a path.
    RsaHeader { header: &'static str, time: &'static [&'static str] },
    /// ECDSA (P-256, SHA-256) of the time in a header and the body, in another header.
    EcdsaHeader { header: &'static str, timestamp: &'static str },
    /// HMAC-SHA-256 of a time and a token, all in the body.
    BodyToken,
}

/// A key that verifies signatures. Its debug form does not show the key.
#[derive(Clone)]
pub struct VerificationKey(Key);

#[derive(Clone)]
enum Key {
    Hmac(Box<ring::hmac::Key>),
    Rsa(Vec<rsa_public_key::RsaPublicKey>),
    Ec(ec_public_key::EcPublicKey),
}

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The reason why a request is not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The request has no signature, or a part of it is missing.
    #[error("the request has no signature")]
    Missing,
    /// The signature is not written as the system writes it, or is there more than once.
    #[error("the signature is malformed")]
    Malformed,
    /// The signature does not belong to this body and key.
    #[error("the signature does not match")]
    Mismatch,
    /// The time that the system signed is too far in the past or in the future.
    #[error("the signed time is more than {} hours in the past or {} hour in the future", AGE_MAX.as_secs() / 3600, AHEAD_MAX.as_secs() / 3600)]
    OutOfTime,
    /// The clock of this machine has not been set, so the signed time cannot be checked.
    #[error("the signed time cannot be checked, because the clock of this machine shows a time before 2026; set the clock")]
    UnsetClock,
}

impl VerificationKey {
    /// Parses the key as the system shows it to its operator.
    ///
    /// # Errors
    /// Describes what is wrong, without the key.
    pub fn parse(scheme: &SignatureScheme, text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the key is empty".to_owned());
        }
        if text.len() > KEY_BYTES_MAX {
            return Err(format!("the key exceeds the limit of {KEY_BYTES_MAX} bytes"));
        }
        let key = match scheme.form {
            Form::HmacHeader { .. } | Form::BodyToken => {
                let secret = text.trim_end_matches(['\r', '\n']).as_bytes();
                Key::Hmac(Box::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret)))
            }
            Form::RsaHeader { .. } => Key::Rsa(rsa_public_key::parse(text)?),
            Form::EcdsaHeader { .. } => Key::Ec(ec_public_key::EcPublicKey::parse(text)?),
        };
        Ok(Self(key))
    }
}

impl SignatureScheme {
    /// Returns `true` if another credential is required beside the signature: the signature does not cover the body, or the system signs
    /// the requests of others with the same key.
    #[must_use]
    pub const fn needs_secret(&self) -> bool {
        matches!(self.form, Form::BodyToken | Form::RsaHeader { .. })
    }

    /// Verifies that the sender of a request has the key, in constant time, and that the time that it signed, if it signs one, is near.
    ///
    /// # Errors
    /// The request is not authentic, or is too old.
    pub fn verify(&self, key: &VerificationKey, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<(), SignatureError> {
        match (self.form, &key.0) {
            (Form::HmacHeader { header, encoding, time }, Key::Hmac(key)) => {
                hmac_header::verify(key, single_header(headers, header)?, encoding, body)?;
                check_time(body_time(body, time), now)
            }
            (Form::RsaHeader { header, time }, Key::Rsa(keys)) => {
                rsa_public_key::verify(keys, single_header(headers, header)?, body)?;
                check_time(body_time(body, time), now)
            }
            (Form::EcdsaHeader { header, timestamp }, Key::Ec(key)) => {
                let (signature, timestamp) = (single_header(headers, header)?, single_header(headers, timestamp)?);
                key.verify(signature, timestamp, body)?;
                let seconds = std::str::from_utf8(timestamp).ok().and_then(|text| text.parse().ok()).ok_or(SignatureError::Malformed)?;
                check_time(Some(Duration::from_secs(seconds)), now)
            }
            (Form::BodyToken, Key::Hmac(key)) => check_time(Some(body_token::verify(key, body)?), now),
            // The key was parsed for another scheme.
            _ => Err(SignatureError::Mismatch),
        }
    }

    /// The tokens that make a request unique, if its signature does not cover the body. The receiver refuses a request with a token that it
    /// has accepted with another body.
    #[must_use]
    pub fn one_time_tokens(&self, body: &[u8]) -> Vec<String> {
        if matches!(self.form, Form::BodyToken) { body_token::tokens(body) } else { Vec::new() }
    }
}

/// The value of a header that the request has once.
fn single_header<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h [u8], SignatureError> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    let value = values.next().ok_or(SignatureError::Missing)?;
    if values.next().is_some() { Err(SignatureError::Malformed) } else { Ok(value.as_bytes()) }
}

/// The time at a path of the body. A body without it, such as one that the operator has shaped, has no time to check.
fn body_time(body: &[u8], path: &[&str]) -> Option<Duration> {
    let node: serde_json::Value = serde_json::from_slice(value_at(body, path)?).ok()?;
    if let Some(seconds) = node.as_f64() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let time: jiff::Timestamp = node.as_str()?.parse().ok()?;
    Duration::try_from(time.as_duration()).ok()
}

fn check_time(time: Option<Duration>, now: SystemTime) -> Result<(), SignatureError> {
    let Some(time) = time else { return Ok(()) };
    let now = since_1970(now);
    let is_near = time.saturating_add(AGE_MAX) >= now && time <= now.saturating_add(AHEAD_MAX);
    if is_near {
        Ok(())
    } else if now.as_secs() < CLOCK_SECONDS_MIN {
        Err(SignatureError::UnsetClock)
    } else {
        Err(SignatureError::OutOfTime)
    }
}
