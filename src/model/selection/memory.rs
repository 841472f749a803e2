//! The memory of a reading: which response bodies are kept until the next reading, and which are replaced by a copy of the used part.

use super::SelectedFamilies;
use super::slice::{FamilySlice, FamilySlices};
use crate::model::families::CompactCopy;
use crate::model::{Families, MemoryBudget};
use std::mem::size_of;

/// A body that uses less memory than this is never copied.
const COPIED_BYTES_MIN: usize = 16 * 1024;
/// A body that uses less memory than this for each selected series is never copied: most of it is used.
const COPIED_BYTES_PER_SERIES_MIN: usize = 256;
/// A body is replaced if the copy needs at most one n-th of its memory.
const COPY_SHARE: usize = 2;

/// The slices of one body: the index of the family, and the index of the slice in the family.
type SlicesOfBody = Vec<(usize, usize)>;

impl SelectedFamilies {
    /// Releases bodies without selected series, replaces those of which little is used by a copy of the used part, and frees the unused
    /// capacity of the rest.
    pub(super) fn release_unused_bodies(&mut self) {
        for family in self.families.iter_mut().filter(|family| family.slices.iter().any(|slice| slice.kept() == 0)) {
            family.slices.retain(|slice| slice.kept() > 0);
        }
        self.families.shrink_to_fit();
        let mut kept = vec![0; self.bodies.len()];
        self.families.iter().flat_map(|family| &family.slices).for_each(|slice| kept[slice.body] += slice.kept());
        let may_be_copied =
            |body: usize, memory: usize| memory >= COPIED_BYTES_MIN && memory / kept[body].max(1) >= COPIED_BYTES_PER_SERIES_MIN;
        let mut copied: Vec<Option<SlicesOfBody>> = Vec::with_capacity(self.bodies.len());
        for (body, families) in self.bodies.iter_mut().enumerate() {
            if kept[body] == 0 {
                *families = Families::default();
            }
            families.shrink();
            copied.push(may_be_copied(body, families.memory_bytes()).then(Vec::new));
        }
        for (family_index, family) in self.families.iter().enumerate() {
            for (slice_index, slice) in family.slices.iter().enumerate() {
                copied[slice.body].iter_mut().for_each(|slices| slices.push((family_index, slice_index)));
            }
        }
        for (body, slices) in copied.into_iter().enumerate() {
            if let Some(slices) = slices.filter(|slices| self.is_mostly_unused(body, slices)) {
                self.replace_by_copy(body, &slices);
            }
        }
    }

    fn is_mostly_unused(&self, body: usize, slices: &[(usize, usize)]) -> bool {
        let families = &self.bodies[body];
        let (limit, mut copy_bytes) = (families.memory_bytes() / COPY_SHARE, 0);
        for (family_index, slice_index) in slices {
            let slice = &self.families[*family_index].slices[*slice_index];
            let Some(family) = families.nth(slice.family) else { continue };
            copy_bytes += family.name().len() + family.help().len() + family.unit().len();
            for (_, sample) in family.samples().enumerate().filter(|(index, _)| !slice.is_dropped(*index)) {
                copy_bytes += sample.copy_bytes();
                if copy_bytes > limit {
                    return false;
                }
            }
        }
        true
    }

    fn replace_by_copy(&mut self, body: usize, slices: &[(usize, usize)]) {
        let (mut copy, original) = (CompactCopy::default(), std::mem::take(&mut self.bodies[body]));
        for (family_index, slice_index) in slices {
            let slice = &mut self.families[*family_index].slices[*slice_index];
            let Some(family) = original.nth(slice.family) else { continue };
            let series = slice.kept();
            slice.family = copy.add(family, |index| !slice.is_dropped(index));
            (slice.series, slice.dropped) = (series, Vec::new());
        }
        self.bodies[body] = copy.finish();
    }

    /// The memory of the reading in bytes, without the overhead of allocations.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let bodies: usize = self.bodies.iter().map(Families::memory_bytes).sum();
        let dropped = |slice: &FamilySlice| slice.dropped.capacity() * 8;
        let family = |family: &FamilySlices| {
            let slices = if family.slices.spilled() { family.slices.capacity() * size_of::<FamilySlice>() } else { 0 };
            size_of::<FamilySlices>() + slices + family.slices.iter().map(dropped).sum::<usize>()
        };
        bodies + self.families.iter().map(family).sum::<usize>()
    }

    /// Reserves the memory of the reading from a budget until the reading is dropped. If the budget is used up, all families are dropped.
    #[must_use]
    pub fn within_budget(self, budget: &MemoryBudget) -> Self {
        match budget.reserve(self.memory_bytes()) {
            Some(memory) => Self { _memory: Some(memory), ..self },
            None => Self {
                bodies: Vec::new(),
                families: Vec::new(),
                scopes: Vec::new(),
                name_collisions: Vec::new(),
                dropped: self.dropped + self.kept,
                kept: 0,
                memory_exceeded: true,
                ..self
            },
        }
    }
}
