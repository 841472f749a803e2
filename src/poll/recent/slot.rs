//! A slot of the history: the values of all figures that were measured within it.

use super::history::SLOT_SECONDS;
use super::key_figures::FIGURES_MAX;

const MINUTE_SECONDS: f32 = 60.0;

/// The origin of a figure's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FigureOrigin {
    Poll,
    DeliveryLog,
}

/// The values of one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct HistorySlot {
    pub(super) number: u32,
    pub(super) polls: Reads,
    pub(super) log_reads: Reads,
    pub(super) cells: [Cell; FIGURES_MAX],
}

/// The reads of one origin within a slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reads {
    pub(super) any: bool,
    pub(super) failed: bool,
}

impl HistorySlot {
    /// The start of the slot in Unix seconds.
    pub(super) fn at(&self) -> u64 {
        u64::from(self.number) * u64::from(SLOT_SECONDS)
    }

    pub(super) fn reads(&mut self, origin: FigureOrigin) -> &mut Reads {
        match origin {
            FigureOrigin::Poll => &mut self.polls,
            FigureOrigin::DeliveryLog => &mut self.log_reads,
        }
    }
}

/// A level, or an increase and the seconds that it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) value: f32,
    pub(super) seconds: f32,
}

pub(super) const EMPTY: Cell = Cell { value: f32::NAN, seconds: 0.0 };

impl Cell {
    pub(super) fn merge(&mut self, later: Self) {
        if later.value.is_nan() {
            return;
        }
        *self = match later.seconds > 0.0 && !self.value.is_nan() {
            true => Self { value: self.value + later.value, seconds: self.seconds + later.seconds },
            false => later,
        };
    }

    pub(super) fn level(self) -> Option<f32> {
        (!self.value.is_nan()).then_some(self.value)
    }

    pub(super) fn per_minute(self) -> Option<f32> {
        self.level().filter(|_| self.seconds > 0.0).map(|increase| increase / self.seconds * MINUTE_SECONDS)
    }
}
