//! A definition for an API of a user: times as texts, numbers as texts, and states of services.

use super::*;
use crate::model::Repair;
use crate::source::{Context, CounterMemory, map_to_canonical};
use std::time::SystemTime;

/// Loads a definition with series of a JSON document, these rules, and these keys at its end.
fn with_series(series: &str, rules: &str, more: &str) -> Result<&'static Source, String> {
    let text = format!(
        "name: x\nparts:\n  - name: metrics\n    requests:\n      - path: /api\n        reader: json\n        series:\n{series}    rules:\n{rules}{more}"
    );
    load(&text, "f").map_err(|problems| problems.to_string())
}

#[test]
fn times_as_texts_are_ages_and_starts() {
    let source = with_series(
        "          - {family: x_oldest, value: $.oldest, times: true}\n          - {family: x_start, value: $.started, times: true}\n",
        "      - {family: x_oldest, metric: mail.queue.oldest_age, convert: age, attributes: {mail.queue.state: active}}\n",
        "counters_since: x_start\nexamples:\n\
         \x20 - {title: text, body: '{\"oldest\":\"2026-08-01T12:00:00+02:00\",\"started\":\"2026-08-01T09:00:00Z\"}', now: 1785578460, \
         points: {'mail.queue.oldest_age{mail.queue.state=\"active\"}': 60}}\n\
         \x20 - {title: number in a text, body: '{\"oldest\":\"1785578400\",\"started\":1}', now: 1785578460, \
         points: {'mail.queue.oldest_age{mail.queue.state=\"active\"}': 60}}\n\
         \x20 - {title: no time, body: '{\"oldest\":\"0001-01-01T00:00:00Z\",\"started\":\"2026-08-01T09:00:00Z\"}', absent: [mail.queue.oldest_age]}\n\
         \x20 - {title: invalid, body: '{\"oldest\":\"yesterday\",\"started\":\"2026-08-01T09:00:00Z\"}', absent: [mail.queue.oldest_age]}\n",
    )
    .unwrap();
    let problems: Vec<String> = run_examples(source).iter().map(ToString::to_string).collect();
    assert_eq!(problems, [""; 0]);
    let mapped = |body: &str| {
        let part = source.required();
        let read = [(part, part.read(&part.requests[0], body.as_bytes()).unwrap())];
        let context = Context::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_578_460));
        map_to_canonical(source, &read, &mut CounterMemory::default(), &context)
    };
    let snapshot = mapped(r#"{"oldest":"yesterday","started":"2026-08-01T09:00:00.5Z"}"#);
    assert_eq!(snapshot.counters_since, Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_785_574_800_500)));
    let repairs: Vec<_> = snapshot.repairs.iter().collect();
    assert_eq!(repairs, [(Repair::Unreadable, 1)], "one invalid value is one repair");
    assert_eq!(mapped(r#"{"oldest":"1,204","started":1}"#).repairs.iter().collect::<Vec<_>>(), [(Repair::Unreadable, 1)]);
}

#[test]
fn a_mistake_in_a_path_is_named() {
    for (path, advice) in [
        ("data.queues[*]", "it begins with $, such as $.data.queues[*]"),
        ("@.a", "it begins with $, such as $.a"),
        (" $.a", "remove the space around it"),
        ("$.foo-bar.c", "write a name with other characters than letters, digits and _ as ['foo-bar']"),
        ("$.a.", "a name is missing after the last dot"),
        ("$.a[*", "a bracket is not closed"),
        ("$[?@.a =~ 'x']", "write a filter as [?@.state == 'active']; there are no regular expressions"),
        ("$.a[]", "write $.name for a member, [0] for an element, and [*] for all of them"),
    ] {
        let expected = Err(format!("this is not a JSONPath (RFC 9535): {advice}"));
        assert_eq!(JsonPath::parse(path).map(|path| path.as_str().to_owned()), expected, "{path}");
    }
}

#[test]
fn a_service_that_can_only_be_up_is_refused() {
    let series = "          - {family: x_up, each: '$.s[*]', labels: {name: $.name, state: $.state}, value: $.up, booleans: true}\n";
    let rule = |state: &str| {
        format!(
            "      - {{family: x_up, metric: mail.service.status, attributes: {{mail.service.name: {{label: name}}, mail.service.state: {state}}}}}\n"
        )
    };
    let problem = with_series(series, &rule("up"), "").map(|_| ()).unwrap_err();
    assert!(problem.contains("the alert about the service would never fire") && problem.contains("convert: is_zero"), "{problem}");
    for rules in [
        rule("up") + &rule("down").replace("metric:", "convert: is_zero, metric:"),
        rule("down"),
        rule("{label: state, values: {running: up, stopped: down}}"),
        rule("{label: state, values: {running: up}, otherwise: down}"),
    ] {
        assert!(with_series(series, &rules, "").is_ok(), "{rules}");
    }
}

#[test]
fn a_document_without_the_expected_series_is_not_called_another_exporter() {
    let with_identity = |identity: &str| {
        with_series(
            "          - {family: x_start, value: $.start}\n          - {family: x_depth, each: '$.nodes[*]', labels: {s: $.s}, value: $.n}\n",
            "      - {family: x_depth, metric: mail.queue.depth, attributes: {mail.queue.state: {label: s, values: {a: active}}}}\n",
            &format!("{identity}counters_since: x_start\n"),
        )
        .unwrap()
        .required()
    };
    let part = with_identity("");
    assert!(part.read(&part.requests[0], r#"{"start":1,"nodes":null}"#.as_bytes()).is_ok());
    let part = with_identity("    identity: [x_depth]\n");
    let error = part.read(&part.requests[0], r#"{"start":1,"nodes":null}"#.as_bytes()).map(|_| ()).unwrap_err().to_string();
    let expected =
        "the response cannot be read: it has x_start, but no value of x_depth; check whether the lists in it are null, and the paths";
    assert_eq!(error, expected);
}
