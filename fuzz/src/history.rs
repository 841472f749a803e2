//! The points of one target over time: their times are correct, each series ends once, and deltas do not overlap.

use super::grammar;
use super::otlp::Point;
use arbitrary::{Result, Unstructured};
use postmeter::model::{FamilyType, SelectedFamilies};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
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
    /// The time of the last poll. Times increase, even if a reading is older.
    last: Option<u64>,
    /// The time of the last point of each series, including its end.
    times: BTreeMap<Key, u64>,
    /// Series that have not ended, with their type.
    live: BTreeSet<(Key, String)>,
    /// The last value of each counter and its time. A counter that was omitted resumes.
    counted: BTreeMap<Key, (f64, u64)>,
    polls: Vec<TestPoll>,
}

impl History {
    /// Adds and checks the points of a poll.
    pub fn add(&mut self, poll: &TestPoll, points: &[Point]) {
        let at = self.last.map_or(poll.at, |last| poll.at.max(last + SECOND / 1000));
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

    /// Checks that every missing series ends once, unless another point has its name now.
    fn check_ends(&mut self, poll: &TestPoll, points: &[Point]) {
        let read = poll.native.iter().flat_map(|native| grammar::native(native)).filter(|series| series.value != "NaN");
        let read: BTreeSet<(Key, String)> = read.map(|series| ((series.family, series.labels), series.kind)).collect();
        let mut ended: Vec<(Key, String)> = points.iter().filter(|p| p.ends).map(|p| (key(p), p.series.kind.clone())).collect();
        ended.sort();
        let new: Vec<&Key> = read.difference(&self.live).map(|(series, _)| series).collect();
        let is_replaced = |(series, kind): &(Key, String)| {
            new.iter().any(|new| is_equal_in_prometheus(new, series))
                || poll.native.as_ref().is_some_and(|native| has_lines_of_its_name(native, series, kind))
        };
        let missing: Vec<(Key, String)> = self.live.difference(&read).filter(|series| !is_replaced(series)).cloned().collect();
        assert_eq!(ended, missing, "of {poll:?}");
        self.live = read;
    }

    fn check_times(&mut self, poll: &TestPoll, points: &[Point]) {
        for point in points {
            assert!(point.start < point.time, "the start of {point:?} is not before its time");
            assert!(point.time == poll.at, "{point:?} is not of {}", poll.at);
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
                        native.families().any(|family| family.name() == series.0 && family.kind() != FamilyType::Counter)
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

/// The suffixes of a distribution's samples.
const LINES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Returns true if Prometheus takes the two for the same series: it ignores types and empty labels.
fn is_equal_in_prometheus(a: &Key, b: &Key) -> bool {
    let labels = |key: &Key| key.1.iter().filter(|(_, value)| !value.is_empty()).cloned().collect::<Vec<_>>();
    a.0 == b.0 && labels(a) == labels(b)
}

/// Returns true if other points have the names of an ended series: samples of a distribution, or the distribution of such samples.
fn has_lines_of_its_name(native: &SelectedFamilies, series: &Key, kind: &str) -> bool {
    let named = |name: &str| native.families().find(|family| family.name() == name).map(|family| family.kind());
    if named(&series.0).is_some_and(|now| format!("{now:?}") == *kind) {
        return false;
    }
    let is_number = !matches!(kind, "Histogram" | "Summary");
    LINES.iter().any(|line| match is_number {
        true => series.0.strip_suffix(line).and_then(named).is_some_and(|kind| !kind.is_number()),
        false => named(&format!("{}{line}", series.0)).is_some(),
    })
}

fn key(point: &Point) -> Key {
    (point.series.family.clone(), point.series.labels.clone())
}

fn counters(native: &SelectedFamilies) -> BTreeMap<Key, f64> {
    let counters = grammar::native(native).into_iter().filter(|series| series.kind == "Counter");
    counters.filter_map(|series| Some(((series.family, series.labels), series.value.parse().ok()?))).collect()
}
