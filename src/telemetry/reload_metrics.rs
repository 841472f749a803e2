//! What Postmeter says of how its configuration is read again.

use opentelemetry::metrics::{Counter, Gauge, Meter};
use parking_lot::{Mutex, MutexGuard};
use std::time::SystemTime;

/// Instruments of reloads and of `targets_files`.
#[derive(Debug)]
pub struct ReloadMetrics {
    successful: Gauge<u64>,
    success_time: Gauge<f64>,
    files_failing: Gauge<u64>,
    files_errors: Counter<u64>,
    standing: Mutex<ReloadStatus>,
}

/// How the configuration stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadStatus {
    /// When it was taken up last; never, where there is none yet.
    pub taken_up: Option<SystemTime>,
    /// When it was read last, if it was not taken up then.
    pub refused: Option<SystemTime>,
    /// How many files of `targets_files` are wrong now.
    pub files_failing: usize,
}

impl ReloadMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        let successful = meter
            .u64_gauge("postmeter.config.last_reload.successful")
            .with_description("1 if the configuration was taken up when it was read last, at the start or by a reload; 0 if it was not.");
        let success_time = meter
            .f64_gauge("postmeter.config.last_reload.success.timestamp")
            .with_unit("s")
            .with_description("When the configuration was taken up last, in Unix time.");
        let files_failing = meter
            .u64_gauge("postmeter.targets_files.failing")
            .with_description("Files of targets_files that are wrong now; what they said before counts.");
        let files_errors = meter
            .u64_counter("postmeter.targets_files.errors")
            .with_unit("{error}")
            .with_description("How often a file of targets_files was found wrong after it had changed.");
        Self {
            successful: successful.build(),
            success_time: success_time.build(),
            files_failing: files_failing.build(),
            files_errors: files_errors.build(),
            standing: Mutex::default(),
        }
    }

    /// The configuration was read, and taken up or not.
    pub fn reloaded(&self, successful: bool) {
        let now = SystemTime::now();
        self.successful.record(u64::from(successful), &[]);
        let mut standing = self.locked();
        standing.refused = (!successful).then_some(now);
        if successful {
            standing.taken_up = Some(now);
            self.success_time.record(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(), &[]);
        }
    }

    /// Files of `targets_files`: how many are wrong, and how many of them newly.
    pub fn targets_files(&self, failing: usize, newly: usize) {
        self.files_failing.record(failing as u64, &[]);
        self.files_errors.add(newly as u64, &[]);
        self.locked().files_failing = failing;
    }

    /// How the configuration stands, for people.
    #[must_use]
    pub fn standing(&self) -> ReloadStatus {
        *self.locked()
    }

    fn locked(&self) -> MutexGuard<'_, ReloadStatus> {
        self.standing.lock()
    }
}
