//! The keys with which senders sign their requests.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use ring::{error, hmac};
use std::sync::Arc;

/// The encoding of a public key of the curve P-256 (SPKI) before its point.
const P256_SPKI_PREFIX: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// A key of a sender.
#[derive(Clone, Debug)]
pub enum SigningKey {
    /// A shared secret: EmailEngine, Stalwart, Mailgun.
    Secret(String),
    /// Postal.
    Rsa(Arc<RsaKeyPair>),
    /// SendGrid.
    Ecdsa(Arc<EcdsaKeyPair>),
}

impl SigningKey {
    /// Reads a private RSA key: PKCS #8 as PEM.
    ///
    /// # Errors
    /// Describes what is wrong.
    pub fn rsa(pem: &str) -> Result<Self, String> {
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).map_err(|error| error.to_string())?;
        RsaKeyPair::from_pkcs8(&der).map(|pair| Self::Rsa(Arc::new(pair))).map_err(|error| error.to_string())
    }

    /// Makes a key of the curve P-256.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub fn new_ecdsa() -> Result<Self, error::Unspecified> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).map_err(|_| error::Unspecified)?;
        Ok(Self::Ecdsa(Arc::new(pair)))
    }

    /// The key with which the receiver verifies signatures, as the system shows it to its operator.
    #[must_use]
    pub fn verification_key(&self) -> String {
        match self {
            Self::Secret(secret) => secret.clone(),
            Self::Rsa(pair) => {
                let base64 = STANDARD.encode(pair.public_key().as_ref());
                format!("-----BEGIN RSA PUBLIC KEY-----\n{base64}\n-----END RSA PUBLIC KEY-----\n")
            }
            Self::Ecdsa(pair) => STANDARD.encode([P256_SPKI_PREFIX, pair.public_key().as_ref()].concat()),
        }
    }

    /// Signs a message. A secret makes an HMAC.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                // It fails only without random numbers. The signature of zeros is then refused.
                let _ = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signature
            }
            Self::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).unwrap_or_default(),
        }
    }

    pub(super) fn sign_base64(&self, message: &[u8], is_url_safe: bool) -> String {
        let signature = self.sign(message);
        if is_url_safe { URL_SAFE_NO_PAD.encode(signature) } else { STANDARD.encode(signature) }
    }

    pub(super) fn sign_hex(&self, message: &[u8]) -> String {
        self.sign(message).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
