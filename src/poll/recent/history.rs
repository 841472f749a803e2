//! The last hour of a target's key figures: a bounded ring, fed once for each reading, and what last went wrong.
//!
//! # Rates are of rises
//!
//! A counter is compared with itself at the last reading that had it, series by series: a fall is a reset and all of the new
//! value a rise; what was not there in a complete reading began after it. Time that passed while polls failed is part of the
//! rate behind the gap, and the gap stays a gap.

use super::key_figures::{FIGURES_MAX, KeyFigure};
use crate::model::Attributes;
use crate::poll::{PollError, Reading};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// How far back it goes.
pub const HISTORY_SECONDS: u32 = 3600;
/// Points of a figure; with [`FIGURES_MAX`] figures a target takes up to 20 KB.
pub const HISTORY_POINTS_MAX: usize = 240;
/// Readings within this are one point.
pub const SLOT_SECONDS: u32 = HISTORY_SECONDS / HISTORY_POINTS_MAX as u32;
const MINUTE_SECONDS: f32 = 60.0;

/// What is remembered of a target for people.
#[derive(Clone, Debug)]
pub struct History {
    figures: Vec<(&'static KeyFigure, Option<Baseline>)>,
    slots: VecDeque<HistorySlot>,
    /// What last went wrong, and when.
    pub failure: Option<Failure>,
    /// When the required part began to fail, while it does.
    pub down_since: Option<SystemTime>,
}

/// A poll, or a part of one, that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When the poll began.
    pub at: SystemTime,
    /// Which part.
    pub part: &'static str,
    /// Why.
    pub error: PollError,
}

/// What a rate is counted from.
#[derive(Clone, Debug)]
struct Baseline {
    at: Instant,
    complete: bool,
    series: Vec<(Attributes, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct HistorySlot {
    number: u32,
    failed: bool,
    cells: [Cell; FIGURES_MAX],
}

/// A level, or a rise in so many seconds.
#[derive(Clone, Copy, Debug)]
struct Cell {
    value: f32,
    seconds: f32,
}

const NOTHING: Cell = Cell { value: f32::NAN, seconds: 0.0 };

/// A point of a figure's course.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryPoint {
    /// Unix seconds.
    pub at: u64,
    /// The level, or the rise per minute; nothing where it was not said.
    pub value: Option<f32>,
    /// Whether a poll failed in this time.
    pub failed: bool,
}

impl History {
    pub(crate) fn new(figures: Vec<&'static KeyFigure>) -> Self {
        let figures = figures.into_iter().take(FIGURES_MAX).map(|figure| (figure, None)).collect();
        Self { figures, slots: VecDeque::new(), failure: None, down_since: None }
    }

    /// Goes on from that of a target that this one takes the place of; courses only where they are of the same figures.
    pub(crate) fn go_on_from(&mut self, before: &Self) {
        let same = self.figures.len() == before.figures.len()
            && self.figures.iter().zip(&before.figures).all(|((a, _), (b, _))| std::ptr::eq(*a, *b));
        if same {
            *self = before.clone();
        } else {
            self.failure.clone_from(&before.failure);
        }
    }

    /// Takes a reading. Each is given once.
    pub(crate) fn add(&mut self, reading: &Reading) {
        let failed =
            reading.parts.iter().filter(|part| part.took.is_some()).find_map(|part| part.error.as_ref().map(|error| (part.part, error)));
        if let Some((part, error)) = failed {
            self.failure = Some(Failure { at: reading.at, part, error: error.clone() });
        }
        self.down_since = reading.outcome.is_err().then(|| self.down_since.unwrap_or(reading.at));

        let mut cells = [NOTHING; FIGURES_MAX];
        if let Some(snapshot) = reading.snapshot() {
            for ((figure, baseline), cell) in self.figures.iter_mut().zip(&mut cells) {
                let points = snapshot.points.iter().filter(|point| figure.has(point));
                if !figure.is_rate() {
                    cell.value = figure.fold(points.map(|point| point.value)).map_or(f32::NAN, |value| value as f32);
                    continue;
                }
                let series: Vec<(Attributes, f64)> = points.map(|point| (point.attributes.clone(), point.value)).collect();
                if series.is_empty() && !reading.is_complete() {
                    continue;
                }
                if let Some(before) = baseline.as_ref().filter(|_| !series.is_empty()) {
                    let seconds = reading.began.saturating_duration_since(before.at).as_secs_f32();
                    *cell = Cell { value: before.rise(&series) as f32, seconds };
                }
                *baseline = Some(Baseline { at: reading.began, complete: reading.is_complete(), series });
            }
        }
        self.put(reading.at, reading.outcome.is_err(), cells);
    }

    fn put(&mut self, at: SystemTime, failed: bool, cells: [Cell; FIGURES_MAX]) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let number = u32::try_from(seconds / u64::from(SLOT_SECONDS)).unwrap_or(u32::MAX);
        match self.slots.back_mut() {
            // A clock that was set back goes on in the slot that it had come to.
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

    /// The figures, in the order of their courses.
    pub fn figures(&self) -> impl Iterator<Item = &'static KeyFigure> + '_ {
        self.figures.iter().map(|(figure, _)| *figure)
    }

    /// The course of one of the figures, oldest first.
    pub fn course(&self, index: usize) -> impl DoubleEndedIterator<Item = HistoryPoint> + '_ {
        let is_rate = self.figures.get(index).is_some_and(|(figure, _)| figure.is_rate());
        self.slots.iter().map(move |slot| {
            let cell = slot.cells.get(index).copied().unwrap_or(NOTHING);
            let at = u64::from(slot.number) * u64::from(SLOT_SECONDS);
            HistoryPoint { at, value: if is_rate { cell.per_minute() } else { cell.level() }, failed: slot.failed }
        })
    }
}

impl Baseline {
    /// How much these have risen since.
    fn rise(&self, series: &[(Attributes, f64)]) -> f64 {
        let before = |attributes: &Attributes| self.series.iter().find(|(known, _)| known == attributes).map(|(_, value)| *value);
        let of = |(attributes, now): &(Attributes, f64)| match before(attributes) {
            Some(before) if *now >= before => now - before,
            Some(_) => *now,
            None if self.complete => *now,
            None => 0.0,
        };
        series.iter().map(of).sum()
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
        self.level().filter(|_| self.seconds > 0.0).map(|rise| rise / self.seconds * MINUTE_SECONDS)
    }
}

#[cfg(test)]
mod tests;
