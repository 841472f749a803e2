//! Start times, point times and the end of series, which the SDK cannot know: its counters all begin when our instrument did.
//!
//! # Start times are known or unset
//!
//! A counter that is there at our first poll began at a time that nobody told us, unless the server did. One that appears
//! later began after the poll before, if that one was good and complete. A fall is a reset, after the poll before. A point's
//! time is the time of its reading, and no start is later: where the clock was set back, what began after is told without a start,
//! and a delta by the reading that follows. (OTLP metrics data model, "Resets and Gaps".)
//!
//! # An end is right after the last point
//!
//! A series that is gone leaves once, with the `NoRecordedValue` flag ("No recorded value"), dated right after what was told of it
//! last: the poll that it was missed in may have been given up on, and come to a reading that is older than that.
//!
//! # Deltas are of what was said
//!
//! A delta spans the time since the last good reading, however many failed in between. Without a start there is nothing to
//! subtract from: the first sight of a counter whose start nobody knows is the baseline, and no point. Nor is there a point where
//! it may have been told before, by this instance or the one that ran before it: a beginning counts from nothing only if nothing
//! was read since then.

mod histograms;
mod measured;
mod relay;
mod scalars;
#[cfg(test)]
mod tests;

pub use relay::{Base, Ends, Relayed};

use crate::config::Temporality;
use crate::model::{FamilyType, Native, Snapshot};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ScopeMetrics};
use prost::Message;
use std::sync::Arc;
use std::time::SystemTime;

pub use histograms::{buckets, count, sum};

/// An end is told this long after the last point: what backends tell times apart by.
const END_AFTER_NANOS: u64 = 1_000_000;

/// The times of a reading, in Unix nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// When the poll began.
    pub reading: u64,
    /// When it is collected: the time of what is said about the poll itself.
    pub collected: u64,
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
}

/// Unix nanoseconds.
#[must_use]
pub fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// When a series ended that was told last at this time.
fn end_after(time: u64) -> u64 {
    time.saturating_add(END_AFTER_NANOS)
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
    scalars: scalars::Scalars,
    measured: measured::Measured,
    histograms: histograms::Histograms,
    relay: relay::Relay,
}

impl SeriesState {
    /// Nothing yet; points are told like this.
    #[must_use]
    pub fn new(temporality: Temporality) -> Self {
        Self { temporality, ..Self::default() }
    }

    /// Takes a reading: sets the times of all points, adds the canonical histograms and the ends of the series that are gone,
    /// and says how the native families are told.
    pub fn read(
        &mut self,
        scopes: &mut [ScopeMetrics],
        system: &'static str,
        snapshot: Option<&Snapshot>,
        native: &Arc<Native>,
        moment: Moment,
    ) -> Relayed {
        let step = self.readings.step(moment);
        self.scalars.rewrite(scopes, &step, self.temporality);
        self.measured.rewrite(scopes, self.temporality);
        let histograms: Vec<Metric> = self.histograms.metrics(snapshot, system, &step, self.temporality);
        if let Some(scope) = scopes.first_mut() {
            scope.metrics.extend(histograms);
        }
        self.relay.read(native, &step, self.temporality)
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
struct Step {
    moment: Moment,
    /// This reading was collected before.
    again: bool,
    /// The reading before, if it was good and complete: what is new now began after it.
    previous: Option<u64>,
    /// The last good reading before; the first of all where none was good; none if this is the first.
    told: Option<u64>,
    /// When the server's counters began anew, if it says that they did.
    restarted: Option<u64>,
}

impl Step {
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
    last: Option<Last>,
    told: Option<u64>,
    /// What the server last said of its counters' beginning.
    since: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    reading: u64,
    complete: bool,
    /// The complete reading before it.
    before: Option<u64>,
}

impl Readings {
    fn step(&mut self, mut moment: Moment) -> Step {
        // A beginning after the reading is a clock that is wrong.
        moment.counters_since = moment.counters_since.filter(|since| *since <= moment.reading);
        let again = self.last.is_some_and(|last| last.reading == moment.reading);
        let previous = match self.last {
            Some(last) if again => last.before,
            last => last.filter(|last| last.complete).map(|last| last.reading),
        };
        // Nothing begins later than it is read: the clock was set back.
        let previous = previous.filter(|previous| *previous < moment.reading);
        self.last = Some(Last { reading: moment.reading, complete: moment.good && moment.complete, before: previous });
        let told = self.told;
        if moment.good || told.is_none() {
            self.told = Some(moment.reading);
        }
        // Compared with what the server said before, not with our clock alone: theirs may be ahead.
        let restarted = moment.counters_since.filter(|since| self.since.is_some_and(|before| *since > before));
        self.since = moment.counters_since.or(self.since);
        Step { moment, again, previous, told, restarted }
    }
}
