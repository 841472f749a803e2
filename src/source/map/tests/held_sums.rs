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
        ("b 6", "mail.bounces 0"),
        ("g 2", "mail.bounces 0; mail.account.configured 2"),
        ("a 1060;b 7;c 3", "mail.complaints 1067; mail.bounces 3"),
        // A counter decreased: the server restarted, and missing series are 0.
        ("b 1", "mail.complaints 1; mail.bounces 0"),
        ("started 500;c 2", "mail.bounces 2"),
        // A start that moves with the server's clock is not a restart; one after the last poll is.
        ("started 501;b 1", "mail.complaints 1"),
        ("started 501;c 2", "mail.bounces 2"),
        ("started 1430;g 1", "mail.complaints 0; mail.bounces 0; mail.account.configured 1"),
    ];
    check(RULES, &cases);
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(polled.mapped(&["a 5;b 1"]), "mail.complaints 6; mail.bounces 0");
    polled.context.now += Duration::from_secs(3600);
    assert_eq!(polled.mapped(&["b 1"]), "mail.bounces 0");
    polled.context.now += Duration::from_secs(1);
    assert_eq!(polled.mapped(&["b 1"]), "mail.complaints 1; mail.bounces 0", "an hour later");
}
