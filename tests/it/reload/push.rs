//! The push during reloads: series of unchanged targets continue, and those of removed targets end once.

use super::world::{ANY, SOON, World, start_server, target};
use crate::support::flat::{Flat, flatten, stale};
use postmeter::simulate::{Receiver, SimulatedServer, System};

fn file(receiver: &Receiver, targets: &[String]) -> String {
    let interval = "min_interval: 1s";
    format!(
        "defaults: {{{interval}}}\ntargets:\n{}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{}\", interval: 1s}}\n",
        targets.concat(),
        receiver.url()
    )
}

async fn arrives(receiver: &Receiver, what: &str, condition: impl Fn(&[Flat]) -> bool) -> Vec<Flat> {
    assert!(receiver.wait_for(|requests| condition(&flatten(requests)), SOON).await, "did not arrive: {what}");
    flatten(&receiver.requests())
}

fn has(points: &[Flat], target: &str, metric: &str) -> usize {
    points.iter().filter(|point| point.target == target && point.metric == metric && !stale(point)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_a_removed_target_end_once_and_the_others_continue() {
    let [kept, gone, coming]: [SimulatedServer; 3] =
        [start_server(System::Kumomta).await, start_server(System::Ceymail).await, start_server(System::Emailengine).await];
    let receiver = Receiver::start(ANY).await.unwrap();
    let [k, g, c] = [target("kept", &kept, ""), target("gone", &gone, "min_interval: 1h"), target("coming", &coming, "")];
    let world = World::start(&file(&receiver, &[k.clone(), g]), true).await;
    // Each reading is sent once, so that the target with the long interval has one point.
    let before = arrives(&receiver, "both", |points| has(points, "kept", "mail.up") > 1 && has(points, "gone", "mail.up") > 0).await;
    let series = |points: &[Flat], target: &str, ended: bool| {
        let of = points.iter().filter(|point| point.target == target && stale(point) == ended);
        let mut series: Vec<_> = of.map(|point| format!("{} {:?}", point.metric, point.attributes)).collect();
        series.sort();
        series
    };
    let mut reported = series(&before, "gone", false);
    reported.dedup();
    let native = |target: &str| {
        let requests = receiver.requests();
        let of = requests.iter().flat_map(|request| &request.resource_metrics).filter(|of| format!("{:?}", of.resource).contains(target));
        of.flat_map(|of| &of.scope_metrics)
            .filter(|scope| scope.scope.as_ref().is_some_and(|scope| scope.name == "postmeter.native"))
            .count()
    };
    assert!(native("\"gone\"") > 0);

    world.reloads(&file(&receiver, &[k.clone(), c]), "2 targets: 1 added, 0 changed, 1 removed, 1 unchanged").await;
    let after = arrives(&receiver, "the ends, and what is new", |points| {
        points.iter().any(|point| point.target == "gone" && stale(point)) && has(points, "coming", "mail.up") > 0
    });
    let after = after.await;
    assert_eq!(series(&after, "gone", true), reported, "each series ends once");
    for end in after.iter().filter(|point| point.target == "gone" && stale(point)) {
        let same = |point: &&Flat| point.target == "gone" && (&point.metric, &point.attributes) == (&end.metric, &end.attributes);
        let last = after.iter().filter(same).filter(|point| !stale(point)).map(|point| point.time).max();
        assert_eq!(Some(end.time), last.map(|last| last + 1_000_000), "right after what was reported last of {}", end.metric);
    }

    receiver.clear();
    kept.traffic(|traffic| traffic.advance(60.0));
    let later = arrives(&receiver, "two more", |points| has(points, "kept", "mail.up") > 2).await;
    assert_eq!(later.iter().filter(|point| point.target == "gone").count(), 0);
    assert_eq!(later.iter().filter(|point| point.target == "kept" && stale(point)).count(), 0);
    // Counters of the unchanged target keep their start time.
    let attempts = |points: &[Flat]| {
        points.iter().find(|point| point.target == "kept" && point.metric == "mail.delivery.attempts").map(|point| point.start)
    };
    assert_eq!(attempts(&later), attempts(&before));

    // The same server under other settings is the same series; another server under its name is not.
    let changed = k.replace("{name", "{timeout: 9s, name");
    world.reloads(&file(&receiver, std::slice::from_ref(&changed)), "1 target: 0 added, 1 changed, 1 removed, 0 unchanged").await;
    receiver.clear();
    let later = arrives(&receiver, "the changed", |points| has(points, "kept", "mail.up") > 2).await;
    assert_eq!(later.iter().filter(|point| point.target == "kept" && stale(point)).count(), 0);
    let elsewhere = target("kept", &start_server(System::Kumomta).await, "");
    world.reloads(&file(&receiver, &[elsewhere]), "1 target: 0 added, 1 changed, 0 removed, 0 unchanged").await;
    let later = arrives(&receiver, "the end of the old", |points| points.iter().any(|point| point.target == "kept" && stale(point)));
    let later = later.await;
    assert!(later.iter().filter(|point| point.target == "kept" && point.metric == "mail.up" && stale(point)).count() == 1);
    world.end(vec![kept, gone, coming]).await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_push_interval_can_change() {
    let kumomta = start_server(System::Kumomta).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let slow = file(&receiver, &[target("a", &kumomta, "")]).replace("interval: 1s}", "interval: 1h}");
    let slow = slow.replace("min_interval: 1h", "min_interval: 1s");
    let world = World::start(&slow, true).await;
    arrives(&receiver, "the first", |points| has(points, "a", "mail.up") == 1).await;
    let quick = file(&receiver, &[target("a", &kumomta, "")]);
    world.reloads(&quick, "1 target: 0 added, 0 changed, 0 removed, 1 unchanged").await;
    arrives(&receiver, "two more", |points| has(points, "a", "mail.up") >= 3).await;
    world.end(vec![kumomta]).await;
    receiver.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_records_are_exported_before_a_reload_ends_their_series() {
    let receiver = Receiver::start(ANY).await.unwrap();
    let config = |name: &str, by: &str| {
        format!(
            "state_dir: FOLDER/state\nreceive: {{listen: \"127.0.0.1:0\"}}\ntargets:\n  - {{name: {name}, system: kumomta, min_interval: 1h, \
             parts: {{deliveries: {{token: let-me-in{by}}}}}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  \
             otlp: {{endpoint: \"{}\", interval: 1s, temporality: delta}}\n",
            receiver.url()
        )
    };
    let world = World::start(&config("a", ""), true).await;
    let mut ids = 0..;
    for (before, after, by) in [("a", "a", ", by: [provider]"), ("a", "b", ", by: [provider]")] {
        arrives(&receiver, "a reading", |points| has(points, before, "postmeter.poll.records") > 0).await;
        receiver.clear();
        let records: String = ids.by_ref().take(20).map(|id| crate::receive::record(id, "Delivery") + "\n").collect();
        let url = format!("http://{}/v1/deliveries/{before}", world.service.receive_address.unwrap());
        assert_eq!(world.client.post(url).bearer_auth("let-me-in").body(records).send().await.unwrap().status(), 200);
        world
            .until("/metrics", |page| page.lines().any(|line| line.starts_with("mail_delivery_attempts_total{") && line.ends_with(" 20")))
            .await;
        world.write("postmeter.yaml", &config(after, by));
        assert_eq!(world.reload().await.0, 200);
        let points = arrives(&receiver, "the next reading", |points| has(points, after, "postmeter.poll.records") > 0).await;
        let delivered = points.iter().filter(|point| point.target == before && point.metric == "mail.delivery.attempts" && !stale(point));
        let sum: f64 = delivered.filter(|point| point.has(&["mail.delivery.outcome", "delivered"])).map(|point| point.value).sum();
        assert_eq!(sum, 20.0, "{before} -> {after}{by}");
    }
    world.end(Vec::new()).await;
    receiver.shutdown().await;
}
