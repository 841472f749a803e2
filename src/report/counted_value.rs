//! The last value of a counter or a histogram, remembered without its reading, and how the value changed since.

use super::histograms::is_decrease;
use crate::model::{Histogram, Value};

/// A copy of the value of a counter or a histogram.
#[derive(Debug)]
pub(super) enum CountedValue {
    Number(f64),
    Histogram(Box<Histogram>),
}

impl CountedValue {
    /// A copy of a value. `None` for NaN and for summaries.
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

/// The change of a counter or a histogram from one reading to a later one.
pub(super) struct Change {
    /// The value decreased.
    pub decreased: bool,
    /// The difference of the two values is what was counted in between.
    pub is_difference_valid: bool,
}

impl Change {
    #[inline]
    pub(super) fn between(before: Value<'_>, now: Value<'_>) -> Self {
        let (decreased, is_difference_valid) = match (before, now) {
            (Value::Number(before), Value::Number(now)) => (now < before, !before.is_nan()),
            (Value::Histogram(before), Value::Histogram(now)) => (is_decrease(before, now), true),
            _ => (false, false),
        };
        Self { decreased, is_difference_valid }
    }
}
