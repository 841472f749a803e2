//! Limits that all targets of a process share: slots for requests, memory for responses, memory for readings.

use super::admission::{Admission, Admitted, Lane, LaneUsage};
use super::body_memory::BodyBudgets;
use super::open_files::open_files_max;
use crate::model::MemoryBudget;

/// Memory for the native families of readings, over all targets, including readings that are being replaced. A reading that exceeds the
/// limit is kept without its native families.
pub const READINGS_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The limits. Clones share them.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(super) admission: Admission,
    pub(super) bodies: BodyBudgets,
    pub(super) readings: MemoryBudget,
}

/// The present usage of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
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
        Self { admission, bodies: BodyBudgets::default(), readings: MemoryBudget::new(READINGS_BYTES_MAX) }
    }

    /// Changes the memory limit of readings.
    #[must_use]
    pub fn with_readings_bytes_max(self, bytes_max: usize) -> Self {
        Self { readings: MemoryBudget::new(bytes_max), ..self }
    }

    /// The present usage.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            responding: self.admission.usage(Lane::Responding),
            failing: self.admission.usage(Lane::Failing),
            readings_bytes: self.readings.used_bytes(),
            readings_without_native: self.readings.rejections(),
        }
    }

    /// Waits for a slot for a request outside of a poll.
    pub(super) async fn admit_request(&self, failing: bool) -> Admitted {
        self.admission.admit(Lane::of(failing), 1).await
    }
}
