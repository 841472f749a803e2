//! The relay's push, end to end: what a mail server says in its own words, over HTTP in and OTLP/gRPC out.
#![allow(clippy::unwrap_used)]

use crate::support::flat::{Flat, flatten, stale};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, ScopeMetrics};
use postmeter::app::Service;
use postmeter::config::{self, Environment};
use postmeter::export::otlp::{NATIVE_SCOPE, REQUEST_BYTES_MAX};
use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use postmeter::telemetry::{SCOPE, SelfTelemetry};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What a gRPC receiver takes by default.
const GRPC_BYTES_MAX: usize = 4 * 1024 * 1024;
const SOON: Duration = Duration::from_secs(60);

struct World {
    kumomta: SimulatedServer,
    receiver: Receiver,
    service: Service,
}

/// A KumoMTA of this size that is pushed to a receiver.
async fn start(size: u64, timeout: &str, export: &str) -> World {
    let options = Options { frozen: true, size: size as _, ..Options::default() };
    let kumomta = SimulatedServer::start(System::Kumomta, ANY, options).await.unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = format!(
        "defaults: {{min_interval: 1s, timeout: {timeout}}}\ntargets: [{{name: mta, system: kumomta, url: \"{}\"}}]\nexport:\n  prometheus: false\n  otlp: {{endpoint: \"{}\", interval: 1s{export}}}\n",
        kumomta.url(),
        receiver.url()
    );
    let config = config::parse(&file, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let service = Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap();
    World { kumomta, receiver, service }
}

impl World {
    async fn arrives(&self, what: &str, wanted: impl Fn(&[ExportMetricsServiceRequest]) -> bool) -> Vec<ExportMetricsServiceRequest> {
        assert!(self.receiver.wait_for(wanted, SOON).await, "did not arrive: {what}");
        self.receiver.requests()
    }

    async fn end(self) {
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

/// A queue of the family that has one for each.
fn queued(point: &Flat) -> Option<&str> {
    let label = point.attributes.iter().find(|(key, _)| key == "domain");
    label.filter(|_| point.metric == "scheduled_by_domain").map(|(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_arrives_in_its_own_words() {
    let world = start(2000, "5s", "").await;
    let requests = world.arrives("a first reading", |requests| flatten(requests).iter().filter_map(queued).count() >= 2000).await;
    let points = flatten(&requests);
    let pushed: BTreeMap<&str, f64> = points.iter().filter_map(|p| Some((queued(p)?, p.value))).collect();
    let truth: BTreeMap<String, f64> =
        world.kumomta.traffic(|traffic| traffic.domains.iter().map(|d| (d.name.clone(), d.scheduled as f64)).collect());
    assert_eq!(pushed.len(), truth.len());
    assert!(truth.iter().all(|(name, n)| pushed.get(name.as_str()) == Some(n)));

    let delivered = world.kumomta.traffic(|traffic| traffic.delivered) as f64;
    let roll_up = |p: &&Flat| p.metric == "total_messages_delivered" && p.has(&["service", "smtp_client"]);
    let first = points.iter().find(roll_up).unwrap();
    assert_eq!((first.value, first.start, first.target.as_str()), (delivered, 0, "mta"));

    // One resource for both scopes, in the same request.
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
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_of_a_server_add_up_to_what_it_counted() {
    let world = start(20, "5s", ", temporality: delta").await;
    let roll_up = |p: &Flat| p.metric == "total_messages_delivered" && p.has(&["service", "smtp_client"]) && !stale(p);
    let count = |traffic: &mut postmeter::simulate::Traffic| traffic.delivered;
    let before = world.kumomta.traffic(count);
    world.arrives("a baseline", |requests| flatten(requests).iter().any(|p| p.metric == "scheduled_by_domain")).await;
    let after = world.kumomta.traffic(|traffic| {
        traffic.advance(600.0);
        traffic.delivered
    });
    assert!(after > before);
    let told = |requests: &[ExportMetricsServiceRequest]| {
        let deltas = flatten(requests).into_iter().filter(roll_up).inspect(|p| assert!(p.start > 0 && p.start < p.time, "{p:?}"));
        deltas.map(|p| p.value).sum::<f64>()
    };
    let requests = world.arrives("all of it", |requests| told(requests) >= (after - before) as f64).await;
    assert_eq!(told(&requests), (after - before) as f64);
    // The same number in our words.
    let ours = |p: &Flat| p.metric == "mail.delivery.attempts" && p.has(&["mail.delivery.outcome", "delivered"]) && !stale(p);
    let canonical: f64 = flatten(&requests).into_iter().filter(ours).inspect(|p| assert!(p.start > 0, "{p:?}")).map(|p| p.value).sum();
    assert_eq!(canonical, (after - before) as f64);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_server_is_told_in_requests_that_a_receiver_takes_and_ends_once() {
    let world = start(50_000, "10s", "").await;
    // Families are sorted by name: with one of the last all have come.
    let all = |requests: &[ExportMetricsServiceRequest]| flatten(requests).iter().any(|p| p.metric == "total_readyq_runs");
    let requests = world.arrives("a first reading", all).await;
    assert!(requests.len() > 1);
    assert!(world.receiver.largest() < GRPC_BYTES_MAX && world.receiver.largest() <= REQUEST_BYTES_MAX);

    // Its series are those of the last reading before the silence: whatever came is of the same ones.
    world.kumomta.silence(true);
    let series = |p: &Flat| (p.metric.clone(), p.attributes.clone());
    let down = |requests: &[ExportMetricsServiceRequest]| {
        flatten(requests).iter().filter(|p| p.metric == "mail.up" && p.value == 0.0).count() >= 2
    };
    let points = flatten(&world.arrives("twice down", down).await);
    let native = |p: &&Flat| p.attributes.iter().all(|(key, _)| key != "mail.system.name");
    let mut lived: Vec<_> = points.iter().filter(native).filter(|p| !stale(p)).map(series).collect();
    lived.sort();
    lived.dedup();
    let mut ended: Vec<_> = points.iter().filter(native).filter(|p| stale(p)).map(series).collect();
    ended.sort();
    assert!(lived.len() > 100_000, "{}", lived.len());
    assert!(ended == lived, "{} lived, {} ended", lived.len(), ended.len());
    assert!(world.receiver.largest() < GRPC_BYTES_MAX);
    world.end().await;
}
