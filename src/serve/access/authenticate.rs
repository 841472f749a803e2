//! Authentication of requests.
//!
//! - Rate limits are counted before authentication, so guessing is limited, too.
//! - A token, a password or a trusted address is sufficient. Client certificates are checked in addition, in the TLS handshake.
//! - With authentication configured every path requires it, also `/-/healthy`, except the paths in `auth.open`: a path that responds
//!   without authentication reveals that Postmeter runs here, which is the operator's decision.

use super::basic::PASSWORD_BYTES_MAX;
use super::bearer::{self, Bearer};
use super::control::Access;
use super::rules::Rules;
use crate::serve::http::client::address;
use crate::serve::refusal::Refusal;
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use std::net::SocketAddr;
use tracing::warn;

/// The reason why a request is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The path needs no authentication, or its route checks credentials itself. The client is not authenticated.
    OpenPath,
    /// The client has authenticated, or no authentication is required.
    Authenticated,
}

impl Access {
    /// Authenticates a request.
    pub(crate) async fn authenticate(
        &self,
        rules: &Rules,
        peer: SocketAddr,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Admission, Refusal> {
        let admission = self.check_credential(rules, peer, path, headers).await?;
        if admission == Admission::Authenticated && rules.config.is_restricted() {
            self.authenticated_clients().add(peer.into());
        }
        Ok(admission)
    }

    async fn check_credential(&self, rules: &Rules, peer: SocketAddr, path: &str, headers: &HeaderMap) -> Result<Admission, Refusal> {
        if self.listener().authenticates_in_routes() && !rules.config.is_restricted() {
            return Ok(Admission::OpenPath);
        }
        let (auth, users) = (&rules.config.auth, rules.users());
        if auth.is_none() && users.is_empty() || rules.trusts(peer) {
            return Ok(Admission::Authenticated);
        }
        if auth.open.contains(&path) {
            return Ok(Admission::OpenPath);
        }
        if auth.tokens.is_empty() && users.is_empty() {
            return Err(Refusal::Forbidden);
        }
        let refusal = |presented| Refusal::Unauthenticated { bearer: !auth.tokens.is_empty(), basic: !users.is_empty(), presented };
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(refusal(false)) };
        match credential(value) {
            Some(Credential::Bearer(token)) => match bearer::check(&auth.tokens, token, Timestamp::now()) {
                Bearer::Valid(token) => {
                    self.note_token_use(token);
                    Ok(Admission::Authenticated)
                }
                Bearer::Expired => Err(Refusal::Expired),
                Bearer::Unknown => Err(refusal(true)),
            },
            Some(Credential::Basic(_, password)) if !users.is_empty() && password.len() > PASSWORD_BYTES_MAX => {
                if self.may_log_long_password() {
                    warn!(client = %address(peer), "a password with more than {PASSWORD_BYTES_MAX} bytes was rejected: bcrypt ignores the rest, use a shorter one");
                }
                Err(Refusal::PasswordTooLong { bearer: !auth.tokens.is_empty() })
            }
            Some(Credential::Basic(name, password)) if !users.is_empty() => {
                let client = peer.into();
                let is_new = !self.authenticated_clients().contains(client);
                match self.passwords().check(users, client, is_new, &name, &password).await {
                    Some(true) => Ok(Admission::Authenticated),
                    Some(false) => Err(refusal(true)),
                    None => Err(Refusal::Busy),
                }
            }
            _ => Err(refusal(true)),
        }
    }
}

/// The credential of a request.
enum Credential<'h> {
    Bearer(&'h [u8]),
    Basic(String, Vec<u8>),
}

/// Parses the header `Authorization` (RFC 6750 and RFC 7617).
fn credential(header: &HeaderValue) -> Option<Credential<'_>> {
    let bytes = header.as_bytes();
    let (scheme, rest) = bytes.split_at_checked(bytes.iter().position(|b| *b == b' ')?)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Some(Credential::Bearer(rest));
    }
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return None;
    }
    let mut name = STANDARD.decode(rest).ok()?;
    let colon = name.iter().position(|b| *b == b':')?;
    let password = name.split_off(colon).split_off(1);
    Some(Credential::Basic(String::from_utf8(name).ok()?, password))
}
