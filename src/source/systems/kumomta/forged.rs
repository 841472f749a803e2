//! Detects series and families that an attacker forged through a name. KumoMTA does not escape label values.
//!
//! # Names are hostile
//!
//! Names of campaigns and tenants usually come from message headers, and domains come from recipients. They can contain anything that has a
//! meaning in the format: whole series and families. Two rules detect them. The server writes each series on a line of its own, so
//! everything else on the line is text. And the server writes each family and each series once, so if a family seems to begin twice,
//! perhaps once inside a label value, neither copy is trusted: a missing metric is better than a wrong one.

use crate::format::ReadError;
use crate::model::{Families, Repair};
use std::collections::HashSet;

/// The largest number of different families in a response that are checked. A server has about a hundred.
pub(super) const FAMILIES_MAX: usize = 10_000;

/// The names of the families that begin in a response.
#[derive(Default)]
pub(super) struct FamilyHeads<'a> {
    seen: HashSet<&'a str>,
    forged: HashSet<String>,
}

impl<'a> FamilyHeads<'a> {
    /// Adds a family. If it has been seen before, it counts as forged.
    pub(super) fn add(&mut self, name: &'a str) {
        if self.seen.len() < FAMILIES_MAX && !self.seen.insert(name) {
            self.add_forged(name);
        }
    }

    /// Adds a family that seems to begin inside a label value or inside unreadable text.
    pub(super) fn add_forged(&mut self, name: &str) {
        if self.forged.len() <= FAMILIES_MAX && !self.forged.contains(name) {
            self.forged.insert(name.to_owned());
        }
    }

    /// Returns `true` if this family is not trusted.
    pub(super) fn is_forged(&self, name: &str) -> bool {
        self.forged.contains(name)
    }

    /// Returns the families that are not trusted.
    pub(super) fn into_forged(self) -> HashSet<String> {
        self.forged
    }
}

/// Drops all series that occur more than once, and the families in `forged`.
///
/// # Errors
/// If no series is left.
pub(super) fn drop_forged(mut families: Families, forged: &HashSet<String>) -> Result<Families, ReadError> {
    if forged.len() > FAMILIES_MAX {
        return Err(ReadError::Malformed(format!("more than {FAMILIES_MAX} of its families occur more than once")));
    }
    families.remove_repeated(forged);
    if families.series() == 0 && families.repairs().get(Repair::Forged) > 0 {
        return Err(ReadError::Malformed("all of its series occur more than once".to_owned()));
    }
    Ok(families)
}
