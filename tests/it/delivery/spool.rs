//! The spool of a service: damaged requests, and its limit.

use super::{ANY, QUICK, Ticker, WAIT_MAX, request_files, self_metric, ticks};
use crate::support::flat::flatten;
use crate::support::wait_until;
use postmeter::simulate::Receiver;
use tonic::Status;

#[tokio::test(flavor = "multi_thread")]
async fn damaged_requests_are_counted_and_the_others_arrive() {
    const SERIES: usize = 200;
    let ticker = Ticker::start(SERIES).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let spool = folder.path().join("spool");
    let otlp = format!("endpoint: \"{}\", spool: {{dir: {}}}, {QUICK}", receiver.url(), spool.display());
    let service = ticker.start_service(&otlp).await;
    wait_until(|| request_files(&spool).len() >= 8, WAIT_MAX, "several requests are in the spool").await;
    service.stop().await;
    // A flipped bit in a value, a flipped bit in the header, a page of zeros, and a truncated file.
    let files = request_files(&spool);
    for (file, damage) in files[1..].iter().zip(0..4) {
        let mut content = std::fs::read(file).unwrap();
        let middle = content.len() / 2;
        match damage {
            0 => content[middle] ^= 1,
            1 => content[17] ^= 128,
            2 => content[middle..].fill(0),
            _ => content.truncate(middle),
        }
        std::fs::write(file, content).unwrap();
    }
    receiver.fail_with(None);
    let service = ticker.start_service(&otlp).await;
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "all other ticks arrive").await;
    assert_eq!(self_metric(&service, "postmeter_export_spool_damaged_requests_total").await, 4.0);
    let status = service.push_status().unwrap();
    let damaged = status.spool.unwrap().damaged_requests;
    assert!(damaged == 4 && status.lost_points > 4 * SERIES as u64, "{damaged}, {}", status.lost_points);
    service.stop().await;
    assert_eq!(std::fs::read_dir(spool.join("otlp-metrics/damaged")).unwrap().count(), 4);
    assert!(request_files(&spool).is_empty());
    let arrived = ticks(&receiver.requests());
    assert!(arrived.values().all(|times| times.len() == 1), "{arrived:?}");
    let queued = 1..=files.len() as u64;
    let missing: Vec<u64> = queued.filter(|tick| !arrived.contains_key(tick)).collect();
    assert_eq!(missing, [2, 3, 4, 5]);
    for point in flatten(&receiver.requests()).iter().filter(|point| point.metric == "filler" && point.flags == 0) {
        assert!(point.attributes.iter().any(|(key, value)| key == "number" && value.parse() == Ok(point.value)), "{point:?}");
    }
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_never_exceeds_its_limit() {
    let ticker = Ticker::start(6000).await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let spool = folder.path().join("spool");
    let otlp =
        format!("endpoint: \"{}\", compression: none, spool: {{dir: {}, max_bytes: 1MiB}}, {QUICK}", receiver.url(), spool.display());
    let service = ticker.start_service(&otlp).await;
    let on_disk = || request_files(&spool).iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>();
    let largest = std::cell::Cell::new(0);
    wait_until(
        || {
            largest.set(on_disk().max(largest.get()));
            service.push_status().unwrap().lost_points > 12_000
        },
        WAIT_MAX,
        "the oldest collections are dropped",
    )
    .await;
    assert!(largest.get() <= 1 << 20 && largest.get() > 1 << 19, "{}", largest.get());
    let status = service.push_status().unwrap();
    assert!(status.memory.bytes == 0 && status.spool.unwrap().failure.is_none());
    service.stop().await;
    receiver.shutdown().await;
}
