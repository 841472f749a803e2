//! Limits of the queue in memory, and of the size of a request.

use super::{ANY, QUICK, Ticker, WAIT_MAX, assert_each_tick_once, ticks};
use crate::support::flat::flatten;
use crate::support::wait_until;
use postmeter::simulate::Receiver;
use tonic::Status;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_drops_and_counts_the_oldest_collections() {
    const SERIES: usize = 12_000;
    let ticker = Ticker::start(SERIES).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let service =
        ticker.start_service(&format!("endpoint: \"{}\", compression: none, queue: {{max_bytes: 2MiB}}, {QUICK}", receiver.url())).await;
    wait_until(|| service.push_status().unwrap().lost_points > 2 * SERIES as u64, WAIT_MAX, "the queue is full").await;
    let full = service.push_status().unwrap();
    assert!(full.memory.bytes <= 3 * 1024 * 1024, "the limit and the request that is being sent: {full:?}");
    receiver.fail_with(None);
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "the next tick arrives").await;
    service.stop().await;
    let requests = receiver.requests();
    let numbers: Vec<u64> = ticks(&requests).keys().copied().collect();
    // The first collection may have arrived, because it was being sent. The oldest of the others are missing.
    let missing = numbers.last().unwrap() - numbers.len() as u64;
    assert!(missing >= 2 && numbers.contains(&next), "{missing} are missing: {numbers:?}");
    let filler = flatten(&requests).iter().filter(|point| point.metric == "filler").count();
    assert_eq!(filler, numbers.len() * SERIES, "each collection is complete or missing: {numbers:?}");
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_too_large_for_grpc_are_split() {
    const SERIES: usize = 3000;
    for spool in [false, true] {
        let ticker = Ticker::start(SERIES).await;
        let folder = tempfile::tempdir().unwrap();
        let receiver = Receiver::start(ANY).await.unwrap();
        receiver.accept_bytes(Some(30_000));
        let spool = if spool { format!("spool: {{dir: {}}}, ", folder.path().display()) } else { String::new() };
        let service = ticker.start_service(&format!("endpoint: \"{}\", {spool}{QUICK}", receiver.url())).await;
        wait_until(|| ticks(&receiver.requests()).len() >= 3, WAIT_MAX, "three ticks arrive").await;
        let rejected = receiver.refused();
        let until_tick = ticker.polls() + 3;
        wait_until(|| ticks(&receiver.requests()).contains_key(&until_tick), WAIT_MAX, "later ticks arrive").await;
        assert!(receiver.refused() <= rejected + 1, "the accepted size is remembered: {rejected}, then {}", receiver.refused());
        let status = service.push_status().unwrap();
        assert_eq!(status.lost_points, 0);
        service.stop().await;
        let requests = receiver.requests();
        let arrived = ticks(&requests);
        assert_each_tick_once(&arrived);
        let filler = flatten(&requests).iter().filter(|point| point.metric == "filler").count();
        assert_eq!(filler, arrived.len() * SERIES, "each collection is complete");
        receiver.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_have_the_configured_size() {
    const SERIES: usize = 3000;
    let ticker = Ticker::start(SERIES).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = ticker.start_service(&format!("endpoint: \"{}\", max_request_bytes: 20KiB, {QUICK}", receiver.url())).await;
    wait_until(|| ticks(&receiver.requests()).len() >= 2, WAIT_MAX, "two ticks arrive").await;
    assert!(receiver.largest() <= 20 * 1024 && receiver.largest() > 15 * 1024, "{}", receiver.largest());
    assert_eq!(receiver.refused(), 0);
    service.stop().await;
    receiver.shutdown().await;
}
