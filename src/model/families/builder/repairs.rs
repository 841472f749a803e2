//! The repairs that a reader of a response counts.

use super::{FamiliesBuilder, LABELS_PER_SERIES_MAX};
use crate::model::families::sample::{Sample, Shape};
use crate::model::{Repair, Repairs};

impl FamiliesBuilder<'_> {
    /// Counts a repair, which concerns the last family.
    pub fn repair(&mut self, repair: Repair) {
        self.out.repairs.count(repair);
        if matches!(repair, Repair::InconsistentHistogram | Repair::TooManyBuckets | Repair::MissingCount) {
            let family = self.family_name().filter(|name| self.out.inconsistent.last() != Some(name));
            self.out.inconsistent.extend(family);
        }
    }

    /// Counts a repair that was made several times.
    pub fn count(&mut self, repair: Repair, times: u64) {
        self.out.repairs.add(repair, times);
    }

    /// Counts repairs.
    pub fn repairs(&mut self, repairs: &Repairs) {
        self.out.repairs.add_all(repairs);
    }

    /// Returns the kind of a repair so far, if there is one: of what was dropped, or else of what was read.
    #[must_use]
    pub fn main_repair(&self) -> Option<Repair> {
        let repairs = || self.out.repairs.iter().map(|(repair, _)| repair);
        repairs().find(|repair| repair.hides_series()).or_else(|| repairs().next())
    }

    /// Notes a histogram with the current labels that cannot be read, so that no sum over it is computed.
    pub fn add_unreadable_histogram(&mut self, repair: Repair) {
        let from = self.end_of_labels();
        let labels = self.out.labels.get(from..).unwrap_or_default();
        let is_stored = labels.len() <= LABELS_PER_SERIES_MAX && !self.has_unstored_name;
        if let Some(family) = self.out.families.last().filter(|_| is_stored) {
            let first = self.out.unreadable_labels.len() as u32;
            self.out.unreadable_labels.extend_from_slice(labels);
            let sample = Sample { labels: first, labels_len: labels.len() as u16, shape: Shape::Histogram, bits: u64::MAX };
            self.out.unreadable.push((family.name, sample));
        }
        self.discard_labels();
        self.repair(repair);
    }
}
