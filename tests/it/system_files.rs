//! A mail system of a user's own: its file is written from `docs/mail-system-files.md` alone, and used without a rebuild and a restart.
#![allow(clippy::unwrap_used)]

mod commands;
mod json_bodies;
mod json_schema;
mod numbers;

use crate::support::program::Program;
use crate::support::{Described, http_client, postmeter, stderr, stdout, wait_until_async};
use axum::Router;
use axum::routing::get;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mail-system-files.md");
const SOON: Duration = Duration::from_secs(60);

/// Returns the block of the documentation that begins with this fence and contains this text, without its indentation.
fn block(fence: &str, text: &str) -> String {
    let page = fs::read_to_string(PAGE).unwrap();
    let fence = format!("```{fence}\n");
    let mut blocks = page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains(text)).unwrap_or_else(|| panic!("no block {fence} has {text}"));
    let indent = block.len() - block.trim_start().len();
    block.trim_end().lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect()
}

/// The definition of the documentation.
fn definition() -> String {
    block("yaml", "name: mailhub")
}

/// The definition of the documentation with the rule that its text adds.
fn longer_definition() -> String {
    // The block of the rule is not indented here, as it is a list item of the rules.
    let rule: String = block("yaml", "mailhub_greylisted_total").lines().map(|line| format!("      {line}\n")).collect();
    definition() + &rule
}

/// The response of the documentation.
fn response() -> String {
    block("console", "tee mailhub.txt").lines().skip(1).map(|line| format!("{line}\n")).collect()
}

/// A folder with the files of the documentation.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("systems")).unwrap();
    fs::write(folder.path().join("systems/mailhub.yaml"), definition()).unwrap();
    fs::write(folder.path().join("mailhub.txt"), response()).unwrap();
    folder
}

fn run(folder: &Path, line: &str) -> Output {
    postmeter().current_dir(folder).args(line.split(' ')).output().unwrap()
}

/// Starts a server that sends the response of the documentation.
async fn start_server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/metrics", get(|| async { response() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

struct World {
    folder: TempDir,
    program: Program,
    url: String,
    client: reqwest::Client,
}

impl World {
    async fn start(keys: &str) -> Self {
        let folder = folder();
        let config = config(start_server().await, keys);
        let mut program = Program::spawn_with(folder.path(), &config, &[]);
        let url = program.base_url().await;
        Self { folder, program, url, client: http_client() }
    }

    fn write(&self, name: &str, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.folder.path().join(name)).unwrap();
    }

    async fn metrics(&self) -> String {
        self.client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until a line of `/metrics` begins with this text.
    async fn until_metric(&self, series: &str) {
        let last = parking_lot::Mutex::new(String::new());
        let is_match = || async {
            let page = self.metrics().await;
            *last.lock() = page;
            last.lock().lines().any(|line| line.starts_with(series))
        };
        wait_until_async(is_match, SOON, Described(|| format!("no {series} in\n{}\n{}", last.lock(), self.program.log().join("\n")))).await;
    }

    async fn until_log(&self, text: &str) {
        let has_line = || async { self.program.log().iter().any(|line| line.contains(text)) };
        wait_until_async(has_line, SOON, Described(|| format!("no {text} in\n{}", self.program.log().join("\n")))).await;
    }
}

fn config(server: SocketAddr, keys: &str) -> String {
    format!(
        "systems_files: [systems/*.yaml]\ntargets:\n  - {{name: hub1, system: mailhub, url: \"http://{server}\", min_interval: 1s}}\n\
         export: {{prometheus: {{listen: \"127.0.0.1:0\"}}}}\n{keys}"
    )
}

/// A series of the target, without its value.
fn series(name: &str, attributes: &str) -> String {
    format!("{name}{{instance=\"hub1\",job=\"mailhub\",{attributes}}} ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_from_the_documentation_is_used_changed_broken_and_removed_while_the_program_runs() {
    assert!(definition().lines().count() < 30);
    let world = World::start("").await;
    let waiting = series("mail_queue_depth", "mail_queue_state=\"deferred\",mail_system_name=\"mailhub\"");
    world.until_metric(&format!("{waiting}14")).await;
    let greylisted = series("mail_rejected_messages_total", "mail_rejection_reason=\"greylist\",mail_system_name=\"mailhub\"");
    assert!(!world.metrics().await.contains(&greylisted));

    world.write("systems/mailhub.yaml", &longer_definition());
    world.until_metric(&format!("{greylisted}5")).await;
    world.until_metric(&format!("{waiting}14")).await;

    // A file with a problem changes nothing.
    world.write("systems/mailhub.yaml", &longer_definition().replace("mail.queue.depth", "mail.queue.deep"));
    let line = 1 + definition().lines().position(|line| line.contains("mail.queue.depth")).unwrap();
    world.until_log(&format!("systems/mailhub.yaml:{line}:")).await;
    world.until_metric(&format!("{greylisted}5")).await;
    let log = world.program.log();
    let problem = log.iter().find(|line| line.contains("reload rejected")).unwrap();
    assert!(problem.contains("mail.queue.depth") && problem.contains("nothing was changed"), "{problem}");

    world.write("systems/mailhub.yaml", &definition().replace("waiting: deferred", "waiting: scheduled"));
    world.until_metric(&format!("{}14", waiting.replace("deferred", "scheduled"))).await;
    assert!(!world.metrics().await.contains(&greylisted));

    // A system that is in use cannot be removed.
    fs::remove_file(world.folder.path().join("systems/mailhub.yaml")).unwrap();
    world.until_log("unknown mail system").await;
    world.until_metric(&format!("{}14", waiting.replace("deferred", "scheduled"))).await;
    world.program.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_system_is_used_after_a_reload_of_the_configuration() {
    let world = World::start("reload: {watch: true}\n").await;
    let server = start_server().await;
    world.until_metric("mail_up{instance=\"hub1\"").await;
    world.write("systems/other.yaml", &definition().replace("name: mailhub", "name: other").replace("title: Mailhub", "title: Other"));
    let more = format!("targets:\n  - {{name: o, system: other, url: \"http://{server}\"}}\n");
    let text = fs::read_to_string(world.folder.path().join("postmeter.yaml")).unwrap().replace("targets:\n", &more);
    world.write("postmeter.yaml", &text);
    world.until_metric("mail_queue_depth{instance=\"o\",job=\"other\",mail_queue_state=\"active\",mail_system_name=\"other\"} 3").await;
    world.program.end();
}

#[test]
fn problems_have_a_position_and_names_are_unique() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("postmeter.yaml", &config(SocketAddr::from(([192, 0, 2, 1], 9)), ""));
    let output = run(folder.path(), "check");
    assert_eq!(
        (stdout(&output).as_str(), output.status.code()),
        ("postmeter.yaml: valid, 1 target\nnext: postmeter check --config postmeter.yaml --connect\n", Some(0)),
        "{}",
        stderr(&output)
    );
    write("systems/also.yaml", &definition());
    write("systems/copy.yaml", &definition().replace("name: mailhub", "name: kumomta"));
    write("systems/worse.yaml", "name: worse\nparts: 1\n");
    let output = run(folder.path(), "check");
    let problems = stderr(&output);
    let [copy, hub, worse] = problems.lines().collect::<Vec<_>>()[..] else { panic!("{problems}") };
    assert_eq!(copy, "postmeter: systems/copy.yaml:1:7: name: kumomta is the name of a built-in mail system; choose another name");
    assert_eq!(hub, "systems/mailhub.yaml:1:7: name: mailhub is defined in systems/also.yaml as well; choose another name");
    assert!(worse.starts_with("systems/worse.yaml:2:1: parts: "), "{worse}");
    assert_eq!(output.status.code(), Some(1));
    // Relative paths are those of the configuration file.
    let output = run(Path::new("/"), &format!("check --config {}", folder.path().join("postmeter.yaml").display()));
    assert!(stderr(&output).contains("systems/worse.yaml:2:1"), "{}", stderr(&output));
}

#[test]
fn targets_files_and_defaults_take_a_system_of_a_user() {
    let folder = folder();
    fs::write(folder.path().join("more.yaml"), "- {name: a, url: \"http://192.0.2.1\"}\n").unwrap();
    let targets = folder.path().join("more.yaml").display().to_string();
    let text = format!("systems_files: [systems/mailhub.yaml]\ndefaults: {{timeout: 5s}}\ntargets_files: [\"{targets}\"]\n");
    fs::write(folder.path().join("postmeter.yaml"), &text).unwrap();
    let output = run(folder.path(), "check");
    assert!(stderr(&output).contains("system"), "{}", stderr(&output));
    fs::write(folder.path().join("more.yaml"), "- {name: a, system: mailhub, url: \"http://192.0.2.1\"}\n").unwrap();
    let output = run(folder.path(), "check");
    assert_eq!(
        stdout(&output),
        "postmeter.yaml: valid, 1 target\nnext: postmeter check --config postmeter.yaml --connect\n",
        "{}",
        stderr(&output)
    );
}
