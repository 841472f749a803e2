//! Threads for the journals of recent records: a journal that does not respond holds up neither other targets nor the end of the process.

use super::intake::Intake;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The longest wait for a journal. Half of the time in which a sender expects a response, so that the requests of other targets are in
/// time.
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
        let own = intake.journal_permit.clone().try_acquire_owned().map_err(|_| unresponsive())?;
        let shared = self.0.clone().try_acquire_owned().map_err(|_| {
            let directory = intake.journal_path().with_file_name("");
            let problem = format!(
                "the files of {THREADS_MAX} other targets in {} do not respond; check for a lost network mount",
                directory.display()
            );
            io::Error::new(ErrorKind::TimedOut, problem)
        })?;
        let of_thread = intake.clone();
        let run = move || {
            let result = operation(&of_thread);
            drop((own, shared));
            result
        };
        let finished = timeout(JOURNAL_WAIT_MAX, spawn_blocking(run)).await.map_err(|_| unresponsive())?;
        finished.map_err(io::Error::other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::receive::ReceiveLimits;
    use crate::receive::intake::Intakes;

    #[tokio::test]
    async fn without_a_free_thread_the_error_does_not_name_a_journal_that_was_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let intake = Intakes::new(dir.path().to_owned(), ReceiveLimits::default()).of("mta1", |_| true);
        let threads = JournalThreads(Arc::new(Semaphore::new(1)));
        let occupied = threads.0.clone().try_acquire_owned().unwrap();
        let error = threads.run(&intake, |_| ()).await.unwrap_err().to_string();
        assert!(error.contains("8 other targets") && !error.contains("mta1"), "{error}");
        drop(occupied);
        threads.run(&intake, |_| ()).await.unwrap();
        let _own = intake.journal_permit.clone().try_acquire_owned().unwrap();
        let error = threads.run(&intake, |_| ()).await.unwrap_err().to_string();
        assert!(error.contains("mta1.uids does not respond within 2 s"), "{error}");
    }
}
