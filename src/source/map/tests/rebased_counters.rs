//! Counters whose zero is the first value that was read.

use super::*;

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
fn a_rebased_counter_begins_with_a_response_of_which_every_series_was_read() {
    static RULES: &[Rule] = &[Rule::new(&["spam"], &SPAM_VERDICTS)
        .from(&[AttributeSource::labels(&["v"], &SPAM_VERDICT).by_table(&[("s?", "spam")])])
        .transform(Transform::Rebase)];
    check(
        RULES,
        &[
            ("spam{v=\"s1\"} 700;spam{v=\"s2\"} 700x;other 1", "!unreadable 1"),
            ("spam{v=\"s1\"} 700;spam{v=\"s2\"} 700", "mail.spam.verdicts spam 1400"),
            ("spam{v=\"s1\"} 701;spam{v=\"s2\"} 700x", "mail.spam.verdicts spam 1401; !unreadable 1"),
            ("spam{v=\"s1\"} 702;spam{v=\"s2\"} 703", "mail.spam.verdicts spam 1405"),
        ],
    );
}

#[test]
fn the_start_of_counters_that_outlast_restarts_does_not_move() {
    static REBASED: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Rebase)];
    static ACCUMULATED: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Accumulate)];
    let since = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    static PLAIN: &[Rule] = &[Rule::new(&["p"], &BOUNCES)];
    // A restored counter contains events from before the start that the server reports.
    for (rules, first) in [(REBASED, None), (ACCUMULATED, since(100))] {
        let starts = |snapshot: &Snapshot| (snapshot.continued.since, snapshot.counters_since);
        let mut polled = Polled::new(rules, PLAIN);
        for (page, server) in [("started 100;c 9", 100), ("started 200;c 3", 200), ("started 200;c 4", 200)] {
            let snapshot = polled.snapshot(&[page, "p 1"]);
            assert_eq!(starts(&snapshot), (first, since(server)), "{page}");
            assert_eq!(snapshot.continued.metrics, [&COMPLAINTS]);
        }
        assert_eq!(starts(&polled.snapshot(&["c 4", "p 1"])), (first, None));
        let mut polled = Polled::new(rules, PLAIN);
        assert_eq!(starts(&polled.snapshot(&["c 9", "p 1"])), (None, None));
        // The same with the totals of an earlier process.
        let mut polled = Polled::new(rules, PLAIN);
        polled.memory.continue_from(Totals { since: since(150), continued_since: since(100), ..Totals::default() });
        assert_eq!(starts(&polled.snapshot(&["started 200;c 3", "p 1"])), (since(100), since(200)));
    }
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
fn equal_rules_of_two_parts_count_separately() {
    static REBASED: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Rebase)];
    let mut polled = Polled::new(REBASED, REBASED);
    for (first, second, expected) in [("c 10", "c 5", 15), ("c 12", "c 6", 18), ("c 2", "c 7", 19), ("c 3", "x 1", 20), ("c 3", "c 8", 21)]
    {
        assert_eq!(polled.mapped(&[first, second]), format!("mail.complaints {expected}"), "{first}; {second}");
    }
    static ACCUMULATED: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Accumulate)];
    let mut polled = Polled::new(ACCUMULATED, ACCUMULATED);
    for (first, second, expected) in [("c 10", "c 5", 15), ("c 12", "c 6", 18), ("c 2", "c 7", 21)] {
        assert_eq!(polled.mapped(&[first, second]), format!("mail.complaints {expected}"), "{first}; {second}");
    }
}
