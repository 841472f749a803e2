//! Files that only their owner may read, because they have data of a mail server.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

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

/// Replaces the content of a file. It is written under another name, synced and renamed, and then the directory is synced: after a crash there is
/// either the old content or the new one.
///
/// # Errors
/// The error of the file system.
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    write(&temporary, bytes)?.sync_all()?;
    std::fs::rename(&temporary, path)?;
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
    let temporary = path.with_extension("new");
    write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(PRIVATE_FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}
