//! Start times, resets and the ends of series.

use super::steps::*;
use super::*;

pub(super) const TWO: &str = "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 6\n# TYPE g gauge\ng 1\n";

#[test]
fn start_times_are_known_or_unset_and_ends_are_exported_once() {
    steps(
        Temporality::Cumulative,
        &[
            (Good(TWO), &["c{a} 5", "c{b} 6", "g{} 1"]),
            // One series more, one less, and another order.
            (Good("# TYPE c counter\nc{l=\"c\"} 1\nc{l=\"b\"} 7\nc{l=\"a\"} 8\n"), &["c{c} 1 @10", "c{b} 7", "c{a} 8", "g{} end"]),
            // A value decreases.
            (Good("# TYPE c counter\nc{l=\"c\"} 2\nc{l=\"b\"} 3\nc{l=\"a\"} 9\n"), &["c{c} 2 @10", "c{b} 3 @20", "c{a} 9"]),
            (Failed, &["c{c} end", "c{b} end", "c{a} end"]),
            (Failed, &[]),
            // `b` continues. `d` has no start time, because the previous poll failed.
            (Good("# TYPE c counter\nc{l=\"b\"} 4\nc{l=\"d\"} 1\n"), &["c{b} 4 @20", "c{d} 1"]),
            // `a` was 9 before it was omitted, so it was reset since.
            (Good("# TYPE c counter\nc{l=\"b\"} 4\nc{l=\"a\"} 1\n"), &["c{b} 4 @20", "c{a} 1 @30", "c{d} end"]),
            // The same name with another type is another series.
            (Good("# TYPE c gauge\nc{l=\"b\"} 4\n"), &["c{b} 4", "c{b} end", "c{a} end"]),
            (Good(""), &["c{b} end"]),
            (Good(""), &[]),
        ],
    );
}

#[test]
fn a_series_that_was_filtered_out_has_no_start_time() {
    steps(
        Temporality::Cumulative,
        &[
            (Chosen(0, "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 4\n"), &["c{a} 5"]),
            // `b` existed all the time, and so may other new series.
            (Chosen(0, "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 5\n"), &["c{a} 6", "c{b} 5"]),
            (Chosen(0, "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 5\nc{l=\"d\"} 5\n"), &["c{a} 6", "c{b} 5", "c{d} 5 @20"]),
        ],
    );
}

#[test]
fn an_invalid_value_of_a_canonical_counter_hides_no_native_series() {
    for (temporality, expected) in
        [(Temporality::Cumulative, ["c{a} 6", "c{b} 1 @10"]), (Temporality::Delta, ["c{a} +1 @10", "c{b} +1 @10"])]
    {
        let mut first: &[&str] = &["c{a} 5"];
        if temporality == Temporality::Delta {
            first = &[];
        }
        let second: &[&str] = &expected;
        let polls =
            [(Invalid("# TYPE c counter\nc{l=\"a\"} 5\n"), first), (Good("# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 1\n"), second)];
        steps(temporality, &polls);
    }
}

// A complete body, bodies that omit a part of it, and a complete body a little later.
const WHOLE: &str = concat!(
    "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 1000\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n"
);
const LINE_UNREADABLE: &str = concat!(
    "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} what\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n"
);
const HISTOGRAM_CONTRADICTS_ITSELF: &str = concat!(
    "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 1000\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n"
);
const TYPES_MISSING: &str = "c{l=\"a\"} 5\nc{l=\"b\"} 1000\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n";
const WHOLE_LATER: &str = concat!(
    "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 1001\nc{l=\"d\"} 1\n",
    "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_sum 10\nh_count 4\n"
);

#[test]
fn a_series_that_one_response_omits_is_not_new_in_the_next() {
    use Temporality::{Cumulative, Delta};
    let same = || (Good(WHOLE), &["c{a} 5", "c{b} 1000", "h{} [2, 1] sum 9.0"][..]);
    steps(
        Cumulative,
        &[
            same(),
            (Good(LINE_UNREADABLE), &["c{a} 5", "h{} [2, 1] sum 9.0", "c{b} end"]),
            (Good(WHOLE_LATER), &["c{a} 5", "c{b} 1001", "c{d} 1", "h{} [2, 2] sum 10.0"]),
        ],
    );
    steps(
        Cumulative,
        &[
            same(),
            (Good(HISTOGRAM_CONTRADICTS_ITSELF), &["c{a} 5", "c{b} 1000", "h{} end"]),
            (Good(WHOLE_LATER), &["c{a} 5", "c{b} 1001", "c{d} 1", "h{} [2, 2] sum 10.0"]),
        ],
    );
    // With another type, the old series end before the new ones begin.
    let untyped =
        &["c{a} 5", "c{b} 1000", "h_bucket{1} 2", "h_bucket{+Inf} 3", "h_count{} 3", "h_sum{} 9", "c{a} end", "c{b} end", "h{} end"];
    let ends = ["c{a} end", "c{b} end", "h_bucket{1} end", "h_bucket{+Inf} end", "h_count{} end", "h_sum{} end"];
    let again = [&["c{a} 5", "c{b} 1001", "c{d} 1", "h{} [2, 2] sum 10.0"][..], &ends].concat();
    steps(Cumulative, &[same(), (Good(TYPES_MISSING), untyped), (Good(WHOLE_LATER), &again)]);
    steps(
        Delta,
        &[
            (Good(WHOLE), &[]),
            (Good(LINE_UNREADABLE), &["c{a} +0 @10", "h{} +[0, 0] sum 0.0 @10", "c{b} end"]),
            (Good(WHOLE_LATER), &["c{a} +0 @20", "c{b} +1 @10", "h{} +[0, 1] sum 1.0 @20"]),
            (Good(HISTOGRAM_CONTRADICTS_ITSELF), &["c{a} +0 @30", "c{b} +1000 @30", "c{d} end", "h{} end"]),
            (Good(WHOLE_LATER), &["c{a} +0 @40", "c{b} +1 @40", "c{d} +0 @30", "h{} +[0, 0] sum 0.0 @30"]),
        ],
    );
    let rises = [&["c{a} +0 @10", "c{b} +1 @10", "h{} +[0, 1] sum 1.0 @10"][..], &ends].concat();
    steps(Delta, &[(Good(WHOLE), &[]), (Good(TYPES_MISSING), untyped), (Good(WHOLE_LATER), &rises)]);
}

#[test]
fn deltas_since_a_restart_of_the_server_are_exported_once() {
    steps(
        Temporality::Delta,
        &[
            (Since(3, "# TYPE c counter\nc{l=\"a\"} 7\n"), &[]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\n"), &["c{a} +2 @15"]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"} 1\n"), &["c{a} +0 @20", "c{b} +1 @20"]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"}\nd 1\n"), &["c{a} +0 @30", "d{} 1", "c{b} end"]),
            // `b` was exported at 30.
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"} 3\n"), &["c{a} +0 @40", "c{b} +2 @30", "d{} end"]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"} 4\n"), &["c{a} +0 @50", "c{b} +1 @50"]),
            (Failed, &["c{a} end", "c{b} end"]),
            // The server restarted during the failed poll, and `e` is new.
            (Since(75, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"e\"} 4\n"), &["c{a} +2 @75", "c{e} +4 @75"]),
        ],
    );
}

#[test]
fn another_prefix_starts_new_series_that_continue_the_counters() {
    for (temporality, first, second) in [
        (Temporality::Cumulative, &["c{a} 5", "c{b} 6", "g{} 1"][..], &["x_c{a} 5", "x_c{b} 7", "c{a} end", "c{b} end", "g{} end"][..]),
        (Temporality::Delta, &["g{} 1"], &["x_c{a} +0 @10", "x_c{b} +1 @10", "c{a} end", "c{b} end", "g{} end"]),
    ] {
        let last: &[&str] = if temporality == Temporality::Delta { &["x_c{b} +0 @20"] } else { &["x_c{b} 7"] };
        let last: Vec<&str> = last.iter().copied().chain(["x_c{a} end"]).collect();
        steps(
            temporality,
            &[
                (Good(TWO), first),
                (Prefixed("x_", "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 7\n# TYPE g gauge\ng NaN\n"), second),
                (Prefixed("x_", "# TYPE c counter\nc{l=\"b\"} 7\n"), &last),
                (Failed, &["x_c{b} end"]),
                (Prefixed("y_", "# TYPE g gauge\ng 1\n"), &["y_g{} 1"]),
            ],
        );
    }
}

#[test]
fn nan_samples_have_no_end() {
    steps(Temporality::Cumulative, &[(Good("a 1\nb NaN\n"), &["a{} 1"]), (Failed, &["a{} end"]), (Failed, &[])]);
}

#[test]
fn an_end_marker_precedes_a_point_of_the_same_name() {
    let mut state = SeriesState::default();
    target_metrics("t", &reading(10, Ok(Snapshot::default()), text("# TYPE c counter\nc 5\n")), &mut state);
    let metrics = target_metrics("t", &reading(20, Ok(Snapshot::default()), text("# TYPE c gauge\nc 4\n")), &mut state);
    let mut points = Vec::new();
    for metric in message(&[metrics]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|scope| scope.metrics) {
        let of_metric = match metric.data.unwrap() {
            Data::Gauge(gauge) => gauge.data_points,
            Data::Sum(sum) => sum.data_points,
            other => panic!("{other:?}"),
        };
        points.extend(of_metric.iter().map(|point| (point.flags, point.time_unix_nano)));
    }
    // Prometheus would keep the first of two points with the same time.
    assert_eq!(points, [(1, 20 * SECOND - 1_000_000), (0, 20 * SECOND)]);
}

#[test]
fn counters_of_other_programs_do_not_start_with_the_server() {
    steps(Temporality::Cumulative, &[(Chosen(3, "# TYPE c counter\nc 5\n# TYPE r gauge\nr 7\n"), &["c{} 5 @3", "r{} 7"])]);
}

#[test]
fn counters_that_the_server_restores_do_not_start_with_it() {
    let page = |c: &str, s: &str| format!("# TYPE c counter\nc {c}\n# TYPE s counter\ns {s}\n").leak() as &'static str;
    let polls = [(3, page("5", "5")), (15, page("7", "7")), (15, page("8", "6"))];
    for (temporality, expected) in [
        (Temporality::Cumulative, [&["c{} 5 @3", "s{} 5"][..], &["c{} 7 @15", "s{} 7"], &["c{} 8 @15", "s{} 6 @20"]]),
        (Temporality::Delta, [&[][..], &["c{} +7 @15", "s{} +2 @10"], &["c{} +1 @20", "s{} +6 @20"]]),
    ] {
        let polled: Vec<_> = polls.iter().zip(expected).map(|((since, page), expected)| (Chosen(*since, page), expected)).collect();
        steps(temporality, &polled);
    }
}

#[test]
fn a_reported_start_time_is_used() {
    steps(
        Temporality::Cumulative,
        &[
            (Since(3, "# TYPE c counter\nc{l=\"a\"} 5\n"), &["c{a} 5 @3"]),
            (Since(3, "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 1\n"), &["c{a} 6 @3", "c{b} 1 @10"]),
            // The server restarted and counts more than before. A start time in the future is ignored.
            (Since(25, "# TYPE c counter\nc{l=\"a\"} 7\n"), &["c{a} 7 @25", "c{b} end"]),
            (Since(99, "# TYPE c counter\nc{l=\"a\"} 8\n"), &["c{a} 8 @25"]),
            (Since(45, "# TYPE c counter\nc{l=\"a\"} 1\n"), &["c{a} 1 @45"]),
        ],
    );
}

#[test]
fn a_start_that_was_reported_before_it_came_is_no_restart() {
    for (temporality, expected) in [
        (Temporality::Cumulative, [&["c{a} 5 @3"][..], &["c{a} 1 @10"], &["c{a} 1 @10", "c{b} 2 @23"], &["c{a} 3 @10", "c{b} 2 @23"]]),
        (Temporality::Delta, [&[][..], &["c{a} +1 @10"], &["c{a} +0 @20", "c{b} +2 @23"], &["c{a} +2 @30", "c{b} +0 @30"]]),
    ] {
        let bodies = [
            Since(3, "# TYPE c counter\nc{l=\"a\"} 5\n"),
            Since(23, "# TYPE c counter\nc{l=\"a\"} 1\n"),
            Since(23, "# TYPE c counter\nc{l=\"a\"} 1\nc{l=\"b\"} 2\n"),
            Since(23, "# TYPE c counter\nc{l=\"a\"} 3\nc{l=\"b\"} 2\n"),
        ];
        steps(temporality, &bodies.into_iter().zip(expected).collect::<Vec<_>>());
    }
}

#[test]
fn a_series_that_becomes_nan_ends() {
    const NONE: &str = "# TYPE c counter\nc NaN\n# TYPE g gauge\ng NaN\n";
    const SOME: &str = "# TYPE c counter\nc 5\n# TYPE g gauge\ng 1\n";
    for (temporality, counted, counted_on) in [
        (Temporality::Cumulative, &["c{} 5", "g{} 1"][..], &["c{} 5", "g{} 1"][..]),
        (Temporality::Delta, &["g{} 1"], &["c{} +0 @10", "g{} 1"]),
    ] {
        steps(
            temporality,
            &[
                (Good(SOME), counted),
                (Good(NONE), &["c{} end", "g{} end"]),
                (Good(NONE), &[]),
                (Good(SOME), counted_on),
                (Good(NONE), &["c{} end", "g{} end"]),
                (Good("other 1\n"), &["other{} 1"]),
            ],
        );
    }
}

pub(super) const HISTOGRAM: &str = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n";

#[test]
fn histograms_have_start_times_resets_and_ends() {
    steps(
        Temporality::Cumulative,
        &[
            (Good("a 1\n"), &["a{} 1"]),
            (Good(HISTOGRAM), &["h{} [2, 1] sum 9.0 @10", "a{} end"]),
            // The count increases and a bucket decreases.
            (Good("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 4\nh_sum 9\nh_count 4\n"), &["h{} [1, 3] sum 9.0 @20"]),
            (Failed, &["h{} end"]),
        ],
    );
}

#[test]
fn start_times_are_found_in_any_order_of_the_series() {
    let mut random = Random(2);
    for round in 0..40 {
        let mut state = SeriesState::default();
        let mut starts: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let mut order: Vec<u64> = (0..200).collect();
        for step in 1..8 {
            for _ in 0..random.next(8) {
                order.remove(random.next(order.len() as u64) as usize);
                order.insert(random.next(order.len() as u64) as usize, 1000 * round + 100 * step + random.next(50) + 1_000_000);
            }
            if random.next(4) == 0 {
                (1..order.len()).rev().for_each(|at| order.swap(at, random.next(at as u64 + 1) as usize));
            }
            let mut seen = std::collections::BTreeSet::new();
            order.retain(|series| seen.insert(*series));
            let ended: Vec<u64> = starts.keys().filter(|series| !seen.contains(series)).copied().collect();
            let mut expected = Vec::new();
            let mut body = "# TYPE c counter\n".to_owned();
            for series in &order {
                let value = random.next(20);
                let known = starts.get(series).copied();
                let start = match known {
                    None if step == 1 => 0,
                    None => 10 * (step - 1),
                    Some((before, _)) if value < before => 10 * (step - 1),
                    Some((_, start)) => start,
                };
                starts.insert(*series, (value, start));
                body += &format!("c{{n=\"{series}\"}} {value}\n");
                expected.push(format!("c{{{series}}} {value}{}", if start == 0 { String::new() } else { format!(" @{start}") }));
            }
            for series in ended {
                starts.remove(&series);
                expected.push(format!("c{{{series}}} end"));
            }
            let metrics = target_metrics("t", &reading(10 * step, Ok(Snapshot::default()), text(&body)), &mut state);
            let (mut lines, series) = (lines(metrics), order.len());
            lines[series..].sort();
            expected[series..].sort();
            assert_eq!(lines, expected, "round {round}, step {step}");
        }
    }
}

#[test]
fn omitted_series_resume_up_to_a_limit_and_others_have_no_start_time() {
    let page = |series: usize, rise: usize| {
        let lines = (0..series).map(|n| format!("c{{n=\"{n}\"}} {}\n", n + rise));
        format!("# TYPE c counter\n{}", lines.collect::<String>())
    };
    for (series, starts) in [(100_000, 100_000), (100_001, 100_000)] {
        let mut state = SeriesState::default();
        let mut at = |second, body: &str| target_metrics("t", &reading(second, Ok(snapshot(body)), text(body)), &mut state);
        at(10, "x 1\n");
        at(20, &page(series, 0));
        at(30, "x 1\n");
        let resumed = lines(at(40, &page(series, 1)));
        assert_eq!(resumed.iter().filter(|line| line.starts_with("c{") && line.ends_with(" @10")).count(), starts);
        assert_eq!(resumed.iter().filter(|line| line.starts_with("c{") && !line.contains('@')).count(), series - starts);
    }
}

#[test]
fn a_series_that_an_idle_server_drops_starts_again() {
    let mut state = SeriesState::new(Temporality::Delta);
    let mut at = |second, body: &str, repairs: Repairs| {
        let snapshot = Snapshot { drops_idle_series: true, repairs, ..Snapshot::default() };
        lines(target_metrics("t", &reading(second, Ok(snapshot), text(body)), &mut state))
    };
    let mut unreadable = Repairs::default();
    unreadable.count(Repair::Unreadable);
    at(10, "# TYPE c counter\nc{l=\"a\"} 1\n", Repairs::default());
    at(20, "x 1\n", Repairs::default());
    assert_eq!(at(30, "# TYPE c counter\nc{l=\"a\"} 1\n", Repairs::default()), ["c{a} +1 @20", "x{} end"]);
    // The series may be in the part that could not be read.
    at(40, "x 1\n", unreadable);
    assert_eq!(at(50, "# TYPE c counter\nc{l=\"a\"} 3\n", Repairs::default()), ["c{a} +2 @30", "x{} end"]);
}
