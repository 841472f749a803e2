//! The end markers of canonical series. They are separated from the points, because they are earlier and exported first.

use super::UnixNanos;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{DataPointFlags, ExponentialHistogram, Gauge, Histogram, Metric, ScopeMetrics, Sum};

/// Takes the end markers out of canonical metrics, and sets their time.
pub(super) fn take_end_markers(scopes: &mut [ScopeMetrics], time: UnixNanos) -> Vec<ScopeMetrics> {
    let mut ends = Vec::new();
    for ScopeMetrics { scope, schema_url, metrics } in scopes {
        let of_scope: Vec<Metric> = metrics.iter_mut().filter_map(|metric| end_markers_of(metric, time)).collect();
        if !of_scope.is_empty() {
            metrics.retain(has_points);
            ends.push(ScopeMetrics { scope: scope.clone(), schema_url: schema_url.clone(), metrics: of_scope });
        }
    }
    ends
}

/// Takes the end markers out of a metric. `None` if it has none.
fn end_markers_of(metric: &mut Metric, time: UnixNanos) -> Option<Metric> {
    let Metric { name, description, unit, metadata, data } = metric;
    let data = match data.as_mut()? {
        Data::Gauge(Gauge { data_points }) => {
            let data_points = take(data_points, time, |point| (point.flags, &mut point.time_unix_nano))?;
            Data::Gauge(Gauge { data_points })
        }
        Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic }) => {
            let data_points = take(data_points, time, |point| (point.flags, &mut point.time_unix_nano))?;
            Data::Sum(Sum { data_points, aggregation_temporality: *aggregation_temporality, is_monotonic: *is_monotonic })
        }
        Data::Histogram(Histogram { data_points, aggregation_temporality }) => {
            let data_points = take(data_points, time, |point| (point.flags, &mut point.time_unix_nano))?;
            Data::Histogram(Histogram { data_points, aggregation_temporality: *aggregation_temporality })
        }
        Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality }) => {
            let data_points = take(data_points, time, |point| (point.flags, &mut point.time_unix_nano))?;
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: *aggregation_temporality })
        }
        // No canonical metric is a summary.
        Data::Summary(_) => return None,
    };
    let (name, description, unit, metadata) = (name.clone(), description.clone(), unit.clone(), metadata.clone());
    Some(Metric { name, description, unit, metadata, data: Some(data) })
}

/// Takes the end markers out of the points of a metric. `None` if there are none. `fields` are the flags and the time of a point.
fn take<T>(points: &mut Vec<T>, time: UnixNanos, fields: impl Fn(&mut T) -> (u32, &mut u64)) -> Option<Vec<T>> {
    let mut ends: Vec<T> = points.extract_if(.., |point| fields(point).0 == DataPointFlags::NoRecordedValueMask as u32).collect();
    ends.iter_mut().for_each(|end| *fields(end).1 = time.get());
    (!ends.is_empty()).then_some(ends)
}

fn has_points(metric: &Metric) -> bool {
    match &metric.data {
        Some(Data::Gauge(gauge)) => !gauge.data_points.is_empty(),
        Some(Data::Sum(sum)) => !sum.data_points.is_empty(),
        Some(Data::Histogram(histogram)) => !histogram.data_points.is_empty(),
        Some(Data::ExponentialHistogram(histogram)) => !histogram.data_points.is_empty(),
        Some(Data::Summary(_)) | None => true,
    }
}
