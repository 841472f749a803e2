//! The histograms of delivery records: of delivery times by group, and of message sizes by source.

use crate::config::HistogramForm;
use crate::model::vocabulary::SYSTEM_NAME;
use crate::model::{Attributes, ExponentialBuckets, MeasuredExemplar, MeasuredHistogram, Metric, ZERO_THRESHOLD, unix_nanos};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint,
};
use std::time::SystemTime;

/// The attribute of an exemplar that leads to its record.
pub const RECORD_UID: &str = "log.record.uid";
/// Upper bounds from one second, the resolution of mail servers, to five days, after which most servers give up.
pub(super) const DURATION_SECONDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0, 86_400.0, 432_000.0];
/// Upper bounds from a line of text to a size that most servers reject.
pub(super) const SIZE_BYTES: &[f64] = &[
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    10_485_760.0,
    20_971_520.0,
    31_457_280.0,
    52_428_800.0,
    104_857_600.0,
];

/// A histogram that was counted from delivery records.
#[derive(Clone, Debug)]
pub struct RecordHistogram {
    /// The metric.
    pub metric: &'static Metric,
    /// The attributes.
    pub attributes: Attributes,
    /// The observations so far.
    pub histogram: MeasuredHistogram,
    /// The time since which they are counted.
    pub since: SystemTime,
}

/// Converts histograms to cumulative OTLP metrics, whose points have no time of their own.
pub(super) fn otlp_metrics(histograms: &[RecordHistogram], system: &'static str, form: HistogramForm) -> Vec<otlp::Metric> {
    let of_metric = histograms.chunk_by(|a, b| a.metric == b.metric);
    let metric = |histograms: &[RecordHistogram]| {
        let metric = histograms.first()?.metric;
        let aggregation_temporality = AggregationTemporality::Cumulative as i32;
        let data = match form {
            HistogramForm::Explicit => {
                let data_points = histograms.iter().map(|histogram| explicit_point(histogram, system)).collect();
                Data::Histogram(Histogram { data_points, aggregation_temporality })
            }
            HistogramForm::Exponential => {
                let data_points = histograms.iter().map(|histogram| exponential_point(histogram, system)).collect();
                Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
            }
        };
        let (name, unit, description) = (metric.name.to_owned(), metric.unit.to_owned(), metric.help.to_owned());
        Some(otlp::Metric { name, unit, description, data: Some(data), ..Default::default() })
    };
    of_metric.filter_map(metric).collect()
}

fn explicit_point(of: &RecordHistogram, system: &'static str) -> HistogramDataPoint {
    let histogram = &of.histogram;
    HistogramDataPoint {
        attributes: otlp_attributes(&of.attributes, system),
        start_time_unix_nano: unix_nanos(of.since),
        count: histogram.count,
        sum: Some(histogram.sum),
        bucket_counts: histogram.counts.clone(),
        explicit_bounds: histogram.bounds.to_vec(),
        exemplars: exemplars(histogram),
        min: histogram.range.map(|(min, _)| min),
        max: histogram.range.map(|(_, max)| max),
        ..Default::default()
    }
}

fn exponential_point(of: &RecordHistogram, system: &'static str) -> ExponentialHistogramDataPoint {
    let histogram = &of.histogram;
    let ExponentialBuckets { scale, zero_count, offset, counts } = histogram.exponential.clone();
    ExponentialHistogramDataPoint {
        attributes: otlp_attributes(&of.attributes, system),
        start_time_unix_nano: unix_nanos(of.since),
        count: histogram.count,
        sum: Some(histogram.sum),
        scale,
        zero_count,
        zero_threshold: ZERO_THRESHOLD,
        positive: Some(Buckets { offset, bucket_counts: counts }),
        exemplars: exemplars(histogram),
        min: histogram.range.map(|(min, _)| min),
        max: histogram.range.map(|(_, max)| max),
        ..Default::default()
    }
}

/// The attributes of a point as OTLP, sorted by their keys like those of the SDK's metrics.
#[must_use]
pub fn otlp_attributes(attributes: &Attributes, system: &str) -> Vec<KeyValue> {
    let own = attributes.iter().map(|(attribute, value)| key_value(attribute.key, value));
    let mut attributes: Vec<KeyValue> = own.chain([key_value(SYSTEM_NAME.key, system)]).collect();
    attributes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    attributes
}

fn exemplars(histogram: &MeasuredHistogram) -> Vec<Exemplar> {
    let exemplar = |exemplar: MeasuredExemplar| Exemplar {
        filtered_attributes: vec![key_value(RECORD_UID, &exemplar.uid.text())],
        time_unix_nano: exemplar.nanos,
        value: Some(Value::AsDouble(exemplar.value)),
        ..Default::default()
    };
    histogram.exemplars().into_iter().map(exemplar).collect()
}

pub(super) fn key_value(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}
