//! What holds for every dashboard without a Prometheus: the grid, ids, texts, units, data sources, links, and names of metrics.

use super::{dashboards, panels, render, source, targets, text};
use crate::support::names::{labels_of, selected, vocabulary};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Panels that every Grafana has.
const CORE: &[&str] = &["row", "timeseries", "stat", "bargauge", "state-timeline", "heatmap", "table", "logs"];
/// Units of Grafana that are used here; one that it does not know would be written behind the number as it stands.
const UNITS: &[&str] =
    &["short", "s", "d", "ns", "bytes", "Bps", "percentunit", "cps", "mps", "eps", "ops", "reqps", "mpm", "cpm", "dateTimeFromNow"];
/// Colours that Grafana has names for.
const COLORS: &[&str] = &["green", "light-green", "yellow", "orange", "red", "blue", "purple", "dark-purple", "text"];
/// What is in canonical panels and not in the vocabulary: the identity of targets, and what Prometheus says of alerts.
const NOT_OURS: &[&str] = &["target_info", "ALERTS"];
/// Postmeter's own metrics; the query test sees that they are there.
const OWN: &[&str] = &[
    "postmeter_build_info",
    "postmeter_relay_changes_total",
    "otel_sdk_exporter_metric_data_point_exported_total",
    "otel_sdk_exporter_metric_data_point_inflight",
    "otel_sdk_exporter_operation_duration_seconds_bucket",
    "postmeter_export_queue_limit_bytes",
    "postmeter_export_queue_usage_bytes",
    "postmeter_export_retries_total",
    "postmeter_config_last_reload_success_timestamp_seconds",
    "postmeter_config_last_reload_successful",
    "postmeter_password_checks_total",
    "postmeter_pull_refusals_total",
    "postmeter_targets_files_errors_total",
    "postmeter_targets_files_failing",
    "postmeter_token_last_used_timestamp_seconds",
    "postmeter_collection_idle",
    "postmeter_targets_stale",
    "postmeter_targets_circuit_open",
    "postmeter_poll_requests",
    "postmeter_poll_waiting",
    "postmeter_poll_requests_limit",
    "postmeter_readings_memory_bytes",
    "postmeter_readings_memory_limit_bytes",
    "postmeter_readings_without_native_total",
    "postmeter_log_lines_dropped_total",
    "postmeter_export_spool_damaged_requests_total",
    "http_server_request_duration_seconds_bucket",
    "http_server_request_duration_seconds_count",
];

#[test]
fn every_dashboard_can_be_told_from_the_others_and_leads_to_them() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(text(&dashboard, "uid"), format!("postmeter-{name}"));
        assert!(uids.insert(text(&dashboard, "uid").to_owned()), "{name}: its uid stands twice");
        assert!(!text(&dashboard, "title").is_empty() && text(&dashboard, "description").ends_with('.'), "{name}: title and description");
        assert_eq!(dashboard["schemaVersion"], render::SCHEMA_VERSION, "{name}");
        assert_eq!(dashboard.get("id"), None, "{name}: Grafana gives the id");
        let link = &dashboard["links"][0];
        assert!(dashboard["tags"].as_array().unwrap().contains(&link["tags"][0]), "{name}: its link leads to its kind");
        let variables: Vec<_> = dashboard["templating"]["list"].as_array().unwrap().iter().map(|v| text(v, "name")).collect();
        assert_eq!(variables[..3], ["via", "job", "instance"], "{name}");
    }
}

#[test]
fn panels_fill_the_grid_without_overlap() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}, {title}: its id stands twice");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            let (x, y, width, height) = (place("x"), place("y"), place("w"), place("h"));
            assert!(width > 0 && height > 0 && x + width <= render::COLUMNS, "{name}, {title}: beside the grid");
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}, {title}: over another panel at {cell:?}");
            }
        }
        // Lines are full: no holes at their ends.
        let bottom = taken.iter().map(|(_, y)| *y).max().unwrap();
        for y in 0..=bottom {
            let filled = taken.iter().filter(|(_, at)| *at == y).count() as u64;
            assert_eq!(filled, render::COLUMNS, "{name}: line {y} of the grid has a hole");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_from_where() {
    let provisioned = std::fs::read_to_string(Path::new(source::GRAFANA).join("provisioning/datasources/datasources.yaml")).unwrap();
    let provisioned: Value = serde_saphyr::from_str(&provisioned).unwrap();
    let uids: Vec<_> = provisioned["datasources"].as_array().unwrap().iter().map(|source| (&source["type"], &source["uid"])).collect();
    for (name, dashboard) in dashboards() {
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            let kind = text(panel, "type");
            assert!(CORE.contains(&kind), "{name}, {title}: {kind} is no panel of Grafana's core");
            if kind == "row" {
                continue;
            }
            assert!(titles.insert(title), "{name}: two panels are called {title}");
            assert!(text(panel, "description").ends_with(['.', '%']), "{name}, {title}: its description is a sentence");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(UNITS.contains(&text(defaults, "unit")), "{name}, {title}: unit {}", defaults["unit"]);
            let source = &panel["datasource"];
            assert!(uids.contains(&(&source["type"], &source["uid"])), "{name}, {title}: {source} is not provisioned");
            assert!(!targets(panel).is_empty(), "{name}, {title}: no query");
            let mut ids = BTreeSet::new();
            for target in targets(panel) {
                assert_eq!(&target["datasource"], source, "{name}, {title}");
                assert!(ids.insert(text(target, "refId")), "{name}, {title}: {} stands twice", target["refId"]);
                assert!(!text(target, "expr").contains('@'), "{name}, {title}: an @ word that stands for nothing: {}", target["expr"]);
            }
            for color in colors(panel) {
                assert!(COLORS.contains(&color), "{name}, {title}: the colour {color}");
            }
        }
    }
}

/// All colours that a panel names.
fn colors(panel: &Value) -> Vec<&str> {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(color) if key == "color" || key == "fixedColor" => found.push(color),
                        value => walk(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&panel["fieldConfig"], &mut found);
    found
}

#[test]
fn canonical_panels_read_metrics_of_the_vocabulary_one_way_at_a_time() {
    let vocabulary = vocabulary();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).iter().filter(|panel| panel["datasource"]["type"] == "prometheus") {
            let title = text(panel, "title");
            for target in targets(panel) {
                let expr = text(target, "expr");
                let selections = selected(expr);
                assert!(!selections.is_empty(), "{name}, {title}: reads nothing: {expr}");
                for selection in selections {
                    let metric = selection.name;
                    if NOT_OURS.contains(&metric) || selection.selector.contains(r#"job=~"$own""#) {
                        assert!(
                            NOT_OURS.contains(&metric) || OWN.contains(&metric),
                            "{name}, {title}: {metric} is none of Postmeter's own"
                        );
                    } else if selection.selector.contains(r#"via="$via""#) {
                        let labels = vocabulary.get(metric).unwrap_or_else(|| panic!("{name}, {title}: no canonical metric {metric}"));
                        for label in labels_of(selection.selector) {
                            assert!(labels.contains(label), "{name}, {title}: {metric} has no label {label}");
                        }
                        for label in by(expr).filter(|_| !expr.contains(" or ")) {
                            assert!(labels.contains(label), "{name}, {title}: {metric} has no label {label}");
                        }
                    } else {
                        // Whether it is one of the mail server's words, the query test sees.
                        assert!(selection.selector.contains(r#"via=~"pull|""#), "{name}, {title}: {metric} is read both ways at once");
                        assert_ne!(name, "overview", "{title}: {metric} is not canonical");
                    }
                }
            }
        }
    }
}

#[test]
fn every_metric_of_the_vocabulary_is_on_a_dashboard() {
    let all: String =
        dashboards().iter().flat_map(|(_, dashboard)| panels(dashboard).iter().map(Value::to_string).collect::<Vec<_>>()).collect();
    // A histogram is shown by its buckets.
    let names = vocabulary().into_keys().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"));
    let missing: Vec<String> = names.filter(|name| !all.contains(&format!("{name}{{"))).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
}

/// The labels of all `by (...)`.
fn by(expr: &str) -> impl Iterator<Item = &str> {
    expr.split("by (").skip(1).flat_map(|rest| rest.split(')').next().unwrap_or_default().split(',').map(str::trim))
}

#[test]
fn selections_are_seen_in_queries() {
    let seen: Vec<_> =
        selected(r#"sum by (a) (rate(b_total{c="{}",d=~"x,y"}[1m])) / on (a) e:f{}"#).iter().map(|s| (s.name, s.selector)).collect();
    assert_eq!(seen, [("b_total", r#"c="{}",d=~"x,y""#), ("e:f", "")]);
    assert_eq!(labels_of(r#"c="{}",d=~"x,y",e!="""#).collect::<Vec<_>>(), ["c", "d", "e"]);
    assert_eq!(by("sum by (a, b) (c) + max by (d) (e)").collect::<Vec<_>>(), ["a", "b", "d"]);
}
