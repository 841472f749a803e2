//! The command line: exit codes and exact messages.
#![allow(clippy::unwrap_used)]

mod check;
mod configuration;
mod demo;
mod explain;
mod help;
mod init_mode;
mod listeners;
mod scrape;

use crate::support::closed_port::ClosedPort;
use crate::support::{FIXTURES, postmeter, stderr, stdout};
use postmeter::model::vocabulary;
use std::fs::File;
use std::path::Path;
use std::process::{Output, Stdio};

const GOOD: &str = "targets: [{name: a, system: kumomta, url: 'https://a.example.com'}]\n";

fn run(folder: &Path, line: &str) -> Output {
    postmeter().current_dir(folder).args(line.split(' ')).output().unwrap()
}

/// Runs a command in the directory of the fixtures that fails with exit code 1 and this error.
#[track_caller]
fn check_failure(line: &str, error: &str) {
    let output = run(Path::new(FIXTURES), line);
    assert_eq!((stderr(&output).as_str(), stdout(&output).as_str(), output.status.code()), (error, "", Some(1)), "{line}");
}

/// Runs an invalid command line: exit code 2, and an error that contains this text.
#[track_caller]
fn check_rejected(line: &str, error: &str) {
    let output = run(Path::new(FIXTURES), line);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{line}");
    assert!(stderr(&output).contains(error), "{line}: {}", stderr(&output));
}

#[test]
fn a_health_check_needs_only_the_endpoint_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let port = ClosedPort::new();
    let closed = port.address;
    for text in [
        format!("targets: [{{name: a, system: nosuch, token: '${{env:UNSET}}'}}]\nhealth: {{listen: '{closed}'}}\n"),
        format!("systems_files: [nosuch.yaml]\nexport: {{prometheus: {{listen: '{closed}'}}}}\n"),
    ] {
        std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
        let output = run(folder.path(), "healthcheck");
        assert!(stderr(&output).starts_with(&format!("postmeter: http://{closed}/-/healthy: cannot connect")), "{}", stderr(&output));
    }
}

/// Runs a command with these outputs, and returns its exit code and its standard error.
fn run_with(folder: &Path, line: &str, out: Stdio, err: Stdio) -> (Option<i32>, String) {
    let mut command = postmeter();
    let output = command.current_dir(folder).args(line.split(' ')).stdout(out).stderr(err).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), stderr(&output))
}

#[test]
fn an_output_that_is_closed_or_full_does_not_stop_a_command_abnormally() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("postmeter.yaml"), GOOD.replace("https", "http")).unwrap();
    std::fs::write(folder.path().join("invalid.yaml"), "targets: 7\n").unwrap();
    std::fs::write(folder.path().join("system.yaml"), stdout(&run(folder.path(), "systems show mox"))).unwrap();
    let closed = || Stdio::from(std::io::pipe().unwrap().1);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for (line, code) in [
        ("check", 0),
        ("check --config invalid.yaml", 1),
        ("check --connect", 1),
        ("systems", 0),
        ("systems check system.yaml", 0),
        ("metrics", 0),
        ("completions bash", 0),
        ("demo --listen 127.0.0.1:0 --systems mox", 0),
    ] {
        let (found, err) = run_with(folder.path(), line, closed(), Stdio::piped());
        assert!(found == Some(code) && !err.contains("panicked"), "{line}: {found:?} {err}");
        let (found, err) = run_with(folder.path(), line, full(), Stdio::piped());
        let expected = "postmeter: cannot write to standard output: No space left on device (os error 28)";
        assert!(found == Some(1) && (err.lines().last() == Some(expected) || line.contains("invalid")), "{line}: {found:?} {err}");
        assert!(!err.contains("panicked"), "{line}: {err}");
    }
    for err in [closed(), full()] {
        assert_eq!(run_with(folder.path(), "check", Stdio::null(), err).0, Some(0));
    }
    let (code, err) = run_with(folder.path(), "simulate mox --listen 127.0.0.1:0", full(), Stdio::piped());
    assert!(code == Some(1) && err.starts_with("postmeter: cannot write to standard output: "), "{err}");
}

#[test]
fn healthcheck_reports_a_refused_connection() {
    let port = ClosedPort::new();
    let unused = port.address;
    check_failure(
        &format!("healthcheck --url http://{unused}/-/healthy"),
        &format!("postmeter: http://{unused}/-/healthy: cannot connect: Connection refused (os error 111)\n"),
    );
    check_failure("healthcheck --url nonsense", "postmeter: nonsense: not a valid URL; write it as http://localhost:9464/-/healthy\n");
}

#[test]
fn canonical_metrics_in_each_format() {
    let printed = |format: &str| {
        let output = run(Path::new(FIXTURES), &format!("metrics --format {format}"));
        assert_eq!((stderr(&output).as_str(), output.status.code()), ("", Some(0)));
        stdout(&output)
    };
    let (text, markdown) = (printed("text"), printed("markdown"));
    let json: serde_json::Value = serde_json::from_str(&printed("json")).unwrap();
    let json = json["metrics"].as_array().unwrap();
    assert_eq!((json.len(), markdown.lines().count()), (vocabulary::ALL.len(), vocabulary::ALL.len() + 2));
    for (metric, described) in vocabulary::ALL.iter().zip(json) {
        assert!(text.contains(&format!("\n{}  (", metric.name)) || text.starts_with(metric.name), "{}", metric.name);
        assert!(markdown.contains(&format!("\n| {} | ", metric.name)), "{}", metric.name);
        for (key, expected) in [("name", metric.name), ("unit", metric.unit), ("description", metric.help)] {
            assert_eq!(described[key].as_str(), Some(expected), "{}", metric.name);
        }
        assert_eq!(described["attributes"].as_array().unwrap().len(), metric.attributes.len() + metric.detail.len(), "{}", metric.name);
    }
    assert_eq!(stdout(&run(Path::new(FIXTURES), "metrics")), text, "text is the default");
    // Values that Postmeter defines are listed.
    assert!(text.contains("    error.type: timeout, connect, tls, ") && text.contains("    postmeter.repair.kind: unreadable, "), "{text}");
}
