//! The comparison of a reading with the last successful one: start times, delta bases, and the series that ended.

mod series;

use super::created::{SeriesBefore, created_of, of_new_series};
use super::ended::was_exported;
use super::omitted::{OmittedSeries, OmittedValue};
use super::{DeltaBase, LastGoodReading, has_reading_time, is_cumulative, is_nan};
use crate::config::Temporality;
use crate::model::{FamilyType, SamplePosition, SelectedFamilies, SelectedFamily};
use crate::report::counted_value::{Change, CountedValue};
use crate::report::{Transition, UnixNanos, is_delta};

/// The suffixes of the families that the lines of a histogram form if its type is missing.
const HISTOGRAM_SUFFIXES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// A sample by its index in its family, and its position.
type IndexedSample = (usize, SamplePosition);

/// A reading and the last successful reading before it.
pub(super) struct Comparison<'a> {
    last: Option<&'a LastGoodReading>,
    omitted: &'a mut OmittedSeries,
    native: &'a SelectedFamilies,
    transition: &'a Transition,
    temporality: Temporality,
    has_created: bool,
    /// The start time of each series of the counters and histograms, in their order.
    pub starts: Vec<Option<UnixNanos>>,
    /// The base of each series that is exported as a delta, in their order.
    pub delta_bases: Vec<DeltaBase>,
    /// The last value and time of each series that has returned.
    pub resumed: Vec<(CountedValue, UnixNanos)>,
    /// The series that ended, by the index of their family in the last reading.
    pub ended: Vec<(u32, SamplePosition)>,
    /// Indices of families that the last reading did not have, or had with another type.
    pub new_families: Vec<usize>,
    /// New series of families that the last reading had.
    pub new_series: Vec<(usize, SamplePosition)>,
}

/// A family, where its results are stored, and the same family in the last reading.
struct FamilyPair {
    /// The index of the family in this reading and in the last one.
    index: usize,
    last_index: usize,
    /// Index of the family's first entry in `starts`, in `delta_bases`, and in the starts of the last reading.
    first_start: usize,
    first_base: usize,
    first_last_start: usize,
    has_same_unit: bool,
    is_cumulative: bool,
    delta: bool,
    /// The transition as it applies to the counters of this family. Counters that the server types as gauges belong to another program
    /// (EmailEngine reads them from Redis), so the server's start time does not apply to them.
    transition: Transition,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        last: Option<&'a LastGoodReading>,
        omitted: &'a mut OmittedSeries,
        native: &'a SelectedFamilies,
        transition: &'a Transition,
        temporality: Temporality,
    ) -> Self {
        let cumulative_series = |deltas_only: bool| {
            let counts =
                |family: &SelectedFamily<'_>| is_cumulative(family.kind()) && (!deltas_only || is_delta(temporality, family.kind()));
            native.families().filter(counts).map(|family| family.series()).sum()
        };
        Self {
            last,
            omitted,
            native,
            transition,
            temporality,
            has_created: native.has_created(),
            starts: Vec::with_capacity(cumulative_series(false)),
            delta_bases: Vec::with_capacity(cumulative_series(true)),
            resumed: Vec::new(),
            ended: Vec::new(),
            new_families: Vec::new(),
            new_series: Vec::new(),
        }
    }

    /// Compares all families. Both readings are sorted by scope and name, so the families are merged in one pass.
    pub(super) fn compare(&mut self) {
        let (mut last_index, mut first_last_start) = (0, 0);
        for (index, family) in self.native.families().enumerate() {
            let (mut found, mut is_retyped) = (None, false);
            while let Some(last) = self.last_family(last_index).filter(|last| last.sort_key() <= family.sort_key()) {
                let has_same_name = last.sort_key() == family.sort_key();
                if has_same_name && last.kind() == family.kind() {
                    found = Some((last_index, last, first_last_start));
                } else {
                    is_retyped |= has_same_name;
                    self.end_family(last_index, &last, first_last_start);
                }
                first_last_start += if is_cumulative(last.kind()) { last.series() } else { 0 };
                last_index += 1;
            }
            let pair = self.begin_family(index, &family, is_retyped, found.as_ref().map(|(index, last, start)| (*index, last, *start)));
            match found {
                Some((_, last, _)) => self.compare_family(&pair, &family, &last),
                None => {
                    self.new_families.push(index);
                    self.resume_family(&pair, &family);
                }
            }
        }
        while let Some(last) = self.last_family(last_index) {
            self.end_family(last_index, &last, first_last_start);
            first_last_start += if is_cumulative(last.kind()) { last.series() } else { 0 };
            last_index += 1;
        }
    }

    fn last_family(&self, index: usize) -> Option<SelectedFamily<'a>> {
        let native = &self.last?.native;
        (index < native.len()).then(|| native.family(index))
    }

    /// Ends a family of the last reading that is missing now, or whose name now has another type.
    fn end_family(&mut self, last_index: usize, last_family: &SelectedFamily<'a>, first_last_start: usize) {
        let Some(last) = self.last else { return };
        if !last.ended {
            let has_ended = |position: &SamplePosition| was_exported(&last.native, *position);
            self.ended.extend(last_family.positions().filter(has_ended).map(|position| (last_index as u32, position)));
        }
        self.remember_omitted(last, last_family, first_last_start, last_family.positions().enumerate());
    }

    /// Remembers counters and histograms of the last reading that are missing now.
    fn remember_omitted(
        &mut self,
        last: &LastGoodReading,
        last_family: &SelectedFamily<'_>,
        first_last_start: usize,
        omitted: impl Iterator<Item = IndexedSample>,
    ) {
        let were_dropped = self.transition.status.drops_idle_series && self.transition.status.is_complete;
        if were_dropped || !is_cumulative(last_family.kind()) || !self.transition.is_same_server() {
            return;
        }
        for (index, position) in omitted {
            let Some(sample) = last.native.sample(position).filter(has_reading_time) else { continue };
            let Some(value) = CountedValue::of(sample.value()) else { continue };
            let start = last.starts.get(first_last_start + index).copied().flatten();
            let before = SeriesBefore { time: last.time, start, created: created_of(&sample) };
            self.omitted.insert(last_family, &sample, OmittedValue { before, value });
        }
    }

    /// Resumes those series of a new family that were omitted for a while.
    fn resume_family(&mut self, pair: &FamilyPair, family: &SelectedFamily<'a>) {
        if pair.is_cumulative && !self.omitted.is_empty() {
            family.positions().enumerate().for_each(|sample| self.resume(pair, family, sample));
        }
    }

    /// Resumes a series if it was omitted for a while.
    fn resume(&mut self, pair: &FamilyPair, family: &SelectedFamily<'a>, (index, position): IndexedSample) {
        let Some(sample) = self.native.sample(position).filter(|sample| !is_nan(sample.value())) else { return };
        let Some(omitted) = self.omitted.remove(family, &sample) else { return };
        let change = Change::between(omitted.value.as_value(), sample.value());
        let before = omitted.before;
        let (start, base) = match before.continued(created_of(&sample), change.decreased, &pair.transition) {
            (start, true) if sample.timestamp().is_none() => (start, DeltaBase::Zero),
            // The base of a sample with a timestamp is compared with it again.
            (start, began_anew) => {
                let start = if began_anew { before.start } else { start };
                let is_base = change.is_difference_valid && pair.delta;
                (start, if is_base { DeltaBase::Resumed(self.resumed.len() as u32) } else { DeltaBase::Unknown })
            }
        };
        if matches!(base, DeltaBase::Resumed(_)) {
            self.resumed.push((omitted.value, before.time));
        }
        self.set(pair, index, start, base);
    }

    /// Sets the start time and the delta base of a series.
    #[inline]
    fn set(&mut self, pair: &FamilyPair, index: usize, start: Option<UnixNanos>, base: DeltaBase) {
        if let Some(slot) = self.starts.get_mut(pair.first_start + index) {
            *slot = start;
        }
        if pair.delta
            && let Some(slot) = self.delta_bases.get_mut(pair.first_base + index)
        {
            *slot = base;
        }
    }

    /// Returns true if a new family may have existed before: left out of the last reading, or split into the lines of a histogram.
    fn may_have_existed(&self, family: &SelectedFamily<'_>) -> bool {
        let was_split = |last: &LastGoodReading| {
            let name = family.native_name();
            HISTOGRAM_SUFFIXES.iter().any(|suffix| last.native.find(family.scope(), &format!("{name}{suffix}")).is_some())
        };
        self.last.is_some_and(|last| last.native.dropped > 0 || family.kind() == FamilyType::Histogram && was_split(last))
    }

    /// Adds the entries of a family as if all its series were new. `last` has the index of the family in the last reading, the family,
    /// and the index of its first start time.
    fn begin_family(
        &mut self,
        index: usize,
        family: &SelectedFamily<'_>,
        is_retyped: bool,
        last: Option<(usize, &SelectedFamily<'_>, usize)>,
    ) -> FamilyPair {
        let (last_index, first_last_start) = last.map_or((0, 0), |(index, _, start)| (index, start));
        let was_incomplete = last.map_or_else(|| is_retyped || self.may_have_existed(family), |(_, last, _)| last.is_incomplete());
        let (is_cumulative, delta) = (is_cumulative(family.kind()), is_delta(self.temporality, family.kind()));
        let may_be_removed = self.omitted.may_have_removed(self.transition.time);
        let transition = if was_incomplete || may_be_removed { self.transition.with_unknown_past() } else { *self.transition };
        let transition = if family.has_own_start() { transition.without_server_start() } else { transition };
        let start = transition.start_of_new_series();
        let (first_start, first_base) = (self.starts.len(), self.delta_bases.len());
        if is_cumulative {
            self.starts.resize(first_start + family.series(), start);
        }
        if delta {
            let base = if transition.is_unexported(start) { DeltaBase::Zero } else { DeltaBase::Unknown };
            self.delta_bases.resize(first_base + family.series(), base);
        }
        if self.has_created && is_cumulative {
            for (index, sample) in family.samples().enumerate() {
                let Some(created) = created_of(&sample) else { continue };
                let base = self.delta_bases.get(first_base + index).copied().filter(|_| delta).unwrap_or(DeltaBase::Unknown);
                let (start, base) = of_new_series(created, start, base, &transition);
                let slots = (self.starts.get_mut(first_start + index), self.delta_bases.get_mut(first_base + index).filter(|_| delta));
                slots.0.into_iter().for_each(|slot| *slot = start);
                slots.1.into_iter().for_each(|slot| *slot = base);
            }
        }
        let has_same_unit = last.is_some_and(|(_, last, _)| last.prometheus_unit() == family.prometheus_unit());
        FamilyPair { index, last_index, first_start, first_base, first_last_start, has_same_unit, is_cumulative, delta, transition }
    }
}
