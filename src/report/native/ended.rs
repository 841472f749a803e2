//! Native series that ended: they were in the reading before and are missing now.

use super::{has_reading_time, is_nan};
use crate::model::{SamplePosition, SamplePositions, SelectedFamilies};
use std::collections::HashSet;

/// The series of the reading before that ended.
#[derive(Debug)]
pub(super) enum EndedSeries {
    /// Some series, by the index of their family and their position.
    Listed(Vec<(u32, SamplePosition)>),
    /// All series.
    All,
}

impl Default for EndedSeries {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl EndedSeries {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Listed(ended) if ended.is_empty())
    }

    /// The ended samples of the reading before.
    pub(super) fn samples<'a>(&'a self, native: &'a SelectedFamilies) -> EndedSamples<'a> {
        let (positions, listed) = match self {
            Self::Listed(ended) => (None, ended.iter()),
            Self::All => ((!native.is_empty()).then(|| native.family(0).positions()), [].iter()),
        };
        EndedSamples { native, family: 0, positions, listed }
    }
}

/// Iterates over the samples of ended series: the index of the family, and the position of the sample.
#[derive(Clone, Debug)]
pub struct EndedSamples<'a> {
    native: &'a SelectedFamilies,
    family: usize,
    positions: Option<SamplePositions<'a>>,
    listed: std::slice::Iter<'a, (u32, SamplePosition)>,
}

impl<'a> EndedSamples<'a> {
    /// The reading that contains the samples.
    #[must_use]
    pub fn native(&self) -> &'a SelectedFamilies {
        self.native
    }
}

impl Iterator for EndedSamples<'_> {
    type Item = (usize, SamplePosition);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(positions) = &mut self.positions {
            if let Some(position) = positions.find(|position| was_exported(self.native, *position)) {
                return Some((self.family, position));
            }
            self.family += 1;
            self.positions = (self.family < self.native.len()).then(|| self.native.family(self.family).positions());
        }
        self.listed.next().map(|(family, position)| (*family as usize, *position))
    }
}

/// Removes from `ended`, of the reading `last`, the series that Prometheus continues with a series of `native` that is new. They differ in their
/// type, their scope or empty labels only, so the end marker would replace the new sample of the same time, or come after it if that has an
/// explicit timestamp.
pub(super) fn remove_continued(
    ended: &mut Vec<(u32, SamplePosition)>,
    last: &SelectedFamilies,
    native: &SelectedFamilies,
    new: impl Iterator<Item = (usize, SamplePosition)>,
) {
    if ended.is_empty() {
        return;
    }
    let identity = |native: &SelectedFamilies, family: usize, position: SamplePosition| {
        let sample = native.sample(position).filter(|sample| !is_nan(sample.value()))?;
        Some((native.family(family).name_identity(), sample.point_identity()))
    };
    let new: HashSet<_> = new.filter_map(|(family, position)| identity(native, family, position)).collect();
    if !new.is_empty() {
        ended.retain(|(family, position)| identity(last, *family as usize, *position).is_none_or(|identity| !new.contains(&identity)));
    }
}

/// Returns true if a sample was exported with the time of its reading, so that it needs an end marker.
pub(super) fn was_exported(native: &SelectedFamilies, position: SamplePosition) -> bool {
    native.sample(position).is_none_or(|sample| has_reading_time(&sample))
}
