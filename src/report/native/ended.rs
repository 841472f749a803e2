//! Native series that ended: they were in the reading before and are missing now.
//!
//! Prometheus makes several series of a sample: one for each bucket or quantile, and the sum and the count. With some settings, their
//! labels include the scope, the type and the unit. An end marker ends the series that Prometheus would make of a point with this shape. So
//! a series needs one if any of this changes, although the series is still in the reading. All end markers are earlier than the points of
//! the reading: they end what the points do not continue, and nothing else.

use super::{has_reading_time, is_nan};
use crate::model::{SamplePosition, SamplePositions, SampleRef, SelectedFamilies};
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

/// Returns true if a sample that is in the reading `before` and in the reading `now` needs an end marker of its old shape: it was exported
/// with the time of its reading, and does not continue every series that Prometheus has made of it.
#[inline]
pub(super) fn needs_end_marker(before: &SampleRef<'_>, now: &SampleRef<'_>, has_same_unit: bool) -> bool {
    let is_continued = !is_nan(now.value()) && has_same_unit && now.value().has_series_of(&before.value());
    // The end marker could be later than an explicit timestamp.
    !is_continued && now.timestamp().is_none() && has_reading_time(before)
}

/// Removes from `ended`, of the reading `last`, the series that Prometheus may continue with a new series of `native` whose sample has an
/// explicit timestamp: the end marker could be later than that.
pub(super) fn remove_continued(
    ended: &mut Vec<(u32, SamplePosition)>,
    last: &SelectedFamilies,
    native: &SelectedFamilies,
    new: impl Iterator<Item = (usize, SamplePosition)>,
) {
    if ended.is_empty() || !native.has_timestamps() {
        return;
    }
    let has_timestamp = |position| native.sample(position).is_some_and(|sample| sample.timestamp().is_some() && !is_nan(sample.value()));
    let new = new.filter(|(_, position)| has_timestamp(*position));
    let new: HashSet<_> = new.filter_map(|(family, position)| distribution_identity(native, family, position)).collect();
    if !new.is_empty() {
        let identity = |family: u32, position| distribution_identity(last, family as usize, position);
        ended.retain(|(family, position)| identity(*family, *position).is_none_or(|identity| !new.contains(&identity)));
    }
}

/// The identity that the samples of a distribution have in common, with or without its type: hashes of the name and of the labels.
fn distribution_identity(native: &SelectedFamilies, family: usize, position: SamplePosition) -> Option<(u64, u64)> {
    Some((native.family(family).distribution_identity(), native.sample(position)?.distribution_identity()))
}

/// Returns true if a sample was exported with the time of its reading, so that it needs an end marker if its series ended.
pub(super) fn was_exported(native: &SelectedFamilies, position: SamplePosition) -> bool {
    native.sample(position).is_none_or(|sample| has_reading_time(&sample))
}
