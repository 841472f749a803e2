//! Selection of families and series: invalid values, duplicates and the limit of series.

use super::slice::{FamilySlice, FamilySlices};
use super::{FamilySelection, SelectedFamilies};
use crate::model::identity::duplicates_to_drop;
use crate::model::{Families, FamilyType, Repair};
use smallvec::SmallVec;

/// The values, 2^63 to 2^64, of an unsigned gauge that fell below zero: as signed integers they are negative.
const UNDERFLOWN: std::ops::RangeInclusive<f64> = 9_223_372_036_854_775_808.0..=18_446_744_073_709_551_616.0;
/// Limits of the process that Prometheus' client libraries report. An unlimited one is 2^64 - 1.
const PROCESS_LIMITS: [&str; 2] = ["process_max_fds", "process_virtual_memory_max_bytes"];

/// A family in a response body: its name, the index of the body, and its index in the body.
type FamilyIndex<'a> = (&'a str, usize, usize);

impl SelectedFamilies {
    /// Merges the families of all bodies by name and selects their series.
    pub(super) fn merge(bodies: Vec<Families>, prefix: &str, series_max: usize, choose: impl Fn(&str) -> Option<FamilySelection>) -> Self {
        let mut selected = Self { prefix: prefix.to_owned(), ..Self::default() };
        let mut indices: Vec<FamilyIndex<'_>> = Vec::new();
        for (body, families) in bodies.iter().enumerate() {
            indices.extend(families.iter().enumerate().map(|(index, family)| (family.name(), body, index)));
        }
        indices.sort_by_key(|(name, ..)| *name);
        selected.families.reserve_exact(indices.len());
        for same_name in indices.chunk_by(|a, b| a.0 == b.0) {
            match choose(same_name[0].0) {
                Some(selection) => selected.add_family(&bodies, same_name, selection, series_max),
                None => {
                    let families = same_name.iter().filter_map(|(_, body, index)| bodies[*body].nth(*index));
                    selected.dropped += families.map(|family| family.samples().len()).sum::<usize>() as u64;
                }
            }
        }
        selected.bodies = bodies;
        selected
    }

    fn add_family(&mut self, bodies: &[Families], same_name: &[FamilyIndex<'_>], selection: FamilySelection, series_max: usize) {
        let (kind, slices) = (FamilyType::Unknown, SmallVec::new());
        let mut out =
            FamilySlices { kind, has_own_start: false, is_incomplete: false, keeps_scope_labels: false, scope: None, slices, kept: 0 };
        // A series can appear in several slices, and twice in one.
        let has_one_series =
            |(_, body, index): &FamilyIndex<'_>| bodies[*body].nth(*index).is_some_and(|family| family.samples().len() == 1);
        let may_repeat = match same_name {
            [one] => !bodies[one.1].are_series_unique() && !has_one_series(one),
            _ => true,
        };
        let mut identities = Vec::new();
        for (_, body, index) in same_name {
            let Some(family) = bodies[*body].nth(*index) else { continue };
            let kind = selection.kind.unwrap_or(family.kind());
            if !out.slices.is_empty() && kind != out.kind {
                self.dropped += family.samples().len() as u64;
                out.is_incomplete = true;
                continue;
            }
            let mut slice = FamilySlice { body: *body, family: *index, series: family.samples().len(), dropped: Vec::new() };
            let before = out.kept;
            identities.reserve(if may_repeat { slice.series } else { 0 });
            let may_underflow = selection.may_underflow && kind == FamilyType::Gauge && !PROCESS_LIMITS.contains(&family.name());
            for (index, sample) in family.samples().enumerate() {
                if !sample.fits(kind) {
                    // No format can express a histogram value of a gauge, or a number of a histogram.
                    self.repairs.count(Repair::Unreadable);
                    self.dropped += 1;
                    slice.drop_series(index);
                    continue;
                }
                let invalid = sample.number().and_then(|n| invalid_value(kind, n, may_underflow));
                if let Some(repair) = invalid.filter(|_| !selection.is_mapped) {
                    self.repairs.count(repair);
                }
                let is_unknown = bodies[*body].has_unknown_values() && sample.number().is_some_and(f64::is_nan);
                if is_unknown || invalid.is_some() || selection.min_value.is_some_and(|min| sample.number().is_some_and(|n| n < min)) {
                    self.dropped += 1;
                    slice.drop_series(index);
                } else {
                    out.kept += 1;
                    if may_repeat {
                        identities.push(sample.prometheus_identity());
                    }
                }
            }
            if out.kept > before {
                if out.slices.is_empty() && kind != family.kind() {
                    self.repairs.count(Repair::MistypedCounter);
                }
                out.kind = kind;
                out.has_own_start = selection.are_restored || kind != family.kind();
                out.slices.push(slice);
            }
        }
        let duplicates = without_newest(bodies, &out, &identities);
        let series_left = series_max.saturating_sub(self.kept as usize);
        if !duplicates.is_empty() || out.kept > series_left {
            self.drop_duplicates_and_excess(&mut out, &duplicates, series_left);
        }
        out.is_incomplete |= out.slices.iter().any(|slice| !slice.dropped.is_empty());
        if out.kept > 0 {
            self.kept += out.kept as u64;
            self.families.push(out);
        }
    }

    /// Drops the series with these indices among the selected ones, and all series beyond `series_left`.
    fn drop_duplicates_and_excess(&mut self, family: &mut FamilySlices, duplicates: &[usize], series_left: usize) {
        let (mut duplicates, mut selected_index) = (duplicates.iter().copied().peekable(), 0);
        family.kept = 0;
        for slice in &mut family.slices {
            for index in 0..slice.series {
                if slice.is_dropped(index) {
                    continue;
                }
                let is_duplicate = duplicates.next_if_eq(&selected_index).is_some();
                selected_index += 1;
                if family.kept == series_left {
                    self.dropped += 1;
                } else if is_duplicate {
                    self.repairs.count(Repair::DuplicateSeries);
                } else {
                    family.kept += 1;
                    continue;
                }
                slice.drop_series(index);
            }
        }
    }
}

/// Chooses which of the repeated samples to drop. Returns their indices among the selected series, whose `identities` these are.
fn without_newest(bodies: &[Families], family: &FamilySlices, identities: &[u64]) -> Vec<usize> {
    let timestamps = family.slices.iter().flat_map(|slice| {
        let family = bodies[slice.body].nth(slice.family);
        let samples = family.into_iter().flat_map(|family| family.samples()).enumerate();
        let selected = samples.filter(|(index, _)| !slice.is_dropped(*index));
        selected.map(|(_, sample)| sample.timestamp())
    });
    duplicates_to_drop(identities, timestamps)
}

/// The reason why a number is not a valid value of a family of this type.
fn invalid_value(kind: FamilyType, n: f64, may_underflow: bool) -> Option<Repair> {
    match kind {
        FamilyType::Counter if !n.is_finite() => Some(Repair::NonFinite),
        FamilyType::Counter if n < 0.0 => Some(Repair::OutOfRange),
        FamilyType::Gauge if may_underflow && UNDERFLOWN.contains(&n) => Some(Repair::Underflow),
        _ => None,
    }
}
