//! The Grafana dashboards: that they are what their sources say, well formed, about metrics that exist, and that each query of each
//! panel has an answer when a real Prometheus has scraped the demo.
//!
//! `INSTA_UPDATE=always` writes `grafana/dashboards` from `grafana/source`. `POSTMETER_PROMETHEUS` names a Prometheus; otherwise the
//! one on the path is taken. Without one the queries are not run, unless `POSTMETER_REQUIRE_PROMETHEUS=1` demands it.
#![allow(clippy::unwrap_used)]

mod queries;
mod render;
mod source;
mod structure;
mod world;

use serde_json::Value;
use std::path::{Path, PathBuf};

/// All dashboards as they are provisioned, by the names of their files.
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

/// The panels of a dashboard; rows as well.
fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

/// The queries of a panel.
fn targets(panel: &Value) -> &[Value] {
    panel["targets"].as_array().map_or(&[], Vec::as_slice)
}

/// A text of a panel or of a query.
#[track_caller]
fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_else(|| panic!("no {key} in {of}"))
}

#[test]
fn dashboards_are_what_their_sources_say() {
    let sources = source::all();
    let folder = Path::new(source::GRAFANA).join("dashboards");
    for (name, source) in &sources {
        let rendered = format!("{:#}\n", render::dashboard(source));
        let path = folder.join(format!("{name}.json"));
        crate::support::assert_generated_file(&path, &rendered);
    }
    let names: Vec<_> = sources.iter().map(|(name, _)| name).collect();
    for (name, _) in dashboards() {
        assert!(names.contains(&&name), "{name}.json has no source");
    }
}
