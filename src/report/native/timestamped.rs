//! Samples with explicit timestamps. Each is exported once, with its own timestamp.
//!
//! # No sample that a receiver rejects
//!
//! A receiver may reject a whole request, with the samples of all targets, for one sample that is older than the last of its series. So a
//! sample is exported only if it is newer than everything that was exported of its series: the last sample with a timestamp and, if samples
//! of its family were exported without timestamps, the last reading. A sample without a timestamp is not exported while a sample of its
//! series is ahead of the reading.
//!
//! # One base for each series
//!
//! A series whose samples have timestamps only sometimes has one base for its deltas: its last exported sample (`bases`).
//!
//! # No end markers
//!
//! A series with explicit timestamps has no end marker, as in Prometheus: the timestamp of its last sample is the server's.

mod bases;

pub(super) use bases::ComparedSeries;

use super::created::created_of;
use super::{is_cumulative, is_nan};
use crate::config::Temporality;
use crate::model::{NANOS_PER_SECOND, SamplePosition, SampleRef, SelectedFamilies, SelectedFamily, Value};
use crate::report::counted_value::{Change, CountedValue};
use crate::report::retention::{OMITTED_SERIES_MAX, Retention};
use crate::report::transition::TIME_RESOLUTION_NANOS;
use crate::report::{Transition, UnixNanos, is_delta, limit_point_times};
use bases::{ExportedSample, SeriesIndex};
use std::collections::{HashMap, HashSet};

/// Older samples are not exported.
const SAMPLE_AGE_NANOS_MAX: u64 = 3600 * NANOS_PER_SECOND;
/// Samples further ahead of the reading are not exported. Prometheus rejects samples 10 minutes ahead of its own clock.
const SAMPLE_AHEAD_NANOS_MAX: u64 = 300 * NANOS_PER_SECOND;
/// Families that are remembered because samples of them were exported without timestamps. Beyond this, that is assumed of every family.
const UNTIMESTAMPED_FAMILIES_MAX: usize = 100_000;

/// The identity of a series of any type: hashes of its name and of its labels, as Prometheus identifies series.
type SeriesKey = (u64, u64);

fn key(family: &SelectedFamily<'_>, sample: &SampleRef<'_>) -> SeriesKey {
    (family.name_identity(), sample.identity())
}

/// The last exported samples of a target's series with explicit timestamps.
#[derive(Debug, Default)]
pub(super) struct TimestampedSeries {
    exported: HashMap<SeriesKey, ExportedSample, foldhash::fast::FixedState>,
    /// Families of which samples were exported without timestamps, by the hash of their name.
    untimestamped: HashSet<u64, foldhash::fast::FixedState>,
    /// All families are considered to be among those.
    all_untimestamped: bool,
}

/// The samples of a reading that have explicit timestamps.
#[derive(Debug, Default)]
pub struct TimestampedSamples {
    /// The samples to export, grouped by family.
    pub samples: Vec<TimestampedSample>,
    /// The number of samples that are more than an hour old.
    pub too_old: u64,
    /// The number of samples that are more than 5 minutes ahead of the reading.
    pub too_new: u64,
    /// The number of samples that are older than an exported sample of their series.
    pub out_of_order: u64,
    /// The time of the last exported sample of each series that is ahead of the reading or of its end markers.
    ahead: HashMap<SeriesKey, UnixNanos>,
}

/// A sample that is exported with its own timestamp.
#[derive(Debug)]
pub struct TimestampedSample {
    /// The index of its family.
    pub family: usize,
    /// The position of the sample in the reading.
    pub position: SamplePosition,
    /// The timestamp.
    pub time: UnixNanos,
    /// The start time, for counters and histograms.
    pub start: Option<UnixNanos>,
    base_value: Option<CountedValue>,
}

impl TimestampedSample {
    /// The value to subtract, if the sample is exported as a delta.
    #[must_use]
    pub fn base_value(&self) -> Option<Value<'_>> {
        self.base_value.as_ref().map(CountedValue::as_value)
    }
}

impl TimestampedSamples {
    /// Returns true if a sample of this series was exported that is not older than this time, which is that of the reading or of its end
    /// markers.
    #[must_use]
    #[inline]
    pub fn is_ahead(&self, family: &SelectedFamily<'_>, sample: &SampleRef<'_>, time: UnixNanos) -> bool {
        !self.ahead.is_empty() && self.ahead.get(&key(family, sample)).is_some_and(|exported| is_not_older(*exported, time))
    }
}

/// Returns true if the time of a timestamp is not before another time, in the time resolution of Prometheus.
fn is_not_older(timestamp: UnixNanos, time: UnixNanos) -> bool {
    timestamp.later(TIME_RESOLUTION_NANOS) > time
}

/// The time of a timestamp in Unix milliseconds. A time before 1970 is the earliest time.
fn time_of(milliseconds: i64) -> UnixNanos {
    let nanos = u64::try_from(milliseconds).unwrap_or(0).saturating_mul(1_000_000);
    UnixNanos::new(nanos).unwrap_or(UnixNanos::EARLIEST)
}

impl TimestampedSeries {
    /// Removes the bases of deltas: the samples were those of another server. Their times still determine what can be exported.
    pub(super) fn forget_values(&mut self) {
        self.exported.values_mut().for_each(|exported| (exported.start, exported.created, exported.value) = (None, None, None));
    }

    /// Selects the samples of a successful reading that can be exported, and sets the bases of samples without timestamps whose series had
    /// one before. `new_families` are the indices of families that the reading has newly.
    pub(super) fn select(
        &mut self,
        native: &SelectedFamilies,
        new_families: &[usize],
        compared: &mut ComparedSeries<'_>,
        transition: &Transition,
        temporality: Temporality,
    ) -> TimestampedSamples {
        let mut selected = TimestampedSamples::default();
        if !native.has_timestamps() && self.exported.is_empty() {
            new_families.iter().for_each(|family| self.add_untimestamped(&native.family(*family)));
            return TimestampedSamples { ahead: self.series_ahead(transition), ..selected };
        }
        let now = transition.time.get();
        let (oldest, newest) = (now.saturating_sub(SAMPLE_AGE_NANOS_MAX), now.saturating_add(SAMPLE_AHEAD_NANOS_MAX));
        let exported_families: HashSet<u64> = self.exported.keys().map(|(family, _)| *family).collect();
        let mut first = SeriesIndex { start: 0, base: 0 };
        for (index, family) in native.families().enumerate() {
            let after = if self.is_untimestamped(&family) { transition.last_time } else { None };
            let is_delta = is_delta(temporality, family.kind());
            let had_timestamps = is_delta && exported_families.contains(&family.name_identity());
            let mut has_untimestamped = false;
            for (offset, position) in family.positions().enumerate() {
                let Some(sample) = native.sample(position) else { continue };
                let series = SeriesIndex { start: first.start + offset, base: first.base + offset };
                let Some(timestamp) = sample.timestamp() else {
                    has_untimestamped = true;
                    if had_timestamps && !is_nan(sample.value()) {
                        self.hand_over_base(key(&family, &sample), (&family, &sample), compared, series, transition);
                    }
                    continue;
                };
                if is_nan(sample.value()) {
                    continue;
                }
                if is_delta {
                    self.take_base(key(&family, &sample), compared, series);
                }
                let time = time_of(timestamp);
                if time.get() < oldest {
                    selected.too_old += 1;
                } else if time.get() > newest {
                    selected.too_new += 1;
                } else {
                    self.select_sample(&mut selected, (index, &family), (position, &sample, time), after, (transition, temporality));
                }
            }
            if has_untimestamped {
                self.add_untimestamped(&family);
            }
            first.start += if is_cumulative(family.kind()) { family.series() } else { 0 };
            first.base += if is_delta { family.series() } else { 0 };
        }
        self.remove_excess(native, transition);
        TimestampedSamples { ahead: self.series_ahead(transition), ..selected }
    }

    /// The result for a failed poll: no samples.
    pub(super) fn none(&self, transition: &Transition) -> TimestampedSamples {
        TimestampedSamples { ahead: self.series_ahead(transition), ..TimestampedSamples::default() }
    }

    /// Selects a sample if it is later than `after` and than the last one of its series.
    fn select_sample(
        &mut self,
        selected: &mut TimestampedSamples,
        (family_index, family): (usize, &SelectedFamily<'_>),
        (position, sample, time): (SamplePosition, &SampleRef<'_>, UnixNanos),
        after: Option<UnixNanos>,
        (transition, temporality): (&Transition, Temporality),
    ) {
        let key = key(family, sample);
        let last = self.exported.get(&key);
        if last.map(|last| last.time).max(after).is_some_and(|exported| time <= exported) {
            // A repetition of the same sample is not out of order.
            selected.out_of_order += u64::from(last.is_none_or(|last| last.time != time));
            return;
        }
        let last = self.exported.remove(&key);
        let value = if is_cumulative(family.kind()) { CountedValue::of(sample.value()) } else { None };
        let last_value = last.as_ref().and_then(|last| last.value.as_ref());
        let change = last_value.map(|value| Change::between(value.as_value(), sample.value()));
        let reported = created_of(sample).filter(|_| is_cumulative(family.kind()));
        // The server's clock is wrong if a series begins after the reading.
        let created = reported.filter(|created| *created <= transition.time);
        let (decreased, is_difference_valid) = change.map_or((false, false), |change| (change.decreased, change.is_difference_valid));
        // A restarted counter may have passed its old value already. The sample may be older than the start, if the two are of different
        // clocks.
        let is_known = reported.is_some() && last.as_ref().is_some_and(|last| last.created == reported);
        let began_anew = match &last {
            Some(last) => decreased || !is_known && created.is_some_and(|created| created > last.time),
            None => created.is_some() && transition.is_unexported(created),
        };
        let of_last = last.as_ref().and_then(|last| if began_anew { Some(last.time) } else { last.start });
        let start = if is_known && !decreased { of_last } else { created.filter(|created| *created <= time).or(of_last) };
        let mut out = TimestampedSample { family: family_index, position, time, start, base_value: None };
        let mut is_exported = true;
        if is_delta(temporality, family.kind()) && !began_anew {
            is_exported = is_difference_valid;
            if let Some(last) = last.filter(|_| is_difference_valid) {
                (out.base_value, out.start) = (last.value, Some(last.time));
            }
        }
        if is_exported {
            selected.samples.push(out);
        }
        self.exported.insert(key, ExportedSample { time, start, created: reported, value });
    }

    /// The series of which a sample was exported that is not older than the reading or its end markers.
    fn series_ahead(&self, transition: &Transition) -> HashMap<SeriesKey, UnixNanos> {
        let times = self.exported.iter().map(|(key, exported)| (*key, exported.time));
        times.filter(|(_, time)| is_not_older(*time, transition.end_time())).collect()
    }

    fn is_untimestamped(&self, family: &SelectedFamily<'_>) -> bool {
        self.all_untimestamped || self.untimestamped.contains(&family.name_identity())
    }

    fn add_untimestamped(&mut self, family: &SelectedFamily<'_>) {
        if !self.all_untimestamped {
            self.untimestamped.insert(family.name_identity());
            self.all_untimestamped = self.untimestamped.len() > UNTIMESTAMPED_FAMILIES_MAX;
        }
        if self.all_untimestamped {
            self.untimestamped = HashSet::default();
        }
    }

    /// Removes series whose last sample is so old that any older one would be too old as well, and the oldest if there are too many.
    fn remove_excess(&mut self, native: &SelectedFamilies, transition: &Transition) {
        let series_max = OMITTED_SERIES_MAX.max(native.kept as usize);
        let mut retention = Retention::of(self.exported.values().map(|exported| exported.time), transition.time, series_max);
        self.all_untimestamped |= retention.is_full;
        self.exported.retain(|_, exported| retention.keeps(exported.time));
    }

    /// Moves all remembered times to `latest` or earlier.
    pub(super) fn limit_times(&mut self, latest: UnixNanos) {
        self.exported.values_mut().for_each(|exported| limit_point_times(&mut exported.start, &mut exported.time, latest));
    }
}
