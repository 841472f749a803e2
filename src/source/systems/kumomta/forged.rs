//! What an attacker forged through a name: KumoMTA writes each family and each series once, and label values without escapes.
//!
//! # Who is trusted
//!
//! Campaigns and tenants usually come from message headers, domains from recipients, so their text is hostile. It can hold anything
//! that the format has a meaning for: whole series and families. Two things give it away. A series of the server stands on a line of
//! its own, so what else is on that line is text. And a family whose name stands at the head of two blocks, one of them perhaps inside
//! a label, was not written twice by the server: neither copy is kept, and the operator sees a missing metric instead of a wrong one.

use crate::format::ReadError;
use crate::model::{Families, Repair};
use std::collections::HashSet;

/// Different families that stand more than once. A server has about a hundred families.
const FORGED_FAMILIES_MAX: usize = 10_000;

/// The heads of families that were seen in a response.
#[derive(Default)]
pub(super) struct Heads<'a> {
    seen: HashSet<&'a str>,
    forged: HashSet<String>,
}

impl<'a> Heads<'a> {
    /// A family begins.
    pub(super) fn family(&mut self, name: &'a str) {
        if self.seen.len() < FORGED_FAMILIES_MAX && !self.seen.insert(name) {
            self.inside_text(name);
        }
    }

    /// The head of a family stands inside a label or inside something that could not be read.
    pub(super) fn inside_text(&mut self, name: &str) {
        if self.forged.len() <= FORGED_FAMILIES_MAX && !self.forged.contains(name) {
            self.forged.insert(name.to_owned());
        }
    }

    /// The families of which no block is kept.
    pub(super) fn into_forged(self) -> HashSet<String> {
        self.forged
    }
}

/// Leaves out what stands more than once, and the families in `forged`.
///
/// # Errors
/// When nothing is left.
pub(super) fn leave_out(mut families: Families, forged: &HashSet<String>) -> Result<Families, ReadError> {
    if forged.len() > FORGED_FAMILIES_MAX {
        return Err(ReadError::Malformed(format!("more than {FORGED_FAMILIES_MAX} families stand more than once")));
    }
    families.remove_repeated(forged);
    if families.series() == 0 && families.repairs().get(Repair::Forged) > 0 {
        return Err(ReadError::Malformed("every series stands more than once".to_owned()));
    }
    Ok(families)
}
