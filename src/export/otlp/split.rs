//! Halves requests that are too large: by their points or records, in their order, each with its resource and scope.

use super::exporter::Signal;
use super::metrics::Request;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum, Summary,
};
use prost::Message;

/// A request that can be halved.
trait Halve: Message + Default {
    /// How many points or records are in it.
    fn count(&self) -> usize;
    /// The first so many of them, and the others.
    fn split_at(self, first: usize) -> (Self, Self);
}

/// The same in requests of at most so many bytes each, or of one point. Of a single point, or of what cannot be read, there is
/// one part at most.
pub(crate) fn split(signal: Signal, request: &[u8], bytes_max: usize) -> Vec<Request> {
    match signal {
        Signal::Metrics => split_message::<ExportMetricsServiceRequest>(request, bytes_max),
        Signal::Logs => split_message::<ExportLogsServiceRequest>(request, bytes_max),
    }
}

fn split_message<M: Halve>(request: &[u8], bytes_max: usize) -> Vec<Request> {
    let mut parts = Vec::new();
    if let Ok(message) = M::decode(request) {
        halve(message, bytes_max, &mut parts);
    }
    parts
}

fn halve<M: Halve>(message: M, bytes_max: usize, parts: &mut Vec<Request>) {
    let count = message.count();
    if count <= 1 || message.encoded_len() <= bytes_max {
        return parts.push(Request { bytes: message.encode_to_vec().into(), points: count as u64 });
    }
    let (first, second) = message.split_at(count / 2);
    halve(first, bytes_max, parts);
    halve(second, bytes_max, parts);
}

impl Halve for ExportMetricsServiceRequest {
    fn count(&self) -> usize {
        let scopes = self.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| &scope.metrics).map(points).sum()
    }

    fn split_at(self, mut first: usize) -> (Self, Self) {
        let (mut a, mut b) = (Self::default(), Self::default());
        for ResourceMetrics { resource, scope_metrics, schema_url } in self.resource_metrics {
            let (mut scopes_a, mut scopes_b) = (Vec::new(), Vec::new());
            for ScopeMetrics { scope, metrics, schema_url } in scope_metrics {
                let (mut metrics_a, mut metrics_b) = (Vec::new(), Vec::new());
                for metric in metrics {
                    let count = points(&metric);
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
                let piece = |metrics| ScopeMetrics { scope: scope.clone(), metrics, schema_url: schema_url.clone() };
                push_unless_empty(&mut scopes_a, metrics_a, piece);
                push_unless_empty(&mut scopes_b, metrics_b, piece);
            }
            let piece = |scope_metrics| ResourceMetrics { resource: resource.clone(), scope_metrics, schema_url: schema_url.clone() };
            push_unless_empty(&mut a.resource_metrics, scopes_a, piece);
            push_unless_empty(&mut b.resource_metrics, scopes_b, piece);
        }
        (a, b)
    }
}

impl Halve for ExportLogsServiceRequest {
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
                let piece = |log_records| ScopeLogs { scope: scope.clone(), log_records, schema_url: schema_url.clone() };
                push_unless_empty(&mut scopes_a, log_records, piece);
                push_unless_empty(&mut scopes_b, tail, piece);
            }
            let piece = |scope_logs| ResourceLogs { resource: resource.clone(), scope_logs, schema_url: schema_url.clone() };
            push_unless_empty(&mut a.resource_logs, scopes_a, piece);
            push_unless_empty(&mut b.resource_logs, scopes_b, piece);
        }
        (a, b)
    }
}

fn push_unless_empty<T, U>(to: &mut Vec<U>, items: Vec<T>, piece: impl Fn(Vec<T>) -> U) {
    if !items.is_empty() {
        to.push(piece(items));
    }
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    }
}

/// The metric with its first so many points, and with the others.
fn split_points(mut metric: Metric, first: usize) -> (Metric, Metric) {
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
