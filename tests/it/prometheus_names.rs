//! The names of canonical metrics and self-metrics in Prometheus, for each translation strategy: as in the documentation, and unique.
#![allow(clippy::unwrap_used)]

use crate::support::assert_generated_section;
use postmeter::model::{Kind, Metric, TranslationStrategy, vocabulary};
use postmeter::telemetry::SELF_METRICS;
use std::collections::BTreeMap;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/prometheus-names.md");

fn metrics() -> impl Iterator<Item = &'static Metric> {
    vocabulary::ALL.iter().chain(SELF_METRICS).copied()
}

#[test]
fn the_table_of_names_is_current() {
    let strategies = TranslationStrategy::ALL.map(|(name, _)| name).join(" | ");
    let mut table = format!("| OTLP | {strategies} |\n|---|---|---|---|---|\n");
    for metric in metrics() {
        let names = TranslationStrategy::ALL.map(|(_, strategy)| strategy.name_of(metric)).join(" | ");
        table += &format!("| {} | {names} |\n", metric.name);
    }
    assert_generated_section(Path::new(PAGE), "names", &table);
}

/// Every way in which a scraper can request a name: unchanged, or escaped.
fn escaped(name: &str) -> [String; 4] {
    let underscores = name.replace('.', "_");
    let dots = name.replace('_', "__").replace('.', "_dot_");
    let values = if name.contains('.') { format!("U__{}", name.replace('_', "__").replace('.', "_2e_")) } else { name.to_owned() };
    [name.to_owned(), underscores, dots, values]
}

#[test]
fn no_two_metrics_have_the_same_name_in_any_strategy() {
    for (strategy_name, strategy) in TranslationStrategy::ALL {
        let mut owners: BTreeMap<(usize, String), &str> = BTreeMap::new();
        for metric in metrics() {
            let name = strategy.name_of(metric);
            let lines: &[&str] = match metric.kind {
                Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
                _ => &[""],
            };
            // In OpenMetrics the family of a counter and its start times have further names.
            let base = name.strip_suffix("_total").filter(|_| metric.kind == Kind::Counter).unwrap_or(&name);
            let mut names: Vec<String> = lines.iter().map(|line| format!("{name}{line}")).collect();
            if base != name {
                names.extend([base.to_owned(), format!("{base}_created")]);
            }
            for name in names {
                for (escaping, escaped) in escaped(&name).into_iter().enumerate() {
                    let other = owners.insert((escaping, escaped.clone()), metric.name);
                    assert_eq!(other, None, "{strategy_name}: {} and {} are both named {escaped}", metric.name, other.unwrap_or_default());
                }
            }
        }
    }
}

#[test]
fn labels_of_a_metric_stay_different_in_every_strategy() {
    for metric in metrics() {
        for (strategy_name, strategy) in TranslationStrategy::ALL {
            let mut labels: Vec<_> =
                metric.attributes.iter().chain(metric.detail).map(|attribute| strategy.label_name(attribute.key)).collect();
            labels.sort_unstable();
            let all = labels.len();
            labels.dedup();
            assert_eq!(labels.len(), all, "{strategy_name}: {}", metric.name);
        }
    }
}
