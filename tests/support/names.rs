//! The metrics that PromQL queries read, and the Prometheus names of the canonical metrics.

use super::{postmeter, stdout};
use std::collections::{BTreeMap, BTreeSet};

/// A metric in a query, and the selector in its braces.
#[derive(Debug, PartialEq, Eq)]
pub struct Selected<'a> {
    pub name: &'a str,
    pub selector: &'a str,
}

/// The metrics that a PromQL query reads. A metric without braces is not recognized, so queries must have them;
/// a metric without a name must begin with a matcher of its names.
pub fn selected(expr: &str) -> Vec<Selected<'_>> {
    let mut found = Vec::new();
    let mut quoted = false;
    let mut opened = None;
    for (at, byte) in expr.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'{' if !quoted => opened = Some(at),
            b'}' if !quoted => {
                let from = opened.take().unwrap_or_else(|| panic!("unmatched closing brace: {expr}"));
                let name = &expr[..from];
                let start = name.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).map_or(0, |before| before + 1);
                let selector = &expr[from + 1..at];
                found.push(match &name[start..] {
                    // A native counter, by both of its names: without and with the suffix of an OTLP receiver.
                    "" => {
                        let (names, selector) = selector.strip_prefix("__name__=~\"").and_then(|rest| rest.split_once('"')).unwrap();
                        Selected { name: names.split('|').next().unwrap_or_default(), selector: selector.trim_start_matches(',') }
                    }
                    name => Selected { name, selector },
                });
            }
            _ => {}
        }
    }
    found
}

/// The canonical metrics by their Prometheus names, with the labels of each.
pub fn vocabulary() -> BTreeMap<String, BTreeSet<String>> {
    let printed = postmeter().args(["metrics", "--format", "json"]).output().unwrap();
    let printed: serde_json::Value = serde_json::from_str(&stdout(&printed)).unwrap();
    let mut names = BTreeMap::new();
    for metric in printed["metrics"].as_array().unwrap() {
        let text = |key: &str| metric[key].as_str().unwrap();
        let unit = match (text("unit"), text("kind")) {
            ("s", _) => "_seconds",
            ("By", _) => "_bytes",
            ("1", "gauge") => "_ratio",
            (unit, _) => {
                assert!(unit.is_empty() || unit.starts_with('{'), "unknown unit {unit}");
                ""
            }
        };
        let name = text("name").replace('.', "_") + unit;
        let attributes = metric["attributes"].as_array().unwrap().iter();
        let mut labels: BTreeSet<String> = attributes.map(|attribute| attribute["key"].as_str().unwrap().replace('.', "_")).collect();
        labels.extend(["job", "instance", "via", "mail_system_name"].map(str::to_owned));
        match text("kind") {
            "counter" => drop(names.insert(name + "_total", labels)),
            "histogram" => {
                for part in ["_sum", "_count"] {
                    names.insert(name.clone() + part, labels.clone());
                }
                // A native histogram.
                names.insert(name.clone(), labels.clone());
                labels.insert("le".to_owned());
                names.insert(name + "_bucket", labels);
            }
            _ => drop(names.insert(name, labels)),
        }
    }
    assert!(names.len() > 50, "{names:?}");
    names
}

/// The names of the labels in a selector.
pub fn labels_of(selector: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let matchers = selector.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    matchers.map(|matcher| matcher.split(['=', '!']).next().unwrap_or_default().trim()).filter(|label| !label.is_empty())
}
