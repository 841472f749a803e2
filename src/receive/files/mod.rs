//! Log files on this machine: their records are stored in the same way as those of requests.
//!
//! A [`LogFileFollower`] reads the files of one target at an interval, in rounds of limited size, on a blocking thread. The records of a
//! round are stored by the [store](super::RecordStore), and then the read positions are saved. So a crash loses nothing; what is read again
//! after it has the same `log.record.uid`, and is recognized.
//!
//! # Identity of a file
//!
//! A file can be renamed, truncated, or replaced by another one with the same name. It is recognized by its device and inode and a checksum
//! of its beginning.

mod finished_files;
mod follower;
mod identity;
mod log_files;
mod log_name;
mod log_source;
mod loss_log;
mod positions;
mod rotating_log;
mod segment;
mod segment_directory;

pub use follower::LogFileFollower;

use crate::source::HookPage;
use std::time::Duration;

/// The pause after records could not be stored.
const STORE_RETRY: Duration = Duration::from_secs(2);
/// The size of the text that is read in a round.
const ROUND_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The size of the text of one file in a round, so that files that grow at the same time are read in turn.
const FILE_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// The lines of one file in a round.
const FILE_LINES_MAX: usize = 10_000;
/// The size of a piece of a file that is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// The contents of a round.
#[derive(Debug, Default)]
struct Round {
    page: HookPage,
    /// Files that could not be read in this round, in one line. They are tried again.
    problem: Option<String>,
    /// Losses in a file, or possible ones, each as a log line: damage, or a file that was removed before it was read. No retry would help.
    losses: Vec<String>,
    /// The number of deliveries of messages without earlier lines.
    unjoined: u64,
    /// There is more to read.
    has_more: bool,
    /// The positions have changed.
    has_moved: bool,
}
