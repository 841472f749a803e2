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
