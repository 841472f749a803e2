//! Assignment of families to the instrumentation scopes that the labels of their series name.

use super::SelectedFamilies;
use super::slice::{FamilySlice, FamilySlices};
use crate::model::Families;
use crate::model::scope::{Scope, is_scope_info, is_scope_label};

/// Instrumentation scopes of one reading. Series of further scopes keep their scope labels.
const SCOPES_MAX: usize = 100;

impl SelectedFamilies {
    /// Splits each family by the scopes that the labels of its series name, and sorts families by scope, then by name.
    pub(super) fn assign_scopes(&mut self) {
        if !self.bodies.iter().any(Families::has_scope_labels) {
            return;
        }
        let families = std::mem::take(&mut self.families);
        for family in families {
            self.split_by_scope(family);
        }
        self.describe_scopes();
        // Sorted by the identity of the scope, so that the order is the same in each reading. Families without a scope come first.
        let mut families = std::mem::take(&mut self.families);
        families.sort_by(|a, b| self.view(a).sort_key().cmp(&self.view(b).sort_key()));
        self.families = families;
    }

    fn split_by_scope(&mut self, family: FamilySlices) {
        let mut parts: Vec<FamilySlices> = Vec::new();
        // The scope labels of the last series, which are nearly always those of the next one, and the index of its part.
        let mut last: Option<(Vec<(&str, &str)>, usize)> = None;
        for (slice_index, slice) in family.slices.iter().enumerate() {
            let Some(in_body) = self.bodies[slice.body].nth(slice.family) else { continue };
            let describes_scopes = is_scope_info(in_body.name());
            for (index, sample) in in_body.samples().enumerate().filter(|(index, _)| !slice.is_dropped(*index)) {
                let labels = || sample.labels().filter(|(name, _)| !describes_scopes && is_scope_label(name.as_bytes()));
                let part = match last.as_ref().filter(|(last, _)| labels().eq(last.iter().copied())) {
                    Some((_, part)) => *part,
                    None => {
                        let described = Scope::of_labels(labels());
                        let is_described = described.is_some();
                        let scope = described.and_then(|scope| index_of(&mut self.scopes, scope));
                        let part = parts.iter().position(|part| part.scope == scope).unwrap_or_else(|| {
                            let slices = family.slices.iter().map(FamilySlice::without_series).collect();
                            parts.push(FamilySlices { scope, kept: 0, slices, ..family.clone() });
                            parts.len() - 1
                        });
                        parts[part].keeps_scope_labels |= is_described && scope.is_none();
                        last = Some((labels().collect(), part));
                        part
                    }
                };
                parts[part].kept += 1;
                parts[part].slices[slice_index].restore_series(index);
            }
        }
        self.families.extend(parts);
    }

    /// Adds the attributes of `otel_scope_info` to the scopes that it describes.
    fn describe_scopes(&mut self) {
        for body in &self.bodies {
            for sample in body.iter().filter(|family| is_scope_info(family.name())).flat_map(|family| family.samples()) {
                let described = Scope::of_labels(sample.labels()).unwrap_or_default();
                for scope in self.scopes.iter_mut().filter(|scope| scope.has_name_of(&described)) {
                    scope.add_info(sample.labels());
                }
            }
        }
    }
}

/// The index of a scope, which is added if it is new. `None` if there are too many.
fn index_of(scopes: &mut Vec<Scope>, scope: Scope) -> Option<usize> {
    let known = scopes.iter().position(|known| *known == scope);
    known.or_else(|| {
        (scopes.len() < SCOPES_MAX).then(|| {
            scopes.push(scope);
            scopes.len() - 1
        })
    })
}
