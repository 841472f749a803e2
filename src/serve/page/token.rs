//! What the page says of tokens: which are in use, and which are not good any more.

use super::words::Moment;
use crate::serve::TokenUse;
use std::time::SystemTime;

/// A token, in words; never the token itself, which nobody here knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenView {
    pub name: String,
    pub last_used: Option<Moment>,
    /// The day, or nothing where it never ends.
    pub expires: Option<String>,
    pub is_expired: bool,
}

impl TokenView {
    pub(super) fn all(tokens: Vec<TokenUse>, now: SystemTime) -> Vec<Self> {
        let view = |token: TokenUse| Self {
            name: token.name,
            last_used: token.last_used.map(|at| Moment::new(at.into(), now)),
            expires: token.expires.map(|at| at.strftime("%Y-%m-%d").to_string()),
            is_expired: token.expires.is_some_and(|at| SystemTime::from(at) <= now),
        };
        tokens.into_iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_says_when_it_was_used_and_whether_it_still_works() {
        let now: jiff::Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let token = |last_used: Option<&str>, expires: Option<&str>| TokenUse {
            name: "ci".to_owned(),
            last_used: last_used.map(|at| at.parse().unwrap()),
            expires: expires.map(|at| at.parse().unwrap()),
        };
        let tokens = vec![
            token(None, None),
            token(Some("2026-11-21T09:59:00Z"), Some("2026-11-21T10:00:00Z")),
            token(None, Some("2026-11-21T10:00:01Z")),
        ];
        let views = TokenView::all(tokens, now.into());
        let said: Vec<_> =
            views.iter().map(|v| (v.last_used.as_ref().map(|at| at.ago.as_str()), v.expires.as_deref(), v.is_expired)).collect();
        assert_eq!(said, [(None, None, false), (Some("1 min ago"), Some("2026-11-21"), true), (None, Some("2026-11-21"), false)]);
    }
}
