//! Records on disk that a later configuration has no part, listener or receiver for, and a second process on the same state directory.

use super::world::{ANY, PATIENCE, TARGETS, TOKEN, World, arrived, client, lines, page, page_of, records, send, until, value};
use crate::support::program::Program;
use crate::support::{postmeter, wait_until_async};
use postmeter::simulate::Receiver;
use reqwest::StatusCode;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const OK: StatusCode = StatusCode::OK;

/// A world with stored records of `mta1`, and a receiver that is up only now.
async fn world_with_stored_records(count: u64) -> (World, Receiver) {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    receiver.fail_with(Some(tonic::Status::unavailable("down")));
    let service = world.service(Some(&receiver.url())).await;
    assert_eq!(send(&service, "mta1", lines(0..count)).await, OK);
    service.stop().await;
    receiver.fail_with(None);
    (world, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_exported_although_no_target_receives_any() {
    let (mut world, receiver) = world_with_stored_records(5).await;
    world.targets = "  - {name: other, system: kumomta, url: \"http://127.0.0.1:9\"}\n".to_owned();
    let file = world.file(Some(&receiver.url())).replace("receive: {listen: \"127.0.0.1:0\"}\n", "");
    let program = Program::spawn_with(world.state.path(), &file, &[]);
    arrived(&receiver, 5).await;
    let log = program.end();
    let found =
        |line: &&String| line.contains("found delivery records of an earlier run that are not exported yet") && line.contains("records=5");
    assert_eq!(log.iter().filter(found).count(), 1, "{log:#?}");
    assert_eq!(requests_in(world.state.path()), 0);
    assert!(receiver.log_uids().values().all(|arrivals| *arrivals == 1));
}

/// The page has no target that could count them.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_of_a_removed_target_are_counted() {
    let (mut world, receiver) = world_with_stored_records(5).await;
    receiver.fail_with(Some(tonic::Status::invalid_argument("no")));
    world.targets = "  - {name: other, system: kumomta, url: \"http://127.0.0.1:9\"}\n".to_owned();
    let file = world.file(Some(&receiver.url())).replace("receive: {listen: \"127.0.0.1:0\"}\n", "");
    let mut program = Program::spawn_with(world.state.path(), &file, &[]);
    let url = program.base_url().await;
    let counter = "otel_sdk_exporter_log_exported_total";
    wait_until_async(async || page_of(&url).await.contains(counter), PATIENCE, "the records are counted").await;
    let page = page_of(&url).await;
    assert_eq!(value(&page, counter, &["error_type=\"refused\""]), 5.0, "{page}");
    let log = program.end();
    assert!(
        log.iter().any(|line| line.contains("the receiver rejected delivery records, they are skipped") && line.contains("mta1")),
        "{log:#?}"
    );
    assert_eq!(requests_in(world.state.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_receiver_are_reported_and_exported_later() {
    let (world, receiver) = world_with_stored_records(5).await;
    let without_records = world.file(None).replace(TARGETS, "  - {name: other, system: kumomta, url: \"http://127.0.0.1:9\"}\n");
    for (file, has_part) in [(world.file(None), true), (without_records.replace("receive: {listen: \"127.0.0.1:0\"}\n", ""), false)] {
        let mut program = Program::spawn_with(world.state.path(), &file, &[]);
        let url = program.base_url().await;
        if has_part {
            let post = format!("{}/v1/deliveries/mta1", program.receive_url().await);
            assert_eq!(client().post(post).bearer_auth(TOKEN).body(lines(5..6)).send().await.unwrap().status(), OK);
        }
        let page = client().get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
        assert!(!page.contains("postmeter_record_queue_depth{instance=\"mta1\""), "the depth is not known: {page}");
        let log = program.end();
        let is_reported = |line: &&String| line.contains("because export.otlp is not configured") && line.contains("records=5");
        assert_eq!(log.iter().filter(is_reported).count(), 1, "{log:#?}");
    }
    let service = world.service(Some(&receiver.url())).await;
    arrived(&receiver, 5).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_accepts_records_when_the_first_one_has_ended() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    let first = world.service(Some(&receiver.url())).await;
    assert_eq!(send(&first, "mta1", lines(0..2)).await, OK);
    let second = world.service(Some(&receiver.url())).await;
    assert_eq!(send(&second, "mta1", lines(0..2)).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(&first, "mta1", lines(2..4)).await, OK);
    arrived(&receiver, 4).await;
    first.stop().await;
    assert_eq!(send(&second, "mta1", lines(0..5)).await, OK);
    arrived(&receiver, 5).await;
    let page = page(&second).await;
    assert_eq!((records(&page, "mta1", "read"), records(&page, "mta1", "repeated")), (1.0, 4.0));
    second.stop().await;
    assert!(receiver.log_uids().values().all(|arrivals| *arrivals == 1), "{:?}", receiver.log_uids());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_exports_stored_records_when_the_first_one_has_ended() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    receiver.fail_with(Some(tonic::Status::unavailable("down")));
    let first = world.service(Some(&receiver.url())).await;
    assert_eq!(send(&first, "mta1", lines(0..5)).await, OK);
    let second = world.service(Some(&receiver.url())).await;
    first.stop().await;
    receiver.fail_with(None);
    // Nothing is sent to the second one.
    arrived(&receiver, 5).await;
    second.stop().await;
    assert_eq!(requests_in(world.state.path()), 0);
    assert!(receiver.log_uids().values().all(|arrivals| *arrivals == 1), "{:?}", receiver.log_uids());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_reports_nothing_else() {
    let (world, receiver) = world_with_stored_records(1).await;
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let file = world
        .file(Some(&receiver.url()))
        .replace("receive: {listen: \"127.0.0.1:0\"}", &format!("receive: {{listen: \"{}\"}}", listener.local_addr().unwrap()));
    let mut program = Program::spawn_with(world.state.path(), &file, &[]);
    until("the program has ended", || program.exit_status().is_some()).await;
    assert!(!program.exit_status().unwrap().success());
    let log = program.kill();
    assert!(log.iter().any(|line| line.contains("cannot listen on")), "{log:#?}");
    assert!(log.iter().all(|line| !line.contains("could not be closed")), "{log:#?}");
}

/// A pipe without a writer or a reader stands for a file on a lost network mount.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_does_not_respond_stops_neither_other_targets_nor_the_end() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    let journal = world.state.path().join("received/mta1.uids");
    std::fs::create_dir(journal.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(&journal).status().unwrap().success());
    let mut program = Program::spawn_with(world.state.path(), &world.file(Some(&receiver.url())), &[]);
    let url = program.receive_url().await;
    let post = |target: &str, ids: std::ops::Range<u64>| {
        client().post(format!("{url}/v1/deliveries/{target}")).bearer_auth(TOKEN).body(lines(ids)).send()
    };
    assert_eq!(post("mta1", 0..1).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(post("mta1", 0..1).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let is_accepted = async || post("mta2", 0..1).await.unwrap().status() == OK;
    wait_until_async(is_accepted, PATIENCE, "another target's records are accepted").await;
    let is_logged = || program.log().iter().any(|line| line.contains("received/mta1.uids does not respond within 2 s"));
    until("the file is logged", is_logged).await;
    let stopped = Instant::now();
    program.end();
    assert!(stopped.elapsed() < Duration::from_secs(30), "{:?}", stopped.elapsed());
}

/// Opening a pipe waits for the other side: when that has happened here, the start waits for the content.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_a_file_is_ended_by_a_signal() {
    let world = World::new();
    let key = world.state.path().join("hash.key");
    assert!(Command::new("mkfifo").arg(&key).status().unwrap().success());
    let file = world.state.path().join("postmeter.yaml");
    std::fs::write(&file, world.file(None)).unwrap();
    // A machine with one core.
    let mut command = postmeter();
    command.env("TOKIO_WORKER_THREADS", "1");
    let mut program = Program::spawn_command(command, &file, &[]);
    let opened = tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(key).unwrap());
    let _writer = tokio::time::timeout(PATIENCE, opened).await.unwrap().unwrap();
    let is_logged = || program.log().iter().any(|line| line.contains("the start takes longer than 10 s"));
    until("the start is logged", is_logged).await;
    program.terminate();
    until("the program has ended", || program.exit_status().is_some()).await;
    assert!(!program.exit_status().unwrap().success());
    let log = program.kill();
    let state_dir = world.state.path().display().to_string();
    assert!(log.iter().any(|line| line.contains("the start has not ended within 5 s") && line.contains(&state_dir)), "{log:#?}");
}

fn requests_in(state: &Path) -> usize {
    let names = std::fs::read_dir(state.join("received/otlp-logs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".request")).count()
}
