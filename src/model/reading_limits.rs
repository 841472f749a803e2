//! Limits of one response: a few bytes can define a series, a family or a histogram, which need many times that memory.

/// The limits of one response. A response that exceeds one is rejected as a whole: sums over a part would be too small.
#[derive(Clone, Copy, Debug)]
pub struct ReadingLimits {
    /// Series of any kind.
    pub series_max: usize,
    /// Histograms and summaries.
    pub distributions_max: usize,
    /// Families with series. A family that is interrupted by another one counts again.
    pub families_max: usize,
    /// Families with a type, with or without series.
    pub types_max: usize,
}

/// The limits of every response. The number of series is the largest `series_max` that can be configured.
pub const READING_LIMITS: ReadingLimits =
    ReadingLimits { series_max: 5_000_000, distributions_max: 500_000, families_max: 1_000_000, types_max: 100_000 };

impl ReadingLimits {
    /// No limits, for families that are limited where they are created.
    pub const NONE: Self = Self { series_max: usize::MAX, distributions_max: usize::MAX, families_max: usize::MAX, types_max: usize::MAX };

    pub(super) const fn series(&self) -> LimitExceeded {
        LimitExceeded { max: self.series_max, unit: "series" }
    }

    /// The error for a response with too many histograms and summaries.
    #[must_use]
    pub const fn distributions(&self) -> LimitExceeded {
        LimitExceeded { max: self.distributions_max, unit: "histograms and summaries" }
    }

    pub(super) const fn families(&self) -> LimitExceeded {
        LimitExceeded { max: self.families_max, unit: "families" }
    }

    /// The error for a response with too many types.
    #[must_use]
    pub const fn types(&self) -> LimitExceeded {
        LimitExceeded { max: self.types_max, unit: "families" }
    }
}

/// A response exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has more than {max} {unit}")]
pub struct LimitExceeded {
    /// The limit.
    pub max: usize,
    /// The items that are limited, in the plural.
    pub unit: &'static str,
}
