//! Totals of an earlier process: counters that Postmeter adds up itself go on after it was restarted.
//!
//! Without them, such a counter falls at a restart to what the server reports now, and a receiver that takes the fall for a reset counts that
//! once more.
//!
//! # Nothing is counted twice
//!
//! Events between the last poll of the earlier process and the first one of this process are counted only if they are known not to be part of
//! the earlier total: those of a later window.

use super::totals::{TOTALS_MAX, Totals};
use crate::model::{Kind, Point, Snapshot};
use crate::source::{Source, Transform};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// A total that is held without a known start is higher than the value of the server by at most this, or by this share of it.
const HELD_MAX: f64 = 100.0;
const HELD_SHARE_MAX: f64 = 0.01;
/// Reported starts that differ by less are the same: servers compute them from the time of the response.
const START_TOLERANCE: Duration = Duration::from_secs(60);

/// The reason why Postmeter's total of a counter differs from the values of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carry {
    /// It goes on whatever happens: a sum of windows, accumulated or rebased.
    Always,
    /// It is held until the server restarts.
    UntilRestart,
}

/// Returns how a counter goes on after a restart of Postmeter, if its total is not simply the value that the server reports.
pub(super) fn carry_of(source: &Source, point: &Point) -> Option<Carry> {
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
enum Before {
    /// It is added to the values of this process.
    Added(f64),
    /// The total that the counter does not fall below.
    Held(f64),
}

/// The facts about a mapping on which the totals depend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Present {
    /// The start of the present window.
    pub window: Option<SystemTime>,
    /// The server was found to have restarted since the mapping before.
    pub is_restarted: bool,
    /// The counters go on after a restart of the server, so their start does not change.
    pub keeps_start: bool,
}

/// The totals of an earlier process, and those of now.
#[derive(Clone, Debug, Default)]
pub(super) struct CarriedTotals {
    /// Those of the earlier process, until the first mapping.
    earlier: Option<Totals>,
    /// The parts that were counted before, by the identity of the point.
    before: HashMap<u64, Before>,
    /// The totals of now.
    current: Totals,
    /// The start of the counters of the earlier process, if they go on after a restart of the server.
    since: Option<SystemTime>,
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

    /// Adds to each counter what was counted before.
    pub(super) fn add_to(&mut self, snapshot: &mut Snapshot, now: Present, carry_of: impl Fn(&Point) -> Option<Carry>) {
        let counters = |point: &&mut Point| point.metric.kind == Kind::Counter;
        if let Some(earlier) = self.earlier.take() {
            self.begin(earlier, snapshot, now, &carry_of);
        } else if now.is_restarted {
            self.before.retain(|_, before| matches!(before, Before::Added(_)));
        }
        for point in snapshot.points.iter_mut().filter(counters) {
            if carry_of(point).is_none() {
                continue;
            }
            let identity = point.identity();
            match self.before.get(&identity) {
                Some(Before::Added(offset)) => point.value += offset,
                Some(Before::Held(total)) => point.value = point.value.max(*total),
                None => {}
            }
            self.store(identity, point);
        }
        snapshot.counters_since = self.since.or(snapshot.counters_since);
        self.current.since = snapshot.counters_since;
        self.current.window = self.current.window.max(now.window);
    }

    /// Computes what was counted before the first mapping and is not in its values.
    fn begin(&mut self, earlier: Totals, snapshot: &Snapshot, now: Present, carry_of: impl Fn(&Point) -> Option<Carry>) {
        let is_later = |before: Option<SystemTime>, now: Option<SystemTime>, tolerance| {
            before.zip(now).is_some_and(|(before, now)| now.duration_since(before).is_ok_and(|after| after > tolerance))
        };
        let is_new_window = is_later(earlier.window, now.window, Duration::ZERO);
        let is_restarted = is_later(earlier.since, snapshot.counters_since, START_TOLERANCE);
        let values: HashMap<u64, f64> = snapshot.points.iter().map(|point| (point.identity(), point.value)).collect();
        for point in earlier.points {
            let Some(carry) = carry_of(&point).filter(|carry| *carry == Carry::Always || !is_restarted) else { continue };
            let identity = point.identity();
            let value = values.get(&identity).copied().filter(|_| !is_new_window).unwrap_or(0.0);
            let is_unknown = earlier.since.is_none() || snapshot.counters_since.is_none();
            let before = match carry {
                Carry::Always => Before::Added((point.value - value).max(0.0)),
                // Without a start, a much lower value is taken for that of a server that has restarted: the total would not move for long.
                Carry::UntilRestart if is_unknown && point.value - value > HELD_MAX.max(point.value * HELD_SHARE_MAX) => continue,
                Carry::UntilRestart => Before::Held(point.value),
            };
            self.before.insert(identity, before);
            self.store(identity, &point);
        }
        self.current.window = earlier.window;
        self.since = earlier.since.filter(|_| now.keeps_start);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::vocabulary::{COMPLAINTS, RECEIVED_MESSAGES};

    fn time(seconds: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn snapshot(since: Option<SystemTime>, received: Option<f64>, complaints: f64) -> Snapshot {
        let received = received.map(|value| Point::new(&RECEIVED_MESSAGES, &[], value));
        let points = received.into_iter().chain([Point::new(&COMPLAINTS, &[], complaints)]).collect();
        Snapshot { counters_since: since, points, ..Snapshot::default() }
    }

    /// Received messages are carried, complaints are not.
    fn mapped(
        carried: &mut CarriedTotals,
        mut snapshot: Snapshot,
        window: Option<SystemTime>,
        is_restarted: bool,
        carry: Carry,
    ) -> Vec<f64> {
        let now = Present { window, is_restarted, keeps_start: window.is_some() };
        carried.add_to(&mut snapshot, now, |point| (point.metric == &RECEIVED_MESSAGES).then_some(carry));
        snapshot.points.iter().map(|point| point.value).collect()
    }

    #[test]
    fn a_total_never_falls_and_counts_no_event_twice() {
        let totals = |since, window, value| Totals { since, window, points: vec![Point::new(&RECEIVED_MESSAGES, &[], value)] };
        for (earlier, since, window, value, carry, expected) in [
            // The sum of today is part of the total, and the sum of a later day is not.
            (totals(time(1), time(100), 900.0), time(100), time(100), 40.0, Carry::Always, 900.0),
            (totals(time(1), time(100), 900.0), time(200), time(200), 40.0, Carry::Always, 940.0),
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
            assert_eq!(
                mapped(&mut carried, snapshot(since, Some(value), 7.0), window, true, carry),
                [expected, 7.0],
                "{earlier:?} {value}"
            );
            assert_eq!(carried.current().map(|totals| totals.points[0].value), Some(expected));
            let (next, after_restart) = match carry {
                Carry::Always => (expected + 3.0, expected - value + 1.0),
                Carry::UntilRestart => (expected.max(value + 3.0), 1.0),
            };
            assert_eq!(mapped(&mut carried, snapshot(since, Some(value + 3.0), 7.0), window, false, carry)[0], next);
            assert_eq!(mapped(&mut carried, snapshot(since, Some(1.0), 7.0), window, true, carry)[0], after_restart);
        }
    }

    #[test]
    fn a_counter_that_is_absent_at_first_goes_on_when_it_returns() {
        let mut carried = CarriedTotals::after(Totals { points: vec![Point::new(&RECEIVED_MESSAGES, &[], 900.0)], ..Totals::default() });
        assert_eq!(mapped(&mut carried, snapshot(None, None, 7.0), time(1), false, Carry::Always), [7.0]);
        assert_eq!(carried.current().map(|totals| totals.points.len()), Some(1), "it is not forgotten");
        assert_eq!(mapped(&mut carried, snapshot(None, Some(2.0), 7.0), time(1), false, Carry::Always), [902.0, 7.0]);
    }

    #[test]
    fn a_start_is_kept_by_counters_that_go_on_after_a_restart_of_the_server() {
        for (keeps_start, expected) in [(true, time(100)), (false, time(500))] {
            let mut carried = CarriedTotals::after(Totals { since: time(100), ..Totals::default() });
            let mut snapshot = snapshot(time(500), None, 7.0);
            carried.add_to(&mut snapshot, Present { keeps_start, ..Present::default() }, |_| None);
            assert_eq!((snapshot.counters_since, carried.current().and_then(|totals| totals.since)), (expected, expected));
        }
    }
}
