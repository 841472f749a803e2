//! Samples with explicit timestamps.

use super::*;

/// Exports a body. Returns the samples with explicit timestamps as `name{labels} value @start time`, in milliseconds; the number of other
/// points; and the numbers of omitted samples.
fn timestamped(state: &mut SeriesState, at: u64, body: &str) -> (Vec<String>, usize, [u64; 3]) {
    let families = prometheus::read_unterminated(body.to_owned()).unwrap();
    let metrics = target_metrics("t", &reading(at, Ok(Snapshot::default()), native(families)), state);
    let omitted = metrics.omitted_samples().map(|(_, n)| n);
    let (mut lines, mut others) = (Vec::new(), 0);
    for resource_metrics in message(&[metrics]).resource_metrics {
        let resource: Vec<String> = labels(&resource_metrics.resource.unwrap().attributes).into_iter().map(|(key, _)| key).collect();
        for metric in resource_metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let points: Vec<NumberDataPoint> = match metric.data.unwrap() {
                Data::Gauge(gauge) => gauge.data_points,
                Data::Sum(sum) => sum.data_points,
                other => panic!("{other:?}"),
            };
            for point in points {
                if point.time_unix_nano % SECOND == 0 {
                    others += 1;
                    continue;
                }
                assert!(resource == ["service.name", "service.instance.id"], "{resource:?}");
                let value = match point.value {
                    Some(number_data_point::Value::AsDouble(n)) => n.to_string(),
                    _ => "end".to_owned(),
                };
                let milliseconds = |nanos: u64| nanos / 1_000_000;
                let start =
                    if point.start_time_unix_nano == 0 { String::new() } else { format!(" @{}", milliseconds(point.start_time_unix_nano)) };
                let labels: Vec<String> = labels(&point.attributes).into_iter().map(|(_, value)| value).collect();
                lines.push(format!("{}{{{}}} {value}{start} {}", metric.name, labels.join(","), milliseconds(point.time_unix_nano)));
            }
        }
    }
    (lines, others, omitted)
}

#[test]
fn a_sample_with_a_timestamp_is_exported_once_with_that_time() {
    let mut state = SeriesState::default();
    let mut at = |second, body: &str| timestamped(&mut state, second, body);
    let none = [0, 0, 0];
    let body = "# TYPE c counter\nc 5 9990001\n# TYPE g gauge\ng{l=\"eu\"} 5 9000001\ng{l=\"eu\"} 9 9500001\nplain 1\n";
    assert_eq!(at(10_000, body), (vec!["c{} 5 9990001".to_owned(), "g{eu} 9 9500001".to_owned()], 1, none));
    assert_eq!(at(10_010, body), (vec![], 1, none));
    // `c` continues, and `g` is older than the exported sample.
    let body = "# TYPE c counter\nc 6 10010001\n# TYPE g gauge\ng{l=\"eu\"} 5 9000001\nplain 1\n";
    assert_eq!(at(10_020, body), (vec!["c{} 6 10010001".to_owned()], 1, [0, 0, 1]));
    // A reset after the last sample. Samples with timestamps have no ends.
    assert_eq!(at(10_030, "# TYPE c counter\nc 2 10020001\nplain 1\n"), (vec!["c{} 2 @10010001 10020001".to_owned()], 1, none));
    // `c` is more than an hour old, and `x` is minutes ahead.
    assert_eq!(
        at(20_000, "# TYPE c counter\nc 2 16399001\nx 1 20300001\ny 1 20299001\nplain 1\n"),
        (vec!["y{} 1 20299001".to_owned()], 1, [1, 1, 0])
    );
    // A series that is ahead is not exported without a timestamp until a reading is later.
    assert_eq!(at(20_010, "y 2\nplain 1\n"), (vec![], 1, none));
    assert_eq!(at(20_020, "plain 1\n"), (vec![], 1, none));
    assert_eq!(at(20_300, "y 2\nplain 1\n"), (vec![], 2, none));
    // A series that was exported without a timestamp is exported with one only if it is later than that reading.
    assert_eq!(at(20_310, "y 3 20299501\nplain 1\n"), (vec![], 1, [0, 0, 1]));
    assert_eq!(
        at(20_320, "y 3 20315001\nplain 1 20319001\n"),
        (vec!["plain{} 1 20319001".to_owned(), "y{} 3 20315001".to_owned()], 0, none)
    );
}

#[test]
fn deltas_with_timestamps_add_up() {
    let mut state = SeriesState::new(Temporality::Delta);
    let mut at = |second, body: &str| timestamped(&mut state, second, body).0;
    assert_eq!(at(1000, "# TYPE c counter\nc 5 990001\n"), [""; 0]);
    assert_eq!(at(1010, "# TYPE c counter\nc 7 1000001\n"), ["c{} 2 @990001 1000001"]);
    assert_eq!(at(1020, "# TYPE c counter\nc 7 1000001\n"), [""; 0]);
    assert_eq!(at(1030, "other 1\n"), [""; 0]);
    assert_eq!(at(1040, "# TYPE c counter\nc 8 1039001\n"), ["other{} end 1039999", "c{} 1 @1000001 1039001"]);
    assert_eq!(at(1050, "# TYPE c counter\nc 3 1049001\n"), ["c{} 3 @1039001 1049001"]);
}

/// The deltas of the counter `c` in readings ten seconds apart, as `value @start time` in milliseconds. `None`: without a timestamp.
fn deltas(samples: &[(u64, Option<u64>)]) -> Vec<String> {
    let mut state = SeriesState::new(Temporality::Delta);
    let mut lines = Vec::new();
    for (index, (value, timestamp)) in samples.iter().enumerate() {
        let timestamp = timestamp.map(|at| format!(" {at}")).unwrap_or_default();
        let families = prometheus::read(format!("g 1\n# TYPE c counter\nc {value}{timestamp}\n")).unwrap();
        let reading = reading(1000 + 10 * index as u64, Ok(Snapshot::default()), native(families));
        let metrics = message(&[target_metrics("t", &reading, &mut state)]).resource_metrics;
        for metric in metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|scope| scope.metrics) {
            let Some(Data::Sum(sum)) = metric.data else { continue };
            assert_eq!(metric.name, "c");
            lines.extend(sum.data_points.iter().map(|point| {
                let milliseconds = |nanos: u64| nanos / 1_000_000;
                let Some(number_data_point::Value::AsDouble(n)) = point.value else { panic!("{point:?}") };
                format!("{n} @{} {}", milliseconds(point.start_time_unix_nano), milliseconds(point.time_unix_nano))
            }));
        }
    }
    lines
}

#[test]
fn a_series_with_timestamps_at_times_has_one_base() {
    let alternating: Vec<_> = (0..10).map(|n| (100 + 10 * n, (n % 2 == 1).then_some(999_700 + 10_000 * n))).collect();
    let mut times = (0..10).map(|n| 1_000_000 + 10_000 * n - if n % 2 == 1 { 300 } else { 0 });
    let mut before = times.next().unwrap();
    let expected: Vec<String> = times.map(|time| format!("10 @{} {time}", std::mem::replace(&mut before, time))).collect();
    assert_eq!(deltas(&alternating), expected);
    for (samples, expected) in [
        // A timestamp that is later than the reading, and then also later than the next one.
        (
            &[(100, None), (110, Some(1_010_001)), (120, None), (130, None)][..],
            &["10 @1000000 1010001", "10 @1010001 1020000", "10 @1020000 1030000"][..],
        ),
        (&[(100, None), (110, Some(1_025_001)), (120, None), (130, None)], &["10 @1000000 1025001", "20 @1025001 1030000"]),
        // The first sample has a timestamp.
        (&[(100, Some(999_001)), (110, None), (120, Some(1_019_001))], &["10 @999001 1010000", "10 @1010000 1019001"]),
        // Samples that are not exported: older than the reading before, too old, too far ahead.
        (&[(100, None), (110, Some(999_001)), (120, None)], &["20 @1000000 1020000"]),
        (&[(100, None), (7, Some(1)), (7, Some(1)), (120, None)], &["20 @1000000 1030000"]),
        (&[(100, None), (110, Some(2_000_000)), (120, Some(1_019_001))], &["20 @1000000 1019001"]),
        // A sample that was never exported is not a base.
        (&[(100, Some(2_000_000)), (110, None), (115, None)], &["5 @1010000 1020000"]),
        (&[(100, Some(2_000_000)), (5, None), (7, None)], &["2 @1010000 1020000"]),
        // Resets.
        (&[(100, None), (5, Some(1_009_001)), (7, None)], &["5 @1000000 1009001", "2 @1009001 1020000"]),
        (&[(100, Some(999_001)), (110, Some(1_009_001)), (7, None)], &["10 @999001 1009001", "7 @1009001 1020000"]),
        (
            &[(100, None), (110, Some(1_009_001)), (7, None), (9, None)],
            &["10 @1000000 1009001", "7 @1009001 1020000", "2 @1020000 1030000"],
        ),
        // The same sample again.
        (&[(100, None), (110, Some(1_009_001)), (110, Some(1_009_001)), (130, None)], &["10 @1000000 1009001", "20 @1009001 1030000"]),
    ] {
        assert_eq!(deltas(samples), expected, "{samples:?}");
    }
}

#[test]
fn a_base_survives_readings_without_the_series() {
    let mut state = SeriesState::new(Temporality::Delta);
    let mut at = |second, body: &str| {
        let metrics = target_metrics("t", &reading(second, Ok(Snapshot::default()), text(body)), &mut state);
        steps::lines(metrics).into_iter().filter(|line| line.starts_with("c{") && !line.ends_with(" end")).collect::<Vec<_>>()
    };
    const TYPE: &str = "g 1\n# TYPE c counter\n";
    assert_eq!(at(1000, &format!("{TYPE}c 100\n")), [""; 0]);
    assert_eq!(at(1010, "g 1\n"), [""; 0]);
    assert_eq!(at(1020, &format!("{TYPE}c 110 1019000\n")), ["c{} +10 @1000"]);
    assert_eq!(at(1030, "g 1\n"), [""; 0]);
    assert_eq!(at(1040, &format!("{TYPE}c 130\n")), ["c{} +20 @1019"]);
    assert_eq!(at(1050, "g 1\n"), [""; 0]);
    // A reset while the response omitted the series.
    assert_eq!(at(1060, &format!("{TYPE}c 7 1059000\n")), ["c{} +7 @1040"]);
}

#[test]
fn histograms_with_timestamps_at_times_have_one_base() {
    steps::steps(
        Temporality::LowMemory,
        &[
            (steps::At(1000, "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 2\nh_sum 3\n# TYPE c counter\nc 5\n"), &["c{} 5"]),
            (
                steps::At(
                    1010,
                    "# TYPE h histogram\nh_bucket{le=\"1\"} 2 1009000\nh_count 4 1009000\nh_sum 6 1009000\n# TYPE c counter\nc 7 1009000\n",
                ),
                &["c{} 7", "h{} +[1, 1] sum 3.0 @1000"],
            ),
            (
                steps::At(1020, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_count 5\nh_sum 7\n# TYPE c counter\nc 9\n"),
                &["c{} 9", "h{} +[0, 1] sum 1.0 @1009"],
            ),
        ],
    );
}
