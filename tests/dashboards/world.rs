//! The demo, a Postmeter with nothing but trouble, and a real Prometheus that scrapes both.

use super::common::postmeter;
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
        demo.env("HOSTNAME", DEMO);
        demo.args(["demo", "--listen", "127.0.0.1:0", "--interval", "1s"]);
        let (demo, demo_address) = start(demo, "http://", "/metrics ");
        let config = folder.path().join("troubled.yaml");
        std::fs::write(&config, troubled()).unwrap();
        let mut run = postmeter();
        run.env("HOSTNAME", TROUBLED).args(["run", "--config"]).arg(&config);
        let (run, run_address) = start(run, "pull=\"http://", "/metrics\"");

        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, scrapes(&[&demo_address, &run_address])).unwrap();
        let mut command = Command::new(prometheus);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
        let (prometheus, address) = start(command, "address=127.0.0.1", "");
        Some(Self { _programs: vec![prometheus, run, demo], _folder: folder, api: format!("http://127.0.0.1{address}/api/v1") })
    }
}

/// A mail server that is not there, a receiver that is not there, and families that cannot be pulled as they are said.
fn troubled() -> String {
    format!(
        "defaults: {{min_interval: 1s, timeout: 1s}}\n\
         targets:\n  - {{name: {TROUBLED}, system: kumomta, url: \"http://127.0.0.1:1\"}}\n\
         export:\n  otlp: {{endpoint: \"http://127.0.0.1:1\", interval: 1s}}\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n"
    )
}

/// As the shipped prometheus.yml does it, in a hurry.
fn scrapes(addresses: &[&str]) -> String {
    assert!(Path::new(RULES).parent().is_some_and(Path::is_dir));
    let targets: Vec<String> = addresses.iter().map(|address| format!("{address:?}")).collect();
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{RULES:?}]\n\
         scrape_configs:\n  - job_name: postmeter\n    honor_labels: true\n    static_configs: [{{targets: [{}], labels: {{via: pull}}}}]\n",
        targets.join(", ")
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
