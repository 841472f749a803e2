use super::*;
use crate::config::Temporality;
use crate::export::otlp::native_metrics::NATIVE_SCOPE;
use crate::format::prometheus;
use crate::model::{
    Families, FamilySelection, FamilyType, Histogram, LimitExceeded, Repair, Repairs, SelectedFamilies, Snapshot, Summary, Value,
};
use crate::poll::{PollError, Tally};
use opentelemetry_proto::tonic::metrics::v1::{Gauge, HistogramDataPoint, NumberDataPoint, SummaryDataPoint, number_data_point};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Numbers that are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    fn text(&mut self) -> String {
        let len = if self.next(12) == 0 { self.next(400) } else { self.next(9) };
        (0..len).map(|_| ['a', 'B', '7', '"', '\\', '\u{fc}', '\u{1f4ec}', ' ', '@'][self.next(9) as usize]).collect()
    }

    fn number(&mut self) -> f64 {
        match self.next(8) {
            0 => 0.0,
            1 => f64::INFINITY,
            2 => -1.5,
            3 => f64::NAN,
            _ => self.next(1 << 53) as f64,
        }
    }

    fn families(&mut self) -> Families {
        let body: String = (0..60).map(|_| self.text()).collect();
        let (body_len, mut names) = (body.len(), 0);
        let families = Families::read(body, |builder| {
            for _ in 0..self.next(7) {
                names += 1;
                let name = builder.add_text(&format!("family_{names}"));
                let help = if self.next(2) == 0 { builder.add_text("") } else { builder.add_text(&self.text()) };
                let kinds = [FamilyType::Counter, FamilyType::Gauge, FamilyType::Histogram, FamilyType::Summary, FamilyType::Unknown];
                let kind = kinds[self.next(5) as usize];
                builder.family(name, help, kind);
                for _ in 0..self.next(40) {
                    for label in 0..self.next(4) {
                        let key = builder.add_text(&format!("l{label}"));
                        let body = builder.body();
                        let at = self.next(body_len as u64 + 1) as usize;
                        // From the body where that is possible, beside it otherwise.
                        let value = match body.get(at..(at + 5).min(body_len)) {
                            Some(piece) if self.next(2) == 0 => builder.text(piece),
                            _ => builder.add_text(&self.text()),
                        };
                        builder.label(key, value);
                    }
                    match kind {
                        FamilyType::Histogram => builder.histogram(self.histogram()),
                        FamilyType::Summary => builder.summary(self.summary()),
                        _ => builder.number(self.number()),
                    }
                }
            }
            Ok::<(), LimitExceeded>(())
        });
        families.unwrap()
    }

    fn histogram(&mut self) -> Histogram {
        let mut count = 0;
        let bounds: Vec<f64> = (0..self.next(20)).map(|n| n as f64 * 0.25).collect();
        let mut rise = || {
            count += self.next(1000);
            count
        };
        let cumulative = bounds.iter().map(|_| rise()).collect();
        let count = rise();
        Histogram { bounds, cumulative, count, sum: (self.next(3) > 0).then(|| self.next(1 << 40) as f64 / 8.0) }
    }

    fn summary(&mut self) -> Summary {
        let quantiles = (0..self.next(5)).map(|n| (n as f64 / 5.0, self.next(1000) as f64)).collect();
        Summary { quantiles, sum: Some(self.next(1000) as f64), count: Some(self.next(1000)) }
    }
}

fn native(families: Families) -> Arc<SelectedFamilies> {
    Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())))
}

fn text(body: &str) -> Arc<SelectedFamilies> {
    // The reader takes an empty answer for a fault.
    if body.is_empty() { Arc::default() } else { native(prometheus::read(body.to_owned()).unwrap()) }
}

/// What is known besides of an answer.
fn snapshot(body: &str) -> Snapshot {
    let repairs = prometheus::read(body.to_owned()).map(|families| *families.repairs()).unwrap_or_default();
    Snapshot { repairs, ..Snapshot::default() }
}

const SECOND: u64 = 1_000_000_000;

/// A reading at this second.
fn reading(at: u64, outcome: Result<Snapshot, PollError>, native: Arc<SelectedFamilies>) -> Reading {
    let (at, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(at), Instant::now());
    let (parts, tally) = (Vec::new(), Tally::default());
    Reading { at, began: now, ended: now, outcome, native, parts, body_bytes: 0, tally, tally_since: at }
}

fn told_of(name: &str, reading: &Reading, state: &mut SeriesState) -> TargetMetrics {
    told(Vec::new(), "kumomta", reading, &Identity::new("kumomta", name), state)
}

fn decoded(requests: &[Request]) -> Vec<ExportMetricsServiceRequest> {
    requests.iter().map(|request| ExportMetricsServiceRequest::decode(request.bytes.clone()).unwrap()).collect()
}

type Series = (String, String, Vec<(String, String)>);

fn labels(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute).unwrap())).collect()
}

/// All that was sent, as text, by series.
fn sent(requests: &[Request]) -> BTreeMap<Series, String> {
    let mut all = BTreeMap::new();
    for of_target in decoded(requests).into_iter().flat_map(|request| request.resource_metrics) {
        let resource = labels(&of_target.resource.unwrap().attributes);
        let target = resource.into_iter().find(|(key, _)| key == "service.instance.id").unwrap().1;
        for scope in of_target.scope_metrics {
            for metric in scope.metrics {
                let mut add = |attributes: &[KeyValue], said: String| {
                    let about = format!("{} {:?} {:?}", metric.description, metric.metadata, scope.scope);
                    let series = (target.clone(), metric.name.clone(), labels(attributes));
                    let before = all.insert(series.clone(), said + &about);
                    assert!(before.is_none(), "twice: {series:?}");
                };
                match &metric.data {
                    Some(Data::Gauge(gauge)) => {
                        gauge.data_points.iter().for_each(|p| add(&p.attributes, format!("gauge {:?} {}", p.value, p.time_unix_nano)));
                    }
                    Some(Data::Sum(sum)) => {
                        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                        sum.data_points.iter().for_each(|p| add(&p.attributes, format!("sum {:?} {}", p.value, p.time_unix_nano)));
                    }
                    Some(Data::Histogram(histogram)) => {
                        assert_eq!(histogram.aggregation_temporality, 2);
                        let said = |p: &HistogramDataPoint| {
                            assert_eq!(p.bucket_counts.iter().sum::<u64>(), p.count);
                            format!("{} {:?} {:?} {:?}", p.count, p.sum, p.explicit_bounds, p.bucket_counts)
                        };
                        histogram.data_points.iter().for_each(|p| add(&p.attributes, said(p)));
                    }
                    Some(Data::Summary(summary)) => {
                        let quantiles =
                            |p: &SummaryDataPoint| p.quantile_values.iter().map(|q| (q.quantile, q.value)).collect::<Vec<(f64, f64)>>();
                        let said = |p: &SummaryDataPoint| format!("{} {:?} {:?}", p.count, p.sum, quantiles(p));
                        summary.data_points.iter().for_each(|p| add(&p.attributes, said(p)));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    all
}

/// What should be sent of it.
fn expected(target: &str, native: &SelectedFamilies, time: u64) -> BTreeMap<Series, String> {
    let mut all = BTreeMap::new();
    for family in native.families() {
        let kind = format!("{:?}", family.kind()).to_lowercase();
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(kind)) });
        let metadata = vec![KeyValue { key: "prometheus.type".into(), value, ..Default::default() }];
        let scope = opentelemetry_proto::tonic::common::v1::InstrumentationScope {
            name: NATIVE_SCOPE.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        for sample in family.samples() {
            let said = match sample.value() {
                Value::Number(n) if n.is_nan() => continue,
                Value::Number(n) => {
                    let data = if family.kind() == FamilyType::Counter { "sum" } else { "gauge" };
                    format!("{data} {:?} {time}", Some(number_data_point::Value::AsDouble(n)))
                }
                Value::Histogram(h) => {
                    let mut below = 0;
                    let each = |n: u64| n - std::mem::replace(&mut below, n);
                    let counts: Vec<u64> = h.cumulative.iter().copied().chain([h.count]).map(each).collect();
                    format!("{} {:?} {:?} {counts:?}", h.count, h.sum, h.bounds)
                }
                Value::Summary(s) => format!("{} {:?} {:?}", s.count.unwrap_or(0), s.sum.unwrap_or(0.0), s.quantiles),
            };
            let labels = sample.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let about = format!("{} {metadata:?} {:?}", family.help(), Some(&scope));
            all.insert((target.to_owned(), family.name().into_owned(), labels), said + &about);
        }
    }
    all
}

#[test]
fn what_is_sent_is_what_was_read_however_it_is_split() {
    let mut random = Random(1);
    for round in 0..60 {
        let mut all = Vec::new();
        let mut right = BTreeMap::new();
        for target in 0..1 + random.next(3) {
            let native = native(random.families());
            let name = format!("t{target}");
            right.extend(expected(&name, &native, 7 * SECOND));
            all.push(told_of(&name, &reading(7, Ok(Snapshot::default()), native), &mut SeriesState::default()));
        }
        for bytes_max in [1, 300, 1000, 5000, 20_000, usize::MAX] {
            let requests: Vec<Request> = requests(&all, bytes_max).collect();
            assert_eq!(sent(&requests), right, "round {round}, {bytes_max}");
            assert_eq!(requests.iter().map(|r| r.points).sum::<u64>(), right.len() as u64);
            for (request, decoded) in requests.iter().zip(decoded(&requests)) {
                assert!(request.points == 1 || request.bytes.len() <= bytes_max, "round {round}, {bytes_max}");
                let mut targets: Vec<_> = decoded.resource_metrics.iter().map(|of| format!("{:?}", of.resource)).collect();
                targets.dedup();
                assert_eq!(targets.len(), decoded.resource_metrics.len(), "one ResourceMetrics per target");
            }
        }
    }
}

fn of_target(name: &str, metrics: usize, points: usize, native: &str) -> TargetMetrics {
    let point = |n: i64| NumberDataPoint { value: Some(number_data_point::Value::AsInt(n)), time_unix_nano: 1, ..Default::default() };
    let data = || Some(Data::Gauge(Gauge { data_points: (0..points as i64).map(point).collect() }));
    let metrics = (0..metrics).map(|n| Metric { name: format!("m{n}"), data: data(), ..Default::default() }).collect();
    let canonical = vec![ScopeMetrics { metrics, ..Default::default() }];
    TargetMetrics { canonical, ..told_of(name, &reading(7, Ok(Snapshot::default()), text(native)), &mut SeriesState::default()) }
}

#[test]
fn any_split_holds_the_same_points_and_none_is_too_large() {
    let native: String = (0..200).map(|n| format!("queue{{domain=\"d{n}.example.com\"}} {n}\n")).collect();
    let all = [of_target("a", 3, 100, ""), of_target("b", 1, 1000, &native), of_target("c", 50, 1, "x 1\n"), of_target("d", 0, 0, "")];
    let points = |requests: &[Request]| {
        let mut points = Vec::new();
        for of_target in decoded(requests).into_iter().flat_map(|request| request.resource_metrics) {
            for metric in of_target.scope_metrics.into_iter().flat_map(|s| s.metrics) {
                let Some(Data::Gauge(gauge)) = metric.data else { panic!("{metric:?}") };
                points.extend(gauge.data_points.iter().map(|p| format!("{:?} {} {:?}", of_target.resource, metric.name, p)));
            }
        }
        points.sort();
        points
    };
    let whole: Vec<Request> = requests(&all, usize::MAX).collect();
    let right = points(&whole);
    assert_eq!((right.len(), whole.len(), decoded(&whole)[0].resource_metrics.len()), (1551, 1, 3));
    for bytes_max in [250, 500, 1000, 5000, 20_000] {
        let requests: Vec<Request> = requests(&all, bytes_max).collect();
        assert_eq!(points(&requests), right, "{bytes_max}");
        assert!(requests.iter().all(|r| r.bytes.len() <= bytes_max), "{bytes_max}");
        assert_eq!(requests.iter().map(|r| r.points).sum::<u64>(), 1551, "{bytes_max}");
    }
}

/// `name{labels} value @start`, with `end` for `NoRecordedValue` and `+` before the value of a delta; the ends last.
fn lines(told: TargetMetrics) -> Vec<String> {
    let mut lines = Vec::new();
    let start = |start: u64| if start == 0 { String::new() } else { format!(" @{}", start / SECOND) };
    for scope in message(&[told]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics) {
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

enum Transition {
    Good(&'static str),
    /// Good, and the server says when its counters began.
    Since(u64, &'static str),
    /// The same, of which small counters are left out, and where gauges called `r` count.
    Chosen(u64, &'static str),
    /// Good, at this second.
    At(u64, &'static str),
    /// Good, under names that begin with this.
    Prefixed(&'static str, &'static str),
    Failed,
}
use Transition::{At, Chosen, Failed, Good, Prefixed, Since};

/// Readings ten seconds apart, and what is told of each.
#[track_caller]
fn steps(temporality: Temporality, steps: &[(Transition, &[&str])]) {
    let mut state = SeriesState::new(temporality);
    for (index, (step, expected)) in steps.iter().enumerate() {
        let at = 10 * (index as u64 + 1);
        let this = match step {
            At(at, body) => reading(*at, Ok(snapshot(body)), text(body)),
            Good(body) => reading(at, Ok(snapshot(body)), text(body)),
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
                let families = crate::format::prometheus::read((*body).to_owned()).unwrap();
                let native = SelectedFamilies::select(vec![families], "", usize::MAX, |name| {
                    let kind = (name == "r").then_some(FamilyType::Counter);
                    Some(FamilySelection { kind, min_value: (name == "c").then_some(5.0), ..FamilySelection::default() })
                });
                reading(at, Ok(Snapshot { counters_since, ..Snapshot::default() }), Arc::new(native))
            }
            Failed => reading(at, Err(PollError::Timeout(Duration::ZERO)), Arc::default()),
        };
        let told = told_of("t", &this, &mut state);
        assert_eq!(lines(told), *expected, "step {index}");
    }
}

const TWO: &str = "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 6\n# TYPE g gauge\ng 1\n";

#[test]
fn starts_are_known_or_unset_and_ends_are_told_once() {
    steps(
        Temporality::Cumulative,
        &[
            (Good(TWO), &["c{a} 5", "c{b} 6", "g{} 1"]),
            // One more, one less, another order.
            (Good("# TYPE c counter\nc{l=\"c\"} 1\nc{l=\"b\"} 7\nc{l=\"a\"} 8\n"), &["c{c} 1 @10", "c{b} 7", "c{a} 8", "g{} end"]),
            // A fall.
            (Good("# TYPE c counter\nc{l=\"c\"} 2\nc{l=\"b\"} 3\nc{l=\"a\"} 9\n"), &["c{c} 2 @10", "c{b} 3 @20", "c{a} 9"]),
            (Failed, &["c{c} end", "c{b} end", "c{a} end"]),
            (Failed, &[]),
            // It went on meanwhile; what is new has no start, for nobody was looking.
            (Good("# TYPE c counter\nc{l=\"b\"} 4\nc{l=\"d\"} 1\n"), &["c{b} 4 @20", "c{d} 1"]),
            // It was 9 before it was omitted: a reset since then.
            (Good("# TYPE c counter\nc{l=\"b\"} 4\nc{l=\"a\"} 1\n"), &["c{b} 4 @20", "c{a} 1 @30", "c{d} end"]),
            // The same name as something else: the point takes the place of the end.
            (Good("# TYPE c gauge\nc{l=\"b\"} 4\n"), &["c{b} 4", "c{a} end"]),
            (Good(""), &["c{b} end"]),
            (Good(""), &[]),
        ],
    );
}

#[test]
fn what_was_left_out_before_began_nobody_knows_when() {
    steps(
        Temporality::Cumulative,
        &[
            (Chosen(0, "# TYPE c counter\nc{l=\"a\"} 5\nc{l=\"b\"} 4\n"), &["c{a} 5"]),
            // It was there all the time; so may others have been.
            (Chosen(0, "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 5\n"), &["c{a} 6", "c{b} 5"]),
            (Chosen(0, "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 5\nc{l=\"d\"} 5\n"), &["c{a} 6", "c{b} 5", "c{d} 5 @20"]),
        ],
    );
}

/// All that counts; what of it one answer leaves out; and all of it again, a little later.
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
fn what_one_answer_left_out_is_not_new_in_the_next() {
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
    // No end has the name and the time of a point.
    let untyped = &["c{a} 5", "c{b} 1000", "h_bucket{1} 2", "h_bucket{+Inf} 3", "h_count{} 3", "h_sum{} 9"];
    let again = &["c{a} 5", "c{b} 1001", "c{d} 1", "h{} [2, 2] sum 10.0"];
    steps(Cumulative, &[same(), (Good(TYPES_MISSING), untyped), (Good(WHOLE_LATER), again)]);
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
    let rises = &["c{a} +0 @10", "c{b} +1 @10", "h{} +[0, 1] sum 1.0 @10"];
    steps(Delta, &[(Good(WHOLE), &[]), (Good(TYPES_MISSING), untyped), (Good(WHOLE_LATER), rises)]);
}

#[test]
fn what_was_told_since_the_server_began_is_not_told_again() {
    steps(
        Temporality::Delta,
        &[
            (Since(3, "# TYPE c counter\nc{l=\"a\"} 7\n"), &[]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\n"), &["c{a} +2 @15"]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"} 1\n"), &["c{a} +0 @20", "c{b} +1 @20"]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"}\nd 1\n"), &["c{a} +0 @30", "d{} 1", "c{b} end"]),
            // It was counted at 30 already.
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"} 3\n"), &["c{a} +0 @40", "c{b} +2 @30", "d{} end"]),
            (Since(15, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"b\"} 4\n"), &["c{a} +0 @50", "c{b} +1 @50"]),
            (Failed, &["c{a} end", "c{b} end"]),
            // Started while nobody looked, and seen for the first time.
            (Since(75, "# TYPE c counter\nc{l=\"a\"} 2\nc{l=\"e\"} 4\n"), &["c{a} +2 @75", "c{e} +4 @75"]),
        ],
    );
}

#[test]
fn under_another_prefix_all_series_are_others_of_the_same_counters() {
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
fn the_end_of_what_is_no_number_is_told_once() {
    steps(Temporality::Cumulative, &[(Good("a 1\nb NaN\n"), &["a{} 1"]), (Failed, &["a{} end"]), (Failed, &[])]);
}

#[test]
fn a_point_takes_the_place_of_an_end_that_has_its_name() {
    let mut state = SeriesState::default();
    told_of("t", &reading(10, Ok(Snapshot::default()), text("# TYPE c counter\nc 5\n")), &mut state);
    let told = told_of("t", &reading(20, Ok(Snapshot::default()), text("# TYPE c gauge\nc 4\n")), &mut state);
    let mut points = Vec::new();
    for metric in message(&[told]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|scope| scope.metrics) {
        let of_metric = match metric.data.unwrap() {
            Data::Gauge(gauge) => gauge.data_points,
            Data::Sum(sum) => sum.data_points,
            other => panic!("{other:?}"),
        };
        points.extend(of_metric.iter().map(|point| (point.flags, point.time_unix_nano)));
    }
    // Prometheus would keep the first of the two.
    assert_eq!(points, [(0, 20 * SECOND)]);
}

#[test]
fn what_another_program_counts_did_not_begin_with_the_server() {
    steps(Temporality::Cumulative, &[(Chosen(3, "# TYPE c counter\nc 5\n# TYPE r gauge\nr 7\n"), &["c{} 5 @3", "r{} 7"])]);
}

#[test]
fn a_server_that_says_when_it_began_is_believed() {
    steps(
        Temporality::Cumulative,
        &[
            (Since(3, "# TYPE c counter\nc{l=\"a\"} 5\n"), &["c{a} 5 @3"]),
            (Since(3, "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 1\n"), &["c{a} 6 @3", "c{b} 1 @10"]),
            // It restarted, and has counted beyond; a clock that is ahead is not believed.
            (Since(25, "# TYPE c counter\nc{l=\"a\"} 7\n"), &["c{a} 7 @25", "c{b} end"]),
            (Since(99, "# TYPE c counter\nc{l=\"a\"} 8\n"), &["c{a} 8 @25"]),
            (Since(45, "# TYPE c counter\nc{l=\"a\"} 1\n"), &["c{a} 1 @45"]),
        ],
    );
}

/// The times of all points of a reading, in milliseconds.
fn times(told: TargetMetrics) -> Vec<u64> {
    let mut times = Vec::new();
    for metric in message(&[told]).resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|scope| scope.metrics) {
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
fn times_rise_where_the_clock_is_set_back_and_follow_it_where_it_was_far_ahead() {
    let mut state = SeriesState::default();
    let mut at = |second, body: &str| times(told_of("t", &reading(second, Ok(snapshot(body)), text(body)), &mut state));
    assert_eq!(at(1000, TWO), [1_000_000]);
    // The end of a series too.
    assert_eq!(at(1010, "# TYPE c counter\nc{l=\"a\"} 5\n"), [1_010_000]);
    assert_eq!(at(500, TWO), [1_010_001]);
    assert_eq!(at(1009, TWO), [1_010_002]);
    assert_eq!(at(1020, TWO), [1_020_000]);
    assert_eq!(at(420, TWO), [1_020_001]);
    assert_eq!(at(419, TWO), [419_000]);
    assert_eq!(at(419, TWO), [419_001]);
}

#[test]
fn nothing_is_lost_or_counted_twice_where_the_clock_is_set_back() {
    let (first, second) = ("# TYPE c counter\nc{l=\"a\"} 5\n", "# TYPE c counter\nc{l=\"a\"} 6\nc{l=\"b\"} 1\n");
    let third = "# TYPE c counter\nc{l=\"a\"} 7\nc{l=\"b\"} 2\nc{l=\"d\"} 1\n";
    // A little, so that times are held, and so far that they follow the clock.
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

#[test]
fn what_is_no_number_any_more_has_ended() {
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

const HISTOGRAM: &str = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n";

#[test]
fn histograms_have_starts_resets_and_ends_too() {
    steps(
        Temporality::Cumulative,
        &[
            (Good("a 1\n"), &["a{} 1"]),
            (Good(HISTOGRAM), &["h{} [2, 1] sum 9.0 @10", "a{} end"]),
            // The count rose, a bucket fell.
            (Good("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 4\nh_sum 9\nh_count 4\n"), &["h{} [1, 3] sum 9.0 @20"]),
            (Failed, &["h{} end"]),
        ],
    );
}

#[test]
fn deltas_are_of_what_was_told_before() {
    steps(
        Temporality::Delta,
        &[
            // Nothing to tell it from.
            (Good(TWO), &["g{} 1"]),
            (
                Good("# TYPE c counter\nc{l=\"b\"} 8\nc{l=\"a\"} 5\nc{l=\"c\"} 2\n"),
                &["c{b} +2 @10", "c{a} +0 @10", "c{c} +2 @10", "g{} end"],
            ),
            (Failed, &["c{b} end", "c{a} end", "c{c} end"]),
            // Over the gap; and what fell began anew.
            (Good("# TYPE c counter\nc{l=\"b\"} 9\nc{l=\"a\"} 3\nc{l=\"d\"} 4\n"), &["c{b} +1 @20", "c{a} +3 @20"]),
            (Good("# TYPE c counter\nc{l=\"d\"} 5\n"), &["c{d} +1 @40", "c{b} end", "c{a} end"]),
        ],
    );
    steps(
        Temporality::Delta,
        &[
            // It has begun long ago, and whoever looked before may have told it.
            (Since(3, HISTOGRAM), &[]),
            (
                Since(3, "# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 6\nh_sum 10\nh_count 6\n"),
                &["h{} +[2, 1] sum 1.0 @10"],
            ),
            // It was started anew.
            (Since(25, HISTOGRAM), &["h{} +[2, 1] sum 9.0 @25"]),
        ],
    );
    let both = "# TYPE c counter\nc 5\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 9\nh_count 3\n";
    steps(Temporality::LowMemory, &[(Good(both), &["c{} 5"]), (Good(both), &["c{} 5", "h{} +[0, 0] sum 0.0 @10"])]);
}

#[test]
fn starts_are_found_again_in_any_order() {
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
            let gone: Vec<u64> = starts.keys().filter(|series| !seen.contains(series)).copied().collect();
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
            for series in gone {
                starts.remove(&series);
                expected.push(format!("c{{{series}}} end"));
            }
            let told = told_of("t", &reading(10 * step, Ok(Snapshot::default()), text(&body)), &mut state);
            let (mut lines, series) = (lines(told), order.len());
            lines[series..].sort();
            expected[series..].sort();
            assert_eq!(lines, expected, "round {round}, step {step}");
        }
    }
}

#[test]
fn canonical_histograms_go_beside_the_scalars() {
    use crate::model::vocabulary;
    let metric = vocabulary::ALL.iter().find(|metric| metric.kind == crate::model::Kind::Histogram).unwrap();
    let histogram = |count| Histogram { bounds: vec![0.5], cumulative: vec![1], count, sum: Some(2.5) };
    let mut state = SeriesState::default();
    let mut told_at = |at, count: Option<u64>| {
        let histograms = count.map(|count| (*metric, Vec::new(), histogram(count))).into_iter().collect();
        let this = reading(at, Ok(Snapshot { histograms, ..Snapshot::default() }), Arc::default());
        let mut report = state.report(vec![ScopeMetrics::default()], "kumomta", &this);
        let metrics = report.canonical.remove(0).metrics;
        let points = metrics.into_iter().flat_map(|metric| match metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points,
            other => panic!("{other:?}"),
        });
        points.map(|p| (labels(&p.attributes), p.count, p.bucket_counts, p.start_time_unix_nano / SECOND, p.flags)).collect::<Vec<_>>()
    };
    let system = || vec![("mail.system.name".to_owned(), "kumomta".to_owned())];
    assert_eq!(told_at(1, Some(3)), [(system(), 3, vec![1, 2], 0, 0)]);
    assert_eq!(told_at(2, Some(2)), [(system(), 2, vec![1, 1], 1, 0)]);
    assert_eq!(told_at(3, None), [(system(), 0, vec![], 0, 1)]);
    assert_eq!(told_at(4, None), []);
    // It resumes.
    assert_eq!(told_at(5, Some(4)), [(system(), 4, vec![1, 3], 1, 0)]);
    assert_eq!(told_at(6, None), [(system(), 0, vec![], 0, 1)]);
    assert_eq!(told_at(7, Some(1)), [(system(), 1, vec![1, 0], 5, 0)]);
    assert_eq!(told_at(8, None), [(system(), 0, vec![], 0, 1)]);
    assert_eq!(told_at(4000, Some(2)), [(system(), 2, vec![1, 1], 5, 0)]);
}

#[test]
fn the_last_push_tells_no_ends() {
    let mut state = SeriesState::default();
    told_of("t", &reading(10, Ok(Snapshot::default()), text(TWO)), &mut state);
    let last = told_of("t", &reading(20, Ok(Snapshot::default()), text("# TYPE c counter\nc{l=\"b\"} 7\n")), &mut state);
    assert_eq!(lines(last.without_ends()), ["c{b} 7"]);
    let end = NumberDataPoint { flags: 1, ..Default::default() };
    let metric = Metric { data: Some(Data::Gauge(Gauge { data_points: vec![end] })), ..Default::default() };
    let canonical = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let last = TargetMetrics { canonical, ..told_of("u", &reading(20, Ok(Snapshot::default()), text("")), &mut state) };
    assert_eq!(requests(&[last.without_ends()], usize::MAX).count(), 0);
}

/// What is sent of samples that have a time of their own: `name{labels} value @start time`, in milliseconds; what else is sent; and what
/// was left out.
fn timestamped(state: &mut SeriesState, at: u64, body: &str) -> (Vec<String>, usize, [u64; 3]) {
    let families = prometheus::read_unended(body.to_owned()).unwrap();
    let told = told_of("t", &reading(at, Ok(Snapshot::default()), native(families)), state);
    let left_out = told.left_out().map(|(_, n)| n);
    let (mut lines, mut others) = (Vec::new(), 0);
    for of in message(&[told]).resource_metrics {
        let resource: Vec<String> = labels(&of.resource.unwrap().attributes).into_iter().map(|(key, _)| key).collect();
        for metric in of.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
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
    (lines, others, left_out)
}

#[test]
fn a_sample_with_a_timestamp_is_sent_once_with_its_own_time() {
    let mut state = SeriesState::default();
    let mut at = |second, body: &str| timestamped(&mut state, second, body);
    let none = [0, 0, 0];
    let body = "# TYPE c counter\nc 5 9990001\n# TYPE g gauge\ng{l=\"eu\"} 5 9000001\ng{l=\"eu\"} 9 9500001\nplain 1\n";
    assert_eq!(at(10_000, body), (vec!["c{} 5 9990001".to_owned(), "g{eu} 9 9500001".to_owned()], 1, none));
    assert_eq!(at(10_010, body), (vec![], 1, none));
    // One goes on, one is older than what was sent.
    let body = "# TYPE c counter\nc 6 10010001\n# TYPE g gauge\ng{l=\"eu\"} 5 9000001\nplain 1\n";
    assert_eq!(at(10_020, body), (vec!["c{} 6 10010001".to_owned()], 1, [0, 0, 1]));
    // A reset, after the last sample; no end of what is gone.
    assert_eq!(at(10_030, "# TYPE c counter\nc 2 10020001\nplain 1\n"), (vec!["c{} 2 @10010001 10020001".to_owned()], 1, none));
    // An hour old, and minutes ahead.
    assert_eq!(
        at(20_000, "# TYPE c counter\nc 2 16399001\nx 1 20300001\ny 1 20299001\nplain 1\n"),
        (vec!["y{} 1 20299001".to_owned()], 1, [1, 1, 0])
    );
    // One that is ahead is not sent without a timestamp until the reading is later.
    assert_eq!(at(20_010, "y 2\nplain 1\n"), (vec![], 1, none));
    assert_eq!(at(20_020, "plain 1\n"), (vec![], 1, none));
    assert_eq!(at(20_300, "y 2\nplain 1\n"), (vec![], 2, none));
    // One that was sent without a timestamp is sent with one that is later than the reading was.
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

#[test]
fn as_many_omitted_series_as_are_remembered_resume_and_no_start_is_invented_for_the_rest() {
    let page = |series: usize, rise: usize| {
        let lines = (0..series).map(|n| format!("c{{n=\"{n}\"}} {}\n", n + rise));
        format!("# TYPE c counter\n{}", lines.collect::<String>())
    };
    for (series, starts) in [(100_000, 100_000), (100_001, 100_000)] {
        let mut state = SeriesState::default();
        let mut at = |second, body: &str| told_of("t", &reading(second, Ok(snapshot(body)), text(body)), &mut state);
        at(10, "x 1\n");
        at(20, &page(series, 0));
        at(30, "x 1\n");
        let resumed = lines(at(40, &page(series, 1)));
        assert_eq!(resumed.iter().filter(|line| line.starts_with("c{") && line.ends_with(" @10")).count(), starts);
        assert_eq!(resumed.iter().filter(|line| line.starts_with("c{") && !line.contains('@')).count(), series - starts);
    }
}

#[test]
fn a_series_that_a_server_drops_when_it_is_idle_begins_anew() {
    let mut state = SeriesState::new(Temporality::Delta);
    let mut at = |second, body: &str, repairs: Repairs| {
        let snapshot = Snapshot { drops_idle_series: true, repairs, ..Snapshot::default() };
        lines(told_of("t", &reading(second, Ok(snapshot), text(body)), &mut state))
    };
    let mut unreadable = Repairs::default();
    unreadable.count(Repair::Unreadable);
    at(10, "# TYPE c counter\nc{l=\"a\"} 1\n", Repairs::default());
    at(20, "x 1\n", Repairs::default());
    assert_eq!(at(30, "# TYPE c counter\nc{l=\"a\"} 1\n", Repairs::default()), ["c{a} +1 @20", "x{} end"]);
    // It may be what could not be read.
    at(40, "x 1\n", unreadable);
    assert_eq!(at(50, "# TYPE c counter\nc{l=\"a\"} 3\n", Repairs::default()), ["c{a} +2 @30", "x{} end"]);
}
