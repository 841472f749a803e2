//! Credentials for a mail server, and the check that a mail system's requests can be made with them.

use super::Secret;
use super::decode::Decoder;
use super::map::{Location, Map};
use crate::source::Credential;
use http::HeaderValue;

/// Credentials for a mail server. The mail system's [`Credential`] determines which of them are used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Credentials {
    /// Key `username`.
    pub username: Option<String>,
    /// Key `password` or `password_file`.
    pub password: Option<Secret>,
    /// Key `token` or `token_file`.
    pub token: Option<Secret>,
}

impl Credentials {
    /// Returns `true` if there are no credentials.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.username.is_none() && self.password.is_none() && self.token.is_none()
    }

    /// Returns the word before the credential in the header, if the token begins with it as well.
    pub(super) fn repeated_scheme(&self, kind: Credential) -> Option<&'static str> {
        let scheme = kind.token_scheme()?;
        let token = self.token.as_ref()?.read().ok()?;
        let (word, _) = token.split_once(' ')?;
        word.eq_ignore_ascii_case(scheme).then_some(scheme)
    }

    /// Returns the keys that a request with this kind of credential needs, if those that are set are not enough.
    pub(super) fn missing_keys(&self, kind: Credential) -> Option<&'static str> {
        kind.missing_keys(self.username.is_some(), self.password.is_some(), self.token.is_some())
    }
}

/// Decodes the credentials of a target or a part.
pub(super) fn decode(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Credentials {
    let username = map.take("username").map(|item| {
        let username = decoder.non_empty_text(&item).unwrap_or_default();
        if username.contains(|c: char| c == ':' || c.is_control()) {
            decoder.report(&item.location, "a username must not contain a colon or a control character");
        }
        username
    });
    let password = secret_or_file(decoder, map, "password", "password_file").map(|(secret, ..)| secret);
    let token = secret_or_file(decoder, map, "token", "token_file").map(|(secret, location, value)| {
        if value.is_some_and(|value| HeaderValue::from_str(&value).is_err()) {
            decoder.report(&location, "the token contains a line break or another control character");
        }
        secret
    });
    Credentials { username, password, token }
}

pub(super) fn secret_or_file(
    decoder: &mut Decoder<'_>,
    map: &mut Map<'_>,
    key: &str,
    file_key: &str,
) -> Option<(Secret, Location, Option<String>)> {
    let inline = map.take(key);
    let file = map.take(file_key);
    if let (Some(_), Some(file)) = (&inline, &file) {
        decoder.report(&file.location, format!("{key} is set as well; remove one of them"));
    }
    let is_path = inline.is_none();
    let item = inline.or(file)?;
    let (secret, value) = decoder.secret(&item, is_path);
    Some((secret, item.location, value))
}
