//! The ends of series that continue with fewer buckets or quantiles, another scope or another unit.

use super::*;

/// The exported points as `name shape @time`, in their order, with `end` for an end marker. Times are in milliseconds.
fn shapes(requests: &[EncodedRequest]) -> Vec<String> {
    let mut shapes = Vec::new();
    for of in decoded(requests).into_iter().flat_map(|request| request.resource_metrics) {
        for (scope, metric) in of.scope_metrics.into_iter().flat_map(|scope| {
            let name = scope.scope.unwrap_or_default().name;
            scope.metrics.into_iter().map(move |metric| (name.clone(), metric))
        }) {
            let scope = if scope.is_empty() || scope == NATIVE_SCOPE { String::new() } else { format!("{scope} ") };
            let mut add = |flags: u32, time: u64, shape: String| {
                let end = if flags == 1 { " end" } else { "" };
                shapes.push(format!("{scope}{}{shape}{end} @{}", metric.name, time / 1_000_000));
            };
            match metric.data.unwrap() {
                Data::Gauge(gauge) => gauge.data_points.iter().for_each(|p| add(p.flags, p.time_unix_nano, String::new())),
                Data::Sum(sum) => sum.data_points.iter().for_each(|p| add(p.flags, p.time_unix_nano, String::new())),
                Data::Histogram(histogram) => histogram.data_points.iter().for_each(|p| {
                    assert_eq!(p.bucket_counts.len(), p.explicit_bounds.len() + 1);
                    add(p.flags, p.time_unix_nano, format!(" {:?}{}", p.explicit_bounds, if p.sum.is_some() { " sum" } else { "" }));
                }),
                Data::Summary(summary) => summary.data_points.iter().for_each(|p| {
                    let quantiles: Vec<f64> = p.quantile_values.iter().map(|quantile| quantile.quantile).collect();
                    add(p.flags, p.time_unix_nano, format!(" {quantiles:?}"));
                }),
                other => panic!("{other:?}"),
            }
        }
    }
    shapes
}

fn histogram(bounds: &[f64], sum: &str) -> String {
    let buckets: String = bounds.iter().map(|bound| format!("h_bucket{{le=\"{bound}\"}} 1\n")).collect();
    let sum = if sum.is_empty() { String::new() } else { format!("h_sum {sum}\n") };
    format!("# TYPE h histogram\n{buckets}h_bucket{{le=\"+Inf\"}} 2\nh_count 2\n{sum}")
}

fn summary(quantiles: &[f64]) -> String {
    let quantiles: String = quantiles.iter().map(|quantile| format!("s{{quantile=\"{quantile}\"}} 1\n")).collect();
    format!("# TYPE s summary\n{quantiles}s_sum 3\ns_count 2\n")
}

/// Checks what is exported at 20 s after `before` was exported at 10 s.
#[track_caller]
fn changes(before: &str, after: &str, expected: &[&str]) {
    for bytes_max in [usize::MAX, 1] {
        let mut state = SeriesState::default();
        target_metrics("t", &reading(10, Ok(Snapshot::default()), text(before)), &mut state);
        let metrics = target_metrics("t", &reading(20, Ok(Snapshot::default()), text(after)), &mut state);
        let requests: Vec<EncodedRequest> = requests(&[metrics], bytes_max).collect();
        assert_eq!(shapes(&requests), expected, "{before}{after}");
    }
}

#[test]
fn a_distribution_ends_in_its_old_shape_if_it_loses_a_part() {
    let both = histogram(&[1.0, 2.0], "3");
    changes(&both, &histogram(&[0.5, 5.0], ""), &["h [1.0, 2.0] sum end @19999", "h [0.5, 5.0] @20000"]);
    changes(&both, &histogram(&[1.0], "3"), &["h [1.0, 2.0] sum end @19999", "h [1.0] sum @20000"]);
    changes(&both, &histogram(&[1.0, 2.0], "NaN"), &["h [1.0, 2.0] sum end @19999", "h [1.0, 2.0] @20000"]);
    changes(&summary(&[0.5, 0.9]), &summary(&[0.5]), &["s [0.5, 0.9] end @19999", "s [0.5] @20000"]);
    // Nothing is lost.
    changes(&both, &both, &["h [1.0, 2.0] sum @20000"]);
    changes(&both, &histogram(&[1.0, 1.5, 2.0, 3.0], "9"), &["h [1.0, 1.5, 2.0, 3.0] sum @20000"]);
    changes(&histogram(&[1.0], ""), &both, &["h [1.0, 2.0] sum @20000"]);
    changes(&summary(&[0.5]), &summary(&[0.5, 0.9]), &["s [0.5, 0.9] @20000"]);
}

#[test]
fn the_series_of_a_family_end_one_by_one_if_their_type_changes() {
    let of = |l: &str| format!("h_bucket{{l=\"{l}\",le=\"+Inf\"}} 2\nh_count{{l=\"{l}\"}} 2\n");
    let before = format!("# TYPE h histogram\n{}{}", of("a"), of("b"));
    changes(&before, &of("a"), &["h [] end @19999", "h [] end @19999", "h_bucket @20000", "h_count @20000"]);
    changes(&of("a"), &before, &["h_bucket end @19999", "h_count end @19999", "h [] @20000", "h [] @20000"]);
    let quantiles = "s{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n";
    let ends = ["s end @19999", "s_count end @19999", "s_sum end @19999", "s [0.5] @20000"];
    changes(quantiles, &summary(&[0.5]), &ends);
}

#[test]
fn a_series_ends_if_its_scope_or_unit_changes() {
    let scoped = |scope: &str| format!("# TYPE a gauge\na{{otel_scope_name=\"{scope}\"}} 1\n");
    changes(&scoped("x"), &scoped("y"), &["x a end @19999", "y a @20000"]);
    let with_unit = |unit: &str| format!("# TYPE a_seconds gauge\n{unit}a_seconds 1\n# EOF\n");
    let (none, seconds) = (with_unit(""), with_unit("# UNIT a_seconds seconds\n"));
    changes(&none, &seconds, &["a_seconds end @19999", "a_seconds @20000"]);
    changes(&seconds, &seconds, &["a_seconds @20000"]);
}

#[test]
fn a_series_that_continues_with_a_timestamp_has_no_end_marker() {
    let quantiles = "s{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n";
    let with_timestamps = quantiles.replace('\n', " 15000\n");
    changes(quantiles, &format!("# TYPE s summary\n{with_timestamps}"), &["s [0.5] @15000"]);
    changes(&summary(&[0.5, 0.9]), &format!("# TYPE s summary\n{with_timestamps}"), &["s [0.5] @15000"]);
    changes("# TYPE u gauge\nu 1\n", "u 2 15000\n", &["u @15000"]);
}

#[test]
fn no_end_marker_has_the_time_of_an_exported_sample() {
    let mut state = SeriesState::default();
    let mut at = |seconds, body: &str| {
        let metrics = target_metrics("t", &reading(seconds, Ok(Snapshot::default()), text(body)), &mut state);
        shapes(&requests(&[metrics], usize::MAX).collect::<Vec<_>>())
    };
    assert_eq!(at(1000, "y 1 1009999\nz 1 1009998\n"), ["y @1009999", "z @1009998"]);
    // Both are ahead of the reading.
    assert_eq!(at(1005, "y 2\nz 2\np 1\n"), ["p @1005000"]);
    assert_eq!(at(1010, "p 1\n"), ["z end @1009999", "p @1010000"]);
}

#[test]
fn end_markers_are_exported_before_all_points_of_the_target() {
    let scope = |flags| {
        let point = NumberDataPoint { flags, time_unix_nano: SECOND * (20 - u64::from(flags)), ..Default::default() };
        let metric = Metric { name: "canonical".into(), data: Some(Data::Gauge(Gauge { data_points: vec![point] })), ..Default::default() };
        vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }]
    };
    let mut state = SeriesState::default();
    target_metrics("t", &reading(10, Ok(Snapshot::default()), text("a 1\n")), &mut state);
    let native = target_metrics("t", &reading(20, Ok(Snapshot::default()), text("b 1\n")), &mut state);
    let metrics = [TargetMetrics { canonical: scope(0), canonical_ends: scope(1), ..native }];
    for bytes_max in [usize::MAX, 1] {
        let requests: Vec<EncodedRequest> = requests(&metrics, bytes_max).collect();
        assert_eq!(shapes(&requests), ["canonical end @19000", "a end @19999", "canonical @20000", "b @20000"]);
    }
}

#[test]
fn a_canonical_histogram_ends_in_its_old_shape_if_it_loses_a_part() {
    let metric = *crate::model::vocabulary::ALL.iter().find(|metric| metric.kind == crate::model::Kind::Histogram).unwrap();
    let name = metric.name;
    let of = |bounds: &[f64], sum| Histogram { bounds: bounds.to_vec(), cumulative: vec![1; bounds.len()], sum, count: 2 };
    for (before, after, expected) in [
        (of(&[1.0, 2.0], None), of(&[2.0, 3.0], None), vec![" [1.0, 2.0] end @19999", " [2.0, 3.0] @20000"]),
        (of(&[1.0], Some(1.0)), of(&[1.0], None), vec![" [1.0] sum end @19999", " [1.0] @20000"]),
        (of(&[1.0], None), of(&[1.0, 2.0], Some(1.0)), vec![" [1.0, 2.0] sum @20000"]),
    ] {
        let mut state = SeriesState::default();
        let mut at = |seconds, histogram: &Histogram| {
            let histograms = vec![(metric, Attributes::new(), histogram.clone())];
            let this = reading(seconds, Ok(Snapshot { histograms, ..Snapshot::default() }), Arc::default());
            TargetMetrics::new(&Identity::new("kumomta", "t"), state.report(vec![ScopeMetrics::default()], "kumomta", &this, None))
        };
        at(10, &before);
        let metrics = at(20, &after);
        let expected: Vec<String> = expected.iter().map(|shape| format!("{name}{shape}")).collect();
        assert_eq!(shapes(&requests(&[metrics], usize::MAX).collect::<Vec<_>>()), expected);
    }
}
