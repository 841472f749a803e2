//! The environment of the query test: the demo, a Postmeter whose polls and pushes fail, and a real Prometheus that scrapes both.

use crate::support::postmeter;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// The time within which a program must print its address.
const START_MAX: Duration = Duration::from_secs(60);
/// The shipped alert rules, for the panels on alerts.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/alerts/*.yml");
/// The `service.instance.id` of the demo's Postmeter.
pub const DEMO: &str = "demo";
/// The `service.instance.id` of the failing Postmeter.
pub const FAILING: &str = "failing";

/// A child process that is killed when the test ends.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The running programs.
pub struct World {
    _programs: Vec<Program>,
    _directory: TempDir,
    /// Prometheus' HTTP API.
    pub api: String,
}

impl World {
    /// Starts all programs; `None` if there is no Prometheus.
    pub fn start() -> Option<Self> {
        let configured = std::env::var("POSTMETER_PROMETHEUS").ok();
        let prometheus = configured.clone().unwrap_or_else(|| "prometheus".to_owned());
        match Command::new(&prometheus).arg("--version").output() {
            Err(error) if error.kind() == ErrorKind::NotFound && configured.is_none() => return None,
            Err(error) => panic!("{prometheus}: {error}"),
            Ok(_) => {}
        }
        let directory = tempfile::tempdir().unwrap();
        let mut demo = postmeter();
        // The demo is killed at the end, so its temporary files are in this directory.
        demo.env("HOSTNAME", DEMO).env("TMPDIR", directory.path());
        demo.args(["demo", "--listen", "127.0.0.1:0", "--interval", "1s"]);
        let (demo, demo_address) = start(demo, "http://", "/metrics ");
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(directory.path().join("cert.pem"), certificate.cert.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        let config = directory.path().join("failing.yaml");
        std::fs::write(&config, failing_config(directory.path())).unwrap();
        let mut run = postmeter();
        run.env("HOSTNAME", FAILING).args(["run", "--config"]).arg(&config);
        let (run, run_address) = start(run, "pull=\"https://", "/metrics\"");

        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, scrape_config(&demo_address, &run_address)).unwrap();
        let mut command = Command::new(prometheus);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        let (prometheus, address) = start(command, "address=127.0.0.1", "");
        Some(Self { _programs: vec![prometheus, run, demo], _directory: directory, api: format!("http://127.0.0.1{address}/api/v1") })
    }
}

/// The bearer token of the failing Postmeter's pull endpoint, and its SHA-256.
const TOKEN: &str = "token-of-the-dashboards-test";
const TOKEN_SHA256: &str = "4b8b29c038c033299d7f3bbe389ae48b1e13944172ca447c1a1110bf0eb6a895";

/// The bcrypt hash of a password that no client sends.
const PASSWORD_BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuw5u4rZq31RhHOskgReyCPdaPJXIa.w2";

/// A configuration with an unreachable mail server, an unreachable receiver, authentication, TLS, and a shard.
fn failing_config(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"
shard: 0/1
defaults: {{min_interval: 1s, timeout: 1s}}
targets:
  - {{name: {FAILING}, system: kumomta, url: "http://127.0.0.1:1"}}
export:
  otlp: {{endpoint: "http://127.0.0.1:1", interval: 1s}}
  prometheus:
    listen: "127.0.0.1:0"
    tls: {{cert_file: {directory}/cert.pem, key_file: {directory}/key.pem}}
    auth:
      tokens: [{{name: prometheus, sha256: {TOKEN_SHA256}}}]
      basic: {{alice: "{PASSWORD_BCRYPT}"}}
"#
    )
}

/// The scrape jobs of the shipped prometheus.yml with shorter intervals, a job without a token, and one with a wrong password.
fn scrape_config(demo: &str, failing: &str) -> String {
    assert!(Path::new(RULES).parent().is_some_and(Path::is_dir));
    format!(
        r#"
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{RULES:?}]
scrape_configs:
  - {{job_name: demo, honor_labels: true, static_configs: [{{targets: ["{demo}"], labels: {{via: pull}}}}]}}
  - job_name: failing
    honor_labels: true
    scheme: https
    tls_config: &tls {{insecure_skip_verify: true}}
    authorization: {{credentials: {TOKEN}}}
    static_configs: [{{targets: ["{failing}"], labels: {{via: pull}}}}]
  - {{job_name: unauthenticated, scheme: https, tls_config: *tls, static_configs: [{{targets: ["{failing}"]}}]}}
  - {{job_name: wrong-password, scheme: https, tls_config: *tls, basic_auth: {{username: alice, password: wrong}}, static_configs: [{{targets: ["{failing}"]}}]}}
"#
    )
}

/// Starts a program and waits for the address that it prints between `before` and `after`, or after `before` up to a space if `after`
/// is empty.
fn start(mut command: Command, before: &'static str, after: &'static str) -> (Program, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (sender, lines) = mpsc::channel();
    let outputs: [Box<dyn Read + Send>; 2] = [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    for output in outputs {
        let sender = sender.clone();
        // Reads to the end, because a full pipe would block the program.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    }
    // The channel closes when the program ends.
    drop(sender);
    let program = Program(child);
    let mut output = Vec::new();
    loop {
        let line = lines.recv_timeout(START_MAX).unwrap_or_else(|_| panic!("{command:?} printed no address: {output:#?}"));
        let address = line.split_once(before).map(|(_, rest)| match after {
            "" => rest.split_whitespace().next().unwrap_or_default(),
            after => rest.split(after).next().unwrap_or_default(),
        });
        match address.filter(|address| line.contains(after) && !address.ends_with(":0")) {
            Some(address) => return (program, address.trim_matches('"').to_owned()),
            None => output.push(line),
        }
    }
}
