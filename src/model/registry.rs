//! The conventions for mail in OpenTelemetry's format: the attributes, metrics, events and entities in `registry/*.yaml`.
//!
//! The files are the source of the vocabulary. The tables of [`vocabulary`](super::vocabulary), [`FIELDS`](super::FIELDS) and the
//! self-metrics are compared with them by `tests/it/registry.rs`; `postmeter metrics --format semconv` prints them.

/// For tests: the version of the conventions. It changes with every rename, which `docs/schema` describes.
pub const SCHEMA_VERSION: &str = "0.2.0";

/// The schema URL of the resource and the canonical scope (OpenTelemetry's telemetry schemas): the address of the file with the renames.
pub const SCHEMA_URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/schema/0.2.0");

/// The files with groups, in the order in which they are printed.
const FILES: [&str; 6] = [
    include_str!("registry/attributes.yaml"),
    include_str!("registry/entities.yaml"),
    include_str!("registry/events.yaml"),
    include_str!("registry/metrics.yaml"),
    include_str!("registry/polls.yaml"),
    include_str!("registry/self_metrics.yaml"),
];

/// The line of each file that begins its list of groups.
const GROUPS: &str = "groups:\n";

/// The registry as one YAML document.
#[must_use]
pub fn document() -> String {
    let groups = FILES.iter().filter_map(|file| file.split_once(GROUPS)).map(|(_, groups)| groups);
    std::iter::once(GROUPS).chain(groups).collect()
}
