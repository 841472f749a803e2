//! Threads for the journals of recent records: a journal that does not respond holds up neither other targets nor the end of the process.

use super::intake::Intake;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The longest wait for a journal. Half of the time in which a sender expects a response, so that the requests of other targets are in time.
const JOURNAL_WAIT_MAX: Duration = Duration::from_secs(2);
/// The largest number of journals that may not respond at the same time. With more, all further ones fail at once.
const THREADS_MAX: usize = 8;

/// The threads of all journals, which are used one after another.
#[derive(Debug)]
pub(super) struct JournalThreads(Arc<Semaphore>);

impl Default for JournalThreads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(THREADS_MAX)))
    }
}

impl JournalThreads {
    /// Runs an operation on the journal of a target.
    ///
    /// # Errors
    /// The result is not there in time, and the thread continues; or an earlier operation has not ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        intake: &Arc<Intake>,
        operation: impl FnOnce(&Intake) -> T + Send + 'static,
    ) -> io::Result<T> {
        let unresponsive = || {
            let (path, seconds) = (intake.journal_path(), JOURNAL_WAIT_MAX.as_secs());
            let problem = format!("{} does not respond within {seconds} s; check for a lost network mount", path.display());
            io::Error::new(ErrorKind::TimedOut, problem)
        };
        // Operations follow one another, so that an occupied permit is that of one which timed out.
        let (own, shared) = (intake.journal_permit.clone().try_acquire_owned(), self.0.clone().try_acquire_owned());
        let permits = own.ok().zip(shared.ok()).ok_or_else(unresponsive)?;
        let of_thread = intake.clone();
        let run = move || {
            let result = operation(&of_thread);
            drop(permits);
            result
        };
        let finished = timeout(JOURNAL_WAIT_MAX, spawn_blocking(run)).await.map_err(|_| unresponsive())?;
        finished.map_err(io::Error::other)
    }
}
