//! The queue of log lines. A separate thread writes them to standard error, so that a stalled reader blocks nothing else.
//!
//! `tracing-appender` is not used because its queue is limited in lines instead of bytes, its shutdown waits for a stalled reader, and it
//! does not report when lines can be written again.

use crate::net::{Escaped, Redactor};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// The limit of the queue in bytes. Further lines are dropped.
const LOG_QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// The wait before a full non-blocking pipe is tried again.
const FULL_PIPE_RETRY: Duration = Duration::from_millis(50);

/// The queue of log lines. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct LogQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// A line was removed from the queue and is not written yet.
    is_writing: bool,
    /// The number of dropped lines that the log has not reported yet.
    unreported: u64,
    last_drop: Option<Instant>,
}

impl LogQueue {
    /// Starts a queue that is written to `out`, with `secrets` redacted.
    ///
    /// # Errors
    /// No thread can be created.
    pub(super) fn start(out: impl Write + Send + 'static, secrets: Redactor) -> io::Result<Self> {
        Self::with_bytes_max(out, secrets, LOG_QUEUE_BYTES_MAX)
    }

    fn with_bytes_max(out: impl Write + Send + 'static, secrets: Redactor, bytes_max: usize) -> io::Result<Self> {
        let queue = Self(Arc::new(Inner { state: Mutex::default(), changed: Condvar::new(), dropped: AtomicU64::new(0), bytes_max }));
        let writer = queue.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(out, &secrets))?;
        Ok(queue)
    }

    /// Adds a line, or drops and counts it if the queue is full. Never blocks.
    fn push(&self, line: Vec<u8>) {
        let mut state = self.state();
        if state.bytes + line.len() > self.0.bytes_max {
            self.count_dropped(&mut state);
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.0.changed.notify_all();
    }

    fn count_dropped(&self, state: &mut State) {
        state.unreported += 1;
        state.last_drop = Some(Instant::now());
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of lines that were dropped since startup.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// The time at which a line was last dropped.
    pub(super) fn last_drop(&self) -> Option<Instant> {
        self.state().last_drop
    }

    /// Waits until every line is written, for at most `limit`. Returns true if all lines are written.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let is_pending = |state: &mut State| state.is_writing || !state.lines.is_empty();
        !self.0.changed.wait_while_for(&mut self.state(), is_pending, limit).timed_out()
    }

    /// Writes lines forever.
    fn write_to(&self, mut out: impl Write, secrets: &Redactor) {
        loop {
            let line = self.next();
            let mut text = String::from_utf8_lossy(&line).into_owned();
            secrets.redact(&mut text);
            let written = write_all(&mut out, Escaped::formatted(&text).text().as_bytes());
            let mut state = self.state();
            state.is_writing = false;
            // The line counts towards the limit until it is written.
            state.bytes -= line.len();
            let mut report = 0;
            match written {
                Err(_) => self.count_dropped(&mut state),
                Ok(()) if state.bytes <= self.0.bytes_max / 2 => report = std::mem::take(&mut state.unreported),
                Ok(()) => {}
            }
            drop(state);
            if report > 0 {
                warn!(
                    lines = report,
                    "log lines dropped because standard error was not read, or because one line exceeds the limit of 1 MiB"
                );
            }
            self.0.changed.notify_all();
        }
    }

    /// Waits for the next line.
    fn next(&self) -> Vec<u8> {
        let mut state = self.state();
        self.0.changed.wait_while(&mut state, |state| state.lines.is_empty());
        state.is_writing = true;
        state.lines.pop_front().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

/// Writes all bytes, also to a non-blocking pipe.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(FULL_PIPE_RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The formatter writes each line with one call.
impl Write for LogQueue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// A reader that accepts a line when it is allowed to.
    struct Gate {
        open: mpsc::Receiver<bool>,
        written: Arc<Mutex<String>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.open.recv() {
                Ok(true) => {
                    self.written.lock().push_str(&String::from_utf8_lossy(bytes));
                    Ok(bytes.len())
                }
                Ok(false) => Err(ErrorKind::BrokenPipe.into()),
                // A pipe without a reader.
                Err(_) => loop {
                    std::thread::park();
                },
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(bytes_max: usize, secrets: &[&str]) -> (LogQueue, mpsc::Sender<bool>, Arc<Mutex<String>>) {
        let (opener, open) = mpsc::channel();
        let written = Arc::<Mutex<String>>::default();
        let gate = Gate { open, written: written.clone() };
        (LogQueue::with_bytes_max(gate, Redactor::of(secrets.iter().copied()), bytes_max).unwrap(), opener, written)
    }

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_counted() {
        let (mut queue, opener, written) = gated(10, &[]);
        for line in ["one\n", "two\n", "three\n", "4\n"] {
            queue.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!((queue.dropped(), queue.last_drop().is_some()), (1, true));
        assert!(!queue.flush(Duration::from_millis(1)));
        (0..3).for_each(|_| opener.send(true).unwrap());
        assert!(queue.flush(TIMEOUT));
        assert_eq!(*written.lock(), "one\ntwo\n4\n");
        queue.write_all(b"five\n").unwrap();
        opener.send(true).unwrap();
        assert!(queue.flush(TIMEOUT));
        assert_eq!((queue.dropped(), written.lock().lines().count()), (1, 4));
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted() {
        let (mut queue, opener, written) = gated(100, &[]);
        for is_open in [false, true] {
            queue.write_all(b"line\n").unwrap();
            opener.send(is_open).unwrap();
            assert!(queue.flush(TIMEOUT));
        }
        assert_eq!((queue.dropped(), written.lock().as_str()), (1, "line\n"));
    }

    #[test]
    fn secrets_and_control_characters_are_not_written() {
        let (mut queue, opener, written) = gated(1000, &["hunter22"]);
        queue.write_all("\u{1b}[33mWARN\u{1b}[0m a\u{202e}b hunter22 \\u0068unter22\n".as_bytes()).unwrap();
        opener.send(true).unwrap();
        assert!(queue.flush(TIMEOUT));
        assert_eq!(*written.lock(), "\u{1b}[33mWARN\u{1b}[0m a\\u202eb *** ***\n");
    }
}
