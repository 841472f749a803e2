//! Clocks that are set back.

use super::start_times::TWO;
use super::steps::*;
use super::*;

/// The times of all points of a reading, in milliseconds.
fn times(metrics: TargetMetrics) -> Vec<u64> {
    let mut times = Vec::new();
    for metric in message(&[metrics]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|scope| scope.metrics) {
        match metric.data.unwrap() {
            Data::Gauge(gauge) => times.extend(gauge.data_points.iter().map(|point| point.time_unix_nano / 1_000_000)),
            Data::Sum(sum) => times.extend(sum.data_points.iter().map(|point| point.time_unix_nano / 1_000_000)),
            Data::Histogram(histogram) => times.extend(histogram.data_points.iter().map(|point| point.time_unix_nano / 1_000_000)),
            other => panic!("{other:?}"),
        }
    }
    times.dedup();
    times
}

#[test]
fn times_increase_if_the_clock_is_set_back_a_little_and_follow_the_clock_otherwise() {
    let mut state = SeriesState::default();
    let mut at = |second, body: &str| times(target_metrics("t", &reading(second, Ok(snapshot(body)), text(body)), &mut state));
    assert_eq!(at(1000, TWO), [1_000_000]);
    // The end of a series is earlier than the reading, and later than the reading before.
    const ONE: &str = "# TYPE c counter\nc{l=\"a\"} 5\n";
    assert_eq!(at(1010, ONE), [1_009_999, 1_010_000]);
    assert_eq!(at(500, TWO), [1_010_002]);
    assert_eq!(at(1009, ONE), [1_010_003, 1_010_004]);
    assert_eq!(at(1020, TWO), [1_020_000]);
    assert_eq!(at(420, TWO), [1_020_002]);
    assert_eq!(at(419, TWO), [419_000]);
    assert_eq!(at(419, ONE), [419_001, 419_002]);
}

#[test]
fn nothing_is_lost_or_counted_twice_if_the_clock_is_set_back() {
    let (first, second) = ("# TYPE c counter\nc{l=\"a\"} 5\n", "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 1\n");
    let third = "# TYPE c counter\nc{l=\"a\"} 7\nc{l=\"b\"} 2\nc{l=\"d\"} 1\n";
    // A small step back, after which times are held, and a large one, after which they follow the clock.
    for (back, since, since_back, new) in [(1000, "@1010", "@1010", " @1010"), (300, "@299", "@300", " @299")] {
        let starts = if back == 300 { "" } else { " @1000" };
        let (b, d) = (format!("c{{b}} 2{starts}"), format!("c{{d}} 1{new}"));
        let (later_b, later_d) = (format!("c{{b}} 4{starts}"), format!("c{{d}} 3{new}"));
        let (later_a, later_e) = (format!("c{{a}} 3 {since_back}"), format!("c{{e}} 1 {since_back}"));
        steps(
            Temporality::Cumulative,
            &[
                (At(1000, first), &["c{a} 5"]),
                (At(1010, second), &["c{a} 6", "c{b} 1 @1000"]),
                (At(back, third), &["c{a} 7", &b, &d]),
                (At(back + 10, FOUR), &[&later_a, &later_b, &later_d, &later_e]),
            ],
        );
        let (a, b, d) = (format!("c{{a}} +1 {since}"), format!("c{{b}} +1 {since}"), format!("c{{d}} +1 {since}"));
        let later = ["c{a} +3", "c{b} +2", "c{d} +2", "c{e} +1"].map(|line| format!("{line} {since_back}"));
        steps(
            Temporality::Delta,
            &[
                (At(1000, first), &[]),
                (At(1010, second), &["c{a} +1 @1000", "c{b} +1 @1000"]),
                (At(back, third), &[&a, &b, &d]),
                (At(back + 10, FOUR), &later.each_ref().map(String::as_str)),
            ],
        );
    }
}

const FOUR: &str = "# TYPE c counter\nc{l=\"a\"} 3\nc{l=\"b\"} 4\nc{l=\"d\"} 3\nc{l=\"e\"} 1\n";
