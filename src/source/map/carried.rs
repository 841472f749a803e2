//! Totals of an earlier process: counters that Postmeter adds up itself continue after it was restarted.
//!
//! Without them, such a counter falls at a restart to what the server reports now, and a receiver that takes the fall for a reset counts
//! that once more.
//!
//! # Nothing is counted twice
//!
//! Events between the last poll of the earlier process and the first one of this process are counted only if they are known not to be part
//! of the earlier total: those of a later window.

use super::Context;
use super::totals::{TOTALS_MAX, Totals};
use crate::model::{Kind, Point, Snapshot};
use crate::source::{Source, Transform, WindowLength};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);
/// A total that is held without a known start is higher than the value of the server by at most this, or by this share of it.
const HELD_MAX: f64 = 100.0;
const HELD_SHARE_MAX: f64 = 0.01;
/// The time for which a counter that no mapping has had keeps its total. After it, the counter would be a new one.
const PENDING_MAX: Duration = HOUR;
/// Reported starts that differ by less are the same: servers compute them from the time of the response.
const START_TOLERANCE: Duration = Duration::from_secs(60);

/// The reason why Postmeter's total of a counter differs from the values of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carry {
    /// It continues whatever happens: a sum of windows, accumulated or rebased.
    Always,
    /// It is held until the server restarts.
    UntilRestart,
}

/// Returns how a counter continues after a restart of Postmeter, if its total is not simply the value that the server reports.
pub(super) fn carry_of(source: &Source, context: &Context, point: &Point) -> Option<Carry> {
    if context.sliding || context.metrics_from_log.contains(point.metric) {
        return None;
    }
    let rules = || source.rules().map(|(_, rule)| rule).filter(|rule| rule.may_produce(point));
    let has = |transform: Transform| rules().any(|rule| rule.transform == transform);
    if source.windowed {
        Some(Carry::Always)
    } else if has(Transform::Hold) {
        Some(Carry::UntilRestart)
    } else {
        (has(Transform::Accumulate) || has(Transform::Rebase)).then_some(Carry::Always)
    }
}

/// The part of a counter that the earlier process has counted.
#[derive(Clone, Copy, Debug)]
enum EarlierPart {
    /// It is added to the values of this process.
    Added(f64),
    /// The total that the counter does not fall below.
    Held(f64),
}

/// The facts about a mapping on which the totals depend.
#[derive(Clone, Copy, Debug)]
pub(super) struct MappingFacts {
    /// The time of the poll.
    pub now: SystemTime,
    /// The start of the present window.
    pub window: Option<SystemTime>,
    /// The shortest time between the starts of two windows.
    pub window_step: Duration,
    /// The server was found to have restarted since the mapping before.
    pub is_restarted: bool,
    /// The sums of windows continue after a restart of the server, so their start does not change.
    pub keeps_start: bool,
}

impl MappingFacts {
    pub(super) fn of(source: &Source, context: &Context, is_restarted: bool) -> Self {
        let window_step = match source.window.map(|rule| rule.every) {
            Some(WindowLength::Hour) => HOUR,
            // A day is an hour shorter when clocks are set forward.
            Some(WindowLength::Day) | None => 23 * HOUR,
        };
        let window = context.window_start.filter(|_| !context.sliding);
        Self { now: context.now, window, window_step, is_restarted, keeps_start: source.windowed }
    }
}

/// The relation between the first mapping and the earlier process.
#[derive(Clone, Copy, Debug)]
struct FirstMapping {
    at: SystemTime,
    /// The window is later than what the earlier process has counted.
    is_new_window: bool,
    /// The start of the counters, of now or before, is not known.
    is_start_unknown: bool,
}

/// The totals of an earlier process, and those of now.
#[derive(Clone, Debug, Default)]
pub(super) struct CarriedTotals {
    /// Those of the earlier process, until the first mapping.
    earlier: Option<Totals>,
    first: Option<FirstMapping>,
    /// The earlier totals of counters that no mapping has had yet, by the identity of the point.
    pending: HashMap<u64, (f64, Carry)>,
    /// The parts that were counted before, by the identity of the point.
    before: HashMap<u64, EarlierPart>,
    /// The totals of now.
    current: Totals,
    /// The start of the counters of the earlier process, if they are sums of windows.
    since: Option<SystemTime>,
    /// The start of the other counters of the earlier process that continue after a restart of the server.
    continued_since: Option<SystemTime>,
    /// The index of each point in the current totals, by its identity.
    indices: HashMap<u64, usize>,
}

impl CarriedTotals {
    /// Continues the totals of an earlier process.
    pub(super) fn after(earlier: Totals) -> Self {
        Self { earlier: Some(earlier), ..Self::default() }
    }

    /// The totals after the last mapping.
    pub(super) fn current(&self) -> Option<&Totals> {
        Some(&self.current).filter(|_| self.earlier.is_none())
    }

    /// Adds to each counter what was counted before. A counter that no mapping has had yet keeps its total: it may be unreadable or idle.
    pub(super) fn add_to(&mut self, snapshot: &mut Snapshot, facts: MappingFacts, carry_of: impl Fn(&Point) -> Option<Carry>) {
        if let Some(earlier) = self.earlier.take() {
            self.begin(earlier, snapshot, facts, &carry_of);
        } else if facts.is_restarted {
            self.before.retain(|_, before| matches!(before, EarlierPart::Added(_)));
            self.pending.retain(|_, (_, carry)| *carry == Carry::Always);
        }
        let Some(first) = self.first else { return };
        if facts.now.duration_since(first.at).is_ok_and(|after| after > PENDING_MAX) {
            self.pending.clear();
        }
        for point in snapshot.points.iter_mut().filter(|point| point.metric.kind == Kind::Counter) {
            if carry_of(point).is_none() {
                continue;
            }
            let identity = point.identity();
            if let Some((total, carry)) = self.pending.remove(&identity) {
                self.before.extend(first.part_before(total, point.value, carry).map(|before| (identity, before)));
            }
            match self.before.get(&identity) {
                Some(EarlierPart::Added(offset)) => point.value += offset,
                Some(EarlierPart::Held(total)) => point.value = point.value.max(*total),
                None => {}
            }
            self.store(identity, point);
        }
        if !self.pending.is_empty() {
            let absent =
                self.current.points.iter().filter(|point| self.pending.contains_key(&point.identity()) && carry_of(point).is_some());
            snapshot.points.extend(absent.cloned());
        }
        snapshot.counters_since = self.since.or(snapshot.counters_since);
        if !snapshot.continued.metrics.is_empty() {
            snapshot.continued.since = self.continued_since.or(snapshot.continued.since);
        }
        self.current.since = snapshot.counters_since;
        self.current.continued_since = snapshot.continued.since;
        self.current.window = self.current.window.max(facts.window);
        self.current.at = Some(facts.now);
    }

    fn begin(&mut self, earlier: Totals, snapshot: &Snapshot, facts: MappingFacts, carry_of: impl Fn(&Point) -> Option<Carry>) {
        let is_later = |before: Option<SystemTime>, now: Option<SystemTime>, by: Duration| {
            before.zip(now).is_some_and(|(before, now)| now.duration_since(before).is_ok_and(|after| after >= by))
        };
        let is_restarted = is_later(earlier.since, snapshot.counters_since, START_TOLERANCE);
        self.first = Some(FirstMapping {
            at: facts.now,
            // Another time zone may name the same day again.
            is_new_window: is_later(earlier.window, facts.window, facts.window_step) && is_later(earlier.at, facts.window, Duration::ZERO),
            is_start_unknown: earlier.since.is_none() || snapshot.counters_since.is_none(),
        });
        for point in earlier.points {
            let Some(carry) = carry_of(&point).filter(|carry| *carry == Carry::Always || !is_restarted) else { continue };
            let identity = point.identity();
            self.pending.insert(identity, (point.value, carry));
            self.store(identity, &point);
        }
        self.current.window = earlier.window;
        self.since = earlier.since.filter(|_| facts.keeps_start);
        self.continued_since = earlier.continued_since;
    }

    fn store(&mut self, identity: u64, point: &Point) {
        match self.indices.get(&identity) {
            Some(index) => self.current.points[*index].value = point.value,
            None if self.current.points.len() >= TOTALS_MAX => {}
            None => {
                self.indices.insert(identity, self.current.points.len());
                self.current.points.push(point.clone());
            }
        }
    }
}

impl FirstMapping {
    /// Computes the part of a total that is not in the first value of this process. Events since the earlier process are lost if the value
    /// may contain others that were counted before.
    fn part_before(&self, total: f64, value: f64, carry: Carry) -> Option<EarlierPart> {
        match carry {
            Carry::Always if self.is_new_window => Some(EarlierPart::Added(total)),
            Carry::Always => Some(EarlierPart::Added((total - value).max(0.0))),
            // Without a start, a much lower value is taken for that of a server that has restarted: the total would not move for long.
            Carry::UntilRestart if self.is_start_unknown && total - value > HELD_MAX.max(total * HELD_SHARE_MAX) => None,
            Carry::UntilRestart => Some(EarlierPart::Held(total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContinuedCounters;
    use crate::model::vocabulary::{COMPLAINTS, RECEIVED_MESSAGES};

    fn time(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn snapshot(since: Option<SystemTime>, received: Option<f64>, complaints: f64) -> Snapshot {
        let received = received.map(|value| Point::new(&RECEIVED_MESSAGES, &[], value));
        let points = received.into_iter().chain([Point::new(&COMPLAINTS, &[], complaints)]).collect();
        Snapshot { counters_since: since, points, ..Snapshot::default() }
    }

    /// Received messages are carried, complaints are not. The poll is half an hour after the start of the window.
    fn mapped(
        carried: &mut CarriedTotals,
        mut snapshot: Snapshot,
        window: Option<SystemTime>,
        is_restarted: bool,
        carry: Carry,
    ) -> Vec<f64> {
        let now = window.unwrap_or(SystemTime::UNIX_EPOCH) + Duration::from_secs(1800);
        let facts = MappingFacts { now, window, window_step: Duration::from_secs(3600), is_restarted, keeps_start: window.is_some() };
        carried.add_to(&mut snapshot, facts, |point| (point.metric == &RECEIVED_MESSAGES).then_some(carry));
        snapshot.points.iter().filter(|point| point.metric == &RECEIVED_MESSAGES).map(|point| point.value).collect()
    }

    #[test]
    fn a_total_never_falls_and_counts_no_event_twice() {
        let totals = |since, window: Option<SystemTime>, value| Totals {
            since,
            continued_since: None,
            window,
            at: window.map(|window| window + Duration::from_secs(3000)),
            points: vec![Point::new(&RECEIVED_MESSAGES, &[], value)],
        };
        for (earlier, since, window, value, carry, expected) in [
            // The sum of this window is part of the total, and the sum of a later one is not.
            (totals(time(1), time(7200), 900.0), time(7200), time(7200), 40.0, Carry::Always, 900.0),
            (totals(time(1), time(7200), 900.0), time(10_800), time(10_800), 40.0, Carry::Always, 940.0),
            // Windows of another time zone begin earlier or later, and have the same events.
            (totals(time(1), time(7200), 900.0), time(9000), time(9000), 40.0, Carry::Always, 900.0),
            (totals(time(1), time(7200), 900.0), time(5400), time(5400), 40.0, Carry::Always, 900.0),
            // More was counted than when the total was stored.
            (totals(None, None, 900.0), None, None, 950.0, Carry::Always, 950.0),
            (totals(None, None, 900.0), None, None, 898.0, Carry::UntilRestart, 900.0),
            (totals(None, None, 900.0), None, None, 700.0, Carry::UntilRestart, 700.0),
            (totals(None, None, 90_000.0), None, None, 89_200.0, Carry::UntilRestart, 90_000.0),
            (totals(time(100), None, 900.0), None, None, 700.0, Carry::UntilRestart, 700.0),
            (totals(None, None, 900.0), None, None, 950.0, Carry::UntilRestart, 950.0),
            // The server has restarted in between.
            (totals(time(100), None, 900.0), time(100), None, 5.0, Carry::UntilRestart, 900.0),
            (totals(time(100), None, 900.0), time(130), None, 5.0, Carry::UntilRestart, 900.0),
            (totals(time(100), None, 900.0), time(500), None, 5.0, Carry::UntilRestart, 5.0),
            (totals(time(100), None, 900.0), time(500), None, 5.0, Carry::Always, 900.0),
        ] {
            let mut carried = CarriedTotals::after(earlier.clone());
            assert_eq!(carried.current(), None);
            assert_eq!(mapped(&mut carried, snapshot(since, Some(value), 7.0), window, true, carry), [expected], "{earlier:?} {value}");
            assert_eq!(carried.current().map(|totals| totals.points[0].value), Some(expected));
            let (next, after_restart) = match carry {
                Carry::Always => (expected + 3.0, expected - value + 1.0),
                Carry::UntilRestart => (expected.max(value + 3.0), 1.0),
            };
            assert_eq!(mapped(&mut carried, snapshot(since, Some(value + 3.0), 7.0), window, false, carry), [next]);
            assert_eq!(mapped(&mut carried, snapshot(since, Some(1.0), 7.0), window, true, carry), [after_restart]);
        }
    }

    #[test]
    fn a_counter_that_is_absent_at_first_keeps_its_total_until_it_returns() {
        let earlier = Totals { points: vec![Point::new(&RECEIVED_MESSAGES, &[], 900.0)], ..Totals::default() };
        for (native, expected) in [(2.0, 900.0), (903.0, 903.0)] {
            let mut carried = CarriedTotals::after(earlier.clone());
            for _ in 0..2 {
                // A part has failed, or the series is idle.
                assert_eq!(mapped(&mut carried, snapshot(None, None, 7.0), None, false, Carry::Always), [900.0]);
                assert_eq!(carried.current().map(|totals| totals.points[0].value), Some(900.0));
            }
            assert_eq!(mapped(&mut carried, snapshot(None, Some(native), 7.0), None, false, Carry::Always), [expected]);
            assert_eq!(mapped(&mut carried, snapshot(None, Some(native + 4.0), 7.0), None, false, Carry::Always), [expected + 4.0]);
            // From here on, what is missing is missing.
            assert_eq!(mapped(&mut carried, snapshot(None, None, 7.0), None, false, Carry::Always), [0.0; 0]);
        }
        // After an hour it is a new counter.
        let mut carried = CarriedTotals::after(earlier);
        assert_eq!(mapped(&mut carried, snapshot(None, None, 7.0), time(0), false, Carry::Always), [900.0]);
        assert_eq!(mapped(&mut carried, snapshot(None, None, 7.0), time(3700), false, Carry::Always), [0.0; 0]);
        assert_eq!(mapped(&mut carried, snapshot(None, Some(2.0), 7.0), time(3700), false, Carry::Always), [2.0]);
    }

    #[test]
    fn a_start_is_kept_by_counters_that_continue_after_a_restart_of_the_server() {
        for (keeps_start, expected) in [(true, time(100)), (false, time(500))] {
            let mut carried = CarriedTotals::after(Totals { since: time(100), ..Totals::default() });
            let mut snapshot = snapshot(time(500), None, 7.0);
            let now = SystemTime::UNIX_EPOCH;
            let facts = MappingFacts { now, window: None, window_step: Duration::ZERO, is_restarted: false, keeps_start };
            carried.add_to(&mut snapshot, facts, |_| None);
            assert_eq!((snapshot.counters_since, carried.current().and_then(|totals| totals.since)), (expected, expected));
        }
        // Without windows, the others have the start that the server reports.
        let totals = || Totals { since: time(100), continued_since: time(50), ..Totals::default() };
        for (metrics, expected) in [(vec![&COMPLAINTS], time(50)), (vec![], None)] {
            let mut carried = CarriedTotals::after(totals());
            let continued = ContinuedCounters { metrics, since: time(500).filter(|_| expected.is_some()) };
            let mut snapshot = Snapshot { continued, ..snapshot(time(500), None, 7.0) };
            let now = SystemTime::UNIX_EPOCH;
            let facts = MappingFacts { now, window: None, window_step: Duration::ZERO, is_restarted: false, keeps_start: false };
            carried.add_to(&mut snapshot, facts, |_| None);
            assert_eq!((snapshot.counters_since, snapshot.continued.since), (time(500), expected));
            assert_eq!(carried.current().map(|totals| (totals.since, totals.continued_since)), Some((time(500), expected)));
        }
    }
}
