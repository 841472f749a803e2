//! The requests in the directory of a spool that is not open.

use super::request_file::RequestFileName;
use super::store::SpoolSignal;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The requests in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRequests {
    pub dir: PathBuf,
    pub requests: usize,
    /// The number of data points (or log records) in the requests.
    pub points: u64,
}

impl StoredRequests {
    /// Counts the requests of a signal, by the names of their files. Another process may be using the directory.
    ///
    /// # Errors
    /// The directory exists and cannot be read.
    pub(crate) fn count(parent: &Path, signal: SpoolSignal) -> io::Result<Self> {
        let mut stored = Self { dir: parent.join(signal.dir()), requests: 0, points: 0 };
        let files = match fs::read_dir(&stored.dir) {
            Ok(files) => files,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(stored),
            Err(error) => return Err(error),
        };
        for file in files {
            if let Some(name) = file?.file_name().to_str().and_then(RequestFileName::parse) {
                stored.requests += 1;
                stored.points = stored.points.saturating_add(name.points);
            }
        }
        Ok(stored)
    }
}
