//! The last hour of a target's key figures, in a bounded ring buffer, and the last failure.
//!
//! # Rates
//!
//! The rate of a counter is its increase since the last reading that had the counter, series by series. A decrease is a reset, and all of
//! the new value counts as increase. A series that was missing in a complete reading started after it. The time of failed polls is part of
//! the interval after the gap; the gap itself stays a gap.

use super::key_figures::{FIGURES_MAX, KeyFigure};
use crate::model::Attributes;
use crate::poll::{PollError, Reading};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// The length of the history in seconds.
pub const HISTORY_SECONDS: u32 = 3600;
/// Points of one figure. With [`FIGURES_MAX`] figures a target needs up to 20 KB.
pub const HISTORY_POINTS_MAX: usize = 240;
/// The length of a slot in seconds. Readings within one slot are one point.
pub const SLOT_SECONDS: u32 = HISTORY_SECONDS / HISTORY_POINTS_MAX as u32;
const MINUTE_SECONDS: f32 = 60.0;

/// The history of one target.
#[derive(Clone, Debug)]
pub struct History {
    figures: Vec<(&'static KeyFigure, Option<Baseline>)>,
    slots: VecDeque<HistorySlot>,
    /// The last failure.
    pub failure: Option<Failure>,
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

/// The values that a rate is computed from.
#[derive(Clone, Debug)]
struct Baseline {
    at: Instant,
    is_complete: bool,
    series: Vec<(Attributes, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct HistorySlot {
    number: u32,
    failed: bool,
    cells: [Cell; FIGURES_MAX],
}

/// A level, or an increase and the seconds that it took.
#[derive(Clone, Copy, Debug)]
struct Cell {
    value: f32,
    seconds: f32,
}

const EMPTY: Cell = Cell { value: f32::NAN, seconds: 0.0 };

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
    pub(crate) fn new(figures: Vec<&'static KeyFigure>) -> Self {
        let figures = figures.into_iter().take(FIGURES_MAX).map(|figure| (figure, None)).collect();
        Self { figures, slots: VecDeque::new(), failure: None, down_since: None }
    }

    /// Inherits the history of the target that this one replaces. Points are inherited only if both have the same figures.
    pub(crate) fn inherit_from(&mut self, before: &Self) {
        let same = self.figures.len() == before.figures.len()
            && self.figures.iter().zip(&before.figures).all(|((a, _), (b, _))| std::ptr::eq(*a, *b));
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
            for ((figure, baseline), cell) in self.figures.iter_mut().zip(&mut cells) {
                let points = snapshot.points.iter().filter(|point| figure.includes(point));
                if !figure.is_rate() {
                    cell.value = figure.aggregate(points.map(|point| point.value)).map_or(f32::NAN, |value| value as f32);
                    continue;
                }
                let series: Vec<(Attributes, f64)> = points.map(|point| (point.attributes.clone(), point.value)).collect();
                if series.is_empty() && !reading.is_complete() {
                    continue;
                }
                if let Some(before) = baseline.as_ref().filter(|_| !series.is_empty()) {
                    let seconds = reading.began.saturating_duration_since(before.at).as_secs_f32();
                    *cell = Cell { value: before.increase(&series) as f32, seconds };
                }
                *baseline = Some(Baseline { at: reading.began, is_complete: reading.is_complete(), series });
            }
        }
        self.put(reading.at, reading.outcome.is_err(), cells);
    }

    fn put(&mut self, at: SystemTime, failed: bool, cells: [Cell; FIGURES_MAX]) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let number = u32::try_from(seconds / u64::from(SLOT_SECONDS)).unwrap_or(u32::MAX);
        match self.slots.back_mut() {
            // After the clock was set back, readings are added to the last slot.
            Some(last) if number <= last.number => {
                last.failed |= failed;
                for (into, cell) in last.cells.iter_mut().zip(cells) {
                    into.merge(cell);
                }
            }
            _ => self.slots.push_back(HistorySlot { number, failed, cells }),
        }
        let oldest = number.saturating_sub(HISTORY_SECONDS / SLOT_SECONDS);
        while self.slots.len() > HISTORY_POINTS_MAX || self.slots.front().is_some_and(|slot| slot.number < oldest) {
            self.slots.pop_front();
        }
    }

    /// The figures, in the order of their indices.
    pub fn figures(&self) -> impl Iterator<Item = &'static KeyFigure> + '_ {
        self.figures.iter().map(|(figure, _)| *figure)
    }

    /// The points of the figure with this index, oldest first.
    pub fn points(&self, index: usize) -> impl DoubleEndedIterator<Item = HistoryPoint> + '_ {
        let is_rate = self.figures.get(index).is_some_and(|(figure, _)| figure.is_rate());
        self.slots.iter().map(move |slot| {
            let cell = slot.cells.get(index).copied().unwrap_or(EMPTY);
            let at = u64::from(slot.number) * u64::from(SLOT_SECONDS);
            HistoryPoint { at, value: if is_rate { cell.per_minute() } else { cell.level() }, failed: slot.failed }
        })
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

impl Cell {
    fn merge(&mut self, later: Self) {
        if later.value.is_nan() {
            return;
        }
        *self = match later.seconds > 0.0 && !self.value.is_nan() {
            true => Self { value: self.value + later.value, seconds: self.seconds + later.seconds },
            false => later,
        };
    }

    fn level(self) -> Option<f32> {
        (!self.value.is_nan()).then_some(self.value)
    }

    fn per_minute(self) -> Option<f32> {
        self.level().filter(|_| self.seconds > 0.0).map(|increase| increase / self.seconds * MINUTE_SECONDS)
    }
}

#[cfg(test)]
mod tests;
