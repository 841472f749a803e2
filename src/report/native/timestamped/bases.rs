//! One base for the deltas of a series, whether its samples have explicit timestamps or not.
//!
//! The comparison of two readings knows the last sample of a series if it had the time of its reading; [`TimestampedSeries`] knows it if it
//! had a timestamp. Where a series changes from one to the other, the base is handed over.

use super::{SeriesKey, TimestampedSeries};
use crate::model::{SampleRef, SelectedFamily};
use crate::report::counted_value::{Change, CountedValue};
use crate::report::native::created::{SeriesBefore, created_of};
use crate::report::native::{DeltaBase, LastGoodReading, has_reading_time};
use crate::report::{Transition, UnixNanos};

/// The results of comparing a reading with the last one, in the order of the series.
pub(in crate::report::native) struct ComparedSeries<'a> {
    pub last: Option<&'a LastGoodReading>,
    pub starts: &'a mut [Option<UnixNanos>],
    pub delta_bases: &'a mut [DeltaBase],
    pub resumed: &'a mut Vec<(CountedValue, UnixNanos)>,
}

/// The last exported sample of a series.
#[derive(Debug)]
pub(super) struct ExportedSample {
    pub(super) time: UnixNanos,
    pub(super) start: Option<UnixNanos>,
    /// The start that the server reported with it.
    pub(super) created: Option<UnixNanos>,
    /// The value, for counters and histograms.
    pub(super) value: Option<CountedValue>,
}

/// The indices of a series in the lists of [`ComparedSeries`].
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesIndex {
    pub(super) start: usize,
    pub(super) base: usize,
}

impl ComparedSeries<'_> {
    /// The last sample of a series, if it had the time of its reading.
    fn last_sample(&self, index: SeriesIndex) -> Option<ExportedSample> {
        let (value, time, created) = match *self.delta_bases.get(index.base)? {
            DeltaBase::Previous(position) => {
                let last = self.last?;
                let sample = last.native.sample(position).filter(has_reading_time)?;
                (CountedValue::of(sample.value())?, last.time, created_of(&sample))
            }
            DeltaBase::Resumed(resumed) => {
                let (value, time) = self.resumed.get(resumed as usize)?;
                (CountedValue::of(value.as_value())?, *time, None)
            }
            DeltaBase::Zero | DeltaBase::Unknown => return None,
        };
        Some(ExportedSample { time, start: self.starts.get(index.start).copied().flatten(), created, value: Some(value) })
    }

    fn set(&mut self, index: SeriesIndex, start: Option<UnixNanos>, base: DeltaBase) {
        if let Some(slot) = self.starts.get_mut(index.start) {
            *slot = start;
        }
        if let Some(slot) = self.delta_bases.get_mut(index.base) {
            *slot = base;
        }
    }
}

impl TimestampedSeries {
    /// Takes over the base of a series whose sample has a timestamp now and had none before. If the sample cannot be exported, the base
    /// stays the last exported sample.
    pub(super) fn take_base(&mut self, key: SeriesKey, compared: &ComparedSeries<'_>, index: SeriesIndex) {
        if let Some(last) = compared.last_sample(index)
            && self.exported.get(&key).is_none_or(|exported| exported.time < last.time)
        {
            self.exported.insert(key, last);
        }
    }

    /// Hands over the base of a series whose sample has no timestamp now, if its last exported sample had one. While that one is ahead of
    /// the reading, the series is not exported and the base is kept.
    pub(super) fn hand_over_base(
        &mut self,
        key: SeriesKey,
        (family, sample): (&SelectedFamily<'_>, &SampleRef<'_>),
        compared: &mut ComparedSeries<'_>,
        index: SeriesIndex,
        transition: &Transition,
    ) {
        let is_base = |exported: &ExportedSample| exported.value.is_some() && exported.time < transition.time;
        if !self.exported.get(&key).is_some_and(is_base) {
            return;
        }
        let Some(ExportedSample { time, start, created, value: Some(value) }) = self.exported.remove(&key) else { return };
        let transition = if family.has_own_start() { transition.without_server_start() } else { *transition };
        let change = Change::between(value.as_value(), sample.value());
        let (start, began_anew) = SeriesBefore { time, start, created }.continued(created_of(sample), change.decreased, &transition);
        let base = match began_anew {
            true => DeltaBase::Zero,
            false if change.is_difference_valid => DeltaBase::Resumed(compared.resumed.len() as u32),
            false => DeltaBase::Unknown,
        };
        if matches!(base, DeltaBase::Resumed(_)) {
            compared.resumed.push((value, time));
        }
        compared.set(index, start, base);
    }
}
