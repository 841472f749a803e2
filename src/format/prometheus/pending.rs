//! Histograms and summaries while their lines are read. Lines of other families can be in between, so all distributions are kept until
//! the end of the response.

use super::labels::Label;
use super::sample_value::{Exemplar, parse_exemplar, seconds_to_nanos};
use super::text_format::TextFormat;
use crate::format::{Buckets, quantiles};
use crate::model::{FamiliesBuilder, FamilyType, Text};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// The distributions of a response.
#[derive(Default)]
pub(super) struct PendingDistributions {
    families: Vec<PendingFamily>,
    /// Indexes in `all`, by the hash of the family and the labels without `le` or `quantile`. The order of labels does not matter.
    indexes: HashMap<u64, usize>,
    seed: RandomState,
    /// The labels of all distributions, one after the other.
    labels: Vec<(Text, Text)>,
    all: Vec<Distribution>,
}

struct PendingFamily {
    name: Text,
    help: Text,
    unit: Text,
    kind: FamilyType,
}

pub(super) struct Distribution {
    family: usize,
    labels: Range<usize>,
    pub(super) buckets: Buckets,
    /// The newest explicit timestamp of its lines, in Unix milliseconds.
    pub(super) timestamp: Option<i64>,
    /// The start time in Unix nanoseconds.
    pub(super) created: Option<u64>,
    /// The exemplars of the buckets, as texts of the body.
    pub(super) exemplars: Vec<Text>,
}

impl PendingDistributions {
    /// The number of distributions.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds a family and returns its index.
    pub(super) fn begin(&mut self, name: Text, help: Text, unit: Text, kind: FamilyType) -> usize {
        self.families.push(PendingFamily { name, help, unit, kind });
        self.families.len() - 1
    }

    /// Sets the help text and the unit of a family.
    pub(super) fn describe(&mut self, family: usize, help: Text, unit: Text) {
        if let Some(family) = self.families.get_mut(family) {
            (family.help, family.unit) = (help, unit);
        }
    }

    /// Returns the distribution of this family with these labels. It is added if it does not exist.
    pub(super) fn get_or_insert<'a>(&mut self, out: &mut FamiliesBuilder<'a>, family: usize, labels: &[Label<'a>]) -> &mut Distribution {
        // Servers write one distribution after the other, so the last one is nearly always right.
        let index = match self.all.last() {
            Some(last) if last.family == family && self.has_labels_in_order(out, last, labels) => self.all.len() - 1,
            _ => self.find_or_insert(out, family, labels),
        };
        &mut self.all[index]
    }

    fn find_or_insert<'a>(&mut self, out: &mut FamiliesBuilder<'a>, family: usize, labels: &[Label<'a>]) -> usize {
        let family_hash = self.seed.hash_one(family);
        let mut hash = labels.iter().fold(family_hash, |sum, label| sum.wrapping_add(self.seed.hash_one(label)));
        while let Some(index) = self.indexes.get(&hash) {
            let found = &self.all[*index];
            if found.family == family && self.has_labels(out, found, labels) {
                return *index;
            }
            hash = hash.wrapping_add(1);
        }
        self.indexes.insert(hash, self.all.len());
        let first = self.labels.len();
        self.labels.extend(labels.iter().map(|(name, value)| (out.text(name), out.text(value))));
        self.all.push(Distribution {
            family,
            labels: first..self.labels.len(),
            buckets: Buckets::default(),
            timestamp: None,
            created: None,
            exemplars: Vec::new(),
        });
        self.all.len() - 1
    }

    /// Returns `true` if the distribution has these labels in this order.
    fn has_labels_in_order(&self, out: &FamiliesBuilder<'_>, distribution: &Distribution, labels: &[Label<'_>]) -> bool {
        let known = &self.labels[distribution.labels.clone()];
        let mut pairs = known.iter().zip(labels);
        known.len() == labels.len() && pairs.all(|((name, value), label)| out.read(*value) == label.1 && out.read(*name) == label.0)
    }

    /// Returns `true` if the distribution has these labels in any order.
    fn has_labels(&self, out: &FamiliesBuilder<'_>, distribution: &Distribution, labels: &[Label<'_>]) -> bool {
        let known = &self.labels[distribution.labels.clone()];
        let is_known = |label: &Label<'_>| known.iter().any(|(name, value)| out.read(*value) == label.1 && out.read(*name) == label.0);
        known.len() == labels.len() && labels.iter().all(is_known)
    }

    /// Adds all distributions to the families, after all lines have been read.
    pub(super) fn finish(mut self, format: TextFormat, out: &mut FamiliesBuilder<'_>) {
        // The sort is stable, so the distributions of a family keep the server's order.
        self.all.sort_by_key(|distribution| distribution.family);
        let mut current = None;
        for Distribution { family, labels, buckets, timestamp, created, exemplars } in self.all {
            let PendingFamily { name, help, unit, kind } = self.families[family];
            if current.replace(family) != Some(family) {
                out.family(name, help, kind);
                out.unit(unit);
            }
            self.labels[labels].iter().for_each(|(name, value)| out.label(*name, *value));
            out.timestamp(timestamp);
            let before = out.series();
            if kind == FamilyType::Summary {
                match quantiles::summary(buckets) {
                    Ok((summary, repairs)) => {
                        out.summary(summary);
                        out.repairs(&repairs);
                    }
                    Err(repair) => {
                        out.discard_labels();
                        out.repair(repair);
                    }
                }
            } else {
                let buckets = if format == TextFormat::OpenMetrics { buckets.without_sum() } else { buckets };
                match buckets.finish() {
                    Ok((histogram, repairs)) => {
                        out.histogram(histogram);
                        out.repairs(&repairs);
                    }
                    Err(repair) => out.add_unreadable_histogram(repair),
                }
            }
            if out.series() > before {
                created.into_iter().for_each(|nanos| out.created_of_last(nanos));
                exemplars.into_iter().for_each(|exemplar| add_exemplar(out, out.read_body(exemplar)));
            }
        }
    }
}

/// Adds an exemplar to the last series.
pub(super) fn add_exemplar(out: &mut FamiliesBuilder<'_>, text: &str) {
    let Some(Exemplar { labels, value, time }) = parse_exemplar(text) else { return };
    let nanos = time.and_then(seconds_to_nanos).unwrap_or(0);
    out.exemplar(labels.iter().map(|(name, value)| (&**name, &**value)), value, nanos);
}
