//! The credentials that a request to a mail system carries.

use super::Ticket;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The kind of credential that a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No credential is sent. One that is configured is unused.
    None,
    /// No credential is needed, because the server can trust the client's address. A token, or a username and a password, is sent if it is
    /// configured.
    Optional,
    /// `Authorization: Bearer TOKEN`.
    Bearer,
    /// `Authorization: Basic`, from `username` and `password`.
    Basic,
    /// `Bearer` if a token is configured, `Basic` otherwise.
    BearerOrBasic,
    /// `Authorization: whm USERNAME:TOKEN`.
    Whm,
    /// The token, in a header with this name.
    Header(&'static str),
    /// A cookie with a ticket, which the server issues for a username and a password.
    Ticket(&'static Ticket),
}

impl Credential {
    /// The configuration keys that the request uses. Each secret can also be read from a file (`token_file`).
    #[must_use]
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Optional | Self::BearerOrBasic => &["username", "password", "token"],
            Self::Bearer | Self::Header(_) => &["token"],
            Self::Basic | Self::Ticket(_) => &["username", "password"],
            Self::Whm => &["username", "token"],
        }
    }

    /// Returns a description of the keys that are needed, for an error message, if those that are set are not enough.
    #[must_use]
    pub const fn missing_keys(self, has_username: bool, has_password: bool, has_token: bool) -> Option<&'static str> {
        let has_basic = has_username && has_password;
        let (is_enough, needed) = match self {
            Self::None => (true, "nothing"),
            Self::Optional => (has_token || has_username == has_password, "both username and password, or neither"),
            Self::Bearer | Self::Header(_) => (has_token, "token (or token_file)"),
            Self::Basic | Self::Ticket(_) => (has_basic, "username and password (or password_file)"),
            Self::BearerOrBasic => (has_token || has_basic, "token (or token_file), or username and password (or password_file)"),
            Self::Whm => (has_username && has_token, "username and token (or token_file)"),
        };
        if is_enough { None } else { Some(needed) }
    }

    /// The word that is written before a token in the header.
    #[must_use]
    pub const fn token_scheme(self) -> Option<&'static str> {
        match self {
            Self::Optional | Self::Bearer | Self::BearerOrBasic => Some("Bearer"),
            Self::Whm => Some("whm"),
            Self::None | Self::Basic | Self::Header(_) | Self::Ticket(_) => None,
        }
    }

    /// The name of the header that carries the credential.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Header(name) => name,
            Self::Ticket(_) => "cookie",
            Self::None | Self::Optional | Self::Bearer | Self::Basic | Self::BearerOrBasic | Self::Whm => "authorization",
        }
    }

    /// Returns the value of the header, or `None` if nothing that it could be made of is configured. A ticket has to be requested first.
    #[must_use]
    pub fn header_value(self, username: Option<&str>, password: Option<&str>, token: Option<&str>) -> Option<String> {
        let bearer = || token.map(|token| format!("Bearer {token}"));
        let basic = || Some(format!("Basic {}", STANDARD.encode(format!("{}:{}", username?, password?))));
        match self {
            Self::Optional | Self::BearerOrBasic => bearer().or_else(basic),
            Self::Bearer => bearer(),
            Self::Basic => basic(),
            Self::Whm => Some(format!("whm {}:{}", username?, token?)),
            Self::Header(_) => token.map(str::to_owned),
            Self::None | Self::Ticket(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Credential::{self, Basic, Bearer, BearerOrBasic, Header, Optional, Whm};

    #[test]
    fn each_kind_sends_its_own_scheme_and_nothing_else() {
        let all = |kind: Credential| kind.header_value(Some("u"), Some("p"), Some("t"));
        for (kind, expected) in [
            (Optional, "Bearer t"),
            (Bearer, "Bearer t"),
            (Basic, "Basic dTpw"),
            (BearerOrBasic, "Bearer t"),
            (Whm, "whm u:t"),
            (Header("X-API-Key"), "t"),
        ] {
            assert_eq!(all(kind).as_deref(), Some(expected), "{kind:?}");
            assert_eq!(kind.header_value(None, None, None), None, "{kind:?}");
        }
        assert_eq!(all(Credential::None), None);
        for kind in [Optional, BearerOrBasic] {
            assert_eq!(kind.header_value(Some("u"), Some("p"), None).as_deref(), Some("Basic dTpw"), "{kind:?}");
        }
    }

    #[test]
    fn a_kind_without_missing_keys_has_a_header() {
        let texts = |has: [bool; 3]| has.map(|has| has.then_some("x"));
        for bits in 0..8_u8 {
            let has = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
            let [username, password, token] = texts(has);
            for kind in [Bearer, Basic, BearerOrBasic, Whm, Header("Password")] {
                let is_complete = kind.missing_keys(has[0], has[1], has[2]).is_none();
                assert_eq!(is_complete, kind.header_value(username, password, token).is_some(), "{kind:?} {has:?}");
            }
        }
    }
}
