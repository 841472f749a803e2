//! The Collector accepts each compression by each protocol, without another attempt.

use super::needed;
use super::programs::{COLLECTOR, Running, free_ports};
use crate::support::flat::flatten;
use crate::support::otlp_receiver::{OtlpReceiver, Rules};
use crate::support::program::Program;
use crate::support::{ANY, wait_until};
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_accepts_each_compression() {
    let Some([collector]) = needed("the_collector_accepts_each_compression", [&COLLECTOR]) else { return };
    let server = SimulatedServer::start(System::Ceymail, ANY, Options::default()).await.unwrap();
    let (folder, backend, [grpc, http]) = (tempfile::tempdir().unwrap(), OtlpReceiver::start(false, Rules::all()).await, free_ports());
    let file = folder.path().join("collector.yaml");
    let config = format!(
        "receivers:\n  otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}, http: {{endpoint: \"127.0.0.1:{http}\"}}}}}}\nexporters:\n  otlp_http: {{endpoint: \"{}\"}}\nservice:\n  telemetry: {{metrics: {{level: none}}}}\n  pipelines:\n    metrics: {{receivers: [otlp], exporters: [otlp_http]}}\n",
        backend.url()
    );
    std::fs::write(&file, config).unwrap();
    let collector = Running::start("collector", folder.path(), Command::new(collector).arg(format!("--config={}", file.display())));
    for (protocol, port) in [("grpc", grpc), ("http/protobuf", http)] {
        for compression in ["none", "gzip", "zstd"] {
            backend.clear();
            let config = format!(
                "targets: [{{name: cey, system: ceymail, url: \"{}\", token: {TOKEN}}}]\nexport:\n  prometheus: false\n  otlp: {{interval: 1s, retry: {{initial: 100ms, max: 1s}}, protocol: {protocol}, endpoint: \"http://127.0.0.1:{port}\", compression: {compression}}}\n",
                server.url()
            );
            let program = Program::spawn_with(folder.path(), &config, &[]);
            let has_mail_up = || flatten(&backend.metrics()).iter().any(|point| point.metric == "mail.up" && point.value == 1.0);
            wait_until(
                || {
                    collector.check();
                    has_mail_up()
                },
                SOON,
                "the Collector forwards the metrics",
            )
            .await;
            let log = program.end();
            let problems = ["does not support", "rejected", "lost", "decoded"];
            let is_problem = |line: &&String| problems.iter().any(|problem| line.contains(problem));
            assert_eq!(log.iter().find(is_problem), None, "{protocol}, {compression}");
        }
    }
}
