//! Windows of time with a server that is slow, down or sends invalid entries.

use super::world::{ANY, World, grpc, until};
use crate::support::start_service;
use postmeter::delivery_log;
use postmeter::poll::{Limits, Target};
use postmeter::simulate::{Attempt, AttemptOutcome, Origin, Receiver};
use postmeter::telemetry::{CollectedTarget, DeliveryMetrics};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

fn attempt(id: u64, at: u64, visible_at: u64) -> Attempt {
    let (origin, outcome) = (Origin::Remote, AttemptOutcome::Failure);
    Attempt { id, domain: 1, origin, bytes: 10, received: at, at, outcome, visible_at, is_duplicated: false }
}

/// `postmeter.poll.records` in this state.
fn records(deliveries: &DeliveryMetrics, state: &str) -> f64 {
    let points = deliveries.points(Instant::now()).into_iter().filter(|point| point.metric.name == "postmeter.poll.records");
    points.filter(|point| point.attributes.iter().any(|(_, value)| value == state)).map(|point| point.value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_long_to_search_is_read_in_short_windows() {
    let world = World::with(6_000).await;
    // The log spans 3,000 s.
    world.simulated.traffic(|traffic| traffic.log.search_seconds_max = Some(500));
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = world.file("", &grpc(&receiver)).replace("min_interval: 1s", "min_interval: 1s, timeout: 1s");
    let service = start_service(&file).await;
    until("all records", || receiver.distinct_log_records() == 6_000).await;
    assert_eq!(receiver.log_records(), 6_000);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_read_is_counted_once() {
    let world = World::with(100).await;
    world.simulated.traffic(|traffic| traffic.log.incomplete_entries = 3);
    let service = world.service("", "false").await;
    let deliveries = service.targets.now()[0].deliveries.clone().unwrap();
    let searches = || world.simulated.traffic(|traffic| traffic.log.searches());
    until("a few polls", || searches() > 4).await;
    assert_eq!(records(&deliveries, "unreadable"), 3.0);
    world.simulated.traffic(|traffic| traffic.log.incomplete_entries = 4);
    until("one more", || records(&deliveries, "unreadable") == 4.0).await;
    service.stop().await;
}

/// Postmeter's clock in the test below. A function pointer can only read a static.
static NOW: AtomicU64 = AtomicU64::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn a_late_record_is_found_after_an_outage_of_the_server() {
    let world = World::with(0).await;
    let now = world.now;
    NOW.store(now, Ordering::SeqCst);
    world.simulated.traffic(|traffic| {
        // The first request is for the newest records. The first page has 5,000 records. The second request fails.
        traffic.log.fill(6_000, now - 100, now, traffic.domains.len());
        traffic.log.fault_every = Some(3);
    });
    let file = world.file(", overlap: 60s", "false").replace("interval: 1s, since", "interval: 2s, since");
    let config = postmeter::config::parse(&file, "test.yaml", &Default::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::SeqCst));
    let target = Target::with_clock(config.targets[0].clone(), Limits::default(), clock).unwrap();
    let monitored = CollectedTarget::new(target);
    let (follower, feed, _) = delivery_log::open(&monitored, world.state.path()).unwrap().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let tasks = [tokio::spawn(follower.run(stopped.clone())), tokio::spawn(feed.count(stopped))];
    let searches = || world.simulated.traffic(|traffic| traffic.log.searches());
    until("the second page fails", || searches() >= 3).await;

    // A record of the first page is written after that page was read, and the next poll is a quarter of an hour later.
    world.simulated.traffic(|traffic| {
        traffic.log.fault_every = None;
        traffic.log.push(attempt(1, now - 40, now));
        traffic.log.push(attempt(2, now + 890, now));
    });
    NOW.store(now + 900, Ordering::SeqCst);
    let deliveries: Arc<DeliveryMetrics> = monitored.deliveries.clone().unwrap();
    until("all records", || records(&deliveries, "read") == 6_002.0).await;
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Postmeter's clock in the test below.
static WRONG_NOW: AtomicU64 = AtomicU64::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_at_the_first_start_neither_sends_the_whole_log_nor_stops_it() {
    let month = 30 * 86_400;
    for (what, ahead) in [("behind", None), ("ahead", Some(month))] {
        let world = World::with(500).await;
        let now = world.now;
        WRONG_NOW.store(ahead.map_or(30, |ahead| now + ahead), Ordering::SeqCst);
        let file = world.file("", "false").replace("since: 2h", "overlap: 60s");
        let config = postmeter::config::parse(&file, "test.yaml", &Default::default()).unwrap_or_else(|problems| panic!("{problems}"));
        let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(WRONG_NOW.load(Ordering::SeqCst));
        let target = Target::with_clock(config.targets[0].clone(), Limits::default(), clock).unwrap();
        let monitored = CollectedTarget::new(target);
        let (follower, feed, _) = delivery_log::open(&monitored, world.state.path()).unwrap().unwrap();
        let stop = CancellationToken::new();
        let searches = || world.simulated.traffic(|traffic| traffic.log.searches());
        let tasks = [tokio::spawn(follower.run(stop.clone())), tokio::spawn(feed.count(stop.clone()))];
        if what == "ahead" {
            until("the log is read with the wrong clock", || searches() >= 3).await;
        }
        WRONG_NOW.store(now, Ordering::SeqCst);
        let before = searches();
        until("the log is read with the right clock", || searches() >= before + 3).await;
        world.simulated.traffic(|traffic| {
            (1..=3).for_each(|id| traffic.log.push(attempt(1_000_000 + id, now, now)));
        });
        let deliveries: Arc<DeliveryMetrics> = monitored.deliveries.clone().unwrap();
        until(what, || records(&deliveries, "read") >= 3.0).await;
        let searched = searches();
        until("one more poll", || searches() >= searched + 2).await;
        assert_eq!(records(&deliveries, "read"), 3.0, "{what}");
        stop.cancel();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
