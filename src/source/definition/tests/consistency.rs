//! Definitions whose keys are valid, and do not fit together.

use super::problems;
use crate::source::definition::load::DEFINITIONS_MAX;
use crate::source::load;

/// A definition with these series of a JSON document, from line 8, and these rules.
fn json(series: &[&str], rules: &[&str], more: &str) -> String {
    let list = |items: &[&str], indent: &str| items.iter().map(|item| format!("{indent}- {{{item}}}\n")).collect::<String>();
    let (series, rules) = (list(series, "          "), list(rules, "      "));
    format!(
        "name: x\n{more}parts:\n  - name: all\n    requests:\n      - path: /\n        reader: json\n        series:\n{series}    rules:\n{rules}"
    )
}

const QUEUE: &str = "family: hub_queue, each: '$.queues[*]', labels: {q: $.name, site: $.site}, value: $.len";
const SENT: &str = "family: hub_sent, type: counter, value: $.sent";
const TIME: &str = "family: hub_time, value: $.time";

#[test]
fn a_rule_that_names_what_no_series_has_is_reported() {
    let queued = "metric: mail.queue.depth, attributes: {mail.queue.state: queued}";
    let by = |source: &str| {
        format!(
            "family: hub_queue, metric: mail.queue.depth, attributes: {{mail.queue.state: {{{source}, values: {{a: active}}, otherwise: queued}}}}"
        )
    };
    let of_queue = "parts[0].rules[0]: no series of hub_queue has the label";
    for (rule, expected) in [
        (
            format!("family: hub_queu, {queued}"),
            vec!["12:9: parts[0].rules[0]: no series has the family hub_queu; did you mean hub_queue?".to_owned()],
        ),
        (
            format!("families: [hub_queue, abc], {queued}"),
            vec!["12:9: parts[0].rules[0]: no series has the family abc; expected one of: hub_queue, hub_sent, hub_time".to_owned()],
        ),
        (
            format!("family: '*_queues', {queued}"),
            vec!["12:9: parts[0].rules[0]: no series has the family *_queues; expected one of: hub_queue, hub_sent, hub_time".to_owned()],
        ),
        (by("label: queue"), vec![format!("12:9: {of_queue} queue; expected one of: q, site")]),
        (by("labels: [q, sit]"), vec![format!("12:9: {of_queue} sit; did you mean site?")]),
        (by("template: '{q}.{s[0]}'"), vec![format!("12:9: {of_queue} s; did you mean q?")]),
        (
            format!("family: hub_queue, when: {{sites: [a, b]}}, unless: {{x: y}}, {queued}"),
            vec![format!("12:9: {of_queue} sites; did you mean site?"), format!("12:9: {of_queue} x; did you mean q?")],
        ),
        (
            format!("family: hub_sent, when: {{q: a}}, {queued}"),
            vec!["12:9: parts[0].rules[0]: no series of hub_sent has the label q; it has no labels".to_owned()],
        ),
        (
            format!("family: hub_queue, {queued}, detail: {{label: domain, attribute: mail.destination.domain}}"),
            vec![format!("12:9: {of_queue} domain; expected one of: q, site")],
        ),
        (
            "family: hub_time, metric: mail.delivery.duration".to_owned(),
            vec![
                "12:9: parts[0].rules[0]: mail.delivery.duration needs a histogram, and each series of a JSON document is a number"
                    .to_owned(),
            ],
        ),
        (
            format!("family: hub_queue, take: count, {queued}"),
            vec!["12:9: parts[0].rules[0]: take needs a histogram, and each series of a JSON document is a number".to_owned()],
        ),
        (
            "family: hub_time, metric: system.cpu.utilization, convert: {one_minus_share_of: hub_total}".to_owned(),
            vec!["12:9: parts[0].rules[0]: no series has the family hub_total; expected one of: hub_queue, hub_sent, hub_time".to_owned()],
        ),
    ] {
        assert_eq!(problems(&json(&[QUEUE, SENT, TIME], &[&rule], "")), expected, "{rule}");
    }
    for rule in [
        format!("family: 'hub_q*', {queued}"),
        by("label: q"),
        by("template: '{q}.{site[0]}'"),
        format!("families: [hub_queue, hub_time], when: {{site: a}}, unless: {{q: ''}}, {queued}"),
    ] {
        assert!(load(&json(&[QUEUE, SENT, TIME], &[&rule], ""), "f").is_ok(), "{rule}");
    }
    // A text can have any families and labels.
    assert!(load(&super::with_rule(&format!("{{{}}}", by("label: queue"))), "f").is_ok());
}

#[test]
fn a_family_of_the_system_that_no_series_has_is_reported() {
    for (key, expected) in [
        ("counters_since: hub_tim", "2:1: counters_since: no series has the family hub_tim; did you mean hub_time?"),
        ("process_since: hub_tim", "2:1: process_since: no series has the family hub_tim; did you mean hub_time?"),
        ("version: {family: hub_queues, label: site}", "2:1: version: no series has the family hub_queues; did you mean hub_queue?"),
        ("version: {family: hub_queue, label: v}", "2:1: version: no series of hub_queue has the label v; did you mean q?"),
    ] {
        assert_eq!(problems(&json(&[QUEUE, SENT, TIME], &[], &format!("{key}\n"))), [expected]);
    }
    let valid = "counters_since: 'hub_t*'\nprocess_since: hub_time\nversion: {family: hub_queue, label: site}\n";
    assert!(load(&json(&[QUEUE, SENT, TIME], &[], valid), "f").is_ok());
    let with_text = json(&[TIME], &[], "counters_since: started\n") + "  - {name: more, requests: [{path: /metrics}]}\n";
    assert!(load(&with_text, "f").is_ok(), "the family can be in the text");
}

#[test]
fn a_series_that_counts_twice_in_a_point_is_reported() {
    let rules = |first: &str, second: &str| {
        let rule = |rule: &str| format!("      - {{{rule}}}\n");
        format!("name: x\nparts:\n  - name: m\n    requests: [{{path: /}}]\n    rules:\n{}{}", rule(first), rule(second))
    };
    let of = |more: &str| format!("family: sent, metric: mail.bounces, attributes: {{mail.bounce.type: hard}}{more}");
    let message = "7:9: parts[0].rules[1]: adds the same series to the same points as the rule in line 6, so that they count twice; remove one of them";
    for (first, second) in [
        (of(""), of("")),
        (of(""), of(", when: {a: x}")),
        (of(", when: {a: x*}"), of(", when: {a: [xy, z]}")),
        (of(", when: {a: x}"), of(", when: {a: x}, unless: {a: y}")),
        (of(", unless: {a: x}"), of(", unless: {a: y}")),
        (of(""), of(", scale: 2")),
        (of(", unlabelled: true"), of("")),
        (of("").replace("family: sent", "families: [sent, other]"), of("")),
    ] {
        assert_eq!(problems(&rules(&first, &second)), [message], "{first} | {second}");
    }
    for (first, second) in [
        (of(""), of("").replace("hard", "soft")),
        (of(""), of("").replace("sent", "other")),
        (of(""), of(", scale: -1")),
        (of(""), of(", fallback: true")),
        (of(", when: {a: x}"), of(", when: {a: y}")),
        (of(", when: {a: x, b: z}"), of(", when: {b: z, a: y}")),
        (of(", when: {a: x}"), of(", unless: {a: x}")),
        (of(", when: {a: [x, xx]}"), of(", unless: {a: 'x*'}")),
        (of(", take: count"), of(", take: sum")),
        // A series need not have both labels.
        (of(", when: {a: x}"), of(", when: {b: y}")),
        (of(", unlabelled: true"), of(", when: {a: x}")),
        (of(""), of(", scale: 0")),
    ] {
        let result = load(&rules(&first, &second), "f");
        assert!(result.is_ok(), "{first} | {second}: {}", result.err().map(|problems| problems.to_string()).unwrap_or_default());
    }
    let gauge = "family: t, metric: mail.queue.oldest_age, attributes: {mail.queue.state: held}";
    assert!(load(&rules(gauge, gauge), "f").is_ok(), "the largest value of a gauge is taken");
}

#[test]
fn a_request_that_does_not_name_its_window_is_reported() {
    let text = |window: &str, request: &str| format!("name: x\n{window}    requests: [{{{request}}}]\n");
    let fixed = |every: &str| format!("parts:\n  - name: m\n    window: {{every: {every}, zone: Asia/Kathmandu}}\n");
    let windowed = "windowed: true\nparts:\n  - name: m\n";
    let problem = |length: &str, key: &str| {
        format!(
            "5:16: parts[0].requests[0]: does not name the {length}, so that the same sums count several times; write its start into the path or the body, such as \
             from={{start}} or {{start:%Y-%m-%dT%H:%M}}; for sums of today only, remove {key}: a counter that falls at midnight has restarted"
        )
    };
    for (window, request, expected) in [
        (fixed("hour"), "path: /today", Some(("hour", "window"))),
        (fixed("hour"), "path: '/x?d={start:%Y-%m-%d}'", Some(("hour", "window"))),
        (fixed("hour"), "path: '/x?d={start:%Y-%m-%dT%H}'", None),
        (fixed("hour"), "path: '/x?d={end}'", None),
        (fixed("day"), "path: /today", Some(("day", "window"))),
        (fixed("day"), "path: '/x?d={start:%Y-%m}'", Some(("day", "window"))),
        (fixed("day"), "path: '/x?d={start:%Y-%m-%d}'", None),
        (fixed("day"), "path: /x, body: '{\"from\":\"{start:%F}\"}'", None),
        (fixed("day"), "path: /x, body: '{\"from\":\"today\"}'", Some(("day", "window"))),
        (windowed.to_owned(), "path: /today", Some(("window", "windowed"))),
        (windowed.to_owned(), "path: '/x?from={start}&to={end}'", None),
    ] {
        let found = load(&text(&window, request), "f").map(|_| ()).map_err(|problems| problems.to_string());
        let expected = expected.map_or(Ok(()), |(length, key)| Err(format!("f:{}", problem(length, key))));
        assert_eq!(found, expected, "{window}{request}");
    }
    // Only the first part has windows.
    let more = text(&fixed("day"), "path: '/x?d={start}'") + "  - {name: more, requests: [{path: /status}]}\n";
    assert!(load(&more, "f").is_ok());
}

#[test]
fn an_alternative_request_with_other_families_is_reported() {
    let of = |second: &str| {
        format!(
            "name: x\nparts:\n  - name: m\n    requests:\n      - {{path: /a, reader: json, series: [{{family: sent, value: $.sent}}]}}\n      \
             - {{path: /b, format: old, reader: json, series: [{{family: {second}, value: $.s}}]}}\n"
        )
    };
    assert!(load(&of("sent"), "f").is_ok());
    let message = "6:9: parts[0].requests[1]: has no family of the first request, and only one request of a part is sent; put it into a part of its own";
    assert_eq!(problems(&of("failed")), [message]);
    let rule =
        |families: &str| format!("    rules: [{{families: [{families}], metric: mail.bounces, attributes: {{mail.bounce.type: hard}}}}]\n");
    assert!(load(&(of("failed") + &rule("failed, sent")), "f").is_ok(), "both are versions of one API");
    assert_eq!(problems(&(of("failed") + &rule("failed"))), [message]);
}

#[test]
fn a_refused_definition_that_is_read_again_does_not_use_up_the_limit() {
    let text = json(&[QUEUE], &["family: abc, metric: mail.queue.depth, attributes: {mail.queue.state: queued}"], "");
    let first = problems(&text);
    assert_eq!(first.len(), 1, "{first:?}");
    for _ in 0..2 * DEFINITIONS_MAX {
        assert_eq!(problems(&text), first);
    }
    assert!(load(&text.replace("abc", "hub_queue"), "f").is_ok());
}

#[test]
fn a_service_that_is_never_down_is_reported_although_another_is() {
    let status = |name: &str, state: &str, convert: &str| {
        format!(
            "\n      - {{family: s, metric: mail.service.status, attributes: {{mail.service.name: {name}, mail.service.state: {state}}}, convert: {convert}}}"
        )
    };
    let text = |rules: &str| format!("name: x\nparts:\n  - name: m\n    requests: [{{path: /}}]\n    rules:{rules}\n");
    let (up, down) = ("is_nonzero", "is_zero");
    let both = status("smtp", "up", up) + &status("smtp", "down", down);
    assert!(load(&text(&both), "f").is_ok());
    let found = problems(&text(&(both.clone() + &status("imap", "up", up))));
    assert!(found.len() == 1 && found[0].contains("mail.service.status of imap has the state up, but not down"), "{found:?}");
    let by_label = status("{label: n}", "down", down);
    assert!(load(&text(&(status("imap", "up", up) + &by_label)), "f").is_ok(), "a label may have every name");
    let found = problems(&text(&status("{label: n}", "up", up)));
    assert!(found.len() == 1 && found[0].contains("mail.service.status has the state up, but not down"), "{found:?}");
}
