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
    assert_eq!(at(1040, "# TYPE c counter\nc 8 1039001\n"), ["c{} 1 @1000001 1039001"]);
    assert_eq!(at(1050, "# TYPE c counter\nc 3 1049001\n"), ["c{} 3 @1039001 1049001"]);
}
