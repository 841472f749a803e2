//! The push of native metrics, end to end: polled over HTTP from a simulated server and pushed by OTLP/gRPC to a receiver.
#![allow(clippy::unwrap_used)]

use crate::support::flat::{Flat, flatten, stale};
use crate::support::{ANY, start_service};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, ScopeMetrics};
use postmeter::app::Service;
use postmeter::export::otlp::{NATIVE_SCOPE, REQUEST_BYTES_MAX};
use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use postmeter::telemetry::SCOPE;
use std::collections::BTreeMap;
use std::time::Duration;

/// The default size limit of gRPC receivers.
const GRPC_BYTES_MAX: usize = 4 * 1024 * 1024;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A simulated server, Postmeter and a receiver.
struct World {
    kumomta: SimulatedServer,
    receiver: Receiver,
    service: Service,
}

/// Starts a simulated KumoMTA of this size, and Postmeter that pushes its metrics to a receiver.
async fn start(size: u64, timeout: &str, export: &str) -> World {
    let options = Options { frozen: true, size: size as _, ..Options::default() };
    let kumomta = SimulatedServer::start(System::Kumomta, ANY, options).await.unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = format!(
        "defaults: {{min_interval: 1s, timeout: {timeout}}}\ntargets: [{{name: mta, system: kumomta, url: \"{}\"}}]\nexport:\n  prometheus: false\n  otlp: {{endpoint: \"{}\", interval: 1s{export}}}\n",
        kumomta.url(),
        receiver.url()
    );
    let service = start_service(&file).await;
    World { kumomta, receiver, service }
}

impl World {
    async fn wait_for(&self, what: &str, condition: impl Fn(&[ExportMetricsServiceRequest]) -> bool) -> Vec<ExportMetricsServiceRequest> {
        assert!(self.receiver.wait_for(condition, WAIT_MAX).await, "not received: {what}");
        self.receiver.requests()
    }

    async fn stop(self) {
        self.service.stop().await;
        self.receiver.shutdown().await;
        self.kumomta.shutdown().await;
    }
}

fn scopes<'a>(requests: &'a [ExportMetricsServiceRequest], name: &'a str) -> impl Iterator<Item = &'a ScopeMetrics> {
    let scopes = requests.iter().flat_map(|request| &request.resource_metrics).flat_map(|of| &of.scope_metrics);
    scopes.filter(move |scope| scope.scope.as_ref().is_some_and(|scope| scope.name == name && scope.version == env!("CARGO_PKG_VERSION")))
}

fn histograms<'a>(requests: &'a [ExportMetricsServiceRequest], scope: &'a str) -> impl Iterator<Item = (&'a str, &'a HistogramDataPoint)> {
    scopes(requests, scope).flat_map(|scope| &scope.metrics).flat_map(|metric| {
        let points = match &metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points.as_slice(),
            _ => &[],
        };
        points.iter().map(|point| (metric.name.as_str(), point))
    })
}

/// The domain of a point of the family with one series per domain.
fn domain_of(point: &Flat) -> Option<&str> {
    let label = point.attributes.iter().find(|(key, _)| key == "domain");
    label.filter(|_| point.metric == "scheduled_by_domain").map(|(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn native_metrics_are_pushed_with_their_names_and_values() {
    let world = start(2000, "5s", "").await;
    let requests = world.wait_for("a first reading", |requests| flatten(requests).iter().filter_map(domain_of).count() >= 2000).await;
    let points = flatten(&requests);
    let pushed: BTreeMap<&str, f64> = points.iter().filter_map(|p| Some((domain_of(p)?, p.value))).collect();
    let expected: BTreeMap<String, f64> =
        world.kumomta.traffic(|traffic| traffic.domains.iter().map(|d| (d.name.clone(), d.scheduled as f64)).collect());
    assert_eq!(pushed.len(), expected.len());
    assert!(expected.iter().all(|(name, n)| pushed.get(name.as_str()) == Some(n)));

    let delivered = world.kumomta.traffic(|traffic| traffic.delivered) as f64;
    let roll_up = |p: &&Flat| p.metric == "total_messages_delivered" && p.has(&["service", "smtp_client"]);
    let first = points.iter().find(roll_up).unwrap();
    assert_eq!((first.value, first.start, first.target.as_str()), (delivered, 0, "mta"));

    // Both scopes are in one resource of the same request.
    let both = requests[0].resource_metrics.iter().filter(|of| of.scope_metrics.len() == 2).count();
    assert_eq!((both, requests[0].resource_metrics.len()), (1, 1));

    let distribution = world.kumomta.traffic(|traffic| traffic.attempt_seconds.clone());
    let (_, native) = histograms(&requests, NATIVE_SCOPE).find(|(name, _)| *name == "deliver_message_latency_rollup").unwrap();
    assert_eq!(native.count, distribution.count);
    assert_eq!(native.bucket_counts.iter().sum::<u64>(), distribution.count);
    let mut below = 0;
    for (bound, count) in native.explicit_bounds.iter().zip(&native.bucket_counts) {
        below += count;
        assert_eq!(below, distribution.at_most(*bound), "{bound}");
    }
    let canonical: Vec<_> = histograms(&requests, SCOPE).collect();
    assert!(!canonical.is_empty());
    for (name, point) in canonical {
        let system = point.attributes.iter().any(|attribute| attribute.key == "mail.system.name");
        assert!(system && point.count > 0 && point.bucket_counts.len() == point.explicit_bounds.len() + 1, "{name} {point:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_add_up_to_the_counters_of_the_server() {
    let world = start(20, "5s", ", temporality: delta").await;
    let roll_up = |p: &Flat| p.metric == "total_messages_delivered" && p.has(&["service", "smtp_client"]) && !stale(p);
    let count = |traffic: &mut postmeter::simulate::Traffic| traffic.delivered;
    let before = world.kumomta.traffic(count);
    world.wait_for("a baseline", |requests| flatten(requests).iter().any(|p| p.metric == "scheduled_by_domain")).await;
    let after = world.kumomta.traffic(|traffic| {
        traffic.advance(600.0);
        traffic.delivered
    });
    assert!(after > before);
    let sum_of_deltas = |requests: &[ExportMetricsServiceRequest]| {
        let deltas = flatten(requests).into_iter().filter(roll_up).inspect(|p| assert!(p.start > 0 && p.start < p.time, "{p:?}"));
        deltas.map(|p| p.value).sum::<f64>()
    };
    let requests = world.wait_for("all deltas", |requests| sum_of_deltas(requests) >= (after - before) as f64).await;
    assert_eq!(sum_of_deltas(&requests), (after - before) as f64);
    // The canonical counter has the same sum.
    let is_canonical = |p: &Flat| p.metric == "mail.delivery.attempts" && p.has(&["mail.delivery.outcome", "delivered"]) && !stale(p);
    let canonical: f64 =
        flatten(&requests).into_iter().filter(is_canonical).inspect(|p| assert!(p.start > 0, "{p:?}")).map(|p| p.value).sum();
    assert_eq!(canonical, (after - before) as f64);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_target_is_pushed_in_several_requests_and_its_series_end_once() {
    let world = start(50_000, "10s", "").await;
    // Families are sorted by name: with one of the last families, all have arrived.
    let all = |requests: &[ExportMetricsServiceRequest]| flatten(requests).iter().any(|p| p.metric == "total_readyq_runs");
    let requests = world.wait_for("a first reading", all).await;
    assert!(requests.len() > 1);
    assert!(world.receiver.largest() < GRPC_BYTES_MAX && world.receiver.largest() <= REQUEST_BYTES_MAX);

    // The series stay the same until the server stops responding.
    world.kumomta.silence(true);
    let series = |p: &Flat| (p.metric.clone(), p.attributes.clone());
    let down = |requests: &[ExportMetricsServiceRequest]| {
        flatten(requests).iter().filter(|p| p.metric == "mail.up" && p.value == 0.0).count() >= 2
    };
    let points = flatten(&world.wait_for("two failed polls", down).await);
    let native = |p: &&Flat| p.attributes.iter().all(|(key, _)| key != "mail.system.name");
    let mut live: Vec<_> = points.iter().filter(native).filter(|p| !stale(p)).map(series).collect();
    live.sort();
    live.dedup();
    let mut ended: Vec<_> = points.iter().filter(native).filter(|p| stale(p)).map(series).collect();
    ended.sort();
    assert!(live.len() > 100_000, "{}", live.len());
    assert!(ended == live, "{} live, {} ended", live.len(), ended.len());
    assert!(world.receiver.largest() < GRPC_BYTES_MAX);
    world.stop().await;
}
