//! Postmeter's own traces, log records and metrics, pushed to an OTLP receiver as `telemetry.otlp` configures it.
#![allow(clippy::unwrap_used)]

use crate::support::program::Program;
use crate::support::telemetry_receiver::TelemetryReceiver;
use crate::support::{ANY, Described, http_client, postmeter, wait_until, wait_until_async};
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, metric};
use postmeter::simulate::{self, Options, SimulatedServer, System};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(20);

/// The names of everything that arrived, as `kind name`.
fn names(receiver: &TelemetryReceiver) -> BTreeSet<String> {
    let resources = receiver.resources().into_iter().map(|resource| format!("resource {resource:?}"));
    let spans = receiver.spans().into_iter().map(|span| format!("span {}", span.name));
    let records = receiver.log_records().into_iter().map(|record| format!("log {:?}", record.body));
    let metrics = receiver.metrics().into_iter().map(|metric| format!("metric {}", metric.name));
    resources.chain(spans).chain(records).chain(metrics).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_logs_and_metrics_are_pushed_and_flushed_at_shutdown() {
    let receiver = TelemetryReceiver::start();
    let url = receiver.url();
    let has = |name: &str| names(&receiver).iter().any(|received| received.contains(name));
    let ceymail = SimulatedServer::start(System::Ceymail, ANY, Options::default()).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let config = format!(
        "targets:\n  - {{name: cey, system: ceymail, url: \"{}\", token: {}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{url}\", interval: 1s}}\ntelemetry:\n  otlp: {{endpoint: \"{url}\", interval: 1s}}\n",
        ceymail.url(),
        postmeter::simulate::TOKEN
    );
    std::fs::write(&file, config).unwrap();
    let mut command = postmeter();
    command.env("OTEL_SERVICE_NAME", "our-postmeter");
    let program = Program::spawn_command(command, &file, &[]);
    let is_pushed = || has("metric mail.up") && has("metric postmeter.build_info");
    wait_until(is_pushed, TIMEOUT, Described(|| format!("metrics arrive: {:?}", names(&receiver)))).await;
    tokio::task::spawn_blocking(move || program.end()).await.unwrap();
    for name in ["span poll", "span export", "our-postmeter", "started", "stopping", "metric otel.sdk.exporter.metric_data_point.exported"]
    {
        assert!(has(name), "{name}: {:?}", names(&receiver));
    }
    ceymail.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_only_pushes_has_health_checks_and_pushes_its_own_metrics() {
    let receiver = simulate::Receiver::start(ANY).await.unwrap();
    let ceymail = SimulatedServer::start(System::Ceymail, ANY, Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let config = |listen: &str| {
        format!(
            "targets: [{{name: cey, system: ceymail, url: \"{}\", token: {}}}]\nhealth: {{listen: \"{listen}\"}}\nexport: {{prometheus: false, otlp: {{endpoint: \"{}\", interval: 1s, temporality: delta}}}}\n",
            ceymail.url(),
            simulate::TOKEN,
            receiver.url(),
        )
    };
    std::fs::write(&file, config("127.0.0.1:0")).unwrap();
    let mut program = Program::spawn(&file, &[]);
    let address = || program.log().iter().find_map(|line| Some(line.split_once("health=\"http://")?.1.split_once('/')?.0.to_owned()));
    wait_until(|| address().is_some(), TIMEOUT, "the log has the address").await;
    let address = address().unwrap();

    // The health check of the container finds the endpoint in the configuration file.
    std::fs::write(&file, config(&address)).unwrap();
    let healthcheck = || {
        let mut command = postmeter();
        command.arg("healthcheck").env("POSTMETER_CONFIG", &file).output().unwrap()
    };
    let output = tokio::task::block_in_place(healthcheck);
    assert!(output.status.success(), "{output:?}");
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), body.to_owned())
    };
    wait_until_async(async || get("/-/ready").await.0 == 200, TIMEOUT, "each target was polled").await;
    assert_eq!(get("/-/healthy").await, (200, "healthy\n".to_owned()));
    for path in ["/metrics", "/", "/targets.json", "/-/reload"] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }

    // Postmeter's own metrics have its own resource, and the temporality of the push.
    let own_exports = || {
        let resources = receiver.requests().into_iter().flat_map(|request| request.resource_metrics);
        let own = resources.filter(|resource| format!("{:?}", resource.resource).contains("\"postmeter\""));
        own.flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics).collect::<Vec<_>>()
    };
    let exported = |name: &str| {
        let mut metrics = own_exports();
        metrics.retain(|metric| metric.name == name);
        metrics
    };
    const POINTS: &str = "otel.sdk.exporter.metric_data_point.exported";
    wait_until(|| !exported(POINTS).is_empty() && !exported("postmeter.build_info").is_empty(), TIMEOUT, "own metrics").await;
    for metric in exported(POINTS) {
        let Some(metric::Data::Sum(sum)) = metric.data else { panic!("{metric:?}") };
        assert_eq!(sum.aggregation_temporality, AggregationTemporality::Delta as i32);
    }
    program.terminate();
    wait_until(|| program.exit_status().is_some(), TIMEOUT, "the end").await;
}

/// One after the other, the signals would take 11 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_respond_delays_the_end_once_for_all_signals() {
    let silent = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let ceymail = SimulatedServer::start(System::Ceymail, ANY, Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "targets:\n  - {{name: cey, system: ceymail, url: \"{}\", token: {}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\ntelemetry:\n  otlp: {{endpoint: \"{url}\", interval: 1s}}\n",
        ceymail.url(),
        postmeter::simulate::TOKEN
    );
    let mut program = Program::spawn_with(folder.path(), &config, &[]);
    // A scrape has a span.
    let client = http_client();
    client.get(format!("{}/metrics", program.base_url().await)).send().await.unwrap();
    let stopped = Instant::now();
    let log = tokio::task::spawn_blocking(move || program.end()).await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}: {log:#?}", stopped.elapsed());
    ceymail.shutdown().await;
}
