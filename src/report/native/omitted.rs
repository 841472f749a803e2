//! Counters and histograms that recent successful readings omitted, as they were last seen.

use super::created::SeriesBefore;
use crate::model::{FamilyType, SampleRef, SelectedFamily};
use crate::report::counted_value::CountedValue;
use crate::report::retention::{OMITTED_NANOS_MAX, OMITTED_SERIES_MAX, Retention};
use crate::report::{UnixNanos, limit_point_times};
use std::collections::HashMap;

/// The identity of a series across readings: hashes of its family and of its labels.
type SeriesKey = (u64, u64);

/// The omitted series of a target.
#[derive(Debug, Default)]
pub(super) struct OmittedSeries {
    series: HashMap<SeriesKey, OmittedValue, foldhash::fast::FixedState>,
    /// The last time at which a series was removed because there were too many. A series that appears within an hour of it may not be new.
    removed_at: Option<UnixNanos>,
}

/// An omitted series as it was last seen.
#[derive(Debug)]
pub(super) struct OmittedValue {
    pub before: SeriesBefore,
    pub value: CountedValue,
}

impl OmittedSeries {
    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Remembers a series.
    pub(super) fn insert(&mut self, family: &SelectedFamily<'_>, sample: &SampleRef<'_>, omitted: OmittedValue) {
        self.series.insert(key(family, sample), omitted);
    }

    /// Removes and returns a series that has returned.
    pub(super) fn remove(&mut self, family: &SelectedFamily<'_>, sample: &SampleRef<'_>) -> Option<OmittedValue> {
        self.series.remove(&key(family, sample))
    }

    /// Removes series that have not been seen for too long, and the oldest if there are too many.
    pub(super) fn remove_excess(&mut self, now: UnixNanos) {
        if self.series.is_empty() {
            return;
        }
        let mut retention = Retention::of(self.series.values().map(|omitted| omitted.before.time), now, OMITTED_SERIES_MAX);
        if retention.is_full {
            self.removed_at = Some(now);
        }
        self.series.retain(|_, omitted| retention.keeps(omitted.before.time));
    }

    /// Returns true if a series that appears now may have been removed.
    pub(super) fn may_have_removed(&self, now: UnixNanos) -> bool {
        self.removed_at.is_some_and(|at| now.get().saturating_sub(at.get()) <= OMITTED_NANOS_MAX)
    }

    /// Moves all remembered times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        self.series.values_mut().for_each(|omitted| limit_point_times(&mut omitted.before.start, &mut omitted.before.time, latest));
        self.removed_at = self.removed_at.map(|time| latest.min(time));
    }
}

/// A counter and a histogram of the same name are different series.
fn key(family: &SelectedFamily<'_>, sample: &SampleRef<'_>) -> SeriesKey {
    (family.name_identity() ^ u64::from(family.kind() == FamilyType::Histogram), sample.identity())
}
