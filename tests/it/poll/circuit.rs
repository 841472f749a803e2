//! A server that keeps failing is asked less often, and at once again when it answers.

use crate::poll::common::{self, GOOD, Log, Server, answer, configured, environment, fails, is_good, say, until, value};
use postmeter::config;
use postmeter::poll::{Circuit, Limits, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(300);

/// Answers well while it is up, and else with this.
async fn server(down: &'static str) -> (Server, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = up.clone();
    let server = Server::start(move |_, _| say(if is_up.load(Ordering::SeqCst) { answer("200 OK", GOOD) } else { answer(down, "") })).await;
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
async fn an_open_circuit_answers_at_once_asks_nothing_and_counts_nothing() {
    let (server, _) = server("500 Oops").await;
    let target = emailengine(&server);
    assert_eq!(target.circuit(), Circuit::Closed);
    // The third failure in a row opens it; until it is asked for the fifth time pauses are 40 ms and 80 ms.
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
        assert_eq!(value(&held, "mail.poll.errors", &["metrics", "status"]), Some(6.0));
        assert!(held.parts.is_empty(), "nothing was asked");
        assert!(last.as_ref().is_none_or(|last| last.at < held.at), "its time is now");
        assert_eq!(server.count(), 6);
    }
    // What was last asked is still known to who shows it.
    assert!(!target.latest().unwrap().parts.is_empty());
}

#[tokio::test]
async fn pauses_grow_to_the_longest_and_no_further() {
    let (server, _) = server("500 Oops").await;
    let target = emailengine(&server);
    let began = Instant::now();
    while server.count() < 7 {
        target.reading().await;
        tokio::time::sleep(INTERVAL / 4).await;
    }
    // 40, 80, 160 and 300 ms less a fifth at most, after two intervals.
    assert!(began.elapsed() >= Duration::from_millis((40 + 80 + 160 + 300) * 4 / 5), "{:?}", began.elapsed());
    let Circuit::Open { until, .. } = target.circuit() else { panic!("it is closed") };
    assert!(until.saturating_duration_since(Instant::now()) <= BACKOFF_MAX);
}

#[tokio::test]
async fn the_first_good_poll_closes_it() {
    let (server, up) = server("500 Oops").await;
    let target = emailengine(&server);
    let until = opened(&target).await;
    up.store(true, Ordering::SeqCst);
    tokio::time::sleep_until(until.into()).await;
    is_good(&target.reading().await);
    assert_eq!(target.circuit(), Circuit::Closed);
    // And it is asked as often as before.
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
    until("the parts are asked again", || server.count() == 7).await;
    let Circuit::Open { until: next, .. } = target.circuit() else { panic!("it is closed") };
    tokio::time::sleep_until(next.into()).await;
    is_good(&target.reading().await);
    assert!(server.requests()[7..].iter().any(|request| !request.contains("/metrics/prometheus")), "the other part too");
}

#[tokio::test]
async fn a_rate_limit_leaves_it_closed() {
    let (server, _) = server("429 Too Many Requests\r\nRetry-After: 0").await;
    let target = emailengine(&server);
    for _ in 0..6 {
        fails(&target, &target.reading().await, "rate_limited", "");
        tokio::time::sleep(INTERVAL).await;
    }
    assert_eq!(target.circuit(), Circuit::Closed);
}

#[tokio::test]
async fn an_optional_part_that_is_limited_costs_only_itself() {
    let server = Server::start(|_, request| {
        say(if request.contains("/metrics/prometheus") { answer("200 OK", GOOD) } else { answer("429 Too Many Requests", "") })
    })
    .await;
    let keys = format!("system: stalwart, url: '{}', username: u, password: p, parts: {{queue: {{token: x}}}}", server.url());
    let target = target(&keys, Duration::ZERO);
    for _ in 0..3 {
        let reading = target.reading().await;
        is_good(&reading);
        let failed: Vec<_> = reading.parts.iter().filter_map(|part| Some((part.part, part.error.as_ref()?.error_type()))).collect();
        assert_eq!(failed, [("queue", "rate_limited")]);
        // Refused once, however often it was not asked since.
        assert_eq!(value(&reading, "mail.poll.errors", &["queue", "rate_limited"]), Some(1.0));
    }
    assert_eq!(server.requests().iter().filter(|request| !request.contains("/metrics/prometheus")).count(), 1);
}

#[tokio::test]
async fn an_optional_part_that_keeps_failing_is_asked_less_often_and_counted_when_it_is_asked() {
    let log = Log::begin();
    let right = Arc::new(AtomicBool::new(false));
    let is_right = right.clone();
    let server = Server::start(move |_, request| {
        let queue =
            if is_right.load(Ordering::SeqCst) { answer("200 OK", r#"{"data":{"items":[],"total":2}}"#) } else { answer("401 No", "") };
        say(if request.contains("/metrics/prometheus") { answer("200 OK", GOOD) } else { queue })
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
        assert_eq!(part.error.as_ref().map(postmeter::poll::PollError::error_type), Some("auth"), "it is said as long as it lasts");
        assert_eq!(value(&reading, "mail.poll.errors", &["queue", "auth"]), Some(logins() as f64));
        assert_eq!(value(&reading, "mail.poll.duration", &["queue"]).is_some(), part.took.is_some());
        left_alone += usize::from(part.took.is_none());
        tokio::time::sleep(INTERVAL).await;
    }
    // 40, 80 and 160 ms less a fifth at most.
    assert!(left_alone > 0 && began.elapsed() >= Duration::from_millis((40 + 80 + 160) * 4 / 5), "{left_alone} {:?}", began.elapsed());
    assert_eq!(target.circuit(), Circuit::Closed);
    let lines = log.lines();
    assert!(lines.len() == 2 && lines[1].contains("keeps failing") && lines[1].contains("queue"), "{lines:?}");
    // The first good answer ends it.
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
