//! Histograms that add up.

use super::*;

/// Returns the canonical histograms of a page as attribute values, bounds, counts, count and sum, then the repairs.
fn histograms(polled: &mut Polled, page: &str) -> String {
    let snapshot = polled.snapshot(&[page]);
    let histogram = |(_, attributes, h): &(&'static crate::model::Metric, Attributes, Histogram)| {
        let values: Vec<_> = attributes.iter().map(|(_, value)| format!("{value} ")).collect();
        format!("{}{:?} {:?} of {} sum {:?}", values.concat(), h.bounds, h.cumulative, h.count, h.sum)
    };
    let repairs = snapshot.repairs.iter().map(|(repair, n)| format!("!{} {n}", repair.as_str()));
    snapshot.histograms.iter().map(histogram).chain(repairs).collect::<Vec<_>>().join("; ")
}

/// Returns the lines of a histogram `h` with these labels before `le`.
fn histogram(labels: &str, buckets: &[(&str, u64)], sum: u64, count: u64) -> String {
    let bucket = |(le, n): &(&str, u64)| format!("h_bucket{{{labels},le=\"{le}\"}} {n};");
    let buckets: String = buckets.iter().map(bucket).collect();
    format!("{buckets}h_sum{{{labels}}} {sum};h_count{{{labels}}} {count};")
}

#[test]
fn histograms_of_several_series_add_up() {
    static RULES: &[Rule] = &[Rule::new(&["h"], &DELIVERY_ATTEMPT_DURATION).unless(&[("s", "total")])];
    let four = histogram("s=\"a\"", &[("1", 1), ("5", 3)], 7, 4);
    let forty = histogram("s=\"b\"", &[("1", 10), ("5", 20)], 100, 40);
    let wider = histogram("s=\"c\"", &[("0.5", 1), ("5", 2), ("9", 3)], 10, 5);
    let apart = histogram("s=\"d\"", &[("2", 1)], 10, 5);
    let total = histogram("s=\"total\"", &[("1", 11), ("5", 23)], 107, 44);
    for (lines, expected) in [
        (vec![&four, &forty, &total], "[1.0, 5.0] [11, 23] of 44 sum Some(107.0)"),
        (vec![&four, &wider], "[5.0] [5] of 9 sum Some(17.0)"),
        (vec![&wider, &forty, &four], "[5.0] [25] of 49 sum Some(117.0)"),
        // The sum is unknown.
        (vec![&four, &apart], "!inconsistent_histogram 1"),
        (vec![&four, &apart, &forty], "!inconsistent_histogram 1"),
        // A canonical sum is finite.
        (
            vec![&four, &four.replace("s=\"a\"", "s=\"b\"").replace("h_sum{s=\"b\"} 7", "h_sum{s=\"b\"} +Inf")],
            "[1.0, 5.0] [2, 6] of 8 sum None; !non_finite_sum 1",
        ),
        // Duplicate series count once.
        (vec![&four, &four], "[1.0, 5.0] [1, 3] of 4 sum Some(7.0); !duplicate_series 4"),
    ] {
        let page = format!("# TYPE h histogram;{}", lines.into_iter().map(String::as_str).collect::<String>());
        assert_eq!(histograms(&mut Polled::new(RULES, &[]), &page), expected, "{page}");
    }
}

#[test]
fn a_histogram_that_lacks_a_series_is_omitted() {
    static RULES: &[Rule] = &[
        Rule::new(&["h"], &DELIVERY_ATTEMPT_DURATION).unless(&[("s", "total")]),
        Rule::new(&["h"], &WEBHOOK_REQUEST_DURATION).when(&[("s", "total")]),
    ];
    let good = histogram("s=\"a\"", &[("1", 1)], 7, 4);
    let total = histogram("s=\"total\"", &[("1", 11)], 107, 44);
    let bad = |series: &str| histogram(&format!("s=\"{series}\""), &[("1", 9)], 7, 4);
    for (page, expected) in [
        (good.clone() + &total, "[1.0] [1] of 4 sum Some(7.0); [1.0] [11] of 44 sum Some(107.0)"),
        (bad("b") + &good + &total, "[1.0] [11] of 44 sum Some(107.0); !inconsistent_histogram 1"),
        (good.clone() + &bad("b") + &total, "[1.0] [11] of 44 sum Some(107.0); !inconsistent_histogram 1"),
        (good + &bad("total"), "[1.0] [1] of 4 sum Some(7.0); !inconsistent_histogram 1"),
    ] {
        let page = format!("# TYPE h histogram;{page}");
        assert_eq!(histograms(&mut Polled::new(RULES, &[]), &page), expected, "{page}");
    }
}
