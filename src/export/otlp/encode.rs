//! From a collection to the bytes of `ExportMetricsServiceRequest`s.

use super::super::series::{Moment, SeriesState, nanos};
use crate::poll::Reading;
use crate::telemetry::Identity;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics as Collected;
use prost::Message;
use std::time::SystemTime;

/// Bytes of one request: a gRPC receiver takes 4 MiB by default, and the rest is room for what goes around it.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024 - 64 * 1024;
/// `repeated ResourceMetrics resource_metrics = 1`, length-delimited.
const RESOURCE_METRICS_TAG: u8 = 0x0a;

/// One target's collection as OTLP, with the times that are its own.
pub fn resource_metrics(collected: &Collected, reading: &Reading, identity: &Identity, series: &mut SeriesState) -> ResourceMetrics {
    let mut scope_metrics: Vec<ScopeMetrics> = collected.scope_metrics().map(Into::into).collect();
    let snapshot = reading.snapshot();
    let moment = Moment {
        reading: nanos(reading.at),
        collected: nanos(SystemTime::now()),
        good: snapshot.is_some(),
        complete: reading.is_complete(),
        counters_since: snapshot.and_then(|s| s.counters_since).map(nanos),
        tally_since: nanos(reading.tally_since),
    };
    for scope in scope_metrics.iter_mut().filter_map(|scope| scope.scope.as_mut()) {
        env!("CARGO_PKG_VERSION").clone_into(&mut scope.version);
    }
    series.rewrite(&mut scope_metrics, moment);
    ResourceMetrics { resource: Some(resource(identity)), scope_metrics, ..Default::default() }
}

fn resource(identity: &Identity) -> Resource {
    let value = |text: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let attributes = identity.attributes().map(|(key, text)| KeyValue { key: key.to_owned(), value: value(text), ..Default::default() });
    Resource { attributes: attributes.collect(), ..Default::default() }
}

/// An encoded request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `ExportMetricsServiceRequest`.
    pub bytes: Bytes,
    /// How many points are in it.
    pub points: u64,
}

/// Requests that hold all of it, none above `bytes_max` unless a single point is.
#[must_use]
pub fn requests(all: Vec<ResourceMetrics>, bytes_max: usize) -> Vec<Request> {
    let mut pieces = Vec::new();
    for of_target in all {
        split(of_target, bytes_max, &mut pieces);
    }
    let mut requests = Vec::new();
    let (mut bytes, mut points) = (Vec::new(), 0);
    for piece in pieces {
        let encoded = piece.encode_length_delimited_to_vec();
        if !bytes.is_empty() && bytes.len() + 1 + encoded.len() > bytes_max {
            requests.push(Request { bytes: std::mem::take(&mut bytes).into(), points });
            points = 0;
        }
        bytes.push(RESOURCE_METRICS_TAG);
        bytes.extend_from_slice(&encoded);
        points += points_of(&piece);
    }
    if !bytes.is_empty() {
        requests.push(Request { bytes: bytes.into(), points });
    }
    requests
}

fn points_of(of_target: &ResourceMetrics) -> u64 {
    let metrics = of_target.scope_metrics.iter().flat_map(|scope| &scope.metrics);
    let points = metrics.map(|metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    });
    points.sum::<usize>() as u64
}

/// The same as one message, for output as JSON.
#[must_use]
pub fn message(all: Vec<ResourceMetrics>) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest { resource_metrics: all }
}

/// Halves what is too large: scopes, then metrics, then points.
fn split(of_target: ResourceMetrics, bytes_max: usize, pieces: &mut Vec<ResourceMetrics>) {
    if of_target.encoded_len() + 8 <= bytes_max {
        return pieces.push(of_target);
    }
    let halves = halves(&of_target.scope_metrics, |scope| {
        halves(&scope.metrics, |metric| split_points(metric).map(|(a, b)| (vec![a], vec![b])))
            .map(|(a, b)| (vec![ScopeMetrics { metrics: a, ..scope.clone() }], vec![ScopeMetrics { metrics: b, ..scope.clone() }]))
    });
    match halves {
        Some((a, b)) => {
            for scope_metrics in [a, b] {
                split(ResourceMetrics { scope_metrics, ..of_target.clone() }, bytes_max, pieces);
            }
        }
        None => pieces.push(of_target),
    }
}

type Halves<T> = Option<(Vec<T>, Vec<T>)>;

fn halves<T: Clone>(items: &[T], inside: impl Fn(&T) -> Halves<T>) -> Halves<T> {
    match items {
        [] => None,
        [one] => inside(one),
        several => {
            let (a, b) = several.split_at(several.len() / 2);
            Some((a.to_vec(), b.to_vec()))
        }
    }
}

fn split_points(metric: &Metric) -> Option<(Metric, Metric)> {
    let (mut a, mut b) = (metric.clone(), metric.clone());
    let moved = match (&mut a.data, &mut b.data) {
        (Some(Data::Gauge(a)), Some(Data::Gauge(b))) => cut(&mut a.data_points, &mut b.data_points),
        (Some(Data::Sum(a)), Some(Data::Sum(b))) => cut(&mut a.data_points, &mut b.data_points),
        (Some(Data::Histogram(a)), Some(Data::Histogram(b))) => cut(&mut a.data_points, &mut b.data_points),
        _ => false,
    };
    moved.then_some((a, b))
}

fn cut<T>(a: &mut Vec<T>, b: &mut Vec<T>) -> bool {
    let half = a.len() / 2;
    a.truncate(half);
    b.drain(..half);
    half > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint, number_data_point::Value};

    fn of_target(name: &str, metrics: usize, points: usize) -> ResourceMetrics {
        let point = |n| NumberDataPoint { value: Some(Value::AsInt(n)), time_unix_nano: 1, ..Default::default() };
        let data = || Some(Data::Gauge(Gauge { data_points: (0..points as i64).map(point).collect() }));
        let metrics = (0..metrics).map(|n| Metric { name: format!("m{n}"), data: data(), ..Default::default() }).collect();
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        ResourceMetrics { resource: Some(resource(&Identity::new(name, name))), scope_metrics, ..Default::default() }
    }

    fn points(requests: &[Request]) -> Vec<(String, String, i64)> {
        let mut points = Vec::new();
        for request in requests {
            for of_target in ExportMetricsServiceRequest::decode(request.bytes.clone()).unwrap_or_default().resource_metrics {
                let resource = format!("{:?}", of_target.resource);
                for metric in of_target.scope_metrics.into_iter().flat_map(|s| s.metrics) {
                    let Some(Data::Gauge(gauge)) = metric.data else { continue };
                    for point in gauge.data_points {
                        let Some(Value::AsInt(n)) = point.value else { continue };
                        points.push((resource.clone(), metric.name.clone(), n));
                    }
                }
            }
        }
        points.sort();
        points
    }

    #[test]
    fn any_split_holds_the_same_points_and_none_is_too_large() {
        let all = vec![of_target("a", 3, 100), of_target("b", 1, 1000), of_target("c", 50, 1)];
        let whole = points(&requests(all.clone(), usize::MAX));
        assert_eq!(whole.len(), 1350);
        for bytes_max in [200, 500, 1000, 5000, 20_000] {
            let requests = requests(all.clone(), bytes_max);
            assert_eq!(points(&requests), whole, "{bytes_max}");
            assert!(requests.iter().all(|r| r.bytes.len() <= bytes_max), "{bytes_max}");
            assert_eq!(requests.iter().map(|r| r.points).sum::<u64>(), 1350, "{bytes_max}");
        }
        assert_eq!(requests(all, usize::MAX).len(), 1);
    }
}
