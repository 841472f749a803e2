//! ECDSA signatures (P-256 with SHA-256, ASN.1).

use super::SignatureError;
use super::spki::{self, KeyKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

/// A public key: an uncompressed point.
#[derive(Clone)]
pub(super) struct EcPublicKey(Vec<u8>);

/// The length of an uncompressed point of P-256.
const POINT_BYTES: usize = 65;

impl EcPublicKey {
    /// Parses base64 or PEM.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let der = spki::decode(text, "PUBLIC KEY").ok_or("expected a public key in base64 or PEM")?;
        let key = spki::key(&der, KeyKind::P256).ok_or("the key is not a public key of the curve P-256")?;
        if key.len() == POINT_BYTES { Ok(Self(key.to_vec())) } else { Err("the key is not an uncompressed point".to_owned()) }
    }

    /// Verifies a signature in base64 over a time and the body.
    pub(super) fn verify(&self, signature: &[u8], timestamp: &[u8], body: &[u8]) -> Result<(), SignatureError> {
        let signature = STANDARD.decode(signature).map_err(|_| SignatureError::Malformed)?;
        let signed = [timestamp, body].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(&signed, &signature).map_err(|_| SignatureError::Mismatch)
    }
}
