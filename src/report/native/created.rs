//! Start times that the server reports for its series (`_created` of OpenMetrics). They are more precise than those that follow from the
//! readings.
//!
//! # Two clocks
//!
//! They are of the server's clock, and readings of Postmeter's. A start that the reading before had already does not count as a restart,
//! however the two compare, and the exported start does not move to it. A start after its reading is ignored.

use super::DeltaBase;
use crate::model::SampleRef;
use crate::report::{Transition, UnixNanos};

/// A series that a reading lacked may have begun this much earlier by the server's clock, because the two clocks differ a little.
const CLOCK_DIFFERENCE_NANOS_MAX: u64 = 5_000_000_000;

/// The start time that a sample reports.
#[inline]
pub(super) fn created_of(sample: &SampleRef<'_>) -> Option<UnixNanos> {
    sample.created().and_then(UnixNanos::new)
}

/// A series as it was read last.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesBefore {
    pub time: UnixNanos,
    pub start: Option<UnixNanos>,
    /// The start that the server reported.
    pub created: Option<UnixNanos>,
}

impl SeriesBefore {
    /// The start of the series in a later reading in which it reports `created`, and whether it began anew in between.
    #[inline]
    pub(super) fn continued(&self, created: Option<UnixNanos>, decreased: bool, transition: &Transition) -> (Option<UnixNanos>, bool) {
        let reset = transition.reset_start(decreased, self.time);
        match created.filter(|created| Some(*created) != self.created && *created <= transition.time) {
            Some(created) if created > self.time => (Some(created), true),
            Some(created) => (reset.or(Some(created)), reset.is_some()),
            None => (reset.or(self.start), reset.is_some()),
        }
    }
}

/// The start and the delta base of a series that is new and reports `created`. `start` and `base` are those of a new series without it.
pub(super) fn of_new_series(
    created: UnixNanos,
    start: Option<UnixNanos>,
    base: DeltaBase,
    transition: &Transition,
) -> (Option<UnixNanos>, DeltaBase) {
    if created > transition.time {
        return (start, base);
    }
    if transition.is_unexported(Some(created)) {
        return (Some(created), DeltaBase::Zero);
    }
    let is_near = |start: UnixNanos| start.get().saturating_sub(created.get()) <= CLOCK_DIFFERENCE_NANOS_MAX;
    match base {
        DeltaBase::Zero if start.is_some_and(is_near) => (start, DeltaBase::Zero),
        _ => (Some(created), DeltaBase::Unknown),
    }
}
