//! Circuit breakers: a server that fails repeatedly is polled less often, until it responds again.

use crate::poll::common::{self, GOOD, Log, Server, configured, environment, fails, is_good, response, send, until, value};
use postmeter::config;
use postmeter::poll::{Circuit, Limits, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(300);

/// A server that responds with metrics while it is up, and otherwise with `down`.
async fn server(down: &'static str) -> (Server, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    let server =
        Server::start(move |_, _| send(if is_up.load(Ordering::SeqCst) { response("200 OK", GOOD) } else { response(down, "") })).await;
    (server, up)
}

fn target(keys: &str, min_interval: Duration) -> Arc<Target> {
    let config = configured(keys, &environment(&[]));
    Target::new(config::Target { min_interval, backoff_max: BACKOFF_MAX, ..config }, Limits::default()).unwrap()
}

fn emailengine(server: &Server) -> Arc<Target> {
    target(&format!("system: emailengine, url: '{}', token: x", server.url()), INTERVAL)
}

/// Polls until the circuit opens.
async fn opened(target: &Arc<Target>) -> Instant {
    loop {
        target.reading().await;
        if let Circuit::Open { until, .. } = target.circuit() {
            return until;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[tokio::test]
async fn an_open_circuit_returns_at_once_without_requests_and_counts() {
    let (server, _) = server("500 Oops").await;
    let target = emailengine(&server);
    assert_eq!(target.circuit(), Circuit::Closed);
    // The third failure in a row opens the circuit. Until the fifth request the pauses are 40 ms and 80 ms.
    opened(&target).await;
    assert_eq!(server.count(), 3);
    let mut last = None;
    while server.count() < 6 {
        last = Some(target.reading().await);
        tokio::time::sleep(INTERVAL / 4).await;
    }
    let Circuit::Open { until, failures } = target.circuit() else { panic!("it is closed") };
    assert_eq!(failures, 6);
    tokio::time::sleep(INTERVAL).await;
    for _ in 0..10 {
        let held = target.reading().await;
        if Instant::now() >= until {
            break;
        }
        fails(&target, &held, "status", "500");
        assert_eq!(value(&held, "postmeter.poll.errors", &["metrics", "status"]), Some(6.0));
        assert!(held.parts.is_empty(), "no request was sent");
        assert!(last.as_ref().is_none_or(|last| last.at < held.at), "its time is now");
        assert_eq!(server.count(), 6);
    }
    // The last reading is still available to the status page.
    assert!(!target.latest().unwrap().parts.is_empty());
}

#[tokio::test]
async fn pauses_grow_up_to_the_longest() {
    let (server, _) = server("500 Oops").await;
    let target = emailengine(&server);
    let began = Instant::now();
    while server.count() < 7 {
        target.reading().await;
        tokio::time::sleep(INTERVAL / 4).await;
    }
    // After two intervals the pauses are 40, 80, 160 and 300 ms, each shortened by up to a fifth.
    assert!(began.elapsed() >= Duration::from_millis((40 + 80 + 160 + 300) * 4 / 5), "{:?}", began.elapsed());
    let Circuit::Open { until, .. } = target.circuit() else { panic!("it is closed") };
    assert!(until.saturating_duration_since(Instant::now()) <= BACKOFF_MAX);
}

#[tokio::test]
async fn the_first_successful_poll_closes_the_circuit() {
    let (server, up) = server("500 Oops").await;
    let target = emailengine(&server);
    let until = opened(&target).await;
    up.store(true, Ordering::SeqCst);
    tokio::time::sleep_until(until.into()).await;
    is_good(&target.reading().await);
    assert_eq!(target.circuit(), Circuit::Closed);
    // From then on it is polled as often as before.
    let before = server.count();
    while server.count() < before + 3 {
        is_good(&target.reading().await);
        tokio::time::sleep(INTERVAL).await;
    }
}

#[tokio::test]
async fn a_probe_is_one_request_for_many_callers_and_parts() {
    let (server, up) = server("500 Oops").await;
    let keys = format!("system: stalwart, url: '{}', username: u, password: p, parts: {{queue: {{token: x}}}}", server.url());
    let target = target(&keys, INTERVAL);
    let until_then = opened(&target).await;
    assert_eq!(server.count(), 6, "both parts, three times");
    tokio::time::sleep_until(until_then.into()).await;
    let mut callers = tokio::task::JoinSet::new();
    (0..20).for_each(|_| {
        drop(callers.spawn({
            let target = target.clone();
            async move { target.reading().await }
        }))
    });
    callers.join_all().await;
    let probes = server.requests()[6..].to_vec();
    assert!(probes.iter().all(|request| request.contains("/metrics/prometheus")) && probes.len() == 1, "{probes:?}");
    up.store(true, Ordering::SeqCst);
    until("the parts are requested again", || server.count() == 7).await;
    let Circuit::Open { until: next, .. } = target.circuit() else { panic!("it is closed") };
    tokio::time::sleep_until(next.into()).await;
    is_good(&target.reading().await);
    assert!(server.requests()[7..].iter().any(|request| !request.contains("/metrics/prometheus")), "the other part too");
}

#[tokio::test]
async fn a_rate_limit_does_not_open_the_circuit() {
    let (server, _) = server("429 Too Many Requests\r\nRetry-After: 0").await;
    let target = emailengine(&server);
    for _ in 0..6 {
        fails(&target, &target.reading().await, "rate_limited", "");
        tokio::time::sleep(INTERVAL).await;
    }
    assert_eq!(target.circuit(), Circuit::Closed);
}

#[tokio::test]
async fn a_rate_limit_of_an_optional_part_affects_only_that_part() {
    let server = Server::start(|_, request| {
        send(if request.contains("/metrics/prometheus") { response("200 OK", GOOD) } else { response("429 Too Many Requests", "") })
    })
    .await;
    let keys = format!("system: stalwart, url: '{}', username: u, password: p, parts: {{queue: {{token: x}}}}", server.url());
    let target = target(&keys, Duration::ZERO);
    for _ in 0..3 {
        let reading = target.reading().await;
        is_good(&reading);
        let failed: Vec<_> = reading.parts.iter().filter_map(|part| Some((part.part, part.error.as_ref()?.error_type()))).collect();
        assert_eq!(failed, [("queue", "rate_limited")]);
        // The rejection counts once, although later polls skip the part.
        assert_eq!(value(&reading, "postmeter.poll.errors", &["queue", "rate_limited"]), Some(1.0));
    }
    assert_eq!(server.requests().iter().filter(|request| !request.contains("/metrics/prometheus")).count(), 1);
}

#[tokio::test]
async fn an_optional_part_that_fails_repeatedly_is_requested_less_often() {
    let log = Log::begin();
    let right = Arc::new(AtomicBool::new(false));
    let is_right = right.clone();
    let server = Server::start(move |_, request| {
        let queue =
            if is_right.load(Ordering::SeqCst) { response("200 OK", r#"{"data":{"items":[],"total":2}}"#) } else { response("401 No", "") };
        send(if request.contains("/metrics/prometheus") { response("200 OK", GOOD) } else { queue })
    })
    .await;
    let keys = format!("system: stalwart, url: '{}', username: u, password: p, parts: {{queue: {{token: x}}}}", server.url());
    let target = target(&keys, INTERVAL);
    let logins = || server.requests().iter().filter(|request| !request.contains("/metrics/prometheus")).count();
    let (mut left_alone, began) = (0, Instant::now());
    while logins() < 6 {
        let reading = target.reading().await;
        is_good(&reading);
        let part = &reading.parts[1];
        assert_eq!(part.error.as_ref().map(postmeter::poll::PollError::error_type), Some("auth"), "the error is reported while it lasts");
        assert_eq!(value(&reading, "postmeter.poll.errors", &["queue", "auth"]), Some(logins() as f64));
        assert_eq!(value(&reading, "postmeter.poll.latency", &["queue"]).is_some(), part.took.is_some());
        left_alone += usize::from(part.took.is_none());
        tokio::time::sleep(INTERVAL).await;
    }
    // The pauses are 40, 80 and 160 ms, each shortened by up to a fifth.
    assert!(left_alone > 0 && began.elapsed() >= Duration::from_millis((40 + 80 + 160) * 4 / 5), "{left_alone} {:?}", began.elapsed());
    assert_eq!(target.circuit(), Circuit::Closed);
    let lines = log.lines();
    assert!(lines.len() == 2 && lines[1].contains("polling slowed down") && lines[1].contains("queue"), "{lines:?}");
    // The first successful response closes the circuit.
    right.store(true, Ordering::SeqCst);
    let began = Instant::now();
    while !target.reading().await.is_complete() {
        assert!(began.elapsed() < common::PATIENCE);
        tokio::time::sleep(INTERVAL).await;
    }
    let before = logins();
    while logins() < before + 3 {
        assert!(target.reading().await.is_complete());
        tokio::time::sleep(INTERVAL).await;
    }
}
