//! Opens files of the operator. Opening a named pipe waits for a writer, and a device has no end, so only regular files are opened.

use super::explain_denied_access;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a regular file for reading, or the one that a link refers to.
///
/// # Errors
/// The file cannot be opened, or is a directory, a named pipe, a socket or a device.
pub(crate) fn open_regular_file(path: &Path) -> io::Result<File> {
    // It has no effect on a regular file, and opens a named pipe without waiting.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| explain_denied_access(path, error))?;
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Err(Error::new(ErrorKind::InvalidInput, "it is not a regular file, but a named pipe, a socket or a device")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        symlink(path("file"), path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RWXU).unwrap();
        symlink(path("pipe"), path("link of a pipe")).unwrap();
        symlink("/dev/zero", path("link of a device")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for name in ["file", "link"] {
            let mut text = String::new();
            open_regular_file(&path(name)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "text", "{name}");
        }
        for name in [".", "pipe", "link of a pipe", "link of a device", "socket", "none"] {
            assert!(open_regular_file(&path(name)).is_err(), "{name}");
        }
    }
}
