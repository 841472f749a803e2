//! Start times that the server reports of its series: `_created` of OpenMetrics. They override what follows from the readings.

use super::counted::CountedValue;
use super::native::DeltaBase;
use super::{Transition, is_delta};
use crate::config::Temporality;
use crate::model::{FamilyType, SelectedFamilies};

/// Sets the starts of series that the server dates, and begins a delta there where a series began after it was exported last. `before` is
/// the time of the reading before.
pub(super) fn apply_created(
    native: &SelectedFamilies,
    step: &Transition,
    temporality: Temporality,
    before: Option<u64>,
    resumed: &[(CountedValue, u64)],
    (starts, bases): (&mut [u64], &mut [DeltaBase]),
) {
    if !native.has_created() {
        return;
    }
    let (mut starts, mut bases) = (starts.iter_mut(), bases.iter_mut());
    for family in native.families() {
        let (rises, delta) = (matches!(family.kind(), FamilyType::Counter | FamilyType::Histogram), is_delta(temporality, family.kind()));
        if !rises {
            continue;
        }
        for sample in family.samples() {
            let (start, base) = (starts.next(), if delta { bases.next() } else { None });
            // One that is later than the reading is a clock that is wrong.
            let Some(created) = sample.created().filter(|created| *created <= step.time) else { continue };
            if let Some(start) = start {
                *start = created;
            }
            if let Some(base) = base {
                let began_anew = match base {
                    DeltaBase::Zero => true,
                    DeltaBase::Before(_) => before.is_some_and(|before| before < created),
                    DeltaBase::Resumed(at) => resumed.get(*at as usize).is_some_and(|(_, seen)| *seen < created),
                    DeltaBase::Unknown => step.is_untold(created),
                };
                if began_anew {
                    *base = DeltaBase::Zero;
                }
            }
        }
    }
}
