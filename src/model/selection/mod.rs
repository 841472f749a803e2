//! The native families of a reading that are forwarded, sorted by name.
//!
//! A family appears once, however many response bodies contain it. Series that are not forwarded are marked by a bit and not removed.
//!
//! # No copy, if possible
//!
//! The response body is kept, and series are positions in it. If only a small share of a body is used, it is replaced by a copy of that
//! share, so that the memory of a reading depends on the series that are forwarded and not on the size of the responses.

mod family;
mod memory;
mod scopes;
mod select;
mod slice;
#[cfg(test)]
mod tests;

pub use family::{SamplePosition, SamplePositions, SelectedFamily};

use super::label_collision::translated_label;
use super::reserved::{prefix_state_labels, rename_reserved_labels};
use super::scope::Scope;
use super::target_info::{TARGET_INFO, TargetInfo};
use super::translation::{NameCollision, NameCollisions};
use super::{Families, FamilyType, MemoryReservation, Repair, Repairs, SampleRef, is_translatable};
use slice::FamilySlices;
use std::collections::HashSet;

/// The selected native families of a reading, sorted by scope and name.
#[derive(Debug, Default)]
pub struct SelectedFamilies {
    /// The parsed response bodies.
    bodies: Vec<Families>,
    families: Vec<FamilySlices>,
    prefix: String,
    /// The number of selected series.
    pub kept: u64,
    /// The number of series that are not selected: excluded, below the minimum value, unknown, invalid for the type of their family, or
    /// over the limit.
    pub dropped: u64,
    /// Repairs that the selection made.
    pub repairs: Repairs,
    /// All families are missing because the memory of all readings is used up.
    pub memory_exceeded: bool,
    /// The share of the memory budget of all readings.
    _memory: Option<MemoryReservation>,
    /// The number of labels that were renamed because Prometheus reserves their names.
    pub labels_renamed: u64,
    /// The instrumentation scopes that labels name, without duplicates.
    scopes: Vec<Scope>,
    target_info: TargetInfo,
    name_collisions: Vec<NameCollision>,
}

/// The rules by which the series of a family are selected.
#[derive(Clone, Copy, Debug, Default)]
pub struct FamilySelection {
    /// The type to use instead of the one that the server reports.
    pub kind: Option<FamilyType>,
    /// Series with smaller values are dropped.
    pub min_value: Option<f64>,
    /// A rule maps the family as well, and counts its invalid values.
    pub is_mapped: bool,
    /// The mail system has unsigned gauges that underflow when they fall below zero.
    pub may_underflow: bool,
    /// The server restores the counters after a restart, so its later start is not theirs.
    pub are_restored: bool,
}

impl SelectedFamilies {
    /// Selects the families for which `choose` returns a selection, up to `series_max` series, and names them with `prefix`.
    ///
    /// Labels with names that Prometheus reserves are renamed, and `target_info` becomes resource attributes.
    pub fn select(mut bodies: Vec<Families>, prefix: &str, series_max: usize, choose: impl Fn(&str) -> Option<FamilySelection>) -> Self {
        let labels_renamed = bodies.iter_mut().map(rename_reserved_labels).sum();
        bodies.iter_mut().for_each(|body| prefix_state_labels(body, prefix));
        let target_info = TargetInfo::of(&bodies, |name| choose(name).is_some());
        let mut selected = Self::merge(bodies, prefix, series_max, |name| (name != TARGET_INFO).then(|| choose(name)).flatten());
        (selected.labels_renamed, selected.target_info) = (labels_renamed, target_info);
        selected.repairs.add(Repair::AmbiguousTargetInfo, u64::from(selected.target_info.is_ambiguous()));
        // These series are exported, as attributes.
        selected.dropped -= selected.target_info.exported_series();
        selected.assign_scopes();
        selected.repairs.add(Repair::UntranslatableName, selected.untranslatable_names());
        let mut collisions = NameCollisions::among(selected.families());
        if selected.bodies.iter().any(Families::has_special_label_names) && selected.have_colliding_labels() {
            collisions.add_labels(selected.families());
        }
        selected.repairs.add(Repair::NameCollision, collisions.count);
        selected.name_collisions = collisions.named;
        // Last, because scopes are described by families that are not selected.
        selected.release_unused_bodies();
        selected
    }

    /// Selects all families without changes: Postmeter's own, whose labels `job` and `instance` are intended, and whose series are unique.
    /// They are soon dropped, so their memory is not compacted.
    #[must_use]
    pub fn unfiltered(mut families: Families) -> Self {
        families.note_unique_series();
        Self::merge(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()))
    }

    /// Returns true if Prometheus' OTLP receiver gives two labels of the responses the same name. Their series are compared only then.
    fn have_colliding_labels(&self) -> bool {
        let names: HashSet<&[u8]> = self.bodies.iter().flat_map(Families::label_names).collect();
        let translated: HashSet<_> = names.iter().map(|name| translated_label(&String::from_utf8_lossy(name)).into_owned()).collect();
        translated.len() < names.len()
    }

    /// The number of names of families and labels that Prometheus' OTLP receiver cannot translate.
    fn untranslatable_names(&self) -> u64 {
        let families = self.families().filter(|family| !is_translatable(family.name().as_bytes())).count();
        let attributes = self.resource_attributes().iter().filter(|(name, _)| !is_translatable(name.as_bytes())).count();
        let others = (families + attributes) as u64;
        // Nearly all responses have none.
        if self.bodies.iter().flat_map(Families::label_names).all(is_translatable) {
            return others;
        }
        let labels = self.families().flat_map(|family| family.samples()).flat_map(|sample| sample.label_bytes()).map(|(name, _)| name);
        let labels: HashSet<&[u8]> = labels.filter(|name| !is_translatable(name)).collect();
        others + labels.len() as u64
    }

    /// The selected families.
    pub fn families(&self) -> impl ExactSizeIterator<Item = SelectedFamily<'_>> + Clone {
        (0..self.families.len()).map(|index| self.family(index))
    }

    /// The family with this index. Panics if there is none.
    #[must_use]
    pub fn family(&self, index: usize) -> SelectedFamily<'_> {
        self.view(&self.families[index])
    }

    fn view<'a>(&'a self, slices: &'a FamilySlices) -> SelectedFamily<'a> {
        SelectedFamily { selected: self, slices }
    }

    /// The family that the server sent with this name, in this scope.
    #[must_use]
    pub fn find(&self, scope: Option<&Scope>, native_name: &str) -> Option<SelectedFamily<'_>> {
        let key = (scope, native_name);
        let index = self.families.partition_point(|slices| self.view(slices).sort_key() < key);
        (index < self.families.len()).then(|| self.family(index)).filter(|family| family.sort_key() == key)
    }

    /// The number of families.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.len()
    }

    /// Returns true if there are no families.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// The prefix of all names.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The sample at a position from [`SelectedFamily::positions`].
    #[must_use]
    pub fn sample(&self, position: SamplePosition) -> Option<SampleRef<'_>> {
        self.bodies.get(position.body as usize)?.sample(position.sample)
    }

    /// The first families that Prometheus would merge with another metric after OTLP.
    #[must_use]
    pub fn name_collisions(&self) -> &[NameCollision] {
        &self.name_collisions
    }

    /// The resource attributes from `target_info`, named like its labels.
    pub fn resource_attributes(&self) -> &[(String, String)] {
        self.target_info.attributes()
    }

    /// Returns true if any series has an explicit timestamp.
    #[must_use]
    pub fn has_timestamps(&self) -> bool {
        self.bodies.iter().any(Families::has_timestamps)
    }

    /// Returns true if the server reports start times of series.
    #[must_use]
    pub fn has_created(&self) -> bool {
        self.bodies.iter().any(Families::has_created)
    }

    /// Returns true if any series has an exemplar.
    #[must_use]
    pub fn has_exemplars(&self) -> bool {
        self.bodies.iter().any(Families::has_exemplars)
    }
}
