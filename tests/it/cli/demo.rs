//! `demo` and `simulate`: addresses, arguments, and the files of a demo.

use super::{check_failure, check_rejected, run};
use crate::support::program::{Signal, signal};
use crate::support::{FIXTURES, postmeter, stderr};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

#[test]
fn an_address_in_use_is_reported_with_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = run(Path::new(FIXTURES), &format!("demo --listen {address}"));
    let expected =
        format!("postmeter: cannot listen on {address}: Address already in use (os error 98); choose another address with --listen\n");
    assert_eq!((stderr(&output), output.status.code()), (expected, Some(1)));
    let output = run(Path::new(FIXTURES), &format!("simulate kumomta --listen {address}"));
    assert!(stderr(&output).contains("--listen") && output.status.code() == Some(1), "{}", stderr(&output));
}

#[test]
fn the_demo_reads_a_delivery_log_and_removes_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let demo = |temporary: &Path| {
        let mut command = postmeter();
        command.args(["demo", "--listen", "127.0.0.1:0", "--interval", "1s"]).env("TMPDIR", temporary);
        Demo(command.stdout(Stdio::piped()).spawn().unwrap())
    };
    let mut running = demo(folder.path());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut wait_for_line = |text: &str| lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("the demo does not print {text}"));
    wait_for_line("each delivery of cpanel is exported once");
    wait_for_line("Ctrl-C");
    let [directory] = kept().try_into().unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let records = |line: &str| {
        let (_, rest) = line.split_once(" targets, and ").unwrap();
        rest.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // Ten seconds apart; the log is read every five.
    while records(&wait_for_line("delivery records")) == 0 {}
    assert!(directory.join("messages-demo-cpanel.cursor").exists());
    assert!(running.ends(Signal::INT).success());
    wait_for_line("delivery records");
    assert_eq!(kept(), Vec::<PathBuf>::new());

    let mut running = demo(&folder.path().join("none"));
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("  log ")).unwrap();
    assert!(line.contains("  log   off") && line.contains("No such file") && line.contains("TMPDIR"), "{line}");
    assert!(lines.any(|line| line.contains("Ctrl-C")));
    assert!(running.ends(Signal::TERM).success());
}

/// A demo that does not outlive its test.
struct Demo(Child);

impl Demo {
    fn ends(&mut self, name: Signal) -> ExitStatus {
        signal(&self.0, name);
        self.0.wait().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn invalid_simulators_are_rejected() {
    let names = postmeter::simulate::System::ALL.map(postmeter::simulate::System::name).join(", ");
    check_failure("simulate exchange", &format!("postmeter: no simulator exists for `exchange`; expected one of: {names}\n"));
    check_rejected("demo --systems postfix,exchange", "expected one of: ");
    check_rejected("simulate kumomta --fault slowly", "expected one of: refuse, reset, close, ");
    check_rejected("simulate kumomta --tls-cert a", "--tls-key");
    check_rejected("simulate kumomta --size 0", "expected an integer from 1");
    check_failure("demo --interval 5", "postmeter: --interval: 5 has no unit; write 5s for seconds\n");
    check_failure(
        "demo --otlp a --listen 127.0.0.1:0",
        "postmeter: --otlp: has no scheme; write http://a for a connection without TLS, or https://a\n",
    );
    check_failure(
        "simulate kumomta --tls-cert none.pem --tls-key none.pem",
        "postmeter: --tls-cert: cannot read none.pem: No such file or directory (os error 2)\n",
    );
    check_failure(
        "simulate kumomta --listen nowhere",
        "postmeter: --listen: \"nowhere\" is not a valid address; write it as 127.0.0.1:8000\n",
    );
}
