//! Splits requests that are too large. Points or records keep their order, and each part repeats their resource and scope.

use super::exporter::Signal;
use crate::export::queue::request_exporter::EncodedRequest;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum, Summary,
};
use prost::Message;

/// A request that can be split in two.
trait Splittable: Message + Default {
    /// The number of points or records.
    fn count(&self) -> usize;
    /// Splits the request after the first `first` points or records.
    fn split_at(self, first: usize) -> (Self, Self);
}

/// Splits a request into requests of at most `bytes_max` bytes each, or of one point or record each. Returns no part if the request cannot
/// be decoded.
pub(crate) fn split(signal: Signal, request: &[u8], bytes_max: usize) -> Vec<EncodedRequest> {
    match signal {
        Signal::Metrics => split_message::<ExportMetricsServiceRequest>(request, bytes_max),
        Signal::Logs => split_message::<ExportLogsServiceRequest>(request, bytes_max),
    }
}

fn split_message<M: Splittable>(request: &[u8], bytes_max: usize) -> Vec<EncodedRequest> {
    let mut parts = Vec::new();
    if let Ok(message) = M::decode(request) {
        halve(message, bytes_max, &mut parts);
    }
    parts
}

fn halve<M: Splittable>(message: M, bytes_max: usize, parts: &mut Vec<EncodedRequest>) {
    let count = message.count();
    if count <= 1 || message.encoded_len() <= bytes_max {
        return parts.push(EncodedRequest { bytes: message.encode_to_vec().into(), points: count as u64 });
    }
    let (first, second) = message.split_at(count / 2);
    halve(first, bytes_max, parts);
    halve(second, bytes_max, parts);
}

impl Splittable for ExportMetricsServiceRequest {
    fn count(&self) -> usize {
        let scopes = self.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| &scope.metrics).map(metric_points).sum()
    }

    fn split_at(self, mut first: usize) -> (Self, Self) {
        let (mut a, mut b) = (Self::default(), Self::default());
        for ResourceMetrics { resource, scope_metrics, schema_url } in self.resource_metrics {
            let (mut scopes_a, mut scopes_b) = (Vec::new(), Vec::new());
            for ScopeMetrics { scope, metrics, schema_url } in scope_metrics {
                let (mut metrics_a, mut metrics_b) = (Vec::new(), Vec::new());
                for metric in metrics {
                    let count = metric_points(&metric);
                    match first.min(count) {
                        0 => metrics_b.push(metric),
                        all if all == count => metrics_a.push(metric),
                        some => {
                            let (head, tail) = split_points(metric, some);
                            metrics_a.push(head);
                            metrics_b.push(tail);
                        }
                    }
                    first = first.saturating_sub(count);
                }
                let part = |metrics| ScopeMetrics { scope: scope.clone(), metrics, schema_url: schema_url.clone() };
                push_unless_empty(&mut scopes_a, metrics_a, part);
                push_unless_empty(&mut scopes_b, metrics_b, part);
            }
            let part = |scope_metrics| ResourceMetrics { resource: resource.clone(), scope_metrics, schema_url: schema_url.clone() };
            push_unless_empty(&mut a.resource_metrics, scopes_a, part);
            push_unless_empty(&mut b.resource_metrics, scopes_b, part);
        }
        (a, b)
    }
}

impl Splittable for ExportLogsServiceRequest {
    fn count(&self) -> usize {
        self.resource_logs.iter().flat_map(|resource| &resource.scope_logs).map(|scope| scope.log_records.len()).sum()
    }

    fn split_at(self, mut first: usize) -> (Self, Self) {
        let (mut a, mut b) = (Self::default(), Self::default());
        for ResourceLogs { resource, scope_logs, schema_url } in self.resource_logs {
            let (mut scopes_a, mut scopes_b) = (Vec::new(), Vec::new());
            for ScopeLogs { scope, mut log_records, schema_url } in scope_logs {
                let count = log_records.len();
                let tail = log_records.split_off(first.min(count));
                first = first.saturating_sub(count);
                let part = |log_records| ScopeLogs { scope: scope.clone(), log_records, schema_url: schema_url.clone() };
                push_unless_empty(&mut scopes_a, log_records, part);
                push_unless_empty(&mut scopes_b, tail, part);
            }
            let part = |scope_logs| ResourceLogs { resource: resource.clone(), scope_logs, schema_url: schema_url.clone() };
            push_unless_empty(&mut a.resource_logs, scopes_a, part);
            push_unless_empty(&mut b.resource_logs, scopes_b, part);
        }
        (a, b)
    }
}

fn push_unless_empty<T, U>(to: &mut Vec<U>, items: Vec<T>, part: impl Fn(Vec<T>) -> U) {
    if !items.is_empty() {
        to.push(part(items));
    }
}

/// The number of points of a metric.
pub(crate) fn metric_points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    }
}

/// Splits a metric after its first `first` points.
pub(crate) fn split_points(mut metric: Metric, first: usize) -> (Metric, Metric) {
    let tail = metric.data.as_mut().map(|data| match data {
        Data::Gauge(gauge) => Data::Gauge(Gauge { data_points: gauge.data_points.split_off(first) }),
        Data::Sum(sum) => {
            let data_points = sum.data_points.split_off(first);
            Data::Sum(Sum { data_points, ..*sum })
        }
        Data::Histogram(histogram) => {
            let data_points = histogram.data_points.split_off(first);
            Data::Histogram(Histogram { data_points, ..*histogram })
        }
        Data::ExponentialHistogram(histogram) => {
            let data_points = histogram.data_points.split_off(first);
            Data::ExponentialHistogram(ExponentialHistogram { data_points, ..*histogram })
        }
        Data::Summary(summary) => Data::Summary(Summary { data_points: summary.data_points.split_off(first) }),
    });
    let rest = Metric {
        name: metric.name.clone(),
        description: metric.description.clone(),
        unit: metric.unit.clone(),
        metadata: metric.metadata.clone(),
        data: tail,
    };
    (metric, rest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
