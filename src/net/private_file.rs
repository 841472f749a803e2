//! Files that only their owner may read, because they have data of a mail server.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The mode of private files.
pub const PRIVATE_FILE_MODE: u32 = 0o600;
/// The mode of directories of private files.
pub const PRIVATE_DIRECTORY_MODE: u32 = 0o700;

/// Creates a directory and those above it.
///
/// # Errors
/// The error of the file system.
pub fn create_private_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY_MODE).create(directory)
}

/// Replaces the content of a file. It is written under another name, synced and renamed, and then the directory is synced: after a crash
/// there is either the old content or the new one. If that fails, the file with the other name is removed.
///
/// # Errors
/// The error of the file system.
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, true)?;
    sync_directory(path.parent().unwrap_or(Path::new("")))
}

/// Syncs a directory, so that the names of its files survive a power failure.
///
/// # Errors
/// The error of the file system.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    // The parent of a relative path with one component is the empty path.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// The same as [`replace_private_file`] for a file that is replaced often: nothing is synced, so a power failure can lose its content.
///
/// # Errors
/// The error of the file system.
pub fn replace_unsynced_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, false)
}

/// Removes what a process that was killed may have left when it replaced the file. No other process may replace the file at the same time.
///
/// # Errors
/// The error of the file system.
pub(crate) fn remove_unfinished_replacement(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(temporary(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The name under which the new content of a file is written.
fn temporary(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn replace(path: &Path, bytes: &[u8], is_synced: bool) -> io::Result<()> {
    let temporary = temporary(path);
    let replaced = write(&temporary, bytes, is_synced).and_then(|()| std::fs::rename(&temporary, path));
    if replaced.is_err() {
        // On a full disk, even an incomplete file uses space that other files need.
        let _ = std::fs::remove_file(&temporary);
    }
    replaced
}

fn write(path: &Path, bytes: &[u8], is_synced: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(PRIVATE_FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    if is_synced { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_replacement_that_fails_leaves_the_old_content_and_no_other_file() {
        for replace in [replace_private_file, replace_unsynced_file] {
            let dir = tempfile::tempdir().unwrap();
            let (path, new) = (dir.path().join("a.positions"), dir.path().join("a.new"));
            replace(&path, b"old").unwrap();
            // Every write to this device fails as on a full disk.
            symlink("/dev/full", &new).unwrap();
            assert_eq!(replace(&path, b"newer").unwrap_err().kind(), ErrorKind::StorageFull);
            assert_eq!((fs::read(&path).unwrap(), fs::symlink_metadata(&new).is_ok()), (b"old".to_vec(), false));
            replace(&path, b"newest").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"newest");
            // It cannot be renamed.
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            assert!(replace(&path, b"new").is_err() && !new.exists());
        }
    }

    #[test]
    fn the_replacement_of_a_process_that_was_killed_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("a.positions"), dir.path().join("a.new"));
        fs::write(&new, "half").unwrap();
        remove_unfinished_replacement(&path).unwrap();
        assert!(!new.exists());
        remove_unfinished_replacement(&path).unwrap();
    }
}
