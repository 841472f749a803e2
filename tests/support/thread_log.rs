//! The log of one thread, as it would be written.

use std::cell::RefCell;
use std::sync::Once;

/// Captures the log of this thread until it is dropped: of a test, whose runtime has no other thread.
pub struct Log;

thread_local! {
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl Log {
    pub fn begin() -> Self {
        // One subscriber for all threads: subscribers that are added and removed would hide each other's lines.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let to_thread = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(|| ToThread);
            tracing::subscriber::set_global_default(to_thread.finish()).unwrap();
        });
        LOGGED.set(Some(Vec::new()));
        Self
    }

    /// The whole captured log.
    pub fn text(&self) -> String {
        LOGGED.with_borrow(|logged| String::from_utf8(logged.clone().unwrap_or_default()).unwrap())
    }

    /// The lines of the default log level.
    pub fn lines(&self) -> Vec<String> {
        self.text().lines().filter(|line| line.contains("WARN") || line.contains("INFO")).map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LOGGED.set(None);
    }
}

struct ToThread;

impl std::io::Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.iter_mut().for_each(|logged| logged.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
