//! Log lines about a listener that cannot accept connections.

use crate::net::Episode;
use std::io;
use std::time::Instant;
use tracing::{info, warn};

/// The error number of a process that has too many open files.
const EMFILE: i32 = 24;
/// The error number of a system that has too many open files.
const ENFILE: i32 = 23;

/// The problem of a listener. It lasts until there is no error for a time: while files or memory are scarce, every connection that is
/// closed allows another one.
#[derive(Debug)]
pub(super) struct AcceptProblem {
    listener: &'static str,
    /// The number of the error.
    errors: Episode<Option<i32>>,
}

impl AcceptProblem {
    /// `listener` is its name in log lines.
    pub(super) const fn new(listener: &'static str) -> Self {
        Self { listener, errors: Episode::new() }
    }

    /// Logs an error once, until [`Self::end`].
    pub(super) fn start(&mut self, error: &io::Error, now: Instant) {
        if let Some(note) = self.errors.start(error.raw_os_error(), now) {
            let (listener, advice) = (self.listener, advice(error));
            warn!("{listener} cannot accept connections: {error}{advice}{note}");
        }
    }

    /// Notes an accepted connection. It ends the problem after a time without an error.
    pub(super) fn end(&mut self, now: Instant) {
        if self.errors.end(now) {
            info!("{} accepts connections again", self.listener);
        }
    }
}

/// Returns the advice for an error.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(EMFILE) => "; raise the limit of open files (LimitNOFILE= of a systemd unit, ulimit -n)",
        Some(ENFILE) => "; raise the limit of open files of the system (sysctl fs.file-max)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::RECOVERY;

    #[test]
    fn an_error_between_accepted_connections_is_logged_once() {
        let (mut problem, mut now) = (AcceptProblem::new("the pull endpoint"), Instant::now());
        let error = io::Error::from_raw_os_error(EMFILE);
        problem.start(&error, now);
        for _ in 0..100 {
            now += RECOVERY / 2;
            problem.end(now);
            assert!(problem.errors.start(error.raw_os_error(), now).is_none(), "the same episode");
        }
        problem.end(now + RECOVERY);
        assert!(problem.errors.start(error.raw_os_error(), now).is_some());
    }

    #[test]
    fn the_advice_depends_on_the_error() {
        for (error, expected) in [(EMFILE, "LimitNOFILE"), (ENFILE, "fs.file-max")] {
            assert!(advice(&io::Error::from_raw_os_error(error)).contains(expected));
        }
        assert_eq!(advice(&io::ErrorKind::ConnectionAborted.into()), "");
    }
}
