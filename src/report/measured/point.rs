//! A point of a histogram with explicit or exponential buckets, and the metric that contains such points.

use crate::model::ExponentialBuckets;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, Metric,
};

/// A point with one of the two kinds of buckets.
#[derive(Clone, Debug)]
pub(super) enum Point {
    Explicit(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
}

impl Point {
    pub(super) const fn is_exponential(&self) -> bool {
        matches!(self, Self::Exponential(_))
    }

    /// Returns true if the point has the buckets of the point before.
    pub(super) fn has_buckets_of(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Explicit(point), Self::Explicit(before)) => point.explicit_bounds == before.explicit_bounds,
            (Self::Exponential(_), Self::Exponential(_)) => true,
            _ => false,
        }
    }

    pub(super) fn attributes(&self) -> &[KeyValue] {
        match self {
            Self::Explicit(point) => &point.attributes,
            Self::Exponential(point) => &point.attributes,
        }
    }

    pub(super) const fn start(&self) -> u64 {
        match self {
            Self::Explicit(point) => point.start_time_unix_nano,
            Self::Exponential(point) => point.start_time_unix_nano,
        }
    }

    pub(super) const fn start_mut(&mut self) -> &mut u64 {
        match self {
            Self::Explicit(point) => &mut point.start_time_unix_nano,
            Self::Exponential(point) => &mut point.start_time_unix_nano,
        }
    }

    pub(super) const fn time(&self) -> u64 {
        match self {
            Self::Explicit(point) => point.time_unix_nano,
            Self::Exponential(point) => point.time_unix_nano,
        }
    }

    pub(super) const fn time_mut(&mut self) -> &mut u64 {
        match self {
            Self::Explicit(point) => &mut point.time_unix_nano,
            Self::Exponential(point) => &mut point.time_unix_nano,
        }
    }

    /// Leaves out the exemplars up to this time, which were exported before.
    pub(super) fn remove_exemplars_until(&mut self, time: u64) {
        let exemplars = match self {
            Self::Explicit(point) => &mut point.exemplars,
            Self::Exponential(point) => &mut point.exemplars,
        };
        exemplars.retain(|exemplar| exemplar.time_unix_nano > time);
    }

    pub(super) fn end_marker(self, time_unix_nano: u64) -> Self {
        let flags = DataPointFlags::NoRecordedValueMask as u32;
        match self {
            // Prometheus ends only the buckets that the marker contains.
            Self::Explicit(HistogramDataPoint { attributes, explicit_bounds, bucket_counts, sum, .. }) => {
                let (bucket_counts, sum) = (vec![0; bucket_counts.len()], sum.map(|_| 0.0));
                let zeros = HistogramDataPoint { attributes, explicit_bounds, bucket_counts, sum, ..Default::default() };
                Self::Explicit(HistogramDataPoint { time_unix_nano, flags, ..zeros })
            }
            Self::Exponential(ExponentialHistogramDataPoint { attributes, .. }) => {
                Self::Exponential(ExponentialHistogramDataPoint { attributes, time_unix_nano, flags, ..Default::default() })
            }
        }
    }

    /// Subtracts the point before. Returns false if nothing was measured since.
    pub(super) fn subtract(&mut self, before: &Self) -> bool {
        match (self, before) {
            (Self::Explicit(point), Self::Explicit(before)) => subtract_explicit(point, before),
            (Self::Exponential(point), Self::Exponential(before)) => subtract_exponential(point, before),
            _ => true,
        }
    }
}

fn subtract_explicit(point: &mut HistogramDataPoint, before: &HistogramDataPoint) -> bool {
    point.start_time_unix_nano = before.time_unix_nano;
    point.count = point.count.saturating_sub(before.count);
    for (count, before) in point.bucket_counts.iter_mut().zip(&before.bucket_counts) {
        *count = count.saturating_sub(*before);
    }
    point.sum = point.sum.map(|sum| sum - before.sum.unwrap_or_default());
    // Minimum and maximum are those since the start of the measurement, not of the delta.
    (point.min, point.max) = (None, None);
    point.count > 0
}

fn subtract_exponential(point: &mut ExponentialHistogramDataPoint, before: &ExponentialHistogramDataPoint) -> bool {
    point.start_time_unix_nano = before.time_unix_nano;
    point.count = point.count.saturating_sub(before.count);
    point.zero_count = point.zero_count.saturating_sub(before.zero_count);
    point.sum = point.sum.map(|sum| sum - before.sum.unwrap_or_default());
    (point.min, point.max) = (None, None);
    if let (Some(now), Some(Buckets { offset, bucket_counts })) = (&mut point.positive, &before.positive) {
        let mut before = ExponentialBuckets { scale: before.scale, zero_count: 0, offset: *offset, counts: bucket_counts.clone() };
        // A scale never rises while a histogram counts.
        before.reduce(u32::try_from(before.scale - point.scale).unwrap_or(0));
        for (count, index) in before.counts.into_iter().zip(before.offset..) {
            let bucket = usize::try_from(index - now.offset).ok().and_then(|position| now.bucket_counts.get_mut(position));
            bucket.into_iter().for_each(|bucket| *bucket = bucket.saturating_sub(count));
        }
    }
    point.count > 0
}

/// Takes the points out of a histogram. `None` for other metrics.
pub(super) fn take_points(metric: &mut Metric) -> Option<Vec<Point>> {
    match &mut metric.data {
        Some(Data::Histogram(histogram)) => Some(std::mem::take(&mut histogram.data_points).into_iter().map(Point::Explicit).collect()),
        Some(Data::ExponentialHistogram(histogram)) => {
            Some(std::mem::take(&mut histogram.data_points).into_iter().map(Point::Exponential).collect())
        }
        _ => None,
    }
}

/// Returns true if a metric is a histogram with points of this kind.
pub(super) const fn accepts(metric: &Metric, point: &Point) -> bool {
    matches!(
        (&metric.data, point),
        (Some(Data::Histogram(_)), Point::Explicit(_)) | (Some(Data::ExponentialHistogram(_)), Point::Exponential(_))
    )
}

/// Adds a point of the same kind to a histogram.
pub(super) fn add_point(metric: &mut Metric, point: Point) {
    match (&mut metric.data, point) {
        (Some(Data::Histogram(histogram)), Point::Explicit(point)) => histogram.data_points.push(point),
        (Some(Data::ExponentialHistogram(histogram)), Point::Exponential(point)) => histogram.data_points.push(point),
        _ => {}
    }
}

/// Notes that the points of a histogram are deltas.
pub(super) fn set_delta(metric: &mut Metric) {
    if let Some(
        Data::Histogram(Histogram { aggregation_temporality, .. })
        | Data::ExponentialHistogram(ExponentialHistogram { aggregation_temporality, .. }),
    ) = &mut metric.data
    {
        *aggregation_temporality = AggregationTemporality::Delta as i32;
    }
}

/// Returns true for a histogram without points.
pub(super) fn is_empty_histogram(metric: &Metric) -> bool {
    match &metric.data {
        Some(Data::Histogram(histogram)) => histogram.data_points.is_empty(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.is_empty(),
        _ => false,
    }
}
