//! Sums that lack a series: they are omitted until they are complete or the counters restart.

use super::*;

#[test]
fn a_sum_is_held_until_the_counters_restart() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Hold).zero_when_absent()];
    check(
        RULES,
        &[
            ("started 100;c 5", "mail.complaints 5"),
            ("started 100;c 4", "mail.complaints 5; !held 1"),
            ("started 100", "mail.complaints 5; !held 1"),
            ("started 100;c 6", "mail.complaints 6"),
            ("started 200;c 1", "mail.complaints 1"),
        ],
    );
}

#[test]
fn a_start_that_moves_with_the_clock_does_not_release_a_held_sum() {
    static RULES: &[Rule] = &[
        Rule::new(&["all"], &COMPLAINTS).transform(Transform::Hold),
        Rule::new(&["less"], &COMPLAINTS).scale(-1.0).transform(Transform::Hold),
    ];
    check(
        RULES,
        &[
            ("started 100;all 105;less 5", "mail.complaints 100"),
            ("started 100;all 105;less 7", "mail.complaints 100; !held 1"),
            ("started 101;all 105;less 7", "mail.complaints 100; !held 1"),
            ("started 99;all 105;less 7", "mail.complaints 100; !held 1"),
            ("started 101;all 105;less 7", "mail.complaints 100; !held 1"),
            // Restarts: after the last poll; with a clock that is behind; of an exporter whose counters appear with the first event.
            ("started 1290;all 106;less 9", "mail.complaints 97"),
            ("started 1300;all 30;less 9", "mail.complaints 21"),
            ("started 1310", ""),
            ("started 1310;all 2;less 0", "mail.complaints 2"),
        ],
    );
}

#[test]
fn a_sum_that_lacks_a_series_is_omitted_until_the_series_is_back_or_the_server_restarts() {
    static RULES: &[Rule] = &[
        Rule::new(&["a"], &COMPLAINTS).zero_when_absent(),
        Rule::new(&["b"], &COMPLAINTS),
        Rule::new(&["c"], &BOUNCES).zero_when_absent(),
        Rule::new(&["g"], &ACCOUNT_CONFIGURED),
    ];
    let cases = [
        ("a 1000;b 5;g 2", "mail.complaints 1005; mail.bounces 0; mail.account.configured 2"),
        // The sum is neither 5 nor 0. Gauges have no state.
        ("b 6", "mail.bounces 0; !incomplete_sum 1"),
        ("g 2", "mail.bounces 0; mail.account.configured 2; !incomplete_sum 1"),
        ("a 1060;b 7;c 3", "mail.complaints 1067; mail.bounces 3"),
        // A counter decreased: the server restarted, and missing series are 0.
        ("b 1", "mail.complaints 1; mail.bounces 0"),
        ("started 500;c 2", "mail.bounces 2; !incomplete_sum 1"),
        // A start that moves with the server's clock is not a restart; one after the last poll is.
        ("started 501;b 1", "mail.complaints 1; !incomplete_sum 1"),
        ("started 501;c 2", "mail.bounces 2; !incomplete_sum 1"),
        ("started 1430;g 1", "mail.complaints 0; mail.bounces 0; mail.account.configured 1"),
    ];
    check(RULES, &cases);
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(polled.mapped(&["a 5;b 1"]), "mail.complaints 6; mail.bounces 0");
    polled.context.now += Duration::from_secs(3600);
    assert_eq!(polled.mapped(&["b 1"]), "mail.bounces 0; !incomplete_sum 1");
    polled.context.now += Duration::from_secs(1);
    assert_eq!(polled.mapped(&["b 1"]), "mail.complaints 1; mail.bounces 0", "an hour later");
}

#[test]
fn without_a_start_a_held_sum_is_released_by_counters_that_stay_lower() {
    static RULES: &[Rule] = &[
        Rule::new(&["in"], &RECEIVED_MESSAGES).transform(Transform::Hold),
        Rule::new(&["rejected"], &RECEIVED_MESSAGES).scale(-1.0).transform(Transform::Hold),
        Rule::new(&["sent"], &COMPLAINTS),
    ];
    let page = |values: [u32; 3]| format!("in {};rejected {};sent {}", values[0], values[1], values[2]);
    let expected = |received: u32, sent: u32, held: &str| format!("mail.received.messages {received}; mail.complaints {sent}{held}");
    for polls in [
        // A restart. It is recognized at the third poll after the fall.
        &[
            ([1010, 200, 60], 810, ""),
            ([3, 1, 3], 810, "; !held 1"),
            ([30, 2, 9], 810, "; !held 1"),
            ([60, 2, 9], 810, "; !held 1"),
            ([90, 2, 9], 88, ""),
            ([91, 2, 9], 89, ""),
            ([91, 3, 9], 89, "; !held 1"),
            ([92, 3, 9], 89, ""),
        ][..],
        // The counter that is subtracted fell too.
        &[
            ([1010, 200, 0], 810, ""),
            ([30, 2, 0], 810, "; !held 1"),
            ([30, 2, 0], 810, "; !held 1"),
            ([30, 2, 0], 810, "; !held 1"),
            ([31, 2, 0], 29, ""),
        ],
        // Two processes respond in turn, and a fall that comes back.
        &[
            ([100, 9, 50], 91, ""),
            ([80, 9, 40], 91, "; !held 1"),
            ([101, 9, 50], 92, ""),
            ([81, 9, 40], 92, "; !held 1"),
            ([82, 9, 40], 92, "; !held 1"),
            ([102, 9, 50], 93, ""),
            ([83, 9, 40], 93, "; !held 1"),
            ([103, 9, 50], 94, ""),
        ],
        // The difference falls, and its counters do not.
        &[
            ([100, 0, 5], 100, ""),
            ([100, 7, 5], 100, "; !held 1"),
            ([100, 7, 5], 100, "; !held 1"),
            ([100, 7, 5], 100, "; !held 1"),
            ([100, 7, 5], 100, "; !held 1"),
            ([100, 7, 5], 100, "; !held 1"),
            ([110, 7, 5], 103, ""),
        ],
        // Only another counter fell.
        &[
            ([100, 7, 50], 93, ""),
            ([100, 8, 5], 93, "; !held 1"),
            ([100, 8, 5], 93, "; !held 1"),
            ([100, 8, 5], 93, "; !held 1"),
            ([100, 8, 6], 93, "; !held 1"),
            ([102, 8, 6], 94, ""),
        ],
    ] {
        let mut polled = Polled::new(RULES, &[]);
        for (index, (values, received, held)) in polls.iter().enumerate() {
            assert_eq!(polled.mapped(&[&page(*values)]), expected(*received, values[2], held), "{index} of {polls:?}");
        }
    }
}

#[test]
fn with_a_start_a_held_sum_is_released_by_a_restart_only() {
    static RULES: &[Rule] = &[Rule::new(&["in"], &RECEIVED_MESSAGES).transform(Transform::Hold), Rule::new(&["sent"], &COMPLAINTS)];
    let mut polled = Polled::new(RULES, &[]);
    for (index, n) in [100, 80, 81, 82, 83, 84, 85, 101].into_iter().enumerate() {
        let held = if n < 100 { "; !held 1" } else { "" };
        let expected = format!("mail.received.messages {}; mail.complaints {n}{held}", n.max(100));
        assert_eq!(polled.mapped(&[&format!("started 100;in {n};sent {n}")]), expected, "{index}");
    }
}

#[test]
fn a_fallback_that_lacks_a_series_is_omitted_until_it_is_complete() {
    static RULES: &[Rule] = &[Rule::new(&["new"], &COMPLAINTS), Rule::new(&["old"], &COMPLAINTS).fallback()];
    let cases = [
        ("old{q=\"1\"} 101;old{q=\"2\"} 50", "mail.complaints 151"),
        ("old{q=\"1\"} 101", "!incomplete_sum 1"),
        ("old{q=\"1\"} 101;old{q=\"2\"} 52", "mail.complaints 153"),
        // The rule before it provides the sum, so nothing is missing.
        ("new 160;old{q=\"1\"} 101", "mail.complaints 160"),
        ("new 161", "mail.complaints 161"),
        ("new 162;old{q=\"2\"} 54", "mail.complaints 162"),
        // An invalid value does not provide it, and what it has counted is missing.
        ("new NaN;old{q=\"1\"} 103;old{q=\"2\"} 54", "!non_finite 1; !incomplete_sum 1"),
    ];
    check(RULES, &cases);
    static ONLY: &[Rule] = &[Rule::new(&["new"], &COMPLAINTS), Rule::new(&["old"], &COMPLAINTS).fallback(), Rule::new(&["c"], &BOUNCES)];
    check(
        ONLY,
        &[
            ("old{q=\"1\"} 9;old{q=\"2\"} 5;c 3", "mail.complaints 14; mail.bounces 3"),
            ("old{q=\"1\"} 9;c 3", "mail.bounces 3; !incomplete_sum 1"),
            // A restart.
            ("old{q=\"1\"} 2;c 1", "mail.complaints 2; mail.bounces 1"),
        ],
    );
}

#[test]
fn a_table_of_a_rule_that_holds_does_not_hold_other_points() {
    const OF: AttributeSource =
        AttributeSource::labels(&["r"], &DELIVERY_OUTCOME).by_table(&[("ok", "delivered"), ("x", "expired")]).otherwise("canceled");
    static RULES: &[Rule] = &[
        Rule::new(&["started_total"], &DELIVERY_ATTEMPTS).from(&[OF]).transform(Transform::Hold),
        Rule::new(&["aborted_total"], &DELIVERY_ATTEMPTS).from(&[OF]).transform(Transform::Hold).scale(-1.0),
        Rule::new(&["bounced_total"], &DELIVERY_ATTEMPTS).with(&[(&DELIVERY_OUTCOME, "failed")]),
    ];
    let (delivered, canceled) = ("mail.delivery.attempts delivered", "mail.delivery.attempts canceled");
    let failed = "mail.delivery.attempts failed";
    check(
        RULES,
        &[
            (
                "started_total{r=\"ok\"} 9;aborted_total{r=\"ok\"} 2;started_total{r=\"y\"} 5;bounced_total 80",
                &format!("{delivered} 7; {canceled} 5; {failed} 80"),
            ),
            // The process that bounces restarts.
            (
                "started_total{r=\"ok\"} 9;aborted_total{r=\"ok\"} 3;started_total{r=\"y\"} 4;bounced_total 1",
                &format!("{delivered} 7; {canceled} 5; {failed} 1; !held 2"),
            ),
        ],
    );
    // The same for the totals of an earlier process.
    let point = |outcome| crate::model::Point::new(&DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, outcome)], 50.0);
    let mut polled = Polled::new(RULES, &[]);
    polled.memory.continue_from(Totals { points: ["delivered", "failed"].map(point).to_vec(), ..Totals::default() });
    assert_eq!(polled.mapped(&["started_total{r=\"ok\"} 9;bounced_total 1"]), format!("{delivered} 50; {failed} 1"));
}
