//! Summaries, whose parts can be missing.

use super::*;

#[test]
fn the_sum_of_a_summary_that_has_none_is_not_0() {
    for (lines, count, sum) in [
        ("s{quantile=\"0.5\"} 3\ns_count 3\n", 3, f64::NAN),
        ("s{quantile=\"0.5\"} 3\ns_sum NaN\ns_count 4\n", 4, f64::NAN),
        ("s{quantile=\"0.5\"} 3\ns_sum 9.5\ns_count 3\n", 3, 9.5),
        ("s_sum 0\ns_count 0\n", 0, 0.0),
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
