//! The files that were read to their ends.

use super::identity::{FileIdentity, Identified as _};
use super::log_source::LogSource;
use super::positions::FilePosition;
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime};

/// The largest number of files that are remembered.
const FINISHED_MAX: usize = 32;
/// The time after which the last one is closed: programs that have it open may have written to it, which is a loss.
const LATE_MAX: Duration = Duration::from_secs(60);

/// The last files that were read to their ends.
#[derive(Debug, Default)]
pub(super) struct FinishedFiles {
    identities: VecDeque<FileIdentity>,
    /// The last one, which may still grow.
    last: Option<LastFile>,
}

/// The last file that was read to its end.
#[derive(Debug)]
struct LastFile {
    source: LogSource,
    end: u64,
    until: SystemTime,
}

impl LastFile {
    /// The number of bytes that were written after its end.
    fn late_bytes(&self) -> Option<u64> {
        let length = self.source.metadata().ok().filter(|_| !self.source.is_compressed())?.len();
        length.checked_sub(self.end).filter(|bytes| *bytes > 0)
    }
}

impl FinishedFiles {
    /// Adds a file. Returns the number of bytes that were written to the one before after its end.
    pub(super) fn add(&mut self, source: LogSource, position: &FilePosition, now: SystemTime) -> Option<u64> {
        if self.identities.len() == FINISHED_MAX {
            self.identities.pop_front();
        }
        self.identities.push_back(position.identity.clone());
        let before = self.last.replace(LastFile { source, end: position.offset, until: now + LATE_MAX });
        before?.late_bytes()
    }

    /// Closes the last file after some time. Returns the number of bytes that were written to it after its end.
    pub(super) fn close_last(&mut self, now: SystemTime) -> Option<u64> {
        self.last.take_if(|last| last.until < now)?.late_bytes()
    }

    /// Returns `true` if the file is among them, perhaps compressed since.
    pub(super) fn contains(&self, source: &LogSource) -> io::Result<bool> {
        for identity in &self.identities {
            let is_same = match identity.head_bytes {
                // Every file begins like an empty one.
                0 => *identity == FileIdentity::of(source)?,
                _ if source.is_compressed() => identity.is_beginning_of(source)?,
                _ => identity.is_of(source)?,
            };
            if is_same {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
