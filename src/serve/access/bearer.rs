//! Bearer tokens. They are long random values, so their SHA-256 is sufficient; it is compared in constant time.

use crate::config::Token;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

/// The result of checking a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer<'t> {
    Valid(&'t Token),
    Expired,
    Unknown,
}

/// Checks the presented token. All tokens are compared, so that the time does not depend on the matching one.
pub(crate) fn check<'t>(tokens: &'t [Token], presented: &[u8], now: Timestamp) -> Bearer<'t> {
    let presented = digest(&SHA256, presented);
    let mut found = None;
    for token in tokens {
        if bool::from(token.sha256.as_slice().ct_eq(presented.as_ref())) {
            found = Some(token);
        }
    }
    match found {
        Some(token) if token.expires.is_none_or(|expires| now < expires) => Bearer::Valid(token),
        Some(_) => Bearer::Expired,
        None => Bearer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_is_valid_until_it_expires() {
        let sha256 = |text: &str| digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap();
        let token = |name: &str, text: &str, expires| Token { name: name.to_owned(), sha256: sha256(text), expires };
        let second = |second| Timestamp::from_second(second).unwrap();
        let tokens = [token("a", "one", None), token("b", "two", Some(second(100)))];
        assert_eq!(check(&tokens, b"one", second(1_000_000)), Bearer::Valid(&tokens[0]));
        assert_eq!(check(&tokens, b"two", second(99)), Bearer::Valid(&tokens[1]));
        assert_eq!(check(&tokens, b"two", second(100)), Bearer::Expired);
        for near in [&b"on"[..], b"onf", b"one ", b"oneone", b"One", b"", b"\0", b"two\0"] {
            assert_eq!(check(&tokens, near, second(0)), Bearer::Unknown, "{near:?}");
        }
        assert_eq!(check(&[], b"one", second(0)), Bearer::Unknown);
    }
}
