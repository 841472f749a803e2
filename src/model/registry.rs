//! The conventions for mail in OpenTelemetry's format, which `postmeter metrics --format semconv` prints.
//!
//! Attributes, events and entities are in `registry/*.yaml`; `tests/it/registry.rs` compares the tables of
//! [`vocabulary`] and [`FIELDS`](super::FIELDS) with them. The groups of metrics are made from the tables of metrics.

use super::vocabulary::{self, SYSTEM_NAME};
use super::{Attribute, Kind, Metric, Number};

/// The schema URL of the resource and the canonical scope (OpenTelemetry's telemetry schemas): the address of the file with the renames. Its
/// end is the version of the conventions, which changes with every rename.
pub const SCHEMA_URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/schema/0.1.0");

/// The files with groups, in the order in which they are printed.
const FILES: [&str; 3] =
    [include_str!("registry/attributes.yaml"), include_str!("registry/entities.yaml"), include_str!("registry/events.yaml")];

/// The line of each file that begins its list of groups.
const GROUPS: &str = "groups:\n";

/// The registry as one YAML document. `self_metrics`: Postmeter's own metrics.
#[must_use]
pub fn document(self_metrics: &[&Metric]) -> String {
    let groups = FILES.iter().filter_map(|file| file.split_once(GROUPS)).map(|(_, groups)| groups.to_owned());
    let canonical = vocabulary::ALL.iter().map(|metric| group(metric, "mail.server", Some(&SYSTEM_NAME)));
    let own = self_metrics.iter().map(|metric| group(metric, "service.instance", None));
    std::iter::once(GROUPS.to_owned()).chain(groups).chain(canonical).chain(own).collect()
}

/// The group of a metric of an entity. `common`: the attribute that all metrics of the entity have.
fn group(metric: &Metric, entity: &str, common: Option<&Attribute>) -> String {
    let Metric { name, unit, help, .. } = metric;
    let note = if metric.note.is_empty() { String::new() } else { format!("    note: {:?}\n", metric.note) };
    let instrument = match metric.kind {
        Kind::Counter => "counter",
        Kind::UpDownCounter => "updowncounter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let number = match metric.number {
        Number::Int => "int",
        Number::Float => "double",
    };
    let conditional = format!("{{conditionally_required: {:?}}}", metric.condition);
    let level = |attribute| if metric.conditional.contains(&attribute) { conditional.as_str() } else { "required" };
    let levels = common.map(|attribute| (attribute, "required")).into_iter();
    let levels = levels.chain(metric.attributes.iter().map(|attribute| (*attribute, level(*attribute))));
    let levels = levels.chain(metric.detail.iter().map(|attribute| (*attribute, "opt_in")));
    let attributes: Vec<String> =
        levels.map(|(attribute, level)| format!("      - {{ref: {}, requirement_level: {level}}}\n", attribute.key)).collect();
    let attributes =
        if attributes.is_empty() { "    attributes: []\n".to_owned() } else { format!("    attributes:\n{}", attributes.concat()) };
    // Quotes and backslashes have the same form in a text of Rust's `Debug` as in one of YAML.
    format!(
        "  - id: metric.{name}
    type: metric
    metric_name: {name}
    stability: development
    brief: {help:?}
{note}    instrument: {instrument}
    unit: {unit:?}
    annotations: {{code_generation: {{metric_value_type: {number}}}}}
    entity_associations: [{entity}]
{attributes}"
    )
}
