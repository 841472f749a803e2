//! The alert rules: what each says and where its runbook is, that they read metrics that exist, and that each comes, stays away and
//! goes as its cases in `otel-config/alerts/tests` say.
//!
//! The cases need `promtool`; without one they are not run, unless `POSTMETER_REQUIRE_PROMTOOL=1` demands it.
#![allow(clippy::unwrap_used)]

use crate::support::names::{labels_of, selected, vocabulary};
use crate::support::{files, skipped};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/alerts");
/// What the rules read and the vocabulary has not: the licence has no canonical metric, the others are Postmeter's own.
const NOT_IN_THE_VOCABULARY: &[&str] = &[
    "license_days_remaining",
    "otel_sdk_exporter_metric_data_point_exported_total",
    "postmeter_build_info",
    "postmeter_collection_idle",
    "postmeter_config_last_reload_successful",
    "postmeter_export_retries_total",
    "postmeter_export_spool_damaged_requests_total",
    "postmeter_export_spool_failing",
    "postmeter_log_lines_dropped_total",
    "postmeter_targets_circuit_open",
    "postmeter_targets_files_failing",
    "postmeter_targets_stale",
];
/// What an operator was promised an alert for.
const ALERTS_MIN: usize = 31;

/// The rule files, without their tests.
fn rule_files() -> Vec<PathBuf> {
    let yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yml");
    files(Path::new(ALERTS)).into_iter().filter(|path| path.parent() == Some(Path::new(ALERTS)) && yaml(path)).collect()
}

/// The files of cases.
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

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

/// A section of the runbook by its title.
fn runbook() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(Path::new(ALERTS).join("README.md")).unwrap();
    let section = |section: &str| section.split_once('\n').map(|(title, body)| (title.trim().to_owned(), body.to_owned()));
    text.split("\n### ").skip(1).filter_map(section).collect()
}

#[test]
fn every_alert_says_how_bad_what_how_much_and_what_to_do() {
    let (alerts, runbook) = (alerts(), runbook());
    assert!(alerts.len() >= ALERTS_MIN, "{} alerts", alerts.len());
    for (name, rule) in &alerts {
        let (labels, annotations) = (&rule["labels"], &rule["annotations"]);
        assert!(["critical", "warning", "info"].contains(&text(labels, "severity")), "{name}: severity");
        assert!(!text(rule, "for").is_empty(), "{name}: one bad reading is no alert");
        assert!(text(annotations, "summary").contains("{{ $labels.instance }}"), "{name}: the summary names the server");
        assert!(text(annotations, "description").contains("$value"), "{name}: the description has the value");
        assert_eq!(text(annotations, "runbook"), format!("otel-config/alerts/README.md#{}", name.to_lowercase()), "{name}");
        let section = runbook.get(name).unwrap_or_else(|| panic!("{name} is not in the runbook"));
        for part in ["**Means**", "**Look at**", "**Do**"] {
            assert!(section.contains(part), "{name}: the runbook has no {part}");
        }
    }
    let alerts: Vec<&String> = alerts.keys().collect();
    let unknown: Vec<&String> = runbook.keys().filter(|name| !alerts.contains(name)).collect();
    assert!(unknown.is_empty(), "the runbook is about alerts that are not there: {unknown:?}");
}

#[test]
fn rules_read_metrics_and_labels_that_exist() {
    let (vocabulary, rules) = (vocabulary(), rules());
    let recorded: BTreeSet<&str> = rules.iter().map(|rule| text(rule, "record")).filter(|name| !name.is_empty()).collect();
    let all = || rules.iter().map(|rule| text(rule, "expr"));
    for expr in all() {
        for selection in selected(expr) {
            let labels = vocabulary.get(selection.name);
            let ours = recorded.contains(selection.name) || NOT_IN_THE_VOCABULARY.contains(&selection.name);
            assert!(labels.is_some() || ours, "no canonical metric {} in {expr}", selection.name);
            for label in labels.into_iter().flat_map(|labels| labels_of(selection.selector).map(move |label| (labels, label))) {
                assert!(label.0.contains(label.1), "{} has no label {}", selection.name, label.1);
            }
        }
        // Metrics without braces: every word that looks like one.
        for word in expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
            if word.starts_with("mail:") {
                assert!(recorded.contains(word), "nothing records {word}");
            } else if word.starts_with("mail_") && !vocabulary.contains_key(word) {
                assert!(vocabulary.values().any(|labels| labels.contains(word)), "no canonical metric or label {word} in {expr}");
            }
        }
    }
    for name in recorded {
        assert!(all().any(|expr| expr.contains(name)), "nothing reads {name}");
    }
    for name in NOT_IN_THE_VOCABULARY {
        assert!(all().any(|expr| expr.contains(name)), "nothing reads {name}");
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_stays_away_comes_and_goes() {
    let mut untested: BTreeSet<String> = alerts().into_keys().collect();
    for file in case_files() {
        let cases = yaml(&file);
        // promtool takes groups that are not named in any order, before the others: rules would read what is not recorded yet.
        let mut loaded = Vec::new();
        for rules in cases["rule_files"].as_array().unwrap() {
            let rules = yaml(&file.parent().unwrap().join(rules.as_str().unwrap()));
            loaded.extend(rules["groups"].as_array().unwrap().iter().map(|group| group["name"].clone()));
        }
        assert_eq!(cases["group_eval_order"], Value::Array(loaded), "{}", file.display());
        for case in cases["tests"].as_array().unwrap() {
            let name = text(case, "name");
            // In the order of time: how often it is there.
            let times: Vec<usize> = case["alert_rule_test"]
                .as_array()
                .unwrap()
                .iter()
                .inspect(|at| assert_eq!(text(at, "alertname"), name))
                .map(|at| at["exp_alerts"].as_array().map_or(0, Vec::len))
                .collect();
            assert_eq!(times, [0, 1, 0], "{name} stays away, comes once, and goes");
            let series: Vec<&str> = case["input_series"].as_array().unwrap().iter().map(|series| text(series, "series")).collect();
            let both = ["pull", "otlp"].iter().all(|via| series.iter().any(|series| series.contains(&format!("via=\"{via}\""))));
            assert!(both, "{name}: nothing comes both ways");
            assert!(untested.remove(name), "{name} is not there, or has two cases");
        }
    }
    assert!(untested.is_empty(), "no case for {untested:?}");
}

#[test]
fn promtool_agrees_with_every_case() {
    let mut check = vec!["check".into(), "rules".into()];
    check.extend(rule_files().into_iter().map(PathBuf::into_os_string));
    let mut test = vec!["test".into(), "rules".into()];
    test.extend(case_files().into_iter().map(PathBuf::into_os_string));
    for arguments in [check, test] {
        let said = match Command::new("promtool").args(arguments).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert!(std::env::var_os("POSTMETER_REQUIRE_PROMTOOL").is_none_or(|v| v != "1"), "promtool is not installed");
                skipped("promtool_agrees_with_every_case", "promtool is not installed");
                return;
            }
            said => said.unwrap(),
        };
        let text = [said.stdout, said.stderr].concat();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&text));
    }
}
