//! The file in `state_dir` with the key of the hashes.
//!
//! # A damaged key
//!
//! It would result in other hashes without notice. So the file has a checksum, and a damaged one is quarantined with a log line.

use super::record_id::{HashKey, KEY_BYTES};
use super::state_file::{StateError, create_directory, failed};
use crate::net::quarantine::{BROKEN, quarantine};
use crate::net::replace_private_file;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use tracing::warn;

/// The name of the file.
const NAME: &str = "hash.key";
/// The beginning of a file of any version.
const HEAD: &[u8] = b"postmeter-hash-key ";
/// The beginning of a file of this version.
const HEADER: &[u8] = b"postmeter-hash-key 1\n";
/// The bytes of the file that are read: more than those of this version.
const FILE_BYTES_MAX: u64 = 1024;

/// The key in a file.
#[derive(Debug, PartialEq, Eq)]
enum StoredKey {
    /// A key whose checksum is right.
    Checked([u8; KEY_BYTES]),
    /// The file has the format of another version.
    Version,
    /// The length or the checksum is wrong.
    Damaged,
}

/// Reads the key of the hashes, or creates it at the first start.
///
/// # Errors
/// The reason why the directory cannot be used, or the file has the format of another version.
pub fn hash_key(directory: &Path) -> Result<HashKey, StateError> {
    create_directory(directory)?;
    let path = directory.join(NAME);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => match decode(&bytes) {
            StoredKey::Checked(key) => return Ok(HashKey::new(&key)),
            StoredKey::Version => {
                let reason = "it has the format of another version".to_owned();
                return Err(StateError::Version { path, reason });
            }
            StoredKey::Damaged => {
                let renamed = quarantine(&path, BROKEN).map_err(failed(&path))?;
                let (file, renamed_to) = (path.display(), renamed.display());
                warn!(
                    %file,
                    %renamed_to,
                    "the hash key is damaged: a new key is created, so new hashes differ from earlier ones; to keep them, restore the file from \
                     a backup and restart Postmeter"
                );
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&path)(error)),
    }
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| failed(&path)(io::Error::other("the system provides no random numbers")))?;
    replace_private_file(&path, &encode(&key)).map_err(failed(&path))?;
    Ok(HashKey::new(&key))
}

fn encode(key: &[u8; KEY_BYTES]) -> Vec<u8> {
    let mut bytes = [HEADER, key].concat();
    let checksum = digest(&SHA256, &bytes);
    bytes.extend_from_slice(checksum.as_ref());
    bytes
}

fn decode(bytes: &[u8]) -> StoredKey {
    let is_right = |(content, sum): &(&[u8], &[u8; SHA256_OUTPUT_LEN])| digest(&SHA256, content).as_ref() == *sum;
    let Some((content, _)) = bytes.split_last_chunk().filter(is_right) else { return StoredKey::Damaged };
    match content.strip_prefix(HEADER).map(TryInto::try_into) {
        Some(Ok(key)) => StoredKey::Checked(key),
        None if content.starts_with(HEAD) => StoredKey::Version,
        _ => StoredKey::Damaged,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::net::PRIVATE_FILE_MODE;
    use std::os::unix::fs::PermissionsExt;

    fn hash(directory: &Path) -> String {
        String::from_utf8(hash_key(directory).unwrap().hash("a").to_vec()).unwrap()
    }

    #[test]
    fn the_key_is_kept_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = hash(directory.path());
        assert_eq!(hash(directory.path()), first);
        let path = directory.path().join(NAME);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, PRIVATE_FILE_MODE);
        assert!(!directory.path().join("hash.key.broken").exists());
    }

    #[test]
    fn a_damaged_key_is_quarantined() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let first = hash(directory.path());
        let written = std::fs::read(&path).unwrap();
        for at in 0..written.len() {
            assert_eq!(decode(&written[..at]), StoredKey::Damaged, "cut at {at}");
            let mut changed = written.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), StoredKey::Damaged, "changed at {at}");
        }
        assert_eq!(decode(&[&written[..], b"\n"].concat()), StoredKey::Damaged);
        let mut changed = written.clone();
        changed[HEADER.len()] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert_ne!(hash(directory.path()), first);
        assert_eq!(std::fs::read(directory.path().join("hash.key.broken")).unwrap(), changed);
        // A backup restores the hashes.
        std::fs::write(&path, &written).unwrap();
        assert_eq!(hash(directory.path()), first);
    }

    #[test]
    fn a_key_of_another_version_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let mut newer = b"postmeter-hash-key 2\nof another form".to_vec();
        newer.extend_from_slice(digest(&SHA256, &newer.clone()).as_ref());
        std::fs::write(&path, &newer).unwrap();
        let error = hash_key(directory.path()).unwrap_err().to_string();
        assert!(error.contains("hash.key cannot be used: it has the format of another version; use the version"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), newer);
    }
}
