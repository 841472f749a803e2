//! The newest records of a target on disk, so that they are known after a restart.
//!
//! Two files of 8 bytes per record: one that grows, and the previous one, which is replaced when the first is full. They are not synced:
//! the end of the process loses nothing, and after a power failure a repeated record is exported again, with the same `log.record.uid`.

use crate::net::{PRIVATE_FILE_MODE, Recent, create_private_directory, read_if_exists};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The directory of the files, inside `state_dir`.
const DIR: &str = "received";
/// Bytes of a record.
const UID_BYTES: usize = 8;
/// More than the number of records that are ever appended together.
const APPENDED_MAX: usize = 250_000;

/// The short identities of the newest records of a target, by which repeated ones are recognized.
pub(super) type RecentUids = Recent<u64>;

/// The journal of one target. All operations block on the disk.
#[derive(Debug)]
pub(super) struct UidJournal {
    path: PathBuf,
    file: File,
    /// The number of records in the file that grows.
    len: usize,
    /// The number of records of a full file.
    max: usize,
}

/// Returns `true` if there is a journal of a target.
pub(super) fn exists(state_dir: &Path, target: &str) -> bool {
    path(state_dir, target).exists()
}

/// The path of the journal of a target: of the file that grows.
pub(super) fn path(state_dir: &Path, target: &str) -> PathBuf {
    state_dir.join(DIR).join(format!("{target}.uids"))
}

impl UidJournal {
    /// Opens the journal of a target, and returns the newest `max` records in it.
    pub(super) fn open(state_dir: &Path, target: &str, max: usize) -> io::Result<(Self, RecentUids)> {
        let dir = state_dir.join(DIR);
        create_private_directory(&dir)?;
        let path = path(state_dir, target);
        let mut recent = RecentUids::new(max);
        for uid in read(&previous(&path), max)? {
            recent.add(uid);
        }
        let current = read(&path, max)?;
        let len = current.len();
        for uid in current {
            recent.add(uid);
        }
        let file = append_to(&path)?;
        // The process may have ended in the middle of a record.
        file.set_len((len * UID_BYTES) as u64)?;
        Ok((Self { path, file, len, max }, recent))
    }

    /// Appends records.
    pub(super) fn append(&mut self, uids: &[u64]) -> io::Result<()> {
        if self.len >= self.max {
            fs::rename(&self.path, previous(&self.path))?;
            self.file = append_to(&self.path)?;
            self.len = 0;
        }
        let bytes: Vec<u8> = uids.iter().flat_map(|uid| uid.to_le_bytes()).collect();
        if let Err(error) = self.file.write_all(&bytes) {
            // A part of a record would shift all that follow.
            let _ = self.file.set_len((self.len * UID_BYTES) as u64);
            return Err(error);
        }
        self.len += uids.len();
        Ok(())
    }
}

fn previous(path: &Path) -> PathBuf {
    path.with_extension("uids.previous")
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(PRIVATE_FILE_MODE).open(path)
}

/// Reads the whole records of a file. A missing file is empty.
fn read(path: &Path, max: usize) -> io::Result<Vec<u64>> {
    // A file has at most one batch more than the limit.
    let bytes_max = ((max + APPENDED_MAX) * UID_BYTES) as u64;
    let bytes = read_if_exists(File::open(path), bytes_max)?.unwrap_or_default();
    Ok(bytes.as_chunks::<UID_BYTES>().0.iter().map(|uid| u64::from_le_bytes(*uid)).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_knows_the_newest_records() {
        let dir = tempfile::tempdir().unwrap();
        const MAX: usize = 20_000;
        let total = 2 * MAX + 500;
        let uids: Vec<u64> = (0..total as u64).collect();
        let (mut journal, _) = UidJournal::open(dir.path(), "mta1", MAX).unwrap();
        for batch in uids.chunks(1000) {
            journal.append(batch).unwrap();
        }
        let (_, recent) = UidJournal::open(dir.path(), "mta1", MAX).unwrap();
        let oldest = (total - MAX) as u64;
        assert!(recent.contains(&oldest) && recent.contains(&(total as u64 - 1)) && !recent.contains(&(oldest - 1)));
        let (_, other) = UidJournal::open(dir.path(), "mta2", MAX).unwrap();
        assert!(!other.contains(&(total as u64 - 1)));
    }

    #[test]
    fn a_record_that_was_cut_off_is_ignored() {
        const MAX: usize = 100;
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = UidJournal::open(dir.path(), "mta1", MAX).unwrap();
        journal.append(&[1, 2]).unwrap();
        let path = dir.path().join("received/mta1.uids");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&[7; 3]).unwrap();
        let (mut journal, recent) = UidJournal::open(dir.path(), "mta1", MAX).unwrap();
        assert!(recent.contains(&1) && recent.contains(&2));
        journal.append(&[3]).unwrap();
        let (_, recent) = UidJournal::open(dir.path(), "mta1", MAX).unwrap();
        assert!(recent.contains(&3) && recent.contains(&2));
    }
}
