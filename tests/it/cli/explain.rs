//! The reasons that `explain` gives for what has no value: each of them is true.

use super::run;
use crate::support::{stderr, stdout};
use serde_json::Value;
use std::path::Path;

/// The explanation of a response by a definition with these rules.
fn explain(folder: &Path, rules: &str, body: &str) -> Value {
    let definition = format!("name: x\nparts:\n  - name: m\n    requests: [{{path: /m}}]\n    identity: []\n    rules:\n{rules}");
    std::fs::write(folder.join("x.yaml"), definition).unwrap();
    std::fs::write(folder.join("body"), body).unwrap();
    let output = run(folder, "explain --systems-file x.yaml --system x --file body --format json");
    assert!(output.status.success(), "{}", stderr(&output));
    let mut explained: Value = serde_json::from_str(&stdout(&output)).unwrap();
    explained["targets"][0].take()
}

/// The reasons of points without a value and of series without a point.
fn reasons(explained: &Value) -> Vec<String> {
    let of = |list: &str| explained[list].as_array().unwrap().iter().map(|entry| entry["reason"].as_str().unwrap().to_owned());
    of("points_without_value").chain(of("series_without_point")).collect()
}

#[test]
fn each_value_that_is_left_out_has_its_own_reason() {
    let folder = tempfile::tempdir().unwrap();
    let age = "      - {family: t, metric: mail.queue.oldest_age, convert: age, attributes: {mail.queue.state: active}}\n";
    let depth = "      - {family: g, metric: mail.queue.depth, attributes: {mail.queue.state: {label: s, values: {a: active}}}}\n";
    let accounts = "      - {family: n, metric: mail.account.configured, absent_when_zero: true}\n";
    let count = "      - {family: c, metric: mail.complaints}\n";
    let difference = "      - {family: c, metric: mail.complaints}\n      - {family: d, metric: mail.complaints, scale: -1}\n";
    let absent = &difference.replacen("mail.complaints}", "mail.complaints, zero_when_absent: true}", 1);
    let summed = "      - {family: c, metric: mail.complaints, take: count}\n";
    for (rules, body, expected) in [
        (age, "t 0\n", "the time is 0 or before 1970, which means that the server does not know it"),
        (age, "t -62135596800\n", "the time is 0 or before 1970, which means that the server does not know it"),
        (age, "t 9e12\n", "the time is more than a day in the future; if it is in milliseconds, set unit: ms"),
        (age, "t NaN\n", "NaN or infinity as the value of a count; dropped"),
        (depth, "g{s=\"b\"} 1\n", "a label is missing or empty, or its value is not in the rule's table"),
        (depth, "g 1\n", "a label is missing or empty, or its value is not in the rule's table"),
        (depth, "g{s=\"a\"} -1\n", "the value is negative"),
        (accounts, "n 0\n", "the value is 0, which means that the server does not know it"),
        (count, "c 1e300\n", "the value is too large to be exact"),
        (count, "# TYPE c summary\nc_count 5\n", "the metric needs a number, and the series is a summary"),
        (
            count,
            "# TYPE c histogram\nc_bucket{le=\"+Inf\"} 5\nc_count 5\nc_sum 1\n",
            "the metric needs a number, and the series is a histogram",
        ),
        (summed, "c 5\n", "take: count needs a histogram or a summary, and the series is a number"),
        (difference, "d 5\n", "there is no series to subtract these from"),
        (absent, "d 5\n", "more is subtracted than there is"),
    ] {
        let explained = explain(folder.path(), rules, body);
        assert_eq!(reasons(&explained), [expected], "{body}");
        assert_eq!(explained["points"], Value::Array(Vec::new()), "{body}");
    }
}

#[test]
fn a_point_beyond_the_limit_of_its_metric_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "      - {family: q, metric: mail.service.status, attributes: {mail.service.name: {label: d}, mail.service.state: down}}\n";
    let body: String = (0..1001).map(|n| format!("q{{d=\"d{n}\"}} 1\n")).collect();
    let explained = explain(folder.path(), rules, &body);
    assert_eq!(explained["points"].as_array().unwrap().len(), 1000);
    assert_eq!(reasons(&explained), ["a canonical point beyond 1,000 of its metric (docs/limits.md); omitted"]);
    assert_eq!((&explained["repairs"][0]["kind"], &explained["repairs"][0]["count"]), (&"too_many_points".into(), &1.into()));
}

#[test]
fn a_response_beyond_a_limit_names_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let kind_of = |body: &str| explain(folder.path(), "      - {family: b, metric: mail.complaints}\n", body)["repairs"][0]["kind"].clone();
    let labels: Vec<String> = (0..65).map(|n| format!("l{n}=\"1\"")).collect();
    assert_eq!(kind_of(&format!("b 1\nf{{{}}} 1\n", labels.join(","))), "too_many_labels");
    let buckets: String = (1..=1001).map(|n| format!("h_bucket{{le=\"{n}\"}} {n}\n")).collect();
    assert_eq!(kind_of(&format!("b 1\n# TYPE h histogram\n{buckets}h_count 1001\n")), "too_many_buckets");
    let quantiles: String = (0..1001).map(|n| format!("s{{quantile=\"{}\"}} 1\n", f64::from(n) / 10_000.0)).collect();
    assert_eq!(kind_of(&format!("b 1\n# TYPE s summary\n{quantiles}s_count 1\n")), "too_many_buckets");
    std::fs::write(folder.path().join("only"), format!("f{{{}}} 1\n", labels.join(","))).unwrap();
    let output = run(folder.path(), "explain --system prometheus --file only");
    let printed = stdout(&output) + &stderr(&output);
    assert!(printed.contains("no line is a valid sample: it has a series with more than 64 labels"), "{printed}");
}

#[test]
fn each_series_of_json_has_its_own_reason_and_what_is_missing_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let definition = "name: x
parts:
  - name: m
    requests:
      - path: /m
        reader: json
        series:
          - {family: q, each: '$.queues[*]', labels: {q: $.name}, value: $.n}
          - {family: list, each: '$.list[*]', labels: {q: $.name}, value: 1}
          - {family: typo, value: $.latncy}
          - {family: sent, type: counter, value: $.sent}
    rules:
      - {family: q, metric: mail.queue.depth, attributes: {mail.queue.state: {label: q, values: {a: active, b: held, c: frozen}}}}
      - {family: sent, when: {}, metric: mail.complaints}
      - {family: list, metric: mail.account.configured}
";
    std::fs::write(folder.path().join("x.yaml"), definition).unwrap();
    let body = r#"{"queues":[{"name":"a","n":"12 MB"},{"name":"b","n":true},{"name":"c","n":3}],"list":null}"#;
    std::fs::write(folder.path().join("body"), body).unwrap();
    let output = run(folder.path(), "explain --systems-file x.yaml --system x --file body --format json");
    assert!(output.status.success(), "{}", stderr(&output));
    let explained = serde_json::from_str::<Value>(&stdout(&output)).unwrap()["targets"][0].take();
    assert_eq!(reasons(&explained), ["q cannot be read: the text `12 MB` is not a number", "q cannot be read: true is not a number"]);
    let absent: Vec<_> =
        explained["absent_families"].as_array().unwrap().iter().map(|family| (&family["family"], &family["unreadable"])).collect();
    let (list, typo, sent): (Value, Value, Value) = ("list".into(), "typo".into(), "sent".into());
    assert_eq!(absent, [(&list, &"one of its lists is null".into()), (&typo, &Value::Null), (&sent, &Value::Null)]);
    let unmatched: Vec<_> = explained["unmatched_rules"].as_array().unwrap().iter().map(|rule| rule["reason"].as_str().unwrap()).collect();
    assert_eq!(unmatched, ["the response does not have the family"; 2]);
    let text = stdout(&run(folder.path(), "explain --systems-file x.yaml --system x --file body"));
    assert!(
        text.contains("Families of the definition without a value in the response: 3\n  list of m: one of its lists is null\n"),
        "{text}"
    );
    assert!(text.contains("\n  typo of m: its paths select nothing, or null\n"), "{text}");
}

#[test]
fn a_rule_without_a_series_names_whether_its_family_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |more: &str| format!("      - {{family: c, metric: mail.complaints{more}}}\n");
    for (rule, body, expected) in [
        (rule(""), "d 1\n", "the response does not have the family"),
        (rule(", zero_when_absent: true"), "d 1\n", "the response does not have the family, which means 0"),
        (rule(", when: {a: b}"), "c{a=\"x\"} 1\n", "no series of the family has the labels of the rule"),
        (rule(", when: {a: b}, zero_when_absent: true"), "c 1\n", "no series of the family has the labels of the rule, which means 0"),
    ] {
        assert_eq!(explain(folder.path(), &rule, body)["unmatched_rules"][0]["reason"], expected, "{rule}");
    }
}
