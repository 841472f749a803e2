//! The labels of which a family has an unknown value: a series that was not readable may have any value of them.

use super::{Families, FamiliesBuilder};

/// Stands for all labels: nothing is known of a series that was not readable, not even whether there is one. No label has this name.
pub const ALL_LABELS: &str = "*";

/// A label of which a series of a family has an unknown value.
#[derive(Clone, Debug)]
pub(super) struct UnknownLabel {
    family: Box<str>,
    label: &'static str,
}

impl FamiliesBuilder<'_> {
    /// Notes that a series of a family has an unknown value of a label. The labels are those of a definition, so their number is bounded.
    pub fn note_unknown_label(&mut self, family: &str, label: &'static str) {
        let unknown = &mut self.out.unknown_labels;
        if !unknown.iter().any(|known| *known.family == *family && known.label == label) {
            unknown.push(UnknownLabel { family: family.into(), label });
        }
    }
}

impl Families {
    /// The labels of which a series has an unknown value, each with the name of its family.
    pub fn unknown_labels(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.unknown_labels.iter().map(|unknown| (&*unknown.family, unknown.label))
    }

    /// The memory of the unknown labels in bytes.
    pub(super) fn unknown_labels_bytes(&self) -> usize {
        let texts: usize = self.unknown_labels.iter().map(|unknown| unknown.family.len()).sum();
        texts + self.unknown_labels.capacity() * size_of::<UnknownLabel>()
    }
}
