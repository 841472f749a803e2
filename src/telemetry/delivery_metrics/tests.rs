//! The metrics of delivery records.

use super::*;
use crate::config::{self, Environment, RECORD_DIMENSIONS};
use crate::model::vocabulary::{DELIVERY_DURATION, OTHER};
use crate::model::{BounceType, ComplaintType, EnhancedStatus, Field, Outcome, RecordEvent, Reply, UID_BYTES};
use crate::telemetry::record_failures::{FAILURE_CLASSES_MAX, FAILURES_MAX};

fn arrival() -> Arc<RecordArrival> {
    let text = "state_dir: .\ntargets: [{name: a, system: cpanel, url: 'https://cp.example.com:2087', username: root, token: t, \
                parts: {messages: {}}}]";
    let config = config::parse(text, "postmeter.yaml", &Environment::default()).unwrap();
    crate::poll::Target::new(config.targets[0].clone(), Default::default()).unwrap().records.clone()
}

fn split_by(by: &[&str], groups_max: usize) -> DeliveryMetrics {
    let by = RECORD_DIMENSIONS.iter().filter(|dimension| by.contains(&dimension.name)).collect();
    DeliveryMetrics::new(RecordDetail { by, groups_max }, arrival())
}

fn deliveries() -> DeliveryMetrics {
    split_by(&[], 10)
}

fn record(outcome: Outcome, reply: Reply) -> Record {
    Record { at: 20, outcome: Some(outcome), duration: Some(10.0), size: Some(5), reply, ..Record::default() }
}

fn by_provider(outcome: Outcome, provider: &str) -> Record {
    Record { fields: vec![(Field::Provider, provider.to_owned())], ..record(outcome, Reply::default()) }
}

fn add(deliveries: &DeliveryMetrics, records: impl IntoIterator<Item = Record>) {
    let uid = RecordUid::new([7; UID_BYTES]);
    deliveries.record(&records.into_iter().map(|record| (uid, record)).collect::<Vec<_>>());
}

fn status(class: u8, subject: u16, detail: u16) -> Reply {
    Reply { code: None, status: Some(EnhancedStatus { class, subject, detail }), stage: None }
}

fn values(deliveries: &DeliveryMetrics, metric: &str) -> Vec<(String, f64)> {
    let points = deliveries.points(Instant::now());
    let of = points.into_iter().filter(|point| point.metric.name == metric);
    of.map(|point| (point.attributes.iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>().join(" "), point.value)).collect()
}

fn check(deliveries: &DeliveryMetrics, metric: &str, expected: &[(&str, f64)]) {
    let values = values(deliveries, metric);
    let values: Vec<(&str, f64)> = values.iter().map(|(attributes, n)| (attributes.as_str(), *n)).collect();
    assert_eq!(values, expected, "{metric}");
}

#[test]
fn outcomes_and_failures_are_counted() {
    let deliveries = deliveries();
    check(&deliveries, "mail.delivery.attempts", &[("delivered", 0.0), ("deferred", 0.0), ("failed", 0.0)]);
    add(
        &deliveries,
        [
            record(Outcome::Delivered, status(2, 0, 0)),
            record(Outcome::Deferred, status(4, 7, 1)),
            record(Outcome::Failed, Reply { stage: Some("rcpt_to"), ..status(5, 1, 1) }),
            record(Outcome::Failed, status(2, 0, 0)),
            record(Outcome::InProgress, Reply::default()),
            Record { error_type: Some("connect"), ..record(Outcome::Deferred, Reply::default()) },
        ],
    );
    check(&deliveries, "mail.delivery.attempts", &[("delivered", 1.0), ("deferred", 2.0), ("failed", 2.0)]);
    let mut failures: Vec<String> = values(&deliveries, "mail.delivery.failures").into_iter().map(|(a, _)| a).collect();
    failures.sort();
    assert_eq!(failures, ["permanent", "rcpt_to permanent 5.1.1", "transient 4.7.1", "transient connect"]);
}

#[test]
fn what_is_no_attempt_is_not_counted() {
    let deliveries = deliveries();
    let outcomes = [Outcome::Expired, Outcome::Canceled, Outcome::Suppressed, Outcome::Held, Outcome::InProgress];
    add(&deliveries, outcomes.map(|outcome| record(outcome, status(5, 4, 7))));
    add(&deliveries, [Record { outcome: None, ..record(Outcome::Failed, Reply::default()) }]);
    check(&deliveries, "mail.delivery.attempts", &[("delivered", 0.0), ("deferred", 0.0), ("failed", 0.0)]);
    check(&deliveries, "mail.delivery.failures", &[]);
    assert!(deliveries.histograms().is_empty());
}

#[test]
fn other_events_are_counted_by_their_types() {
    let deliveries = split_by(&["provider"], 10);
    let event = |event| Record { event, ..by_provider(Outcome::Failed, "a") };
    add(
        &deliveries,
        [
            Record { bounce: Some(BounceType::Hard), ..event(RecordEvent::Bounce) },
            event(RecordEvent::Bounce),
            Record { complaint: Some(ComplaintType::NotSpam), ..event(RecordEvent::Complaint) },
            Record { protocol: Some("lmtp"), source: Some("dsn"), ..event(RecordEvent::Received) },
            Record { protocol: Some("gopher"), ..event(RecordEvent::Received) },
            event(RecordEvent::Rejection),
        ],
    );
    check(&deliveries, "mail.bounces", &[("hard a", 1.0), ("a", 1.0)]);
    check(&deliveries, "mail.complaints", &[("not_spam a", 1.0)]);
    check(&deliveries, "mail.received.messages", &[("", 1.0), ("lmtp dsn", 1.0)]);
    check(&deliveries, "mail.rejected.messages", &[("unspecified", 1.0)]);
    check(&deliveries, "mail.delivery.attempts", &[]);
}

#[test]
fn foreign_servers_cannot_create_unlimited_series() {
    let deliveries = deliveries();
    let failed = |i: usize| record(Outcome::Failed, status(5, (i % 1000) as u16, (i / 1000) as u16));
    add(&deliveries, (0..FAILURES_MAX + 50).map(failed));
    let failures = values(&deliveries, "mail.delivery.failures");
    assert_eq!(failures.len(), FAILURES_MAX + 1);
    assert!(failures.contains(&(format!("permanent {OTHER}"), 50.0)));
}

#[test]
fn failure_classes_beyond_the_limit_are_counted_together() {
    let deliveries = deliveries();
    let classes = (0..FAILURE_CLASSES_MAX + 3).map(|i| format!("Class{i}"));
    add(
        &deliveries,
        classes.map(|class| Record { fields: vec![(Field::FailureClass, class)], ..record(Outcome::Failed, Reply::default()) }),
    );
    let failures = values(&deliveries, "mail.delivery.failures");
    assert_eq!(failures.len(), FAILURE_CLASSES_MAX + 1);
    assert!(failures.contains(&("permanent Class7".to_owned(), 1.0)));
    assert!(failures.contains(&(format!("permanent {OTHER}"), 3.0)));
}

#[test]
fn series_of_a_provider_never_fall_and_their_number_is_limited() {
    let deliveries = split_by(&["provider"], 2);
    let mut before = BTreeMap::new();
    for round in 0..3 {
        for provider in 0..50 {
            add(
                &deliveries,
                [by_provider(Outcome::Delivered, &format!("p{provider}")), by_provider(Outcome::Failed, &format!("p{provider}"))],
            );
        }
        let now: BTreeMap<String, f64> =
            ["mail.delivery.attempts", "mail.delivery.failures"].iter().flat_map(|metric| values(&deliveries, metric)).collect();
        for (series, n) in &before {
            assert!(now.get(series) >= Some(n), "{series} fell in round {round}");
        }
        before = now;
    }
    let sum = |suffix: &str| before.iter().filter(|(series, _)| series.ends_with(suffix)).map(|(_, n)| n).sum::<f64>();
    assert_eq!((sum(" p0"), sum(" p1"), sum(" p2"), sum(OTHER)), (9.0, 9.0, 0.0, 48.0 * 9.0));
    assert_eq!(deliveries.histograms().iter().filter(|histogram| *histogram.metric == DELIVERY_DURATION).count(), 3);
}

#[test]
fn a_reload_continues_the_counts_unless_they_are_split_differently() {
    let before = split_by(&["provider"], 10);
    add(&before, [by_provider(Outcome::Delivered, "a")]);
    before.count(RecordState::Read, 5);
    let same = split_by(&["provider"], 20).continuing(&before);
    add(&same, [by_provider(Outcome::Delivered, "a")]);
    assert_eq!(values(&same, "mail.delivery.attempts")[0], ("delivered a".to_owned(), 2.0));
    assert_eq!(same.since(), before.since());
    assert_eq!(same.histograms()[0].histogram.count, 2);
    let other = split_by(&["provider", "pool"], 10).continuing(&before);
    assert_eq!(values(&other, "mail.delivery.attempts"), []);
    assert_eq!(values(&other, "postmeter.poll.records")[0].1, 5.0);
    assert_eq!(other.since().states, before.since().states);
    assert_ne!(other.since().contents, before.since().contents);
}

#[test]
fn an_exemplar_leads_to_the_record() {
    let deliveries = deliveries();
    let uid = |n| RecordUid::new([n; UID_BYTES]);
    deliveries.record(&[(uid(1), record(Outcome::Delivered, Reply::default())), (uid(2), record(Outcome::Deferred, Reply::default()))]);
    let histograms = deliveries.histograms();
    let exemplars: Vec<_> = histograms.iter().flat_map(|histogram| histogram.histogram.exemplars()).collect();
    assert_eq!(exemplars.iter().map(|exemplar| (exemplar.uid, exemplar.value)).collect::<Vec<_>>(), [(uid(1), 10.0), (uid(1), 5.0)]);
    assert!(exemplars.iter().all(|exemplar| exemplar.nanos >= unix_nanos(deliveries.since().contents)));
}
