//! The file in `state_dir` with the totals of counters that Postmeter adds up itself, so that they continue after it was restarted.
//!
//! # Written before the reading is published
//!
//! A total that is lower after a restart than what was exported before would count as a reset. The file is not synced, because a fleet
//! would write many of them each second: a power failure can lose it, as if there was none.

use super::target::PollMemory;
use crate::config;
use crate::net::{FileThread, ProblemLog, create_private_directory, hex, open_regular_file, read_if_exists, replace_unsynced_file};
use crate::source::Totals;
use ring::digest::{SHA256, digest};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::warn;

/// The bytes of a file that are read. Files that Postmeter writes are smaller.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The file of one target.
#[derive(Debug)]
pub(super) struct TotalsFile {
    target: String,
    path: PathBuf,
    /// A hash of what identifies the server: the totals of another one are not continued.
    server: String,
    thread: FileThread,
}

/// The state of the file, which changes with each poll.
#[derive(Debug, Default)]
pub(super) struct TotalsState {
    is_read: bool,
    /// The totals that the file has.
    written: Option<Totals>,
    problem: ProblemLog<String>,
}

impl TotalsFile {
    /// The file of a target.
    pub(super) fn new(directory: &Path, target: &config::Target) -> Arc<Self> {
        let identity = format!("{} {} {:?}", target.source.name, target.url, target.credentials.username);
        let server = hex(digest(&SHA256, identity.as_bytes()).as_ref());
        let path = directory.join(format!("totals-{}.json", target.name));
        Arc::new(Self { target: target.name.clone(), path, server, thread: FileThread::default() })
    }

    /// Continues the totals of the earlier process, before the first mapping.
    pub(super) async fn read(self: &Arc<Self>, memory: &mut PollMemory) {
        if std::mem::replace(&mut memory.totals.is_read, true) {
            return;
        }
        let file = self.clone();
        let read = self.thread.run(move || file.read_now()).await.map_err(|error| error.to_string());
        let totals = read.and_then(|read| read.map_err(|error| error.to_string()));
        let totals = totals.unwrap_or_else(|error| {
            warn!(target = self.target, file = %self.path.display(), "the totals of counters cannot be read, and begin again: {error}");
            Totals::default()
        });
        memory.counters.continue_from(totals);
    }

    /// Writes the totals if they have changed.
    pub(super) async fn write(self: &Arc<Self>, memory: &mut PollMemory) {
        let Some(totals) = memory.counters.totals().filter(|totals| !totals.points.is_empty()) else { return };
        if memory.totals.written.as_ref().is_some_and(|written| written.is_same(totals)) {
            return;
        }
        let (file, totals) = (self.clone(), totals.clone());
        let bytes = totals.encode(&self.server);
        let written = self.thread.run(move || file.write_now(&bytes)).await.map_err(|error| error.to_string());
        let written = written.and_then(|written| written.map_err(|error| error.to_string()));
        memory.totals.written = written.is_ok().then_some(totals);
        match written {
            Err(error) => {
                if let Some(note) = memory.totals.problem.start(error.clone()) {
                    let file = self.path.display();
                    warn!(target = self.target, %file, "the totals of counters cannot be written, so they would begin again after a restart: {error}{note}");
                }
            }
            Ok(()) => {
                memory.totals.problem.end();
            }
        }
    }

    fn read_now(&self) -> io::Result<Totals> {
        match read_if_exists(open_regular_file(&self.path), FILE_BYTES_MAX)? {
            Some(bytes) => {
                Totals::decode(&self.server, &bytes).ok_or_else(|| io::Error::other("the file is damaged, or of another version"))
            }
            None => Ok(Totals::default()),
        }
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), create_private_directory)?;
        replace_unsynced_file(&self.path, bytes)
    }
}
