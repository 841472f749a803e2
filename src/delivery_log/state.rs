//! The directory that survives restarts: one cursor for each target, and the key of the hashes.
//!
//! A file is written beside its place, flushed, renamed into it, and the directory flushed: whoever reads finds the old one or
//! the new one, whatever happens in between. One process at a time holds a target's lock.

use super::cursor::{Cursor, CursorError};
use super::record_id::{KEY_BYTES, Key};
use super::seconds;
use crate::net::quarantine::{BROKEN, OTHER, set_aside};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::warn;

/// Bytes of a cursor's file that are read: above what is ever written.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Only its owner reads what was read from a mail server.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Why state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory or a file in it.
    #[error("state_dir: {path}: {error}; it must be a directory that Postmeter may write to")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody else has it.
    #[error("state_dir: {0} is in use; another Postmeter follows the same target with the same state_dir")]
    InUse(PathBuf),
    /// It is of another time.
    #[error("state_dir: {path} cannot be used: {why}; use the Postmeter that wrote it, or remove the file to begin anew")]
    Version {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The place of one target's cursor. Nobody else has it while this lives.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    _lock: File,
}

impl State {
    /// The place and what is there of this log. What is damaged is set aside, and the log is read again from when it was written.
    ///
    /// # Whose log it is
    ///
    /// A target may be pointed at another server under its old name: how far the other's log was read says nothing of this one.
    /// A file of the format that does not say whose it is, is taken as it is.
    pub(super) fn open(directory: &Path, target: &str, of: &str, overlap: Duration) -> Result<(Self, Option<Cursor>), StateError> {
        make(directory)?;
        let path = directory.join(format!("messages-{target}.cursor"));
        let state = Self { _lock: lock(&path.with_extension("lock"))?, path };
        let path = &state.path;
        let mut bytes = Vec::new();
        let written = match File::open(path) {
            Ok(file) => {
                let written = file.metadata().and_then(|data| data.modified()).map_err(failed(path))?;
                file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed(path))?;
                seconds(written)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((state, None)),
            Err(error) => return Err(failed(path)(error)),
        };
        match Cursor::decode(&bytes) {
            Ok(cursor) => match cursor.of().filter(|its| *its != of) {
                None => Ok((state, Some(cursor.owned(of)))),
                Some(its) => {
                    let aside = set_aside(path, OTHER).map_err(failed(path))?;
                    let (path, aside) = (path.display(), aside.display());
                    warn!(target, "{path} is of {its}, and the target is now {of}: its log is followed anew, and that file is now {aside}");
                    Ok((state, None))
                }
            },
            Err(why @ CursorError::Version(_)) => Err(StateError::Version { path: path.clone(), why: why.to_string() }),
            Err(why @ CursorError::Damaged) => {
                let aside = set_aside(path, BROKEN).map_err(failed(path))?;
                let aside = aside.display();
                warn!(target, "{} cannot be used: {why}; it is now {aside}, and records since then are sent again", path.display());
                Ok((state, Some(Cursor::starting(of, written, overlap))))
            }
        }
    }

    /// Puts these bytes in the place of what was there.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), StateError> {
        write(&self.path, bytes)
    }
}

/// The key of the hashes, made at the first start.
///
/// # Errors
/// Why the directory cannot be used.
pub fn key(directory: &Path) -> Result<Key, StateError> {
    make(directory)?;
    let path = directory.join("hash.key");
    match std::fs::read(&path) {
        Ok(bytes) => match <&[u8; KEY_BYTES]>::try_from(bytes.as_slice()) {
            Ok(bytes) => return Ok(Key::new(bytes)),
            Err(_) => {
                let aside = set_aside(&path, BROKEN).map_err(failed(&path))?;
                let (path, aside) = (path.display(), aside.display());
                warn!("{path} is damaged; it is now {aside}, and hashes are made with a new key: they fit none of those before");
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&path)(error)),
    }
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| failed(&path)(io::Error::other("the system gives no random numbers")))?;
    write(&path, &bytes)?;
    Ok(Key::new(&bytes))
}

fn make(directory: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(failed(directory))
}

fn lock(path: &Path) -> Result<File, StateError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(path).map_err(failed(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StateError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(path)(error)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(FILE_MODE).open(&beside).map_err(failed(&beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(&beside))?;
    std::fs::rename(&beside, path).map_err(failed(path))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed(directory))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |error| StateError::File { path, error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OVERLAP: Duration = Duration::from_secs(10);
    const OF: &str = "cpanel at a.example.com";

    #[test]
    fn what_was_written_is_there_again_and_belongs_to_one() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("made/anew");
        let (state, none) = State::open(&inside, "a", OF, OVERLAP).unwrap();
        assert_eq!(none, None);
        assert!(matches!(State::open(&inside, "a", OF, OVERLAP), Err(StateError::InUse(_))));
        let cursor = Cursor::starting(OF, 100, Duration::ZERO);
        state.write(&cursor.encode()).unwrap();
        drop(state);
        assert_eq!(State::open(&inside, "a", OF, OVERLAP).unwrap().1, Some(cursor));
        assert_eq!(State::open(&inside, "b", OF, OVERLAP).unwrap().1, None);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_a_newer_one_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("messages-a.cursor");
        std::fs::write(&path, "postmeter-cursor 1\nnonsense").unwrap();
        let (state, cursor) = State::open(directory.path(), "a", OF, OVERLAP).unwrap();
        let now = seconds(std::time::SystemTime::now());
        let begins = cursor.unwrap().begin(OVERLAP);
        assert!((now - 60..=now - 9).contains(&begins), "{begins} at {now}");
        assert!(!path.exists() && directory.path().join("messages-a.cursor.broken").exists());
        drop(state);
        std::fs::write(&path, "postmeter-cursor 7\n").unwrap();
        let error = State::open(directory.path(), "a", OF, OVERLAP).unwrap_err().to_string();
        assert!(error.contains("has format 7"), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn one_that_does_not_say_whose_it_is_is_taken_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = b"postmeter-cursor 1\n".to_vec();
        [100u64, 100, 0].iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(ring::digest::digest(&ring::digest::SHA256, &bytes.clone()).as_ref());
        std::fs::write(directory.path().join("messages-a.cursor"), bytes).unwrap();
        let (_, cursor) = State::open(directory.path(), "a", OF, OVERLAP).unwrap();
        assert_eq!(cursor, Some(Cursor::starting(OF, 100, Duration::ZERO)));
    }

    #[test]
    fn that_of_another_server_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let (state, _) = State::open(directory.path(), "a", OF, OVERLAP).unwrap();
        let cursor = Cursor::starting(OF, 100, Duration::ZERO);
        state.write(&cursor.encode()).unwrap();
        drop(state);
        assert_eq!(State::open(directory.path(), "a", OF, OVERLAP).unwrap().1, Some(cursor));
        assert_eq!(State::open(directory.path(), "a", "cpanel at b.example.com", OVERLAP).unwrap().1, None);
        assert!(directory.path().join("messages-a.cursor.other").exists());
    }

    #[test]
    fn the_key_stays_and_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let hash = |key: Key| key.hash("a");
        let first = hash(key(directory.path()).unwrap());
        assert_eq!(hash(key(directory.path()).unwrap()), first);
        let path = directory.path().join("hash.key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, FILE_MODE);
        std::fs::write(&path, "short").unwrap();
        assert_ne!(hash(key(directory.path()).unwrap()), first);
        assert!(directory.path().join("hash.key.broken").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = State::open(file.path(), "a", OF, OVERLAP).unwrap_err().to_string();
        assert!(error.starts_with("state_dir: ") && error.contains("must be a directory"), "{error}");
    }
}
