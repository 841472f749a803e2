//! Dark servers: they accept a connection and never respond. They must not affect the others.

use crate::poll::common::{Act, GOOD, PATIENCE, Server, configured, environment, fails, is_good, response, send, until, value};
use crate::support::wait_until;
use postmeter::config;
use postmeter::poll::{Limits, Reading, ScraperId, Target, raise_open_files_limit};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than anything in these tests takes.
const FOREVER: Duration = Duration::from_secs(300);
/// A wait that is long enough for a busy machine.
const LONG: Duration = Duration::from_secs(120);

fn config(server: &Server, timeout: &str) -> config::Target {
    configured(&format!("system: emailengine, url: '{}', token: x, timeout: {timeout}", server.url()), &environment(&[]))
}

fn target(server: &Server, timeout: &str, limits: &Limits) -> Arc<Target> {
    Target::new(config(server, timeout), limits.clone()).unwrap()
}

fn read_all(targets: &[Arc<Target>]) -> JoinSet<Arc<Reading>> {
    targets.iter().cloned().map(|target| async move { target.reading().await }).collect()
}

/// A server that responds with metrics each time the gate opens.
async fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let key = gate.clone();
    let server = Server::start(move |_, _| vec![Act::Wait(key.clone()), Act::Send(response("200 OK", GOOD))]).await;
    (server, gate)
}

fn timeouts(reading: &Reading) -> Option<f64> {
    value(reading, "postmeter.poll.errors", &["metrics", "timeout"])
}

#[tokio::test]
async fn nine_hundred_dark_targets_do_not_delay_a_hundred_healthy_ones() {
    raise_open_files_limit().unwrap();
    let dark = Server::start(|_, _| vec![Act::Hang]).await;
    let good = Server::always(response("200 OK", GOOD)).await;
    let limits = Limits::default();
    let of = |server: &Server, n: usize| (0..n).map(|_| target(server, "300s", &limits)).collect::<Vec<_>>();
    let (dark_targets, good_targets) = (of(&dark, 900), of(&good, 100));
    // From here on all of them hang; none has failed before.
    let _hang = read_all(&dark_targets);
    wait_until(|| dark.count() >= 900, LONG, "requests to dark targets do not wait for one another").await;
    for _ in 0..3 {
        let readings = timeout(LONG, read_all(&good_targets).join_all()).await.expect("healthy targets wait for dark ones");
        readings.iter().for_each(is_good);
    }
    assert_eq!((dark.count(), good.count()), (900, 300));
    let usage = good_targets[0].usage();
    assert_eq!((usage.responding.requests, usage.responding.waiting, usage.failing.requests), (900, 0, 0));
}

#[tokio::test]
async fn failing_targets_share_few_slots_and_do_not_delay_the_others() {
    let dark = Server::start(|nth, _| if nth < 100 { send(response("500 Oops", "")) } else { vec![Act::Hang] }).await;
    let good = Server::always(response("200 OK", GOOD)).await;
    // There are 64 slots, and 19 for failing targets.
    let limits = Limits::for_open_files(256);
    let targets: Vec<_> = (0..100).map(|_| target(&dark, "300s", &limits)).collect();
    read_all(&targets).join_all().await.iter().for_each(|reading| assert!(reading.outcome.is_err()));
    let _hang = read_all(&targets);
    until("the slots are in use", || dark.count() == 119).await;
    until("the others wait", || targets[0].usage().failing.waiting == 81).await;
    let healthy: Vec<_> = (0..100).map(|_| target(&good, "300s", &limits)).collect();
    timeout(LONG, read_all(&healthy).join_all()).await.unwrap().iter().for_each(is_good);
    assert_eq!(dark.count(), 119);
}

#[tokio::test]
async fn a_deadline_starts_with_the_request() {
    let (slow, gate) = gated().await;
    let good = Server::always(response("200 OK", GOOD)).await;
    // There is one slot.
    let limits = Limits::for_open_files(0);
    let (slow_target, hurried) = (target(&slow, "300s", &limits), target(&good, "3s", &limits));
    let first = read_all(&[slow_target]);
    until("the slot is in use", || slow.count() == 1).await;
    let second = read_all(&[hurried]);
    tokio::time::sleep(Duration::from_millis(3200)).await;
    assert_eq!(good.count(), 0, "it waits");
    gate.add_permits(1);
    first.join_all().await.iter().for_each(is_good);
    second.join_all().await.iter().for_each(is_good);
}

#[tokio::test]
async fn a_target_that_waits_for_a_slot_has_not_failed() {
    let (slow, gate) = gated().await;
    let good = Server::always(response("200 OK", GOOD)).await;
    let limits = Limits::for_open_files(0);
    let (slow_target, healthy) = (target(&slow, "300s", &limits), target(&good, "300s", &limits));
    let before = healthy.reading().await;
    let hangs = read_all(&[slow_target]);
    until("the slot is in use", || slow.count() == 1).await;
    let meanwhile = healthy.reading_within(Duration::from_millis(50)).await;
    assert!(Arc::ptr_eq(&before, &meanwhile), "{meanwhile:?}");
    gate.add_permits(1);
    hangs.join_all().await;
    let after = healthy.reading().await;
    is_good(&after);
    assert_eq!((timeouts(&after), Arc::ptr_eq(&before, &after)), (None, false));
}

#[tokio::test]
async fn callers_wait_only_briefly_for_a_target_that_is_known_to_fail() {
    let server = Server::start(|nth, _| if nth == 0 { send(response("500 Oops", "")) } else { vec![Act::Hang] }).await;
    let target = target(&server, "300s", &Limits::default());
    fails(&target, &target.reading().await, "status", "500");
    for _ in 0..2 {
        let reading = timeout(LONG, target.reading_within(FOREVER)).await.expect("it is waited for");
        fails(&target, &reading, "status", "500");
        assert_eq!((value(&reading, "postmeter.poll.errors", &["metrics", "status"]), timeouts(&reading)), (Some(1.0), None));
    }
    assert_eq!(server.count(), 2, "it is polled all the same, once");
}

#[tokio::test]
async fn callers_wait_only_briefly_for_a_poll_on_which_a_caller_timed_out() {
    let (server, gate) = gated().await;
    let target = target(&server, "300s", &Limits::default());
    fails(&target, &target.reading_within(Duration::from_millis(50)).await, "timeout", "within 50ms");
    // A caller with more patience waits longer.
    fails(&target, &target.reading_within(Duration::from_millis(1600)).await, "timeout", "within 1.6s");
    let third = target.reading_within(Duration::from_millis(1500)).await;
    fails(&target, &third, "timeout", "within 1.6s");
    assert_eq!(timeouts(&third), Some(1.0), "it is one late poll");
    gate.add_permits(1);
    until("the poll ends", || target.latest().is_some()).await;
    // From here on callers wait as before.
    gate.add_permits(1);
    is_good(&target.reading_within(FOREVER).await);
}

#[tokio::test]
async fn a_server_that_is_slower_than_a_scrape_may_wait_is_up() {
    // Each response takes 700 ms.
    let server = Server::start(|_, _| {
        let bytes = response("200 OK", GOOD);
        let (first, rest) = bytes.split_at(1);
        vec![Act::Drip(first.to_vec(), Duration::from_millis(700)), Act::Send(rest.to_vec())]
    })
    .await;
    let config = config::Target { min_interval: Duration::from_secs(1), ..config(&server, "60s") };
    let target = Target::new(config, Limits::default()).unwrap();
    let (scraper, mut scrapes) = (ScraperId::of(&"prometheus"), tokio::time::interval(Duration::from_secs(3)));
    let (mut up, mut count) = (0, 0);
    let began = std::time::Instant::now();
    while up < 2 {
        assert!(began.elapsed() < LONG, "{count} scrapes, and {up} in a row found it up");
        scrapes.tick().await;
        count += 1;
        let reading = target.reading_for_scrape(scraper, Duration::from_millis(100)).await;
        if reading.outcome.is_ok() {
            up += 1;
            let age = value(&reading, "postmeter.poll.age", &[]).unwrap();
            assert!(age >= 0.7, "its age is the true one: {age}");
        } else {
            up = 0;
        }
    }
    // There is one poll for each scrape that timed out, and at most one early poll for each.
    assert!(server.count() <= 2 * count, "{} polls for {count} scrapes", server.count());
    // Two more scrapes are expected, but do not come.
    let polled = server.count();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(server.count() <= polled + 2, "it is polled although no scrape is expected");
    let polled = server.count();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(server.count(), polled, "it is polled although no scrape is expected");
}

#[tokio::test]
async fn a_fast_server_is_polled_only_by_scrapes() {
    let server = Server::always(response("200 OK", GOOD)).await;
    let config = config::Target { min_interval: Duration::from_millis(500), ..config(&server, "60s") };
    let target = Target::new(config, Limits::default()).unwrap();
    let mut scrapes = tokio::time::interval(Duration::from_millis(1100));
    for _ in 0..4 {
        scrapes.tick().await;
        is_good(&target.reading_for_scrape(ScraperId::of(&"prometheus"), PATIENCE).await);
    }
    assert!(server.count() <= 4, "{} polls", server.count());
}
