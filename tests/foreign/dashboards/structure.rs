//! Checks of all dashboards that need no Prometheus: grid, ids, texts, units, data sources, links, and metric names.

use super::{dashboards, inside_of, panels, render, targets, text};
use crate::support::names::{labels_of, selected, vocabulary};
use serde_json::Value;
use std::collections::BTreeSet;

/// The panel types that are part of Grafana.
const CORE: &[&str] = &["row", "timeseries", "stat", "bargauge", "state-timeline", "heatmap", "table", "logs"];
/// The Grafana units in use. Grafana shows an unknown unit as text behind the number.
const UNITS: &[&str] = &["short", "s", "d", "ns", "bytes", "Bps", "percentunit", "cpm", "mpm", "opm", "reqpm", "dateTimeFromNow"];
/// The color names in use, all known to Grafana.
const COLORS: &[&str] = &["green", "light-green", "yellow", "orange", "red", "blue", "purple", "dark-purple", "text"];
/// Metrics of canonical panels that are not in the vocabulary: the identity of targets, and Prometheus' alerts.
const NOT_CANONICAL: &[&str] = &["target_info", "ALERTS"];
/// Self-metrics of Postmeter. The query test checks that they exist.
const SELF_METRICS: &[&str] = &[
    "postmeter_build_info",
    "postmeter_certificate_not_after_timestamp_seconds",
    "postmeter_shards",
    "postmeter_relay_changes_total",
    "otel_sdk_exporter_log_exported_total",
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
    "postmeter_targets_http_errors_total",
    "postmeter_targets_http_failing",
    "postmeter_token_last_used_timestamp_seconds",
    "postmeter_collection_idle",
    "postmeter_targets_stale",
    "postmeter_export_spool_failing",
    "postmeter_targets_circuit_open",
    "postmeter_targets_records_missing",
    "postmeter_poll_request_active",
    "postmeter_poll_request_waiting",
    "postmeter_poll_request_limit",
    "postmeter_reading_memory_usage_bytes",
    "postmeter_reading_memory_limit_bytes",
    "postmeter_reading_without_native_total",
    "postmeter_log_lines_dropped_total",
    "postmeter_export_spool_damaged_requests_total",
    "http_server_request_duration_seconds_bucket",
    "http_server_request_duration_seconds_count",
];

#[test]
fn every_dashboard_has_a_unique_uid_and_links_to_the_others() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(text(&dashboard, "uid"), format!("postmeter-{name}"));
        assert!(uids.insert(text(&dashboard, "uid").to_owned()), "{name}: duplicate uid");
        assert!(!text(&dashboard, "title").is_empty() && text(&dashboard, "description").ends_with('.'), "{name}: title and description");
        assert_eq!(dashboard["schemaVersion"], render::SCHEMA_VERSION, "{name}");
        assert_eq!(dashboard.get("id"), None, "{name}: Grafana assigns the id");
        let link = &dashboard["links"][0];
        assert!(
            dashboard["tags"].as_array().unwrap().contains(&link["tags"][0]),
            "{name}: the link selects dashboards by a tag that this dashboard lacks"
        );
        let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
        let variables: Vec<_> = variables.filter(|variable| variable["type"] != "datasource").map(|v| text(v, "name")).collect();
        assert_eq!(variables[..3], ["via", "job", "instance"], "{name}");
    }
}

/// A link of a table leads to a dashboard that exists, for each mail system: to its own one, or to the overview.
#[test]
fn links_of_tables_lead_to_existing_dashboards() {
    let names: BTreeSet<String> = dashboards().into_iter().map(|(name, _)| name).collect();
    let mut found = 0;
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["fieldConfig"].to_string().contains("/d/postmeter-")) {
            let overrides = panel["fieldConfig"]["overrides"].as_array().unwrap();
            let linked = overrides.iter().filter(|of| of["properties"][0]["id"] == "links");
            assert!(linked.clone().all(|of| of["matcher"]["options"] == "Dashboard"), "{name}: the value of the column is in the address");
            let expr = text(&targets(panel)[0], "expr");
            let (_, systems) = expr.rsplit_once("\"(").unwrap();
            let systems: Vec<&str> = systems.trim_end_matches("\")").split('|').map(|name| name.trim_end_matches(')')).collect();
            assert!(systems.iter().chain(&["overview"]).all(|system| names.contains(*system)), "{name}: {systems:?} {names:?}");
            assert!(expr.contains("\"overview\", \"\", \"\"") && systems.len() >= 5, "{name}: {expr}");
            found += linked.count();
        }
    }
    assert_eq!(found, 1);
}

#[test]
fn panels_fill_the_grid_without_overlap() {
    for (name, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}, {}: duplicate id", text(panel, "title"));
        }
        // The dashboard as it opens, and each expanded row.
        let visible: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().collect();
        check_grid(&name, 0, &visible);
        for row in visible.iter().filter(|panel| panel["collapsed"] == true) {
            check_grid(&name, row["gridPos"]["y"].as_u64().unwrap() + 1, &inside_of(row));
        }
    }
}

/// Checks that panels fill all lines of the grid from `top` on.
fn check_grid(name: &str, top: u64, panels: &[&Value]) {
    let mut occupied = BTreeSet::new();
    for panel in panels {
        let title = text(panel, "title");
        let position = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y, width, height) = (position("x"), position("y"), position("w"), position("h"));
        assert!(width > 0 && height > 0 && x + width <= render::COLUMNS, "{name}, {title}: outside the grid");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(occupied.insert(cell), "{name}, {title}: overlaps another panel at {cell:?}");
        }
    }
    let bottom = occupied.iter().map(|(_, y)| *y).max().unwrap();
    for y in top..=bottom {
        let filled = occupied.iter().filter(|(_, line)| *line == y).count() as u64;
        assert_eq!(filled, render::COLUMNS, "{name}: line {y} of the grid has a hole");
    }
}

/// A dashboard opens with its first row, so that it loads quickly.
#[test]
fn only_the_first_row_is_expanded() {
    for (name, dashboard) in dashboards() {
        let rows: Vec<_> = panels(&dashboard).into_iter().filter(|panel| panel["type"] == "row").collect();
        assert!(rows.len() > 1, "{name}");
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(
                (&row["collapsed"], !inside_of(row).is_empty()),
                (&Value::from(index > 0), index > 0),
                "{name}, {}",
                text(row, "title")
            );
        }
    }
}

#[test]
fn every_panel_has_a_title_a_description_a_unit_and_queries() {
    for (name, dashboard) in dashboards() {
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            let kind = text(panel, "type");
            assert!(CORE.contains(&kind), "{name}, {title}: {kind} is not a panel type of Grafana's core");
            if kind == "row" {
                continue;
            }
            assert!(titles.insert(title), "{name}: two panels have the title {title}");
            assert!(text(panel, "description").ends_with(['.', '%']), "{name}, {title}: the description is not a sentence");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(UNITS.contains(&text(defaults, "unit")), "{name}, {title}: unit {}", defaults["unit"]);
            let source = &panel["datasource"];
            assert!(!targets(panel).is_empty(), "{name}, {title}: no query");
            let mut ids = BTreeSet::new();
            for target in targets(panel) {
                assert_eq!(&target["datasource"], source, "{name}, {title}");
                assert!(ids.insert(text(target, "refId")), "{name}, {title}: duplicate refId {}", target["refId"]);
                assert!(!text(target, "expr").contains('@'), "{name}, {title}: an unknown placeholder: {}", target["expr"]);
            }
            for color in colors(panel) {
                assert!(COLORS.contains(&color), "{name}, {title}: unknown color {color}");
            }
        }
    }
}

/// All colors in the field configuration of a panel.
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
fn canonical_panels_read_canonical_metrics_of_one_source() {
    let vocabulary = vocabulary();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["datasource"]["type"] == "prometheus") {
            let title = text(panel, "title");
            for target in targets(panel) {
                let expr = text(target, "expr");
                let selections = selected(expr);
                assert!(!selections.is_empty(), "{name}, {title}: no metric in {expr}");
                for selection in selections {
                    let metric = selection.name;
                    if NOT_CANONICAL.contains(&metric) || selection.selector.contains(r#"job=~"$own""#) {
                        assert!(
                            NOT_CANONICAL.contains(&metric) || SELF_METRICS.contains(&metric),
                            "{name}, {title}: {metric} is not a self-metric of Postmeter"
                        );
                        continue;
                    }
                    assert!(selection.selector.contains(r#"via="$via""#), "{name}, {title}: pull and push of {metric} are added up");
                    if let Some(labels) = vocabulary.get(metric) {
                        for label in labels_of(selection.selector) {
                            assert!(labels.contains(label), "{name}, {title}: {metric} has no label {label}");
                        }
                        for label in by(expr).filter(|_| !expr.contains(" or ")) {
                            assert!(labels.contains(label), "{name}, {title}: {metric} has no label {label}");
                        }
                    } else {
                        // A native metric. The query tests check that it exists.
                        let is_own_name = ["mail_", "postmeter_"].iter().any(|prefix| metric.starts_with(prefix));
                        assert!(!is_own_name, "{name}, {title}: no canonical metric {metric}");
                        assert!(!["overview", "postmeter"].contains(&name.as_str()), "{title}: {metric} is not canonical");
                    }
                }
            }
        }
    }
}

#[test]
fn every_canonical_metric_is_on_a_dashboard() {
    let all: String =
        dashboards().iter().flat_map(|(_, dashboard)| panels(dashboard).into_iter().map(Value::to_string).collect::<Vec<_>>()).collect();
    // Histograms are shown by their buckets.
    let vocabulary = vocabulary();
    let is_histogram = |name: &str| vocabulary.contains_key(&format!("{name}_bucket"));
    let names = vocabulary.keys().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count") && !is_histogram(name));
    let missing: Vec<&String> = names.filter(|name| !all.contains(&format!("{name}{{"))).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
}

/// The labels of all `by (...)` clauses.
fn by(expr: &str) -> impl Iterator<Item = &str> {
    expr.split("by (").skip(1).flat_map(|rest| rest.split(')').next().unwrap_or_default().split(',').map(str::trim))
}

#[test]
fn selectors_are_found_in_queries() {
    let found: Vec<_> =
        selected(r#"sum by (a) (rate(b_total{c="{}",d=~"x,y"}[1m])) / on (a) e:f{}"#).iter().map(|s| (s.name, s.selector)).collect();
    assert_eq!(found, [("b_total", r#"c="{}",d=~"x,y""#), ("e:f", "")]);
    let both: Vec<_> = selected(r#"rate({__name__=~"a|a_total",b="c"}[1m])"#).iter().map(|s| (s.name, s.selector)).collect();
    assert_eq!(both, [("a", r#"b="c""#)]);
    assert_eq!(labels_of(r#"c="{}",d=~"x,y",e!="""#).collect::<Vec<_>>(), ["c", "d", "e"]);
    assert_eq!(by("sum by (a, b) (c) + max by (d) (e)").collect::<Vec<_>>(), ["a", "b", "d"]);
}
