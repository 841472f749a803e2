//! Start times that the server reports for its series (`_created` of OpenMetrics). They override those that follow from the readings.

use super::{DeltaBase, is_cumulative};
use crate::config::Temporality;
use crate::model::SelectedFamilies;
use crate::report::counted_value::CountedValue;
use crate::report::{Transition, UnixNanos, is_delta};

/// Sets the reported start times. A delta is relative to zero if its series began after it was exported last.
///
/// `last_time` is the time of the last successful reading.
pub(super) fn apply_created(
    native: &SelectedFamilies,
    transition: &Transition,
    temporality: Temporality,
    last_time: Option<UnixNanos>,
    resumed: &[(CountedValue, UnixNanos)],
    (starts, delta_bases): (&mut [Option<UnixNanos>], &mut [DeltaBase]),
) {
    if !native.has_created() {
        return;
    }
    let (mut starts, mut delta_bases) = (starts.iter_mut(), delta_bases.iter_mut());
    for family in native.families().filter(|family| is_cumulative(family.kind())) {
        let delta = is_delta(temporality, family.kind());
        for sample in family.samples() {
            let (start, base) = (starts.next(), if delta { delta_bases.next() } else { None });
            // The server's clock is wrong if a series begins after the reading.
            let created = sample.created().and_then(UnixNanos::new).filter(|created| *created <= transition.time);
            let Some(created) = created else { continue };
            if let Some(start) = start {
                *start = Some(created);
            }
            if let Some(base) = base {
                let began_anew = match base {
                    DeltaBase::Zero => true,
                    DeltaBase::Previous(_) => last_time.is_some_and(|last_time| last_time < created),
                    DeltaBase::Resumed(index) => resumed.get(*index as usize).is_some_and(|(_, last_seen)| *last_seen < created),
                    DeltaBase::Unknown => transition.is_unexported(Some(created)),
                };
                if began_anew {
                    *base = DeltaBase::Zero;
                }
            }
        }
    }
}
