//! The cursor file of a target in `state_dir`.

use super::cursor::{Cursor, VERSION};
use super::locked_file::{LockedFile, StateError, failed};
use crate::model::unix_seconds;
use crate::net::FileFault;
use crate::net::quarantine::{BROKEN, OTHER_LOG};
use std::path::Path;
use std::time::Duration;
use tracing::warn;

/// Returns `true` if there is a cursor of a target.
pub(super) fn exists(directory: &Path, target: &str) -> bool {
    directory.join(name(target)).exists()
}

fn name(target: &str) -> String {
    format!("messages-{target}.cursor")
}

/// Locks the file and reads the cursor. A damaged file is quarantined, and the log is read again from the time at which the file was
/// written.
///
/// # The log of the cursor
///
/// A target may have been pointed at another server under its old name. The position in the log of the other server is meaningless then, so
/// the file is quarantined.
pub(super) fn open(directory: &Path, target: &str, log: &str, overlap: Duration) -> Result<(LockedFile, Option<Cursor>), StateError> {
    let locked = LockedFile::lock(directory, &name(target))?;
    let Some(bytes) = locked.read()? else { return Ok((locked, None)) };
    let file = locked.path().display();
    let cursor = match Cursor::decode(&bytes) {
        Ok(cursor) if cursor.log() == log => Some(cursor),
        Ok(cursor) => {
            let renamed_to = locked.quarantine(OTHER_LOG)?;
            let renamed_to = renamed_to.display();
            warn!(target, %file, %renamed_to, of = cursor.log(), now = log, "the read position belongs to another server: the log is read from the start");
            None
        }
        Err(FileFault::Version(version)) => {
            let reason = format!("the file has format {version}, and this version of Postmeter supports {VERSION}");
            return Err(StateError::Version { path: locked.path().to_owned(), reason });
        }
        Err(FileFault::Damaged) => {
            let written = locked.path().metadata().and_then(|metadata| metadata.modified()).map_err(failed(locked.path()))?;
            let renamed_to = locked.quarantine(BROKEN)?;
            let renamed_to = renamed_to.display();
            warn!(target, %file, %renamed_to, "the read position is damaged: records since its last change are sent again");
            Some(Cursor::starting(log, unix_seconds(written), overlap))
        }
    };
    Ok((locked, cursor))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::net::seal;

    const OVERLAP: Duration = Duration::from_secs(10);
    const LOG: &str = "cpanel at a.example.com";

    #[test]
    fn a_written_cursor_is_read_again_and_is_locked() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("not/created");
        let (locked, none) = open(&inside, "a", LOG, OVERLAP).unwrap();
        assert_eq!(none, None);
        // Another process that has the lock may be replacing the file.
        let new = inside.join("messages-a.new");
        std::fs::write(&new, "half").unwrap();
        assert!(matches!(open(&inside, "a", LOG, OVERLAP), Err(StateError::InUse(_))));
        let cursor = Cursor::starting(LOG, 100, Duration::ZERO);
        assert!(new.exists());
        locked.write(&cursor.encode()).unwrap();
        drop(locked);
        std::fs::write(&new, "half").unwrap();
        assert_eq!(open(&inside, "a", LOG, OVERLAP).unwrap().1, Some(cursor));
        assert!(!new.exists(), "a process was killed while it wrote the file");
        assert_eq!(open(&inside, "b", LOG, OVERLAP).unwrap().1, None);
    }

    #[test]
    fn a_damaged_file_is_quarantined_and_a_newer_format_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("messages-a.cursor");
        std::fs::write(&path, "postmeter-cursor 1\nnonsense").unwrap();
        let (locked, cursor) = open(directory.path(), "a", LOG, OVERLAP).unwrap();
        let now = unix_seconds(std::time::SystemTime::now());
        let start = cursor.unwrap().next_start(OVERLAP);
        assert!((now - 60..=now - 9).contains(&start), "{start} at {now}");
        assert!(!path.exists() && directory.path().join("messages-a.cursor.broken").exists());
        drop(locked);
        std::fs::write(&path, seal("cursor", 7, b"")).unwrap();
        let error = open(directory.path(), "a", LOG, OVERLAP).unwrap_err().to_string();
        assert!(error.contains("has format 7"), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn the_cursor_of_another_server_is_quarantined() {
        let directory = tempfile::tempdir().unwrap();
        let (locked, _) = open(directory.path(), "a", LOG, OVERLAP).unwrap();
        let cursor = Cursor::starting(LOG, 100, Duration::ZERO);
        locked.write(&cursor.encode()).unwrap();
        drop(locked);
        assert_eq!(open(directory.path(), "a", LOG, OVERLAP).unwrap().1, Some(cursor));
        assert_eq!(open(directory.path(), "a", "cpanel at b.example.com", OVERLAP).unwrap().1, None);
        assert!(directory.path().join("messages-a.cursor.other").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = open(file.path(), "a", LOG, OVERLAP).unwrap_err().to_string();
        assert!(error.starts_with("state_dir: ") && error.contains("must be a directory"), "{error}");
    }
}
