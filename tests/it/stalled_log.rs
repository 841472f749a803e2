//! A log that is not read: Postmeter continues, counts the dropped lines, and stops on SIGTERM.
#![allow(clippy::unwrap_used)]

use crate::support::program::{Signal, signal};
use crate::support::{postmeter, wait_until_blocking};
use ring::digest::{SHA256, digest};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The maximum time of anything that a test waits for.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Requests, each of which writes a log line at level debug: many more than a pipe and the log queue hold.
const REQUESTS: usize = 24_000;
/// Requests on one connection.
const PIPELINED: usize = 400;

/// A running `postmeter run`, which is killed when dropped.
struct Running {
    child: Child,
    address: String,
    _files: TempDir,
}

/// Writes a configuration with one target and one token, and returns its folder and path.
fn configuration(log_format: &str) -> (TempDir, PathBuf) {
    let files = tempfile::tempdir().unwrap();
    let sha256: String = digest(&SHA256, b"a").as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let config = format!(
        "targets: [{{name: a, system: kumomta, url: 'http://127.0.0.1:1'}}]\n\
         export: {{prometheus: {{listen: '127.0.0.1:0', auth: {{tokens: [{{name: a, sha256: {sha256}}}]}}}}}}\n\
         telemetry: {{log_format: {log_format}}}\n"
    );
    let path = files.path().join("postmeter.yaml");
    std::fs::write(&path, config).unwrap();
    (files, path)
}

/// Returns the address of the pull endpoint if the log text contains it.
fn address_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("http://127.0.0.1:")?;
    Some(format!("127.0.0.1:{}", rest.split_once("/metrics")?.0))
}

impl Running {
    /// Starts Postmeter and reads its log until the line with the address of the endpoint.
    fn start(log_format: &str) -> (Self, BufReader<ChildStderr>) {
        let (files, path) = configuration(log_format);
        let mut command = postmeter();
        command.args(["run", "--log-level", "debug", "--config"]).arg(&path).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::with_capacity(256, child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the process has ended");
            if let Some(address) = address_in(&line) {
                break address;
            }
        };
        (Self { child, address, _files: files }, log)
    }

    /// Sends enough requests to fill the log pipe and the log queue.
    fn flood(&self) {
        let request = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        for _ in 0..REQUESTS / PIPELINED {
            let text = request.repeat(PIPELINED - 1) + "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            self.exchange(text);
        }
    }

    fn exchange(&self, request: String) -> String {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let (mut writing, mut reading) = (stream.try_clone().unwrap(), stream);
        let writer = std::thread::spawn(move || writing.write_all(request.as_bytes()));
        let mut response = Vec::new();
        reading.read_to_end(&mut response).unwrap();
        writer.join().unwrap().unwrap();
        String::from_utf8_lossy(&response).into_owned()
    }

    fn get(&self, path: &str) -> String {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nConnection: close\r\n\r\n"))
    }

    fn dropped_lines(&self) -> f64 {
        let page = self.get("/metrics");
        let line = page.lines().find(|line| line.starts_with("postmeter_log_lines_dropped_total"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("the series is missing: {page}"))
    }

    /// Sends SIGTERM and waits for the end.
    fn terminate(&mut self) {
        signal(&self.child, Signal::TERM);
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < TIMEOUT, "SIGTERM does not stop the process");
            std::thread::park_timeout(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn postmeter_works_and_stops_while_the_log_is_not_read() {
    let (mut running, _log) = Running::start("text");
    assert_eq!(running.dropped_lines(), 0.0);
    running.flood();
    assert!(running.dropped_lines() > 0.0);
    let ready = running.get("/-/ready");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("ready\nlog lines dropped: "), "{ready}");
    running.terminate();
}

#[test]
fn dropped_lines_are_logged_once_when_the_log_is_read_again() {
    let (mut running, mut log) = Running::start("json");
    running.flood();
    assert!(running.dropped_lines() > 0.0);
    let mut line = String::new();
    while !line.contains("log lines dropped because") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the process has ended");
    }
    let report: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(report["level"] == "WARN" && report["lines"].as_u64().is_some_and(|lines| lines > 0), "{line}");
    // The rest of the log, which ends with a line about the stop.
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        log.read_to_string(&mut rest).unwrap();
        rest
    });
    running.terminate();
    let rest = reader.join().unwrap();
    assert!(!rest.contains("log lines dropped because"), "{rest}");
    assert!(rest.lines().last().is_some_and(|line| line.contains("stopped")), "{rest}");
}

#[test]
fn a_closed_log_does_not_stop_postmeter() {
    let (mut running, log) = Running::start("text");
    drop(log);
    let started = Instant::now();
    while running.dropped_lines() == 0.0 {
        assert!(started.elapsed() < TIMEOUT, "no line is counted");
        running.exchange("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned());
    }
    running.terminate();
}

#[test]
fn a_file_size_limit_does_not_stop_postmeter() {
    let (files, path) = configuration("text");
    let log = files.path().join("log");
    let shell = format!(
        "ulimit -f 8; exec '{}' run --log-level debug --config '{}' 2>'{}'",
        env!("CARGO_BIN_EXE_postmeter"),
        path.display(),
        log.display()
    );
    let child = Command::new("sh").env_clear().arg("-c").arg(shell).stdout(Stdio::null()).spawn().unwrap();
    let mut running = Running { child, address: String::new(), _files: files };
    let has_started = || {
        assert!(running.child.try_wait().unwrap().is_none(), "the process has ended");
        running.address = std::fs::read_to_string(&log).ok().as_deref().and_then(address_in).unwrap_or_default();
        !running.address.is_empty()
    };
    wait_until_blocking(has_started, TIMEOUT, "the program starts");
    running.flood();
    assert!(running.dropped_lines() > 0.0);
    assert!(std::fs::metadata(&log).unwrap().len() <= 8 * 1024);
    running.terminate();
}
