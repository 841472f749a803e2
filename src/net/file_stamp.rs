//! Detection of changed files.
//!
//! # Files are polled
//!
//! A `stat` every few seconds detects what inotify does not: files on network and overlay file systems, a directory that is created
//! later, and a symbolic link two levels up that now points elsewhere, which is how Kubernetes replaces a mounted ConfigMap.
//!
//! # A change counts once the file has settled
//!
//! A change counts when two checks in a row find the same state: a file is not read while it is being written, and a file that an editor
//! replaces does not count as deleted.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time between two checks of a file.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Metadata that changes when a file is written or replaced. Symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// The stamp of a file, or `None` if the file does not exist or cannot be inspected.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// The stamps of several files at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileStamps(Vec<(PathBuf, Option<FileStamp>)>);

impl FileStamps {
    /// Inspects these files.
    pub(crate) fn of<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        Self(paths.into_iter().map(|path| (path.to_owned(), FileStamp::of(path))).collect())
    }

    /// Replaces the stamp of one of the files: the file was read earlier, and had this stamp then.
    pub(crate) fn set(&mut self, path: &Path, stamp: Option<FileStamp>) {
        self.0.iter_mut().filter(|(known, _)| known == path).for_each(|(_, known)| *known = stamp);
    }

    /// Returns true if these files have the same stamps in both. A file that was not inspected counts as missing.
    pub(crate) fn agrees<'p>(&self, other: &Self, mut paths: impl Iterator<Item = &'p Path>) -> bool {
        paths.all(|path| self.get(path) == other.get(path))
    }

    fn get(&self, path: &Path) -> Option<FileStamp> {
        self.0.iter().find(|(known, _)| known == path).and_then(|(_, stamp)| *stamp)
    }
}

/// Files that are checked at intervals.
#[derive(Clone, Debug, Default)]
pub struct FileWatch {
    read: FileStamps,
    last: FileStamps,
}

impl FileWatch {
    /// Records the present state of the files. Call this before the files are read.
    pub fn mark<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) {
        self.read = FileStamps::of(paths);
        self.last = self.read.clone();
    }

    /// Checks the files. Returns true if they differ from when they were marked, and have settled: the files should be read again.
    pub fn has_changed<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) -> bool {
        let now = FileStamps::of(paths);
        let is_settled = now == self.last;
        self.last = now;
        is_settled && !self.last.agrees(&self.read, self.last.0.iter().map(|(path, _)| path.as_path()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_counts_at_the_second_check_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        // A file that was never marked counts as missing.
        let mut watch = FileWatch::default();
        let mut expect = |expected: [bool; 3]| {
            for expected in expected {
                let changed = watch.has_changed([path.as_path()]);
                assert_eq!(changed, expected);
                if changed {
                    watch.mark([path.as_path()]);
                }
            }
        };
        expect([false, false, false]);
        fs::write(&path, "one").unwrap();
        expect([false, true, false]);
        fs::write(&path, "longer").unwrap();
        expect([false, true, false]);
        // A file that is replaced by a file with the same content.
        fs::write(directory.path().join("other"), "longer").unwrap();
        fs::rename(directory.path().join("other"), &path).unwrap();
        expect([false, true, false]);
        fs::remove_file(&path).unwrap();
        expect([false, true, false]);
    }

    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("file"), "same").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/file", at("file")).unwrap();
        let path = at("file");
        let mut watch = FileWatch::default();
        watch.mark([path.as_path()]);
        assert!(!watch.has_changed([path.as_path()]));
        symlink("..2", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
        assert_eq!([(); 2].map(|()| watch.has_changed([path.as_path()])), [false, true]);
    }

    #[test]
    fn files_that_are_still_being_written_have_not_changed_yet() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        let mut watch = FileWatch::default();
        fs::write(&first, "").unwrap();
        watch.mark([first.as_path(), &second]);
        for length in 1..5 {
            fs::write(&second, "x".repeat(length)).unwrap();
            assert!(!watch.has_changed([first.as_path(), &second]));
        }
        assert!(watch.has_changed([first.as_path(), &second]));
    }
}
