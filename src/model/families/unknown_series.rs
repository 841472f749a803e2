//! Series of which not everything is known: the values of some labels, all labels, or even the family.

use super::{Families, FamiliesBuilder};

/// The largest number of families with unreadable series whose names are stored. If there are more, any family may have one.
const UNREADABLE_FAMILIES_MAX: usize = 100;

/// A series of a family with an unknown value of a label. Without a label, all of its labels are unknown; without a family, the family is.
#[derive(Clone, Debug)]
pub(super) struct UnknownSeries {
    family: Option<Box<str>>,
    label: Option<&'static str>,
}

impl UnknownSeries {
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
            self.unknown_series.len() < UNREADABLE_FAMILIES_MAX || self.unknown_series.iter().any(|known| known.is(Some(family), None))
        };
        self.note_unknown(family.filter(is_stored), None);
    }

    fn note_unknown(&mut self, family: Option<&str>, label: Option<&'static str>) {
        if !self.unknown_series.iter().any(|known| known.is(family, label)) {
            self.unknown_series.push(UnknownSeries { family: family.map(Into::into), label });
        }
    }

    /// The labels of which a series has an unknown value, each with the name of its family. Without a label, any label of a series is
    /// unknown; without a family, it may be one of any family.
    pub fn unknown_series(&self) -> impl Iterator<Item = (Option<&str>, Option<&'static str>)> {
        self.unknown_series.iter().map(|unknown| (unknown.family.as_deref(), unknown.label))
    }

    /// The memory of the unknown series in bytes.
    pub(super) fn unknown_series_bytes(&self) -> usize {
        let texts: usize = self.unknown_series.iter().filter_map(|unknown| unknown.family.as_deref()).map(str::len).sum();
        texts + self.unknown_series.capacity() * size_of::<UnknownSeries>()
    }
}
