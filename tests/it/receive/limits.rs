//! The limits of the receiver, with smaller values than those of production.

use super::world::{ANY, TOKEN, World, arrived, client, lines};
use postmeter::config::{self, Environment};
use postmeter::model::Point;
use postmeter::poll::{Limits, Target};
use postmeter::receive::{ReceiveLimits, Receiver as RecordReceiver, RecordStore, StoreSettings};
use postmeter::simulate::Receiver;
use postmeter::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use reqwest::StatusCode;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A receiver of records without the rest of the service.
struct Listening {
    url: String,
    targets: TargetSet,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Listening {
    async fn start(world: &World, collector: &Receiver, limits: ReceiveLimits) -> Self {
        let file = world.file(Some(&collector.url()));
        let config = config::parse(&file, "test.yaml", &Environment::default()).unwrap();
        let targets = config.targets.iter().map(|target| Target::new(target.clone(), Limits::default()).unwrap());
        let targets = TargetSet::new(targets.map(|target| Arc::new(CollectedTarget::new(target))).collect::<Vec<_>>());
        let (receive, telemetry) = (config.receive.unwrap(), Arc::new(SelfTelemetry::quiet().unwrap()));
        let stop = CancellationToken::new();
        let settings = StoreSettings {
            state_dir: config.state_dir.unwrap(),
            bytes_max: receive.max_bytes,
            otlp: config.export.otlp,
            targets: targets.clone(),
            telemetry: telemetry.clone(),
            limits,
        };
        let store = RecordStore::new(settings, stop.clone());
        let receiver = RecordReceiver::open(&receive, &store, targets.clone(), telemetry).unwrap();
        let listener = TcpListener::bind(ANY).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            receiver.run(listener, stopped).await;
            store.finish().await;
        });
        Self { url, targets, stop, task }
    }

    async fn send(&self, target: &str, body: impl Into<reqwest::Body>) -> StatusCode {
        let url = format!("{}/v1/deliveries/{target}", self.url);
        client().post(url).bearer_auth(TOKEN).body(body).send().await.unwrap().status()
    }

    /// The number of records of a target in this state.
    fn records(&self, target: &str, state: &str) -> f64 {
        let points = self.targets.find(target).unwrap().deliveries.as_ref().unwrap().points(Instant::now());
        let is_state =
            |point: &Point| point.metric.name == "postmeter.poll.records" && point.attributes.iter().any(|(_, value)| value == state);
        points.into_iter().find(is_state).unwrap().value
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn at_the_limit_of_stored_requests_records_are_refused() {
    let (world, collector) = (World::new(), Receiver::start(ANY).await.unwrap());
    collector.fail_with(Some(tonic::Status::unavailable("down")));
    let limits = ReceiveLimits { stored_requests_max: 3, ..ReceiveLimits::default() };
    let listening = Listening::start(&world, &collector, limits).await;
    for request in 0..3 {
        assert_eq!(listening.send("mta1", lines(request..request + 1)).await, StatusCode::OK, "{request}");
    }
    for target in ["mta1", "mta2"] {
        assert_eq!(listening.send(target, lines(3..4)).await, StatusCode::SERVICE_UNAVAILABLE, "{target}");
    }
    assert_eq!((listening.records("mta1", "read"), listening.records("mta2", "read")), (3.0, 0.0));
    collector.fail_with(None);
    arrived(&collector, 3).await;
    // The files are deleted after the response of the collector.
    let deadline = Instant::now() + super::world::PATIENCE;
    while listening.send("mta1", lines(3..4)).await != StatusCode::OK {
        assert!(Instant::now() < deadline, "the sender is refused although there is space");
    }
    arrived(&collector, 4).await;
    listening.end().await;
    assert_eq!(collector.distinct_log_records(), 4, "a refused request left no record");
}

#[tokio::test]
async fn a_record_older_than_the_newest_ones_arrives_again_with_its_uid() {
    let (world, collector) = (World::new(), Receiver::start(ANY).await.unwrap());
    let limits = ReceiveLimits { recent_uids_max: 100, ..ReceiveLimits::default() };
    let listening = Listening::start(&world, &collector, limits).await;
    assert_eq!(listening.send("mta1", lines(0..150)).await, StatusCode::OK);
    // 50 to 149 are the newest ones, also after a restart; then 0 and 1 are newer than 50 and 51.
    listening.end().await;
    let listening = Listening::start(&world, &collector, limits).await;
    for (ids, repeated) in [(50..150, 100.0), (0..2, 100.0), (0..2, 102.0), (52..150, 200.0), (50..52, 200.0)] {
        assert_eq!(listening.send("mta1", lines(ids.clone())).await, StatusCode::OK, "{ids:?}");
        assert_eq!(listening.records("mta1", "repeated"), repeated, "{ids:?}");
    }
    arrived(&collector, 150).await;
    let twice = || collector.log_uids().values().filter(|arrivals| **arrivals == 2).count();
    super::world::until("the forgotten records have arrived again", || twice() == 4).await;
    listening.end().await;
    assert_eq!(collector.distinct_log_records(), 150, "each under its uid");
}

#[tokio::test]
async fn a_body_with_many_pages_is_accepted_in_several_attempts() {
    const RECORDS: u64 = 300;
    let (world, collector) = (World::new(), Receiver::start(ANY).await.unwrap());
    collector.fail_with(Some(tonic::Status::unavailable("down")));
    // A page has some of the records, and there is space for some of the pages.
    let limits = ReceiveLimits { page_bytes_max: 20_000, stored_requests_max: 3, ..ReceiveLimits::default() };
    let listening = Listening::start(&world, &collector, limits).await;
    assert_eq!(listening.send("mta1", lines(0..RECORDS)).await, StatusCode::SERVICE_UNAVAILABLE);
    let stored = listening.records("mta1", "read");
    assert!(stored > 0.0 && stored < RECORDS as f64, "{stored}");
    collector.fail_with(None);
    let deadline = Instant::now() + super::world::PATIENCE;
    while listening.send("mta1", lines(0..RECORDS)).await != StatusCode::OK {
        assert!(Instant::now() < deadline, "{} records are durable", listening.records("mta1", "read"));
    }
    assert_eq!(listening.records("mta1", "read"), RECORDS as f64);
    assert!(listening.records("mta1", "repeated") >= stored);
    arrived(&collector, RECORDS as usize).await;
    listening.end().await;
    assert!(collector.log_uids().values().all(|arrivals| *arrivals == 1));
}
