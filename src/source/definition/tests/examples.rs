//! Examples in a definition.

use super::*;

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
