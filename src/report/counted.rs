//! The last value of a counter or a histogram that is remembered without its reading, and how it changed since.

use super::histograms::fell;
use crate::model::{Histogram, Value};

/// A copy of a value that only rises.
#[derive(Debug)]
pub(super) enum CountedValue {
    Number(f64),
    Histogram(Box<Histogram>),
}

impl CountedValue {
    /// A copy of a value; nothing where it is not a number, or a summary.
    pub(super) fn of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Number(n) => (!n.is_nan()).then_some(Self::Number(n)),
            Value::Histogram(histogram) => Some(Self::Histogram(Box::new(histogram.clone()))),
            Value::Summary(_) => None,
        }
    }

    pub(super) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Number(n) => Value::Number(*n),
            Self::Histogram(histogram) => Value::Histogram(histogram),
        }
    }
}

/// How a counter or a histogram changed.
pub(super) struct Change {
    /// It counts less than before.
    pub fell: bool,
    /// The difference of the two is what was counted in between.
    pub comparable: bool,
}

impl Change {
    #[inline]
    pub(super) fn between(before: Value<'_>, now: Value<'_>) -> Self {
        let (fell, comparable) = match (before, now) {
            (Value::Number(before), Value::Number(now)) => (now < before, !before.is_nan()),
            (Value::Histogram(before), Value::Histogram(now)) => (fell(before, now), before.bounds == now.bounds),
            _ => (false, false),
        };
        Self { fell, comparable }
    }
}
