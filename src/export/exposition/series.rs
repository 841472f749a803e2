//! The series of a family of one section, with the names of their labels, without duplicates.

use super::ExpositionWriter;
use super::names::{Escaping, escaped_label_names};
use super::page_family::OfSection;
use crate::model::{SampleRef, SelectedFamily};
use std::collections::HashSet;
use std::hash::BuildHasher;

impl ExpositionWriter<'_> {
    /// Calls `write` for each series of a section's family, with the escaped names of its labels if some need escaping, and with the
    /// encoded labels of the section, to which `encode` adds each. Ends early if `write` returns `None`.
    pub(super) fn each_series(
        &mut self,
        (section, family): &OfSection<'_>,
        encode: impl Fn(&mut Vec<u8>, &str, &str),
        mut write: impl FnMut(&mut Self, &SampleRef<'_>, Option<Vec<String>>, &[u8]) -> Option<()>,
    ) -> Option<()> {
        let escaping = self.settings.format.escaping();
        let mut section_labels = std::mem::take(&mut self.section_labels);
        section_labels.clear();
        section.labels(&self.settings, family).for_each(|(name, value)| encode(&mut section_labels, name, value));
        let mut written = None;
        for sample in family.samples() {
            let names = escaped_label_names(&sample, escaping);
            if let Some(names) = &names
                && !written.get_or_insert_with(|| WrittenSeries::unescaped_of(family, escaping)).insert_escaped(&sample, names)
            {
                self.omitted.series_dropped += 1;
                continue;
            }
            write(self, &sample, names, &section_labels)?;
        }
        self.section_labels = section_labels;
        Some(())
    }
}

/// The label sets of a family's series on the page, to omit series that are duplicates after escaping. Used only for families with
/// escaped labels.
#[derive(Default)]
struct WrittenSeries {
    hash: foldhash::fast::RandomState,
    seen: HashSet<u64>,
}

impl WrittenSeries {
    /// Returns the series of a family whose labels need no escaping.
    fn unescaped_of(family: &SelectedFamily<'_>, escaping: Escaping) -> Self {
        let mut written = Self::default();
        for sample in family.samples().filter(|sample| escaped_label_names(sample, escaping).is_none()) {
            written.insert(sample.labels().collect());
        }
        written
    }

    /// Adds a series with escaped labels. Returns false if there is a series with the same labels.
    fn insert_escaped(&mut self, sample: &SampleRef<'_>, names: &[String]) -> bool {
        self.insert(names.iter().map(String::as_str).zip(sample.labels().map(|(_, value)| value)).collect())
    }

    fn insert(&mut self, mut labels: Vec<(&str, &str)>) -> bool {
        // For Prometheus an empty label is the same as a missing one.
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        self.seen.insert(self.hash.hash_one(&labels))
    }
}
