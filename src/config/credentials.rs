//! What proves to a mail server who asks, and whether it is enough.

use super::Secret;
use super::decode::{Decoder, KeyPath, Map};
use crate::source::Credential;
use http::HeaderValue;

/// What proves to a mail server who asks. Which of them it wants is its [`Credential`].
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// `username:`. Left out: none.
    pub username: Option<String>,
    /// `password:` or `password_file:`. Left out: none.
    pub password: Option<Secret>,
    /// `token:` or `token_file:`. Left out: none.
    pub token: Option<Secret>,
}

impl Credentials {
    /// Returns `true` if nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.username.is_none() && self.password.is_none() && self.token.is_none()
    }

    /// Returns the keys that a request with this kind of credential needs, if those that are set are not enough.
    pub(super) fn missing_keys(&self, kind: Credential) -> Option<&'static str> {
        kind.missing_keys(self.username.is_some(), self.password.is_some(), self.token.is_some())
    }
}

/// `username`, `password`, `token` and their files, of a target or a part.
pub(super) fn decode(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> Credentials {
    let username = map.take("username").map(|item| {
        let username = decoder.word(&item).unwrap_or_default();
        if username.contains(|c: char| c == ':' || c.is_control()) {
            decoder.problem(&item.place, "a username cannot have a colon or a control character in it");
        }
        username
    });
    let password = secret_or_file(decoder, map, "password", "password_file").map(|(secret, ..)| secret);
    let token = secret_or_file(decoder, map, "token", "token_file").map(|(secret, place, value)| {
        if value.is_some_and(|value| HeaderValue::from_str(&value).is_err()) {
            decoder.problem(&place, "the token has a line break or another control character in it");
        }
        secret
    });
    Credentials { username, password, token }
}

fn secret_or_file(
    decoder: &mut Decoder<'_>,
    map: &mut Map<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<(Secret, KeyPath, Option<String>)> {
    let plain = map.take(key);
    let file = map.take(file_key);
    if let (Some(_), Some(file)) = (&plain, &file) {
        decoder.problem(&file.place, format!("{key} is set as well; keep one of them"));
    }
    let is_path = plain.is_none();
    let item = plain.or(file)?;
    let (secret, value) = decoder.secret(&item, is_path);
    Some((secret, item.place, value))
}
