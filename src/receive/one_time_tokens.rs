//! Tokens that a sender may use for one body only.
//!
//! Mailgun's signature covers a token and a time, but no byte of the body. So a recorded signature could be sent with any body, unless the
//! token is known. A retry has the same token and the same body.

use crate::net::Recent;
use ring::digest::{Digest, SHA256, digest};

/// The largest number of tokens of a target. Older ones are removed; the signature's time is checked as well.
const TOKENS_MAX: usize = 50_000;

type Sha256 = [u8; 32];

/// The newest tokens of a target, each with the digest of its body.
#[derive(Debug)]
pub(super) struct OneTimeTokens(Recent<Sha256, Sha256>);

impl Default for OneTimeTokens {
    fn default() -> Self {
        Self(Recent::new(TOKENS_MAX))
    }
}

impl OneTimeTokens {
    /// Notes a token. Returns `false` if it is known with another body.
    pub(super) fn admit(&mut self, token: &str, body: &[u8]) -> bool {
        let (token, body) = (bytes(&digest(&SHA256, token.as_bytes())), bytes(&digest(&SHA256, body)));
        if let Some(known) = self.0.get(&token) {
            return *known == body;
        }
        self.0.insert(token, body);
        true
    }
}

fn bytes(digest: &Digest) -> Sha256 {
    let mut bytes = Sha256::default();
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, byte)| *to = *byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_body() {
        let mut tokens = OneTimeTokens::default();
        assert!(tokens.admit("a", b"one") && tokens.admit("a", b"one") && tokens.admit("b", b"two"));
        assert!(!tokens.admit("a", b"two") && tokens.admit("a", b"one"));
        for n in 0..TOKENS_MAX {
            assert!(tokens.admit(&n.to_string(), b""));
        }
        assert!(tokens.admit("a", b"two"), "the oldest token is removed");
    }
}
