//! A flood, a full disk and slow senders cost their sender, and nobody else.

use super::world::{ANY, PATIENCE, TOKEN, World, arrived, attempts, client, lines, page, post_to, records, send, until};
use crate::support::install_crypto_provider;
use crate::support::program::Program;
use postmeter::simulate::Receiver;
use reqwest::StatusCode;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_full_spool_refuses_until_there_is_space() {
    let (mut world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    world.receive = ", max_bytes: 1MiB".to_owned();
    receiver.fail_with(Some(tonic::Status::unavailable("down")));
    let service = world.service(Some(&receiver.url())).await;
    let (mut accepted, mut next) = (0, 0);
    let refusal = loop {
        let response = post_to(&service, "mta1").bearer_auth(TOKEN).body(lines(next..next + 200)).send().await.unwrap();
        if response.status() != StatusCode::OK {
            break response;
        }
        (accepted, next) = (accepted + 200, next + 200);
        assert!(next < 1_000_000, "the spool never became full");
    };
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    receiver.fail_with(None);
    arrived(&receiver, accepted).await;
    let deadline = Instant::now() + PATIENCE;
    while send(&service, "mta1", lines(next..next + 200)).await != StatusCode::OK {
        assert!(Instant::now() < deadline, "the sender is refused although there is space");
    }
    arrived(&receiver, accepted + 200).await;
    service.stop().await;
    assert_eq!(receiver.distinct_log_records(), accepted + 200, "a refused request left no records");
}

#[tokio::test]
async fn a_body_that_needs_more_than_all_space_is_accepted_in_several_attempts() {
    const RECORDS: u64 = 6000;
    let (mut world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    world.receive = ", max_bytes: 1MiB".to_owned();
    let service = world.service(Some(&receiver.url())).await;
    let (body, deadline) = (lines(0..RECORDS), Instant::now() + PATIENCE);
    // Nothing that is stored is exported meanwhile.
    receiver.fail_with(Some(tonic::Status::unavailable("down")));
    assert_eq!(send(&service, "mta1", body.clone()).await, StatusCode::SERVICE_UNAVAILABLE);
    receiver.fail_with(None);
    while send(&service, "mta1", body.clone()).await != StatusCode::OK {
        assert!(Instant::now() < deadline, "{} records have arrived", receiver.distinct_log_records());
    }
    arrived(&receiver, usize::try_from(RECORDS).unwrap()).await;
    let page = page(&service).await;
    assert_eq!((attempts(&page, "mta1", "delivered"), records(&page, "mta1", "read")), (RECORDS as f64, RECORDS as f64));
    service.stop().await;
    assert!(receiver.log_uids().values().all(|arrivals| *arrivals == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_written_is_reported_until_it_can() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    let stored = world.state.path().join("received");
    std::fs::write(&stored, "").unwrap();
    let mut program = Program::spawn_with(world.state.path(), &world.file(Some(&receiver.url())), &[]);
    let url = format!("{}/v1/deliveries/mta1", program.receive_url().await);
    let post = || client().post(&url).bearer_auth(TOKEN).body(lines(0..1)).send();
    assert_eq!(post().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let logged = |text: &str| program.log().iter().filter(|line| line.contains(text)).count();
    until("the problem is logged", || logged("delivery records cannot be stored in state_dir; ") == 1).await;
    assert_eq!(logged("kept in memory"), 0);
    std::fs::remove_file(&stored).unwrap();
    assert_eq!(post().await.unwrap().status(), StatusCode::OK);
    until("the end is logged", || logged("delivery records can be stored again") == 1).await;
    program.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_open_files_is_logged_with_the_listener_and_the_limit_to_raise() {
    let world = World::new();
    let mut program = Program::spawn_with(world.state.path(), &world.file(None), &[]);
    let url = format!("{}/v1/deliveries/mta1", program.receive_url().await);
    install_crypto_provider();
    program.limit_open_files(Some(3));
    let request = tokio::spawn(client().post(url).bearer_auth(TOKEN).body(lines(0..1)).send());
    let problem = || program.log().into_iter().filter(|line| line.contains("cannot accept connections")).collect::<Vec<_>>();
    until("the listener fails", || !problem().is_empty()).await;
    program.limit_open_files(None);
    assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::OK);
    let problem = problem();
    assert!(problem.len() == 1 && problem[0].contains("the listener of receive") && problem[0].contains("LimitNOFILE"), "{problem:?}");
    program.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_refused_and_leaves_room_for_others() {
    let world = World::new();
    let service = world.service(None).await;
    let address = service.receive_address.unwrap();
    // Senders that begin a request and never end it occupy every slot of their target.
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head =
            format!("POST /v1/deliveries/mta1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 1000\r\n\r\n{{");
        stream.write_all(head.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    let mut flood = JoinSet::new();
    for _ in 0..20 {
        let request = post_to(&service, "mta1").bearer_auth(TOKEN).body(lines(0..10));
        flood.spawn(async move { request.send().await.unwrap().status() });
    }
    let statuses = flood.join_all().await;
    assert!(statuses.contains(&StatusCode::SERVICE_UNAVAILABLE), "{statuses:?}");
    assert!(statuses.iter().all(|status| [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(status)), "{statuses:?}");
    assert_eq!(send(&service, "mta2", lines(0..10)).await, StatusCode::OK, "another target has its own slots");
    assert!(page(&service).await.contains("mail_up"));
    // The slots return when the stalled senders are given up, and the sender succeeds.
    let mut last = StatusCode::IM_A_TEAPOT;
    let deadline = Instant::now() + PATIENCE;
    while last != StatusCode::OK {
        last = send(&service, "mta1", lines(20..30)).await;
        assert!(Instant::now() < deadline, "{last}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(stalled);
    service.stop().await;
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_logged() {
    let world = World::new();
    let service = world.service(None).await;
    let mut status = StatusCode::OK;
    until("a large request was sent", || true).await;
    for mebibytes in [1, 300] {
        let body = vec![b' '; mebibytes * 1024 * 1024];
        match post_to(&service, "mta1").bearer_auth(TOKEN).body(body).send().await {
            Ok(response) => status = response.status(),
            // The connection may be closed while the body is being sent.
            Err(_) => status = StatusCode::SERVICE_UNAVAILABLE,
        }
    }
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(&service, "mta1", lines(0..1)).await, StatusCode::OK);
    service.stop().await;
}
