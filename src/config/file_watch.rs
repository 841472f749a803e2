//! Detects changes of a file.
//!
//! # Why files are polled
//!
//! Polling detects changes that inotify does not report: files on network and overlay file systems, a directory that is created later,
//! and a symbolic link two levels up that is replaced, which is how Kubernetes updates a mounted ConfigMap. It costs one `stat` per file.
//!
//! # A change is reported when two consecutive checks agree
//!
//! Therefore a file that is being written is not read too early, and a file that an editor replaces is not considered deleted.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The time between two checks.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Metadata that changes with the content of a file. Links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// The state of a file at the last read and at the last check.
#[derive(Clone, Debug, Default)]
pub struct FileWatch {
    at_read: Option<Stamp>,
    at_check: Option<Stamp>,
}

impl FileWatch {
    /// Records the state of the file before it is read.
    pub fn mark_read(&mut self, path: &Path) {
        self.at_read = Stamp::of(path).ok();
        self.at_check = self.at_read;
    }

    /// Checks the file, and returns `true` if it should be read again.
    pub fn has_changed(&mut self, path: &Path) -> bool {
        let now = Stamp::of(path).ok();
        let is_settled = now == self.at_check;
        self.at_check = now;
        is_settled && now != self.at_read
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_is_reported_once_at_the_second_check() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut watch = FileWatch::default();
        let mut check = |expected: [bool; 3]| {
            for expected in expected {
                let changed = watch.has_changed(&path);
                assert_eq!(changed, expected);
                if changed {
                    watch.mark_read(&path);
                }
            }
        };
        check([false, false, false]);
        fs::write(&path, "one").unwrap();
        check([false, true, false]);
        fs::write(&path, "longer").unwrap();
        check([false, true, false]);
        // A file with the same content replaces it.
        fs::write(folder.path().join("other"), "longer").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        check([false, true, false]);
        fs::remove_file(&path).unwrap();
        check([false, true, false]);
    }

    #[test]
    fn a_replaced_link_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("file"), "same").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/file", at("file")).unwrap();
        let mut watch = FileWatch::default();
        watch.mark_read(&at("file"));
        assert!(!watch.has_changed(&at("file")));
        symlink("..2", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
        assert_eq!([watch.has_changed(&at("file")), watch.has_changed(&at("file"))], [false, true]);
    }

    #[test]
    fn a_file_that_is_being_written_is_not_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut watch = FileWatch::default();
        for length in 1..5 {
            fs::write(&path, "x".repeat(length)).unwrap();
            assert!(!watch.has_changed(&path));
        }
        assert!(watch.has_changed(&path));
    }
}
