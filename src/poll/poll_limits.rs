//! Limits that all targets of a process share, of concurrent requests, memory for responses and memory for readings; and the directory for
//! state.

use super::admission::{Admission, Admitted, Lane, LaneUsage, RESPONDING_REQUESTS_MAX};
use super::body_memory::BodyBudgets;
use super::open_files::open_files_max;
use crate::model::MemoryBudget;
use std::path::Path;
use std::sync::Arc;

/// Memory for the native families of readings, over all targets, including readings that are being replaced. A reading that exceeds the
/// limit is kept without its native families.
pub const READINGS_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The limits. Clones share them.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(super) admission: Admission,
    pub(super) bodies: BodyBudgets,
    pub(super) readings: MemoryBudget,
    /// The directory for totals that continue after a restart.
    pub(super) state_dir: Option<Arc<Path>>,
}

/// The present usage of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUsage {
    /// Polls of targets whose last poll succeeded.
    pub responding: LaneUsage,
    /// Polls of targets whose last poll failed.
    pub failing: LaneUsage,
    /// Bytes of memory that readings use.
    pub readings_bytes: usize,
    /// Readings that were kept without their native families because the memory limit was reached.
    pub readings_without_native: u64,
}

impl Default for Limits {
    /// Limits for the number of open files that this process may have.
    fn default() -> Self {
        Self::for_open_files(open_files_max())
    }
}

impl Limits {
    /// Limits for a process that may have this many open files.
    #[must_use]
    pub fn for_open_files(open_files_max: usize) -> Self {
        let admission = Admission::for_open_files(open_files_max);
        Self { admission, bodies: BodyBudgets::default(), readings: MemoryBudget::new(READINGS_BYTES_MAX), state_dir: None }
    }

    /// Returns the number of requests that can be sent at a time, if the limit of open files makes it smaller than this number of targets.
    #[must_use]
    pub fn too_few_requests_for(&self, targets: usize) -> Option<usize> {
        let requests_max = self.admission.usage(Lane::Responding).requests_max;
        (requests_max < targets.min(RESPONDING_REQUESTS_MAX)).then_some(requests_max)
    }

    /// Keeps the totals of counters that Postmeter adds up in this directory, so that they continue after a restart.
    #[must_use]
    pub fn with_state_dir(self, directory: Option<&Path>) -> Self {
        Self { state_dir: directory.map(Into::into), ..self }
    }

    /// For tests: changes the memory limit of readings.
    #[must_use]
    pub fn with_readings_bytes_max(self, bytes_max: usize) -> Self {
        Self { readings: MemoryBudget::new(bytes_max), ..self }
    }

    /// The present usage.
    #[must_use]
    pub fn usage(&self) -> LimitUsage {
        LimitUsage {
            responding: self.admission.usage(Lane::Responding),
            failing: self.admission.usage(Lane::Failing),
            readings_bytes: self.readings.used_bytes(),
            readings_without_native: self.readings.rejections(),
        }
    }

    /// Waits for the concurrency limit for a request outside of a poll.
    pub(super) async fn admit_request(&self, failing: bool) -> Admitted {
        self.admission.admit(Lane::of(failing), 1).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_open_files_are_too_few_for_many_targets() {
        for (open_files, targets, expected) in
            [(64, 16, None), (64, 17, Some(16)), (1024, 256, None), (1024, 257, Some(256)), (1_048_576, 10_000, None)]
        {
            assert_eq!(Limits::for_open_files(open_files).too_few_requests_for(targets), expected, "{open_files}, {targets}");
        }
    }
}
