//! The report of a target's reading: canonical and native metrics in the form that is pushed, with start times, point times, deltas and the
//! ends of series.
//!
//! The SDK cannot provide these: its counters all begin when Postmeter's instruments were created. The pull is written from the families
//! directly, with only those start times that are known without earlier readings.
//!
//! # Start times are known or unset
//!
//! A counter that is present at the first poll began at an unknown time, unless the server reports it. A counter that appears later began
//! after the poll before, provided that poll was complete. A decrease is a reset that happened after the poll before. (OTLP metrics data
//! model, "Resets and Gaps".)
//!
//! # One time for all points of a reading
//!
//! All points of a reading have the time of its poll, including the points about the poll itself, and each reading is later than the
//! one before. Prometheus' OTLP receiver derives samples of `target_info` from the earliest and the latest point of a resource, and
//! rejects a whole request, with all its targets, if one sample is older than the one before it.
//!
//! # End markers are one millisecond earlier
//!
//! Prometheus makes several series of a histogram or summary, and an end marker ends those of its own buckets or quantiles. If a series
//! changes its bounds, its type, its scope or its unit, some of those that Prometheus has made of it end, and others continue. So the end
//! markers of a reading have the old shape of a series and an earlier time than all of its points, and are exported before them: a point
//! that follows continues its series.
//!
//! # A clock that is set back
//!
//! If the clock is set back by up to 10 minutes, each reading is dated two milliseconds after the one before, until the clock has caught
//! up. If it is set back further, the old times were wrong and Prometheus has rejected them: the new readings follow the
//! clock, and all remembered times are moved to right before the reading. Counted values are kept in both cases.
//!
//! # A series that one response omits is not new in the next
//!
//! Exporters omit the families of a failed collector, with status 200. The end marker of such a series is sent at once. Its start time and
//! last value are remembered for an hour (`retention`): when the series returns it resumes, or counts as reset if it decreased.
//!
//! # A reload can change what is counted
//!
//! Series that become visible with a part or a rule existed before, canonical counters can be sums of other series then, and a target can
//! become another server under the same identity. Such counters begin again with an unknown start ([`Continuity`]).
//!
//! # A delta covers every skipped reading
//!
//! A delta covers the time since the last successful reading of its series, however many polls failed in between. The first value of a
//! counter with an unknown start is only the baseline and is not exported. A new counter is exported from zero only if its start is
//! after the last reading: otherwise this or an earlier Postmeter process may have exported its first part already.

mod counted_value;
mod end_markers;
mod histograms;
mod measured;
mod native;
mod retention;
mod scalars;
mod self_metrics;
#[cfg(test)]
mod tests;
mod times;
mod transition;

pub use histograms::{buckets, count, on_common_bounds, sum};
pub use native::{DeltaBase, EndedSamples, NativeReport, TimestampedSamples};
pub use self_metrics::SelfMetricsState;
pub use times::{ReadingStatus, UnixNanos};

use crate::config::Temporality;
use crate::model::{FamilyType, SelectedFamilies, Snapshot};
use crate::poll::{Continuity, Reading};
use crate::telemetry::{RecordsSince, empty_canonical_scope};
use end_markers::take_end_markers;
use histograms::HistogramSeries;
use measured::MeasuredSeries;
use native::NativeSeries;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use prost::Message;
use scalars::ScalarSeries;
use std::sync::Arc;
use transition::{READING_STEP_NANOS, ReadingHistory, Transition};

/// One reading of a target, ready to be exported.
#[derive(Debug)]
pub struct Report {
    /// Canonical metrics: scalars and histograms, with all times set.
    pub canonical: Vec<ScopeMetrics>,
    /// The end markers of canonical series.
    pub canonical_ends: Vec<ScopeMetrics>,
    /// Native families, with start times, delta baselines and ended series.
    pub native: NativeReport,
}

/// The state of a target's series, which is kept from one reading to the next.
#[derive(Debug, Default)]
pub struct SeriesState {
    temporality: Temporality,
    readings: ReadingHistory,
    scalars: ScalarSeries,
    measured: MeasuredSeries,
    histograms: HistogramSeries,
    native: NativeSeries,
}

impl SeriesState {
    /// The state of a target without readings, whose points will have this temporality.
    #[must_use]
    pub fn new(temporality: Temporality) -> Self {
        Self { temporality, ..Self::default() }
    }

    /// Notes that a reload has changed the target.
    pub fn note_change(&mut self, continuity: Continuity) {
        self.readings.note_change(continuity);
    }

    /// Reports a reading, which must differ from the last one. `canonical` is what the target's `MeterProvider` collected of it, and
    /// `records_since` when the counts of its delivery records began, if it has records.
    pub fn report(
        &mut self,
        canonical: Vec<ScopeMetrics>,
        system: &'static str,
        reading: &Reading,
        records_since: Option<RecordsSince>,
    ) -> Report {
        self.report_with(ReadingStatus::of(reading, records_since), canonical, system, reading.snapshot(), &reading.native)
    }

    /// Reports the end of all series, right after the last reading: the target was removed.
    pub fn end(&mut self, system: &'static str) -> Report {
        let status = ReadingStatus::failed(self.readings.last_time().unwrap_or(UnixNanos::EARLIEST));
        self.report_with(status, vec![empty_canonical_scope()], system, None, &Arc::default())
    }

    fn report_with(
        &mut self,
        status: ReadingStatus,
        mut canonical: Vec<ScopeMetrics>,
        system: &'static str,
        snapshot: Option<&Snapshot>,
        native: &Arc<SelectedFamilies>,
    ) -> Report {
        if self.readings.is_ahead_of(status.time) {
            self.limit_times(status.time.earlier(READING_STEP_NANOS));
        }
        let transition = self.readings.add(status);
        self.scalars.update(&mut canonical, snapshot, &transition, self.temporality);
        self.measured.update(&mut canonical, &transition, self.temporality);
        let histograms = self.histograms.metrics(snapshot, system, &transition, self.temporality);
        if let Some(scope) = canonical.first_mut() {
            scope.metrics.extend(histograms);
        }
        let canonical_ends = take_end_markers(&mut canonical, transition.end_time());
        Report { canonical, canonical_ends, native: self.native.report(native, &transition, self.temporality) }
    }

    /// Moves all remembered times to `latest` or earlier, because the clock was far ahead.
    fn limit_times(&mut self, latest: UnixNanos) {
        self.readings.limit_times(latest);
        self.scalars.limit_times(latest);
        self.measured.limit_times(latest);
        self.histograms.limit_times(latest);
        self.native.limit_times(latest);
    }
}

/// Moves the time of a remembered point to `latest` or earlier. A start time after that is not known any more.
fn limit_point_times(start: &mut Option<UnixNanos>, time: &mut UnixNanos, latest: UnixNanos) {
    *time = latest.min(*time);
    *start = start.filter(|start| *start <= *time);
}

/// Returns true if points of this type are exported as deltas.
fn is_delta(temporality: Temporality, kind: FamilyType) -> bool {
    match temporality {
        Temporality::Cumulative => false,
        Temporality::Delta => matches!(kind, FamilyType::Counter | FamilyType::Histogram),
        Temporality::LowMemory => kind == FamilyType::Histogram,
    }
}

/// The time in the form of OTLP, where 0 means "unset".
fn otlp_time(time: Option<UnixNanos>) -> u64 {
    time.map_or(0, UnixNanos::get)
}

/// The identity of a canonical series: its metric and its sorted attributes.
fn series_key(metric: &str, attributes: &[KeyValue]) -> Vec<u8> {
    let mut key = Vec::new();
    write_series_key(&mut key, metric, attributes);
    key
}

/// Replaces `key` by the identity of a canonical series.
fn write_series_key(key: &mut Vec<u8>, metric: &str, attributes: &[KeyValue]) {
    key.clear();
    key.extend_from_slice(metric.as_bytes());
    for attribute in attributes {
        key.push(0);
        // The buffer grows, so encoding does not fail.
        let _ = attribute.encode_length_delimited(key);
    }
}

/// The attributes in the key of a series of this metric.
fn key_attributes(key: &[u8], metric: &str) -> Vec<KeyValue> {
    let mut encoded = key.get(metric.len()..).unwrap_or_default();
    let mut attributes = Vec::new();
    while let Some((_, rest)) = encoded.split_first() {
        encoded = rest;
        attributes.extend(KeyValue::decode_length_delimited(&mut encoded));
    }
    attributes
}
