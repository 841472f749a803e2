//! How much one answer may be: a few bytes can be a series, a family or a distribution, which cost many times that.

/// What of an answer is held at most. Beyond one of them nothing of it is taken: sums over a part would be too small.
#[derive(Clone, Copy, Debug)]
pub struct ReadingLimits {
    /// Series of any kind.
    pub series_max: usize,
    /// Histograms and summaries among them.
    pub distributions_max: usize,
    /// Families with series; one that is interrupted by another counts again.
    pub families_max: usize,
    /// Families that say what they are, with series or without.
    pub types_max: usize,
}

/// As many series as the largest `series_max` passes on. Where families take turns, each series may be one.
pub const BOUNDS: ReadingLimits =
    ReadingLimits { series_max: 5_000_000, distributions_max: 500_000, families_max: 1_000_000, types_max: 100_000 };

impl ReadingLimits {
    /// For what is bounded elsewhere.
    pub const NONE: Self = Self { series_max: usize::MAX, distributions_max: usize::MAX, families_max: usize::MAX, types_max: usize::MAX };

    pub(super) const fn series(&self) -> LimitExceeded {
        LimitExceeded { max: self.series_max, what: "series" }
    }

    /// What an answer is that has more distributions.
    #[must_use]
    pub const fn distributions(&self) -> LimitExceeded {
        LimitExceeded { max: self.distributions_max, what: "histograms and summaries" }
    }

    pub(super) const fn families(&self) -> LimitExceeded {
        LimitExceeded { max: self.families_max, what: "families" }
    }

    /// What an answer is that has more types.
    #[must_use]
    pub const fn types(&self) -> LimitExceeded {
        LimitExceeded { max: self.types_max, what: "families" }
    }
}

/// An answer is beyond a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has more than {max} {what}")]
pub struct LimitExceeded {
    /// The bound.
    pub max: usize,
    /// Of what.
    pub what: &'static str,
}
