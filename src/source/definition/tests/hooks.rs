//! Keys of hooks.

use super::*;

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
fn records_count_only_what_the_rows_report() {
    use crate::model::vocabulary::RECORD_METRICS;
    let counted = |row: &str| {
        let hook = format!(
            "hook:\n  authentication: [token]\n  kind: type\n  identity: [id]\n  fields: {{size: size, duration: delay}}\n  rows: [{row}]\n"
        );
        let source = load(
            &format!("{}{hook}", with_rule("{family: a, metric: mail.delivery.attempts, attributes: {mail.delivery.outcome: delivered}}")),
            "f",
        )
        .unwrap();
        let metrics = source.record_metrics();
        RECORD_METRICS.iter().filter(|metric| metrics.contains(metric)).map(|metric| metric.name).collect::<Vec<_>>()
    };
    // The attempts of a server whose records have no attempts remain its own.
    for (row, expected) in [
        ("{event: mail.bounce}", &["mail.bounces"][..]),
        ("{event: mail.complaint}", &["mail.complaints"]),
        ("{event: mail.rejection}", &["mail.rejected.messages"]),
        ("{event: mail.received}", &["mail.received.messages"]),
        ("{outcome: expired}", &[]),
        ("{outcome: deferred}", &["mail.delivery.attempts", "mail.delivery.failures"]),
        ("{outcome: delivered}", &["mail.delivery.attempts", "mail.delivery.duration", "mail.message.size"]),
        ("{outcome: delivered, fields: {size: [], duration: []}}", &["mail.delivery.attempts"]),
        ("{outcome: failed}", &["mail.delivery.attempts", "mail.delivery.failures", "mail.delivery.duration", "mail.message.size"]),
    ] {
        assert_eq!(counted(row), expected, "{row}");
    }
}
