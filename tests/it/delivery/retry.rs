//! Retries after an outage, the wait that a receiver requests, and rejections, which are not retried.

use super::{ANY, QUICK, Ticker, WAIT_MAX, assert_each_tick_once, self_metric, ticks};
use crate::support::wait_until;
use postmeter::simulate::Receiver;
use std::time::{Duration, Instant};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_an_outage_arrive_after_it() {
    let ticker = Ticker::start(3).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let address = receiver.addr();
    let service = ticker.start_service(&format!("endpoint: \"http://{address}\", {QUICK}")).await;
    wait_until(|| ticks(&receiver.requests()).len() >= 2, WAIT_MAX, "the first ticks arrive").await;
    // The receiver is busy, then down, then up again at the same address.
    receiver.fail_with(Some(Status::unavailable("busy")));
    let mut received = receiver.requests();
    ticker.wait_for_polls(2).await;
    receiver.shutdown().await;
    ticker.wait_for_polls(8).await;
    let receiver = Receiver::start(address).await.unwrap();
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    let status = service.push_status().unwrap();
    assert!(status.failure.is_none() && status.lost_points == 0 && status.last_accepted_at.is_some(), "{status:?}");
    assert!(self_metric(&service, "postmeter_export_retries_total{error_type=\"unreachable\"").await > 0.0);
    assert_eq!(self_metric(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type").await, 0.0);
    service.stop().await;
    received.extend(receiver.requests());
    assert_each_tick_once(&ticks(&received));
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_wait_is_respected() {
    const RETRY_DELAY: Duration = Duration::from_secs(3);
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
    receiver.fail_with(Some(Status::with_error_details(tonic::Code::ResourceExhausted, "slow down", details)));
    let service = ticker.start_service(&format!("endpoint: \"{}\", {QUICK}", receiver.url())).await;
    wait_until(|| receiver.refused() == 1, WAIT_MAX, "the first attempt").await;
    let started = Instant::now();
    wait_until(|| receiver.refused() == 2, WAIT_MAX, "the second attempt").await;
    assert!(started.elapsed() > RETRY_DELAY - Duration::from_millis(100), "{:?}", started.elapsed());
    receiver.fail_with(None);
    let missed = ticker.polls();
    wait_until(|| ticks(&receiver.requests()).contains_key(&missed), WAIT_MAX, "the missed ticks arrive").await;
    service.stop().await;
    assert_each_tick_once(&ticks(&receiver.requests()));
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_requests_do_not_shorten_a_requested_wait() {
    const RETRY_DELAY: Duration = Duration::from_secs(4);
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
    receiver.fail_with(Some(Status::with_error_details(tonic::Code::ResourceExhausted, "slow down", details)));
    let retry = "interval: 1s, retry: {initial: 100ms, max: 300ms, give_up_after: 1s}";
    let started = Instant::now();
    let service = ticker.start_service(&format!("endpoint: \"{}\", {retry}", receiver.url())).await;
    wait_until(|| service.push_status().unwrap().lost_points > 0, WAIT_MAX, "expired requests are lost").await;
    wait_until(|| receiver.refused() >= 3, WAIT_MAX, "the third attempt").await;
    // Two waits, the second one after requests have expired.
    assert!(started.elapsed() > 2 * RETRY_DELAY - Duration::from_millis(100), "{:?}", started.elapsed());
    let expired = self_metric(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type=\"expired\"").await;
    assert!(expired > 0.0, "{expired}");
    receiver.fail_with(None);
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "the next tick arrives").await;
    service.stop().await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_requests_are_counted_and_not_sent_again() {
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unauthenticated("who are you")));
    let service = ticker.start_service(&format!("endpoint: \"{}\", {QUICK}", receiver.url())).await;
    wait_until(|| receiver.refused() >= 3, WAIT_MAX, "three requests are rejected").await;
    let polls = ticker.polls();
    assert!(receiver.refused() <= polls, "each request is sent once: {} of {polls}", receiver.refused());
    let failure = service.push_status().unwrap().failure.unwrap();
    assert_eq!((failure.error_type, failure.retry_at), ("unauthenticated", None));
    assert!(self_metric(&service, "otel_sdk_exporter_metric_data_point_exported_total{error_type=\"unauthenticated\"").await > 0.0);
    receiver.fail_with(None);
    let next = ticker.polls() + 1;
    wait_until(|| ticks(&receiver.requests()).contains_key(&next), WAIT_MAX, "the next tick arrives").await;
    service.stop().await;
    assert!(!ticks(&receiver.requests()).contains_key(&1));
    receiver.shutdown().await;
}

/// One rejection may be due to one request. After several in a row, sending pauses and the queue is kept.
#[tokio::test(flavor = "multi_thread")]
async fn several_rejections_in_a_row_pause_the_push() {
    let ticker = Ticker::start(0).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(Status::unavailable("busy")));
    let slow = "interval: 1s, retry: {initial: 20s, max: 20s}";
    let service = ticker.start_service(&format!("endpoint: \"{}\", {slow}", receiver.url())).await;
    wait_until(|| service.push_status().unwrap().queued_requests >= 6, WAIT_MAX, "several requests are queued").await;
    receiver.fail_with(Some(Status::unauthenticated("who are you")));
    wait_until(|| service.push_status().unwrap().lost_points > 0, WAIT_MAX, "a request is lost").await;
    let rejected = receiver.refused();
    ticker.wait_for_polls(3).await;
    let status = service.push_status().unwrap();
    assert!(receiver.refused() <= rejected + 1 && status.queued_requests >= 6, "{status:?}");
    service.stop().await;
    receiver.shutdown().await;
}
