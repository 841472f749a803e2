//! `postmeter token new`: creates a bearer token and prints it once.

use super::cli::{NewTokenArgs, TokenArgs, TokenCommand};
use super::{AppError, print};
use crate::config::{check_token_name, parse_timestamp};
use crate::net::hex;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// The random bytes of a token. 256 random bits cannot be guessed, so that a single SHA-256 is a sufficient hash.
const TOKEN_RANDOM_BYTES: usize = 32;
/// The prefix of a token, by which secret scanners recognize it.
const PREFIX: &str = "pmt_";

pub(super) fn token(args: &TokenArgs) -> Result<(), AppError> {
    match &args.command {
        TokenCommand::New(args) => new(args),
    }
}

fn new(args: &NewTokenArgs) -> Result<(), AppError> {
    check_token_name(&args.name).map_err(|error| AppError::Other(format!("--name: {:?} {error}", args.name)))?;
    let expires = args.expires.as_deref().map(|text| parse_expiry(text, Timestamp::now())).transpose();
    let expires = expires.map_err(|error| AppError::Other(format!("--expires: {error}")))?;
    let mut random = [0; TOKEN_RANDOM_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| AppError::Other("the system provides no random numbers".to_owned()))?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    print(&instructions(&token, &args.name, expires))
}

/// Returns the token and the configuration to add. The first line contains only the token, for scripts.
fn instructions(token: &str, name: &str, expires: Option<Timestamp>) -> String {
    let sha256 = hex(digest(&SHA256, token.as_bytes()).as_ref());
    let expires = expires.map(|expires| format!(", expires: \"{expires}\"")).unwrap_or_default();
    format!(
        "{token}

This is the token {name}. It is not shown again. Add its hash to the configuration:

export:
  prometheus:
    auth:
      tokens:
        - {{name: \"{name}\", sha256: \"{sha256}\"{expires}}}

Prometheus reads the token from a file:

scrape_configs:
  - job_name: postmeter
    authorization: {{credentials_file: /etc/prometheus/postmeter.token}}
"
    )
}

/// Parses a date, a time, or a period from now on.
fn parse_expiry(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let error = || format!("{text:?} is not a valid time; write it as 2027-01-31, 2027-01-31T12:00:00Z or 90d");
    let expires = match text.parse::<Span>() {
        Ok(span) => now.to_zoned(TimeZone::UTC).checked_add(span).map_err(|_| error())?.timestamp(),
        Err(_) => parse_timestamp(text).map_err(|_| error())?,
    };
    if expires <= now {
        return Err(format!("{text} is not in the future"));
    }
    expires.round(Unit::Second).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_expiry_is_a_time_or_a_period() {
        let now: Timestamp = "2026-11-21T10:00:00.4Z".parse().unwrap();
        for (text, expected) in [
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T12:00:00+02:00", "2027-01-31T10:00:00Z"),
            ("90d", "2027-02-19T10:00:00Z"),
            ("12mo", "2027-11-21T10:00:00Z"),
            ("1h 30m", "2026-11-21T11:30:00Z"),
        ] {
            assert_eq!(parse_expiry(text, now).unwrap().to_string(), expected, "{text}");
        }
        for invalid in ["", "soon", "2026-11-21", "-1d", "0s", "10", "99999y", "2027-02-30"] {
            assert!(parse_expiry(invalid, now).is_err(), "{invalid}");
        }
    }
}
