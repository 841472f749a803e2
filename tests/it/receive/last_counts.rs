//! Counts of records exist only in the process: they are exported before it ends, whether the target can be polled or not.

use super::world::{ANY, World, arrived, attempts, lines, page, send, until};
use crate::support::flat::{Flat, flatten};
use crate::support::{start_service, wait_until_async};
use postmeter::simulate::Receiver;
use reqwest::StatusCode;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_exports_what_was_counted_since_the_last_push() {
    let receiver = Receiver::start(ANY).await.unwrap();
    // The first target is not polled, and the server of the second one does not exist.
    let deliveries = "parts: {deliveries: {token: let-me-in}}";
    let targets = format!(
        "  - {{name: mta1, system: kumomta, min_interval: 1h, {deliveries}}}\n  - {{name: mta2, system: kumomta, url: \"http://127.0.0.1:9\", min_interval: 1h, {deliveries}}}\n"
    );
    let world = World { targets, ..World::new() };
    let file = world.file(Some(&receiver.url())).replace("interval: 1s,", "interval: 1s, temporality: delta,");
    let service = start_service(&file).await;
    let points = |target: &str, metric: &str| -> Vec<Flat> {
        let all = flatten(&receiver.requests());
        all.into_iter().filter(|point| point.target == target && point.metric == metric).collect()
    };
    until("both targets are pushed", || ["mta1", "mta2"].iter().all(|target| !points(target, "postmeter.poll.records").is_empty())).await;
    let pushed = ["mta1", "mta2"].map(|target| points(target, "postmeter.poll.records").len());
    for (target, ids) in [("mta1", 0..50), ("mta2", 50..80)] {
        assert_eq!(send(&service, target, lines(ids)).await, StatusCode::OK);
    }
    arrived(&receiver, 80).await;
    let counted = || async {
        let page = page(&service).await;
        page.contains("mail_delivery_attempts_total{")
            && (attempts(&page, "mta1", "delivered"), attempts(&page, "mta2", "delivered")) == (50.0, 30.0)
    };
    wait_until_async(counted, super::world::PATIENCE, "all are counted").await;
    let now = ["mta1", "mta2"].map(|target| points(target, "postmeter.poll.records").len());
    assert_eq!(now, pushed, "no reading is due");
    service.stop().await;
    for (target, expected) in [("mta1", 50.0), ("mta2", 30.0)] {
        let deltas = points(target, "mail.delivery.attempts");
        let delivered = deltas.iter().filter(|point| point.has(&["mail.delivery.outcome", "delivered"]));
        assert_eq!(delivered.map(|point| point.value).sum::<f64>(), expected, "{target}");
    }
    receiver.shutdown().await;
}
