//! Definitions that read JSON: values that are not known, and why.

use super::*;

const QUEUE: &str = r#"name: hub-api
parts:
  - name: queue
    requests:
      - path: /queue
        reader: json
        series:
          - {family: api_queue, each: "$.hosts[*].q[*]", labels: {s: "$.s"}, value: 1, zero_for: [{s: act}, {s: def}]}
          - {family: api_expiry, value: "$.expires"}
    rules:
      - {family: api_queue, metric: mail.queue.depth, attributes: {mail.queue.state: {label: s, values: {act: active, def: deferred}}}}
      - {family: api_expiry, metric: mail.complaints}
"#;

/// The points of a body, and the reasons of those without a value.
fn explained(folder: &Path, body: &str) -> (Vec<String>, Vec<String>) {
    fs::write(folder.join("body.json"), body).unwrap();
    let output = run(folder, "explain --systems-file api.yaml --system hub-api --file body.json --format json");
    assert!(output.status.success(), "{body}: {}", stderr(&output));
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let target = &json["targets"][0];
    let list = |key: &str| target[key].as_array().unwrap().clone();
    let depths = list("points").into_iter().filter(|point| point["metric"] == "mail.queue.depth");
    let depths = depths.map(|point| format!("{} {}", point["attributes"]["mail.queue.state"].as_str().unwrap(), point["value"])).collect();
    let reasons = list("points_without_value").into_iter().map(|point| point["reason"].as_str().unwrap().to_owned());
    let mut reasons: Vec<String> = reasons.collect();
    reasons.dedup();
    (depths, reasons)
}

#[test]
fn a_value_that_cannot_be_read_makes_its_sum_unknown_and_is_explained() {
    let folder = folder();
    fs::write(folder.path().join("api.yaml"), QUEUE).unwrap();
    let long = "x".repeat(300);
    for (body, depths, reason) in [
        (r#"{"hosts":[{"q":[{"s":"act"},{"s":"act"}]},{"q":[]}]}"#.to_owned(), &["active 2", "deferred 0"][..], String::new()),
        // With a byte order mark.
        ("\u{feff}{\"hosts\":[{\"q\":[{\"s\":\"def\"}]}]}".to_owned(), &["active 0", "deferred 1"], String::new()),
        (
            r#"{"hosts":[{"q":[{"s":"act"},{"s":["act","def"]}]}]}"#.to_owned(),
            &[],
            "api_queue cannot be read: a label is a list or an object".to_owned(),
        ),
        (r#"{"hosts":[{"q":[{"s":"act"}]},{"q":null}]}"#.to_owned(), &[], "api_queue cannot be read: one of its lists is null".to_owned()),
        (r#"{"hosts":[{"q":null},{"q":[]}]}"#.to_owned(), &[], "api_queue cannot be read: one of its lists is null".to_owned()),
        (
            r#"{"hosts":[],"expires":"2026-11-28T12:00:00Z"}"#.to_owned(),
            &["active 0", "deferred 0"],
            "api_expiry cannot be read: the text `2026-11-28T12:00:00Z` is not a number".to_owned(),
        ),
        (
            format!(r#"{{"hosts":[],"expires":"{long}"}}"#),
            &["active 0", "deferred 0"],
            format!("api_expiry cannot be read: the text `{}…` is not a number", &long[..200]),
        ),
        (
            r#"{"hosts":[],"expires":true}"#.to_owned(),
            &["active 0", "deferred 0"],
            "api_expiry cannot be read: true is not a number".to_owned(),
        ),
    ] {
        let (mut found, reasons) = explained(folder.path(), &body);
        found.sort();
        assert_eq!(found, depths, "{body}");
        assert_eq!(reasons.join(";"), reason, "{body}");
    }
}
