//! From a fixture to families, unchanged, and to nothing canonical.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::Relay;
use crate::model::{FamilyType, Native, SampleRef, Value};
use crate::poll::relayed;
use crate::source::{Context, Memory, apply};
use std::time::{Duration, SystemTime};

const FIXTURE: &str = include_str!("../../../tests/fixtures/prometheus/metrics.txt");

fn value(sample: SampleRef<'_>) -> String {
    match sample.value() {
        Value::Number(n) => n.to_string(),
        Value::Histogram(histogram) => format!("{histogram:?}"),
        Value::Summary(summary) => format!("{summary:?}"),
    }
}

fn lines(native: &Native) -> String {
    let mut out = String::new();
    for family in native.families() {
        out += &format!("{:?} {} ({})\n", family.kind(), family.name(), family.help());
        for sample in family.samples() {
            let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value:?}")).collect();
            out += &format!("  {{{}}} {}\n", labels.join(","), value(sample));
        }
    }
    out
}

/// `POSTMETER_BLESS=1` writes down what is read now.
#[test]
fn everything_is_relayed_as_it_was_said() {
    let families = SOURCE.required().requests[0].read(FIXTURE.as_bytes().to_vec()).unwrap();
    let found = lines(&relayed(&SOURCE, &Relay::default(), vec![families]));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/prometheus/metrics.families.txt");
    if std::env::var_os("POSTMETER_BLESS").is_some() {
        std::fs::write(golden, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(golden).unwrap());
}

#[test]
fn nothing_canonical_is_made_of_it_and_no_start_time() {
    let part = SOURCE.required();
    let read = vec![(part, part.requests[0].read(FIXTURE.as_bytes().to_vec()).unwrap())];
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_100);
    let context = Context { now, window_start: None, sliding: false, detail: None };
    let snapshot = apply(&SOURCE, &read, &mut Memory::default(), &context);
    assert_eq!((snapshot.points.len(), snapshot.counters_since), (0, None));
    assert_eq!(snapshot.repairs.iter().count(), 0);
}

#[test]
fn the_prefix_and_the_filter_hold() {
    let families = SOURCE.required().requests[0].read(FIXTURE.as_bytes().to_vec()).unwrap();
    let relay = Relay { prefix: "mail_".to_owned(), exclude: vec![regex::Regex::new("^(?:go_.*|p.*)$").unwrap()], ..Relay::default() };
    let native = relayed(&SOURCE, &relay, vec![families]);
    let names: Vec<_> = native.families().map(|family| (family.name().into_owned(), family.kind())).collect();
    assert_eq!(names, [("mail_no_comment_at_all".to_owned(), FamilyType::Unknown)]);
    assert_eq!((native.kept, native.dropped), (1, 12));
}
