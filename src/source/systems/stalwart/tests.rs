//! Canonical values of a page of each version. The complete output is tested in `tests/it/golden.rs`.
#![allow(clippy::unwrap_used)]

use crate::model::{Kind, Repair, Snapshot};
use crate::source::{Context, CounterMemory, Source, by_name, map_to_canonical};
use std::time::SystemTime;

fn source() -> &'static Source {
    by_name("stalwart").unwrap()
}

const V0_15: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stalwart/v0.15.prom"));
const V0_16: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stalwart/v0.16.prom"));
const MISNAMED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stalwart/misnamed.prom"));

fn snapshot(page: &str) -> Snapshot {
    let part = source().required();
    let read = [(part, part.requests[0].read(page.as_bytes().to_vec()).unwrap())];
    let context = Context::at(SystemTime::UNIX_EPOCH);
    map_to_canonical(source(), &read, &mut CounterMemory::default(), &context)
}

/// Returns the points of one metric as `values number`, without those that are 0.
fn points(page: &str, metric: &str) -> Vec<String> {
    let point = |p: &crate::model::Point| {
        let values: Vec<_> = p.attributes.iter().map(|(_, value)| value.as_ref()).collect();
        format!("{} {}", values.join(","), p.value)
    };
    snapshot(page).points.iter().filter(|p| p.metric.name == metric && p.value != 0.0).map(point).collect()
}

#[test]
fn both_versions_have_the_same_values() {
    for page in [V0_15, V0_16] {
        assert_eq!(points(page, "mail.received.messages")[..4], ["remote 25", "authenticated 18", "dsn 3", "report 1"]);
        assert_eq!(points(page, "mail.delivery.attempts"), ["delivered 22", "deferred 8", "failed 4"]);
        assert_eq!(
            points(page, "mail.delivery.failures"),
            ["dns,unknown 2", "tls,unknown 3", "rcpt_to,unknown 5"],
            "a domain without MX records is no failure"
        );
        assert_eq!(points(page, "mail.tls.failures"), ["outbound 3"]);
        assert_eq!(points(page, "mail.verifications"), ["dkim,pass 20", "dkim,fail 5", "dane,temperror 4"]);
        assert_eq!(points(page, "mail.queue.delays"), ["rate_limit 2"], "two counters of the same events count once");
        assert_eq!(points(page, "mail.reports"), ["dmarc,inbound 3"]);
    }
}

#[test]
fn a_negative_gauge_is_omitted() {
    assert_eq!(points(V0_15, "mail.connection.active"), ["smtp,outbound 1"]);
    assert_eq!(snapshot(V0_15).repairs.iter().collect::<Vec<_>>(), [(Repair::Underflow, 1), (Repair::NotCumulative, 3)]);
}

#[test]
fn buckets_become_cumulative_and_milliseconds_become_seconds() {
    let histograms = |page: &str| {
        let snapshot = snapshot(page);
        let histogram = |(metric, attributes, h): &(&crate::model::Metric, crate::model::Attributes, crate::model::Histogram)| {
            let values: Vec<_> = attributes.iter().map(|(_, value)| format!(" {value}")).collect();
            format!("{}{} {:?} {:?} of {} sum {:?}", metric.name, values.concat(), h.bounds, h.cumulative, h.count, h.sum.unwrap())
        };
        snapshot.histograms.iter().map(histogram).collect::<Vec<_>>()
    };
    assert_eq!(
        histograms(V0_15),
        [
            "mail.delivery.duration [1.0, 30.0, 300.0] [16, 16, 17] of 17 sum 301.2",
            "mail.delivery.attempt.duration [0.25, 0.5, 1.0] [30, 30, 30] of 30 sum 4.1",
            "mail.message.size remote [500.0, 1000.0, 10000.0] [0, 1, 25] of 25 sum 90000.0",
        ]
    );
    assert_eq!(
        histograms(V0_16),
        [
            "mail.delivery.duration [1.0, 30.0, 300.0] [0, 0, 0] of 5 sum 3000.0",
            "mail.message.size authenticated [500.0, 1000.0, 10000.0] [3, 5, 6] of 6 sum 8000.0",
        ],
        "the third one contradicts its count"
    );
    assert_eq!(snapshot(V0_16).repairs.get(Repair::InconsistentHistogram), 1);
}

#[test]
fn misnamed_counters_are_not_mapped() {
    let snapshot = snapshot(MISNAMED);
    assert!(snapshot.points.iter().all(|p| p.metric.kind != Kind::Counter));
    assert_eq!((snapshot.points.len(), snapshot.histograms.len(), snapshot.repairs.get(Repair::Misnamed)), (6, 1, 1));
}

#[test]
fn missing_counters_are_zero_and_missing_gauges_are_not() {
    let snapshot = snapshot("server_memory 1\n");
    let counters = source().required().rules.iter().filter(|rule| rule.metric.kind == Kind::Counter);
    assert!(counters.clone().all(|rule| rule.zero_when_absent));
    for rule in counters {
        let zero = |p: &&crate::model::Point| {
            p.metric == rule.metric && rule.with.iter().all(|w| p.attributes.iter().any(|(k, v)| *k == w.0 && v == w.1))
        };
        assert_eq!(snapshot.points.iter().find(zero).map(|p| p.value), Some(0.0), "{:?}", rule.families);
    }
    let others: Vec<_> = snapshot.points.iter().filter(|p| p.metric.kind != Kind::Counter).map(|p| (p.metric.name, p.value)).collect();
    assert_eq!(others, [("process.memory.usage", 1.0)]);
}
