//! Answers of mail servers: what is read keeps within the limits, goes by the rules, and can be written and sent.

use super::{exposition, otlp, said};
use postmeter::model::{Families, FamilySelection, Kind, LABEL_VALUE_BYTES_MAX, SelectedFamilies, Snapshot, Value};
use postmeter::source::{self, Context, CounterMemory, POINTS_PER_METRIC_MAX, Part, Request, Source, apply};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Labels of a series that is passed on.
const LABELS_PER_SERIES_MAX: usize = 64;
/// Bytes of an error for one line of a log.
const ERROR_BYTES_MAX: usize = 700;

/// The first byte says which part of the system, and which way of asking; the rest is the answer.
pub fn reads(system: &str, bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let source = source::by_name(system).expect("a system");
    let ways: Vec<(&'static Part, &'static Request)> =
        source.parts.iter().flat_map(|part| part.requests.iter().map(move |request| (part, request))).collect();
    // As a digit or a letter, so that seeds can be text.
    let (part, request) = ways[usize::from(*choice) % ways.len()];
    read(source, part, request, body);
}

/// The same for one part; the first byte says which way of asking.
pub fn reads_part(system: &str, part: &str, bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let source = source::by_name(system).expect("a system");
    let part = source.part(part).expect("a part");
    read(source, part, &part.requests[usize::from(*choice) % part.requests.len()], body);
}

/// The same for one way of asking; all bytes are the answer.
pub fn reads_as(system: &str, part: &str, format: &str, body: &[u8]) {
    let source = source::by_name(system).expect("a system");
    let part = source.part(part).expect("a part");
    let request = part.requests.iter().find(|request| request.format == format).expect("a way of asking");
    read(source, part, request, body);
}

/// An answer that says that it is OpenMetrics is read as it is without that.
pub fn openmetrics(bytes: &[u8]) {
    reads_as("prometheus", "metrics", "text", &[bytes, b"\n# EOF\n"].concat());
}

fn read(source: &'static Source, part: &'static Part, request: &Request, body: &[u8]) {
    let families = match request.read(body.to_vec()) {
        Ok(families) => families,
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() <= ERROR_BYTES_MAX && !error.contains(char::is_control), "{error:?}");
            return;
        }
    };
    let again = request.read(body.to_vec()).expect("what was read once is read again");
    assert_eq!(said::families(&families), said::families(&again), "read twice");
    assert!(families.series() <= body.len() + 16, "{} series of {} bytes", families.series(), body.len());
    check_limits(&families);
    check_canonical(source, part, families, again);
    if let Ok(families) = request.read(body.to_vec()) {
        let native = Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())));
        exposition::holds(native.clone());
        otlp::is_sent(&native);
    }
}

fn check_limits(families: &Families) {
    for family in families.iter() {
        for sample in family.samples() {
            assert!(sample.labels().len() <= LABELS_PER_SERIES_MAX);
            let mut names = HashSet::new();
            for (name, value) in sample.labels() {
                assert!(value.len() <= LABEL_VALUE_BYTES_MAX, "{} bytes of {name}", value.len());
                assert!(names.insert(name), "{name} twice");
            }
            match sample.value() {
                Value::Number(_) => {}
                Value::Histogram(h) => {
                    assert_eq!(h.bounds.len(), h.cumulative.len());
                    assert!(h.bounds.iter().all(|bound| bound.is_finite()), "{h:?}");
                    assert!(h.bounds.windows(2).all(|pair| pair[0] < pair[1]), "{h:?}");
                    assert!(h.cumulative.windows(2).all(|pair| pair[0] <= pair[1]), "{h:?}");
                    assert!(h.cumulative.last().is_none_or(|last| *last <= h.count), "{h:?}");
                    assert!(h.sum.is_none_or(f64::is_finite), "{h:?}");
                }
                Value::Summary(s) => {
                    assert!(s.quantiles.windows(2).all(|pair| pair[0].0 < pair[1].0), "{s:?}");
                    assert!(s.quantiles.iter().all(|(quantile, _)| (0.0..=1.0).contains(quantile)), "{s:?}");
                }
            }
        }
    }
}

/// The rules give finite values of declared attributes, each series once, and counters that do not fall when nothing changed.
fn check_canonical(source: &'static Source, part: &'static Part, first: Families, second: Families) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let window_start = Some(now - Duration::from_secs(3600)).filter(|_| source.windowed);
    let context = Context { now, window_start, sliding: false, detail: None, of_records: &[] };
    let mut memory = CounterMemory::default();
    let before = apply(source, &[(part, first)], &mut memory, &context);
    let after = apply(source, &[(part, second)], &mut memory, &context);
    check_snapshot(&before);
    check_snapshot(&after);
    for point in before.points.iter().filter(|point| point.metric.kind == Kind::Counter) {
        let same = after.points.iter().find(|p| p.metric == point.metric && p.attributes == point.attributes);
        assert_eq!(same.map(|p| p.value), Some(point.value), "{} of the same answer", point.metric.name);
    }
}

fn check_snapshot(snapshot: &Snapshot) {
    let mut series = HashSet::new();
    for point in &snapshot.points {
        assert!(point.value.is_finite(), "{point:?}");
        assert!(point.metric.kind != Kind::Counter || point.value >= 0.0, "{point:?}");
        let attributes: Vec<(&str, &str)> = point.attributes.iter().map(|(attribute, value)| (attribute.key, value.as_ref())).collect();
        for (attribute, value) in &point.attributes {
            assert!(attribute.values.is_empty() || attribute.values.contains(&value.as_ref()), "{point:?}");
        }
        assert!(series.insert((point.metric.name, format!("{attributes:?}"))), "twice: {point:?}");
    }
    let most = snapshot.points.iter().map(|point| snapshot.points.iter().filter(|p| p.metric == point.metric).count()).max();
    assert!(most.unwrap_or(0) <= POINTS_PER_METRIC_MAX);
}
