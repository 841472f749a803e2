//! `postmeter metrics`: the vocabulary as documentation.

use super::cli::{MetricsArgs, MetricsFormat};
use super::{AppError, print};
use crate::model::{Attribute, Kind, Metric, vocabulary};
use crate::source::SOURCES;
use crate::telemetry::metrics_of;
use serde_json::json;
use std::fmt::Write as _;

pub(super) fn metrics(args: &MetricsArgs) -> Result<(), AppError> {
    let printed = match args.format {
        MetricsFormat::Text => text(),
        MetricsFormat::Markdown => markdown(),
        MetricsFormat::Json => json(),
    };
    print(&printed)
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::UpDownCounter => "up-down counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// The systems that it comes from.
fn systems(metric: &Metric) -> Vec<&'static str> {
    SOURCES.iter().filter(|source| metrics_of(source).contains(&metric)).map(|source| source.name).collect()
}

fn text() -> String {
    let mut out = String::new();
    for metric in vocabulary::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  ({}{}{})", metric.name, kind(metric), if metric.unit.is_empty() { "" } else { ", " }, metric.unit);
        let _ = writeln!(out, "    {}", metric.help);
        for (attribute, detail) in attributes(metric) {
            let _ = writeln!(out, "    {}{}: {}", attribute.key, if detail { " (detail)" } else { "" }, values(attribute));
        }
        let _ = writeln!(out, "    from: {}\n", systems(metric).join(", "));
    }
    out
}

/// The table of the README.
#[must_use]
pub(super) fn markdown() -> String {
    let mut out = String::from("| metric | kind | unit | attributes | from |\n|---|---|---|---|---|\n");
    for metric in vocabulary::ALL {
        let keys =
            attributes(metric).map(|(attribute, detail)| if detail { format!("[{}]", attribute.key) } else { attribute.key.to_owned() });
        let keys = keys.collect::<Vec<_>>().join(", ");
        let systems = systems(metric);
        let systems = if systems.len() == SOURCES.len() { "all".to_owned() } else { systems.join(", ") };
        let _ = writeln!(out, "| {} | {} | {} | {keys} | {systems} |", metric.name, kind(metric), metric.unit);
    }
    out
}

fn json() -> String {
    let attribute = |(attribute, detail): (&Attribute, bool)| json!({"key": attribute.key, "values": attribute.values, "detail": detail});
    let metric = |metric: &&Metric| {
        json!({
            "name": metric.name,
            "kind": kind(metric),
            "unit": metric.unit,
            "description": metric.help,
            "attributes": attributes(metric).map(attribute).collect::<Vec<_>>(),
            "systems": systems(metric),
        })
    };
    let metrics: Vec<_> = vocabulary::ALL.iter().map(metric).collect();
    format!("{:#}\n", json!({ "metrics": metrics }))
}

fn attributes(metric: &Metric) -> impl Iterator<Item = (&'static Attribute, bool)> {
    let always = metric.attributes.iter().map(|attribute| (*attribute, false));
    always.chain(metric.detail.iter().map(|attribute| (*attribute, true)))
}

fn values(attribute: &Attribute) -> String {
    if attribute.values.is_empty() { "as the server names it".to_owned() } else { attribute.values.join(", ") }
}
