//! The files that were read to their ends.

use super::identity::FileIdentity;
use super::log_source::LogSource;
use std::collections::VecDeque;
use std::io;

/// The largest number of files that are remembered.
const FINISHED_MAX: usize = 32;

/// The last files that were read to their ends.
#[derive(Debug, Default)]
pub(super) struct FinishedFiles {
    identities: VecDeque<FileIdentity>,
}

impl FinishedFiles {
    /// Adds a file, unless it is empty: every file begins like an empty one.
    pub(super) fn add(&mut self, identity: &FileIdentity) {
        if identity.head_bytes == 0 {
            return;
        }
        if self.identities.len() == FINISHED_MAX {
            self.identities.pop_front();
        }
        self.identities.push_back(identity.clone());
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
