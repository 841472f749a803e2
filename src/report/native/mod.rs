//! The state of native series: the last successful reading, and a start time for each of its counters.
//!
//! # No second copy of labels
//!
//! The last reading itself is kept, shared, plus eight bytes per counter in the order of the reading. A new reading is compared with it
//! series by series, because servers nearly always write the same series in the same order. Where a series was added or removed, the two
//! are realigned by looking a few series ahead; only the rest is matched by hash.

mod comparison;
mod created;
mod ended;
mod omitted;
mod timestamped;

pub use ended::EndedSamples;
pub use timestamped::TimestampedSamples;

use super::counted_value::CountedValue;
use super::{Transition, UnixNanos, is_delta};
use crate::config::Temporality;
use crate::model::{FamilyType, SamplePosition, SampleRef, SelectedFamilies, Value};
use comparison::Comparison;
use ended::{EndedSeries, remove_continued};
use omitted::OmittedSeries;
use std::sync::Arc;
use timestamped::{ComparedSeries, TimestampedSeries};

/// The native families of a reading, with start times, delta bases and ended series.
#[derive(Debug)]
pub struct NativeReport {
    /// The families of the reading.
    pub native: Arc<SelectedFamilies>,
    /// The time of all points that have no explicit timestamp.
    pub time: UnixNanos,
    /// The time of the end markers.
    pub end_time: UnixNanos,
    /// The temporality of counters and histograms.
    pub temporality: Temporality,
    /// The start time of each series of the counters and histograms, in their order.
    pub starts: Arc<Vec<Option<UnixNanos>>>,
    /// The time of the last successful reading before, or else of this one. A later start of a summary is not exported: it may be that of a
    /// server whose clock is ahead.
    pub read_until: UnixNanos,
    /// Samples that are exported with their explicit timestamp.
    pub timestamped: TimestampedSamples,
    /// The base of each series that is exported as a delta, in their order. `None` after a failed poll.
    delta_bases: Option<Vec<DeltaBase>>,
    /// The reading before and its time, if deltas or end markers refer to it.
    previous: Option<(Arc<SelectedFamilies>, UnixNanos)>,
    /// The last value and time of each series that returned after responses had omitted it.
    resumed: Vec<(CountedValue, UnixNanos)>,
    ended: EndedSeries,
}

/// The value to which the delta of a series is relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaBase {
    /// Zero: the series began anew, at its start time.
    Zero,
    /// The value that this series had in the reading before.
    Previous(SamplePosition),
    /// The value that the series had before it was omitted: an index into the resumed series.
    Resumed(u32),
    /// There is no earlier value, so no delta can be exported.
    Unknown,
}

impl NativeReport {
    /// The report of a resource without native families at this time.
    #[must_use]
    pub fn empty(time: UnixNanos) -> Self {
        let (native, starts, timestamped, resumed, ended) = Default::default();
        let (temporality, read_until) = (Temporality::default(), time);
        let end_time = time;
        Self { native, time, end_time, temporality, starts, read_until, timestamped, delta_bases: None, previous: None, resumed, ended }
    }

    /// Returns true if points of this type are exported as deltas.
    #[must_use]
    pub fn is_delta(&self, kind: FamilyType) -> bool {
        is_delta(self.temporality, kind)
    }

    /// The base of a delta, by the index of its series among all series that are exported as deltas.
    #[must_use]
    pub fn delta_base(&self, index: usize) -> DeltaBase {
        self.delta_bases.as_ref().and_then(|bases| bases.get(index)).copied().unwrap_or(DeltaBase::Unknown)
    }

    /// The value to subtract for a delta, and its time. `None` if the base is zero or unknown.
    #[must_use]
    pub fn base_value(&self, base: DeltaBase) -> Option<(Value<'_>, UnixNanos)> {
        match base {
            DeltaBase::Previous(position) => {
                let (native, time) = self.previous.as_ref()?;
                Some((native.sample(position)?.value(), *time))
            }
            DeltaBase::Resumed(index) => self.resumed.get(index as usize).map(|(value, time)| (value.as_value(), *time)),
            DeltaBase::Zero | DeltaBase::Unknown => None,
        }
    }

    /// The same report without end markers.
    #[must_use]
    pub fn without_ends(mut self) -> Self {
        self.ended = EndedSeries::default();
        self
    }

    /// The series that ended, as they were in the reading before, grouped by family.
    #[must_use]
    pub fn ended_samples(&self) -> Option<EndedSamples<'_>> {
        let (native, _) = self.previous.as_ref()?;
        Some(self.ended.samples(native))
    }
}

/// The state of a target's native series.
#[derive(Debug, Default)]
pub(super) struct NativeSeries {
    last_good: Option<LastGoodReading>,
    omitted: OmittedSeries,
    timestamped: TimestampedSeries,
}

#[derive(Debug)]
struct LastGoodReading {
    native: Arc<SelectedFamilies>,
    time: UnixNanos,
    /// The start time of each series of the counters and histograms, in their order.
    starts: Arc<Vec<Option<UnixNanos>>>,
    /// The end markers of its series were exported. The reading is kept in case the series return.
    ended: bool,
}

impl NativeSeries {
    /// Reports a reading.
    pub(super) fn report(&mut self, native: &Arc<SelectedFamilies>, transition: &Transition, temporality: Temporality) -> NativeReport {
        if !transition.status.is_good {
            return self.report_failed_poll(native, transition, temporality);
        }
        let time = transition.time;
        if !transition.is_same_server() {
            self.omitted = OmittedSeries::default();
            self.timestamped.forget_values();
        }
        let mut comparison = Comparison::new(self.last_good.as_ref(), &mut self.omitted, native, transition, temporality);
        comparison.compare();
        let Comparison { mut starts, mut delta_bases, mut resumed, mut ended, new_families, new_series, .. } = comparison;
        let last = self.last_good.as_ref();
        if let Some(last) = last {
            let of_new_families =
                new_families.iter().flat_map(|family| native.family(*family).positions().map(|position| (*family, position)));
            remove_continued(&mut ended, &last.native, native, new_series.into_iter().chain(of_new_families));
        }
        let mut compared = ComparedSeries { last, starts: &mut starts, delta_bases: &mut delta_bases, resumed: &mut resumed };
        let timestamped = self.timestamped.select(native, &new_families, &mut compared, transition, temporality);
        self.omitted.remove_excess(time);
        let starts = Arc::new(starts);
        let last = self.last_good.replace(LastGoodReading { native: native.clone(), time, starts: starts.clone(), ended: false });
        let read_until = last.as_ref().map_or(time, |last| last.time);
        // With another prefix, every series has another name.
        let is_renamed = last.as_ref().is_some_and(|last| !last.ended && last.native.prefix() != native.prefix());
        let ended = if is_renamed { EndedSeries::All } else { EndedSeries::Listed(ended) };
        // The last reading may be large: it is released unless the report refers to it.
        let is_referenced = !ended.is_empty() || !delta_bases.is_empty();
        let previous = last.filter(|_| is_referenced).map(|last| (last.native, last.time));
        let (native, delta_bases) = (native.clone(), Some(delta_bases));
        let end_time = transition.end_time();
        NativeReport { native, time, end_time, temporality, starts, read_until, timestamped, delta_bases, previous, resumed, ended }
    }

    /// Reports the end of all series, unless it was reported before.
    fn report_failed_poll(&mut self, native: &Arc<SelectedFamilies>, transition: &Transition, temporality: Temporality) -> NativeReport {
        let had_ended = self.last_good.as_mut().is_none_or(|last| std::mem::replace(&mut last.ended, true));
        let last = self.last_good.as_ref().filter(|_| !had_ended);
        NativeReport {
            native: native.clone(),
            time: transition.time,
            end_time: transition.end_time(),
            temporality,
            starts: Arc::default(),
            read_until: transition.time,
            timestamped: self.timestamped.none(transition),
            delta_bases: None,
            previous: last.map(|last| (last.native.clone(), last.time)),
            resumed: Vec::new(),
            ended: EndedSeries::All,
        }
    }

    /// Moves all remembered times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        if let Some(last) = &mut self.last_good {
            last.time = latest.min(last.time);
            let is_too_late = |start: &Option<UnixNanos>| start.is_some_and(|start| start > last.time);
            if last.starts.iter().any(is_too_late) {
                Arc::make_mut(&mut last.starts).iter_mut().filter(|start| is_too_late(start)).for_each(|start| *start = None);
            }
        }
        self.omitted.limit_times(latest);
        self.timestamped.limit_times(latest);
    }
}

/// Returns true for the types whose values only rise, except for resets.
fn is_cumulative(kind: FamilyType) -> bool {
    matches!(kind, FamilyType::Counter | FamilyType::Histogram)
}

/// Returns true if a value is NaN. NaN samples are not exported; their series counts as ended.
fn is_nan(value: Value<'_>) -> bool {
    matches!(value, Value::Number(n) if n.is_nan())
}

/// Returns true if a sample is exported with the time of its reading.
fn has_reading_time(sample: &SampleRef<'_>) -> bool {
    !is_nan(sample.value()) && sample.timestamp().is_none()
}
