//! The trace of a mapping: it changes nothing, and it accounts for every point and every native series.
#![allow(clippy::unwrap_used)]

use crate::support::FIXTURES;
use postmeter::model::{Families, Kind};
use postmeter::source::{Context, CounterMemory, Part, SOURCES, Source, Trace, TracedValue, Transform, map_to_canonical};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn context() -> Context {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    Context::at(now)
}

/// The saved responses of a mail system that its parts can read, each as one poll.
fn polls(source: &'static Source) -> Vec<(String, Vec<(&'static Part, Families)>)> {
    let mut polls = Vec::new();
    for entry in std::fs::read_dir(Path::new(FIXTURES).join(source.name)).unwrap() {
        let path = entry.unwrap().path();
        let body = std::fs::read(&path).unwrap();
        for part in source.parts {
            if let Ok(families) = part.read_saved(body.as_slice()) {
                polls.push((path.display().to_string(), vec![(part, families)]));
            }
        }
    }
    polls
}

#[test]
fn a_trace_changes_nothing_and_accounts_for_every_point() {
    let mut checked = 0;
    for source in SOURCES.iter().copied() {
        for (name, read) in polls(source) {
            let mut memory = CounterMemory::default();
            let plain = map_to_canonical(source, &read, &mut memory, &context());
            assert!(memory.take_trace().is_none(), "{name}: nobody requested a trace");
            memory = CounterMemory::default();
            memory.request_trace();
            let traced = map_to_canonical(source, &read, &mut memory, &context());
            assert_eq!(plain, traced, "{name}");
            let trace = memory.take_trace().unwrap();
            for point in &traced.points {
                let is_source = |entry: &&postmeter::source::TracedEntry| {
                    trace.rules[entry.rule].rule.metric == point.metric && entry.attributes.as_ref() == Some(&point.attributes)
                };
                let entries: Vec<_> = trace.entries.iter().filter(is_source).collect();
                assert!(!entries.is_empty(), "{name}: {point:?}");
                let is_sum = entries.iter().all(|entry| matches!(trace.rules[entry.rule].rule.transform, Transform::Unchanged));
                if is_sum && point.metric.kind == Kind::Counter {
                    let number = |entry: &&&postmeter::source::TracedEntry| match entry.series.as_ref().map(|series| series.value) {
                        Some(TracedValue::Number(n)) => n * trace.rules[entry.rule].rule.scale,
                        // Only a rule that takes the count maps a histogram to a counter.
                        Some(TracedValue::Histogram(count)) => count as f64,
                        None => 0.0,
                        other => panic!("{name}: {other:?}"),
                    };
                    let sum: f64 = entries.iter().map(|entry| number(&entry)).sum();
                    assert!((sum.max(0.0) - point.value).abs() <= 0.5, "{name}: {point:?} is not {sum}");
                }
                checked += 1;
            }
            check_series(&name, &read, &trace);
        }
    }
    assert!(checked > 200, "{checked}");
}

/// Every native series is either used or not, and each entry names its family.
fn check_series(name: &str, read: &[(&'static Part, Families)], trace: &Trace) {
    let series: u64 = read.iter().map(|(_, families)| families.series() as u64).sum();
    assert_eq!(trace.families.iter().map(|family| family.series).sum::<u64>(), series, "{name}");
    assert!(trace.families.iter().all(|family| family.used <= family.series), "{name}");
    for entry in &trace.entries {
        let Some(series) = &entry.series else { continue };
        let family = trace.families.iter().find(|family| family.name == series.family).unwrap();
        assert!(family.used > 0, "{name}: {series:?}");
    }
    let taken: u64 = trace.rules.iter().map(|rule| rule.series).sum();
    assert_eq!(taken, trace.entries.iter().filter(|entry| entry.series.is_some()).count() as u64, "{name}");
}
