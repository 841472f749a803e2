//! What is told of one target over time: each point has its time, each series one end, and no delta is told twice.

use super::otlp::Point;
use super::said;
use arbitrary::{Result, Unstructured};
use postmeter::model::{FamilyType, SelectedFamilies};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
/// When the first reading is.
const FIRST: u64 = 1_800_000_000 * SECOND;
/// Failed polls in a row.
const BETWEEN_MAX: usize = 3;

/// A reading that is told.
#[derive(Clone, Debug)]
pub struct Turn {
    /// When it was read.
    pub at: u64,
    /// What was read; none where the poll failed.
    pub native: Option<Arc<SelectedFamilies>>,
    /// Whether nothing was left out.
    pub complete: bool,
    /// When the server says that its counters began.
    pub since: Option<u64>,
}

impl Turn {
    /// A good one.
    pub fn first(native: &Arc<SelectedFamilies>) -> Self {
        Self { at: FIRST, native: Some(native.clone()), complete: true, since: None }
    }
}

/// These readings a minute after each other, with failed ones between them, of a server that may say when it began.
pub fn turns(u: &mut Unstructured<'_>, natives: &[Arc<SelectedFamilies>]) -> Result<Vec<Turn>> {
    let (mut turns, mut since): (Vec<Turn>, Option<u64>) = (Vec::new(), None);
    for (index, native) in natives.iter().enumerate() {
        let at = FIRST + 60 * SECOND * index as u64;
        for _ in 0..BETWEEN_MAX {
            match u.int_in_range(0..=7)? {
                // Before this reading, or while it is read.
                late @ (4 | 5) => {
                    let at = at - 30 * SECOND + 60 * SECOND * (late - 4) + turns.len() as u64;
                    turns.push(Turn { at, native: None, complete: false, since: None });
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
        turns.push(Turn { at, native: Some(native.clone()), complete, since });
    }
    Ok(turns)
}

/// A family and labels: what backends that know no kinds tell series apart by.
type Key = (String, Vec<(String, String)>);

/// What was told so far.
#[derive(Default)]
pub struct History {
    /// The time of the last turn: each is after the one before, even where it was read earlier.
    last: Option<u64>,
    /// When each series was told last, its end included.
    times: BTreeMap<Key, u64>,
    /// Series that were read, and have not ended, with their kind.
    live: BTreeSet<(Key, String)>,
    /// The last value of each counter, and its time: one that is omitted resumes.
    counted: BTreeMap<Key, (f64, u64)>,
    turns: Vec<Turn>,
}

impl History {
    /// Takes what was told of a turn.
    pub fn take(&mut self, turn: &Turn, points: &[Point]) {
        let at = self.last.map_or(turn.at, |last| turn.at.max(last + SECOND / 1000));
        self.last = Some(at);
        let turn = &Turn { at, ..turn.clone() };
        self.ends(turn, points);
        self.times(turn, points);
        for point in points.iter().filter(|point| point.series.kind == "Counter" && !point.ends && !point.delta) {
            self.start_is_known(turn, point);
        }
        if let Some(native) = &turn.native {
            self.deltas(turn, native, points);
            let numbers = counters(native).into_iter().filter(|(_, value)| !value.is_nan());
            self.counted.extend(numbers.map(|(series, value)| (series, (value, at))));
        }
        self.turns.push(turn.clone());
    }

    /// What was there and is not any more ends, once, unless a point has its name now.
    fn ends(&mut self, turn: &Turn, points: &[Point]) {
        let read = turn.native.iter().flat_map(|native| said::native(native)).filter(|series| series.value != "NaN");
        let read: BTreeSet<(Key, String)> = read.map(|series| ((series.family, series.labels), series.kind)).collect();
        let mut ended: Vec<(Key, String)> = points.iter().filter(|p| p.ends).map(|p| (key(p), p.series.kind.clone())).collect();
        ended.sort();
        let is_replaced =
            |(series, kind): &(Key, String)| turn.native.as_ref().is_some_and(|native| is_replaced(native, series, kind, &read));
        let gone: Vec<(Key, String)> = self.live.difference(&read).filter(|gone| !is_replaced(gone)).cloned().collect();
        assert_eq!(ended, gone, "of {turn:?}");
        self.live = read;
    }

    fn times(&mut self, turn: &Turn, points: &[Point]) {
        for point in points {
            assert!(point.start < point.time, "{point:?} begins when it is read, or later");
            assert!(point.time == turn.at, "{point:?} is not of {}", turn.at);
            let Some(last) = self.times.insert(key(point), point.time) else { continue };
            assert!(last < point.time, "{point:?} is not after {last}");
        }
    }

    /// A start is what the server said, or the time of a good reading: one where nothing was left out, if the series was not there.
    fn start_is_known(&self, turn: &Turn, point: &Point) {
        if point.start == 0 || self.turns.iter().chain([turn]).any(|turn| turn.since == Some(point.start)) {
            return;
        }
        let began = self.turns.iter().find(|turn| turn.at == point.start && turn.native.is_some());
        let began = began.unwrap_or_else(|| panic!("{point:?} began at no reading"));
        let was_there = began.native.iter().flat_map(|native| counters(native)).any(|(series, _)| series == key(point));
        assert!(began.complete || was_there, "{point:?} may have been left out of {began:?}");
    }

    /// What is left of a counter when its deltas are added up is its value; whole numbers only, for which sums are exact.
    fn deltas(&self, turn: &Turn, native: &SelectedFamilies, points: &[Point]) {
        let counts = |point: &&Point| point.series.kind == "Counter" && !point.ends;
        if points.iter().filter(counts).any(|point| !point.delta) {
            return;
        }
        let told: BTreeMap<Key, (f64, u64)> =
            points.iter().filter(counts).filter_map(|point| Some((key(point), (point.series.value.parse().ok()?, point.start)))).collect();
        let good = self.turns.iter().rfind(|turn| turn.native.is_some());
        // Until when everything that was there was told.
        let until = good.or(self.turns.first()).map_or(u64::MAX, |turn| turn.at);
        let said = self.turns.iter().rev().find_map(|turn| turn.since);
        let restarted = turn.since.filter(|since| said.is_some_and(|said| *since > said));
        let exact = |n: f64| n.fract() == 0.0 && n.abs() < 1e15;
        for (series, value) in counters(native).into_iter().filter(|(_, value)| exact(*value)) {
            let delta = told.get(&series).copied();
            let old = self.counted.get(&series).copied();
            match (old, restarted.filter(|since| old.is_some_and(|(_, at)| *since > at))) {
                (Some((old, at)), None) if exact(old) && value >= old => assert_eq!(delta, Some((value - old, at)), "{series:?}"),
                // Begun anew.
                (Some((old, at)), _) if exact(old) => {
                    let since = turn.since.filter(|since| *since > at).unwrap_or(at);
                    assert_eq!(delta, Some((value, since)), "{series:?}");
                }
                (Some(_), _) => {}
                // New, or left out before.
                (None, _) => {
                    let whole = |native: &SelectedFamilies| native.dropped == 0 && !native.families().any(|family| family.is_incomplete());
                    let named = |native: &SelectedFamilies| {
                        native.families().any(|family| family.name() == series.0 && family.kind() != FamilyType::Counter)
                    };
                    let last = self.turns.last().filter(|last| last.complete);
                    let seen = last.and_then(|last| last.native.as_deref()).is_some_and(|native| whole(native) && !named(native));
                    assert!(!seen || delta.is_some(), "{series:?} is new, and was not told");
                    if let Some((delta, start)) = delta {
                        assert_eq!(delta, value, "{series:?}");
                        assert!(start >= until, "{series:?} since {start} may have been told until {until} already");
                    }
                }
            }
        }
    }
}

/// What a distribution's lines are named, beside its own name.
const LINES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Whether a point has the name of a series that is gone: the same series of another type, or lines of a distribution.
fn is_replaced(native: &SelectedFamilies, series: &Key, kind: &str, read: &BTreeSet<(Key, String)>) -> bool {
    let named = |name: &str| native.families().find(|family| family.name() == name).map(|family| family.kind());
    if named(&series.0).is_some_and(|now| format!("{now:?}") == *kind) {
        return false;
    }
    let is_number = !matches!(kind, "Histogram" | "Summary");
    let lines = LINES.iter().any(|line| match is_number {
        true => series.0.strip_suffix(line).and_then(named).is_some_and(|kind| !kind.is_number()),
        false => named(&format!("{}{line}", series.0)).is_some(),
    });
    lines || read.iter().any(|(now, _)| now == series)
}

fn key(point: &Point) -> Key {
    (point.series.family.clone(), point.series.labels.clone())
}

fn counters(native: &SelectedFamilies) -> BTreeMap<Key, f64> {
    let counters = said::native(native).into_iter().filter(|series| series.kind == "Counter");
    counters.filter_map(|series| Some(((series.family, series.labels), series.value.parse().ok()?))).collect()
}
