//! The form of a file whose damage is noticed: its kind and version in the first line, the content, and a SHA-256 of both.
//!
//! The checksum is verified before the version: a flipped bit in the version is damage.

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// The reason why the content of a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// The file is incomplete or changed, or is not of this kind.
    Damaged,
    /// The file has the format of this other version.
    Version(u32),
}

/// Returns the bytes of a file with this content.
pub(crate) fn seal(kind: &str, version: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{}{version}\n", head(kind)).into_bytes();
    bytes.reserve(content.len() + SHA256_OUTPUT_LEN);
    bytes.extend_from_slice(content);
    let checksum = digest(&SHA256, &bytes);
    bytes.extend_from_slice(checksum.as_ref());
    bytes
}

/// Returns the content in the bytes of a file.
///
/// # Errors
/// The file is damaged, or has the format of another version.
pub(crate) fn unseal<'a>(kind: &str, version: u32, bytes: &'a [u8]) -> Result<&'a [u8], FileFault> {
    let is_complete = |(sealed, checksum): &(&[u8], &[u8; SHA256_OUTPUT_LEN])| digest(&SHA256, sealed).as_ref() == *checksum;
    let (sealed, _) = bytes.split_last_chunk().filter(is_complete).ok_or(FileFault::Damaged)?;
    let rest = sealed.strip_prefix(head(kind).as_bytes()).ok_or(FileFault::Damaged)?;
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(FileFault::Damaged)?;
    let (found, content) = (&rest[..end], &rest[end + 1..]);
    match std::str::from_utf8(found).ok().and_then(|found| found.parse().ok()) {
        Some(found) if found == version => Ok(content),
        Some(found) => Err(FileFault::Version(found)),
        None => Err(FileFault::Damaged),
    }
}

/// The beginning of a file of any version.
fn head(kind: &str) -> String {
    format!("postmeter-{kind} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_content_is_returned_and_damage_is_noticed() {
        for content in [&b""[..], b"content", b"line\nline\n"] {
            let sealed = seal("kind", 1, content);
            assert!(sealed.starts_with(b"postmeter-kind 1\n"));
            assert_eq!(unseal("kind", 1, &sealed), Ok(content));
            for at in 0..sealed.len() {
                assert_eq!(unseal("kind", 1, &sealed[..at]), Err(FileFault::Damaged), "cut at {at}");
                for bit in 0..8 {
                    let mut changed = sealed.clone();
                    changed[at] ^= 1 << bit;
                    assert_eq!(unseal("kind", 1, &changed), Err(FileFault::Damaged), "bit {bit} of {at}");
                }
            }
            assert_eq!(unseal("kind", 1, &[&sealed[..], b"\n"].concat()), Err(FileFault::Damaged));
        }
    }

    #[test]
    fn another_version_is_not_damage_but_another_kind_is() {
        for version in [0, 2, u32::MAX] {
            assert_eq!(unseal("kind", 1, &seal("kind", version, b"content")), Err(FileFault::Version(version)));
        }
        assert_eq!(unseal("kind", 1, &seal("other", 1, b"content")), Err(FileFault::Damaged));
        assert_eq!(unseal("kind", 1, &seal("kinds", 1, b"content")), Err(FileFault::Damaged));
    }
}
