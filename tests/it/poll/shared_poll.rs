//! Shared polls: who triggers a poll, how often, and how long callers wait.

use crate::poll::common::{Act, GOOD, Log, Server, configured, environment, fails, hasty, is_good, response, send, target, until, value};
use postmeter::config;
use postmeter::poll::{Limits, Reading, Target};
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A server that responds with metrics each time the gate opens.
async fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let key = gate.clone();
    let server = Server::start(move |_, _| vec![Act::Wait(key.clone()), Act::Send(response("200 OK", GOOD))]).await;
    (server, gate)
}

fn config(server: &Server) -> config::Target {
    configured(&format!("system: emailengine, url: '{}', token: x", server.url()), &environment(&[]))
}

fn with_interval(server: &Server, min_interval: Duration) -> Arc<Target> {
    Target::new(config::Target { min_interval, ..config(server) }, Limits::default()).unwrap()
}

/// Callers that all wait for a reading.
async fn callers(target: &Arc<Target>, n: usize) -> JoinSet<Arc<Reading>> {
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..n {
        let (target, waiting) = (target.clone(), waiting.clone());
        callers.spawn(async move {
            waiting.fetch_add(1, Ordering::SeqCst);
            target.reading().await
        });
    }
    until("all callers wait", || waiting.load(Ordering::SeqCst) == n).await;
    callers
}

#[tokio::test]
async fn concurrent_callers_share_one_request() {
    let (server, gate) = gated().await;
    // A poll that takes longer than the interval is not repeated for the callers that waited for it.
    for min_interval in [Duration::from_secs(15), Duration::ZERO] {
        let target = with_interval(&server, min_interval);
        let before = server.count();
        let callers = callers(&target, 20).await;
        until("the request", || server.count() == before + 1).await;
        gate.add_permits(1);
        let readings = callers.join_all().await;
        assert!(readings.iter().all(|reading| Arc::ptr_eq(reading, &readings[0])));
        is_good(&readings[0]);
        assert_eq!((server.count(), gate.available_permits()), (before + 1, 0));
    }
}

#[tokio::test]
async fn a_failed_poll_serves_all_callers_that_waited() {
    let server = Server::start(|_, _| vec![Act::Hang]).await;
    let target = hasty(&server.url());
    let readings = callers(&target, 20).await.join_all().await;
    readings.iter().for_each(|reading| fails(&target, reading, "timeout", "within 400ms"));
    assert_eq!(server.count(), 1);
    assert_eq!(value(&readings[0], "postmeter.poll.errors", &["metrics", "timeout"]), Some(1.0));
}

#[tokio::test]
async fn a_reading_is_kept_for_nine_tenths_of_the_interval() {
    let server = Server::always(response("200 OK", GOOD)).await;
    let interval = Duration::from_secs(1);
    let target = with_interval(&server, interval);
    let first = target.reading().await;
    let again = target.reading().await;
    if first.began.elapsed() < interval.mul_f64(0.9) {
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(server.count(), 1);
    }
    tokio::time::sleep_until((first.began + interval.mul_f64(0.91)).into()).await;
    let next = target.reading().await;
    assert!(!Arc::ptr_eq(&first, &next));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_failed_reading_is_kept_as_long_as_a_successful_one() {
    let server = Server::always(response("500 Oops", "")).await;
    let target = with_interval(&server, Duration::from_secs(15));
    for _ in 0..3 {
        fails(&target, &target.reading().await, "status", "500");
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn callers_that_time_out_count_as_one_timeout() {
    let server = Server::start(|_, _| vec![Act::Hang]).await;
    let target = hasty(&server.url());
    let mut callers = JoinSet::new();
    for _ in 0..5 {
        let target = target.clone();
        callers.spawn(async move { target.reading_within(Duration::from_millis(50)).await });
    }
    for reading in callers.join_all().await {
        fails(&target, &reading, "timeout", "within 50ms");
        assert_eq!(value(&reading, "postmeter.poll.errors", &["metrics", "timeout"]), Some(1.0));
    }
    until("the poll's own deadline", || target.latest().is_some()).await;
    let latest = target.latest().unwrap();
    fails(&target, &latest, "timeout", "within 400ms");
    assert_eq!(value(&latest, "postmeter.poll.errors", &["metrics", "timeout"]), Some(1.0));
    let next = target.reading().await;
    assert_eq!(value(&next, "postmeter.poll.errors", &["metrics", "timeout"]), Some(2.0), "the next poll counts again");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_caller_that_times_out_does_not_end_the_poll() {
    let (server, gate) = gated().await;
    let target = with_interval(&server, Duration::from_secs(15));
    let began = Instant::now();
    fails(&target, &target.reading_within(Duration::from_millis(50)).await, "timeout", "within 50ms");
    assert!(began.elapsed() < Duration::from_secs(3));
    until("the request", || server.count() == 1).await;
    // Nor does a caller that is dropped.
    let mut dropped = callers(&target, 3).await;
    dropped.abort_all();
    while dropped.join_next().await.is_some() {}
    gate.add_permits(1);
    let reading = target.reading().await;
    is_good(&reading);
    assert_eq!(server.count(), 1);
    assert_eq!(value(&reading, "postmeter.poll.errors", &["metrics", "timeout"]), Some(1.0));
}

#[tokio::test]
async fn a_server_that_is_too_slow_for_its_callers_is_logged_once_and_when_it_recovers() {
    let log = Log::begin();
    let (server, gate) = gated().await;
    let target = with_interval(&server, Duration::ZERO);
    for polls in 1..4 {
        fails(&target, &target.reading_within(Duration::from_millis(60)).await, "timeout", "the caller waits no longer");
        gate.add_permits(1);
        until("the poll's end", || {
            target.latest().is_some_and(|latest| value(&latest, "postmeter.poll.errors", &["metrics", "timeout"]) == Some(f64::from(polls)))
        })
        .await;
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains("no complete response within 60ms, and the caller waits no longer"),
        "{lines:?}"
    );
    // The poll takes as long as before, although no caller timed out: the problem has not ended.
    let poll = tokio::spawn({
        let target = target.clone();
        async move { target.reading().await }
    });
    until("the request", || server.count() == 4).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.add_permits(1);
    is_good(&poll.await.unwrap());
    assert_eq!(log.lines().len(), 1, "{:?}", log.lines());
    while log.lines().len() == 1 {
        gate.add_permits(1);
        is_good(&target.reading().await);
    }
    assert!(log.lines()[1].contains("INFO") && log.lines()[1].contains("server responds in time again"), "{:?}", log.lines());
}

/// Stalwart, whose queue part responds when the gate opens.
async fn with_slow_queue() -> (Server, Arc<Semaphore>, Arc<Target>) {
    let gate = Arc::new(Semaphore::new(0));
    let key = gate.clone();
    let server = Server::start(move |_, request| match request.contains("/metrics/prometheus") {
        true => send(response("200 OK", GOOD)),
        false => vec![Act::Wait(key.clone()), Act::Send(response("200 OK", r#"{"data":{"items":[],"total":2}}"#))],
    })
    .await;
    let keys = format!("system: stalwart, url: '{}', username: u, password: p, parts: {{queue: {{token: x}}}}, timeout: 20s", server.url());
    (server, gate, target(&keys))
}

#[tokio::test]
async fn a_part_that_hangs_does_not_affect_the_other_parts() {
    let (_server, _gate, target) = with_slow_queue().await;
    // A caller that waits for longer than its limit gets a timeout, which is no good reading. Three quarters of it are for the part.
    let reading = target.reading_within(Duration::from_secs(6)).await;
    is_good(&reading);
    assert!(value(&reading, "mail.delivery.attempts", &["delivered"]).is_some(), "{reading:?}");
    let late = reading.parts[1].error.as_ref().unwrap();
    assert!(late.to_string().contains("no complete response within 4.5s, and the caller waits no longer"), "{late}");
    for (part, errors) in [("queue", Some(1.0)), ("metrics", None)] {
        assert_eq!(value(&reading, "postmeter.poll.errors", &[part, "timeout"]), errors);
    }
}

#[tokio::test]
async fn a_patient_caller_waits_for_a_slow_part() {
    let (server, gate, target) = with_slow_queue().await;
    let patient = callers(&target, 1).await;
    until("both requests", || server.count() == 2).await;
    // A caller in a great hurry does not cancel the part for the others.
    assert!(target.reading_within(Duration::from_millis(50)).await.outcome.is_err());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    gate.add_permits(1);
    let reading = patient.join_all().await.remove(0);
    is_good(&reading);
    assert_eq!(value(&reading, "mail.queue.depth", &["queued"]), Some(2.0), "{:?}", reading.parts);
}

#[tokio::test]
async fn optional_parts_are_cancelled_after_a_slow_required_part() {
    let gate = Arc::new(Semaphore::new(0));
    let key = gate.clone();
    let server = Server::start(move |_, request| match request.contains("/metrics/prometheus") {
        true => vec![Act::Wait(key.clone()), Act::Send(response("200 OK", GOOD))],
        false => vec![Act::Hang],
    })
    .await;
    let keys = format!("system: stalwart, url: '{}', username: u, password: p, parts: {{queue: {{token: x}}}}, timeout: 20s", server.url());
    let target = target(&keys);
    let request = tokio::spawn({
        let target = target.clone();
        async move { target.reading_within(Duration::from_secs(8)).await }
    });
    until("the request of the required part", || server.count() >= 1).await;
    // The time for optional parts, three quarters of the caller's, is over. The last quarter is for a busy machine.
    tokio::time::sleep(Duration::from_millis(6050)).await;
    gate.add_permits(1);
    let reading = request.await.unwrap();
    is_good(&reading);
    assert!(!reading.is_complete());
}

#[tokio::test]
async fn a_budget_is_never_exceeded() {
    let simulated = SimulatedServer::start(System::Ceymail, "127.0.0.1:0".parse().unwrap(), Options::default()).await.unwrap();
    let config = configured(&format!("system: ceymail, url: '{}', token: {TOKEN}", simulated.url()), &environment(&[]));
    let target = Target::new(config, Limits::default()).unwrap();
    for _ in 0..12 {
        is_good(&target.reading().await);
    }
    for _ in 0..3 {
        let reading = target.reading().await;
        fails(&target, &reading, "rate_limited", "next request in ");
        // The limit counts once, however many callers come during the wait.
        assert_eq!(value(&reading, "postmeter.poll.errors", &["metrics", "rate_limited"]), Some(1.0));
    }
    assert_eq!(simulated.requests(), 12);
}

#[tokio::test]
async fn rejected_requests_spend_the_budget_too() {
    let server = Server::always(response("401 Unauthorized", "{}")).await;
    let config = configured(&format!("system: ceymail, url: '{}', token: x", server.url()), &environment(&[]));
    let target = Target::new(config, Limits::default()).unwrap();
    for _ in 0..12 {
        fails(&target, &target.reading().await, "auth", "(401): set token (or token_file) to the API token from the statistics page");
    }
    fails(&target, &target.reading().await, "rate_limited", "");
    assert_eq!(server.count(), 12);
}

#[tokio::test]
async fn repeated_requests_spend_the_budget_too() {
    // The connection of the last request in the budget was closed.
    let server =
        Server::start(|nth, _| if nth == 11 { vec![Act::Close] } else { send(response("200 OK", "ceymail_queue_active 1\n")) }).await;
    let target = target(&format!("system: ceymail, url: '{}', token: x", server.url()));
    for _ in 0..11 {
        is_good(&target.reading().await);
    }
    fails(&target, &target.reading().await, "connect", "");
    fails(&target, &target.reading().await, "rate_limited", "");
    assert_eq!(server.count(), 12);
}
