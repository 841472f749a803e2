//! Receivers that accept only small requests get every record.

use super::world::{ANY, World, grpc, until};
use postmeter::simulate::Receiver;

#[tokio::test(flavor = "multi_thread")]
async fn too_many_records_for_one_request_are_split() {
    let world = World::with(3_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.accept_bytes(Some(50_000));
    let service = world.service("", &grpc(&receiver)).await;
    until("all records", || receiver.distinct_log_records() == 3_000).await;
    assert_eq!(receiver.log_records(), 3_000, "none twice");
    assert!(receiver.refused() > 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_records_are_as_large_as_configured() {
    let world = World::with(3_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let otlp = grpc(&receiver).replace("interval: 1s", "interval: 1s, max_request_bytes: 40KiB");
    let service = world.service("", &otlp).await;
    until("all records", || receiver.distinct_log_records() == 3_000).await;
    assert!(receiver.largest() <= 40 * 1024 && receiver.refused() == 0, "{}", receiver.largest());
    service.stop().await;
}
