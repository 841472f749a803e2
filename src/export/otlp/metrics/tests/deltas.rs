//! Delta temporality.

use super::start_times::{HISTOGRAM, TWO};
use super::steps::*;
use super::*;

#[test]
fn deltas_are_differences_to_the_last_exported_value() {
    steps(
        Temporality::Delta,
        &[
            // There is no earlier value to subtract.
            (Good(TWO), &["g{} 1"]),
            (
                Good("# TYPE c counter\nc{l=\"b\"} 8\nc{l=\"a\"} 5\nc{l=\"c\"} 2\n"),
                &["c{b} +2 @10", "c{a} +0 @10", "c{c} +2 @10", "g{} end"],
            ),
            (Failed, &["c{b} end", "c{a} end", "c{c} end"]),
            // `b` covers the failed poll, and `a` was reset.
            (Good("# TYPE c counter\nc{l=\"b\"} 9\nc{l=\"a\"} 3\nc{l=\"d\"} 4\n"), &["c{b} +1 @20", "c{a} +3 @20"]),
            (Good("# TYPE c counter\nc{l=\"d\"} 5\n"), &["c{d} +1 @40", "c{b} end", "c{a} end"]),
        ],
    );
    steps(
        Temporality::Delta,
        &[
            // The histogram started long ago, and an earlier instance may have exported it.
            (Since(3, HISTOGRAM), &[]),
            (
                Since(3, "# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 6\nh_sum 10\nh_count 6\n"),
                &["h{} +[2, 1] sum 1.0 @10"],
            ),
            // The server restarted.
            (Since(25, HISTOGRAM), &["h{} +[2, 1] sum 9.0 @25"]),
        ],
    );
    let both = "# TYPE c counter\nc 5\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n";
    steps(Temporality::LowMemory, &[(Good(both), &["c{} 5"]), (Good(both), &["c{} 5", "h{} +[0, 0] sum 0.0 @10"])]);
}

#[test]
fn a_new_counter_begins_at_zero_although_the_reading_before_omitted_a_sum() {
    let before = "# TYPE c counter\nc{l=\"a\"} 5\n";
    let now = "# TYPE c counter\nc{l=\"a\"} 6\n# TYPE new counter\nnew 4\n";
    for (repair, expected) in [
        (Repair::IncompleteSum, &["c{a} +1 @10", "new{} +4 @10"][..]),
        // The counter may be the one that was not read.
        (Repair::Unreadable, &["c{a} +1 @10"]),
    ] {
        let mut state = SeriesState::new(Temporality::Delta);
        let mut with_repair = Snapshot::default();
        with_repair.repairs.count(repair);
        with_repair.may_lack_series = with_repair.repairs.hide_series();
        assert_eq!(lines(target_metrics("t", &reading(10, Ok(with_repair), text(before)), &mut state)), [""; 0]);
        let next = reading(20, Ok(Snapshot::default()), text(now));
        assert_eq!(lines(target_metrics("t", &next, &mut state)), expected, "{repair:?}");
    }
}

#[test]
fn a_histogram_may_add_and_remove_buckets() {
    const ONE: &str = "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_bucket{le=\"+Inf\"} 5\nh_sum 5\nh_count 5\n";
    const ONE_LATER: &str = "# TYPE h histogram\nh_bucket{le=\"1\"} 7\nh_bucket{le=\"+Inf\"} 7\nh_sum 7\nh_count 7\n";
    const TWO: &str = "# TYPE h histogram\nh_bucket{le=\"1\"} 8\nh_bucket{le=\"2\"} 11\nh_bucket{le=\"+Inf\"} 11\nh_sum 13\nh_count 11\n";
    const TWO_LATER: &str =
        "# TYPE h histogram\nh_bucket{le=\"1\"} 9\nh_bucket{le=\"2\"} 12\nh_bucket{le=\"+Inf\"} 12\nh_sum 14\nh_count 12\n";
    const OTHERS: &str =
        "# TYPE h histogram\nh_bucket{le=\"5\"} 15\nh_bucket{le=\"9\"} 15\nh_bucket{le=\"+Inf\"} 15\nh_sum 19\nh_count 15\n";
    const RESET: &str =
        "# TYPE h histogram\nh_bucket{le=\"5\"} 14\nh_bucket{le=\"7\"} 15\nh_bucket{le=\"+Inf\"} 16\nh_sum 30\nh_count 16\n";
    steps(
        Temporality::Delta,
        &[
            (Good(ONE), &[]),
            (Good(ONE_LATER), &["h{} +[2, 0] sum 2.0 @10"]),
            // The bounds that both have.
            (Good(TWO), &["h{} +[1, 3] sum 6.0 @20"]),
            (Good(TWO_LATER), &["h{} +[1, 0, 0] sum 1.0 @30"]),
            (Good(OTHERS), &["h{} +[3] sum 5.0 @40", "h{} end"]),
            // One bucket that both have decreased.
            (Good(RESET), &["h{} +[14, 1, 1] sum 30.0 @50", "h{} end"]),
            (Good(ONE), &["h{} +[5, 0] sum 5.0 @60", "h{} end"]),
        ],
    );
    steps(
        Temporality::Cumulative,
        &[
            (Good("x 1\n"), &["x{} 1"]),
            (Good(ONE_LATER), &["h{} [7, 0] sum 7.0 @10", "x{} end"]),
            (Good(TWO), &["h{} [8, 3, 0] sum 13.0 @10"]),
            (Good(OTHERS), &["h{} [15, 0, 0] sum 19.0 @10", "h{} end"]),
            (Good(RESET), &["h{} [14, 1, 1] sum 30.0 @40", "h{} end"]),
        ],
    );
}
