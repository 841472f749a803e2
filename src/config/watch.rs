//! Whether a file is another than the one that was read.
//!
//! # By looking, not by being told
//!
//! Looking every few seconds sees what inotify does not: files on network and overlay file systems, a folder that appears
//! later, and a symbolic link two levels up that now leads elsewhere, which is how Kubernetes replaces a mounted ConfigMap.
//! It costs one `stat` for each file.
//!
//! # A change counts once two looks in a row have seen the same
//!
//! So a file that is being written is not read in half, and one that an editor replaces is not gone.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How long between two looks.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What changes when a file does, links followed.
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

/// A file that is looked at again and again.
#[derive(Clone, Debug, Default)]
pub struct FileWatch {
    read: Option<Stamp>,
    seen: Option<Stamp>,
}

impl FileWatch {
    /// The file as it is now is about to be read.
    pub fn mark(&mut self, path: &Path) {
        self.read = Stamp::of(path).ok();
        self.seen = self.read;
    }

    /// Looks, and says whether the file should be read again.
    pub fn look(&mut self, path: &Path) -> bool {
        let now = Stamp::of(path).ok();
        let settled = now == self.seen;
        self.seen = now;
        settled && now != self.read
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_counts_at_the_second_look_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut watch = FileWatch::default();
        let mut looks = |expected: [bool; 3]| {
            for expected in expected {
                let changed = watch.look(&path);
                assert_eq!(changed, expected);
                if changed {
                    watch.mark(&path);
                }
            }
        };
        looks([false, false, false]);
        fs::write(&path, "one").unwrap();
        looks([false, true, false]);
        fs::write(&path, "longer").unwrap();
        looks([false, true, false]);
        // A file that is replaced by its like.
        fs::write(folder.path().join("other"), "longer").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        looks([false, true, false]);
        fs::remove_file(&path).unwrap();
        looks([false, true, false]);
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("file"), "same").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/file", at("file")).unwrap();
        let mut watch = FileWatch::default();
        watch.mark(&at("file"));
        assert!(!watch.look(&at("file")));
        symlink("..2", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
        assert_eq!([watch.look(&at("file")), watch.look(&at("file"))], [false, true]);
    }

    #[test]
    fn a_file_that_is_still_being_written_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut watch = FileWatch::default();
        for length in 1..5 {
            fs::write(&path, "x".repeat(length)).unwrap();
            assert!(!watch.look(&path));
        }
        assert!(watch.look(&path));
    }
}
