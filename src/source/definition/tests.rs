//! The loader: valid definitions, the position of each mistake, and any text without a panic.
#![allow(clippy::unwrap_used)]

mod consistency;
mod examples;
mod hooks;
mod mistakes;
mod new_system;

use super::{load, run_examples};
use crate::format::json_paths::{Each, LabelSource, SeriesValue};
use crate::model::{BounceType, ComplaintType, FailureOrigin, FamilyType, Field, Kind, Outcome, RecordEvent};
use crate::source::hook::{NodePath, Row, Slot, Test};
use crate::source::systems::FILES;
use crate::source::{Combine, Condition, Credential, HookCredential, JsonPath, Piece, Reader, Source, Take, Transform, by_name};
use proptest::prelude::*;
use std::time::Duration;

/// A definition that has every key.
const EVERY_KEY: &str = include_str!("tests/every_key.yaml");

/// Returns the problems of a text, without the name of the file.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    let problems = load(text, "f").map(|source| source.name).unwrap_err();
    problems.iter().map(|problem| problem.to_string().strip_prefix("f:").unwrap_or(&problem.to_string()).to_owned()).collect()
}

/// A definition with one rule: the rule is on line 6, its keys begin in column 9.
fn with_rule(rule: &str) -> String {
    format!("name: x\nparts:\n  - name: metrics\n    requests: [{{path: /metrics}}]\n    rules:\n      - {rule}\n")
}

#[test]
fn every_key_is_read() {
    let source = load(EVERY_KEY, "every_key.yaml").unwrap();
    assert_eq!((source.name, source.title), ("every_key-1.0", "Every Key"));
    assert_eq!((source.min_interval, source.timeout), (Duration::from_secs(20), Duration::from_secs(5)));
    assert_eq!((source.requests_per_minute_max, source.version), (Some(12), Some(("build_info", "version"))));
    assert_eq!((source.counters_since, source.process_since), (Some("counters_start"), Some("process_start")));
    assert!(source.gauges_underflow && !source.windowed);
    assert_eq!((source.mistyped_counters, source.delivery_log.is_some()), (&["a_total", "b_*"][..], true));
    assert_eq!(source.notes, ["One fact.", "Another one."]);

    let [rises, present] = source.diagnoses else { panic!("{:?}", source.diagnoses) };
    assert_eq!(
        (rises.families, rises.condition, rises.when),
        (&["unsupported_total"][..], Condition::Rises, &[("service", "a"), ("service", "b")][..])
    );
    assert_eq!((rises.without, present.without), (&[][..], &["newer"][..]));
    assert_eq!((present.families, present.condition, present.advice), (&["old_*", "older"][..], Condition::Present, "Upgrade {instance}."));

    let [metrics, queue] = source.parts else { panic!("{}", source.parts.len()) };
    assert_eq!((metrics.name, metrics.help, metrics.body_bytes_max), ("metrics", "all metrics", 1024 * 1024));
    assert_eq!((metrics.identifying_families, metrics.identity_is_optional), (&["every_*"][..], false));
    assert_eq!((metrics.misnaming_families, metrics.credential), (&["faulty_total"][..], Credential::Header("X-API-Key")));
    assert_eq!((metrics.unauthorized_hint, metrics.not_found_hint), ("set token", "check url"));
    let [text, post] = metrics.requests else { panic!("{}", metrics.requests.len()) };
    assert_eq!((text.format, text.path, text.post_body), ("text", "/metrics", None));
    assert_eq!((text.statuses, post.statuses), (&[][..], &[503][..]));
    assert_eq!((text.prefers_openmetrics, post.prefers_openmetrics), (true, false));
    assert_eq!((post.format, post.post_body, post.content_type), ("posted", Some("{}"), "application/x"));

    assert!(queue.identity_is_optional && queue.interval == Some(Duration::from_secs(60)));
    let Reader::Paths([series, constant]) = queue.requests[0].reader else { panic!("{:?}", queue.requests[0]) };
    assert_eq!((series.family, series.kind, series.combine), ("queue_messages", FamilyType::Counter, Combine::Max));
    assert!(matches!(&series.each, Each::Nodes { lists, .. } if lists.len() == 1) && matches!(series.value, SeriesValue::Path(_)));
    let [("queue", LabelSource::Path { suffix: "", .. })] = series.labels else { panic!("{:?}", series.labels) };
    assert_eq!(series.must_have, JsonPath::parse_single("$.name").ok());
    assert_eq!(series.zero_for, [&[("queue", "active")][..]]);
    assert!(matches!((&constant.each, &constant.value), (Each::Document, SeriesValue::Number(1.0))));
    assert_eq!(constant.combine, Combine::Sum);

    let rules = metrics.rules;
    assert_eq!(
        (rules[0].families, rules[0].when),
        (&["received_total", "received_*_total"][..], &[("cmd", "mail"), ("cmd", "rcpt"), ("code", "4??")][..])
    );
    assert_eq!((rules[0].unless, rules[0].take, rules[0].scale), (&[("status", "")][..], Take::Count, -1.0));
    assert!(rules[0].zero_when_absent && rules[0].fallback && rules[0].transform == Transform::Hold);
    let [outcome] = rules[1].from else { panic!("{:?}", rules[1].from) };
    assert_eq!((outcome.labels, outcome.values), (&["result"][..], &[("ok", "delivered"), ("4*", "deferred")][..]));
    assert_eq!((outcome.other, rules[1].transform), (Some("failed"), Transform::Rebase));
    let from: Vec<_> = rules[2].from.iter().map(|from| (from.attribute.key, from.labels, from.template)).collect();
    let template: &[Piece] = &[Piece::Char("code", 0), Piece::Text("."), Piece::Label("secode")];
    assert_eq!(from, [("error.type", &[][..], template)]);
    assert_eq!(rules[3].from[0].labels, ["enhanced", "status"]);
    assert_eq!((rules[4].transform, rules[5].transform), (Transform::Age, Transform::OneMinusShareOf("cpu_total")));
    assert_eq!((rules[6].transform, rules[7].transform), (Transform::IsZero, Transform::IsNonZero));
    assert_eq!((rules[8].transform, rules[9].scale, rules[10].take), (Transform::Accumulate, 0.001, Take::Sum));
    assert_eq!(rules[11].detail.map(|(label, attribute)| (label, attribute.key)), Some(("domain", "mail.destination.domain")));
    assert!(rules[12].absent_when_zero && !rules[11].absent_when_zero);
    let replaced: Vec<_> = rules[11].replaces.iter().map(|total| (total[0].0.key, total[0].1)).collect();
    assert_eq!(replaced, [("mail.queue.state", "ready"), ("mail.queue.state", "scheduled")]);

    let example = &source.examples[0];
    assert_eq!((example.title, example.part, example.now), ("one poll", "metrics", 1_700_000_000));
    assert_eq!((example.points.len(), example.absent), (2, &["mail.complaints"][..]));
    assert_eq!(run_examples(source), []);
}

#[test]
fn a_short_definition_has_defaults() {
    let source = load(&with_rule("{family: x_queue, metric: mail.queue.depth, attributes: {mail.queue.state: queued}}"), "f").unwrap();
    let part = source.required();
    assert_eq!((source.title, part.help, part.requests[0].format), ("x", "metrics", "text"));
    assert_eq!((source.min_interval, source.timeout), (Duration::from_secs(15), Duration::from_secs(10)));
    assert_eq!((part.body_bytes_max, part.credential), (16 * 1024 * 1024, Credential::Optional));
    assert_eq!(part.identifying_families, ["x_queue"], "the families of the rules");
    assert!(!part.unauthorized_hint.is_empty() && !part.not_found_hint.is_empty());
    let of_library = load(&with_rule("{family: process_resident_memory_bytes, metric: process.memory.usage}"), "f").unwrap();
    assert!(of_library.required().identifying_families.is_empty(), "a family of every client library identifies nothing");
}

#[test]
fn equal_texts_are_one_definition() {
    let text = with_rule("{family: equal_texts, metric: mail.complaints}");
    let first = load(&text, "a.yaml").unwrap();
    assert!(std::ptr::eq(first, load(&text, "b.yaml").unwrap()));
    assert!(!std::ptr::eq(first, load(&format!("{text}# comment\n"), "a.yaml").unwrap()));
    assert!(std::ptr::eq(by_name("kumomta").unwrap(), by_name("kumomta").unwrap()));
}

#[test]
fn a_changed_window_or_comment_counts_the_same() {
    let text = with_rule("{family: x_sent, metric: mail.complaints}")
        .replace("    requests", "    window: {every: day, zone: UTC}\n    requests")
        .replace("/metrics", "'/metrics?from={start}'");
    let first = load(&text, "f").unwrap();
    for (from, to, expected) in [
        ("UTC", "Asia/Kolkata", true),
        ("zone: UTC", "zone: UTC, late: 2h", true),
        ("name: x", "# A comment.\nname: x", true),
        ("name: x", "name: y", false),
        ("x_sent", "x_seen", false),
        ("/metrics?", "/metrics/2?", false),
        ("mail.complaints", "mail.complaints, scale: 2", false),
    ] {
        assert_eq!(first.counts_as(load(&text.replacen(from, to, 1), "f").unwrap()), expected, "{to}");
    }
}

#[test]
fn kinds_have_names() {
    let names = [Kind::Counter, Kind::UpDownCounter, Kind::Gauge, Kind::Histogram].map(super::canonical::kind_name);
    assert_eq!(names, ["a counter", "an up-down counter", "a gauge", "a histogram"]);
}

/// Positions and replacements that change a text.
fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, String)>> {
    let replacement = prop_oneof![
        "[ -~]{0,4}".prop_map(String::from),
        prop::sample::select(
            &[
                "\n", "\n  ", ": ", "- ", "{", "}", "[", "]", "\"", "'", "*", "?", "{a[0]}", "null", "true", "-1", "1e999", "&a ", "*a",
                "!!int ", "|\n", "$", "\u{0}", "é",
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, replacement), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_loader_panic(file in 0..FILES.len() + 1, changes in mutations()) {
        let mut text = FILES.get(file).map_or(EVERY_KEY, |file| file.text).to_owned();
        for (at, len, replacement) in changes {
            let mut start = at.index(text.len() + 1);
            while !text.is_char_boundary(start) { start -= 1 }
            let mut end = (start + len).min(text.len());
            while !text.is_char_boundary(end) { end += 1 }
            text.replace_range(start..end, &replacement);
        }
        if let Ok(source) = load(&text, "f") {
            let _ = run_examples(source);
        }
    }
}
