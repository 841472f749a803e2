//! A request is acknowledged when its records are durable, and each record arrives once.

use super::world::{ANY, PATIENCE, World, arrived, attempts, client, lines, page, post_to, record, records, send, until, value};
use crate::support::wait_until_async;
use postmeter::simulate::Receiver;
use reqwest::StatusCode;

const OK: StatusCode = StatusCode::OK;
const DEPTH: &str = "postmeter_record_queue_depth{instance=\"mta1\"";

#[tokio::test]
async fn every_form_of_a_body_arrives_and_is_counted() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    let service = world.service(Some(&receiver.url())).await;
    assert_eq!(send(&service, "mta1", record(1, "Delivery")).await, OK);
    assert_eq!(send(&service, "mta1", format!("[{},{}]", record(2, "Bounce"), record(3, "TransientFailure"))).await, OK);
    assert_eq!(send(&service, "mta1", lines(4..7)).await, OK);
    assert_eq!(send(&service, "mta2", record(1, "Delivery")).await, OK, "the same record of another target is another record");
    arrived(&receiver, 7).await;
    let page = page(&service).await;
    assert_eq!(["delivered", "failed", "deferred"].map(|outcome| attempts(&page, "mta1", outcome)), [4.0, 1.0, 1.0]);
    assert_eq!(value(&page, "mail_delivery_duration_seconds_count", &["instance=\"mta2\""]), 1.0);
    service.stop().await;
}

#[tokio::test]
async fn a_repeated_record_is_dropped_and_counted() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    let service = world.service(Some(&receiver.url())).await;
    assert_eq!(send(&service, "mta1", lines(0..10)).await, OK);
    assert_eq!(send(&service, "mta1", format!("{}{}", lines(5..12), record(11, "Delivery"))).await, OK);
    arrived(&receiver, 12).await;
    let before = page(&service).await;
    assert_eq!((records(&before, "mta1", "read"), records(&before, "mta1", "repeated")), (12.0, 6.0));
    service.stop().await;
    // A restart knows the records, too.
    let service = world.service(Some(&receiver.url())).await;
    assert_eq!(send(&service, "mta1", lines(0..13)).await, OK);
    arrived(&receiver, 13).await;
    let after = page(&service).await;
    assert_eq!((records(&after, "mta1", "read"), records(&after, "mta1", "repeated")), (1.0, 12.0));
    service.stop().await;
    assert!(receiver.log_uids().values().all(|arrivals| *arrivals == 1));
}

#[tokio::test]
async fn records_survive_a_receiver_that_is_down_and_a_restart() {
    let (world, receiver) = (World::new(), Receiver::start(ANY).await.unwrap());
    receiver.fail_with(Some(tonic::Status::unavailable("down")));
    let service = world.service(Some(&receiver.url())).await;
    for batch in 0..5 {
        assert_eq!(send(&service, "mta1", lines(batch * 10..batch * 10 + 10)).await, OK);
    }
    until("an export was refused", || receiver.refused() > 0).await;
    let depth = value(&page(&service).await, "postmeter_record_queue_depth", &["instance=\"mta1\""]);
    assert_eq!(depth, 50.0);
    service.stop().await;
    let service = world.service(Some(&receiver.url())).await;
    // The requests of the earlier run wait, and those of one target are sent together.
    let depth = |page: &str| page.lines().find(|line| line.starts_with(DEPTH)).and_then(|line| line.rsplit(' ').next()?.parse().ok());
    let is_known = || async { depth(&page(&service).await) == Some(50.0) };
    wait_until_async(is_known, PATIENCE, "the waiting records are counted").await;
    receiver.fail_with(None);
    arrived(&receiver, 50).await;
    assert_eq!(receiver.log_requests().len(), 1);
    assert_eq!(send(&service, "mta1", lines(49..51)).await, OK);
    arrived(&receiver, 51).await;
    service.stop().await;
    assert!(receiver.log_uids().values().all(|arrivals| *arrivals == 1));
}

#[tokio::test]
async fn without_an_otlp_receiver_records_are_counted() {
    let world = World::new();
    let service = world.service(None).await;
    assert_eq!(send(&service, "mta1", lines(0..3)).await, OK);
    assert_eq!(send(&service, "mta1", lines(0..3)).await, OK);
    let page = page(&service).await;
    assert_eq!(attempts(&page, "mta1", "delivered"), 3.0);
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_acknowledged_and_counted() {
    let world = World::new();
    let service = world.service(None).await;
    for body in ["{", "[1, 2]", "{\"type\": \"Delivery\"}", "\u{0}", "\"text\""] {
        assert_eq!(send(&service, "mta1", body).await, OK, "{body:?}");
    }
    assert_eq!(send(&service, "mta1", b"\xff\xfe{}".to_vec()).await, OK);
    assert_eq!(send(&service, "mta1", " \n").await, OK);
    for body in ["{\"type\":\"Delayed\",\"id\":\"a\"}", "[{\"type\":\"Delayed\"}]{\"type\":\"Delayed\"}"] {
        assert!(
            !page(&service).await.contains("postmeter_record_state=\"ignored\"") || body.starts_with('['),
            "no item was ignored before"
        );
        assert_eq!(send(&service, "mta1", body).await, OK, "{body:?}");
    }
    let later = send(&service, "mta1", "").await;
    assert_eq!(later, StatusCode::SERVICE_UNAVAILABLE, "a sender whose connection broke may repeat a request without its body");
    let page = page(&service).await;
    assert_eq!(["unreadable", "read", "ignored"].map(|state| records(&page, "mta1", state)), [8.0, 0.0, 3.0]);
    assert_eq!(value(&page, "postmeter_pull_refusals_total", &["postmeter_refusal_reason=\"empty_body\""]), 1.0);
    service.stop().await;
}

#[tokio::test]
async fn only_post_to_a_target_is_accepted() {
    let world = World::new();
    let service = world.service(None).await;
    let base = format!("http://{}", service.receive_address.unwrap());
    let client = client();
    for path in ["/", "/metrics", "/v1/deliveries", "/v1/deliveries/", "/v1/deliveries/mta1/x", "/v1/deliveries/other"] {
        let response = client.post(format!("{base}{path}")).bearer_auth("let-me-in").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let response = client.get(format!("{base}/v1/deliveries/mta1")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let response = post_to(&service, "mta1").send().await.unwrap();
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    service.stop().await;
}
