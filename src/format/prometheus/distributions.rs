//! Adds samples to histograms and summaries.

use super::labels::Label;
use super::reader::Reader;
use super::sample_value::SampleValue;
use crate::format::buckets::BUCKETS_MAX;
use crate::format::{Buckets, number};
use crate::model::Repair;

impl<'a> Reader<'_, 'a> {
    /// Adds a sample to a histogram or a summary. `bound_label` is the label of its buckets or quantiles.
    pub(super) fn add_to_distribution(
        &mut self,
        suffix: &str,
        bound_label: &str,
        labels: &mut Vec<Label<'a>>,
        (sample, timestamp): (&SampleValue<'_>, Option<i64>),
    ) -> Option<()> {
        let value = sample.value;
        let bound = match suffix {
            "_sum" | "_count" => None,
            _ => {
                let at = labels.iter().position(|(name, _)| name == bound_label)?;
                Some(number::parse(labels.remove(at).1.as_bytes())?)
            }
        };
        let family = match self.pending_family {
            Some(family) => family,
            None => self.begin_distributions(),
        };
        let exemplar = sample.exemplar.map(|text| self.out.text(text));
        if exemplar.is_some() && suffix != "_bucket" {
            self.out.repair(Repair::ExemplarDropped);
        }
        let distribution = self.pending.get_or_insert(self.out, family, labels);
        // A line without a timestamp belongs to the distribution as it is.
        match (distribution.timestamp, timestamp) {
            (Some(newest), Some(timestamp)) if timestamp < newest => {
                self.out.repair(Repair::DuplicateSeries);
                return Some(());
            }
            (Some(newest), Some(timestamp)) if timestamp > newest => {
                (distribution.buckets, distribution.timestamp) = (Buckets::default(), Some(timestamp));
                distribution.exemplars.clear();
                self.out.repair(Repair::DuplicateSeries);
            }
            (None, Some(_)) => distribution.timestamp = timestamp,
            _ => {}
        }
        if let Some(exemplar) = exemplar.filter(|_| suffix == "_bucket" && distribution.exemplars.len() < BUCKETS_MAX) {
            distribution.exemplars.push(exemplar);
        }
        let buckets = &mut distribution.buckets;
        match (suffix, bound) {
            // The first of several is kept. Duplicate buckets are counted when all have been read.
            ("_sum", _) if buckets.sum.is_some() => self.out.repair(Repair::DuplicateSeries),
            ("_count", _) if buckets.count.is_some() => self.out.repair(Repair::DuplicateSeries),
            ("_sum", _) => buckets.sum = Some(value),
            ("_count", _) => buckets.count = Some(value),
            // One bucket more than allowed is kept, so that the excess is detected when all have been read.
            (_, Some(_)) if buckets.counts.len() > BUCKETS_MAX => {}
            (_, Some(bound)) => buckets.counts.push((bound, value)),
            _ => return None,
        }
        Some(())
    }

    /// Adds the current family to the families of distributions, and returns its index there.
    pub(super) fn begin_distributions(&mut self) -> usize {
        let name = self.out.text(&self.family);
        let family = self.pending.begin(name, self.help, self.unit, self.kind);
        self.pending_family = Some(family);
        if let Some(known) = self.known.get_mut(&self.family) {
            known.pending_family = Some(family);
        }
        family
    }

    /// Updates the help text and the unit of the current family, if it has distributions.
    pub(super) fn describe_pending(&mut self) {
        if let Some(family) = self.pending_family {
            self.pending.describe(family, self.help, self.unit);
        }
    }
}
