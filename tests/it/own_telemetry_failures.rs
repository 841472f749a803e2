//! `telemetry.otlp` at the border: failures are logged, and the exported spans and log records are valid OTLP.
#![allow(clippy::unwrap_used)]

use crate::support::closed_port::ClosedPort;
use crate::support::program::Program;
use crate::support::raw_receiver::{Part, RawReceiver};
use crate::support::telemetry_receiver::TelemetryReceiver;
use crate::support::{http_client, wait_until};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::collections::HashSet;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cr3t-c0ffee";

/// A configuration with a target that does not respond, and with these keys of `telemetry.otlp`.
fn config(otlp: &str) -> (String, ClosedPort) {
    let port = ClosedPort::new();
    let target = format!("{{name: down, system: prometheus, url: \"http://{}\", min_interval: 1s}}", port.address);
    let export = "export: {prometheus: {listen: \"127.0.0.1:0\"}}";
    (format!("targets: [{target}]\n{export}\ntelemetry: {{otlp: {{interval: 1s, {otlp}}}}}\n"), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_receiver_is_logged_once_for_each_signal_and_without_secrets() {
    let rejection = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "3"), ("grpc-message", SECRET)];
    let headers = rejection.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
    let receiver = RawReceiver::grpc(vec![Part::Headers(headers, true)]).await;
    let (rejecting, _down) = config(&format!("endpoint: \"http://{}?key={SECRET}\", headers: {{x-key: {SECRET}}}", receiver.address));
    let closed = ClosedPort::new();
    let (unreachable, _also_down) = config(&format!("endpoint: \"http://{}\"", closed.address));
    for (config, cause) in [(rejecting, "gRPC status InvalidArgument; check telemetry.otlp"), (unreachable, "Connection refused")] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::spawn_with(folder.path(), &config, &[]);
        // A scrape has a span.
        let url = program.base_url().await;
        http_client().get(format!("{url}/metrics")).send().await.unwrap();
        let lines = |signal: &str| {
            let begins = format!("export of Postmeter's own {signal} failed: ");
            program.log().into_iter().filter(|line| line.contains(&begins)).collect::<Vec<_>>()
        };
        for signal in ["metrics", "logs", "traces"] {
            wait_until(|| !lines(signal).is_empty(), TIMEOUT, "the failure is logged").await;
            let lines = lines(signal);
            assert!(lines.len() == 1 && lines[0].contains(cause) && lines[0].contains("WARN"), "{lines:#?}");
        }
        let log = program.log().join("\n");
        assert!(!log.contains(SECRET), "{log}");
        tokio::task::spawn_blocking(move || program.end()).await.unwrap();
    }
}

#[track_caller]
fn has_unique_keys(attributes: &[KeyValue]) {
    let keys: HashSet<&str> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys.len(), attributes.len(), "{attributes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_log_records_are_valid_and_failed_polls_are_errors() {
    let receiver = TelemetryReceiver::start();
    let (config, _down) = config(&format!("endpoint: \"{}\", metrics: false", receiver.url()));
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::spawn_with(folder.path(), &config, &[]);
    let pull = program.base_url().await;
    http_client().get(format!("{pull}/metrics")).send().await.unwrap();
    tokio::task::spawn_blocking(move || program.end()).await.unwrap();
    let spans = receiver.spans();
    let polls: Vec<&Span> = spans.iter().filter(|span| span.name == "poll").collect();
    assert!(!polls.is_empty());
    for poll in polls {
        has_unique_keys(&poll.attributes);
        assert!(poll.attributes.iter().any(|attribute| attribute.key == "target" && format!("{:?}", attribute.value).contains("\"down\"")));
        let status = poll.status.clone().unwrap();
        assert!(status.code() == StatusCode::Error && status.message.contains("Connection refused"), "{status:?}");
    }
    spans.iter().flat_map(|span| &span.events).for_each(|event| has_unique_keys(&event.attributes));
    let records = receiver.log_records();
    assert!(!records.is_empty());
    for record in records {
        has_unique_keys(&record.attributes);
        assert!(record.time_unix_nano > 0 && record.observed_time_unix_nano > 0 && record.event_name.is_empty(), "{record:?}");
    }
}
