//! The program: it is killed, its disk is full, and it ends while metrics are unsent.

use super::{ANY, QUICK, Ticker, WAIT_MAX, request_files, ticks};
use crate::support::closed_port::ClosedPort;
use crate::support::{postmeter, skipped, stderr, wait_until};
use postmeter::simulate::Receiver;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Status;

/// Starts `postmeter run`.
fn run(file: &std::path::Path) -> Child {
    postmeter().args(["run", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

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
        let mut process = run(&file);
        ticker.wait_for_polls(3).await;
        // At different moments between two collections.
        tokio::time::sleep(Duration::from_millis(kill * 173 % 1000)).await;
        // Each reading is queued before the next poll.
        queued.extend(before + 1..ticker.polls());
        process.kill().unwrap();
        process.wait().unwrap();
        let mut next = run(&file);
        tokio::time::sleep(Duration::from_millis(20 + kill * 37 % 150)).await;
        next.kill().unwrap();
        next.wait().unwrap();
    }
    receiver.fail_with(None);
    let process = run(&file);
    wait_until(
        || {
            let arrived = ticks(&receiver.requests());
            queued.iter().all(|tick| arrived.contains_key(tick))
        },
        WAIT_MAX,
        "all queued ticks arrive",
    )
    .await;
    terminate(&process);
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?} {}", output.status, stderr(&output));
    assert!(!spool.join("otlp-metrics/damaged").exists(), "{}", stderr(&output));
    let requests = receiver.requests();
    let arrived = ticks(&requests);
    let repeated = arrived.values().filter(|times| times.len() > 1);
    assert!(repeated.clone().all(|times| times.iter().all(|time| *time == times[0])), "a repeated point has the same time: {arrived:?}");
    assert!(repeated.count() as u64 <= 2 * kills, "at most one request per kill is repeated: {arrived:?}");
    receiver.shutdown().await;
}

/// Starts `postmeter run` so that the size of its files can be limited later.
fn run_without_sigxfsz(file: &std::path::Path) -> Child {
    let mut limited = std::process::Command::new("env");
    limited.args(["-i", "--ignore-signal=XFSZ"]).arg(postmeter().get_program());
    limited.args(["run", "--config"]).arg(file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Limits the size of all files of a process, which simulates a full disk. Returns true on success.
fn limit_files(process: &Child, bytes_max: &str) -> bool {
    std::process::Command::new("prlimit")
        .args(["--pid", &process.id().to_string(), &format!("--fsize={bytes_max}:unlimited")])
        .status()
        .is_ok_and(|s| s.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_queued_requests() {
    let tools = std::process::Command::new("env").args(["--ignore-signal=XFSZ", "prlimit", "--version"]).output();
    if !tools.is_ok_and(|tried| tried.status.success()) {
        return skipped("a_full_disk_loses_no_queued_requests", "env and prlimit are not available");
    }
    let ticker = Ticker::start(3000).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = folder.path().join("postmeter.yaml");
    let otlp =
        format!("endpoint: \"{}\", compression: none, spool: {{dir: {}}}, {QUICK}", receiver.url(), folder.path().join("spool").display());
    std::fs::write(&file, ticker.config_file(&otlp)).unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let mut process = run_without_sigxfsz(&file);
    let log = LogOutput::of(&mut process);
    wait_until(|| request_files(&folder.path().join("spool")).len() >= 2, WAIT_MAX, "requests are in the spool").await;
    assert!(limit_files(&process, "50000"));
    wait_until(|| log.has("the spool cannot be used"), WAIT_MAX, "the disk is full").await;
    ticker.wait_for_polls(3).await;
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    receiver.fail_with(Some(Status::unavailable("busy")));
    assert!(limit_files(&process, "unlimited"));
    wait_until(|| log.has("the spool can be used again"), WAIT_MAX, "the spool can be used again").await;
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    terminate(&process);
    assert!(process.wait().unwrap().success(), "{}", log.text());
    assert_eq!(log.text().matches("the spool cannot be used").count(), 1, "the failure is logged once: {}", log.text());
    assert!(!log.has("lost"), "{}", log.text());
    let all = ticks(&receiver.requests());
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=*all.keys().last().unwrap()).collect::<Vec<_>>(), "ticks are missing");
    assert!(all.values().all(|times| times.len() == 1), "ticks arrived twice: {all:?}");
    receiver.shutdown().await;
}

/// The standard error of a process so far.
#[derive(Clone)]
struct LogOutput(Arc<Mutex<String>>);

impl LogOutput {
    fn of(process: &mut Child) -> Self {
        let (log, lines) = (Self(Arc::default()), BufReader::new(process.stderr.take().unwrap()).lines());
        let written = log.0.clone();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| writeln!(written.lock().unwrap(), "{line}").unwrap()));
        log
    }

    fn has(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

fn terminate(process: &Child) {
    let status = std::process::Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_are_lost_at_shutdown_are_logged() {
    let ticker = Ticker::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postmeter.yaml");
    let unused = ClosedPort::new();
    let unused_url = format!("http://{}", unused.address);
    std::fs::write(&file, ticker.config_file(&format!("endpoint: \"{unused_url}\", {QUICK}"))).unwrap();
    let mut process = run(&file);
    let log = LogOutput::of(&mut process);
    wait_until(|| log.has("push failed"), WAIT_MAX, "a push fails").await;
    ticker.wait_for_polls(3).await;
    terminate(&process);
    assert!(process.wait().unwrap().success(), "{}", log.text());
    wait_until(|| log.has("unsent metrics are lost"), WAIT_MAX, "the loss is logged").await;
    assert_eq!(log.text().matches("push failed").count(), 1, "an outage is logged once: {}", log.text());
}
