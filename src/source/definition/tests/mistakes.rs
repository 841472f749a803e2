//! Mistakes in a definition, and the lines that report them.

use super::*;
use crate::source::definition::limits;

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
        (
            "{family: q, metric: mail.service.status, attributes: {mail.service.name: x, mail.service.state: up}, scale: 2, convert: is_zero}",
            &["6:110: parts[0].rules[0].scale: has no effect, because convert gives a number without a unit; remove it"],
        ),
        (
            "{family: q, metric: system.cpu.utilization, convert: {one_minus_share_of: r}, unit: '%'}",
            &["6:87: parts[0].rules[0].unit: has no effect, because convert gives a number without a unit; remove it"],
        ),
        (
            "{family: q, metric: mail.delivery.duration, scale: -1}",
            &["6:53: parts[0].rules[0].scale: must be greater than 0, because nothing is subtracted from a histogram"],
        ),
        (
            "{family: q, metric: system.cpu.utilization, scale: 0}",
            &["6:53: parts[0].rules[0].scale: must be greater than 0, because nothing is subtracted from a gauge"],
        ),
        (
            "{family: q, metric: mail.complaints, fall: accumulate, fallback: true}",
            &[
                "6:64: parts[0].rules[0].fallback: cannot be set with fall: accumulate or rebase: each rule has a total of its own, so the counter would fall or be counted twice when another rule produces it; remove one of the two keys",
            ],
        ),
        (
            "{family: q, metric: mail.complaints, fall: rebase, fallback: true}",
            &[
                "6:60: parts[0].rules[0].fallback: cannot be set with fall: accumulate or rebase: each rule has a total of its own, so the counter would fall or be counted twice when another rule produces it; remove one of the two keys",
            ],
        ),
        (
            "{family: q, metric: mail.queue.depth, attributes: {mail.queue.state: {label: s, values: {a: held}}}, detail: {label: d, attribute: mail.destination.domain}, scale: 0, fallback: true}",
            &[
                "6:110: parts[0].rules[0].detail: needs attributes with fixed values, by which the total is found, and mail.queue.state comes from a label; write a rule for each value",
                "6:166: parts[0].rules[0].scale: must be greater than 0, because nothing is subtracted from a detail",
                "6:176: parts[0].rules[0].fallback: has no effect on a detail, which replaces a total; remove it",
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
            "{family: c, metric: mail.complaints, absent_when_zero: true}",
            &["6:46: parts[0].rules[0].absent_when_zero: is for gauges and up-down counters, and mail.complaints is a counter"],
        ),
        (
            "{family: t, metric: mail.queue.oldest_age, attributes: {mail.queue.state: held}, convert: age, absent_when_zero: true}",
            &["6:104: parts[0].rules[0].absent_when_zero: cannot be set with convert; remove it"],
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
      - {path: /d, reader: kumomta_json, format: d, openmetrics: true}
      - {path: /e, format: e, openmetrics: yep}
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
            "9:9: parts[0].requests[1]: a is also the format of another request, and only one request of a part is sent; put this one into a part of its own, or set `format` of an alternative",
            "10:9: parts[0].requests[2]: the reader json needs series",
            "11:53: parts[0].requests[3].openmetrics: is for the readers text and text_unterminated",
            "12:44: parts[0].requests[4].openmetrics: unknown value yep; expected one of: true, false",
            "13:17: parts[0].credential: unknown value bearr; did you mean bearer?",
            "14:5: parts[0].interval: is for optional parts; for the required part, set min_interval of the system",
            "15:15: parts[0].identity: expected a list of families, or optional",
            "16:21: parts[0].body_bytes_max: 1 is not a number of bytes from 1KiB to 1GiB",
            "17:11: parts[1].name: metrics is also the name of another part in line 6",
            "18:5: parts[1].requests: the list has no requests",
            "19:26: parts[1].credential.header: \"a b\" is not the name of a header",
            "21:22: examples[0].part: unknown part metric; did you mean metrics?",
            "21:49: examples[0].points.mail.queue.depth{mail.queue.state}: mail.queue.depth{mail.queue.state}: expected attribute=\"value\", separated by commas",
            "21:87: examples[0].points.mail.queue.depth{mail.queue.state}: x is not a number",
        ]
    );
    for (text, expected) in [
        ("", " is empty; it needs name and parts"),
        ("[]", "1:1: expected a map, found a list; write {name: ..., parts: ...}"),
        ("name: x", "1:1: parts is missing"),
        ("parts: [{name: m, requests: [{path: /}]}]", "1:1: name is missing"),
        ("name: x\nparts: []", "2:1: parts: the list has no parts"),
        ("name: x\nname: y", "2:1: duplicate key name; remove one of them"),
        ("a: [", "1:4: unclosed bracket '['; add the one that closes it"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn only_the_required_part_of_a_system_with_windows_has_counters() {
    let text = |window: &str, metric: &str| {
        let rules = format!("rules: [{{family: c, metric: {metric}}}]");
        format!(
            "name: x\nparts:\n- {{name: a, {window}requests: [{{path: '/?from={{start}}'}}], {rules}}}\n- {{name: b, requests: [{{path: /}}], {rules}}}\n"
        )
    };
    let message = "mail.complaints is a counter, which only the required part of a system with windows can have; make another system of it";
    assert_eq!(problems(&text("window: {every: day}, ", "mail.complaints")), [format!("4:3: parts[1]: {message}")]);
    assert_eq!(problems(&text("", "mail.complaints").replace("parts:", "windowed: true\nparts:")), [format!("5:3: parts[1]: {message}")]);
    assert!(load(&text("", "mail.complaints").replace("{start}", "{end}"), "f").is_ok());
    assert!(load(&text("window: {every: day}, ", "mail.queue.depth, attributes: {mail.queue.state: deferred}"), "f").is_ok());
}

#[test]
fn a_counter_of_a_system_with_windows_has_no_fall() {
    let text = |fall: &str| with_rule(&format!("{{family: c, metric: mail.complaints, fall: {fall}}}"));
    let named = |fall| text(fall).replace("/metrics", "'/metrics?from={start}'");
    let windowed = |fall| named(fall).replace("    requests", "    window: {every: hour}\n    requests");
    let message =
        "parts[0].rules[0].fall: is not for a system with windows: a sum of a window is held in its window, and added up once; remove it";
    for fall in ["hold", "accumulate", "rebase"] {
        assert_eq!(problems(&windowed(fall)), [format!("7:46: {message}")]);
        assert_eq!(problems(&named(fall).replace("parts:", "windowed: true\nparts:")), [format!("7:46: {message}")]);
        assert!(load(&text(fall), "f").is_ok(), "{fall}");
    }
    assert!(load(&windowed("reset"), "f").unwrap().windowed);
    assert!(load(&named("reset").replace("parts:", "windowed: true\nparts:"), "f").unwrap().windowed);
}

#[test]
fn limits_are_enforced() {
    let huge = format!("name: x # {}", "x".repeat(limits::DEFINITION_BYTES_MAX));
    assert!(problems(&huge)[0].ends_with("exceeds the limit of 524288 bytes"));
    let rules = "\n      - {family: q, metric: mail.complaints}".repeat(limits::RULES_MAX + 1);
    let text = format!("name: x\nparts:\n  - name: m\n    requests: [{{path: /}}]\n    rules:{rules}\n");
    assert_eq!(problems(&text), ["5:5: parts[0].rules: 2001 items exceed the limit of 2000"]);
    let parts = "\n  - {name: m, requests: [{path: /}]}".repeat(limits::PARTS_MAX + 1);
    assert_eq!(problems(&format!("name: x\nparts:{parts}\n"))[0], "2:1: parts: 51 items exceed the limit of 50");
    let long = "q".repeat(limits::PATTERN_BYTES_MAX + 1);
    assert!(problems(&with_rule(&format!("{{family: {long}, metric: mail.complaints}}")))[0].contains("exceeds the limit of 500 bytes"));
}
