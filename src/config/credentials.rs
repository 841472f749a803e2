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
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.username.is_none() && self.password.is_none() && self.token.is_none()
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

/// Whether a request can be made, or what it lacks. An optional part takes a token or a name and password alike: Stalwart's
/// management API knows both.
pub(super) fn suffices(credentials: &Credentials, needed: Credential, optional: bool) -> Result<(), &'static str> {
    let Credentials { username, password, token } = credentials;
    let (username, password, token) = (username.is_some(), password.is_some(), token.is_some());
    let (enough, needs) = match needed {
        Credential::TrustedAddress => (token || username == password, "both username and password, or neither"),
        Credential::Bearer | Credential::Basic if optional => {
            (token || username && password, "token (or token_file), or username and password (or password_file)")
        }
        Credential::Bearer => (token, "token (or token_file)"),
        Credential::Basic => (username && password, "username and password (or password_file)"),
        Credential::Whm => (username && token, "username and token (or token_file)"),
    };
    if enough { Ok(()) } else { Err(needs) }
}

/// The keys that a request can make use of.
pub(super) fn uses(needed: Credential, optional: bool) -> &'static [&'static str] {
    match needed {
        Credential::TrustedAddress => &["username", "password", "token"],
        Credential::Bearer | Credential::Basic if optional => &["username", "password", "token"],
        Credential::Bearer => &["token"],
        Credential::Basic => &["username", "password"],
        Credential::Whm => &["username", "token"],
    }
}
