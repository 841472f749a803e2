//! The points of one target over time: their times are correct, each series ends once, also those that Prometheus makes of it, and deltas do
//! not overlap.

use super::grammar::{self, Series};
use super::otlp::Point;
use arbitrary::{Result, Unstructured};
use postmeter::config::Temporality;
use postmeter::model::{FamilyType, SelectedFamilies};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
/// The time resolution of Prometheus. End markers are this much earlier than the reading.
const MILLISECOND: u64 = SECOND / 1000;
/// The time of the first reading.
const FIRST: u64 = 1_800_000_000 * SECOND;
/// The maximum number of failed polls in a row.
const BETWEEN_MAX: usize = 3;

/// A poll of the target.
#[derive(Clone, Debug)]
pub struct TestPoll {
    /// The time of the reading.
    pub at: u64,
    /// The native families; `None` if the poll failed.
    pub native: Option<Arc<SelectedFamilies>>,
    /// `true` if no series was left out.
    pub complete: bool,
    /// The start time of the counters that the server reports.
    pub since: Option<u64>,
}

impl TestPoll {
    /// A successful first poll.
    pub fn first(native: &Arc<SelectedFamilies>) -> Self {
        Self { at: FIRST, native: Some(native.clone()), complete: true, since: None }
    }
}

/// Generates polls with these readings one minute apart, failed polls between them, and a start time that the server may report.
pub fn polls(u: &mut Unstructured<'_>, natives: &[Arc<SelectedFamilies>]) -> Result<Vec<TestPoll>> {
    let (mut polls, mut since): (Vec<TestPoll>, Option<u64>) = (Vec::new(), None);
    for (index, native) in natives.iter().enumerate() {
        let at = FIRST + 60 * SECOND * index as u64;
        for _ in 0..BETWEEN_MAX {
            match u.int_in_range(0..=7)? {
                // Before this reading, or while it is read.
                late @ (4 | 5) => {
                    let at = at - 30 * SECOND + 60 * SECOND * (late - 4) + polls.len() as u64;
                    polls.push(TestPoll { at, native: None, complete: false, since: None });
                }
                _ => break,
            }
        }
        since = match u.int_in_range(0..=5)? {
            3 => Some(at - 20 * SECOND),
            4 => Some(FIRST - 1000 * SECOND),
            5 => None,
            _ => since,
        };
        let complete = u.int_in_range(0..=3)? < 3;
        polls.push(TestPoll { at, native: Some(native.clone()), complete, since });
    }
    Ok(polls)
}

/// A family and labels: the identity of a series for backends without types.
type Key = (String, Vec<(String, String)>);

/// The points so far.
#[derive(Default)]
pub struct History {
    temporality: Temporality,
    /// The time of the last poll. Times increase, even if a reading is older.
    last: Option<u64>,
    /// The time of the last point of each series, including its end.
    times: BTreeMap<Key, u64>,
    /// Series that have not ended.
    live: Vec<Series>,
    /// The series that Prometheus has.
    stored: BTreeSet<StoredSeries>,
    /// The series that it has with `__type__` labels.
    stored_with_type: BTreeSet<StoredSeries>,
    /// The last value of each counter and its time. A counter that was omitted resumes.
    counted: BTreeMap<Key, (f64, u64)>,
    polls: Vec<TestPoll>,
}

impl History {
    /// No points, of a push with this temporality.
    pub fn new(temporality: Temporality) -> Self {
        Self { temporality, ..Self::default() }
    }

    /// Adds and checks the points of a poll.
    pub fn add(&mut self, poll: &TestPoll, points: &[Point]) {
        let at = self.last.map_or(poll.at, |last| poll.at.max(last + 2 * MILLISECOND));
        self.last = Some(at);
        let poll = &TestPoll { at, ..poll.clone() };
        self.check_ends(poll, points);
        self.check_times(poll, points);
        for point in points.iter().filter(|point| point.series.kind == "Counter" && !point.ends && !point.delta) {
            self.check_start(poll, point);
        }
        if let Some(native) = &poll.native {
            self.check_deltas(poll, native, points);
            let numbers = counters(native).into_iter().filter(|(_, value)| !value.is_nan());
            self.counted.extend(numbers.map(|(series, value)| (series, (value, at))));
        }
        self.polls.push(poll.clone());
    }

    /// Checks that every series ends once that is missing or has lost a part, and that Prometheus has the series of the reading then.
    fn check_ends(&mut self, poll: &TestPoll, points: &[Point]) {
        let read = poll.native.iter().flat_map(|native| grammar::pushed(native)).filter(|series| series.value != "NaN");
        let read: Vec<Series> = read.collect();
        let mut ended: Vec<(Key, String)> = points.iter().filter(|p| p.ends).map(|p| identity(&p.series)).collect();
        ended.sort();
        let now: BTreeMap<(Key, String), &Series> = read.iter().map(|series| (identity(series), series)).collect();
        let is_continued = |before: &&Series| {
            now.get(&identity(before)).is_some_and(|now| stored_series(now, true).is_superset(&stored_series(before, true)))
        };
        let mut missing: Vec<(Key, String)> = self.live.iter().filter(|before| !is_continued(before)).map(identity).collect();
        missing.sort();
        assert_eq!(ended, missing, "of {poll:?}");
        self.live = read;

        for (stored, with_type) in [(&mut self.stored, false), (&mut self.stored_with_type, true)] {
            let of = |ends: bool| points.iter().filter(move |point| point.ends == ends);
            let ended: BTreeSet<_> = of(true).flat_map(|point| stored_series(&point.series, with_type)).collect();
            stored.retain(|series| !ended.contains(series));
            stored.extend(of(false).flat_map(|point| stored_series(&point.series, with_type)));
            let expected: BTreeSet<_> = self.live.iter().flat_map(|series| stored_series(series, with_type)).collect();
            assert!(stored.is_subset(&expected), "not ended: {:?}", stored.difference(&expected));
            // Deltas of series without a base are not exported.
            let is_whole = self.temporality == Temporality::Cumulative;
            assert!(!is_whole || stored.is_superset(&expected), "missing: {:?}", expected.difference(stored));
        }
    }

    fn check_times(&mut self, poll: &TestPoll, points: &[Point]) {
        let ends_first = points.iter().filter(|point| point.ends).chain(points.iter().filter(|point| !point.ends));
        for point in ends_first {
            let at = if point.ends { poll.at - MILLISECOND } else { poll.at };
            assert!(point.start < point.time, "the start of {point:?} is not before its time");
            assert!(point.time == at, "{point:?} is not of {at}");
            let Some(last) = self.times.insert(key(point), point.time) else { continue };
            assert!(last < point.time, "{point:?} is not after {last}");
        }
    }

    /// Checks that a start time was reported by the server or is the time of a successful poll, which must be complete if it did not
    /// have the series.
    fn check_start(&self, poll: &TestPoll, point: &Point) {
        if point.start == 0 || self.polls.iter().chain([poll]).any(|poll| poll.since == Some(point.start)) {
            return;
        }
        let began = self.polls.iter().find(|poll| poll.at == point.start && poll.native.is_some());
        let began = began.unwrap_or_else(|| panic!("{point:?} starts at a time without a reading"));
        let was_there = began.native.iter().flat_map(|native| counters(native)).any(|(series, _)| series == key(point));
        assert!(began.complete || was_there, "{point:?} may have been left out of {began:?}");
    }

    /// Checks that the deltas of a counter add up to its value. Only for integers, whose sums are exact.
    fn check_deltas(&self, poll: &TestPoll, native: &SelectedFamilies, points: &[Point]) {
        let counts = |point: &&Point| point.series.kind == "Counter" && !point.ends;
        if points.iter().filter(counts).any(|point| !point.delta) {
            return;
        }
        let sent: BTreeMap<Key, (f64, u64)> =
            points.iter().filter(counts).filter_map(|point| Some((key(point), (point.series.value.parse().ok()?, point.start)))).collect();
        let good = self.polls.iter().rfind(|poll| poll.native.is_some());
        // All series were exported until this time.
        let until = good.or(self.polls.first()).map_or(u64::MAX, |poll| poll.at);
        let reported = self.polls.iter().rev().find_map(|poll| poll.since);
        let restarted = poll.since.filter(|since| reported.is_some_and(|reported| *since > reported));
        let exact = |n: f64| n.fract() == 0.0 && n.abs() < 1e15;
        for (series, value) in counters(native).into_iter().filter(|(_, value)| exact(*value)) {
            let delta = sent.get(&series).copied();
            let old = self.counted.get(&series).copied();
            match (old, restarted.filter(|since| old.is_some_and(|(_, at)| *since > at))) {
                (Some((old, at)), None) if exact(old) && value >= old => assert_eq!(delta, Some((value - old, at)), "{series:?}"),
                // The counter restarted.
                (Some((old, at)), _) if exact(old) => {
                    let since = poll.since.filter(|since| *since > at).unwrap_or(at);
                    assert_eq!(delta, Some((value, since)), "{series:?}");
                }
                (Some(_), _) => {}
                // The series is new, or was left out before.
                (None, _) => {
                    let is_whole =
                        |native: &SelectedFamilies| native.dropped == 0 && !native.families().any(|family| family.is_incomplete());
                    let has_other_type = |native: &SelectedFamilies| {
                        let has_name = |name: &str| grammar::exported_name(name) == series.0;
                        native.families().any(|family| has_name(&family.name()) && family.kind() != FamilyType::Counter)
                    };
                    let last = self.polls.last().filter(|last| last.complete);
                    let seen =
                        last.and_then(|last| last.native.as_deref()).is_some_and(|native| is_whole(native) && !has_other_type(native));
                    assert!(!seen || delta.is_some(), "{series:?} is new, and was not exported");
                    if let Some((delta, start)) = delta {
                        assert_eq!(delta, value, "{series:?}");
                        assert!(start >= until, "{series:?} since {start} overlaps points until {until}");
                    }
                }
            }
        }
    }
}

/// The series that Prometheus makes of a point: its type, if that is a label; its name and its labels, without empty ones.
type StoredSeries = (String, Key);

/// The series that Prometheus makes of a series: one for each bucket or quantile, the sum and the count.
fn stored_series(series: &Series, with_type: bool) -> BTreeSet<StoredSeries> {
    let kind = if with_type { series.kind.as_str() } else { "" };
    let stored = |suffix: &str, label: Option<(&str, &str)>| {
        let labels = series.labels.iter().filter(|(_, value)| !value.is_empty()).cloned();
        let mut labels: Vec<(String, String)> = labels.chain(label.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        labels.sort();
        (kind.to_owned(), (format!("{}{suffix}", series.family), labels))
    };
    let (suffix, label) = match series.kind.as_str() {
        "Histogram" => ("_bucket", "le"),
        "Summary" => ("", "quantile"),
        _ => return BTreeSet::from([stored("", None)]),
    };
    let (parts, rest) = series.value.split_once(" sum ").expect("a sum");
    let parts = parts.split('"').skip(1).step_by(2).map(|part| part.rsplit_once(':').expect("a count").0);
    let mut all: BTreeSet<_> = parts.map(|part| stored(suffix, Some((label, part)))).collect();
    all.insert(stored("_count", None));
    let is_histogram = series.kind == "Histogram";
    // A summary always has a sum.
    if !is_histogram || !rest.starts_with("none") && !rest.starts_with("NaN") {
        all.insert(stored("_sum", None));
    }
    if is_histogram {
        all.insert(stored(suffix, Some((label, "+Inf"))));
    }
    all
}

fn identity(series: &Series) -> (Key, String) {
    ((series.family.clone(), series.labels.clone()), series.kind.clone())
}

fn key(point: &Point) -> Key {
    (point.series.family.clone(), point.series.labels.clone())
}

fn counters(native: &SelectedFamilies) -> BTreeMap<Key, f64> {
    let counters = grammar::pushed(native).into_iter().filter(|series| series.kind == "Counter");
    counters.filter_map(|series| Some(((series.family, series.labels), series.value.parse().ok()?))).collect()
}
