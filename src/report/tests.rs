//! Start times, deltas and end markers of successive readings.

use super::*;
use crate::model::{Attributes, Histogram, RecordMetrics, vocabulary};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    self as otlp, AggregationTemporality, Gauge, HistogramDataPoint, Metric, NumberDataPoint, Sum, number_data_point,
};
use std::time::{Duration, SystemTime};

const SECOND: u64 = 1_000_000_000;

fn time(seconds: u64) -> UnixNanos {
    UnixNanos::new(seconds * SECOND).unwrap()
}

/// A successful reading at this second.
fn at(seconds: u64) -> ReadingStatus {
    ReadingStatus { is_good: true, is_complete: true, has_all_series: true, ..failed(seconds) }
}

/// A failed poll at this second.
fn failed(seconds: u64) -> ReadingStatus {
    ReadingStatus { tally_since: Some(time(5)), ..ReadingStatus::failed(time(seconds)) }
}

fn with_delivery_log(status: ReadingStatus) -> ReadingStatus {
    ReadingStatus { from_records: RecordMetrics::of(|metric| vocabulary::DELIVERY_METRICS.contains(&metric)), ..status }
}

fn attributes(value: &str) -> Vec<KeyValue> {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    vec![KeyValue { key: "a".to_owned(), value, ..Default::default() }]
}

/// A metric as the SDK collects it, of the kind that its name has; for a histogram, `value` is the number of observations of 5.
fn collected((name, attribute, value): (&str, &str, i64)) -> Metric {
    let kind = vocabulary::ALL.iter().find(|metric| metric.name == name).map_or(crate::model::Kind::Gauge, |metric| metric.kind);
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    let attributes = attributes(attribute);
    let data = match kind {
        crate::model::Kind::Histogram => {
            let (count, sum) = (value as u64, Some(5.0 * value as f64));
            let (start_time_unix_nano, time_unix_nano) = (SECOND, 10 * SECOND);
            let point = HistogramDataPoint { attributes, count, sum, start_time_unix_nano, time_unix_nano, ..Default::default() };
            Data::Histogram(otlp::Histogram { data_points: vec![point], aggregation_temporality })
        }
        kind => {
            let value = Some(number_data_point::Value::AsInt(value));
            let data_points = vec![NumberDataPoint { attributes, value, ..Default::default() }];
            match kind {
                crate::model::Kind::Gauge => Data::Gauge(Gauge { data_points }),
                kind => Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: kind == crate::model::Kind::Counter }),
            }
        }
    };
    Metric { name: name.to_owned(), data: Some(data), ..Default::default() }
}

/// Reports a reading and returns its canonical points, sorted, as `name{attribute} value @start time`; `end` stands for `NoRecordedValue`,
/// a sign for a delta.
fn report(state: &mut SeriesState, status: ReadingStatus, scalars: &[(&str, &str, i64)], snapshot: &Snapshot) -> Vec<String> {
    let scopes = vec![ScopeMetrics { metrics: scalars.iter().copied().map(collected).collect(), ..Default::default() }];
    let snapshot = status.is_good.then_some(snapshot);
    let report = state.report_with(status, scopes, "cpanel", snapshot, &Arc::default());
    let seconds = |nanos: u64| nanos as f64 / SECOND as f64;
    let mut lines = Vec::new();
    for metric in report.canonical_ends.into_iter().chain(report.canonical).flat_map(|scope| scope.metrics) {
        let mut add = |attributes: &[KeyValue], value: String, start: u64, time: u64, flags: u32| {
            let text = |a: &KeyValue| match a.value.clone().unwrap().value {
                Some(any_value::Value::StringValue(text)) if a.key == "a" => text,
                _ => String::new(),
            };
            let name = format!("{}{{{}}}", metric.name, attributes.iter().map(text).collect::<String>());
            let start = if start == 0 { String::new() } else { format!(" @{}", seconds(start)) };
            let value = if flags == 1 { "end" } else { &value };
            lines.push(format!("{name} {value}{start} {}", seconds(time)));
        };
        let mut number = |point: &NumberDataPoint, sign: &str| {
            let value = match point.value {
                Some(number_data_point::Value::AsInt(n)) => format!("{sign}{n}"),
                _ => String::new(),
            };
            add(&point.attributes, value, point.start_time_unix_nano, point.time_unix_nano, point.flags);
        };
        let sign = |temporality: i32| if temporality == AggregationTemporality::Delta as i32 { "+" } else { "" };
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => gauge.data_points.iter().for_each(|point| number(point, "")),
            Data::Sum(sum) => sum.data_points.iter().for_each(|point| number(point, sign(sum.aggregation_temporality))),
            Data::Histogram(histogram) => histogram.data_points.iter().for_each(|p| {
                let value = format!("{}{}", sign(histogram.aggregation_temporality), p.count);
                add(&p.attributes, value, p.start_time_unix_nano, p.time_unix_nano, p.flags);
            }),
            other => panic!("{other:?}"),
        }
    }
    lines.sort();
    lines
}

fn scalars(state: &mut SeriesState, status: ReadingStatus, scalars: &[(&str, &str, i64)]) -> Vec<String> {
    report(state, status, scalars, &Snapshot::default())
}

const ERRORS: &str = "postmeter.poll.errors";
const BOUNCES: &str = "mail.bounces";
const ATTEMPTS: &str = "mail.delivery.attempts";

#[test]
fn counters_of_postmeter_have_the_time_of_the_reading() {
    let mut state = SeriesState::new(Temporality::Delta);
    assert_eq!(scalars(&mut state, at(10), &[(ERRORS, "x", 3), (BOUNCES, "x", 7)]), ["postmeter.poll.errors{x} +3 @5 10"]);
    let both = ["mail.bounces{x} +2 @10 30", "postmeter.poll.errors{x} +3 @10 30"];
    assert_eq!(scalars(&mut state, at(30), &[(ERRORS, "x", 6), (BOUNCES, "x", 9)]), both);
    let mut state = SeriesState::default();
    assert_eq!(scalars(&mut state, at(10), &[(ERRORS, "x", 3)]), ["postmeter.poll.errors{x} 3 @5 10"]);
    assert_eq!(scalars(&mut state, at(20), &[(ERRORS, "x", 5)]), ["postmeter.poll.errors{x} 5 @5 20"]);
}

#[test]
fn counts_of_postmeter_that_began_anew_are_not_compared_with_those_before() {
    const RECORDS: &str = "postmeter.poll.records";
    let second = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let status = |seconds, tally, states, contents| ReadingStatus {
        tally_since: Some(time(tally)),
        records_since: Some(RecordsSince { states: second(states), contents: second(contents) }),
        ..with_delivery_log(at(seconds))
    };
    for (temporality, all, contents) in [
        (
            Temporality::Delta,
            ["mail.delivery.attempts{x} +8 @10 30", "postmeter.poll.errors{x} +7 @10 30", "postmeter.poll.records{x} +9 @10 30"],
            ["mail.delivery.attempts{x} +12 @30 40", "postmeter.poll.errors{x} +1 @30 40", "postmeter.poll.records{x} +2 @30 40"],
        ),
        (
            Temporality::Cumulative,
            ["mail.delivery.attempts{x} 8 @10 30", "postmeter.poll.errors{x} 7 @10 30", "postmeter.poll.records{x} 9 @10 30"],
            ["mail.delivery.attempts{x} 12 @30 40", "postmeter.poll.errors{x} 8 @10 40", "postmeter.poll.records{x} 11 @10 40"],
        ),
    ] {
        let mut state = SeriesState::new(temporality);
        scalars(&mut state, status(10, 5, 5, 5), &[(ATTEMPTS, "x", 5), (ERRORS, "x", 5), (RECORDS, "x", 5)]);
        // The target was removed and added again, and has counted more than before by the next push.
        let added_again = &[(ATTEMPTS, "x", 8), (ERRORS, "x", 7), (RECORDS, "x", 9)];
        assert_eq!(scalars(&mut state, status(30, 20, 20, 20), added_again), all);
        // Its records are split by other fields.
        let split_differently = &[(ATTEMPTS, "x", 12), (ERRORS, "x", 8), (RECORDS, "x", 11)];
        assert_eq!(scalars(&mut state, status(40, 20, 20, 35), split_differently), contents);
    }
}

#[test]
fn end_markers_precede_the_poll_and_a_late_response_follows_them() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let metric = *vocabulary::ALL.iter().find(|metric| metric.name == "mail.connection.duration").unwrap();
        let histogram = Histogram { bounds: vec![1.0], cumulative: vec![1], count: 2, sum: None };
        let snapshot = Snapshot { histograms: vec![(metric, Attributes::new(), histogram)], ..Snapshot::default() };
        let mut state = SeriesState::new(temporality);
        let series = [("mail.queue.oldest_age", "x", 4), ("mail.delivery.duration", "x", 3)];
        report(&mut state, at(10), &series, &snapshot);
        // The poll that began at 20 timed out for the caller, and its response arrived later.
        let end_markers =
            ["mail.connection.duration{} end 29.999", "mail.delivery.duration{x} end 29.999", "mail.queue.oldest_age{x} end 29.999"];
        assert_eq!(report(&mut state, failed(30), &[], &snapshot), end_markers);
        assert_eq!(report(&mut state, failed(31), &[], &snapshot), [""; 0]);
        let late = report(&mut state, at(20), &[("mail.queue.oldest_age", "x", 5)], &snapshot);
        assert!(late.iter().all(|line| line.ends_with(" 31.002")), "{late:?}");
    }
}

#[test]
fn the_source_of_delivery_counts_can_change() {
    let of_server = [(ATTEMPTS, "x", 5000), ("mail.delivery.failures", "y", 4), (BOUNCES, "z", 8)];
    let mut state = SeriesState::default();
    assert_eq!(scalars(&mut state, with_delivery_log(at(10)), &[(ATTEMPTS, "x", 300)]), ["mail.delivery.attempts{x} 300 @5 10"]);
    // The server's counters have another start; new ones may be older than the reading before.
    let of_server_points = ["mail.bounces{z} 8 @10 20", "mail.delivery.attempts{x} 5000 @10 20", "mail.delivery.failures{y} 4 20"];
    assert_eq!(scalars(&mut state, at(20), &of_server), of_server_points);
    let of_postmeter = scalars(&mut state, with_delivery_log(at(30)), &[(ATTEMPTS, "x", 12), ("mail.delivery.failures", "w", 2)]);
    let expected = ["mail.bounces{z} end 29.999", "mail.delivery.attempts{x} 12 @20 30", "mail.delivery.failures{w} 2 @20 30"];
    assert_eq!(of_postmeter, [&expected[..], &["mail.delivery.failures{y} end 29.999"]].concat());

    let mut state = SeriesState::new(Temporality::Delta);
    scalars(&mut state, with_delivery_log(at(10)), &[(ATTEMPTS, "x", 300)]);
    assert_eq!(scalars(&mut state, failed(15), &[]), ["mail.delivery.attempts{x} end 14.999"]);
    assert_eq!(scalars(&mut state, at(20), &of_server), [""; 0]);
    let rises = ["mail.bounces{z} +1 @20 30", "mail.delivery.attempts{x} +2 @20 30", "mail.delivery.failures{y} +0 @20 30"];
    assert_eq!(scalars(&mut state, at(30), &[(ATTEMPTS, "x", 5002), of_server[1], (BOUNCES, "z", 9)]), rises);
}

#[test]
fn a_histogram_that_changes_its_source_ends_before_it_continues() {
    const DURATION: &str = "mail.delivery.duration";
    // The attributes that `HistogramSeries` sets.
    let histogram = Histogram { bounds: vec![], cumulative: vec![], sum: None, count: 4 };
    let of_server = Snapshot { histograms: vec![(&vocabulary::DELIVERY_DURATION, Attributes::new(), histogram)], ..Snapshot::default() };
    let attributes = crate::telemetry::otlp_attributes(&Attributes::new(), "cpanel");
    let of_records = || {
        let mut metric = collected((DURATION, "", 2));
        let Some(Data::Histogram(histogram)) = &mut metric.data else { panic!("{metric:?}") };
        histogram.data_points[0].attributes.clone_from(&attributes);
        vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }]
    };
    let mut state = SeriesState::default();
    let mut step = |status, scopes: Vec<ScopeMetrics>, snapshot: &Snapshot| -> Vec<(u64, u32)> {
        let report = state.report_with(status, scopes, "cpanel", Some(snapshot), &Arc::default());
        let metrics = report.canonical_ends.into_iter().chain(report.canonical).flat_map(|scope| scope.metrics);
        let points = metrics.flat_map(|metric| match metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points,
            other => panic!("{other:?}"),
        });
        points.map(|point| (point.count, point.flags)).collect()
    };
    let empty = || vec![ScopeMetrics::default()];
    assert_eq!(step(at(10), empty(), &of_server), [(4, 0)]);
    assert_eq!(step(with_delivery_log(at(20)), of_records(), &Snapshot::default()), [(0, 1), (2, 0)]);
    assert_eq!(step(at(30), empty(), &of_server), [(0, 1), (4, 0)]);
    assert_eq!(step(at(40), empty(), &Snapshot::default()), [(0, 1)]);
}

#[test]
fn a_counter_that_a_response_omits_resumes_or_is_a_reset() {
    for (temporality, resumed, reset) in [
        (Temporality::Cumulative, "mail.bounces{x} 1060 @10 40", "mail.bounces{x} 7 @40 60"),
        (Temporality::Delta, "mail.bounces{x} +60 @20 40", "mail.bounces{x} +7 @40 60"),
    ] {
        let mut state = SeriesState::new(temporality);
        scalars(&mut state, at(10), &[]);
        scalars(&mut state, at(20), &[(BOUNCES, "x", 1000)]);
        assert_eq!(scalars(&mut state, at(30), &[]), ["mail.bounces{x} end 29.999"]);
        assert_eq!(scalars(&mut state, at(40), &[(BOUNCES, "x", 1060)]), [resumed]);
        assert_eq!(scalars(&mut state, at(50), &[]), ["mail.bounces{x} end 49.999"]);
        assert_eq!(scalars(&mut state, at(60), &[(BOUNCES, "x", 7)]), [reset]);
        // Failed polls before and after the successful one that omits the series change nothing.
        assert_eq!(scalars(&mut state, failed(70), &[]), ["mail.bounces{x} end 69.999"]);
        assert_eq!(scalars(&mut state, at(80), &[]), [""; 0]);
        assert_eq!(scalars(&mut state, failed(90), &[]), [""; 0]);
        let resumed = scalars(&mut state, at(3660), &[(BOUNCES, "x", 9)]);
        let expected = if temporality == Temporality::Delta { "mail.bounces{x} +2 @60 3660" } else { "mail.bounces{x} 9 @40 3660" };
        assert_eq!(resumed, [expected]);
    }
}

#[test]
fn a_counter_is_not_new_after_a_reading_in_which_one_of_its_metric_was_unknown() {
    let histogram = || Histogram { bounds: vec![1.0], cumulative: vec![7], count: 7, sum: Some(7.0) };
    for metric in [&vocabulary::BOUNCES, &vocabulary::DELIVERY_DURATION] {
        let omitting = Snapshot { unknown_metrics: vec![metric], ..Snapshot::default() };
        let histograms = vec![(&vocabulary::DELIVERY_DURATION, Attributes::new(), histogram())];
        let with_histogram = Snapshot { histograms, ..Snapshot::default() };
        let mut state = SeriesState::new(Temporality::Delta);
        assert_eq!(report(&mut state, at(10), &[], &omitting), [""; 0]);
        let expected = match metric == &vocabulary::BOUNCES {
            true => ["mail.delivery.attempts{y} +3 @10 20", "mail.delivery.duration{} +7 @10 20"],
            false => ["mail.bounces{x} +1000 @10 20", "mail.delivery.attempts{y} +3 @10 20"],
        };
        assert_eq!(report(&mut state, at(20), &[(BOUNCES, "x", 1000), (ATTEMPTS, "y", 3)], &with_histogram), expected);
        let all = &[(BOUNCES, "x", 1001), (BOUNCES, "y", 2)];
        let expected = ["mail.bounces{x} +1 @20 30", "mail.bounces{y} +2 @20 30", "mail.delivery.attempts{y} end 29.999"];
        assert_eq!(report(&mut state, at(30), all, &with_histogram)[..3], expected);
    }
}

#[test]
fn a_delta_excludes_what_an_earlier_process_may_have_exported() {
    let since = |seconds, since: u64| ReadingStatus { counters_since: Some(time(since)), ..at(seconds) };
    let mut state = SeriesState::new(Temporality::Delta);
    assert_eq!(scalars(&mut state, since(100, 3), &[(BOUNCES, "x", 1_000_000)]), [""; 0]);
    let rises = ["mail.bounces{x} +1 @100 110", "mail.bounces{y} +2 @100 110"];
    assert_eq!(scalars(&mut state, since(110, 3), &[(BOUNCES, "x", 1_000_001), (BOUNCES, "y", 2)]), rises);
    // A new server process.
    assert_eq!(scalars(&mut state, since(120, 115), &[(BOUNCES, "x", 4)]), ["mail.bounces{x} +4 @115 120", "mail.bounces{y} end 119.999"]);
    let mut state = SeriesState::default();
    assert_eq!(scalars(&mut state, since(100, 3), &[(BOUNCES, "x", 1_000_000)]), ["mail.bounces{x} 1000000 @3 100"]);
}

#[test]
fn a_restart_of_the_server_is_none_of_counters_that_continue() {
    let status = |seconds, since: u64| {
        let (counters_since, continued_since) = (Some(time(since)), Some(time(3)));
        ReadingStatus { counters_since, continued_since, ..at(seconds) }
    };
    let continued = crate::model::ContinuedCounters { metrics: vec![&vocabulary::BOUNCES], since: None };
    let snapshot = Snapshot { continued, ..Snapshot::default() };
    for (temporality, expected) in [
        (Temporality::Cumulative, ["mail.bounces{x} 12 @3 110", "mail.delivery.attempts{x} 12 @105 110"]),
        (Temporality::Delta, ["mail.bounces{x} +5 @100 110", "mail.delivery.attempts{x} +12 @105 110"]),
    ] {
        let mut state = SeriesState::new(temporality);
        report(&mut state, status(100, 3), &[(BOUNCES, "x", 7), (ATTEMPTS, "x", 7)], &snapshot);
        assert_eq!(report(&mut state, status(110, 105), &[(BOUNCES, "x", 12), (ATTEMPTS, "x", 12)], &snapshot), expected);
    }
}

#[test]
fn a_canonical_histogram_may_add_buckets() {
    let before = Histogram { bounds: vec![1.0], cumulative: vec![7], count: 7, sum: Some(7.0) };
    let now = Histogram { bounds: vec![1.0, 2.0], cumulative: vec![8, 11], count: 11, sum: Some(13.0) };
    let mut state = SeriesState::new(Temporality::Delta);
    /// Count, sum, bucket counts and bounds.
    type ExportedPoint = (u64, Option<f64>, Vec<u64>, Vec<f64>);
    let mut points = |seconds, histogram: &Histogram| -> Vec<ExportedPoint> {
        let histograms = vec![(&vocabulary::DELIVERY_DURATION, Attributes::new(), histogram.clone())];
        let snapshot = Snapshot { histograms, ..Snapshot::default() };
        let report = state.report_with(at(seconds), vec![ScopeMetrics::default()], "cpanel", Some(&snapshot), &Arc::default());
        let points = report.canonical.into_iter().flat_map(|scope| scope.metrics).flat_map(|metric| match metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points,
            other => panic!("{other:?}"),
        });
        points.map(|point| (point.count, point.sum, point.bucket_counts, point.explicit_bounds)).collect()
    };
    assert_eq!(points(10, &before), []);
    assert_eq!(points(20, &now), [(4, Some(6.0), vec![1, 3], vec![1.0])]);
    assert_eq!(points(30, &before), [(7, Some(7.0), vec![7, 0], vec![1.0])], "a reset");
}

#[test]
fn canonical_counters_begin_again_when_a_reload_changes_their_rules() {
    use crate::poll::Continuity::{OtherRules, OtherServer, SameCounters};
    let latency = |count: u64| {
        let histogram = Histogram { count, sum: Some(1.0), bounds: vec![1.0], cumulative: vec![count] };
        Snapshot { histograms: vec![(&vocabulary::DELIVERY_DURATION, Attributes::new(), histogram)], ..Snapshot::default() }
    };
    for (change, bounces, durations) in [
        (SameCounters, vec!["mail.bounces{x} +400 @20 30"], vec!["mail.delivery.duration{} +4 @20 30"]),
        (OtherRules, vec![], vec![]),
        (OtherServer, vec![], vec![]),
    ] {
        let mut state = SeriesState::new(Temporality::Delta);
        report(&mut state, at(10), &[(ERRORS, "x", 1), (BOUNCES, "x", 900)], &latency(1));
        report(&mut state, at(20), &[(ERRORS, "x", 1), (BOUNCES, "x", 900)], &latency(5));
        state.note_change(change);
        // The sums begin again, so they fall; Postmeter's own counts continue.
        let expected = [bounces, durations, vec!["postmeter.poll.errors{x} +2 @20 30"]].concat();
        assert_eq!(report(&mut state, at(30), &[(ERRORS, "x", 3), (BOUNCES, "x", 400)], &latency(4)), expected, "{change:?}");
        let next = ["mail.bounces{x} +10 @30 40", "mail.delivery.duration{} +2 @30 40", "postmeter.poll.errors{x} +0 @30 40"];
        assert_eq!(report(&mut state, at(40), &[(ERRORS, "x", 3), (BOUNCES, "x", 410)], &latency(6)), next, "{change:?}");
    }
    // A series that the first reading lacks, because a part fails, is not compared with that of before when it returns.
    let mut state = SeriesState::new(Temporality::Delta);
    report(&mut state, at(10), &[(BOUNCES, "x", 4)], &latency(1));
    state.note_change(OtherServer);
    let incomplete = ReadingStatus { is_complete: false, has_all_series: false, ..at(20) };
    assert_eq!(scalars(&mut state, incomplete, &[]), ["mail.bounces{x} end 19.999", "mail.delivery.duration{} end 19.999"]);
    assert_eq!(report(&mut state, at(30), &[(BOUNCES, "x", 100_000)], &latency(50)), [""; 0]);
    assert_eq!(report(&mut state, at(40), &[(BOUNCES, "x", 100_001)], &latency(50))[0], "mail.bounces{x} +1 @30 40");
    let mut state = SeriesState::default();
    scalars(&mut state, at(10), &[(BOUNCES, "x", 100)]);
    scalars(&mut state, at(20), &[(BOUNCES, "x", 100), (BOUNCES, "y", 1)]);
    state.note_change(OtherRules);
    assert_eq!(
        scalars(&mut state, at(30), &[(BOUNCES, "x", 5100), (BOUNCES, "y", 2)]),
        ["mail.bounces{x} 5100 30", "mail.bounces{y} 2 30"]
    );
}
