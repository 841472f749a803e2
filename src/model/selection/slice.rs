//! A selected family and the parts of it that the response bodies contain.

use crate::model::FamilyType;
use smallvec::SmallVec;

/// A selected family: one slice for each response body that contains it.
#[derive(Clone, Debug)]
pub(super) struct FamilySlices {
    pub kind: FamilyType,
    /// The start that the server reports is not that of the family's counters.
    pub has_own_start: bool,
    /// Series of the family were dropped.
    pub is_incomplete: bool,
    /// Series have labels of a scope that is not among the scopes of the reading, because there are too many.
    pub keeps_scope_labels: bool,
    /// The index of its instrumentation scope, if labels name one.
    pub scope: Option<usize>,
    /// Nearly always one, which is stored in place.
    pub slices: SmallVec<[FamilySlice; 1]>,
    /// The number of selected series.
    pub kept: usize,
}

/// The part of a family that one response body contains.
#[derive(Clone, Debug)]
pub(super) struct FamilySlice {
    /// The index of the response body.
    pub body: usize,
    /// The index of the family in the body.
    pub family: usize,
    /// The number of series in the body, including dropped ones.
    pub series: usize,
    /// One bit for each series, set if it is dropped. Empty if none is.
    pub dropped: Vec<u64>,
}

impl FamilySlice {
    pub(super) fn drop_series(&mut self, index: usize) {
        if self.dropped.is_empty() {
            self.dropped = vec![0; self.series.div_ceil(64)];
        }
        self.dropped[index / 64] |= 1 << (index % 64);
    }

    /// Selects a series again that was dropped.
    pub(super) fn restore_series(&mut self, index: usize) {
        if let Some(bits) = self.dropped.get_mut(index / 64) {
            *bits &= !(1 << (index % 64));
        }
    }

    pub(super) fn is_dropped(&self, index: usize) -> bool {
        self.dropped.get(index / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    /// The number of selected series.
    pub(super) fn kept(&self) -> usize {
        if self.dropped.is_empty() { self.series } else { (0..self.series).filter(|index| !self.is_dropped(*index)).count() }
    }

    /// The same slice with all series dropped.
    pub(super) fn without_series(&self) -> Self {
        Self { dropped: vec![u64::MAX; self.series.div_ceil(64)], ..*self }
    }
}
