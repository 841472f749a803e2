//! Reads files on a thread of its own: a file on a lost network mount may never respond, and would block the requests of others.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The longest wait for files.
const FILE_WAIT_MAX: Duration = Duration::from_secs(5);
/// The threads that read files at the same time. More than one may be blocked for ever by files of different owners.
const THREADS_MAX: usize = 32;

static THREADS: Semaphore = Semaphore::const_new(THREADS_MAX);

/// The reason why files were not read: they do not respond in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no response within {} s; check for a file on a lost network mount", FILE_WAIT_MAX.as_secs())]
pub struct UnresponsiveFile;

/// A thread for the files of one owner. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileThread(Arc<Mutex<()>>);

impl FileThread {
    /// Runs `read` on a thread for blocking work. An owner waits for its earlier reads, so that it never blocks a second thread.
    ///
    /// # Errors
    /// The result is not there in time. The thread continues.
    pub(crate) async fn run<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, UnresponsiveFile> {
        self.run_within(FILE_WAIT_MAX, read).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        wait_max: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, UnresponsiveFile> {
        let run = async {
            let own = self.0.clone().lock_owned().await;
            let permit = THREADS.acquire().await;
            let read = move || {
                let result = read();
                drop((own, permit));
                result
            };
            spawn_blocking(read).await
        };
        // The other error is a thread that panicked, or the end of the runtime.
        timeout(wait_max, run).await.ok().and_then(Result::ok).ok_or(UnresponsiveFile)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_read_that_hangs_blocks_only_its_owner() {
        let (thread, other) = (FileThread::default(), FileThread::default());
        let (release, hanging) = mpsc::channel::<()>();
        let hangs = thread.run_within(Duration::from_millis(1), move || hanging.recv().is_ok());
        assert_eq!(hangs.await, Err(UnresponsiveFile));
        let waits = thread.run_within(Duration::from_millis(1), || true);
        assert_eq!(waits.await, Err(UnresponsiveFile), "it waits for the one that hangs");
        assert_eq!(other.run(|| 2).await, Ok(2));
        release.send(()).unwrap();
        assert_eq!(thread.run(|| 3).await, Ok(3));
    }
}
