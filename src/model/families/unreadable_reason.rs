//! The reasons why values of families are not known, for `explain`.

use super::{Families, FamiliesBuilder};

/// The number of families of one response whose reasons are kept: the first ones.
const REASONS_MAX: usize = 8;

/// The reason why a value of a family is not known.
#[derive(Clone, Debug)]
pub(super) struct UnreadableReason {
    family: Box<str>,
    reason: Box<str>,
}

impl FamiliesBuilder<'_> {
    /// Notes why a value of a family cannot be read. The first reason of a family is kept.
    pub fn explain_unreadable(&mut self, family: &str, reason: impl FnOnce() -> String) {
        let reasons = &mut self.out.unreadable_reasons;
        if reasons.len() < REASONS_MAX && !reasons.iter().any(|known| *known.family == *family) {
            reasons.push(UnreadableReason { family: family.into(), reason: reason().into() });
        }
    }
}

impl Families {
    /// The reason why a value of a family cannot be read, with text of the server.
    #[must_use]
    pub fn unreadable_reason(&self, family: &str) -> Option<&str> {
        self.unreadable_reasons.iter().find(|known| *known.family == *family).map(|known| &*known.reason)
    }

    /// Returns true if the value NaN stands for one that is not known, which the reader has counted as a repair.
    #[must_use]
    pub fn has_unknown_values(&self) -> bool {
        !self.unreadable_reasons.is_empty()
    }

    /// The memory of the reasons in bytes.
    pub(super) fn unreadable_reasons_bytes(&self) -> usize {
        let texts: usize = self.unreadable_reasons.iter().map(|known| known.family.len() + known.reason.len()).sum();
        texts + self.unreadable_reasons.capacity() * size_of::<UnreadableReason>()
    }
}
