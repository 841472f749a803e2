//! Canonical metrics that have no instrument, as families: histograms and `target_info`.

use crate::model::{Attributes, FamiliesBuilder, FamilyType, Histogram, Kind, Metric, ReadingLimits, SelectedFamilies, vocabulary};
use crate::telemetry::Identity;
use std::collections::BTreeMap;

fn build(fill: impl FnOnce(&mut FamiliesBuilder<'_>)) -> SelectedFamilies {
    // Of our own making, and bounded where it is made.
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

/// The distributions of a reading, which the SDK has no instrument for.
#[must_use]
pub fn histograms(system: &str, identity: &Identity, histograms: &[(&'static Metric, Attributes, Histogram)]) -> SelectedFamilies {
    labelled(system, &[("instance", identity.instance()), ("job", identity.job())], histograms)
}

/// The same without `job` and `instance`.
#[must_use]
pub fn histograms_alone(system: &str, histograms: &[(&'static Metric, Attributes, Histogram)]) -> SelectedFamilies {
    labelled(system, &[], histograms)
}

fn labelled(system: &str, extra: &[(&str, &str)], histograms: &[(&'static Metric, Attributes, Histogram)]) -> SelectedFamilies {
    let mut sorted: Vec<_> = histograms.iter().collect();
    sorted.sort_by_key(|(metric, ..)| metric.name);
    build(|out| {
        for of_metric in sorted.chunk_by(|a, b| a.0 == b.0) {
            let metric = of_metric[0].0;
            begin(out, &translated(metric), metric.help, FamilyType::Histogram);
            for (_, attributes, histogram) in of_metric {
                let mut labels: BTreeMap<String, &str> = attributes.iter().map(|(a, value)| (underscored(a.key), value.as_ref())).collect();
                labels.insert(underscored(vocabulary::SYSTEM_NAME.key), system);
                labels.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), *value)));
                for (name, value) in labels {
                    label(out, &name, value);
                }
                out.histogram(histogram.clone());
            }
        }
    })
}

/// The `target_info` of targets.
#[must_use]
pub fn target_info<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> SelectedFamilies {
    build(|out| {
        begin(out, "target_info", "Attributes of the target's resource.", FamilyType::Gauge);
        for identity in identities {
            let mut labels: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in identity.info() {
                // Two keys that become one label: both values, as the compatibility specification has it.
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

/// A canonical name in Prometheus' words, by the compatibility specification. `opentelemetry-prometheus` does the same for
/// what the SDK collects; a test compares the two.
#[must_use]
pub fn translated(metric: &Metric) -> String {
    let mut name = underscored(metric.name);
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

fn underscored(key: &str) -> String {
    key.replace('.', "_")
}
