//! Tests of the alert rules: texts and runbooks are complete, rules read existing metrics, and every alert fires and resolves as its
//! cases in `otel-config/alerts/tests` expect.
//!
//! The cases need `promtool`; without it they are skipped, unless `POSTMETER_REQUIRE_PROMTOOL=1` requires it.
#![allow(clippy::unwrap_used)]

mod fleet;
mod intervals;
mod notify;
mod outage;
mod replay;

use crate::support::names::{labels_of, selected, vocabulary};
use crate::support::{files, skipped};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/alerts");
/// Metrics in rules that are not canonical: the native licence metric, and self-metrics of Postmeter.
const NOT_CANONICAL: &[&str] = &[
    "email_flag_stats",
    "email_user_stats",
    "license_days_remaining",
    "otel_sdk_exporter_metric_data_point_exported_total",
    "postmeter_build_info",
    "postmeter_certificate_not_after_timestamp_seconds",
    "postmeter_collection_idle",
    "postmeter_config_last_reload_successful",
    "postmeter_export_retries_total",
    "postmeter_export_spool_damaged_requests_total",
    "postmeter_export_spool_failing",
    "postmeter_log_lines_dropped_total",
    "postmeter_shards",
    "postmeter_targets_circuit_open",
    "postmeter_targets_files_failing",
    "postmeter_targets_http_failing",
    "postmeter_targets_records_missing",
    "postmeter_targets_stale",
    "up",
];
/// The number of shipped alerts.
const ALERTS_MIN: usize = 40;
/// The address of the runbook: that of the repository, and the path of the file in it.
const RUNBOOK: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/otel-config/alerts/README.md");
/// The beginning of a dashboard's address: the external label of Prometheus, if there is one.
const GRAFANA_URL: &str = "{{ with $externalLabels.grafana_url }}{{ . }}/d/";
/// The alert that is not about one server or process.
const WITHOUT_INSTANCE: &str = "PostmeterDown";

/// The rule files, without the test cases.
fn rule_files() -> Vec<PathBuf> {
    let yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yml");
    files(Path::new(ALERTS)).into_iter().filter(|path| path.parent() == Some(Path::new(ALERTS)) && yaml(path)).collect()
}

/// The files of test cases.
fn case_files() -> Vec<PathBuf> {
    files(&Path::new(ALERTS).join("tests"))
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules() -> Vec<Value> {
    let groups = |file: &PathBuf| yaml(file)["groups"].as_array().unwrap().clone();
    rule_files().iter().flat_map(groups).flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn alerts() -> BTreeMap<String, Value> {
    let alerts = rules().into_iter().filter(|rule| rule.get("alert").is_some());
    alerts.map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule)).collect()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

/// The sections of the runbook, by title.
fn runbook() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(Path::new(ALERTS).join("README.md")).unwrap();
    let section = |section: &str| section.split_once('\n').map(|(title, body)| (title.trim().to_owned(), body.to_owned()));
    text.split("\n### ").skip(1).filter_map(section).collect()
}

#[test]
fn every_alert_has_a_severity_texts_and_a_runbook() {
    let (alerts, runbook) = (alerts(), runbook());
    assert!(alerts.len() >= ALERTS_MIN, "{} alerts", alerts.len());
    for (name, rule) in &alerts {
        let (labels, annotations) = (&rule["labels"], &rule["annotations"]);
        assert!(["critical", "warning", "info"].contains(&text(labels, "severity")), "{name}: severity");
        assert!(!text(rule, "for").is_empty(), "{name}: `for` is missing, so a single bad reading would fire");
        let names_server = text(annotations, "summary").contains("{{ $labels.instance }}");
        assert_eq!(names_server, name != WITHOUT_INSTANCE, "{name}: the summary must name the server");
        assert!(text(annotations, "description").contains("$value"), "{name}: the description lacks the value");
        assert_eq!(text(annotations, "runbook_url"), format!("{RUNBOOK}#{}", name.to_lowercase()), "{name}");
        check_dashboard_url(name, text(annotations, "dashboard_url"));
        let section = runbook.get(name).unwrap_or_else(|| panic!("{name} has no section in the runbook"));
        for part in ["**Means**", "**Look at**", "**Do**"] {
            assert!(section.contains(part), "{name}: the runbook has no {part}");
        }
    }
    let alerts: Vec<&String> = alerts.keys().collect();
    let unknown: Vec<&String> = runbook.keys().filter(|name| !alerts.contains(name)).collect();
    assert!(unknown.is_empty(), "the runbook has sections of unknown alerts: {unknown:?}");
}

/// The dashboard exists, has the variable, and the variable has the alert's instance.
#[track_caller]
fn check_dashboard_url(alert: &str, url: &str) {
    let path = url.strip_prefix(GRAFANA_URL).and_then(|rest| rest.strip_suffix("{{ end }}")).unwrap_or_else(|| panic!("{alert}: {url}"));
    let (uid, query) = path.split_once('?').map_or((path, None), |(uid, query)| (uid, Some(query)));
    let file = format!("{}/grafana/dashboards/{}.json", env!("CARGO_MANIFEST_DIR"), uid.strip_prefix("postmeter-").unwrap());
    let dashboard = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{alert}: {uid}: {error}"));
    assert!(dashboard.contains(&format!("\"uid\": \"{uid}\"")), "{alert}");
    assert_eq!(query.is_some(), alert != WITHOUT_INSTANCE, "{alert}");
    if let Some(query) = query {
        let variable = query.strip_prefix("var-").and_then(|query| query.strip_suffix("={{ $labels.instance }}")).unwrap();
        assert!(dashboard.contains(&format!("\"name\": \"{variable}\"")), "{alert}: {uid} has no variable {variable}");
    }
}

/// Double-quoted names in the runbook are titles of dashboards or panels.
#[test]
fn the_runbook_names_existing_panels() {
    let dashboards = files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/grafana/dashboards")));
    let dashboards: String = dashboards.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for (name, section) in runbook() {
        for title in section.split('"').skip(1).step_by(2) {
            assert!(dashboards.contains(&format!("\"title\": \"{title}\"")), "{name}: no panel has the title {title}");
        }
    }
}

#[test]
fn rules_read_metrics_and_labels_that_exist() {
    let (vocabulary, rules) = (vocabulary(), rules());
    let recorded: BTreeSet<&str> = rules.iter().map(|rule| text(rule, "record")).filter(|name| !name.is_empty()).collect();
    let all = || rules.iter().map(|rule| text(rule, "expr"));
    for expr in all() {
        for selection in selected(expr) {
            let labels = vocabulary.get(selection.name);
            let is_known = recorded.contains(selection.name) || NOT_CANONICAL.contains(&selection.name);
            assert!(labels.is_some() || is_known, "no canonical metric {} in {expr}", selection.name);
            for label in labels_of(selection.selector) {
                assert!(labels.is_none_or(|labels| labels.contains(label)), "{} has no label {label}", selection.name);
            }
        }
        // Metrics without braces: every identifier that looks like one.
        for name in expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
            if name.starts_with("mail:") {
                assert!(recorded.contains(name), "no rule records {name}");
            } else if name.starts_with("mail_") && !vocabulary.contains_key(name) {
                assert!(vocabulary.values().any(|labels| labels.contains(name)), "no canonical metric or label {name} in {expr}");
            }
        }
    }
    for name in recorded {
        assert!(all().any(|expr| expr.contains(name)), "no rule reads {name}");
    }
    for name in NOT_CANONICAL {
        assert!(all().any(|expr| expr.contains(name)), "no rule reads {name}");
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_resolves() {
    let mut untested: BTreeSet<String> = alerts().into_keys().collect();
    for file in case_files() {
        let cases = yaml(&file);
        // promtool evaluates unlisted groups first and in any order, before the recording rules that they read.
        let mut groups = Vec::new();
        for rules in cases["rule_files"].as_array().unwrap() {
            let rules = yaml(&file.parent().unwrap().join(rules.as_str().unwrap()));
            groups.extend(rules["groups"].as_array().unwrap().iter().map(|group| group["name"].clone()));
        }
        assert_eq!(cases["group_eval_order"], Value::Array(groups), "{}", file.display());
        for case in cases["tests"].as_array().unwrap() {
            let name = text(case, "name");
            // The number of expected alerts, in the order of time.
            let expected: Vec<usize> = case["alert_rule_test"]
                .as_array()
                .unwrap()
                .iter()
                .inspect(|check| assert_eq!(text(check, "alertname"), name))
                .map(|check| check["exp_alerts"].as_array().map_or(0, Vec::len))
                .collect();
            assert_eq!(expected, [0, 1, 0], "{name}: inactive, firing once, resolved");
            let series: Vec<&str> = case["input_series"].as_array().unwrap().iter().map(|series| text(series, "series")).collect();
            let both = ["pull", "otlp"].iter().all(|via| series.iter().any(|series| series.contains(&format!("via=\"{via}\""))));
            assert!(both, "{name}: no series is both pulled and pushed");
            assert!(untested.remove(name), "{name} does not exist, or has two cases");
        }
    }
    assert!(untested.is_empty(), "alerts without a case: {untested:?}");
}

#[test]
fn every_case_passes_in_promtool() {
    let mut check: Vec<OsString> = vec!["check".into(), "rules".into(), "--lint=all".into(), "--lint-fatal".into()];
    check.extend(rule_files().into_iter().map(PathBuf::into_os_string));
    let mut test: Vec<OsString> = vec!["test".into(), "rules".into()];
    test.extend(case_files().into_iter().map(PathBuf::into_os_string));
    for arguments in [check, test] {
        promtool("every_case_passes_in_promtool", &arguments);
    }
}

/// Runs promtool, which must succeed. Without promtool the test is skipped.
#[track_caller]
fn promtool(name: &str, arguments: &[OsString]) {
    let output = match Command::new("promtool").args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(std::env::var_os("POSTMETER_REQUIRE_PROMTOOL").is_none_or(|v| v != "1"), "promtool is not installed");
            return skipped(name, "promtool is not installed");
        }
        output => output.unwrap(),
    };
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}
