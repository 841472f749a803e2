//! The examples for notifications: Alertmanager's configuration, checked by amtool, and the files for Grafana's alerting, whose rules are made
//! from those of Prometheus.
//!
//! `POSTMETER_AMTOOL` names amtool; otherwise it is on PATH. `.ci/alert-programs` builds it. Without it the checks are skipped, unless
//! `POSTMETER_REQUIRE_AMTOOL=1` requires them.

use super::{alerts, rule_files, text, yaml};
use crate::support::{assert_generated_file, skipped};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ALERTMANAGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/alertmanager.yml");
const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana");
/// The longest uid that Grafana accepts.
const UID_MAX: usize = 40;
/// The types of contact points and receivers that send mail.
const MAIL: &str = "email";

/// Runs amtool. `None` if there is none.
fn amtool(test: &str, arguments: &[&str]) -> Option<Output> {
    let path = std::env::var_os("POSTMETER_AMTOOL").map_or_else(|| PathBuf::from("amtool"), PathBuf::from);
    match Command::new(path).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("POSTMETER_REQUIRE_AMTOOL").is_none_or(|v| v != "1"), "amtool: {error}; .ci/alert-programs builds it");
            skipped(test, "amtool is not installed");
            None
        }
    }
}

#[test]
fn amtool_accepts_the_configuration() {
    let Some(output) = amtool("amtool_accepts_the_configuration", &["check-config", ALERTMANAGER]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The receiver of an alert by its severity, as amtool finds it.
#[test]
fn each_alert_reaches_its_receiver() {
    for (name, rule) in alerts() {
        let severity = text(&rule["labels"], "severity");
        let labels = [format!("alertname={name}"), format!("severity={severity}"), "job=cpanel".to_owned(), "instance=whm1".to_owned()];
        let config = format!("--config.file={ALERTMANAGER}");
        let arguments: Vec<&str> = ["config", "routes", "test", &config].into_iter().chain(labels.iter().map(String::as_str)).collect();
        let Some(output) = amtool("each_alert_reaches_its_receiver", &arguments) else { return };
        let expected = if severity == "critical" { "pager" } else { "chat" };
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Alertmanager matches whole values, and a name that no alert has is a mistake.
#[test]
fn inhibition_names_existing_alerts() {
    let config = yaml(Path::new(ALERTMANAGER));
    let names: Vec<String> = alerts().into_keys().collect();
    let mut found = 0;
    for rule in config["inhibit_rules"].as_array().unwrap() {
        for matcher in ["source_matchers", "target_matchers"].iter().flat_map(|key| rule[*key].as_array().unwrap()) {
            let (_, pattern) = matcher.as_str().unwrap().split_once('"').unwrap();
            for name in pattern.trim_end_matches('"').split('|') {
                let matches = |alert: &String| alert == name || name.strip_suffix(".+").is_some_and(|prefix| alert.starts_with(prefix));
                assert!(names.iter().any(matches), "{matcher}: no alert {name}");
                found += 1;
            }
        }
    }
    assert!(found >= 8, "{found}");
}

/// An alert about one server mutes no alert about another, and an outage of one Postmeter process none about servers that others poll.
#[test]
fn inhibition_is_limited_to_the_same_server() {
    let config = yaml(Path::new(ALERTMANAGER));
    let mut about_servers = 0;
    for rule in config["inhibit_rules"].as_array().unwrap() {
        let matchers = |key: &str| rule[key].as_array().unwrap().iter().map(|matcher| matcher.as_str().unwrap()).collect::<String>();
        assert!(!matchers("source_matchers").contains("PostmeterDown"), "{rule}");
        if matchers("target_matchers").contains("\"Mail") {
            assert_eq!(rule["equal"], json!(["job", "instance"]), "{rule}");
            about_servers += 1;
        }
    }
    assert!(about_servers >= 3, "{about_servers}");
}

/// A mail server that is down cannot deliver the alert about it.
#[test]
fn no_notification_is_sent_by_mail() {
    let config = yaml(Path::new(ALERTMANAGER));
    for receiver in config["receivers"].as_array().unwrap() {
        assert!(receiver.as_object().unwrap().keys().all(|key| !key.contains(MAIL)), "{receiver}");
    }
    assert!(config["global"].is_null());
    let points = yaml(&Path::new(GRAFANA).join("alerting/contact-points.yaml"));
    for receiver in points["contactPoints"].as_array().unwrap().iter().flat_map(|point| point["receivers"].as_array().unwrap()) {
        assert_ne!(text(receiver, "type"), MAIL);
        assert!(text(receiver, "uid").len() <= UID_MAX && text(&receiver["settings"], "url").starts_with('$'), "{receiver}");
    }
}

/// The routes of Grafana are those of Alertmanager.
#[test]
fn grafana_routes_as_alertmanager_does() {
    let alertmanager = yaml(Path::new(ALERTMANAGER));
    let policies = yaml(&Path::new(GRAFANA).join("alerting/policies.yaml"));
    let points = yaml(&Path::new(GRAFANA).join("alerting/contact-points.yaml"));
    let names: Vec<&str> = points["contactPoints"].as_array().unwrap().iter().map(|point| text(point, "name")).collect();
    let times = ["group_wait", "group_interval", "repeat_interval"];
    let settings = |route: &Value, matchers: String| {
        let times = times.map(|key| text(route, key).to_owned());
        (text(route, "receiver").trim_start_matches("mail-").to_owned(), matchers, times)
    };
    let of_alertmanager = |route: &Value| {
        let matchers = route["matchers"].as_array().into_iter().flatten().map(|matcher| matcher.as_str().unwrap().replace('"', ""));
        settings(route, matchers.collect())
    };
    let of_grafana = |route: &Value| {
        assert!(names.contains(&text(route, "receiver")), "{route}");
        let matcher = |matcher: &Value| matcher.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect::<String>();
        settings(route, route["object_matchers"].as_array().into_iter().flatten().map(matcher).collect())
    };
    let (root, policy) = (&alertmanager["route"], &policies["policies"][0]);
    assert_eq!(of_grafana(policy), of_alertmanager(root));
    assert_eq!(policy["group_by"], root["group_by"]);
    let (routes, policies_of_grafana): (Vec<_>, Vec<_>) = (
        root["routes"].as_array().unwrap().iter().map(of_alertmanager).collect(),
        policy["routes"].as_array().unwrap().iter().map(of_grafana).collect(),
    );
    assert_eq!(policies_of_grafana, routes);
}

#[test]
fn grafana_rules_match_those_of_prometheus() {
    let provisioned = yaml(&Path::new(GRAFANA).join("provisioning/datasources/datasources.yaml"));
    let source = provisioned["datasources"].as_array().unwrap().iter().find(|source| source["type"] == "prometheus").unwrap();
    let mut groups = Vec::new();
    for group in rule_files().iter().flat_map(|file| yaml(file)["groups"].as_array().unwrap().clone()) {
        let alerts = group["rules"].as_array().unwrap().iter().filter(|rule| rule.get("alert").is_some());
        let rules: Vec<Value> = alerts.map(|rule| grafana_rule(rule, text(source, "uid"))).collect();
        if !rules.is_empty() {
            groups.push(json!({"orgId": 1, "name": group["name"], "folder": "Mail alerts", "interval": "1m", "rules": rules}));
        }
    }
    let file = json!({"apiVersion": 1, "groups": groups});
    // JSON is YAML; Grafana reads files that end in .json as well.
    assert_generated_file(&Path::new(GRAFANA).join("alerting/rules.json"), &format!("{file:#}\n"));
}

/// A rule of Grafana with the query, duration, labels and texts of a rule of Prometheus.
fn grafana_rule(rule: &Value, datasource: &str) -> Value {
    let name = text(rule, "alert");
    let uid = format!("pm-{}", name.to_lowercase());
    assert!(uid.len() <= UID_MAX, "{uid}");
    let annotations: BTreeMap<&str, String> = rule["annotations"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, text)| (key.as_str(), escaped(&in_grafana(text.as_str().unwrap()))))
        .collect();
    json!({
        "uid": uid,
        "title": name,
        "condition": "firing",
        "data": [
            {
                "refId": "query",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": datasource,
                "model": {"refId": "query", "expr": escaped(text(rule, "expr")), "instant": true, "range": false, "editorMode": "code"},
            },
            // As in Prometheus, each series of the result is an alert, whatever its value is.
            {
                "refId": "firing",
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "firing", "type": "math", "datasource": {"type": "__expr__", "uid": "__expr__"},
                    "expression": escaped("is_number($query) || is_nan($query) || is_inf($query)"),
                },
            },
        ],
        "for": rule["for"],
        "labels": rule["labels"],
        "annotations": annotations,
        // No series is no alert. A query that fails is one.
        "noDataState": "OK",
        "execErrState": "Error",
        "isPaused": false,
    })
}

/// A template of Prometheus as Grafana understands it: `$value` is a text there, and there are no external labels.
fn in_grafana(template: &str) -> String {
    let template = template.replace(super::GRAFANA_URL, "{{ externalURL }}/d/");
    let template = template.strip_suffix("{{ end }}").map(str::to_owned).unwrap_or(template);
    assert!(!template.contains("$externalLabels"), "{template}");
    template.replace("$value", "$values.query.Value")
}

/// Grafana replaces variables of its environment in provisioned files; `$$` is a dollar sign.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}
