//! The labels of which a family has an unknown value: a series that was not readable may have any value of them.

use super::{Families, FamiliesBuilder};

/// The largest number of families with unreadable series whose names are stored. If there are more, any family may have one.
const UNREADABLE_FAMILIES_MAX: usize = 100;

/// A label of which a series of a family has an unknown value. Without a label, all of its labels are unknown; without a family, the family
/// is.
#[derive(Clone, Debug)]
pub(super) struct UnknownLabel {
    family: Option<Box<str>>,
    label: Option<&'static str>,
}

impl UnknownLabel {
    fn is(&self, family: Option<&str>, label: Option<&str>) -> bool {
        self.family.as_deref() == family && self.label == label
    }
}

impl FamiliesBuilder<'_> {
    /// Notes that a series of a family has an unknown value of a label. The labels are those of a definition, so their number is bounded.
    pub fn note_unknown_label(&mut self, family: &str, label: &'static str) {
        self.out.note_unknown(Some(family), Some(label));
    }

    /// Notes that a series of a family, or of an unknown one, is not readable.
    pub fn note_unreadable_series(&mut self, family: Option<&str>) {
        self.out.note_unreadable_series(family);
    }

    /// Notes that a series of the last family is not readable.
    pub fn note_unreadable_in_family(&mut self) {
        let family = self.family_name().map(|name| self.read(name).to_owned());
        self.out.note_unreadable_series(family.as_deref());
    }
}

impl Families {
    /// Notes that a series of a family, or of an unknown one, is not readable, so that it may have any labels.
    pub fn note_unreadable_series(&mut self, family: Option<&str>) {
        let is_stored = |family: &&str| {
            self.unknown_labels.len() < UNREADABLE_FAMILIES_MAX || self.unknown_labels.iter().any(|known| known.is(Some(family), None))
        };
        self.note_unknown(family.filter(is_stored), None);
    }

    fn note_unknown(&mut self, family: Option<&str>, label: Option<&'static str>) {
        if !self.unknown_labels.iter().any(|known| known.is(family, label)) {
            self.unknown_labels.push(UnknownLabel { family: family.map(Into::into), label });
        }
    }

    /// The labels of which a series has an unknown value, each with the name of its family. Without a label, any label of a series is
    /// unknown; without a family, it may be one of any family.
    pub fn unknown_labels(&self) -> impl Iterator<Item = (Option<&str>, Option<&'static str>)> {
        self.unknown_labels.iter().map(|unknown| (unknown.family.as_deref(), unknown.label))
    }

    /// The memory of the unknown labels in bytes.
    pub(super) fn unknown_labels_bytes(&self) -> usize {
        let texts: usize = self.unknown_labels.iter().filter_map(|unknown| unknown.family.as_deref()).map(str::len).sum();
        texts + self.unknown_labels.capacity() * size_of::<UnknownLabel>()
    }
}
