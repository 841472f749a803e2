//! The demo, a Postmeter with nothing but trouble, and a real Prometheus that scrapes both.

use crate::support::postmeter;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// How long a program may take to say where it listens.
const START_MAX: Duration = Duration::from_secs(60);
/// The shipped rules, which the panels on alerts read.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/alerts/*.yml");
/// What the Postmeter of the demo calls itself.
pub const DEMO: &str = "demo";
/// What the Postmeter in trouble calls itself.
pub const TROUBLED: &str = "troubled";

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What runs.
pub struct World {
    _programs: Vec<Program>,
    _folder: TempDir,
    /// Prometheus' HTTP API.
    pub api: String,
}

impl World {
    /// Starts it all; `None` where there is no Prometheus.
    pub fn start() -> Option<Self> {
        let named = std::env::var("POSTMETER_PROMETHEUS").ok();
        let prometheus = named.clone().unwrap_or_else(|| "prometheus".to_owned());
        match Command::new(&prometheus).arg("--version").output() {
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return None,
            Err(error) => panic!("{prometheus}: {error}"),
            Ok(_) => {}
        }
        let folder = tempfile::tempdir().unwrap();
        let mut demo = postmeter();
        // It is killed in the end, and then what it keeps goes with this folder.
        demo.env("HOSTNAME", DEMO).env("TMPDIR", folder.path());
        demo.args(["demo", "--listen", "127.0.0.1:0", "--interval", "1s"]);
        let (demo, demo_address) = start(demo, "http://", "/metrics ");
        let config = folder.path().join("troubled.yaml");
        std::fs::write(&config, troubled()).unwrap();
        let mut run = postmeter();
        run.env("HOSTNAME", TROUBLED).args(["run", "--config"]).arg(&config);
        let (run, run_address) = start(run, "pull=\"http://", "/metrics\"");

        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, scrapes(&demo_address, &run_address)).unwrap();
        let mut command = Command::new(prometheus);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        let (prometheus, address) = start(command, "address=127.0.0.1", "");
        Some(Self { _programs: vec![prometheus, run, demo], _folder: folder, api: format!("http://127.0.0.1{address}/api/v1") })
    }
}

/// What the Postmeter in trouble asks of its readers, and its SHA-256.
const TOKEN: &str = "token-of-the-dashboards-test";
const TOKEN_SHA256: &str = "4b8b29c038c033299d7f3bbe389ae48b1e13944172ca447c1a1110bf0eb6a895";

/// The bcrypt hash of a password that nobody here has.
const PASSWORD_BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuw5u4rZq31RhHOskgReyCPdaPJXIa.w2";

/// A mail server that is not there, a receiver that is not there, and a token and a password that not everybody has.
fn troubled() -> String {
    format!(
        r#"
defaults: {{min_interval: 1s, timeout: 1s}}
targets:
  - {{name: {TROUBLED}, system: kumomta, url: "http://127.0.0.1:1"}}
export:
  otlp: {{endpoint: "http://127.0.0.1:1", interval: 1s}}
  prometheus:
    listen: "127.0.0.1:0"
    auth:
      tokens: [{{name: prometheus, sha256: {TOKEN_SHA256}}}]
      basic: {{alice: "{PASSWORD_BCRYPT}"}}
"#
    )
}

/// As the shipped prometheus.yml does it, in a hurry; and a stranger who has no token, and another who guesses a password.
fn scrapes(demo: &str, troubled: &str) -> String {
    assert!(Path::new(RULES).parent().is_some_and(Path::is_dir));
    format!(
        r#"
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{RULES:?}]
scrape_configs:
  - {{job_name: demo, honor_labels: true, static_configs: [{{targets: ["{demo}"], labels: {{via: pull}}}}]}}
  - job_name: troubled
    honor_labels: true
    authorization: {{credentials: {TOKEN}}}
    static_configs: [{{targets: ["{troubled}"], labels: {{via: pull}}}}]
  - {{job_name: stranger, static_configs: [{{targets: ["{troubled}"]}}]}}
  - {{job_name: guesser, basic_auth: {{username: alice, password: guessed}}, static_configs: [{{targets: ["{troubled}"]}}]}}
"#
    )
}

/// Starts a program and waits for what it says between `before` and `after`; up to the end of the word, if `after` is empty.
fn start(mut command: Command, before: &'static str, after: &'static str) -> (Program, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (tell, told) = mpsc::channel();
    let outputs: [Box<dyn Read + Send>; 2] = [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    for output in outputs {
        let tell = tell.clone();
        // Reads to the end, so that the program is never held up by a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
    }
    // So that the end of the program is noticed.
    drop(tell);
    let program = Program(child);
    let mut said = Vec::new();
    loop {
        let line = told.recv_timeout(START_MAX).unwrap_or_else(|_| panic!("{command:?} does not say where it listens: {said:#?}"));
        let address = line.split_once(before).map(|(_, rest)| match after {
            "" => rest.split_whitespace().next().unwrap_or_default(),
            after => rest.split(after).next().unwrap_or_default(),
        });
        match address.filter(|address| line.contains(after) && !address.ends_with(":0")) {
            Some(address) => return (program, address.trim_matches('"').to_owned()),
            None => said.push(line),
        }
    }
}
