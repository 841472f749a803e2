//! A reload whose state files do not respond. A pipe without a writer stands for a file on a lost network mount.

use super::world::{ANY, SOON};
use crate::support::program::Program;
use crate::support::{postmeter, wait_until};
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN, USERNAME};
use std::fs::File;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_does_not_respond_holds_up_neither_requests_nor_other_targets() {
    let server = SimulatedServer::start(System::Cpanel, ANY, Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (folder.path().join("postmeter.yaml"), folder.path().join("state"));
    let write = |rest: &str| {
        let target = format!("{{name: whm, system: cpanel, url: \"{}\", username: {USERNAME}, token: {TOKEN}{rest}}}", server.url());
        let rest = "reload: {endpoint: true}\nexport: {prometheus: {listen: \"127.0.0.1:0\"}}\n";
        std::fs::write(&path, format!("state_dir: {}\ntargets:\n  - {target}\n{rest}", state.display())).unwrap();
    };
    write("");
    std::fs::create_dir(&state).unwrap();
    let (cursor, renamed) = (state.join("messages-whm.cursor"), folder.path().join("pipe"));
    assert!(Command::new("mkfifo").arg(&cursor).status().unwrap().success());
    // A machine with one core.
    let mut command = postmeter();
    command.env("TOKIO_WORKER_THREADS", "1");
    let mut program = Program::spawn_command(command, &path, &[]);
    let url = program.base_url().await;
    write(", parts: {messages: {interval: 1s, since: 2h}}");
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(SOON).build().unwrap();
    let reloaded = client.post(format!("{url}/-/reload")).send().await.unwrap().text().await.unwrap();
    assert_eq!(reloaded, "reloaded: 1 target: 0 added, 1 changed, 0 removed, 0 unchanged\n");
    let lines = |text: &str| program.log().iter().filter(|line| line.contains(text)).count();
    let problem =
        format!("cannot read the delivery log, trying again: target whm: state_dir: {}: there is no response within", state.display());
    wait_until(|| lines(&problem) == 1, SOON, "the file is logged").await;
    assert_eq!(client.get(format!("{url}/metrics")).send().await.unwrap().status(), 200);

    // The file responds again: the thread reads its end, and a further attempt finds no file.
    std::fs::rename(cursor, &renamed).unwrap();
    let opened = tokio::task::spawn_blocking(move || File::options().write(true).open(renamed).unwrap());
    drop(tokio::time::timeout(SOON, opened).await.unwrap().unwrap());
    wait_until(|| lines("all delivery logs are read") == 1, SOON, "the log is read").await;
    let log = program.end();
    assert_eq!(log.iter().filter(|line| line.contains("cannot read the delivery log")).count(), 1, "{log:#?}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_does_not_respond_does_not_delay_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (folder.path().join("postmeter.yaml"), folder.path().join("state"));
    let write = |rest: &str| {
        let head = format!("state_dir: {}\nreload: {{endpoint: true}}\n", state.display());
        let target = format!("targets: [{{name: mta, system: kumomta, url: \"http://127.0.0.1:9\"{rest}}}]\n");
        std::fs::write(&path, format!("{head}{target}export: {{prometheus: {{listen: \"127.0.0.1:0\"}}}}\n")).unwrap();
    };
    write("");
    std::fs::create_dir(&state).unwrap();
    // The store of records is being opened when the program ends.
    assert!(Command::new("mkfifo").arg(state.join("hash.key")).status().unwrap().success());
    let mut command = postmeter();
    command.env("TOKIO_WORKER_THREADS", "1");
    let mut program = Program::spawn_command(command, &path, &[]);
    let url = program.base_url().await;
    write(&format!(", parts: {{deliveries: {{log_files: {{dir: \"{}\"}}}}}}", folder.path().display()));
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(SOON).build().unwrap();
    let reloaded = client.post(format!("{url}/-/reload")).send().await.unwrap().text().await.unwrap();
    assert_eq!(reloaded, "reloaded: 1 target: 0 added, 1 changed, 0 removed, 0 unchanged\n");
    let lines = |text: &str| program.log().iter().filter(|line| line.contains(text)).count();
    wait_until(|| lines("there is no response within") == 1, SOON, "the file is logged").await;
    let log = program.end();
    let reported = |line: &&String| line.contains("the store of delivery records is still being opened at the end");
    assert_eq!(log.iter().filter(reported).count(), 1, "{log:#?}");
}
