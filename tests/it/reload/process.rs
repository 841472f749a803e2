//! The program itself: SIGHUP, and what its log says.

use super::world::{SOON, stand_in, target, value};
use crate::support::postmeter;
use postmeter::simulate::System;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

struct Running {
    child: Child,
    log: Receiver<String>,
}

impl Running {
    fn start(file: &std::path::Path, flags: &[&str]) -> Self {
        let mut command = postmeter();
        let mut child = command.args(["run", "--config"]).arg(file).args(flags).stderr(Stdio::piped()).spawn().unwrap();
        let (line, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|said| line.send(said)));
        Self { child, log }
    }

    /// Waits for a line with these words.
    #[track_caller]
    fn says(&self, words: &str) -> String {
        loop {
            let line = self.log.recv_timeout(SOON).unwrap_or_else(|_| panic!("the log does not say {words}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Where it listens, once it does.
    #[track_caller]
    fn url(&self) -> String {
        let started = self.says("started");
        let url = started.split('"').find(|word| word.starts_with("http://"));
        url.unwrap_or_else(|| panic!("{started}")).trim_end_matches("/metrics").to_owned()
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_and_a_bad_file_is_said_in_the_log() {
    let kumomta = stand_in(System::Kumomta).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("postmeter.yaml");
    let write = |names: &[&str], rest: &str| {
        let targets: String = names.iter().map(|name| target(name, &kumomta, "")).collect();
        std::fs::write(&path, format!("targets:\n{targets}{rest}export: {{prometheus: {{listen: \"127.0.0.1:0\"}}}}\n")).unwrap();
    };
    write(&["a"], "");
    let mut running = Running::start(&path, &["--enable-reload"]);
    let url = running.url();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| client.get(format!("{url}{path}")).send().await.unwrap().text().await.unwrap();

    write(&["a", "b"], "");
    running.signal("-HUP");
    let said = running.says("configuration reloaded");
    assert!(said.contains("2 targets, 1 new, 0 changed, 0 gone, 1 kept") && said.contains("SIGHUP"), "{said}");
    assert!(get("/targets.json").await.contains("\"b\""));

    write(&["a", "c"], "tagrets: []\n");
    running.signal("-HUP");
    let said = running.says("configuration not reloaded, nothing has changed");
    assert!(said.contains("postmeter.yaml:4: tagrets: unknown key; did you mean targets?"), "{said}");
    let page = get("/targets.json").await;
    assert!(page.contains("\"b\"") && !page.contains("\"c\""), "{page}");

    // The flag outlives what the file says.
    let answer = client.post(format!("{url}/-/reload")).send().await.unwrap();
    assert_eq!(answer.status(), 500);
    write(&["c"], "");
    let answer = client.post(format!("{url}/-/reload")).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
        (200, "reloaded: 1 target, 1 new, 0 changed, 2 gone, 0 kept\n")
    );
    running.signal("-TERM");
    running.says("stopped");
    assert!(running.child.wait().unwrap().success());
    kumomta.shutdown().await;
}

/// An address that only this machine reaches, and that does not look like it.
const LIKE_A_NETWORK: &str = "127.1:0";

#[test]
fn a_web_configuration_that_becomes_empty_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, web) = (folder.path().join("postmeter.yaml"), folder.path().join("web.yml"));
    let prometheus = format!("{{listen: \"{LIKE_A_NETWORK}\", web_config_file: {}}}", web.display());
    std::fs::write(&path, format!("targets_files: [{}/*.yaml]\nexport: {{prometheus: {prometheus}}}\n", folder.path().join("t").display()))
        .unwrap();
    std::fs::write(&web, "basic_auth_users: {a: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}\n").unwrap();
    let mut running = Running::start(&path, &[]);
    running.says("started");
    std::fs::write(&web, "").unwrap();
    let said = running.says("what was before them stays in use");
    assert!(
        said.contains("WARN") && said.contains("would lose protection: everybody could read it; if this is intended, restart Postmeter"),
        "{said}"
    );
    running.signal("-TERM");
    running.says("stopped");
    assert!(running.child.wait().unwrap().success());
}

/// A pipe that nobody writes stands for a network mount that is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_stands_still_is_said_and_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pipe) = (folder.path().join("postmeter.yaml"), folder.path().join("pipe"));
    let write = |rest: &str| {
        let targets = folder.path().join("t").display().to_string();
        let prometheus = format!("{{listen: \"127.0.0.1:0\"{rest}}}");
        std::fs::write(&path, format!("targets_files: [{targets}/*.yaml]\nexport: {{prometheus: {prometheus}}}\n")).unwrap();
    };
    write("");
    let mut running = Running::start(&path, &[]);
    let url = running.url();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    write(&format!(", web_config_file: {}", pipe.display()));
    running.signal("-HUP");
    running.says("reading the configuration again takes longer than 10 s");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    assert_eq!(value(&page, "postmeter_config_last_reload_successful{"), Some(0.0), "{page}");
    running.signal("-TERM");
    running.says("stopped");
    assert!(running.child.wait().unwrap().success());
}
