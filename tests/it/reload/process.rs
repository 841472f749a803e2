//! The program: SIGHUP, and the lines of its log.

use super::world::{start_server, target, value};
use crate::support::http_client;
use crate::support::program::{Program, Signal};
use postmeter::simulate::System;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_and_an_invalid_file_is_logged() {
    let kumomta = start_server(System::Kumomta).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("postmeter.yaml");
    let write = |names: &[&str], rest: &str| {
        let targets: String = names.iter().map(|name| target(name, &kumomta, "")).collect();
        std::fs::write(&path, format!("targets:\n{targets}{rest}export: {{prometheus: {{listen: \"127.0.0.1:0\"}}}}\n")).unwrap();
    };
    write(&["a"], "");
    let mut running = Program::spawn(&path, &["--enable-reload"]);
    let url = running.base_url().await;
    let client = http_client();
    let get = async |path: &str| client.get(format!("{url}{path}")).send().await.unwrap().text().await.unwrap();

    write(&["a", "b"], "");
    running.signal(Signal::HUP);
    let line = running.wait_for_line("configuration reloaded");
    assert!(["added=1", "changed=0", "removed=0", "unchanged=1", "SIGHUP"].iter().all(|field| line.contains(field)), "{line}");
    assert!(get("/targets.json").await.contains("\"b\""));

    write(&["a", "c"], "tagrets: []\n");
    running.signal(Signal::HUP);
    let line = running.wait_for_line("reload rejected, nothing was changed");
    assert!(line.contains("postmeter.yaml:4: tagrets: unknown key; did you mean targets?"), "{line}");
    let page = get("/targets.json").await;
    assert!(page.contains("\"b\"") && !page.contains("\"c\""), "{page}");

    // The flag overrides the file.
    let response = client.post(format!("{url}/-/reload")).send().await.unwrap();
    assert_eq!(response.status(), 500);
    write(&["c"], "");
    let response = client.post(format!("{url}/-/reload")).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.text().await.unwrap().as_str()),
        (200, "reloaded: 1 target: 1 added, 0 changed, 2 removed, 0 unchanged\n")
    );
    assert!(running.end().last().unwrap().contains("stopped"));
    kumomta.shutdown().await;
}

/// An address that only this machine can reach although it is not a loopback address.
const LIKE_A_NETWORK: &str = "127.1:0";

#[test]
fn an_emptied_web_configuration_does_not_open_the_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (path, web) = (folder.path().join("postmeter.yaml"), folder.path().join("web.yml"));
    let prometheus = format!("{{listen: \"{LIKE_A_NETWORK}\", web_config_file: {}}}", web.display());
    std::fs::write(&path, format!("targets_files: [{}/*.yaml]\nexport: {{prometheus: {prometheus}}}\n", folder.path().join("t").display()))
        .unwrap();
    std::fs::write(&web, "basic_auth_users: {a: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}\n").unwrap();
    let mut running = Program::spawn(&path, &[]);
    running.wait_for_line("started");
    std::fs::write(&web, "").unwrap();
    let line = running.wait_for_line("the previous ones stay in use");
    assert!(
        line.contains("WARN") && line.contains("would lose protection: every client could read it; if this is intended, restart Postmeter"),
        "{line}"
    );
    assert!(running.end().last().unwrap().contains("stopped"));
}

/// A pipe without a writer behaves like a file on a lost network mount.
#[tokio::test(flavor = "multi_thread")]
async fn an_unresponsive_file_is_logged_and_does_not_delay_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pipe) = (folder.path().join("postmeter.yaml"), folder.path().join("pipe"));
    let write = |rest: &str| {
        let targets = folder.path().join("t").display().to_string();
        let prometheus = format!("{{listen: \"127.0.0.1:0\"{rest}}}");
        std::fs::write(&path, format!("targets_files: [{targets}/*.yaml]\nexport: {{prometheus: {prometheus}}}\n")).unwrap();
    };
    write("");
    let mut running = Program::spawn(&path, &[]);
    let url = running.base_url().await;
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    write(&format!(", web_config_file: {}", pipe.display()));
    running.signal(Signal::HUP);
    running.wait_for_line("reading the configuration takes long");
    let client = http_client();
    let page = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    assert_eq!(value(&page, "postmeter_config_last_reload_successful{"), Some(0.0), "{page}");
    assert!(running.end().last().unwrap().contains("stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_targets_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("postmeter.yaml");
    std::fs::write(&path, "targets_files: [/nonexistent/a.yaml]\nexport: {prometheus: {listen: '127.0.0.1:0'}}\n").unwrap();
    let mut postmeter = Program::spawn(&path, &[]);
    postmeter.wait_for_line("targets_files[0]: /nonexistent/a.yaml does not exist");
    postmeter.wait_for_line("there are no targets, so nothing is polled");
    postmeter.end();
}
