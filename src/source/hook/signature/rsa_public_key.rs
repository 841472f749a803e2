//! RSA signatures (PKCS #1 v1.5 with SHA-256).

use super::SignatureError;
use super::spki::{self, KeyKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

/// The largest number of keys of a key set.
const KEYS_MAX: usize = 10;
/// The length of the shortest modulus: many installations of Postal have a key of 1024 bits.
const MODULUS_BYTES_MIN: usize = 128;

/// A public key.
#[derive(Clone)]
pub(super) enum RsaPublicKey {
    /// The DER of PKCS #1.
    Der(Vec<u8>),
    /// Modulus and exponent.
    Components(RsaPublicKeyComponents<Vec<u8>>),
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

/// Parses PEM, base64, a JSON Web Key or a set of them.
pub(super) fn parse(text: &str) -> Result<Vec<RsaPublicKey>, String> {
    let text = text.trim();
    if text.starts_with('{') {
        return parse_json(text);
    }
    if text.contains("PRIVATE KEY") {
        return Err("this is a private key; Postmeter needs the public key (openssl rsa -in KEY -pubout)".to_owned());
    }
    if let Some(der) = spki::decode(text, "RSA PUBLIC KEY").filter(|_| text.contains("RSA PUBLIC KEY")) {
        return Ok(vec![RsaPublicKey::Der(der)]);
    }
    let der = spki::decode(text, "PUBLIC KEY").ok_or("expected a public key as PEM, or a JSON Web Key (set)")?;
    let key = spki::key(&der, KeyKind::Rsa).ok_or("the key is not an RSA public key")?;
    Ok(vec![RsaPublicKey::Der(key.to_vec())])
}

fn parse_json(text: &str) -> Result<Vec<RsaPublicKey>, String> {
    let set = serde_json::from_str::<KeySet>(text).or_else(|_| serde_json::from_str::<Jwk>(text).map(|key| KeySet { keys: vec![key] }));
    let set = set.map_err(|_| "the JSON is neither a JSON Web Key nor a set of them".to_owned())?;
    let keys: Vec<RsaPublicKey> = set.keys.iter().filter(|key| key.kty == "RSA").filter_map(Jwk::components).collect();
    match keys.len() {
        0 => Err("the JSON has no RSA key".to_owned()),
        1..=KEYS_MAX => Ok(keys),
        count => Err(format!("the JSON has {count} keys, which exceeds the limit of {KEYS_MAX}")),
    }
}

impl Jwk {
    fn components(&self) -> Option<RsaPublicKey> {
        let number = |text: &Option<String>| {
            let bytes = URL_SAFE_NO_PAD.decode(text.as_ref()?.trim_end_matches('=')).ok()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            Some(bytes[zeros..].to_vec())
        };
        let (n, e) = (number(&self.n)?, number(&self.e)?);
        (n.len() >= MODULUS_BYTES_MIN).then_some(RsaPublicKey::Components(RsaPublicKeyComponents { n, e }))
    }
}

/// Verifies a signature in base64 with one of the keys.
pub(super) fn verify(keys: &[RsaPublicKey], signature: &[u8], body: &[u8]) -> Result<(), SignatureError> {
    let signature = STANDARD.decode(signature).map_err(|_| SignatureError::Malformed)?;
    let algorithm = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
    let is_valid = keys.iter().any(|key| {
        let result = match key {
            RsaPublicKey::Der(der) => UnparsedPublicKey::new(algorithm, der).verify(body, &signature),
            RsaPublicKey::Components(components) => components.verify(algorithm, body, &signature),
        };
        result.is_ok()
    });
    if is_valid { Ok(()) } else { Err(SignatureError::Mismatch) }
}
