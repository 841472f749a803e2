//! The cost that compression adds to a push, by gRPC and by HTTP. Prints one line of JSON for each protocol and compression.
//!
//! Arguments: the number of queues of the simulated server, and `--instructions` to count instructions of a single push with valgrind instead of
//! measuring the processor time of 20 pushes. `POSTMETER_BENCH_PROGRAM` is the program to measure, for example one of an earlier version.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/gzip.rs"]
mod gzip;
#[path = "../tests/support/otlp_receiver.rs"]
mod otlp_receiver;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use otlp_receiver::{OtlpReceiver, Rules};
use postmeter::simulate::{Options, SimulatedServer, System};
use program::{ANY, Program};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIZE_DEFAULT: usize = 5_000;
const PUSHES: u64 = 20;
const WAIT_MAX: Duration = Duration::from_secs(300);
const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let size = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(SIZE_DEFAULT);
    let by_instructions = std::env::args().any(|arg| arg == "--instructions");
    let compressions = std::env::var("POSTMETER_BENCH_COMPRESSIONS").unwrap_or_else(|_| COMPRESSIONS.join(","));
    // Frozen when they start, so every push has the same values.
    let (server, small) = (server_of(size).await, server_of(1).await);
    let mut expected = None;
    for is_grpc in [true, false] {
        for compression in compressions.split(',') {
            let measured = measure(&server, is_grpc, compression, by_instructions).await;
            let push = &measured.push;
            assert_eq!(*expected.get_or_insert(push.sum_of_values), push.sum_of_values, "every push carries the same values");
            let instructions = match measured.instructions {
                Some(all) => {
                    // Without those of the start.
                    let small = measure(&small, is_grpc, compression, true).await;
                    let points = (push.points - small.push.points) as u64;
                    Some((all - small.instructions.unwrap()) / points)
                }
                None => None,
            };
            let cpu = measured.cpu_seconds * 1e6 / measured.pushes as f64 / push.points as f64;
            let line = serde_json::json!({
                "protocol": if is_grpc { "grpc" } else { "http/protobuf" },
                "compression": compression,
                "points": push.points,
                "bytes": push.bytes,
                "sent_bytes": push.sent_bytes,
                "pushes": measured.pushes,
                "cpu_us_per_point_and_push": (cpu * 1000.0).round() / 1000.0,
                "instructions_per_point": instructions,
            });
            println!("{line}");
        }
    }
}

struct Measured {
    /// The first push.
    push: Pushed,
    /// The number of pushes during which the processor time was measured.
    pushes: u64,
    cpu_seconds: f64,
    /// The instructions of a run with a single push.
    instructions: Option<u64>,
}

async fn server_of(size: usize) -> SimulatedServer {
    SimulatedServer::start(System::Kumomta, ANY, Options { size, frozen: true, ..Options::default() }).await.unwrap()
}

async fn measure(server: &SimulatedServer, is_grpc: bool, compression: &str, by_instructions: bool) -> Measured {
    let receiver = OtlpReceiver::start(is_grpc, Rules::all()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let interval = if by_instructions { "1h" } else { "1s" };
    let config = format!(
        "targets: [{{name: mta1, system: kumomta, url: \"{}\", min_interval: 1s, timeout: 5m}}]\nexport:\n  prometheus: false\n  otlp: {{interval: {interval}, timeout: 5m, compression: {compression}, {}}}\n",
        server.url(),
        receiver.config()
    );
    std::fs::write(&file, config).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = if by_instructions { Command::new("valgrind") } else { Program::command() };
    if by_instructions {
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", &Program::path()]);
    }
    command.args(["run", "--log-level", "warn", "--config"]).arg(&file).stderr(Stdio::from(log));
    let mut program = Program(command.spawn().unwrap());
    let push = pushed(&receiver).await;
    let (mut cpu_seconds, mut pushes) = (0.0, 1);
    if by_instructions {
        Command::new("kill").args(["-TERM", &program.0.id().to_string()]).status().unwrap();
        tokio::task::block_in_place(|| program.0.wait()).unwrap();
    } else {
        let (polls, used) = (server.requests(), program.processor_time());
        tokio::time::sleep(Duration::from_secs(PUSHES)).await;
        pushes = server.requests() - polls;
        cpu_seconds = (program.processor_time() - used).as_secs_f64();
    }
    drop(program);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let instructions = log.split_once("Collected : ").and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<u64>().ok());
    assert_eq!(instructions.is_some(), by_instructions, "{log}");
    Measured { push, pushes, cpu_seconds, instructions }
}

#[derive(Default)]
struct Pushed {
    points: usize,
    bytes: usize,
    sent_bytes: usize,
    sum_of_values: f64,
}

/// Waits for the first push and returns its native points.
async fn pushed(receiver: &OtlpReceiver) -> Pushed {
    let began = Instant::now();
    let mut last = Pushed::default();
    loop {
        assert!(began.elapsed() < WAIT_MAX, "nothing was pushed");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let arrivals = receiver.accepted();
        let mut pushed = Pushed::default();
        for (arrival, request) in arrivals.iter().zip(receiver.metrics()) {
            pushed.bytes += arrival.message.as_ref().map_or(0, |message| message.len());
            pushed.sent_bytes += arrival.bytes.len();
            let metrics = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics).flat_map(|scope| &scope.metrics);
            for metric in metrics.filter(|metric| !metric.name.starts_with("postmeter.")) {
                let points = match &metric.data {
                    Some(Data::Gauge(gauge)) => &gauge.data_points,
                    Some(Data::Sum(sum)) => &sum.data_points,
                    _ => continue,
                };
                pushed.points += points.len();
                pushed.sum_of_values += points.iter().map(value).sum::<f64>();
            }
        }
        // The push is complete when nothing else arrives.
        if pushed.points > 0 && pushed.points == last.points {
            return pushed;
        }
        last = pushed;
    }
}

fn value(point: &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint) -> f64 {
    match point.value {
        Some(Value::AsDouble(value)) => value,
        Some(Value::AsInt(value)) => value as f64,
        None => 0.0,
    }
}
