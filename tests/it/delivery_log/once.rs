//! Every record arrives exactly once, whatever the server and the receiver do.

use super::world::{ANY, World, grpc, page, sum, until};
use crate::support::start_service;
use postmeter::delivery_log::BATCH_RECORDS_MAX;
use postmeter::simulate::{Attempt, AttemptOutcome, Origin, Receiver};
use std::collections::{HashMap, HashSet};

fn late(n: u64, at: u64, now: u64) -> Attempt {
    let (origin, outcome) = (Origin::Remote, AttemptOutcome::Failure);
    Attempt { id: n, domain: 1, origin, bytes: 10, received: at, at, outcome, visible_at: now, is_duplicated: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records_through_faults_of_both_sides() {
    const RECORDS: u64 = 100_000;
    let world = World::with(RECORDS).await;
    world.simulated.traffic(|traffic| traffic.log.fault_every = Some(4));
    let receiver = Receiver::start(ANY).await.unwrap();
    let address = receiver.addr();
    let service = world.service("", &grpc(&receiver)).await;

    until("the first records", || receiver.distinct_log_records() > 5_000).await;
    receiver.fail_with(Some(tonic::Status::unavailable("later")));
    until("refusals", || receiver.refused() > 3).await;
    receiver.fail_with(None);
    until("more records", || receiver.distinct_log_records() > 30_000).await;
    // From here on the receiver accepts nothing, so the records that it has now are all.
    receiver.fail_with(Some(tonic::Status::unavailable("later")));
    let (mut uids, mut total) = (receiver.log_uids(), receiver.log_records());
    receiver.shutdown().await;

    // The receiver is down for a while, and restarts at the same address.
    until("the queue fills and polling stops", || {
        let searches = world.simulated.traffic(|traffic| traffic.log.searches());
        searches > 0
    })
    .await;
    let receiver = Receiver::start(address).await.unwrap();
    let all = |uids: &HashMap<String, u32>| -> usize {
        // Inspecting each request is slow, and would delay the receiver.
        let most = uids.len() + receiver.distinct_log_records();
        if (most as u64) < RECORDS {
            return most;
        }
        let mut all: HashSet<String> = uids.keys().cloned().collect();
        all.extend(receiver.log_uids().into_keys());
        all.len()
    };
    until("all records", || all(&uids) as u64 == RECORDS).await;

    // Some records are written late, but within the overlap.
    world.simulated.traffic(|traffic| (0..500).for_each(|n| traffic.log.push(late(n, world.now - 30 - n % 500, world.now))));
    until("those that are late", || all(&uids) as u64 == RECORDS + 500).await;

    total += receiver.log_records();
    for (uid, n) in receiver.log_uids() {
        *uids.entry(uid).or_default() += n;
    }
    // Records in flight when the receiver stopped may have been accepted without an acknowledgement.
    assert!(total <= RECORDS + 500 + BATCH_RECORDS_MAX as u64, "{total}");
    let page = page(&service).await;
    assert!(sum(&page, "postmeter_poll_records_total{") > 0.0 && page.contains("error_type=\"status\""), "{page}");
    assert_eq!(sum(&page, "mail_delivery_attempts_total{"), attempts(&world) as f64);
    service.stop().await;
}

fn attempts(world: &World) -> usize {
    world.simulated.traffic(|traffic| traffic.log.iter().filter(|attempt| attempt.outcome != AttemptOutcome::InProgress).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_from_which_records_are_omitted_is_divided() {
    let world = World::with(6_000).await;
    world.simulated.traffic(|traffic| traffic.log.results_by_type_max = Some(400));
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = world.service("", &grpc(&receiver)).await;
    until("all records", || receiver.distinct_log_records() == 6_000).await;
    assert_eq!(receiver.log_records(), 6_000);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_not_sent_again_after_a_restart() {
    let world = World::with(3_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    for round in 0..3 {
        let service = world.service("", &grpc(&receiver)).await;
        let id = 1_000 + round;
        world.simulated.traffic(|traffic| traffic.log.push(late(id, world.now - 10, world.now)));
        until("all records", || receiver.distinct_log_records() as u64 == 3_001 + round).await;
        service.stop().await;
        assert_eq!(receiver.log_records(), 3_001 + round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_another_server_is_read_from_the_start() {
    let world = World::with(1_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = world.service("", &grpc(&receiver)).await;
    until("all records", || receiver.log_records() == 1_000).await;
    service.stop().await;
    // For the cursor this is another server. Its log begins two hours ago, as at a first start.
    let file = world.file("", &grpc(&receiver)).replace(&world.simulated.url(), &world.simulated.url().replace("127.0.0.1", "localhost"));
    let service = start_service(&file).await;
    until("all records again", || receiver.log_records() == 2_000).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_reads_new_records_only() {
    let world = World::with(1_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = world.file("", &grpc(&receiver)).replace(", since: 2h", "");
    let service = start_service(&file).await;
    let searches = || world.simulated.traffic(|traffic| traffic.log.searches());
    until("two polls", || searches() > 1).await;
    world.simulated.traffic(|traffic| traffic.log.push(Attempt { visible_at: 0, ..late(7, world.now + 60, 0) }));
    until("what is new", || receiver.log_records() == 1).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_receiver_rejects_are_counted_and_skipped() {
    let world = World::with(1_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(tonic::Status::invalid_argument("no")));
    let service = world.service("", &grpc(&receiver)).await;
    let deliveries = service.targets.now()[0].deliveries.clone().unwrap();
    let refused = || {
        let points = deliveries.points(std::time::Instant::now());
        points.iter().any(|point| point.value == 1_000.0 && point.attributes.iter().any(|(_, value)| value == "refused"))
    };
    until("refusals are counted", refused).await;
    receiver.fail_with(None);
    world.simulated.traffic(|traffic| traffic.log.push(late(7, world.now - 5, world.now)));
    until("what comes later", || receiver.log_records() > 0).await;
    assert_eq!((receiver.log_records(), receiver.distinct_log_records()), (1, 1));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_credentials_pause_the_log() {
    let world = World::with(1_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(tonic::Status::unauthenticated("who?")));
    let service = world.service("", &grpc(&receiver)).await;
    until("refusals", || receiver.refused() > 5).await;
    receiver.fail_with(None);
    until("all records", || receiver.distinct_log_records() == 1_000).await;
    service.stop().await;
}
