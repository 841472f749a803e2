//! Rules of definitions: patterns, composed attributes, counts of histograms, differences, and fallbacks.

use super::*;
use crate::source::{Condition, Diagnosis, Piece, Take};

/// Pairs of a native and a canonical value.
type Table = &'static [(&'static str, &'static str)];

const OUTCOMES: Table = &[("ok*", "delivered"), ("permerror", "failed")];

/// Returns the lines of one histogram with a single bucket.
fn observed(family: &str, labels: &str, count: u64) -> String {
    format!(
        "{family}_bucket{{{labels},le=\"1\"}} {count};{family}_bucket{{{labels},le=\"+Inf\"}} {count};{family}_sum{{{labels}}} {count}.5;{family}_count{{{labels}}} {count};"
    )
}

#[test]
fn a_histogram_with_four_labels_is_counted_by_one_of_them() {
    static RULES: &[Rule] = &[
        Rule::new(&["mox_delivery_seconds"], &DELIVERY_ATTEMPTS)
            .from(&[AttributeSource::labels(&["result"], &DELIVERY_OUTCOME).by_table(OUTCOMES).otherwise("deferred")])
            .take(Take::Count)
            .zero_when_absent(),
        Rule::new(&["mox_delivery_seconds"], &DELIVERY_ATTEMPT_DURATION),
    ];
    let series = |attempt: u32, transport: &str, tls: &str, result: &str, count| {
        let labels = format!("attempt=\"{attempt}\",transport=\"{transport}\",tlsmode=\"{tls}\",result=\"{result}\"");
        observed("mox_delivery_seconds", &labels, count)
    };
    let page = "# TYPE mox_delivery_seconds histogram;".to_owned()
        + &series(1, "", "opportunistic", "ok", 9)
        + &series(1, "smarthost", "required", "ok", 3)
        + &series(2, "", "opportunistic", "okpartial", 2)
        + &series(1, "", "opportunistic", "timeout", 4)
        + &series(2, "", "none", "error", 5);
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(
        polled.mapped(&[&page]),
        "mail.delivery.attempts delivered 14; mail.delivery.attempts deferred 9; mail.delivery.attempts failed 0"
    );
    let duration = |snapshot: &Snapshot| snapshot.histograms.iter().map(|(_, _, h)| (h.count, h.sum)).collect::<Vec<_>>();
    assert_eq!(duration(&polled.snapshot(&[&page])), [(23, Some(25.5))]);
    // The same series twice counts once, and none at all means 0.
    let repeated = page.clone() + &series(1, "", "opportunistic", "ok", 9);
    assert!(Polled::new(RULES, &[]).mapped(&[&repeated]).starts_with("mail.delivery.attempts delivered 14;"));
    assert_eq!(
        Polled::new(RULES, &[]).mapped(&["x 1"]),
        "mail.delivery.attempts delivered 0; mail.delivery.attempts failed 0; mail.delivery.attempts deferred 0"
    );
}

#[test]
fn a_count_that_lacks_a_histogram_is_unknown() {
    static RULES: &[Rule] = &[
        Rule::new(&["h"], &WEBHOOK_REQUESTS)
            .from(&[AttributeSource::labels(&["c"], &WEBHOOK_OUTCOME).by_table(&[("2??", "success"), ("*", "failure")])])
            .take(Take::Count)
            .zero_when_absent(),
        Rule::new(&["h"], &MESSAGE_IO).with(&[(&IO_DIRECTION, "receive")]).take(Take::Sum).unless(&[("c", "5*")]),
    ];
    let page = |series: &[(&str, u64)]| -> String {
        "# TYPE h histogram;".to_owned() + &series.iter().map(|(code, n)| observed("h", &format!("c=\"{code}\""), *n)).collect::<String>()
    };
    let lost = |code: &str| format!("h_bucket{{c=\"{code}\",le=\"1\"}} 9;h_sum{{c=\"{code}\"}} 1;h_count{{c=\"{code}\"}} 4;");
    for (page, expected) in [
        (
            page(&[("200", 3), ("204", 4), ("500", 2)]),
            "mail.webhook.requests success 7; mail.webhook.requests failure 2; mail.message.io receive 8",
        ),
        (page(&[("200", 3), ("500", 2)]) + &lost("201"), "mail.webhook.requests failure 2; !inconsistent_histogram 1"),
        (
            page(&[("200", 3), ("500", 2)]) + &lost("503"),
            "mail.webhook.requests success 3; mail.message.io receive 4; !inconsistent_histogram 1",
        ),
        // An observation that is absent is 0, but one that may be unreadable is unknown.
        (page(&[("200", 3)]), "mail.webhook.requests success 3; mail.webhook.requests failure 0; mail.message.io receive 4"),
        ("h{c=\"200\"} 3;h{c=\"500\"} 1".to_owned(), "!unreadable 3"),
        (
            "# TYPE h summary;h{c=\"200\",quantile=\"0.5\"} 1;h_sum{c=\"200\"} 6;h_count{c=\"200\"} 2".to_owned(),
            "mail.webhook.requests success 2; mail.webhook.requests failure 0; mail.message.io receive 6",
        ),
    ] {
        assert_eq!(Polled::new(RULES, &[]).mapped(&[&page]), expected, "{page}");
    }
}

#[test]
fn a_count_restarts_as_a_counter_does() {
    static RULES: &[Rule] = &[Rule::new(&["h"], &COMPLAINTS).take(Take::Count)];
    let page = |labels: &[(&str, u64)]| -> String {
        "# TYPE h histogram;".to_owned() + &labels.iter().map(|(l, n)| observed("h", &format!("l=\"{l}\""), *n)).collect::<String>()
    };
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(polled.mapped(&[&page(&[("a", 5), ("b", 2)])]), "mail.complaints 7");
    // Without one of its series, the sum would fall.
    assert_eq!(polled.mapped(&[&page(&[("a", 6)])]), "");
    assert_eq!(polled.mapped(&[&page(&[("a", 6), ("b", 2)])]), "mail.complaints 8");
    assert_eq!(polled.mapped(&[&page(&[("a", 1)])]), "mail.complaints 1", "a decrease is a restart");
}

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
    check(RULES, &[("a 5;b 2", "mail.complaints 7"), ("a 6", ""), ("a 6;b 3", "mail.complaints 9")]);
}

#[test]
fn labels_are_selected_by_patterns_and_by_one_of_several_values() {
    static ONE_OF: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).when(&[("cmd", "mail"), ("cmd", "rcpt"), ("code", "4??"), ("code", "5??")])];
    check_each(
        ONE_OF,
        &[
            ("c{cmd=\"mail\",code=\"450\"} 1;c{cmd=\"rcpt\",code=\"550\"} 2;c{cmd=\"data\",code=\"550\"} 4", "mail.complaints 3"),
            ("c{cmd=\"mail\",code=\"250\"} 1;c{cmd=\"mail\"} 2;c{code=\"450\"} 4;c{cmd=\"mail\",code=\"45\"} 8", ""),
        ],
    );
    static EMPTY: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).when(&[("l", "")])];
    check_each(EMPTY, &[("c 1;c{l=\"\"} 2;c{l=\"x\"} 4;c{m=\"y\"} 8", "mail.complaints 11")]);
    static UNLESS: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).unless(&[("status", ""), ("status", "x*"), ("of", "y")])];
    check_each(UNLESS, &[("c 1;c{status=\"\"} 2;c{status=\"xa\"} 4;c{status=\"s\"} 8;c{status=\"s\",of=\"y\"} 16", "mail.complaints 8")]);
    static PRESENT: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).when(&[("l", "?*")])];
    check_each(PRESENT, &[("c 1;c{l=\"\"} 2;c{l=\"x\"} 4;c{l=\"xyz\"} 8", "mail.complaints 12")]);
}

#[test]
fn an_attribute_comes_from_the_first_label_that_is_not_empty() {
    static RULES: &[Rule] = &[Rule::new(&["e"], &DELIVERY_FAILURES).from(&[
        AttributeSource::labels(&["status"], &FAILURE_KIND).by_table(&[("4*", "transient"), ("450", "unknown"), ("5*", "permanent")]),
        AttributeSource::labels(&["enhanced", "status"], &ERROR_TYPE),
    ])];
    check_each(
        RULES,
        &[
            ("e{status=\"451\",enhanced=\"4.7.1\"} 1", "mail.delivery.failures transient 4.7.1 1"),
            ("e{status=\"451\",enhanced=\"\"} 1;e{status=\"451\"} 2", "mail.delivery.failures transient 451 3"),
            // An equal key overrides a pattern, wherever it stands.
            ("e{status=\"450\"} 1", "mail.delivery.failures unknown 450 1"),
            ("e{status=\"250\",enhanced=\"2.0.0\"} 1;e 2;e{enhanced=\"5.0.0\"} 4", ""),
        ],
    );
    static MISSING: &[Rule] = &[Rule::new(&["m"], &RECEIVED_MESSAGES).from(&[
        AttributeSource::labels(&["method"], &MESSAGE_SOURCE).by_table(&[("NONE", "remote"), ("", "remote"), ("*", "authenticated")])
    ])];
    check_each(
        MISSING,
        &[(
            "m{method=\"NONE\"} 1;m{method=\"\"} 2;m 4;m{method=\"PLAIN,\"} 8;m{method=\"LOGIN\"} 16",
            "mail.received.messages remote 7; mail.received.messages authenticated 24",
        )],
    );
    static STRICT: &[Rule] =
        &[Rule::new(&["m"], &RECEIVED_MESSAGES).from(&[AttributeSource::labels(&["a", "b"], &MESSAGE_SOURCE).by_table(&[("*", "dsn")])])];
    check_each(STRICT, &[("m 1;m{a=\"\",b=\"\"} 2;m{b=\"x\"} 4", "mail.received.messages dsn 4")]);
}

#[test]
fn an_attribute_is_composed_of_labels() {
    static RULES: &[Rule] = &[Rule::new(&["f"], &DELIVERY_FAILURES)
        .from(&[AttributeSource::template(&[Piece::Char("code", 0), Piece::Text("."), Piece::Label("secode")], &ERROR_TYPE)])];
    check_each(
        RULES,
        &[
            ("f{code=\"550\",secode=\"7.1\"} 1;f{code=\"551\",secode=\"7.1\"} 2", "mail.delivery.failures 5.7.1 3"),
            ("f{code=\"\",secode=\"7.1\"} 1;f{code=\"550\",secode=\"\"} 2;f{code=\"550\"} 4;f{secode=\"1\"} 8;f 16", ""),
            ("f{code=\"\u{fc}50\",secode=\"1\"} 1", "mail.delivery.failures \u{fc}.1 1"),
        ],
    );
    static BY_TABLE: &[Rule] = &[Rule::new(&["f"], &DELIVERY_FAILURES).from(&[AttributeSource::template(
        &[Piece::Char("code", 1), Piece::Char("code", 2)],
        &FAILURE_KIND,
    )
    .by_table(&[("5?", "transient"), ("50", "permanent")])
    .otherwise("unknown")])];
    check_each(
        BY_TABLE,
        &[(
            "f{code=\"450\"} 1;f{code=\"451\"} 2;f{code=\"4\"} 4;f{code=\"45\"} 8;f{code=\"421\"} 16",
            "mail.delivery.failures permanent 1; mail.delivery.failures transient 2; mail.delivery.failures unknown 16",
        )],
    );
}

#[test]
fn several_rules_add_to_one_point() {
    static RULES: &[Rule] = &[
        Rule::new(&["delivered", "additional"], &DELIVERY_ATTEMPTS).with(&[(&DELIVERY_OUTCOME, "delivered")]),
        Rule::new(&["m"], &DELIVERY_ATTEMPTS)
            .from(&[AttributeSource::labels(&["flag"], &DELIVERY_OUTCOME).by_table(&[("cut*", "delivered"), ("failed", "failed")])]),
        Rule::new(&["frozen"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "frozen")]),
        Rule::new(&["queue"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["frozen"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]).scale(-1.0),
    ];
    check_each(
        RULES,
        &[
            (
                "delivered 5;additional 2;m{flag=\"cutthrough\"} 1;m{flag=\"failed\"} 3;m{flag=\"other\"} 9",
                "mail.delivery.attempts delivered 8; mail.delivery.attempts failed 3",
            ),
            ("queue 15;frozen 4", "mail.queue.depth frozen 4; mail.queue.depth queued 11"),
            // The server counts one after the other.
            ("queue 3;frozen 4", "mail.queue.depth frozen 4; mail.queue.depth queued 0"),
        ],
    );
}

#[test]
fn a_difference_without_anything_to_subtract_from_is_unknown() {
    static RULES: &[Rule] = &[
        Rule::new(&["queue"], &QUEUE_DEPTH),
        Rule::new(&["frozen"], &QUEUE_DEPTH).scale(-1.0),
        Rule::new(&["all"], &COMPLAINTS).zero_when_absent().transform(Transform::Hold),
        Rule::new(&["less*"], &COMPLAINTS).scale(-1.0).zero_when_absent().transform(Transform::Hold),
        Rule::new(&["first"], &SYSTEM_MEMORY_LIMIT),
        Rule::new(&["second"], &SYSTEM_MEMORY_LIMIT).scale(-1.0),
        Rule::new(&["third"], &SYSTEM_MEMORY_LIMIT).fallback(),
    ];
    check_each(
        RULES,
        &[
            ("x 1", "mail.complaints 0"),
            ("frozen 5", "mail.complaints 0; !out_of_range 1"),
            // 0 messages are no less unknown.
            ("frozen 0", "mail.complaints 0"),
            ("queue 0;frozen 5", "mail.queue.depth 0; mail.complaints 0"),
            ("queue NaN;frozen 5", "mail.complaints 0; !non_finite 1"),
            // The server exposes a counter after its first event: a missing one is 0, unless more than that is subtracted.
            ("less 0", "mail.complaints 0"),
            ("less 2;less_of_another 3", "!out_of_range 1"),
            ("all 4", "mail.complaints 4"),
            ("all 4;less 5", "mail.complaints 0; !held 1"),
            ("second 3;third 9", "mail.complaints 0; system.memory.limit 9"),
        ],
    );
    check(
        RULES,
        &[
            ("started 9;less 5", "!out_of_range 1"),
            ("started 9;less 5;all 20000", "mail.complaints 19995"),
            ("started 9;less 5", "!out_of_range 1"),
            ("started 9;less 6;all 20000", "mail.complaints 19995; !held 1"),
        ],
    );
    static DETAILS: &[Rule] =
        &[Rule::new(&["frozen"], &QUEUE_DEPTH).scale(-1.0), Rule::new(&["of"], &QUEUE_DEPTH).detail("d", &DESTINATION_DOMAIN)];
    let mut polled = Polled::new(DETAILS, &[]);
    polled.context.detail = Some(Detail { by: &DESTINATION_DOMAIN, top: 2 });
    assert_eq!(polled.mapped(&["frozen 5;of{d=\"a\"} 3"]), "", "the total of a detail");
}

#[test]
fn a_difference_of_counters_is_held_by_attributes_until_a_restart() {
    const SOURCES: Table = &[("smtp", "remote"), ("submission", "authenticated")];
    const SOURCE: AttributeSource = AttributeSource::labels(&["module"], &MESSAGE_SOURCE).by_table(SOURCES);
    static RULES: &[Rule] = &[
        Rule::new(&["started_tx"], &RECEIVED_MESSAGES).from(&[SOURCE]).transform(Transform::Hold),
        Rule::new(&["aborted_tx"], &RECEIVED_MESSAGES).from(&[SOURCE]).scale(-1.0).transform(Transform::Hold),
        Rule::new(&["failed"], &RECEIVED_MESSAGES).when(&[("command", "DATA")]).from(&[SOURCE]).scale(-1.0).transform(Transform::Hold),
    ];
    let page = |since: u32, smtp: [u32; 3], submission: u32| {
        let [started, aborted, failed] = smtp;
        format!(
            "started {since};started_tx{{module=\"smtp\"}} {started};started_tx{{module=\"submission\"}} {submission};\
             aborted_tx{{module=\"smtp\"}} {aborted};failed{{module=\"smtp\",command=\"DATA\",code=\"550\"}} {failed};\
             failed{{module=\"smtp\",command=\"DATA\",code=\"451\"}} 1;failed{{module=\"smtp\",command=\"RCPT\",code=\"550\"}} 50"
        )
    };
    let mut polled = Polled::new(RULES, &[]);
    for (page, expected) in [
        (page(100, [20, 6, 2], 31), "mail.received.messages remote 11; mail.received.messages authenticated 31"),
        // A transaction that has started is aborted.
        (page(100, [20, 7, 2], 32), "mail.received.messages remote 11; mail.received.messages authenticated 32; !held 1"),
        (page(100, [24, 7, 2], 32), "mail.received.messages remote 14; mail.received.messages authenticated 32"),
        // The subtracted family is missing: the difference would be too large, and would be held.
        (
            "started 100;started_tx{module=\"smtp\"} 24;started_tx{module=\"submission\"} 33".to_owned(),
            "mail.received.messages authenticated 33",
        ),
        (page(100, [25, 7, 2], 33), "mail.received.messages remote 15; mail.received.messages authenticated 33"),
        (page(200, [3, 0, 0], 2), "mail.received.messages remote 2; mail.received.messages authenticated 2"),
        (
            page(200, [3, 1, 0], 2).replace("started 200;", ""),
            "mail.received.messages remote 2; mail.received.messages authenticated 2; !held 1",
        ),
    ] {
        assert_eq!(polled.mapped(&[&page]), expected, "{page}");
    }
}

#[test]
fn a_fall_of_a_rebased_counter_adds_nothing() {
    static RULES: &[Rule] = &[Rule::new(&["spam"], &SPAM_VERDICTS)
        .from(&[AttributeSource::labels(&["v"], &SPAM_VERDICT).by_table(&[("s?", "spam"), ("h*", "ham")])])
        .transform(Transform::Rebase)];
    check(
        RULES,
        &[
            ("x 1", ""),
            ("spam{v=\"s1\"} 99;spam{v=\"h\"} 5", "mail.spam.verdicts spam 99; mail.spam.verdicts ham 5"),
            ("spam{v=\"s1\"} 37;spam{v=\"h\"} 6", "mail.spam.verdicts spam 99; mail.spam.verdicts ham 6"),
            ("spam{v=\"s1\"} 68;spam{v=\"h\"} 6", "mail.spam.verdicts spam 130; mail.spam.verdicts ham 6"),
            // Each series has its own base.
            ("spam{v=\"s1\"} 70;spam{v=\"s2\"} 4;spam{v=\"h\"} 6", "mail.spam.verdicts spam 136; mail.spam.verdicts ham 6"),
            ("spam{v=\"s1\"} 0;spam{v=\"s2\"} 5;spam{v=\"h\"} 0", "mail.spam.verdicts spam 137; mail.spam.verdicts ham 6"),
            ("spam{v=\"s1\"} 3;spam{v=\"s2\"} 2;spam{v=\"h\"} 1", "mail.spam.verdicts spam 140; mail.spam.verdicts ham 7"),
            // A missing or invalid value changes nothing.
            ("spam{v=\"s1\"} 4;spam{v=\"h\"} NaN", "mail.spam.verdicts spam 141; mail.spam.verdicts ham 7; !non_finite 1"),
            ("x 1", "mail.spam.verdicts ham 7; mail.spam.verdicts spam 141"),
            ("spam{v=\"s1\"} 5;spam{v=\"s2\"} 3;spam{v=\"h\"} 2", "mail.spam.verdicts spam 143; mail.spam.verdicts ham 8"),
        ],
    );
    check_each(
        RULES,
        &[("spam{v=\"s1\"} NaN;spam{v=\"s2\"} 1", "!non_finite 1"), ("spam{v=\"h1\"} 3;spam{v=\"h2\"} 4", "mail.spam.verdicts ham 7")],
    );
}

#[test]
fn the_start_of_rebased_counters_does_not_move() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Rebase)];
    let since = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let mut polled = Polled::new(RULES, &[]);
    for page in ["started 100;c 9", "started 200;c 3", "c 4"] {
        assert_eq!(polled.snapshot(&[page]).counters_since, since(100), "{page}");
    }
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(polled.snapshot(&["c 9"]).counters_since, None);
}

#[test]
fn a_rebased_counter_is_scaled() {
    static RULES: &[Rule] =
        &[Rule::new(&["kb"], &MESSAGE_IO).with(&[(&IO_DIRECTION, "receive")]).scale(1000.0).transform(Transform::Rebase)];
    check(
        RULES,
        &[("kb 5", "mail.message.io receive 5000"), ("kb 2", "mail.message.io receive 5000"), ("kb 4", "mail.message.io receive 7000")],
    );
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
            family: "unsupported_*",
            when: &[("service", "error"), ("service", "relay/*")],
            condition: Condition::Rises,
            advice: "service {service} is not counted: add --label={service}, not {absent}.",
        },
        Diagnosis { family: "old_version", when: &[], condition: Condition::Present, advice: "update it" },
        Diagnosis { family: "damaged", when: &[], condition: Condition::Positive, advice: "repair {file}" },
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
    let many: String = (0..50).map(|n| format!("damaged{{file=\"{n}{}\"}} 1;", "x".repeat(1900))).collect();
    let texts = advice(&many, 7200);
    assert_eq!(texts.len(), ADVICE_MAX);
    assert!(texts.iter().all(|text| text.len() <= ADVICE_BYTES_MAX && text.ends_with('\u{2026}')), "{texts:?}");
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
    assert_eq!(polled.mapped(&["c 5;p 1"]), "mail.complaints 11; mail.bounces 1", "the state of a removed rule is forgotten");
}
