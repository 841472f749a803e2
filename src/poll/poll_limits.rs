//! What all targets of a process share: slots for requests, memory for responses, memory for readings.

use super::admission::{Admission, Admitted, Lane, LaneUsage};
use super::body_memory::BodyBudgets;
use super::open_files::open_files_max;
use crate::model::MemoryBudget;

/// Memory that native families of readings may keep until the next reading, over all targets and with readings that are being
/// replaced. A reading that does not fit is kept without its native families.
pub const READINGS_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Shared by all targets of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(super) admission: Admission,
    pub(super) bodies: BodyBudgets,
    pub(super) readings: MemoryBudget,
}

/// How far the limits are used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Polls of targets that responded last.
    pub answering: LaneUsage,
    /// Polls of targets whose last poll failed.
    pub failing: LaneUsage,
    /// Memory that readings keep.
    pub readings_bytes: usize,
    /// Readings that were kept without their native families because the memory was used up.
    pub readings_without_native: u64,
}

impl Default for Limits {
    /// As many requests as the open files of this process allow.
    fn default() -> Self {
        Self::for_open_files(open_files_max())
    }
}

impl Limits {
    /// The same for a process that may have this many open files.
    #[must_use]
    pub fn for_open_files(open_files_max: usize) -> Self {
        let admission = Admission::for_open_files(open_files_max);
        Self { admission, bodies: BodyBudgets::default(), readings: MemoryBudget::new(READINGS_BYTES_MAX) }
    }

    /// The same with another limit for the memory that readings keep.
    #[must_use]
    pub fn with_readings_bytes_max(self, bytes_max: usize) -> Self {
        Self { readings: MemoryBudget::new(bytes_max), ..self }
    }

    /// How far they are used now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            answering: self.admission.usage(Lane::Answering),
            failing: self.admission.usage(Lane::Failing),
            readings_bytes: self.readings.used_bytes(),
            readings_without_native: self.readings.rejections(),
        }
    }

    /// Waits for slots for a request outside of a poll.
    pub(super) async fn admit_request(&self, failing: bool) -> Admitted {
        self.admission.admit(Lane::of(failing), 1).await
    }
}
