//! Records on disk, a second process on the same state directory, and files in it that do not respond.

use super::world::{ANY, PATIENCE, TOKEN, World, arrived, client, lines, page, records, send, until};
use crate::support::program::Program;
use crate::support::wait_until_async;
use postmeter::simulate::Receiver;
use reqwest::StatusCode;
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
    let mut program = Program::spawn_with(world.state.path(), &world.file(None), &[]);
    let opened = tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(key).unwrap());
    let _writer = tokio::time::timeout(PATIENCE, opened).await.unwrap().unwrap();
    program.terminate();
    until("the program has ended", || program.exit_status().is_some()).await;
    assert!(!program.exit_status().unwrap().success());
    let log = program.kill();
    let state_dir = world.state.path().display().to_string();
    assert!(log.iter().any(|line| line.contains("the start has not ended within 5 s") && line.contains(&state_dir)), "{log:#?}");
}
