//! Responses of mail servers: families stay within the limits, canonical points follow the rules, and both can be exported.

use super::{exposition, grammar, otlp};
use postmeter::model::{Families, FamilySelection, Kind, LABEL_VALUE_BYTES_MAX, SelectedFamilies, Snapshot, Value};
use postmeter::source::{self, Context, CounterMemory, POINTS_PER_METRIC_MAX, Part, Request, Source, map_to_canonical};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The largest number of labels of a series.
const LABELS_PER_SERIES_MAX: usize = 64;
/// The largest size of an error, in bytes: it must fit into one line of a log.
const ERROR_BYTES_MAX: usize = 700;

/// Checks a response to any request of a mail system. The first byte selects the part and the request.
pub fn check_system(system: &str, bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let source = source::by_name(system).expect("a system");
    let requests: Vec<(&'static Part, &'static Request)> =
        source.parts.iter().flat_map(|part| part.requests.iter().map(move |request| (part, request))).collect();
    // The byte can be a digit or a letter, so that seeds can be text files.
    let (part, request) = requests[usize::from(*choice) % requests.len()];
    check(source, part, request, body);
}

/// Checks a response to one request.
pub fn check_request(system: &str, part: &str, format: &str, body: &[u8]) {
    let source = source::by_name(system).expect("a system");
    let part = source.part(part).expect("a part");
    let request = part.requests.iter().find(|request| request.format == format).expect("a request");
    check(source, part, request, body);
}

/// Checks a response in OpenMetrics.
pub fn check_openmetrics(bytes: &[u8]) {
    check_request("prometheus", "metrics", "text", &[bytes, b"\n# EOF\n"].concat());
}

fn check(source: &'static Source, part: &'static Part, request: &Request, body: &[u8]) {
    let families = match request.read(body.to_vec()) {
        Ok(families) => families,
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() <= ERROR_BYTES_MAX && !error.contains(char::is_control), "{error:?}");
            return;
        }
    };
    let again = request.read(body.to_vec()).expect("what was read once is read again");
    assert_eq!(grammar::families(&families), grammar::families(&again), "read twice");
    assert!(families.series() <= body.len() + 16, "{} series of {} bytes", families.series(), body.len());
    check_limits(&families);
    check_canonical(source, part, families, again);
    if let Ok(families) = request.read(body.to_vec()) {
        let native = Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())));
        exposition::check_page(native.clone());
        otlp::check_sent(&native);
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

/// Checks that rules produce finite values with declared attributes, no duplicates, and counters that do not fall if nothing changed.
fn check_canonical(source: &'static Source, part: &'static Part, first: Families, second: Families) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let window_start = Some(now - Duration::from_secs(3600)).filter(|_| source.windowed);
    let context = Context { window_start, ..Context::at(now) };
    let mut memory = CounterMemory::default();
    let before = map_to_canonical(source, &[(part, first)], &mut memory, &context);
    let after = map_to_canonical(source, &[(part, second)], &mut memory, &context);
    check_snapshot(&before);
    check_snapshot(&after);
    for point in before.points.iter().filter(|point| point.metric.kind == Kind::Counter) {
        let same = after.points.iter().find(|p| p.metric == point.metric && p.attributes == point.attributes);
        assert_eq!(same.map(|p| p.value), Some(point.value), "{} of the same response", point.metric.name);
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
        assert!(series.insert((point.metric.name, format!("{attributes:?}"))), "duplicate: {point:?}");
    }
    let max = snapshot.points.iter().map(|point| snapshot.points.iter().filter(|p| p.metric == point.metric).count()).max();
    assert!(max.unwrap_or(0) <= POINTS_PER_METRIC_MAX);
}
