//! Encodes native families as OTLP, directly from the body that they were read from.
//!
//! The mapping follows the Prometheus compatibility specification of OpenTelemetry: a counter becomes a cumulative monotonic sum, an info
//! or a stateset a sum that is not monotonic, a family without a type a gauge; `prometheus.type` keeps the original type. NaN samples are
//! omitted, because a point without a value would end its series.

use super::metric_header::MetricHeader;
use super::point_writer::{Point, PointWriter};
use super::request_writer::MetricsRequestWriter;
use crate::model::{FamilyType, SamplePosition, SamplePositions, SelectedFamily, is_scope_info};
use crate::report::{DeltaBase, EndedSamples, NativeReport, UnixNanos};

/// The scope of native metrics whose labels name no scope.
pub const NATIVE_SCOPE: &str = "postmeter.native";

/// The request is full, and metrics are left for the next one.
#[derive(Debug)]
pub(crate) struct RequestFull;

/// The position in the native families of a target, across several requests.
#[derive(Debug)]
pub(crate) struct NativeCursor<'a> {
    report: &'a NativeReport,
    family: usize,
    positions: Option<SamplePositions<'a>>,
    /// The sample that did not fit into the previous request.
    pending: Option<SamplePosition>,
    /// The index of the next series among those of counters and histograms.
    rising: usize,
    /// The index of the next series among those that are exported as deltas.
    delta: usize,
    ends: Option<EndedSamples<'a>>,
    /// The end of a series that did not fit into the previous request.
    pending_end: Option<(usize, SamplePosition)>,
    /// The index of the next sample with an explicit timestamp.
    timestamped: usize,
}

impl<'a> NativeCursor<'a> {
    pub(crate) fn new(report: &'a NativeReport) -> Self {
        let ends = report.ended_samples();
        Self { report, family: 0, positions: None, pending: None, rising: 0, delta: 0, ends, pending_end: None, timestamped: 0 }
    }

    /// Writes the points until all are written or the request is full. Samples with explicit timestamps are written under `identity`, a
    /// resource without descriptive attributes: Prometheus would derive samples of `target_info` from their times otherwise.
    pub(crate) fn write(&mut self, request: &mut MetricsRequestWriter, resource: &[u8], identity: &[u8]) -> Result<(), RequestFull> {
        let mut writer = PointWriter::new(request, resource);
        while self.family < self.report.native.len() {
            let family = self.report.native.family(self.family);
            if !is_scope_info(family.native_name()) {
                writer.set_scope(family.scope());
                self.write_family(&mut writer, &family)?;
            }
            writer.end_metric();
            (self.family, self.positions) = (self.family + 1, None);
        }
        self.write_timestamped(request, identity)
    }

    fn write_timestamped(&mut self, request: &mut MetricsRequestWriter, identity: &[u8]) -> Result<(), RequestFull> {
        let samples = &self.report.timestamped.samples;
        if self.timestamped == samples.len() {
            return Ok(());
        }
        request.end_resource();
        let mut writer = PointWriter::new(request, identity);
        let mut previous_family = None;
        while let Some(timestamped) = samples.get(self.timestamped) {
            if previous_family.replace(timestamped.family) != Some(timestamped.family) {
                writer.end_metric();
            }
            let family = self.report.native.family(timestamped.family);
            writer.set_scope(family.scope());
            let header = MetricHeader::new(&family, self.report.is_delta(family.kind()), self.report.native.has_exemplars());
            let sample = self.report.native.sample(timestamped.position).filter(|_| !is_scope_info(family.native_name()));
            if let Some(sample) = sample {
                let (start, time) = (timestamped.start, timestamped.time);
                let point = Point { value: sample.value(), base: timestamped.base_value(), start, time };
                writer.write_point(&header, &sample, &point)?;
            }
            self.timestamped += 1;
        }
        writer.end_metric();
        Ok(())
    }

    fn write_family(&mut self, writer: &mut PointWriter<'_, 'a>, family: &SelectedFamily<'a>) -> Result<(), RequestFull> {
        let (kind, report) = (family.kind(), self.report);
        let is_rising = matches!(kind, FamilyType::Counter | FamilyType::Histogram);
        let is_delta = report.is_delta(kind);
        let header = MetricHeader::new(family, is_delta, report.native.has_exemplars());
        let positions = self.positions.get_or_insert_with(|| family.positions());
        while let Some(position) = self.pending.take().or_else(|| positions.next()) {
            let Some(sample) = report.native.sample(position) else { continue };
            let mut point = Point { value: sample.value(), base: None, start: None, time: report.time };
            if is_rising {
                point.start = report.starts.get(self.rising).copied().flatten();
            } else if kind == FamilyType::Summary {
                point.start = sample.created().and_then(UnixNanos::new).filter(|created| *created <= report.read_until);
            }
            let base = if is_delta { report.delta_base(self.delta) } else { DeltaBase::Zero };
            if let Some((value, time)) = report.base_value(base) {
                (point.base, point.start) = (Some(value), Some(time));
            }
            // Samples with explicit timestamps are written after all families.
            let is_timestamped = sample.timestamp().is_some() || report.timestamped.is_ahead(family, &sample, report.time);
            if base != DeltaBase::Unknown && !is_timestamped && writer.write_point(&header, &sample, &point).is_err() {
                self.pending = Some(position);
                return Err(RequestFull);
            }
            self.rising += usize::from(is_rising);
            self.delta += usize::from(is_delta);
        }
        Ok(())
    }

    /// Writes the end markers until all are written or the request is full.
    pub(crate) fn write_ends(&mut self, request: &mut MetricsRequestWriter, resource: &[u8]) -> Result<(), RequestFull> {
        let mut writer = PointWriter::new(request, resource);
        let Some(ends) = &mut self.ends else { return Ok(()) };
        let (native, end_time) = (ends.native(), self.report.end_time);
        let mut previous_family = None;
        while let Some((index, position)) = self.pending_end.take().or_else(|| ends.next()) {
            if previous_family.replace(index) != Some(index) {
                writer.end_metric();
            }
            let family = native.family(index);
            if is_scope_info(family.native_name()) {
                continue;
            }
            writer.set_scope(family.scope());
            let header = MetricHeader::new(&family, self.report.is_delta(family.kind()), false);
            let sample = native.sample(position).filter(|sample| !self.report.timestamped.is_ahead(&family, sample, end_time));
            let Some(sample) = sample else { continue };
            if writer.write_end(&header, &sample, end_time).is_err() {
                self.pending_end = Some((index, position));
                return Err(RequestFull);
            }
        }
        writer.end_metric();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
