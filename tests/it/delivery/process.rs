//! The program: it is killed, its disk is full, and it ends while metrics are unsent.

use super::{ANY, QUICK, Ticker, WAIT_MAX, request_files, ticks};
use crate::support::closed_port::ClosedPort;
use crate::support::program::Program;
use crate::support::{postmeter, skipped, wait_until};
use postmeter::simulate::Receiver;
use std::process::Command;
use std::time::Duration;
use tonic::Status;

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_survives_kills() {
    survives_kills(50, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_of_large_requests_survives_kills() {
    survives_kills(20_000, 3).await;
}

/// Kills Postmeter while it runs, and once more while it starts after that.
async fn survives_kills(series: usize, kills: u64) {
    let ticker = Ticker::start(series).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let spool = folder.path().join("spool");
    let file = folder.path().join("postmeter.yaml");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}}}, {QUICK}", receiver.url(), spool.display());
    std::fs::write(&file, ticker.config_file(&otlp)).unwrap();
    let mut queued = Vec::new();
    for kill in 0..kills {
        receiver.fail_with((kill % 3 != 1).then(|| Status::unavailable("busy")));
        let before = ticker.polls();
        let process = Program::spawn(&file, &[]);
        ticker.wait_for_polls(3).await;
        // At different moments between two collections.
        tokio::time::sleep(Duration::from_millis(kill * 173 % 1000)).await;
        // Each reading is queued before the next poll.
        queued.extend(before + 1..ticker.polls());
        process.kill();
        let next = Program::spawn(&file, &[]);
        tokio::time::sleep(Duration::from_millis(20 + kill * 37 % 150)).await;
        next.kill();
    }
    receiver.fail_with(None);
    let process = Program::spawn(&file, &[]);
    wait_until(
        || {
            let arrived = ticks(&receiver.requests());
            queued.iter().all(|tick| arrived.contains_key(tick))
        },
        WAIT_MAX,
        "all queued ticks arrive",
    )
    .await;
    let log = process.end();
    assert!(!spool.join("otlp-metrics/damaged").exists(), "{log:#?}");
    let requests = receiver.requests();
    let arrived = ticks(&requests);
    let repeated = arrived.values().filter(|times| times.len() > 1);
    assert!(repeated.clone().all(|times| times.iter().all(|time| *time == times[0])), "a repeated point has the same time: {arrived:?}");
    assert!(repeated.count() as u64 <= 2 * kills, "at most one request per kill is repeated: {arrived:?}");
    receiver.shutdown().await;
}

/// Starts `postmeter run` so that the size of its files can be limited later.
fn run_without_sigxfsz(file: &std::path::Path) -> Program {
    let mut limited = Command::new("env");
    limited.args(["-i", "--ignore-signal=XFSZ"]).arg(postmeter().get_program());
    Program::spawn_command(limited, file, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_queued_requests() {
    let tools = Command::new("env").args(["--ignore-signal=XFSZ", "true"]).output();
    if !tools.is_ok_and(|tried| tried.status.success()) {
        return skipped("a_full_disk_loses_no_queued_requests", "env cannot ignore signals");
    }
    let ticker = Ticker::start(3000).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = folder.path().join("postmeter.yaml");
    let otlp =
        format!("endpoint: \"{}\", compression: none, spool: {{dir: {}}}, {QUICK}", receiver.url(), folder.path().join("spool").display());
    std::fs::write(&file, ticker.config_file(&otlp)).unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let process = run_without_sigxfsz(&file);
    wait_until(|| request_files(&folder.path().join("spool")).len() >= 2, WAIT_MAX, "requests are in the spool").await;
    process.limit_file_bytes(Some(50_000));
    wait_until(|| process.has_logged("the spool cannot be used"), WAIT_MAX, "the disk is full").await;
    ticker.wait_for_polls(3).await;
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    receiver.fail_with(Some(Status::unavailable("busy")));
    process.limit_file_bytes(None);
    wait_until(|| process.has_logged("the spool can be used again"), WAIT_MAX, "the spool can be used again").await;
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    let log = process.end().join("\n");
    assert_eq!(log.matches("the spool cannot be used").count(), 1, "the failure is logged once: {log}");
    assert!(!log.contains("lost"), "{log}");
    let all = ticks(&receiver.requests());
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=*all.keys().last().unwrap()).collect::<Vec<_>>(), "ticks are missing");
    assert!(all.values().all(|times| times.len() == 1), "ticks arrived twice: {all:?}");
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_are_lost_at_shutdown_are_logged() {
    let ticker = Ticker::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let unused = ClosedPort::new();
    let unused_url = format!("http://{}", unused.address);
    std::fs::write(&file, ticker.config_file(&format!("endpoint: \"{unused_url}\", {QUICK}"))).unwrap();
    let process = Program::spawn(&file, &[]);
    wait_until(|| process.has_logged("push failed"), WAIT_MAX, "a push fails").await;
    ticker.wait_for_polls(3).await;
    let log = process.end().join("\n");
    assert!(log.contains("unsent metrics are lost"), "{log}");
    assert_eq!(log.matches("push failed").count(), 1, "an outage is logged once: {log}");
}
