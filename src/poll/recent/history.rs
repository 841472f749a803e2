//! The last hour of a target's key figures, in a bounded ring buffer, and the last failure.
//!
//! # Rates
//!
//! The rate of a counter is its increase since the last reading that had the counter, series by series. A decrease is a reset, and all of
//! the new value counts as increase. A series that was missing in a complete reading started after it. The time of failed polls is part of
//! the interval after the gap; the gap itself stays a gap.
//!
//! # Two origins
//!
//! Polls and the delivery log have timers of their own. So a figure has points only in the slots in which its own origin was read: a slot
//! that only the other one was read in is not a gap.

use super::key_figures::{FIGURES_MAX, KeyFigure};
use super::slot::{Cell, EMPTY, FigureOrigin, HistorySlot, Reads};
use crate::model::{Attributes, Metric, Point, unix_seconds};
use crate::poll::{PollError, Reading};
use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

/// The length of the history in seconds.
pub const HISTORY_SECONDS: u32 = 3600;
/// Points of one figure. With [`FIGURES_MAX`] figures a target needs up to 20 KB.
pub const HISTORY_POINTS_MAX: usize = 240;
/// The length of a slot in seconds. Readings within one slot are one point.
pub const SLOT_SECONDS: u32 = HISTORY_SECONDS / HISTORY_POINTS_MAX as u32;

/// The history of one target.
#[derive(Clone, Debug)]
pub struct History {
    figures: Vec<TrackedFigure>,
    slots: VecDeque<HistorySlot>,
    /// The last failure of a poll.
    pub failure: Option<Failure>,
    /// The present failure of the delivery log.
    pub log_failure: Option<Failure>,
    /// The last time at which the delivery log was completely read.
    pub log_read_at: Option<SystemTime>,
    /// The start of the present failure of the required part.
    pub down_since: Option<SystemTime>,
}

/// The failure of a part.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The start of the poll.
    pub at: SystemTime,
    /// The name of the part.
    pub part: &'static str,
    /// The error.
    pub error: PollError,
}

/// A figure with the state that its rate is computed from.
#[derive(Clone, Debug)]
struct TrackedFigure {
    figure: &'static KeyFigure,
    origin: FigureOrigin,
    baseline: Option<Baseline>,
}

/// The values that a rate is computed from.
#[derive(Clone, Debug)]
struct Baseline {
    at: Instant,
    is_complete: bool,
    series: Vec<(Attributes, f64)>,
}

/// A point of a key figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryPoint {
    /// The time in Unix seconds.
    pub at: u64,
    /// The level, or the increase per minute. `None` if the server did not report it.
    pub value: Option<f32>,
    /// `true` if a poll failed in this slot.
    pub failed: bool,
}

impl History {
    /// A history of these figures. The metrics in `from_log` are counted from the delivery log.
    pub(crate) fn new(figures: Vec<&'static KeyFigure>, from_log: &[&Metric]) -> Self {
        let origin = |figure: &KeyFigure| match from_log.contains(&figure.metric) {
            true => FigureOrigin::DeliveryLog,
            false => FigureOrigin::Poll,
        };
        let tracked = |figure| TrackedFigure { figure, origin: origin(figure), baseline: None };
        let figures = figures.into_iter().take(FIGURES_MAX).map(tracked).collect();
        Self { figures, slots: VecDeque::new(), failure: None, log_failure: None, log_read_at: None, down_since: None }
    }

    /// Inherits the history of the target that this one replaces. Points are inherited only if both have the same figures.
    pub(crate) fn inherit_from(&mut self, before: &Self) {
        let same = self.figures.len() == before.figures.len()
            && self.figures.iter().zip(&before.figures).all(|(a, b)| std::ptr::eq(a.figure, b.figure) && a.origin == b.origin);
        if same {
            *self = before.clone();
        } else {
            self.failure.clone_from(&before.failure);
        }
    }

    /// Adds a reading. Each reading must be added once.
    pub(crate) fn add(&mut self, reading: &Reading) {
        let failed =
            reading.parts.iter().filter(|part| part.took.is_some()).find_map(|part| part.error.as_ref().map(|error| (part.part, error)));
        if let Some((part, error)) = failed {
            self.failure = Some(Failure { at: reading.at, part, error: error.clone() });
        }
        self.down_since = reading.outcome.is_err().then(|| self.down_since.unwrap_or(reading.at));

        let mut cells = [EMPTY; FIGURES_MAX];
        if let Some(snapshot) = reading.snapshot() {
            self.measure(FigureOrigin::Poll, &snapshot.points, reading.began, reading.has_all_sums(), &mut cells);
        }
        self.put(FigureOrigin::Poll, reading.at, reading.outcome.is_err(), cells);
    }

    /// Adds the counts of the delivery log, which was completely read. `read_at` is `at` by the clock of intervals.
    pub(crate) fn add_log_counts(&mut self, at: SystemTime, read_at: Instant, points: &[Point]) {
        (self.log_failure, self.log_read_at) = (None, Some(at));
        let mut cells = [EMPTY; FIGURES_MAX];
        self.measure(FigureOrigin::DeliveryLog, points, read_at, true, &mut cells);
        self.put(FigureOrigin::DeliveryLog, at, false, cells);
    }

    /// Adds a failed request for the delivery log.
    pub(crate) fn add_log_failure(&mut self, failure: Failure) {
        self.put(FigureOrigin::DeliveryLog, failure.at, true, [EMPTY; FIGURES_MAX]);
        self.log_failure = Some(failure);
    }

    /// Measures the figures of one origin, and keeps the values from which the next rates are computed.
    fn measure(&mut self, origin: FigureOrigin, points: &[Point], at: Instant, is_complete: bool, cells: &mut [Cell; FIGURES_MAX]) {
        for (TrackedFigure { figure, baseline, .. }, cell) in
            self.figures.iter_mut().zip(cells).filter(|(tracked, _)| tracked.origin == origin)
        {
            let points = points.iter().filter(|point| figure.includes(point));
            if !figure.is_rate() {
                cell.value = figure.aggregate(points.map(|point| point.value)).map_or(f32::NAN, |value| value as f32);
                continue;
            }
            let series: Vec<(Attributes, f64)> = points.map(|point| (point.attributes.clone(), point.value)).collect();
            if series.is_empty() && !is_complete {
                continue;
            }
            if let Some(before) = baseline.as_ref().filter(|_| !series.is_empty()) {
                let seconds = at.saturating_duration_since(before.at).as_secs_f32();
                *cell = Cell { value: before.increase(&series) as f32, seconds };
            }
            *baseline = Some(Baseline { at, is_complete, series });
        }
    }

    fn put(&mut self, origin: FigureOrigin, at: SystemTime, failed: bool, cells: [Cell; FIGURES_MAX]) {
        let number = u32::try_from(unix_seconds(at) / u64::from(SLOT_SECONDS)).unwrap_or(u32::MAX);
        match self.slots.back_mut() {
            // After the clock was set back, readings are added to the last slot.
            Some(last) if number <= last.number => {
                let reads = last.reads(origin);
                *reads = Reads { any: true, failed: reads.failed | failed };
                for (into, cell) in last.cells.iter_mut().zip(cells) {
                    into.merge(cell);
                }
            }
            _ => {
                let mut slot = HistorySlot { number, polls: Reads::default(), log_reads: Reads::default(), cells };
                *slot.reads(origin) = Reads { any: true, failed };
                self.slots.push_back(slot);
            }
        }
        let oldest = number.saturating_sub(HISTORY_SECONDS / SLOT_SECONDS);
        while self.slots.len() > HISTORY_POINTS_MAX || self.slots.front().is_some_and(|slot| slot.number < oldest) {
            self.slots.pop_front();
        }
    }

    /// The figures, in the order of their indices.
    pub fn figures(&self) -> impl Iterator<Item = &'static KeyFigure> + '_ {
        self.figures.iter().map(|tracked| tracked.figure)
    }

    /// Returns the figure with this title, with its index.
    #[must_use]
    pub fn titled(&self, title: &str) -> Option<(usize, &'static KeyFigure)> {
        self.figures().enumerate().find(|(_, figure)| figure.title == title)
    }

    /// Returns true if the figure with this index is counted from the delivery log.
    #[must_use]
    pub fn is_from_log(&self, index: usize) -> bool {
        self.figures.get(index).is_some_and(|tracked| tracked.origin == FigureOrigin::DeliveryLog)
    }

    /// The time of the oldest slot in Unix seconds.
    #[must_use]
    pub fn begins_at(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.at())
    }

    /// The points of the figure with this index, oldest first.
    pub fn points(&self, index: usize) -> impl DoubleEndedIterator<Item = HistoryPoint> + '_ {
        let is_rate = self.figures.get(index).is_some_and(|tracked| tracked.figure.is_rate());
        self.read_slots(index).map(move |(slot, reads, cell)| HistoryPoint {
            at: slot.at(),
            value: if is_rate { cell.per_minute() } else { cell.level() },
            failed: reads.failed,
        })
    }

    /// The increase of the counter with this index since a time in Unix seconds. `None` if it was never measured since then.
    #[must_use]
    pub fn increase_since(&self, index: usize, since: u64) -> Option<f64> {
        let is_rate = self.figures.get(index).is_some_and(|tracked| tracked.figure.is_rate());
        let measured = self.read_slots(index).filter(|(slot, ..)| is_rate && slot.at() >= since);
        measured.filter_map(|(.., cell)| cell.level()).map(f64::from).reduce(|a, b| a + b)
    }

    /// The slots in which the origin of the figure with this index was read.
    fn read_slots(&self, index: usize) -> impl DoubleEndedIterator<Item = (&HistorySlot, Reads, Cell)> + '_ {
        let is_from_log = self.is_from_log(index);
        let reads = move |slot: &HistorySlot| if is_from_log { slot.log_reads } else { slot.polls };
        let slots = self.slots.iter().filter(move |slot| reads(slot).any);
        slots.map(move |slot| (slot, reads(slot), slot.cells.get(index).copied().unwrap_or(EMPTY)))
    }
}

impl Baseline {
    /// The increase since the baseline.
    fn increase(&self, series: &[(Attributes, f64)]) -> f64 {
        let before = |attributes: &Attributes| self.series.iter().find(|(known, _)| known == attributes).map(|(_, value)| *value);
        let increase = |(attributes, now): &(Attributes, f64)| match before(attributes) {
            Some(before) if *now >= before => now - before,
            Some(_) => *now,
            None if self.is_complete => *now,
            None => 0.0,
        };
        series.iter().map(increase).sum()
    }
}

#[cfg(test)]
mod tests;
