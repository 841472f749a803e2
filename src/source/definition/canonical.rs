//! Finds metrics, attributes and values of the vocabulary, and describes what exists if there is none.

use crate::model::vocabulary::{ALL, POLL_METRICS};
use crate::model::{Attribute, Kind, Metric};
use crate::yaml::text::{closest, suggestion};

/// The namespaces of the metrics that rules can produce.
const NAMESPACES: &[&str] = &["mail.", "system.", "process."];
/// The largest number of metrics that a message lists.
const METRICS_NAMED_MAX: usize = 20;

/// Returns the metrics that rules can produce: Postmeter records the others itself.
pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    let is_in_namespace = |metric: &&Metric| NAMESPACES.iter().any(|namespace| metric.name.starts_with(namespace));
    ALL.iter().copied().filter(is_in_namespace).filter(|metric| !POLL_METRICS.contains(metric))
}

/// Finds a metric. `kind` is the one that the rest of the rule needs, if it needs one.
pub(super) fn metric(name: &str, kind: Option<Kind>) -> Result<&'static Metric, String> {
    if let Some(metric) = metrics().find(|metric| metric.name == name) {
        return Ok(metric);
    }
    if ALL.iter().any(|metric| metric.name == name) {
        return Err(format!("Postmeter records {name} itself; a rule cannot produce it"));
    }
    let fits = |metric: &Metric| kind.is_none_or(|kind| metric.kind == kind);
    let names: Vec<&str> = metrics().filter(|metric| fits(metric)).map(|metric| metric.name).collect();
    if let Some(similar) = closest(name, names.iter().copied()) {
        return Err(format!("unknown metric {name}; did you mean {similar}?"));
    }
    if !NAMESPACES.iter().any(|namespace| name.starts_with(namespace)) {
        return Err(format!(
            "unknown metric {name}; rules produce only metrics of the vocabulary, which begin with mail., system. or process. (postmeter metrics prints them)"
        ));
    }
    let mut prefix = name;
    loop {
        prefix = prefix.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        let with_prefix: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(&format!("{prefix}."))).collect();
        if prefix.is_empty() || !with_prefix.is_empty() {
            let (named, rest) = with_prefix.split_at(with_prefix.len().min(METRICS_NAMED_MAX));
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more (postmeter metrics prints them)", rest.len()) };
            let kind = kind.map(|kind| format!(" that is a {}", kind_name(kind))).unwrap_or_default();
            return Err(format!("unknown metric {name}; expected one{kind} of: {}{more}", named.join(", ")));
        }
    }
}

/// The kind of a metric in a message.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::UpDownCounter => "up-down counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// Finds an attribute of a metric.
pub(super) fn attribute(metric: &Metric, key: &str) -> Result<&'static Attribute, String> {
    find(metric.attributes, key).ok_or_else(|| {
        let keys: Vec<&str> = metric.attributes.iter().map(|attribute| attribute.key).collect();
        if find(metric.detail, key).is_some() {
            format!("{} has {key} only as a detail; use `detail`", metric.name)
        } else if keys.is_empty() {
            format!("{} has no attributes", metric.name)
        } else if let Some(similar) = closest(key, keys.iter().copied()) {
            format!("{} has no attribute {key}; did you mean {similar}?", metric.name)
        } else {
            format!("{} has no attribute {key}; its attributes are: {}", metric.name, keys.join(", "))
        }
    })
}

/// Finds an attribute of a metric's details.
pub(super) fn detail(metric: &Metric, key: &str) -> Result<&'static Attribute, String> {
    find(metric.detail, key).ok_or_else(|| {
        let keys: Vec<&str> = metric.detail.iter().map(|attribute| attribute.key).collect();
        match keys.as_slice() {
            [] => format!("{} cannot be split by a detail", metric.name),
            keys => format!("{} has no detail {key}; {}", metric.name, suggestion(key, keys)),
        }
    })
}

fn find(attributes: &[&'static Attribute], key: &str) -> Option<&'static Attribute> {
    attributes.iter().copied().find(|attribute| attribute.key == key)
}

/// Finds a value of an attribute: one of a closed set, or any text that is not empty.
pub(super) fn value(attribute: &Attribute, value: &str) -> Result<(), String> {
    if value.is_empty() {
        Err(format!("the value of {} is empty", attribute.key))
    } else if attribute.values.is_empty() || attribute.values.contains(&value) {
        Ok(())
    } else {
        Err(format!("{} has no value {value}; {}", attribute.key, suggestion(value, attribute.values)))
    }
}

/// A canonical series in an example: a metric with attributes.
#[derive(Debug)]
pub(super) struct CanonicalSeries<'t> {
    pub metric: &'static Metric,
    pub attributes: Vec<(&'static Attribute, &'t str)>,
}

/// Parses `metric{attribute="value"}`.
pub(super) fn series(text: &str) -> Result<CanonicalSeries<'_>, String> {
    let (name, labels) = match text.split_once('{') {
        None => (text, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').ok_or_else(|| format!("{text}: expected }} at the end"))?),
    };
    let metric = metric(name.trim_end(), None)?;
    let mut series = CanonicalSeries { metric, attributes: Vec::new() };
    let mut rest = labels.trim();
    while !rest.is_empty() {
        let malformed = || format!("{text}: expected attribute=\"value\", separated by commas");
        let (key, after) = rest.split_once('=').ok_or_else(malformed)?;
        let (value, after) = after.trim_start().strip_prefix('"').and_then(|after| after.split_once('"')).ok_or_else(malformed)?;
        let key = key.trim();
        let attribute = attribute(metric, key).or_else(|problem| detail(metric, key).map_err(|_| problem))?;
        if series.attributes.iter().any(|(other, _)| *other == attribute) {
            return Err(format!("{text}: {key} is repeated"));
        }
        series.attributes.push((attribute, value));
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
        } else if !rest.is_empty() {
            return Err(malformed());
        }
    }
    Ok(series)
}
