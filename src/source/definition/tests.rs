//! The loader: valid definitions, the position of each mistake, and any text without a panic.
#![allow(clippy::unwrap_used)]

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
fn every_key_of_a_hook_is_read() {
    let hook = load(EVERY_KEY, "every_key.yaml").unwrap().hook.unwrap();
    assert_eq!(hook.authentication, [HookCredential::SigningKey, HookCredential::Token, HookCredential::Basic]);
    assert_eq!((hook.signature.map(|scheme| scheme.name), hook.body_bytes_max), (Some("stalwart"), 1024 * 1024));
    assert_eq!((hook.list.as_ref().map(NodePath::as_str), hook.kind.len(), hook.ignore.len()), (Some("data.events"), 2, 1));
    assert_eq!(hook.limits, ["the size"]);
    let [sent, bounced, complained] = &hook.rows[..] else { panic!("{}", hook.rows.len()) };
    assert_eq!((sent.event, sent.outcome, bounced.event), (RecordEvent::Delivery, Some(Outcome::Delivered), RecordEvent::Bounce));
    assert_eq!((bounced.bounce, bounced.origin), (Some(BounceType::Hard), Some(FailureOrigin::Remote)));
    assert_eq!((complained.complaint, bounced.identity.len(), sent.identity.len()), (Some(ComplaintType::Abuse), 1, 4));
    let tests: Vec<&Test> = sent.when.iter().map(|condition| &condition.test).collect();
    assert_eq!(tests, [&Test::OneOf(vec!["sent".into(), "deliver*".into()]), &Test::Range(f64::NEG_INFINITY, 299.0)]);
    let sources = |row: &Row, slot| row.fields.iter().find(|(other, _)| *other == slot).map(|(_, sources)| sources.clone()).unwrap();
    // The row replaces a field, removes one and adds one.
    assert_eq!((sources(sent, Slot::Text(Field::Sender)).len(), sources(bounced, Slot::Text(Field::Sender)).len()), (0, 1));
    assert!(sent.fields.iter().any(|(slot, _)| *slot == Slot::Size) && !bounced.fields.iter().any(|(slot, _)| *slot == Slot::Size));
    let time = sources(sent, Slot::Time);
    assert_eq!((time.len(), time[0].scale, time[0].age_max), (2, 0.001, Some(Duration::from_secs(35 * 24 * 3600))));
    assert_eq!((sources(sent, Slot::Attempt)[0].add, sources(sent, Slot::Attempt)[0].paths.len()), (1, 2));
    assert_eq!((sources(sent, Slot::Stage)[0].otherwise.as_deref(), sources(sent, Slot::Stage)[0].values.len()), (Some("connect"), 2));
    assert!(sources(sent, Slot::Received)[0].capture.is_some() && sources(sent, Slot::Received)[0].reader.is_some());
    let origin = &sources(sent, Slot::Origin)[0];
    assert_eq!((origin.fixed.as_deref(), &origin.unless[0].test), (Some("local"), &Test::Present(false)));
}

#[test]
fn a_hook_with_a_problem_is_refused_with_its_position() {
    let hook = |hook: &str| format!("{}hook:\n  {}\n", with_rule("{family: a, metric: mail.complaints}"), hook.replace('\n', "\n  "));
    let valid = "authentication: [token]\nkind: type\nidentity: [id]\nrows:\n  - {when: {type: a}, outcome: failed}";
    assert!(load(&hook(valid), "f").is_ok());
    for (from, to, problem) in [
        ("authentication: [token]\n", "", "authentication is missing"),
        ("[token]", "[]", "needs a credential in authentication, or log_files"),
        ("[token]", "[tokn]", "did you mean token"),
        ("[token]", "[signing_key]", "signature and the credential signing_key need each other"),
        ("[token]", "[token]\nsignature: postal", "signature and the credential signing_key need each other"),
        ("[token]", "[token, signing_key]\nsignature: rsa", "unknown value rsa"),
        ("kind: type\n", "", "kind is missing"),
        ("kind: type", "kind: $.type", "is not a path of names"),
        ("kind: type", "kind: a..b", "is not a path of names"),
        ("kind: type", "kind: a.b.c.d.e.f.g.h.i.j.k", "more than 10 names"),
        ("identity: [id]", "identity: []", "the list has no parts"),
        ("identity: [id]", "identity: ['@recipients']", "expected a path, @recipient or @index"),
        ("outcome: failed", "event: mail.bounce, outcome: failed", "outcome is for the event mail.delivery"),
        ("outcome: failed", "event: mail.delivery", "outcome is for the event mail.delivery, which needs it"),
        ("outcome: failed", "outcome: bounced", "unknown value bounced"),
        ("{type: a}", "{type: {}}", "expected present, exists, or min and max"),
        ("{type: a}", "{type: {present: true, min: 1}}", "expected only one of present, exists, and min and max"),
        ("{type: a}", "{type: {exists: true, present: true}}", "expected only one of present, exists, and min and max"),
        ("{type: a}", "{type: {min: x}}", "x is not a number"),
        ("{type: a}", "{type: []}", "the list has no values"),
        ("{type: a}", "{type: '**'}", "repeats *"),
        ("outcome: failed", "outcome: failed, fields: {recipent: to}", "unknown field; did you mean recipient"),
        ("outcome: failed", "outcome: failed, fields: {stage: command}", "needs values, a table"),
        ("outcome: failed", "outcome: failed, fields: {stage: {path: c, values: {a: rcpt}}}", "unknown value rcpt; did you mean rcpt_to"),
        ("outcome: failed", "outcome: failed, fields: {time: {path: a, value: b}}", "expected one of path, paths and value"),
        ("outcome: failed", "outcome: failed, fields: {time: {}}", "expected one of path, paths and value"),
        ("outcome: failed", "outcome: failed, fields: {time: {path: a, capture: '('}}", "is not a regular expression"),
        ("outcome: failed", "outcome: failed, fields: {time: {path: a, capture: a}}", "has no group"),
        ("outcome: failed", "outcome: failed, fields: {time: {path: a, capture: '(a{1000}{1000})'}}", "is not a regular expression"),
        ("outcome: failed", "outcome: failed, fields: {time: {path: a, otherwise: b}}", "needs values"),
        ("outcome: failed", "outcome: failed, fields: {time: {path: a, unit: years}}", "unknown unit years"),
        ("outcome: failed", "outcome: failed, when_: {}", "unknown key"),
    ] {
        let text = valid.replacen(from, to, 1);
        assert_ne!(text, valid);
        let found = problems(&hook(&text)).join("\n");
        assert!(found.contains(problem), "{to}: {found}");
        assert!(
            found.lines().all(|line| line.split(':').next().is_some_and(|number| number.parse::<u32>().is_ok_and(|n| n >= 7))),
            "{found}"
        );
    }
}

#[test]
fn every_key_is_read() {
    let source = load(EVERY_KEY, "every_key.yaml").unwrap();
    assert_eq!((source.name, source.title), ("every_key-1.0", "Every Key"));
    assert_eq!((source.min_interval, source.timeout), (Duration::from_secs(20), Duration::from_secs(5)));
    assert_eq!((source.requests_per_minute_max, source.version), (Some(12), Some(("build_info", "version"))));
    assert_eq!((source.counters_since, source.process_since), (Some("counters_start"), Some("process_start")));
    assert!(source.gauges_underflow && source.windowed);
    assert_eq!((source.mistyped_counters, source.delivery_log.is_some()), (&["a_total", "b_*"][..], true));
    assert_eq!(source.notes, ["One fact.", "Another one."]);

    let [rises, present] = source.diagnoses else { panic!("{:?}", source.diagnoses) };
    assert_eq!(
        (rises.family, rises.condition, rises.when),
        ("unsupported_total", Condition::Rises, &[("service", "a"), ("service", "b")][..])
    );
    assert_eq!((present.condition, present.advice), (Condition::Present, "Upgrade {instance}."));

    let [metrics, queue] = source.parts else { panic!("{}", source.parts.len()) };
    assert_eq!((metrics.name, metrics.help, metrics.body_bytes_max), ("metrics", "all metrics", 1024 * 1024));
    assert_eq!((metrics.identifying_families, metrics.identity_is_optional), (&["every_*"][..], false));
    assert_eq!((metrics.misnaming_families, metrics.credential), (&["faulty_total"][..], Credential::Header("X-API-Key")));
    assert_eq!((metrics.unauthorized_hint, metrics.not_found_hint), ("set token", "check url"));
    let [text, post] = metrics.requests else { panic!("{}", metrics.requests.len()) };
    assert_eq!((text.format, text.path, text.post_body), ("text", "/metrics", None));
    assert_eq!((text.statuses, post.statuses), (&[][..], &[503][..]));
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
fn mistakes_in_rules_are_reported_at_their_position() {
    let mut differences = Vec::new();
    for (rule, expected) in [
        (
            "{famly: q, metric: mail.complaints}",
            &["6:10: parts[0].rules[0].famly: unknown key; did you mean family?", "6:9: parts[0].rules[0]: family is missing"][..],
        ),
        (
            "{family: q, families: [r], metric: mail.complaints}",
            &["6:21: parts[0].rules[0].families: family and families cannot both be set"],
        ),
        ("{families: [], metric: mail.complaints}", &["6:10: parts[0].rules[0].families: the list has no families"]),
        ("{family: q}", &["6:9: parts[0].rules[0]: metric is missing"]),
        (
            "{family: \"*\", metric: mail.complaints}",
            &["6:18: parts[0].rules[0].family: * matches every family; a pattern needs a part of the name"],
        ),
        ("{family: \"a**\", metric: mail.complaints}", &["6:18: parts[0].rules[0].family: a** repeats *; one is enough"]),
        (
            "{family: \"*a*b*c*d*e\", metric: mail.complaints}",
            &["6:18: parts[0].rules[0].family: *a*b*c*d*e has 5 wildcards *, which exceeds the limit of 4"],
        ),
        (
            "{family: 'a{b=\"c\"}', metric: mail.complaints}",
            &["6:18: parts[0].rules[0].family: a{b=\"c\"} is not the name of a family; labels belong into `when`"],
        ),
        (
            "{family: q, metric: mail.queue.dept}",
            &["6:29: parts[0].rules[0].metric: unknown metric mail.queue.dept; did you mean mail.queue.depth?"],
        ),
        (
            "{family: q, metric: mail.queue.x}",
            &[
                "6:29: parts[0].rules[0].metric: unknown metric mail.queue.x; expected one of: mail.queue.depth, mail.queue.oldest_age, mail.queue.delays",
            ],
        ),
        (
            "{family: q, metric: mail.queue.x, fall: hold}",
            &["6:29: parts[0].rules[0].metric: unknown metric mail.queue.x; expected one that is a counter of: mail.queue.delays"],
        ),
        (
            "{family: q, metric: my.metric}",
            &[
                "6:29: parts[0].rules[0].metric: unknown metric my.metric; rules produce only metrics of the vocabulary, which begin with mail., system. or process. (postmeter metrics prints them)",
            ],
        ),
        ("{family: q, metric: mail.up}", &["6:29: parts[0].rules[0].metric: Postmeter records mail.up itself; a rule cannot produce it"]),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.stat: queued}}",
            &[
                "6:60: parts[0].rules[0].attributes.mail.queue.stat: mail.queue.depth has no attribute mail.queue.stat; did you mean mail.queue.state?",
                "6:9: parts[0].rules[0]: mail.queue.depth needs the attributes mail.queue.state",
            ],
        ),
        (
            "{family: q, metric: system.memory.limit, attributes: {mail.queue.state: queued}}",
            &["6:63: parts[0].rules[0].attributes.mail.queue.state: system.memory.limit has no attributes"],
        ),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: queud}}",
            &["6:78: parts[0].rules[0].attributes.mail.queue.state: mail.queue.state has no value queud; did you mean queued?"],
        ),
        ("{family: q, metric: mail.queue.depth}", &["6:9: parts[0].rules[0]: mail.queue.depth needs the attributes mail.queue.state"]),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: {label: s}}}",
            &[
                "6:60: parts[0].rules[0].attributes.mail.queue.state: mail.queue.state has a closed set of values, so `values` is needed; they are: active, ready, scheduled, deferred, held, bounce, queued, frozen",
            ],
        ),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: {label: s, values: {}}}}",
            &["6:89: parts[0].rules[0].attributes.mail.queue.state.values: the table has no values"],
        ),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: {values: {a: held}}}}",
            &["6:60: parts[0].rules[0].attributes.mail.queue.state: expected one of label, labels and template, found none"],
        ),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: {label: s, values: {a: held}, otherwise: no}}}",
            &[
                "6:119: parts[0].rules[0].attributes.mail.queue.state.otherwise: mail.queue.state has no value no; expected one of: active, ready, scheduled, deferred, held, bounce, queued, frozen",
            ],
        ),
        (
            "{family: q, metric: mail.delivery.failures, attributes: {error.type: {template: '{a'}}}",
            &["6:89: parts[0].rules[0].attributes.error.type.template: {a: { without }"],
        ),
        (
            "{family: q, metric: mail.delivery.failures, attributes: {error.type: {template: '{a[x]}'}}}",
            &["6:89: parts[0].rules[0].attributes.error.type.template: {a[x]}: {a[x]} is not {label[INDEX]}, whose index begins with 0"],
        ),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: held}, fall: hold}",
            &["6:91: parts[0].rules[0].fall: is for counters, and mail.queue.depth is an up-down counter"],
        ),
        (
            "{family: q, metric: mail.complaints, convert: age}",
            &["6:55: parts[0].rules[0].convert: is for gauges with the unit s, and mail.complaints is a counter with the unit {complaint}"],
        ),
        (
            "{family: q, metric: mail.complaints, convert: {one_minus_share_of: r}}",
            &["6:46: parts[0].rules[0].convert: is for gauges with the unit 1, and mail.complaints is a counter with the unit {complaint}"],
        ),
        (
            "{family: q, metric: mail.complaints, convert: old}",
            &["6:55: parts[0].rules[0].convert: unknown value old; expected one of: age, is_zero, is_nonzero"],
        ),
        (
            "{family: q, metric: mail.delivery.duration, take: count}",
            &["6:59: parts[0].rules[0].take: count and sum are numbers, and mail.delivery.duration is a histogram; remove take"],
        ),
        (
            "{family: q, metric: mail.delivery.duration, unit: MB}",
            &[
                "6:59: parts[0].rules[0].unit: MB does not fit mail.delivery.duration, whose unit is s; expected one of: ns, us, ms, s, min, h, d",
            ],
        ),
        ("{family: q, metric: mail.complaints, scale: x}", &["6:53: parts[0].rules[0].scale: x is not a number"]),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: held}, zero_when_absent: true}",
            &[
                "6:85: parts[0].rules[0].zero_when_absent: is for counters, and mail.queue.depth is an up-down counter: a missing value is not 0",
            ],
        ),
        (
            "{family: q, metric: mail.job.processed, attributes: {mail.job.queue: {label: a}, mail.job.outcome: failed}, zero_when_absent: true}",
            &[
                "6:117: parts[0].rules[0].zero_when_absent: needs a table (`values`) for each attribute that comes from a label: without it, the points that are 0 are not known",
            ],
        ),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: held}, detail: {label: d, attribute: mail.domain}}",
            &[
                "6:115: parts[0].rules[0].detail.attribute: mail.queue.depth has no detail mail.domain; did you mean mail.destination.domain?",
            ],
        ),
        (
            "{family: q, metric: mail.complaints, when: {a b: c, d: []}}",
            &[
                "6:53: parts[0].rules[0].when.a b: \"a b\" is not the name of a label",
                "6:61: parts[0].rules[0].when.d: the list has no values",
            ],
        ),
    ] {
        let mut found = problems(&with_rule(rule));
        let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        found.sort();
        expected.sort();
        if found != expected {
            differences.push(format!("{rule}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let text = "\
nam: x
name: a b
min_interval: 15
delivery_log: cpanle
parts:
  - name: metrics
    requests:
      - {path: metrics, reader: txt, format: a}
      - {path: /b, format: a}
      - {path: /c, reader: json}
    credential: bearr
    interval: 60s
    identity: all
    body_bytes_max: 1
  - name: metrics
    requests: []
    credential: {header: 'a b'}
examples:
  - {title: t, part: metric, body: '', points: {'mail.queue.depth{mail.queue.state}': x}}
";
    assert_eq!(
        problems(text),
        [
            "1:1: nam: unknown key; did you mean name?",
            "2:7: name: \"a b\" is not a valid name: up to 100 letters, digits, '.', '_', '-'",
            "3:15: min_interval: 15 has no unit; write 15s for seconds",
            "4:15: delivery_log: unknown value cpanle; did you mean cpanel?",
            "8:16: parts[0].requests[0].path: metrics must begin with /; an empty path uses the target's URL unchanged",
            "8:33: parts[0].requests[0].reader: unknown reader txt; did you mean text?",
            "9:9: parts[0].requests[1]: a is also the format of another request; set `format` to distinguish them",
            "10:9: parts[0].requests[2]: the reader json needs series",
            "11:17: parts[0].credential: unknown value bearr; did you mean bearer?",
            "12:5: parts[0].interval: is for optional parts; for the required part, set min_interval of the system",
            "13:15: parts[0].identity: expected a list of families, or optional",
            "14:21: parts[0].body_bytes_max: 1 is not a number of bytes from 1KiB to 1GiB",
            "15:11: parts[1].name: metrics is also the name of another part in line 6",
            "16:5: parts[1].requests: the list has no requests",
            "17:26: parts[1].credential.header: \"a b\" is not the name of a header",
            "19:22: examples[0].part: unknown part metric; did you mean metrics?",
            "19:49: examples[0].points.mail.queue.depth{mail.queue.state}: mail.queue.depth{mail.queue.state}: expected attribute=\"value\", separated by commas",
            "19:87: examples[0].points.mail.queue.depth{mail.queue.state}: x is not a number",
        ]
    );
    for (text, expected) in [
        ("", " is empty; it needs name and parts"),
        ("[]", "1:1: expected a map, found a list; write {name: ..., parts: ...}"),
        ("name: x", "1:1: parts is missing"),
        ("parts: [{name: m, requests: [{path: /}]}]", "1:1: name is missing"),
        ("name: x\nparts: []", "2:1: parts: the list has no parts"),
        ("name: x\nname: y", "2:1: duplicate key name"),
        ("a: [", "1:4: unclosed bracket '['"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn limits_are_enforced() {
    let huge = format!("name: x # {}", "x".repeat(super::schema::DEFINITION_BYTES_MAX));
    assert!(problems(&huge)[0].ends_with("exceeds the limit of 524288 bytes"));
    let rules = "\n      - {family: q, metric: mail.complaints}".repeat(super::schema::RULES_MAX + 1);
    let text = format!("name: x\nparts:\n  - name: m\n    requests: [{{path: /}}]\n    rules:{rules}\n");
    assert_eq!(problems(&text), ["5:5: parts[0].rules: 2001 items exceed the limit of 2000"]);
    let parts = "\n  - {name: m, requests: [{path: /}]}".repeat(super::schema::PARTS_MAX + 1);
    assert_eq!(problems(&format!("name: x\nparts:{parts}\n"))[0], "2:1: parts: 51 items exceed the limit of 50");
    let long = "q".repeat(super::schema::PATTERN_BYTES_MAX + 1);
    assert!(problems(&with_rule(&format!("{{family: {long}, metric: mail.complaints}}")))[0].contains("exceeds the limit of 500 bytes"));
}

#[test]
fn equal_texts_are_one_definition() {
    let text = with_rule("{family: equal_texts, metric: mail.complaints}");
    let first = load(&text, "a.yaml").unwrap();
    assert!(std::ptr::eq(first, load(&text, "b.yaml").unwrap()));
    assert!(!std::ptr::eq(first, load(&format!("{text}# comment\n"), "a.yaml").unwrap()));
    assert!(std::ptr::eq(by_name("kumomta").unwrap(), by_name("kumomta").unwrap()));
}

/// Loads a definition with one counter and this example.
fn with_example(example: &str) -> &'static Source {
    let rules = "{family: x_total, metric: mail.delivery.attempts, attributes: {mail.delivery.outcome: delivered}}";
    load(&format!("{}examples:\n  - {example}\n", with_rule(rules)), "f").unwrap()
}

#[test]
fn examples_are_compared_with_the_points() {
    let point = "'mail.delivery.attempts{mail.delivery.outcome=\"delivered\"}'";
    let problems = |example: &str| run_examples(with_example(example)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(problems(&format!("{{title: t, body: \"x_total 3\\n\", points: {{{point}: 3}}, absent: [mail.complaints]}}")), [""; 0]);
    assert_eq!(
        problems(&format!("{{title: t, body: \"x_total 3\\n\", points: {{{point}: 4}}}}")),
        ["example \"t\": mail.delivery.attempts{mail.delivery.outcome=\"delivered\"} is 3, expected 4"]
    );
    assert_eq!(
        problems("{title: t, body: \"x_total 3\\n\", points: {'mail.delivery.attempts{mail.delivery.outcome=\"failed\"}': 3}}"),
        [
            "example \"t\": mail.delivery.attempts{mail.delivery.outcome=\"failed\"} has no point, expected 3; its points are mail.delivery.attempts{mail.delivery.outcome=\"delivered\"} 3"
        ]
    );
    assert_eq!(
        problems("{title: t, body: \"x_total 3\\n\", absent: [mail.delivery.attempts]}"),
        [
            "example \"t\": mail.delivery.attempts must have no point; its points are mail.delivery.attempts{mail.delivery.outcome=\"delivered\"} 3"
        ]
    );
    assert_eq!(
        problems("{title: t, body: \"y_total 3\\n\", absent: [mail.complaints]}"),
        ["example \"t\": the body cannot be read: this looks like another exporter: y_total; check url and system"]
    );
    let line = run_examples(with_example("{title: t, body: \"\", absent: [mail.complaints]}"))[0].line;
    assert_eq!(line, Some(8));
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
