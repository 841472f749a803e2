//! Canonical metrics that have no instrument, as families: the histograms of readings, and `target_info`.

use crate::model::{Attributes, FamiliesBuilder, FamilyType, Histogram, Kind, Metric, ReadingLimits, SelectedFamilies, vocabulary};
use crate::telemetry::Identity;
use std::collections::BTreeMap;

fn build(fill: impl FnOnce(&mut FamiliesBuilder<'_>)) -> SelectedFamilies {
    // The metrics are not input: their number is bounded where they are created.
    let mut out = FamiliesBuilder::new("", ReadingLimits::NONE);
    fill(&mut out);
    SelectedFamilies::unfiltered(out.finish())
}

fn begin(out: &mut FamiliesBuilder<'_>, name: &str, help: &str, kind: FamilyType) {
    let (name, help) = (out.add_text(name), out.add_text(help));
    out.family(name, help, kind);
}

fn label(out: &mut FamiliesBuilder<'_>, name: &str, value: &str) {
    let (name, value) = (out.add_text(name), out.add_text(value));
    out.label(name, value);
}

/// Converts the histograms of a reading. The SDK has no instrument for histograms with precomputed buckets.
#[must_use]
pub fn histograms(system: &str, identity: &Identity, histograms: &[(&'static Metric, Attributes, Histogram)]) -> SelectedFamilies {
    labeled_histograms(system, &[("instance", identity.instance()), ("job", identity.job())], histograms)
}

/// Converts the histograms of a reading, without `job` and `instance`.
#[must_use]
pub fn histograms_without_identity(system: &str, histograms: &[(&'static Metric, Attributes, Histogram)]) -> SelectedFamilies {
    labeled_histograms(system, &[], histograms)
}

fn labeled_histograms(system: &str, extra: &[(&str, &str)], histograms: &[(&'static Metric, Attributes, Histogram)]) -> SelectedFamilies {
    let mut sorted: Vec<_> = histograms.iter().collect();
    sorted.sort_by_key(|(metric, ..)| metric.name);
    build(|out| {
        for of_metric in sorted.chunk_by(|a, b| a.0 == b.0) {
            let metric = of_metric[0].0;
            begin(out, &prometheus_name(metric), metric.help, FamilyType::Histogram);
            for (_, attributes, histogram) in of_metric {
                let mut labels: BTreeMap<String, &str> =
                    attributes.iter().map(|(a, value)| (with_underscores(a.key), value.as_ref())).collect();
                labels.insert(with_underscores(vocabulary::SYSTEM_NAME.key), system);
                labels.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), *value)));
                for (name, value) in labels {
                    label(out, &name, value);
                }
                out.histogram(histogram.clone());
            }
        }
    })
}

/// Creates the family `target_info` with the resource attributes of targets.
#[must_use]
pub fn target_info<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> SelectedFamilies {
    build(|out| {
        begin(out, "target_info", "Attributes of the target's resource.", FamilyType::Gauge);
        for identity in identities {
            let mut labels: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in identity.info() {
                // Keys that map to the same label have their values joined, as the compatibility specification requires.
                labels.entry(name).and_modify(|v| *v = format!("{v};{value}")).or_insert_with(|| value.to_owned());
            }
            labels.insert("job".into(), identity.job().to_owned());
            labels.insert("instance".into(), identity.instance().to_owned());
            for (name, value) in labels {
                label(out, &name, &value);
            }
            out.number(1.0);
        }
    })
}

/// Returns the Prometheus name of a canonical metric, by the compatibility specification. `opentelemetry-prometheus` does the same
/// for the metrics of the SDK; a test compares the two.
#[must_use]
pub fn prometheus_name(metric: &Metric) -> String {
    let mut name = with_underscores(metric.name);
    match metric.unit {
        "s" => name += "_seconds",
        "By" => name += "_bytes",
        "1" if metric.kind == Kind::Gauge => name += "_ratio",
        _ => {}
    }
    if metric.kind == Kind::Counter {
        name += "_total";
    }
    name
}

fn with_underscores(key: &str) -> String {
    key.replace('.', "_")
}
