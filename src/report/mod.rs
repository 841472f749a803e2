//! Start times, point times and the end of series, which the SDK cannot know: its counters all begin when our instrument did.
//!
//! # Start times are known or unset
//!
//! A counter that is present at the first poll began at an unknown time, unless the server reports it. One that appears
//! later began after the poll before, if that one was good and complete. A fall is a reset, after the poll before.
//! (OTLP metrics data model, "Resets and Gaps".)
//!
//! # One time for all points of a reading
//!
//! All points of a reading, those about the poll and the ends of series included, have one time: that of the poll. The time of a target
//! rises with each reading. Prometheus' OTLP receiver derives samples of `target_info` from the earliest and the latest point of a
//! resource, and rejects a whole request, of all targets, where one sample is older than the one before it.
//!
//! # A clock that is set back
//!
//! Up to `CLOCK_BEHIND_SECONDS_MAX`, the last time is held: each reading is `READING_AFTER_NANOS` after the one before, until the clock
//! has caught up. Beyond that, the clock was wrong before, and Prometheus had rejected what was dated so far ahead: the times follow the
//! clock, and what is remembered is dated right before the reading. Counted values are kept in both cases.
//!
//! # A series that a response omits has not begun anew
//!
//! Exporters omit the families of a collector that failed, with status 200. The end of such a series is sent at once. Its start time
//! and its last value are remembered for a while (`omitted`): when it comes back, it resumes, or it is a reset if it fell.
//!
//! # A delta spans what was not sent
//!
//! A delta spans the time since the last good reading of the series, however many failed in between. Without a start there is nothing to
//! subtract from: the first sight of a counter whose start is unknown is the baseline, and no point. Nor is there a point where
//! it may have been sent before, by this instance or the one that ran before it: a beginning counts from nothing only if nothing
//! was read since then.

mod aggregated;
mod counted;
mod created;
mod histograms;
mod native;
mod omitted;
mod scalars;
#[cfg(test)]
mod tests;
mod timestamped;

pub use native::{DeltaBase, EndedSamples, NativeReport};
pub use timestamped::TimestampedSamples;

use crate::config::Temporality;
use crate::model::{FamilyType, SelectedFamilies, Snapshot};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ScopeMetrics};
use prost::Message;
use std::sync::Arc;
use std::time::SystemTime;

pub use histograms::{buckets, count, sum};

/// A reading is at least this long after the one before it: the resolution of Prometheus.
const READING_AFTER_NANOS: u64 = 1_000_000;
/// How far the clock may be behind the last reading for its time to be held. Prometheus rejects what is further ahead of its own clock.
const CLOCK_BEHIND_SECONDS_MAX: u64 = 600;

/// The times of a reading, in Unix nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CollectionTimes {
    /// When the poll began.
    pub reading: u64,
    /// Whether the required part was read.
    pub good: bool,
    /// Whether all that the server counts was.
    pub complete: bool,
    /// When the server's counters began, where it says so.
    pub counters_since: Option<u64>,
    /// When Postmeter began to count what goes wrong.
    pub tally_since: u64,
    /// Postmeter counts the deliveries too, from the server's records.
    pub of_records: bool,
    /// The server drops idle series, which begin at zero again: one that a complete reading lacks does not resume.
    pub drops_idle_series: bool,
}

/// Unix nanoseconds.
#[must_use]
pub fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The identity of a series: its metric and its attributes, sorted.
fn key(metric: &str, attributes: &[KeyValue]) -> Vec<u8> {
    let mut key = metric.as_bytes().to_vec();
    for attribute in attributes {
        key.push(0);
        key.extend(attribute.encode_length_delimited_to_vec());
    }
    key
}

/// What is remembered of a target's series.
#[derive(Debug, Default)]
pub struct SeriesState {
    temporality: Temporality,
    readings: Readings,
    scalars: scalars::ScalarSeries,
    measured: aggregated::AggregatedSeries,
    histograms: histograms::HistogramSeries,
    relay: native::NativeStarts,
}

impl SeriesState {
    /// Nothing yet; points are told like this.
    #[must_use]
    pub fn new(temporality: Temporality) -> Self {
        Self { temporality, ..Self::default() }
    }

    /// Takes a reading, which must be another than the last: sets the times of all points, adds the canonical histograms and the ends of
    /// the series that are gone, and says how the native families are told.
    pub fn read(
        &mut self,
        scopes: &mut [ScopeMetrics],
        system: &'static str,
        snapshot: Option<&Snapshot>,
        native: &Arc<SelectedFamilies>,
        moment: CollectionTimes,
    ) -> NativeReport {
        if self.readings.is_ahead_of(moment.reading) {
            self.rewind(moment.reading);
        }
        let step = self.readings.step(moment);
        self.scalars.rewrite(scopes, &step, self.temporality);
        self.measured.rewrite(scopes, &step, self.temporality);
        let histograms: Vec<Metric> = self.histograms.metrics(snapshot, system, &step, self.temporality);
        if let Some(scope) = scopes.first_mut() {
            scope.metrics.extend(histograms);
        }
        self.relay.read(native, &step, self.temporality)
    }

    /// Ends all series, right after the last reading: their target is gone.
    pub fn end(&mut self, scopes: &mut [ScopeMetrics], system: &'static str) -> NativeReport {
        let reading = self.readings.last.map_or(0, |last| last.time);
        self.read(scopes, system, None, &Arc::default(), CollectionTimes { reading, ..CollectionTimes::default() })
    }

    /// Dates what is remembered right before a reading at this time, because the clock was far ahead.
    fn rewind(&mut self, reading: u64) {
        let latest = reading.saturating_sub(READING_AFTER_NANOS);
        self.readings.rewind(latest);
        self.scalars.rewind(latest);
        self.measured.rewind(latest);
        self.histograms.rewind(latest);
        self.relay.rewind(latest);
    }
}

/// Dates a remembered point no later than `latest`; a start behind that is not known any more.
fn rewind(start: &mut u64, time: &mut u64, latest: u64) {
    *time = latest.min(*time);
    if *start > *time {
        *start = 0;
    }
}

/// Whether points of this kind are deltas.
fn is_delta(temporality: Temporality, kind: FamilyType) -> bool {
    match temporality {
        Temporality::Cumulative => false,
        Temporality::Delta => matches!(kind, FamilyType::Counter | FamilyType::Histogram),
        Temporality::LowMemory => kind == FamilyType::Histogram,
    }
}

/// A reading, and what follows from the ones before it.
#[derive(Clone, Copy, Debug)]
struct Transition {
    moment: CollectionTimes,
    /// The time of all its points.
    time: u64,
    /// The time of the reading before, good or not.
    last: Option<u64>,
    /// The reading before, if it was good and complete: what is new now began after it.
    previous: Option<u64>,
    /// The last good reading before; the first of all where none was good; none if this is the first.
    told: Option<u64>,
    /// When the server's counters began anew, if it says that they did.
    restarted: Option<u64>,
}

impl Transition {
    /// The same for counters that are not the server's own: nobody says when they began.
    fn of_others(mut self) -> Self {
        (self.moment.counters_since, self.restarted) = (None, None);
        self
    }

    /// The same for a family of which series were left out: one that is new may have been there before.
    fn of_thinned(mut self) -> Self {
        self.previous = None;
        self
    }

    /// When a counter began that was not there before; 0 is unset.
    fn start_of_new(&self) -> u64 {
        // One that was not there at the reading before began after it, even in a process that is older.
        self.moment.counters_since.max(self.previous).unwrap_or(0)
    }

    /// Whether nothing was told yet of a counter that is new and began at `start`.
    fn is_untold(&self, start: u64) -> bool {
        start != 0 && self.told.is_some_and(|told| told <= start)
    }

    /// When a counter began anew that was read at `before`, if it did.
    fn reset(&self, fell: bool, before: u64) -> Option<u64> {
        // It may have counted beyond the old value already.
        let restarted = self.restarted.filter(|since| *since > before);
        match fell {
            true => Some(self.moment.counters_since.filter(|since| *since > before).unwrap_or(before)),
            false => restarted,
        }
    }
}

#[derive(Debug, Default)]
struct Readings {
    last: Option<PreviousReading>,
    told: Option<u64>,
    /// What the server last said of its counters' beginning.
    since: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct PreviousReading {
    time: u64,
    complete: bool,
}

impl Readings {
    /// Whether the last reading is so far ahead of this time that the clock was wrong then.
    fn is_ahead_of(&self, reading: u64) -> bool {
        self.last.is_some_and(|last| last.time.saturating_sub(reading) > CLOCK_BEHIND_SECONDS_MAX * 1_000_000_000)
    }

    fn rewind(&mut self, latest: u64) {
        let times = self.last.iter_mut().map(|last| &mut last.time).chain(&mut self.told);
        times.for_each(|time| *time = latest.min(*time));
    }

    fn step(&mut self, mut moment: CollectionTimes) -> Transition {
        let after_last = self.last.map_or(0, |last| last.time.saturating_add(READING_AFTER_NANOS));
        let time = moment.reading.max(after_last);
        // A beginning after the reading is a clock that is wrong.
        moment.counters_since = moment.counters_since.filter(|since| *since <= time);
        let last = self.last.map(|last| last.time);
        let previous = self.last.filter(|last| last.complete).map(|last| last.time);
        self.last = Some(PreviousReading { time, complete: moment.good && moment.complete });
        let told = self.told;
        if moment.good || told.is_none() {
            self.told = Some(time);
        }
        // Compared with what the server said before, not with our clock alone: theirs may be ahead.
        let restarted = moment.counters_since.filter(|since| self.since.is_some_and(|before| *since > before));
        self.since = moment.counters_since.or(self.since);
        Transition { moment, time, last, previous, told, restarted }
    }
}
