//! The rules of Grafana's dashboard-linter that apply, each under its name. `grafana/README.md` lists the others, with the reasons.

use super::{dashboards, panels, source, targets, text};
use crate::support::names::selected;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// The name and label of the variable of each kind of data source.
const DATA_SOURCES: &[(&str, &str, &str)] =
    &[("prometheus", "prometheus_datasource", "Prometheus data source"), ("loki", "loki_datasource", "Loki data source")];

/// Each panel that is not a row, and the name of its place.
fn each_panel(check: impl Fn(&str, &Value, &Value)) {
    let mut checked = 0;
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["type"] != "row") {
            check(&format!("{name}, {}", text(panel, "title")), &dashboard, panel);
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked} panels");
}

fn variables(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["templating"]["list"].as_array().unwrap().iter()
}

/// The variable that selects a data source, as panels refer to it.
fn reference(kind: &str) -> Value {
    let (_, variable, _) = DATA_SOURCES.iter().find(|(known, ..)| *known == kind).unwrap();
    serde_json::json!({"type": kind, "uid": format!("${{{variable}}}")})
}

#[test]
fn template_datasource_rule() {
    for (name, dashboard) in dashboards() {
        let mut found = BTreeSet::new();
        for variable in variables(&dashboard).filter(|variable| variable["type"] == "datasource") {
            let kind = text(variable, "query");
            let expected = DATA_SOURCES.iter().find(|(known, ..)| *known == kind).unwrap_or_else(|| panic!("{name}: {kind}"));
            assert_eq!((text(variable, "name"), text(variable, "label")), (expected.1, expected.2), "{name}");
            assert_eq!((&variable["multi"], &variable["includeAll"]), (&Value::Bool(false), &Value::Bool(false)), "{name}");
            assert!(found.insert(kind), "{name}: two variables for {kind}");
        }
        // A variable for each data source that panels use, and no other.
        let used: BTreeSet<&str> = panels(&dashboard).into_iter().filter_map(|panel| panel["datasource"]["type"].as_str()).collect();
        assert_eq!(found, used, "{name}");
        assert_eq!(variables(&dashboard).next().unwrap()["query"], "prometheus", "{name}: other variables depend on it");
    }
}

/// Stricter than the rule: panels of every type, their queries, variables and annotations; and no other part of a dashboard names a data
/// source. `__inputs` would ask for data sources on import, but Grafana ignores it in provisioning.
#[test]
fn panel_datasource_rule() {
    let provisioned = std::fs::read_to_string(Path::new(source::GRAFANA).join("provisioning/datasources/datasources.yaml")).unwrap();
    let provisioned: Value = serde_saphyr::from_str(&provisioned).unwrap();
    let uids: Vec<String> =
        provisioned["datasources"].as_array().unwrap().iter().map(|source| format!("\"uid\":{}", source["uid"])).collect();
    for (name, dashboard) in dashboards() {
        let rendered = dashboard.to_string();
        for fixed in uids.iter().map(String::as_str).chain(["__inputs", "__requires", "${DS_"]) {
            assert!(!rendered.contains(fixed), "{name} contains {fixed}");
        }
        for variable in variables(&dashboard).filter(|variable| variable["type"] == "query") {
            assert_eq!(variable["datasource"], reference("prometheus"), "{name}, {}", text(variable, "name"));
        }
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            assert_eq!(annotation["datasource"], reference("prometheus"), "{name}, {}", text(annotation, "name"));
        }
    }
    each_panel(|at, _, panel| {
        let source = reference(text(&panel["datasource"], "type"));
        assert_eq!(panel["datasource"], source, "{at}");
        assert!(targets(panel).iter().all(|target| target["datasource"] == source), "{at}");
    });
}

#[test]
fn panel_title_description_rule() {
    each_panel(|at, _, panel| assert!(!text(panel, "title").is_empty() && !text(panel, "description").is_empty(), "{at}"));
}

#[test]
fn panel_no_targets_rule() {
    each_panel(|at, _, panel| assert!(!targets(panel).is_empty(), "{at}"));
}

/// Instead of the rule: `rate` and `increase` of `$window`, which grows with the range of the dashboard as `$__rate_interval` does, and is
/// never shorter than four changes of the metrics.
#[test]
fn target_rate_interval_rule() {
    each_panel(|at, _, panel| {
        for target in targets(panel).iter().filter(|_| panel["datasource"]["type"] == "prometheus") {
            let expr = text(target, "expr");
            for range in expr.split('[').skip(1).map(|rest| rest.split(']').next().unwrap_or_default()) {
                let is_count_of_an_hour = range == "1h" && expr.contains("increase(");
                assert!(range == "$window" || is_count_of_an_hour, "{at}: [{range}] in {expr}");
            }
        }
    });
}

/// Ranges of Loki queries are `$__auto`.
#[test]
fn target_logql_auto_rule() {
    each_panel(|at, _, panel| {
        for target in targets(panel).iter().filter(|_| panel["datasource"]["type"] == "loki") {
            let expr = text(target, "expr");
            assert_eq!(expr.contains("count_over_time("), expr.contains("[$__auto]"), "{at}: {expr}");
        }
    });
}

/// Each selector has the variables `job` and `instance`, or, for self-metrics of Postmeter, `own` and `process`.
#[test]
fn target_job_rule_and_target_instance_rule() {
    each_panel(|at, _, panel| {
        for target in targets(panel).iter().filter(|_| panel["datasource"]["type"] == "prometheus") {
            for selection in selected(text(target, "expr")) {
                let has = |job: &str, instance: &str| {
                    selection.selector.contains(&format!("job=~\"${job}\""))
                        && selection.selector.contains(&format!("instance=~\"${instance}\""))
                };
                // An alert about Postmeter has neither the job nor the instance of a mail server.
                let is_about_postmeter = selection.name == "ALERTS" && selection.selector.contains("Postmeter");
                assert!(has("job", "instance") || has("own", "process") || is_about_postmeter, "{at}: {}", selection.selector);
            }
        }
    });
}

/// The variables `job` and `instance` are queries that allow several values.
#[test]
fn template_job_rule_and_template_instance_rule() {
    for (name, dashboard) in dashboards() {
        for wanted in ["job", "instance"] {
            let variable = variables(&dashboard).find(|variable| variable["name"] == wanted).unwrap();
            assert_eq!(
                (&variable["type"], &variable["multi"], &variable["includeAll"]),
                (&"query".into(), &true.into(), &true.into()),
                "{name}"
            );
            assert!(text(variable, "definition").contains("mail_up"), "{name}");
        }
    }
}

/// Variables are read again when the time range changes.
#[test]
fn template_on_time_change_reload_rule() {
    for (name, dashboard) in dashboards() {
        for variable in variables(&dashboard).filter(|variable| variable["type"] == "query") {
            assert_eq!(variable["refresh"], 2, "{name}, {}", text(variable, "name"));
        }
    }
}

/// A counter is only read as a rate or an increase.
#[test]
fn target_counter_agg_rule() {
    each_panel(|at, _, panel| {
        for target in targets(panel).iter().filter(|_| panel["datasource"]["type"] == "prometheus") {
            let expr = text(target, "expr");
            for selection in selected(expr) {
                let is_counter = selection.name.ends_with("_total") || expr.contains(&format!("\"{}|", selection.name));
                let aggregated = ["rate(", "increase("].iter().any(|function| {
                    expr.contains(&format!("{function}{}{{", selection.name))
                        || expr.contains(&format!("{function}{{__name__=~\"{}|", selection.name))
                });
                assert!(!is_counter || aggregated, "{at}: {} in {expr}", selection.name);
            }
        }
    });
}
