//! `postmeter metrics`: prints the canonical metrics, or Postmeter's self-metrics.

use super::cli::{MetricsArgs, MetricsFormat};
use super::{AppError, print};
use crate::model::{Attribute, Kind, Metric, Repair, registry, vocabulary};
use crate::poll::PollError;
use crate::source::SOURCES;
use crate::telemetry::{SELF_METRICS, metrics_of};
use serde_json::json;
use std::fmt::Write as _;

pub(super) fn metrics(args: &MetricsArgs) -> Result<(), AppError> {
    let table = if args.self_metrics { Table::SelfMetrics } else { Table::Canonical };
    let printed = match args.format {
        MetricsFormat::Text => table.text(),
        MetricsFormat::Markdown => table.markdown(),
        MetricsFormat::Json => table.json(),
        MetricsFormat::Semconv => registry::document(SELF_METRICS),
    };
    print(&printed)
}

/// A table of metrics that can be printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    /// The metrics of mail servers, with the systems that have them.
    Canonical,
    /// Postmeter's own metrics.
    SelfMetrics,
}

impl Table {
    fn metrics(self) -> &'static [&'static Metric] {
        match self {
            Self::Canonical => vocabulary::ALL,
            Self::SelfMetrics => SELF_METRICS,
        }
    }

    fn text(self) -> String {
        let mut out = String::new();
        for metric in self.metrics() {
            let separator = if metric.unit.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}  ({}{separator}{})", metric.name, kind(metric), metric.unit);
            let _ = writeln!(out, "    {}", metric.help);
            for (attribute, detail) in attributes(metric) {
                let _ = writeln!(out, "    {}{}: {}", attribute.key, if detail { " (detail)" } else { "" }, self.values(metric, attribute));
            }
            if self == Self::Canonical {
                let _ = writeln!(out, "    from: {}", systems(metric).join(", "));
            }
            out.push('\n');
        }
        out
    }

    /// The table of docs/metrics.md.
    fn markdown(self) -> String {
        let last_column = if self == Self::Canonical { "from" } else { "description" };
        let mut out = format!("| metric | kind | unit | attributes | {last_column} |\n|---|---|---|---|---|\n");
        for metric in self.metrics() {
            let keys = attributes(metric).map(
                |(attribute, detail)| {
                    if detail { format!("[{}]", attribute.key) } else { attribute.key.to_owned() }
                },
            );
            let keys = keys.collect::<Vec<_>>().join(", ");
            let last_column = match self {
                Self::Canonical if systems(metric).len() == SOURCES.len() => "all".to_owned(),
                Self::Canonical => systems(metric).join(", "),
                Self::SelfMetrics => metric.help.to_owned(),
            };
            let _ = writeln!(out, "| {} | {} | {} | {keys} | {last_column} |", metric.name, kind(metric), metric.unit);
        }
        out
    }

    fn json(self) -> String {
        let attribute =
            |(attribute, detail): (&Attribute, bool)| json!({"key": attribute.key, "values": attribute.values, "detail": detail});
        let metric = |metric: &&Metric| {
            let mut object = json!({
                "name": metric.name,
                "kind": kind(metric),
                "unit": metric.unit,
                "description": metric.help,
                "attributes": attributes(metric).map(attribute).collect::<Vec<_>>(),
            });
            if self == Self::Canonical {
                object["systems"] = systems(metric).into();
            }
            object
        };
        let metrics: Vec<_> = self.metrics().iter().map(metric).collect();
        format!("{:#}\n", json!({ "metrics": metrics }))
    }

    /// The values of an attribute, for people.
    fn values(self, metric: &Metric, attribute: &Attribute) -> String {
        let is = |other: &Attribute| std::ptr::eq(attribute, other);
        match self {
            _ if !attribute.values.is_empty() => attribute.values.join(", "),
            _ if is(&vocabulary::REPAIR_KIND) => Repair::ALL.map(Repair::as_str).join(", "),
            _ if is(&vocabulary::ERROR_TYPE) && metric.name == vocabulary::POLL_ERRORS.name => PollError::TYPES.join(", "),
            _ if is(&vocabulary::POLL_PART) => "a part of the mail system, as `postmeter systems show` prints it".to_owned(),
            Self::Canonical => "as the server reports it".to_owned(),
            Self::SelfMetrics => "any value".to_owned(),
        }
    }
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::UpDownCounter => "up-down counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// The mail systems that have a canonical metric.
fn systems(metric: &Metric) -> Vec<&'static str> {
    SOURCES.iter().filter(|source| metrics_of(source).contains(&metric)).map(|source| source.name).collect()
}

/// The attributes of a metric, and whether they are optional.
fn attributes(metric: &Metric) -> impl Iterator<Item = (&'static Attribute, bool)> {
    let always = metric.attributes.iter().map(|attribute| (*attribute, false));
    always.chain(metric.detail.iter().map(|attribute| (*attribute, true)))
}
