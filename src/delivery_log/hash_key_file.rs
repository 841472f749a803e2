//! The file in `state_dir` with the key of the hashes.
//!
//! # A damaged key
//!
//! It would result in other hashes without notice. So the file has a checksum, and a damaged one is quarantined with a log line.

use super::locked_file::{StateError, create_directory, failed};
use super::record_id::{HashKey, KEY_BYTES};
use crate::net::quarantine::{BROKEN, quarantine};
use crate::net::{FileFault, read_if_exists, replace_private_file, seal, unseal};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::File;
use std::io;
use std::path::Path;
use tracing::warn;

/// The name of the file.
const NAME: &str = "hash.key";
/// The kind of the file, and the version of its format.
const KIND: &str = "hash-key";
const VERSION: u32 = 1;
/// The bytes of the file that are read: more than those of this version.
const FILE_BYTES_MAX: u64 = 1024;

/// Reads the key of the hashes, or creates it at the first start.
///
/// # Errors
/// The reason why the directory cannot be used, or the file has the format of another version.
pub fn hash_key(directory: &Path) -> Result<HashKey, StateError> {
    create_directory(directory)?;
    let path = directory.join(NAME);
    if let Some(bytes) = read_if_exists(File::open(&path), FILE_BYTES_MAX).map_err(failed(&path))? {
        match decode(&bytes) {
            Ok(key) => return Ok(HashKey::new(&key)),
            Err(FileFault::Version(_)) => {
                let reason = "it has the format of another version".to_owned();
                return Err(StateError::Version { path, reason });
            }
            Err(FileFault::Damaged) => {
                let renamed = quarantine(&path, BROKEN).map_err(failed(&path))?;
                let (file, renamed_to) = (path.display(), renamed.display());
                warn!(
                    %file,
                    %renamed_to,
                    "the hash key is damaged: a new key is created, so new hashes differ from earlier ones; to keep them, restore the file from \
                     a backup and restart Postmeter"
                );
            }
        }
    }
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| failed(&path)(io::Error::other("the system provides no random numbers")))?;
    replace_private_file(&path, &encode(&key)).map_err(failed(&path))?;
    Ok(HashKey::new(&key))
}

fn encode(key: &[u8; KEY_BYTES]) -> Vec<u8> {
    seal(KIND, VERSION, key)
}

fn decode(bytes: &[u8]) -> Result<[u8; KEY_BYTES], FileFault> {
    unseal(KIND, VERSION, bytes)?.try_into().map_err(|_| FileFault::Damaged)
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
            assert_eq!(decode(&written[..at]), Err(FileFault::Damaged), "cut at {at}");
            let mut changed = written.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), Err(FileFault::Damaged), "changed at {at}");
        }
        assert_eq!(decode(&seal(KIND, VERSION, &[7; KEY_BYTES + 1])), Err(FileFault::Damaged));
        let mut changed = written.clone();
        changed[written.len() / 2] ^= 1;
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
        let newer = seal(KIND, 2, b"of another form");
        std::fs::write(&path, &newer).unwrap();
        let error = hash_key(directory.path()).unwrap_err().to_string();
        assert!(error.contains("hash.key cannot be used: it has the format of another version; use the version"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), newer);
    }
}
