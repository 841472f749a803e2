//! A view of one selected family, and the positions of its samples.

use super::SelectedFamilies;
use super::slice::{FamilySlice, FamilySlices};
use crate::model::scope::is_scope_info;
use crate::model::unit::otlp_unit;
use crate::model::{FamilyRef, FamilyType, SampleRef, Scope};
use std::borrow::Cow;

/// A selected family.
#[derive(Clone, Copy)]
pub struct SelectedFamily<'a> {
    pub(super) selected: &'a SelectedFamilies,
    pub(super) slices: &'a FamilySlices,
}

impl<'a> SelectedFamily<'a> {
    /// Its name: the prefix, if one is configured, and the name that the server sent.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        let (prefix, name) = (&self.selected.prefix, self.native_name());
        if prefix.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{prefix}{name}")) }
    }

    /// The name that the server sent.
    #[must_use]
    pub fn native_name(&self) -> &'a str {
        self.first_slice().map_or("", |family| family.name())
    }

    /// Its help text. Empty if the server sent none.
    #[must_use]
    pub fn help(&self) -> &'a str {
        self.first_slice().map_or("", |family| family.help())
    }

    /// Its OpenTelemetry unit (UCUM). Empty if the server sent none.
    #[must_use]
    pub fn unit(&self) -> Cow<'a, str> {
        otlp_unit(self.first_slice().map_or("", |family| family.unit()))
    }

    /// Its unit as Prometheus names it. Empty if the server sent none.
    #[must_use]
    pub fn prometheus_unit(&self) -> &'a str {
        self.first_slice().map_or("", |family| family.unit())
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> FamilyType {
        self.slices.kind
    }

    /// Returns true if the start that the server reports is not that of the family's counters: another program counts them, so that the
    /// server reports another type, or the server restores them after a restart.
    #[must_use]
    pub fn has_own_start(&self) -> bool {
        self.slices.has_own_start
    }

    /// Returns true if series of the family were dropped.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.slices.is_incomplete
    }

    /// The instrumentation scope that its labels name.
    #[must_use]
    pub fn scope(&self) -> Option<&'a Scope> {
        self.selected.scopes.get(self.slices.scope?)
    }

    /// Returns true if its series have labels of a scope. Those of [`Self::scope`] are not counted.
    #[must_use]
    pub fn keeps_scope_labels(&self) -> bool {
        self.slices.keeps_scope_labels || is_scope_info(self.native_name())
    }

    /// The sort key of families: their scope, then the name that the server sent.
    #[must_use]
    pub fn sort_key(&self) -> (Option<&'a Scope>, &'a str) {
        (self.scope(), self.native_name())
    }

    /// The number of its series.
    #[must_use]
    pub fn series(&self) -> usize {
        self.slices.kept
    }

    /// Its samples, in the server's order.
    pub fn samples(&self) -> impl Iterator<Item = SampleRef<'a>> + use<'a> {
        let selected = self.selected;
        self.slices.slices.iter().flat_map(move |slice| {
            let family = selected.bodies[slice.body].nth(slice.family);
            let samples = family.into_iter().flat_map(|family| family.samples()).enumerate();
            samples.filter(move |(index, _)| slice.dropped.is_empty() || !slice.is_dropped(*index)).map(|(_, sample)| sample)
        })
    }

    /// The positions of its samples, in the server's order.
    #[must_use]
    pub fn positions(&self) -> SamplePositions<'a> {
        SamplePositions { selected: self.selected, slices: self.slices.slices.iter(), body: 0, samples: 0..0, first: 0, filter: None }
    }

    fn first_slice(&self) -> Option<FamilyRef<'a>> {
        let slice = self.slices.slices.first()?;
        self.selected.bodies[slice.body].nth(slice.family)
    }
}

/// The position of a sample in a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SamplePosition {
    pub(super) body: u32,
    pub(super) sample: u32,
}

/// Iterates over the positions of a family's samples, in the server's order.
#[derive(Clone, Debug)]
pub struct SamplePositions<'a> {
    selected: &'a SelectedFamilies,
    /// The slices that follow.
    slices: std::slice::Iter<'a, FamilySlice>,
    /// The body of the current slice, its remaining samples, and its first one.
    body: u32,
    samples: std::ops::Range<u32>,
    first: u32,
    /// The current slice, if samples of it were dropped.
    filter: Option<&'a FamilySlice>,
}

impl Iterator for SamplePositions<'_> {
    type Item = SamplePosition;

    fn next(&mut self) -> Option<SamplePosition> {
        loop {
            for sample in self.samples.by_ref() {
                if !self.filter.is_some_and(|slice| slice.is_dropped((sample - self.first) as usize)) {
                    return Some(SamplePosition { body: self.body, sample });
                }
            }
            let slice = self.slices.next()?;
            let family = self.selected.bodies.get(slice.body)?.nth(slice.family)?;
            (self.body, self.samples, self.first) = (slice.body as u32, family.range(), family.range().start);
            self.filter = Some(slice).filter(|slice| !slice.dropped.is_empty());
        }
    }
}
