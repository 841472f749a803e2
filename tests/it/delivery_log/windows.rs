//! Windows of time: of a server that is slow, away or odd.

use super::world::{ANY, World, grpc, until};
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

/// `mail.poll.records` in this state.
fn records(deliveries: &DeliveryMetrics, state: &str) -> f64 {
    let points = deliveries.points(Instant::now()).into_iter().filter(|point| point.metric.name == "mail.poll.records");
    points.filter(|point| point.attributes.iter().any(|(_, value)| value == state)).map(|point| point.value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_takes_long_to_search_is_read_in_parts() {
    let world = World::with(6_000).await;
    // All of it spans 3,000 s.
    world.stand_in.traffic(|traffic| traffic.log.search_seconds_max = Some(500));
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = world.file("", &grpc(&receiver)).replace("min_interval: 1s", "min_interval: 1s, timeout: 1s");
    let config = postmeter::config::parse(&file, "test.yaml", &Default::default()).unwrap();
    let service = postmeter::app::Service::start(config, postmeter::telemetry::SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap();
    until("all records", || receiver.distinct_log_records() == 6_000).await;
    assert_eq!(receiver.log_records(), 6_000);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_read_is_counted_once() {
    let world = World::with(100).await;
    world.stand_in.traffic(|traffic| traffic.log.incomplete_entries = 3);
    let service = world.service("", "false").await;
    let deliveries = service.targets.now()[0].deliveries.clone().unwrap();
    let searches = || world.stand_in.traffic(|traffic| traffic.log.searches());
    until("a few polls", || searches() > 4).await;
    assert_eq!(records(&deliveries, "unreadable"), 3.0);
    world.stand_in.traffic(|traffic| traffic.log.incomplete_entries = 4);
    until("one more", || records(&deliveries, "unreadable") == 4.0).await;
    service.stop().await;
}

/// Our clock in the test below: a function pointer can only look at a static.
static NOW: AtomicU64 = AtomicU64::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_written_late_is_found_although_the_server_was_away() {
    let world = World::with(0).await;
    let now = world.now;
    NOW.store(now, Ordering::SeqCst);
    world.stand_in.traffic(|traffic| {
        // The first search looks for the newest. The first page is 5,000 of these. The second fails.
        traffic.log.fill(6_000, now - 100, now, traffic.domains.len());
        traffic.log.fault_every = Some(3);
    });
    let file = world.file(", overlap: 60s", "false").replace("interval: 1s, since", "interval: 2s, since");
    let config = postmeter::config::parse(&file, "test.yaml", &Default::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::SeqCst));
    let target = Target::with_clock(config.targets[0].clone(), Limits::default(), clock).unwrap();
    let monitored = CollectedTarget::new(target).unwrap();
    let (follower, feed, _) = delivery_log::open(&monitored, world.state.path()).unwrap().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let tasks = [tokio::spawn(follower.run(stopped.clone())), tokio::spawn(feed.count(stopped))];
    let searches = || world.stand_in.traffic(|traffic| traffic.log.searches());
    until("the second page fails", || searches() >= 3).await;

    // One that belongs to the first page is written after that was read, and the next poll is a quarter of an hour later.
    world.stand_in.traffic(|traffic| {
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
