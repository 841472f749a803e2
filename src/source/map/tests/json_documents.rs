//! JSON documents of consecutive polls, read and mapped by a definition: values that are missing for a time.

use super::*;
use crate::source::load;

/// Checks the points of consecutive polls of one target by a definition with these series and rules.
#[track_caller]
fn check_documents(series: &[&str], rules: &[&str], polls: &[(&str, &str)]) {
    let list = |items: &[&str], indent: &str| items.iter().map(|item| format!("{indent}- {{{item}}}\n")).collect::<String>();
    let (series, rules) = (list(series, "          "), list(rules, "      "));
    let text = format!(
        "name: documents\nparts:\n  - name: all\n    requests:\n      - path: /\n        reader: json\n        series:\n{series}    rules:\n{rules}"
    );
    let source = load(&text, "documents.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    let mut polled = Polled::new(&[], &[]);
    for (body, expected) in polls {
        let read = [(source.required(), source.required().read_saved(body.as_bytes()).unwrap())];
        assert_eq!(shown(&map_to_canonical(source, &read, &mut polled.memory, &polled.context)), *expected, "{body}");
        polled.context.now += Duration::from_secs(60);
    }
}

/// A counter of each queue.
const SENT: &str = "family: sent, type: counter, each: '$.queues[*]', labels: {q: $.name}, value: $.sent";
/// The same, whose nodes have equal labels.
const TOTAL: &str = "family: total, type: counter, each: '$.queues[*]', value: $.sent";
const VERSION: &str = "family: version, value: $.v";
const DELIVERED: &str = "metric: mail.delivery.attempts, attributes: {mail.delivery.outcome: delivered}";

#[test]
fn a_list_that_is_missing_for_a_time_is_not_counted_again() {
    let accumulated = format!("family: sent, {DELIVERED}, fall: accumulate");
    let zero = format!("family: sent, {DELIVERED}, zero_when_absent: true");
    let list = |a, b| format!(r#"{{"v":1,"queues":[{{"name":"a","sent":{a}}},{{"name":"b","sent":{b}}}]}}"#);
    let (first, second, third) = (list(20, 500), list(21, 501), list(22, 502));
    let (null, text) = (r#"{"v":1,"queues":null}"#, r#"{"v":1,"queues":"database is locked"}"#);
    check_documents(
        &[SENT, VERSION],
        &[&accumulated],
        &[
            (&first, "mail.delivery.attempts delivered 520"),
            (null, "mail.delivery.attempts delivered 520; !unreadable 1"),
            (&second, "mail.delivery.attempts delivered 522"),
            (text, "mail.delivery.attempts delivered 522; !unreadable 1"),
            (&third, "mail.delivery.attempts delivered 524"),
        ],
    );
    check_documents(
        &[SENT, VERSION],
        &[&zero],
        &[
            (null, "!unreadable 1"),
            (&first, "mail.delivery.attempts delivered 520"),
            (text, "!unreadable 1"),
            (&second, "mail.delivery.attempts delivered 522"),
        ],
    );
}

#[test]
fn a_sum_of_a_list_that_is_missing_with_another_family_is_omitted() {
    let size = "family: size, each: '$.queues[*]', labels: {q: $.name}, value: $.n";
    let depth = |family: &str| format!("family: {family}, metric: mail.queue.depth, attributes: {{mail.queue.state: held}}");
    for rules in [[depth("size"), depth("other")], [depth("other"), depth("size")]] {
        check_documents(
            &[size, "family: other, value: $.o"],
            &[&rules[0], &rules[1]],
            &[
                (r#"{"o":4,"queues":[{"name":"a","n":3}]}"#, "mail.queue.depth held 7"),
                (r#"{"o":4,"queues":[]}"#, "mail.queue.depth held 4"),
                (r#"{"o":4,"queues":null}"#, "!unreadable 1"),
                (r#"{"o":4,"queues":7}"#, "!unreadable 1"),
            ],
        );
    }
}

#[test]
fn a_counter_is_omitted_while_a_node_has_no_value_of_it() {
    let list = |b: &str| format!(r#"{{"v":1,"queues":[{{"name":"a","sent":20}},{{"name":"b"{b}}}]}}"#);
    let (known, null, missing, dash, other) =
        (list(r#","sent":5"#), list(r#","sent":null"#), list(""), list(r#","sent":"-""#), r#"{"v":1,"queues":{"error":"locked"}}"#);
    for (series, family) in [(TOTAL, "total"), (SENT, "sent")] {
        check_documents(
            &[series, VERSION],
            &[&format!("family: {family}, {DELIVERED}")],
            &[
                (&known, "mail.delivery.attempts delivered 25"),
                (&null, "!unreadable 1"),
                (&known, "mail.delivery.attempts delivered 25"),
                (&missing, "!unreadable 1"),
                (&dash, "!unreadable 1"),
                (other, "!unreadable 1"),
                (&known, "mail.delivery.attempts delivered 25"),
            ],
        );
    }
    check_documents(
        &[SENT, VERSION],
        &[&format!("family: sent, {DELIVERED}, fall: accumulate")],
        &[
            (&known, "mail.delivery.attempts delivered 25"),
            (&null, "mail.delivery.attempts delivered 25; !unreadable 1"),
            (other, "mail.delivery.attempts delivered 25; !unreadable 1"),
            (&known, "mail.delivery.attempts delivered 25"),
        ],
    );
    // A filter excludes the nodes that never have a value.
    check_documents(
        &[&SENT.replace("[*]", "[?@.sent != null]"), VERSION],
        &[&format!("family: sent, {DELIVERED}")],
        &[(&null, "mail.delivery.attempts delivered 20"), (&known, "mail.delivery.attempts delivered 25")],
    );
    // A gauge is the sum of the values that there are.
    check_documents(
        &[&SENT.replace("type: counter, ", ""), VERSION],
        &["family: sent, metric: mail.queue.depth, attributes: {mail.queue.state: held}"],
        &[(&null, "mail.queue.depth held 20"), (&missing, "mail.queue.depth held 20")],
    );
}
