//! Public keys as PEM or base64: the key in a SubjectPublicKeyInfo (RFC 5280).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The tags of DER that a public key uses.
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// The algorithm of an RSA key.
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// The algorithm and the curve of a P-256 key.
const P256: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The kind of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
}

/// Decodes the block of a PEM text with this label, or a text that is base64 without one. `None`: it is neither.
pub(super) fn decode(text: &str, label: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let inner = if text.contains("-----") {
        let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
        after.split_once(&format!("-----END {label}-----"))?.0
    } else {
        text
    };
    STANDARD.decode(inner.split_ascii_whitespace().collect::<String>()).ok()
}

/// Returns the key of this kind in a SubjectPublicKeyInfo.
pub(super) fn key(der: &[u8], kind: KeyKind) -> Option<&[u8]> {
    let (info, rest) = element(der, SEQUENCE)?;
    let (algorithm, after) = element(info, SEQUENCE)?;
    let (bits, end) = element(after, BIT_STRING)?;
    let expected = match kind {
        KeyKind::Rsa => RSA,
        KeyKind::P256 => P256,
    };
    // The number of unused bits of the last byte comes first.
    let key = bits.strip_prefix(&[0])?;
    (rest.is_empty() && end.is_empty() && algorithm.starts_with(expected)).then_some(key)
}

/// Returns the content of the element at the start of a text, if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(*rest.first()?) * 256 + usize::from(*rest.get(1)?), rest.get(2..)?),
        _ => return None,
    };
    (first == tag && rest.len() >= length).then(|| rest.split_at(length))
}
