//! Examples: decodes them, and runs them.

use super::canonical::{self, CanonicalSeries};
use super::limits::VALUES_MAX;
use super::memory::Memory;
use super::schema::EXAMPLE;
use crate::model::{Attribute, Attributes, Metric, Snapshot};
use crate::source::{Context, CounterMemory, Example, Source, map_to_canonical};
use crate::yaml::text::suggestion;
use crate::yaml::{Decoder, Item, Problem};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// The relative difference up to which values are equal: they are calculated in floating point.
const TOLERANCE: f64 = 1e-9;

/// The number of points that a message lists.
const POINTS_NAMED_MAX: usize = 5;

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>, parts: &[&str]) -> Option<Example> {
    let mut map = decoder.map(item, EXAMPLE)?;
    let title = map.take_required(decoder, "title").and_then(|item| decoder.non_empty_text(&item));
    let part = match map.take("part") {
        None => parts.first().copied(),
        Some(item) => decoder.raw_text(&item).and_then(|name| {
            let known = parts.iter().copied().find(|part| *part == name);
            decoder.ok_or_report_value(&item, known.ok_or_else(|| format!("unknown part {name}; {}", suggestion(name, parts))))
        }),
    };
    let now = map.integer_or_default(decoder, "now");
    let position = (item.location.line, item.location.column);
    let body = map.take_required(decoder, "body").and_then(|item| decoder.raw_text(&item));
    let points = map.take("points");
    let absent = map.take("absent");
    if points.is_none() && absent.is_none() {
        decoder.report(&map.location, "expects nothing; add points or absent");
    }
    decoder.finish(map);
    let mut expected = Vec::new();
    for (series, item) in points.map(|item| decoder.user_map(&item)).unwrap_or_default() {
        if let Err(problem) = canonical::series(series) {
            decoder.report(&item.location, problem);
        }
        let Some(text) = decoder.raw_text(&item) else { continue };
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
        let value = decoder.ok_or_report_value(&item, value.ok_or_else(|| format!("{text} is not a number")));
        expected.extend(value.map(|value| (memory.text(series), value)));
    }
    let absent = absent.map(|item| decoder.bounded_list(&item, VALUES_MAX)).unwrap_or_default();
    let mut absent_metrics = Vec::new();
    for item in &absent {
        let Some(name) = decoder.raw_text(item) else { continue };
        if decoder.ok_or_report_value(item, canonical::metric(name, None)).is_some() {
            absent_metrics.push(name);
        }
    }
    Some(Example {
        title: memory.text(&title?),
        part: memory.text(part?),
        position,
        now: now as u64,
        body: memory.text(body?),
        points: memory.list(expected),
        absent: memory.texts(&absent_metrics),
    })
}

/// Runs the examples of a definition: reads each response, applies the rules, and compares the points. The problems have no file.
#[must_use]
pub fn run_examples(source: &'static Source) -> Vec<Problem> {
    let run = |example: &'static Example| {
        let (line, column) = example.position;
        let path = format!("example {:?}", example.title);
        let problem = move |message| Problem { file: String::new(), line, column, path: path.clone(), message };
        faults(source, example).into_iter().map(problem)
    };
    source.examples.iter().flat_map(run).collect()
}

/// Returns what differs from the expectations of an example.
fn faults(source: &'static Source, example: &Example) -> Vec<String> {
    let Some(part) = source.part(example.part) else { return vec![format!("there is no part {}", example.part)] };
    let families = match part.read_saved(example.body.as_bytes()) {
        Ok(families) => families,
        Err(error) => return vec![format!("the body cannot be read: {error}")],
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(example.now);
    let context = Context::at(now);
    let snapshot = map_to_canonical(source, &[(part, families)], &mut CounterMemory::default(), &context);
    let mut faults = Vec::new();
    for (text, expected) in example.points {
        let found = canonical::series(text).map(|series| value(&snapshot, &series));
        match found {
            Ok(Some(found)) if is_equal(found, *expected) => {}
            Ok(Some(found)) => faults.push(format!("{text} is {found}, expected {expected}")),
            Ok(None) => faults.push(format!("{text} has no point, expected {expected}; {}", points_of(&snapshot, text))),
            Err(problem) => faults.push(problem),
        }
    }
    for name in example.absent {
        if has_point(&snapshot, name) {
            faults.push(format!("{name} must have no point; {}", points_of(&snapshot, name)));
        }
    }
    faults
}

/// Returns the value of the point with exactly these attributes; of a histogram its count.
fn value(snapshot: &Snapshot, series: &CanonicalSeries<'_>) -> Option<f64> {
    let mut wanted: Vec<(&str, &str)> = series.attributes.iter().map(|(attribute, value)| (attribute.key, *value)).collect();
    wanted.sort_unstable();
    let is_wanted = |metric: &Metric, attributes: &Attributes| *metric == *series.metric && sorted(attributes) == wanted;
    let point = snapshot.points.iter().find(|point| is_wanted(point.metric, &point.attributes)).map(|point| point.value);
    let histogram = || snapshot.histograms.iter().find(|(metric, attributes, _)| is_wanted(metric, attributes));
    point.or_else(|| histogram().map(|(.., histogram)| histogram.count as f64))
}

fn sorted<'a>(attributes: &'a [(&'static Attribute, Cow<'static, str>)]) -> Vec<(&'a str, &'a str)> {
    let mut sorted: Vec<_> = attributes.iter().map(|(attribute, value)| (attribute.key, value.as_ref())).collect();
    sorted.sort_unstable();
    sorted
}

fn is_equal(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
}

fn has_point(snapshot: &Snapshot, metric: &str) -> bool {
    snapshot.points.iter().any(|point| point.metric.name == metric) || snapshot.histograms.iter().any(|(other, ..)| other.name == metric)
}

/// Lists the points of the metric of a series, for a message.
fn points_of(snapshot: &Snapshot, series: &str) -> String {
    let name = series.split_once('{').map_or(series, |(name, _)| name);
    let line = |attributes: &Attributes, value: f64| {
        let labels: Vec<String> = attributes.iter().map(|(attribute, value)| format!("{}={value:?}", attribute.key)).collect();
        format!("{name}{{{}}} {value}", labels.join(","))
    };
    let points = snapshot.points.iter().filter(|point| point.metric.name == name).map(|point| line(&point.attributes, point.value));
    let histograms = snapshot.histograms.iter().filter(|(metric, ..)| metric.name == name);
    let mut found: Vec<String> =
        points.chain(histograms.map(|(_, attributes, histogram)| line(attributes, histogram.count as f64))).collect();
    found.truncate(POINTS_NAMED_MAX);
    if found.is_empty() { "the metric has no points".to_owned() } else { format!("its points are {}", found.join("; ")) }
}
