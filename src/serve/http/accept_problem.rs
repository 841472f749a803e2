//! Log lines about a listener that cannot accept connections.

use crate::net::ProblemLog;
use std::io;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// The time without an error after which the problem has ended. While files or memory are scarce, every connection that is closed allows
/// another one.
const RECOVERY: Duration = Duration::from_secs(60);
/// The error number of a process that has too many open files.
const EMFILE: i32 = 24;
/// The error number of a system that has too many open files.
const ENFILE: i32 = 23;

/// The problem of a listener.
#[derive(Debug)]
pub(super) struct AcceptProblem {
    listener: &'static str,
    /// The number of the error.
    log: ProblemLog<Option<i32>>,
    last_error: Option<Instant>,
}

impl AcceptProblem {
    /// `listener` is its name in log lines.
    pub(super) const fn new(listener: &'static str) -> Self {
        Self { listener, log: ProblemLog::new(), last_error: None }
    }

    /// Logs an error once, until [`Self::end`].
    pub(super) fn start(&mut self, error: &io::Error, now: Instant) {
        self.last_error = Some(now);
        if self.log.start_at(error.raw_os_error(), now) {
            let (listener, advice, note) = (self.listener, advice(error), self.log.note());
            warn!("{listener} cannot accept connections: {error}{advice}{note}");
        }
    }

    /// Notes an accepted connection. It ends the problem after a time without an error.
    pub(super) fn end(&mut self, now: Instant) {
        if self.last_error.take_if(|at| now.saturating_duration_since(*at) >= RECOVERY).is_some() && self.log.end().is_some() {
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

    #[test]
    fn an_error_between_accepted_connections_is_logged_once() {
        let (mut problem, mut now) = (AcceptProblem::new("the pull endpoint"), Instant::now());
        let error = io::Error::from_raw_os_error(EMFILE);
        assert!(advice(&error).contains("LimitNOFILE"));
        for _ in 0..100 {
            problem.start(&error, now);
            now += RECOVERY / 2;
            problem.end(now);
            assert!(problem.log.is_current(&error.raw_os_error()), "the same episode");
        }
        problem.end(now + RECOVERY / 2);
        assert!(!problem.log.is_ongoing() && problem.last_error.is_none());
    }
}
