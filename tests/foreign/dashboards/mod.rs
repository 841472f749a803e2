//! Tests of the Grafana dashboards: they match their sources, are well formed, read existing metrics, and every query of every panel
//! returns data from a real Prometheus that scrapes the demo.
//!
//! `INSTA_UPDATE=always` writes `grafana/dashboards` from `grafana/source`. `POSTMETER_PROMETHEUS` names the Prometheus binary; the
//! default is the one on the path. If there is none, the queries are skipped, unless `POSTMETER_REQUIRE_PROMETHEUS=1` requires them.
#![allow(clippy::unwrap_used)]

mod lint;
mod pushed;
mod queries;
mod render;
mod source;
mod structure;
mod units;
mod variables;
mod world;

use serde_json::Value;
use std::path::{Path, PathBuf};

/// All provisioned dashboards, with the names of their files.
fn dashboards() -> Vec<(String, Value)> {
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let dashboard = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, dashboard)
    };
    let dashboards: Vec<_> = crate::support::files(&Path::new(source::GRAFANA).join("dashboards")).iter().map(read).collect();
    assert!(dashboards.len() >= 7, "dashboards are missing");
    dashboards
}

/// The panels of a dashboard, rows and the panels of collapsed rows included.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let rows_and_panels = dashboard["panels"].as_array().unwrap();
    rows_and_panels.iter().flat_map(|panel| [vec![panel], inside_of(panel)].concat()).collect()
}

/// The panels of a collapsed row.
fn inside_of(row: &Value) -> Vec<&Value> {
    row["panels"].as_array().map(|panels| panels.iter().collect()).unwrap_or_default()
}

/// The queries of a panel.
fn targets(panel: &Value) -> &[Value] {
    panel["targets"].as_array().map_or(&[], Vec::as_slice)
}

/// A string field of a panel or query.
#[track_caller]
fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("no {key} in {object}"))
}

#[test]
fn dashboards_match_their_sources() {
    let sources = source::all();
    let systems: Vec<&str> = sources.iter().filter_map(|(_, source)| source.system.as_deref()).collect();
    let directory = Path::new(source::GRAFANA).join("dashboards");
    for (name, source) in &sources {
        let rendered = format!("{:#}\n", render::dashboard(source, &systems));
        crate::support::assert_generated_file(&directory.join(format!("{name}.json")), &rendered);
    }
    let names: Vec<_> = sources.iter().map(|(name, _)| name).collect();
    for (name, _) in dashboards() {
        assert!(names.contains(&&name), "{name}.json has no source");
    }
}
