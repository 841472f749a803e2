//! Rules of definitions: patterns, composed attributes, counts of histograms, differences, and fallbacks.

use super::counts_of_histograms::observed;
use super::*;
use crate::source::{Condition, Diagnosis, Take};

#[test]
fn families_are_selected_by_pattern_and_each_counts_once() {
    static RULES: &[Rule] = &[
        Rule::new(&["*queue_ok_total", "haraka_queue_ok_total", "haraka_*_ok_total"], &RECEIVED_MESSAGES),
        Rule::new(&["?_bounce"], &BOUNCES).with(&[(&BOUNCE_TYPE, "hard")]).zero_when_absent(),
    ];
    check_each(
        RULES,
        &[
            ("haraka_queue_ok_total 5;haraka_queue_ok 9", "mail.received.messages 5; mail.bounces hard 0"),
            ("queue_ok_total 5;a_bounce 1;ab_bounce 9", "mail.received.messages 5; mail.bounces hard 1"),
            // Two families with equal labels are two series.
            ("haraka_queue_ok_total 5;mx_queue_ok_total 4", "mail.received.messages 9; mail.bounces hard 0"),
            ("haraka_in_ok_total 5;x 4", "mail.received.messages 5; mail.bounces hard 0"),
            ("a_bounce 1;b_bounce{x=\"1\"} 2;b_bounce{x=\"2\"} 4", "mail.bounces hard 7"),
            ("a_bounce 1;b_bounce NaN", "!non_finite 1"),
        ],
    );
}

#[test]
fn a_series_is_missing_from_one_of_two_families() {
    static RULES: &[Rule] = &[Rule::new(&["a", "b"], &COMPLAINTS)];
    check(RULES, &[("a 5;b 2", "mail.complaints 7"), ("a 6", "!incomplete_sum 1"), ("a 6;b 3", "mail.complaints 9")]);
}

#[test]
fn pruned_counters_are_accumulated_by_attributes() {
    const OF: AttributeSource = AttributeSource::labels(&["s"], &DELIVERY_OUTCOME).by_table(&[("ok", "delivered"), ("no", "failed")]);
    static RULES: &[Rule] = &[
        Rule::new(&["c"], &DELIVERY_ATTEMPTS).when(&[("kind", "a")]).from(&[OF]).transform(Transform::Accumulate),
        Rule::new(&["c"], &COMPLAINTS).when(&[("kind", "b")]).transform(Transform::Accumulate).scale(2.0),
    ];
    check(
        RULES,
        &[
            (
                "c{kind=\"a\",s=\"ok\",q=\"1\"} 5;c{kind=\"a\",s=\"no\"} 2;c{kind=\"b\"} 1;c{kind=\"a\",s=\"x\"} 9",
                "mail.delivery.attempts delivered 5; mail.delivery.attempts failed 2; mail.complaints 2",
            ),
            (
                "c{kind=\"a\",s=\"ok\",q=\"2\"} 1;c{kind=\"a\",s=\"no\"} 3;c{kind=\"b\"} 4",
                "mail.delivery.attempts delivered 6; mail.delivery.attempts failed 3; mail.complaints 8",
            ),
            (
                "c{kind=\"a\",s=\"no\"} 3;c{kind=\"b\"} 1",
                "mail.delivery.attempts delivered 6; mail.delivery.attempts failed 3; mail.complaints 10",
            ),
        ],
    );
}

#[test]
fn a_fallback_fills_only_points_that_earlier_rules_lack() {
    const STATE: AttributeSource = AttributeSource::labels(&["queue"], &QUEUE_STATE).by_table(&[
        ("active", "active"),
        ("hold", "held"),
        ("incoming", "queued"),
        ("maildrop", "queued"),
    ]);
    static RULES: &[Rule] = &[
        Rule::new(&["depth"], &QUEUE_DEPTH).from(&[STATE]),
        Rule::new(&["age_seconds"], &QUEUE_DEPTH).from(&[STATE]).take(Take::Count).fallback(),
        Rule::new(&["last"], &QUEUE_DEPTH).from(&[STATE]).fallback(),
    ];
    let age = |queue: &str, n| "# TYPE age_seconds histogram;".to_owned() + &observed("age_seconds", &format!("queue=\"{queue}\""), n);
    let two = age("incoming", 2) + &observed("age_seconds", "queue=\"maildrop\"", 3);
    for (page, expected) in [
        ("depth{queue=\"active\"} 1;".to_owned() + &age("active", 7), "mail.queue.depth active 1"),
        ("depth{queue=\"active\"} 1;".to_owned() + &age("hold", 7), "mail.queue.depth active 1; mail.queue.depth held 7"),
        (two.clone(), "mail.queue.depth queued 5"),
        (two + "last{queue=\"hold\"} 4;last{queue=\"incoming\"} 9", "mail.queue.depth queued 5; mail.queue.depth held 4"),
        ("depth{queue=\"active\"} NaN;last{queue=\"active\"} 6".to_owned(), "mail.queue.depth active 6; !non_finite 1"),
        ("depth{queue=\"active\"} NaN;last{queue=\"hold\"} 6".to_owned(), "mail.queue.depth held 6; !non_finite 1"),
    ] {
        assert_eq!(Polled::new(RULES, &[]).mapped(&[&page]), expected, "{page}");
    }
}

#[test]
fn a_page_without_own_families_has_no_points_if_identity_is_optional() {
    static REQUESTS: &[Request] = &[Request::get("text", "/", prometheus::read)];
    static RULES: &[Rule] = &[Rule::new(&["maddy_started"], &RECEIVED_MESSAGES).zero_when_absent(), Rule::new(&["process_*"], &COMPLAINTS)];
    static PART: Part = Part { rules: RULES, identity_is_optional: true, ..Part::new("metrics", "", REQUESTS) };
    let mut polled = Polled {
        source: Source { counters_since: None, ..Source::new("maddy", "", std::slice::from_ref(&PART)) },
        ..Polled::new(&[], &[])
    };
    for (page, expected) in [
        ("go_goroutines 7;process_max_fds 9", Ok("")),
        ("go_goroutines 7;unknown 1", Ok("")),
        ("maddy_started 4;process_max_fds 9", Ok("mail.received.messages 4; mail.complaints 9")),
        (
            "go_goroutines 7;ceymail_queue_total 1",
            Err("this looks like another exporter: go_goroutines, ceymail_queue_total; check url and system"),
        ),
    ] {
        let read = PART.read(&REQUESTS[0], (page.replace(';', "\n") + "\n").into_bytes());
        match (read, expected) {
            (Ok(_), Ok(expected)) => assert_eq!(polled.mapped(&[page]), expected, "{page}"),
            (read, expected) => assert_eq!(read.map(|_| "").map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{page}"),
        }
    }
}

#[test]
fn advice_follows_from_native_series() {
    static DIAGNOSES: &[Diagnosis] = &[
        Diagnosis {
            families: &["unsupported_*"],
            when: &[("service", "error"), ("service", "relay/*")],
            without: &[],
            condition: Condition::Rises,
            advice: "service {service} is not counted: add --label={service}, not {absent}.",
        },
        Diagnosis { families: &["old_version"], when: &[], without: &["new_*"], condition: Condition::Present, advice: "update it" },
        Diagnosis { families: &["damaged"], when: &[], without: &["new_*"], condition: Condition::Positive, advice: "repair {file}" },
    ];
    let mut polled = Polled::new(&[], &[]);
    polled.source.diagnoses = DIAGNOSES;
    let mut advice = |page: &str, later: u64| {
        polled.context.now += Duration::from_secs(later);
        polled.snapshot(&[page]).advice
    };
    let error = ["service error is not counted: add --label=error, not ."];
    assert_eq!(advice("unsupported_total{service=\"error\"} 5;damaged 0", 0), [""; 0], "the first poll shows no rise");
    assert_eq!(advice("unsupported_total{service=\"error\"} 5;unsupported_total{service=\"other\"} 5", 60), [""; 0]);
    assert_eq!(advice("unsupported_total{service=\"error\"} 6", 60), error);
    assert_eq!(advice("unsupported_total{service=\"error\"} 6", 3600), error, "for an hour");
    assert_eq!(advice("unsupported_total{service=\"error\"} 2", 1), [""; 0], "a fall is a restart");
    // A new series began at 0.
    assert_eq!(
        advice("unsupported_total{service=\"relay/smtp\"} 1;old_version 0;damaged{file=\"a\\nb\"} 1;damaged{file=\"c\"} 0", 60),
        ["update it", "repair a b", "service relay/smtp is not counted: add --label=relay/smtp, not ."]
    );
    // The response has a family of `without`.
    assert_eq!(advice("old_version 0;new_version 1;damaged{file=\"c\"} 1", 7200), [""; 0]);
    let many: String = (0..50).map(|n| format!("damaged{{file=\"{n}{}\"}} 1;", "x".repeat(1900))).collect();
    let texts = advice(&many, 7200);
    assert_eq!(texts.len(), ADVICE_MAX);
    assert!(texts.iter().all(|text| text.len() <= ADVICE_BYTES_MAX && text.ends_with('\u{2026}')), "{texts:?}");
}

#[test]
fn advice_compares_each_part_with_itself() {
    static DIAGNOSES: &[Diagnosis] =
        &[Diagnosis { families: &["errors"], when: &[], without: &[], condition: Condition::Rises, advice: "repair {file}" }];
    let mut polled = Polled::new(&[], &[]);
    polled.source.diagnoses = DIAGNOSES;
    for (pages, expected) in
        [(["errors 5", "errors 9"], &[][..]), (["errors 5", "errors 9"], &[]), (["errors 6", "errors 9"], &["repair "])]
    {
        assert_eq!(polled.snapshot(&pages).advice, expected, "{pages:?}");
    }
}

#[test]
fn the_state_of_a_rule_survives_a_changed_definition_if_the_rule_is_the_same() {
    const KEPT: Rule = Rule::new(&["c"], &COMPLAINTS).transform(Transform::Rebase);
    const PRUNED: Rule = Rule::new(&["p"], &BOUNCES).transform(Transform::Accumulate);
    static BEFORE: &[Rule] = &[KEPT, PRUNED];
    static AFTER: &[Rule] = &[Rule::new(&["g"], &ACCOUNT_CONFIGURED), KEPT];
    let mut polled = Polled::new(BEFORE, &[]);
    assert_eq!(polled.mapped(&["c 9;p 5;g 1"]), "mail.complaints 9; mail.bounces 5");
    assert_eq!(polled.mapped(&["c 3;p 2"]), "mail.complaints 9; mail.bounces 7");
    polled.source = system(AFTER, &[]);
    assert_eq!(polled.mapped(&["c 4;p 2;g 1"]), "mail.account.configured 1; mail.complaints 10");
    polled.source = system(BEFORE, &[]);
    assert_eq!(polled.mapped(&["c 5;p 1"]), "mail.complaints 11; mail.bounces 1", "the state of a removed rule is removed as well");
}
