//! Checks the exported points of several polls in a row.

use super::*;
use crate::poll::Continuity;

/// One line per point: `name{labels} value @start`, with `end` instead of the value for `NoRecordedValue`, and `+` before the value of a
/// delta. Ends are last.
pub(super) fn lines(metrics: TargetMetrics) -> Vec<String> {
    let mut lines = Vec::new();
    let start = |start: u64| if start == 0 { String::new() } else { format!(" @{}", start / SECOND) };
    for scope in message(&[metrics]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics) {
        for metric in scope.metrics {
            let series = |attributes: &[KeyValue]| {
                let labels: Vec<String> = labels(attributes).into_iter().map(|(_, value)| value).collect();
                format!("{}{{{}}}", metric.name, labels.join(","))
            };
            let number = |point: &NumberDataPoint, sign: &str| match (point.flags, &point.value) {
                (1, None) => format!("{} end", series(&point.attributes)),
                (0, Some(number_data_point::Value::AsDouble(n))) => {
                    format!("{} {sign}{n}{}", series(&point.attributes), start(point.start_time_unix_nano))
                }
                _ => panic!("{point:?}"),
            };
            let sign = |temporality| if temporality == 1 { "+" } else { "" };
            match metric.data.as_ref().unwrap() {
                Data::Gauge(gauge) => lines.extend(gauge.data_points.iter().map(|p| number(p, ""))),
                Data::Sum(sum) => lines.extend(sum.data_points.iter().map(|p| number(p, sign(sum.aggregation_temporality)))),
                Data::Histogram(histogram) => lines.extend(histogram.data_points.iter().map(|p| match p.flags {
                    1 => format!("{} end", series(&p.attributes)),
                    _ => {
                        let (sign, start) = (sign(histogram.aggregation_temporality), start(p.start_time_unix_nano));
                        format!("{} {sign}{:?} sum {:?}{start}", series(&p.attributes), p.bucket_counts, p.sum.unwrap())
                    }
                })),
                other => panic!("{other:?}"),
            }
        }
    }
    lines.sort_by_key(|line| line.ends_with(" end"));
    lines
}

/// A poll or a reload.
#[derive(Clone)]
pub(super) enum Step {
    /// A successful reading.
    Good(&'static str),
    /// A successful reading; the server reports when its counters started.
    Since(u64, &'static str),
    /// The same, without small values of the counter `c`, with the gauge `r` treated as a counter, and with the counter `s` restored after
    /// restarts.
    Chosen(u64, &'static str),
    /// A successful reading with an invalid value of a canonical counter.
    Invalid(&'static str),
    /// A successful reading at this time in seconds.
    At(u64, &'static str),
    /// A successful reading whose names get this prefix.
    Prefixed(&'static str, &'static str),
    /// A failed poll.
    Failed,
    /// A reload, before the next poll.
    Changed(Continuity),
}
pub(super) use Step::{At, Changed, Chosen, Failed, Good, Invalid, Prefixed, Since};

/// Checks the exported lines of readings that are ten seconds apart.
#[track_caller]
pub(super) fn steps(temporality: Temporality, steps: &[(Step, &[&str])]) {
    let mut state = SeriesState::new(temporality);
    for (index, (step, expected)) in steps.iter().enumerate() {
        let at = 10 * (index as u64 + 1);
        let this = match step {
            At(at, body) => reading(*at, Ok(snapshot(body)), text(body)),
            Good(body) => reading(at, Ok(snapshot(body)), text(body)),
            Invalid(body) => {
                let mut repairs = Repairs::default();
                repairs.count(Repair::NonFinite);
                reading(at, Ok(Snapshot { repairs, ..Snapshot::default() }), text(body))
            }
            Prefixed(prefix, body) => {
                let families = prometheus::read((*body).to_owned()).unwrap();
                let native = SelectedFamilies::select(vec![families], prefix, usize::MAX, |_| Some(FamilySelection::default()));
                reading(at, Ok(snapshot(body)), Arc::new(native))
            }
            Since(since, body) => {
                let counters_since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(*since));
                reading(at, Ok(Snapshot { counters_since, ..snapshot(body) }), text(body))
            }
            Chosen(since, body) => {
                let counters_since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(*since)).filter(|_| *since > 0);
                let families = prometheus::read((*body).to_owned()).unwrap();
                let native = SelectedFamilies::select(vec![families], "", usize::MAX, |name| {
                    let kind = (name == "r").then_some(FamilyType::Counter);
                    let (min_value, are_restored) = ((name == "c").then_some(5.0), name == "s");
                    Some(FamilySelection { kind, min_value, are_restored, ..FamilySelection::default() })
                });
                reading(at, Ok(Snapshot { counters_since, ..Snapshot::default() }), Arc::new(native))
            }
            Changed(continuity) => {
                state.note_change(*continuity);
                continue;
            }
            Failed => reading(at, Err(PollError::Timeout(Duration::ZERO)), Arc::default()),
        };
        let metrics = target_metrics("t", &this, &mut state);
        assert_eq!(lines(metrics), *expected, "step {index}");
    }
}
