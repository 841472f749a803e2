//! Summaries, whose parts can be missing.

use super::*;

#[test]
fn the_sum_of_a_summary_that_has_none_is_not_0() {
    for (lines, count, sum) in [
        ("s{quantile=\"0.5\"} 3\ns_count 3\n", 3, f64::NAN),
        ("s{quantile=\"0.5\"} 3\ns_sum NaN\ns_count 4\n", 4, f64::NAN),
        ("s{quantile=\"0.5\"} 3\ns_sum 9.5\ns_count 3\n", 3, 9.5),
        ("s_sum 0\ns_count 0\n", 0, 0.0),
        ("s_sum +Inf\ns_count 2\n", 2, f64::INFINITY),
        ("s_sum -Inf\ns_count 2\n", 2, f64::NEG_INFINITY),
    ] {
        let body = format!("# TYPE s summary\n{lines}");
        let metrics = target_metrics("t", &reading(10, Ok(Snapshot::default()), text(&body)), &mut SeriesState::default());
        let scopes = message(&[metrics]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics);
        let found = scopes.flat_map(|scope| scope.metrics).find_map(|metric| match metric.data {
            Some(Data::Summary(summary)) => Some(summary.data_points),
            _ => None,
        });
        let points = found.unwrap();
        assert_eq!((points.len(), points[0].count, points[0].sum.to_bits()), (1, count, sum.to_bits()), "{lines}");
    }
}

#[test]
fn the_start_of_a_summary_is_exported_unless_it_is_later_than_the_reading_before() {
    let mut state = SeriesState::default();
    let mut starts = Vec::new();
    for (time, created) in [(1_000_000_100, 1_000_000_050), (1_000_000_110, 1_000_000_105), (1_000_000_120, 1_000_000_105)] {
        let body = format!("# TYPE s summary\ns_count 3\ns_sum 3\ns_created {created}\n# EOF\n");
        let metrics = target_metrics("t", &reading(time, Ok(Snapshot::default()), text(&body)), &mut state);
        let scopes = message(&[metrics]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics);
        starts.extend(scopes.flat_map(|scope| scope.metrics).filter_map(|metric| match metric.data {
            Some(Data::Summary(summary)) => Some(summary.data_points[0].start_time_unix_nano / SECOND),
            _ => None,
        }));
    }
    assert_eq!(starts, [1_000_000_050, 0, 1_000_000_105]);
}

#[test]
fn the_end_of_a_histogram_or_summary_has_its_bounds_or_quantiles() {
    let mut state = SeriesState::default();
    let body = "# TYPE s summary\ns{quantile=\"0.5\"} 3\ns_sum 9\ns_count 3\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\n\
                h_bucket{le=\"+Inf\"} 3\nh_sum +Inf\nh_count 3\n# TYPE i histogram\ni_bucket{le=\"+Inf\"} 3\ni_count 3\n";
    target_metrics("t", &reading(10, Ok(Snapshot::default()), text(body)), &mut state);
    let metrics = target_metrics("t", &reading(20, Ok(Snapshot::default()), text("g 1\n")), &mut state);
    let scopes = message(&[metrics]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics);
    let mut ends = Vec::new();
    for metric in scopes.flat_map(|scope| scope.metrics) {
        match metric.data.unwrap() {
            Data::Summary(summary) => {
                let point = &summary.data_points[0];
                let quantiles: Vec<_> = point.quantile_values.iter().map(|of| (of.quantile, of.value)).collect();
                ends.push(format!("{} {} {} {} {quantiles:?}", metric.name, point.flags, point.count, point.sum));
            }
            Data::Histogram(histogram) => {
                let HistogramDataPoint { flags, count, sum, bucket_counts, explicit_bounds, .. } = &histogram.data_points[0];
                ends.push(format!("{} {flags} {count} {sum:?} {bucket_counts:?} {explicit_bounds:?}", metric.name));
            }
            _ => {}
        }
    }
    ends.sort();
    assert_eq!(ends, ["h 1 0 Some(0.0) [0, 0] [1.0]", "i 1 0 None [0] []", "s 1 0 0 [(0.5, 0.0)]"]);
}
