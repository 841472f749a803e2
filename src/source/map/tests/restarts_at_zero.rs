//! Counters and histograms that are present at 0 after a restart.

use super::counts_of_histograms::observed;
use super::*;
use proptest::prelude::*;

#[test]
fn a_counter_that_restarts_at_0_is_0() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS), Rule::new(&["h"], &DELIVERY_ATTEMPT_DURATION)];
    check(
        RULES,
        &[
            ("c{q=\"a\"} 90;c{q=\"b\"} 10", "mail.complaints 100"),
            ("c{q=\"a\"} 0;c{q=\"b\"} 0", "mail.complaints 0"),
            ("c{q=\"a\"} 0;c{q=\"b\"} 0", "mail.complaints 0"),
            ("c{q=\"a\"} 150;c{q=\"b\"} 0", "mail.complaints 150"),
            // A series that is at 0 may be missing, one that is not may not.
            ("c{q=\"a\"} 151", "mail.complaints 151"),
            ("c{q=\"b\"} 2", "!incomplete_sum 1"),
            ("c{q=\"a\"} 152;c{q=\"b\"} 2", "mail.complaints 154"),
            // An invalid value does not count as a restart.
            ("c{q=\"a\"} 153;c{q=\"b\"} -1", "!out_of_range 1"),
            ("c{q=\"a\"} 153", "!incomplete_sum 1"),
        ],
    );
}

#[test]
fn a_fall_to_0_releases_the_sums_that_lack_a_series() {
    static RULES: &[Rule] = &[Rule::new(&["a", "b"], &COMPLAINTS), Rule::new(&["c"], &BOUNCES)];
    check(
        RULES,
        &[
            ("a 7;b 3;c 4", "mail.complaints 10; mail.bounces 4"),
            ("a 7;c 5", "mail.bounces 5; !incomplete_sum 1"),
            ("a 7;c 0", "mail.complaints 7; mail.bounces 0"),
        ],
    );
}

#[test]
fn a_held_sum_is_released_by_a_later_start_and_a_fall_to_0() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Hold)];
    check(
        RULES,
        &[
            ("started 100;c 5", "mail.complaints 5"),
            ("started 100;c 0", "mail.complaints 5; !held 1"),
            ("started 100;c 6", "mail.complaints 6"),
            ("started 101;c 0", "mail.complaints 0"),
        ],
    );
}

#[test]
fn a_histogram_that_restarts_at_0_is_not_omitted() {
    static RULES: &[Rule] = &[Rule::new(&["h"], &DELIVERY_ATTEMPT_DURATION)];
    let mut polled = Polled::new(RULES, &[]);
    for (a, b) in [(100, 20), (0, 0), (0, 0), (150, 0), (151, 3), (0, 3)] {
        let page = format!("# TYPE h histogram;{}{}", observed("h", "q=\"a\"", a), observed("h", "q=\"b\"", b));
        let snapshot = polled.snapshot(&[&page]);
        assert_eq!(snapshot.histograms.iter().map(|(_, _, h)| h.count).collect::<Vec<_>>(), [a + b], "{a} {b}");
    }
}

proptest! {
    /// A sum whose series are all present is never omitted, whatever their values are.
    #[test]
    fn a_complete_sum_is_exported(polls in prop::collection::vec(prop::array::uniform3(prop_oneof![Just(0), 0..5u32, 0..1000u32]), 1..30)) {
        static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS)];
        let mut polled = Polled::new(RULES, &[]);
        for [a, b, c] in polls {
            let page = format!("c{{q=\"a\"}} {a};c{{q=\"b\"}} {b};c{{q=\"c\"}} {c}");
            prop_assert_eq!(polled.mapped(&[&page]), format!("mail.complaints {}", a + b + c));
            polled.context.now += Duration::from_secs(10);
        }
    }
}
