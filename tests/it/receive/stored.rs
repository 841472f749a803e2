//! Records on disk, and a second process on the same state directory.

use super::world::{ANY, World, arrived, lines, page, records, send, until};
use crate::support::program::Program;
use postmeter::simulate::Receiver;
use reqwest::StatusCode;

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
