//! Native series that ended: they were in the reading before and are missing now.

use super::has_reading_time;
use crate::model::{SamplePosition, SamplePositions, SelectedFamilies};

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

/// Returns true if a sample was exported with the time of its reading, so that it needs an end marker.
pub(super) fn was_exported(native: &SelectedFamilies, position: SamplePosition) -> bool {
    native.sample(position).is_none_or(|sample| has_reading_time(&sample))
}
