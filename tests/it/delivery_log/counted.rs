//! Histograms and reasons, with and without a receiver: counted once, and never from window sums in addition.

use super::world::{ANY, PATIENCE, World, grpc, page, sum, until};
use crate::support::{start_service, wait_until_async};
use postmeter::simulate::Receiver;
use std::collections::HashMap;

fn by_outcome(world: &World) -> HashMap<&'static str, f64> {
    let mut counts = HashMap::new();
    world.simulated.traffic(|traffic| {
        for attempt in traffic.log.iter() {
            *counts.entry(attempt.outcome.name()).or_insert(0.0) += 1.0;
        }
    });
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_records_are_counted_and_the_cursor_moves() {
    let world = World::with(4_000).await;
    let service = world.service("", "false").await;
    let deliveries = service.targets.now()[0].deliveries.clone().unwrap();
    let counted = || deliveries.points(std::time::Instant::now()).iter().any(|point| point.metric.name == "postmeter.record.lag");
    until("the log is read", counted).await;
    let counts = by_outcome(&world);
    let done = counts["success"] + counts["failure"];
    // A reading from before the first record has the sums of the server.
    let is_newer = async || sum(&page(&service).await, "mail_delivery_attempts_total{") == done + counts["defer"];
    wait_until_async(is_newer, PATIENCE, "a reading with the counts of the log").await;
    let page_before = page(&service).await;
    for (begins, expected) in [
        ("mail_delivery_attempts_total{", done + counts["defer"]),
        ("mail_delivery_failures_total{", counts["failure"] + counts["defer"]),
        ("mail_delivery_duration_seconds_count{", done),
        ("mail_message_size_bytes_count{", done),
        ("postmeter_record_queue_depth{", 0.0),
    ] {
        assert_eq!(sum(&page_before, begins), expected, "{begins}\n{page_before}");
    }
    for label in ["error_type=\"5.1.1\"", "error_type=\"4.7.1\"", "mail_delivery_stage=\"rcpt_to\"", "mail_delivery_outcome=\"deferred\""] {
        assert!(page_before.contains(label), "{label}\n{page_before}");
    }
    assert_eq!(
        sum(&page_before, "mail_delivery_attempts_total{instance=\"whm1\",job=\"cpanel\",mail_delivery_outcome=\"delivered\""),
        counts["success"]
    );
    service.stop().await;

    // Records are not counted again after a restart.
    let service = world.service("", "false").await;
    let deliveries = service.targets.now()[0].deliveries.clone().unwrap();
    let counted = || deliveries.points(std::time::Instant::now()).iter().any(|point| point.metric.name == "postmeter.record.lag");
    until("the log is read", counted).await;
    assert_eq!(sum(&page(&service).await, "mail_delivery_attempts_total{"), 0.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sums_of_the_server_are_used_until_the_first_record() {
    let world = World::with(300).await;
    let file = world.file("", "false").replace("since: 2h", "since: 0s");
    let start = async || start_service(&file).await;
    let service = start().await;
    let deliveries = service.targets.now()[0].deliveries.clone().unwrap();
    until("the log is read", || {
        deliveries.points(std::time::Instant::now()).iter().any(|point| point.metric.name == "postmeter.record.lag")
    })
    .await;
    let truth = world.simulated.traffic(|traffic| traffic.attempts());
    let sums = page(&service).await;
    assert_eq!(sum(&sums, "mail_delivery_attempts_total{"), truth as f64);
    assert!(!sums.contains("mail_delivery_duration_seconds"), "{sums}");

    let origin = postmeter::simulate::Origin::Remote;
    let outcome = postmeter::simulate::AttemptOutcome::Failure;
    let attempt = |id| {
        let (at, visible_at) = (world.now, world.now);
        postmeter::simulate::Attempt { id, domain: 1, origin, bytes: 10, received: at, at, outcome, visible_at, is_duplicated: false }
    };
    world.simulated.traffic(|traffic| traffic.log.push(attempt(1)));
    let is_counted = || async { sum(&page(&service).await, "mail_delivery_attempts_total{") == 1.0 };
    wait_until_async(is_counted, PATIENCE, "the record is counted").await;
    let counted = page(&service).await;
    let begins = "mail_delivery_attempts_total{instance=\"whm1\",job=\"cpanel\",mail_delivery_outcome=\"failed\"";
    assert_eq!(counted.lines().filter(|line| line.starts_with(begins)).count(), 1, "{counted}");
    assert_eq!(sum(&counted, "mail_delivery_duration_seconds_count{"), 1.0);
    service.stop().await;

    // After a restart the sums do not come back, although no record has arrived since.
    let service = start().await;
    assert_eq!(sum(&page(&service).await, "mail_delivery_attempts_total{"), 0.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_a_disk() {
    let world = World::with(100).await;
    let service = world.service("", "false").await;
    let deliveries = service.targets.now()[0].deliveries.clone().unwrap();
    let point = |metric: &str| {
        deliveries.points(std::time::Instant::now()).iter().find(|point| point.metric.name == metric).map(|point| point.value)
    };
    until("the log is read", || point("postmeter.record.lag").is_some()).await;
    // From here on the directory is not writable.
    std::fs::create_dir(world.state.path().join("messages-whm1.new")).unwrap();
    let (id, at, origin, outcome) = (7, world.now - 5, postmeter::simulate::Origin::Remote, postmeter::simulate::AttemptOutcome::Failure);
    let attempt = postmeter::simulate::Attempt {
        id,
        domain: 1,
        origin,
        bytes: 10,
        received: at,
        at,
        outcome,
        visible_at: world.now,
        is_duplicated: false,
    };
    world.simulated.traffic(|traffic| traffic.log.push(attempt));
    until("a record waits", || point("postmeter.record.queue.depth") == Some(1.0)).await;
    assert!(tokio::time::timeout(std::time::Duration::from_secs(60), service.stop()).await.is_ok(), "it does not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_are_pushed_with_a_known_start_time() {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    for (temporality, expected_temporality) in [("cumulative", 2), ("delta", 1)] {
        let world = World::with(500).await;
        let receiver = Receiver::start(ANY).await.unwrap();
        let otlp = grpc(&receiver).replace("interval", &format!("temporality: {temporality}, interval"));
        let service = world.service("", &otlp).await;
        let counts = by_outcome(&world);
        let done = (counts["success"] + counts["failure"]) as u64;
        let found = || {
            let (mut attempts, mut durations) = (0, 0);
            for request in receiver.requests() {
                let metrics = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics).flat_map(|scope| &scope.metrics);
                for metric in metrics {
                    match (&metric.data, metric.name.as_str()) {
                        (Some(Data::Histogram(histogram)), "mail.delivery.duration") => {
                            assert_eq!(histogram.aggregation_temporality, expected_temporality);
                            let counts = histogram
                                .data_points
                                .iter()
                                .inspect(|point| assert!(point.start_time_unix_nano > 0))
                                .map(|point| point.count);
                            let n: u64 = counts.sum();
                            durations = if temporality == "delta" { durations + n } else { n };
                        }
                        (Some(Data::Sum(sum)), "mail.delivery.attempts") => {
                            let points = sum.data_points.iter().inspect(|point| assert!(point.start_time_unix_nano > 0));
                            let n: i64 = points
                                .filter_map(|point| match point.value {
                                    Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt(n)) => Some(n),
                                    _ => None,
                                })
                                .sum();
                            attempts = if temporality == "delta" { attempts + n } else { n };
                        }
                        _ => {}
                    }
                }
            }
            (attempts as u64, durations)
        };
        let expected = (done + counts["defer"] as u64, done);
        until(&format!("{expected:?} by {temporality}"), || found() == expected).await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_delivery_log_attempts_are_counted_from_window_sums() {
    let world = World::with(10).await;
    let file = world.file("", "false").replace(", parts: {messages: {interval: 1s, since: 2h}}", "");
    let service = start_service(&file).await;
    let page = page(&service).await;
    let truth = world.simulated.traffic(|traffic| traffic.attempts());
    assert_eq!(sum(&page, "mail_delivery_attempts_total{"), truth as f64);
    assert!(!page.contains("postmeter_poll_records_total") && !page.contains("mail_delivery_duration_seconds"), "{page}");
    assert_eq!(world.simulated.traffic(|traffic| traffic.log.searches()), 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_family_is_exposed_on_request() {
    let world = World::with(3_000).await;
    let file = world.file("", "false").replace("{messages: {interval: 1s, since: 2h}}", "{email_logs: {}}");
    let service = start_service(&file).await;
    let page = page(&service).await;
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("email_logs{")).collect();
    // Attempts that both sources have are one series.
    assert!((990..=1_000).contains(&rows.len()), "{}", rows.len());
    for label in ["time=", "actionunixtime=", "delivered_to=", "msg_id=", "sender_ip=", "type=", "user="] {
        assert!(rows[0].contains(label), "{label} {}", rows[0]);
    }
    service.stop().await;
}
