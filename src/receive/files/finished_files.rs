//! The files that were read to their ends.

use super::identity::{FileIdentity, Identified as _};
use super::log_files::list;
use super::log_source::LogSource;
use super::positions::FilePosition;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The largest number of files that are remembered.
const FINISHED_MAX: usize = 32;
/// The time for which the last one is still read: programs that have it open may write to it.
const LATE_MAX: Duration = Duration::from_secs(60);

/// The last files that were read to their ends.
#[derive(Debug, Default)]
pub(super) struct FinishedFiles {
    identities: VecDeque<FileIdentity>,
    /// The last one, which may still grow.
    last: Option<LastFile>,
    /// The position in the last one before the start.
    saved: Option<FilePosition>,
}

/// The last file that was read to its end.
#[derive(Debug)]
pub(super) struct LastFile {
    pub source: LogSource,
    pub position: FilePosition,
    until: SystemTime,
}

impl LastFile {
    /// Returns `true` if there is more to read.
    pub(super) fn has_grown(&self) -> io::Result<bool> {
        Ok(!self.source.is_compressed() && self.source.metadata()?.len() > self.position.offset)
    }
}

impl FinishedFiles {
    /// Continues with the last file of an earlier run.
    pub(super) fn new(saved: Option<FilePosition>) -> Self {
        let identities = saved.iter().map(|position| position.identity.clone()).filter(|identity| identity.head_bytes > 0).collect();
        Self { identities, last: None, saved }
    }

    /// Adds a file, unless it is empty: every file begins like an empty one.
    pub(super) fn add(&mut self, source: LogSource, position: FilePosition, now: SystemTime) {
        if position.identity.head_bytes > 0 {
            if self.identities.len() == FINISHED_MAX {
                self.identities.pop_front();
            }
            self.identities.push_back(position.identity.clone());
        }
        self.last = Some(LastFile { source, position, until: now + LATE_MAX });
    }

    /// The position in the last file, while it is read.
    pub(super) fn last_position(&self) -> Option<&FilePosition> {
        self.last.as_ref().map(|last| &last.position).or(self.saved.as_ref())
    }

    /// Opens the last file of an earlier run, and closes the last file after some time. Returns `true` if its position is not needed any more.
    pub(super) fn update(&mut self, log: &Path, now: SystemTime) -> io::Result<bool> {
        if let Some(saved) = self.saved.take() {
            for file in list(log)?.into_iter().filter(|file| file.has_inode_of(&saved.identity)) {
                let Ok(source) = file.open() else { continue };
                if saved.identity.is_of(&source)? {
                    self.last = Some(LastFile { source, position: saved, until: now + LATE_MAX });
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let is_over = |last: &mut LastFile| last.until < now && !last.has_grown().unwrap_or(false);
        Ok(self.last.take_if(is_over).is_some())
    }

    pub(super) const fn take_last(&mut self) -> Option<LastFile> {
        self.last.take()
    }

    pub(super) fn put_last(&mut self, last: LastFile) {
        self.last = Some(last);
    }

    /// Returns `true` if the file is among them, perhaps compressed since.
    pub(super) fn contains(&self, source: &LogSource) -> io::Result<bool> {
        for identity in &self.identities {
            let is_same = if source.is_compressed() { identity.is_beginning_of(source)? } else { identity.is_of(source)? };
            if is_same {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
