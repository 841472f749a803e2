//! `postmeter token new`: a token, printed once.

use super::AppError;
use super::cli::{NewTokenArgs, TokenArgs, TokenCommand};
use crate::config::{check_token_name, parse_timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt::Write as _;
use std::io::Write as _;

/// Chance in a token: nobody guesses 256 bits, so that one SHA-256 of it is hash enough.
const TOKEN_RANDOM_BYTES: usize = 32;
/// What a token begins with, so that those who look for leaked secrets find it.
const PREFIX: &str = "pmt_";

pub(super) fn token(args: &TokenArgs) -> Result<(), AppError> {
    match &args.command {
        TokenCommand::New(args) => new(args),
    }
}

fn new(args: &NewTokenArgs) -> Result<(), AppError> {
    check_token_name(&args.name).map_err(|error| AppError::Other(format!("--name {error}")))?;
    let expires = args.expires.as_deref().map(|text| expiry(text, Timestamp::now())).transpose();
    let expires = expires.map_err(|error| AppError::Other(format!("--expires: {error}")))?;
    let mut random = [0; TOKEN_RANDOM_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| AppError::Other("the system gives no random numbers".to_owned()))?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let said = said(&token, &args.name, expires);
    std::io::stdout().write_all(said.as_bytes()).map_err(|error| AppError::Other(format!("standard output: {error}")))
}

/// The token stands alone in the first line, for programs.
fn said(token: &str, name: &str, expires: Option<Timestamp>) -> String {
    let mut sha256 = String::new();
    for byte in digest(&SHA256, token.as_bytes()).as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(sha256, "{byte:02x}");
    }
    let expires = expires.map(|expires| format!(", expires: \"{expires}\"")).unwrap_or_default();
    format!(
        "{token}

This is the token {name}. It is not shown again, and Postmeter needs only its hash:

export:
  prometheus:
    auth:
      tokens:
        - {{name: \"{name}\", sha256: \"{sha256}\"{expires}}}

Prometheus reads it from a file:

scrape_configs:
  - job_name: postmeter
    authorization: {{credentials_file: /etc/prometheus/postmeter.token}}
"
    )
}

/// A date, a time, or a span from now on.
fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no time; write it as 2027-01-31, 2027-01-31T12:00:00Z or 90d");
    let at = match text.parse::<Span>() {
        Ok(span) => now.to_zoned(TimeZone::UTC).checked_add(span).map_err(|_| wrong())?.timestamp(),
        Err(_) => parse_timestamp(text).map_err(|_| wrong())?,
    };
    if at <= now {
        return Err(format!("{text} is not in the future"));
    }
    at.round(Unit::Second).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_expires_at_a_time_or_after_a_while() {
        let now: Timestamp = "2026-11-21T10:00:00.4Z".parse().unwrap();
        for (text, expected) in [
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T12:00:00+02:00", "2027-01-31T10:00:00Z"),
            ("90d", "2027-02-19T10:00:00Z"),
            ("12mo", "2027-11-21T10:00:00Z"),
            ("1h 30m", "2026-11-21T11:30:00Z"),
        ] {
            assert_eq!(expiry(text, now).unwrap().to_string(), expected, "{text}");
        }
        for bad in ["", "soon", "2026-11-21", "-1d", "0s", "10", "99999y", "2027-02-30"] {
            assert!(expiry(bad, now).is_err(), "{bad}");
        }
    }
}
