//! Histograms and summaries while their lines are read. Other families may stand between those lines, so all wait for the end.

use super::labels::Label;
use crate::format::{Buckets, quantiles};
use crate::model::{FamiliesBuilder, FamilyType, Text};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// The distributions of a response.
#[derive(Default)]
pub(super) struct Pending {
    families: Vec<PendingFamily>,
    /// Positions in `all`, by the hash of a distribution's family and labels without `le` or `quantile`, in whatever order those stand.
    places: HashMap<u64, usize>,
    seed: RandomState,
    /// The labels of all of them, one after the other.
    labels: Vec<(Text, Text)>,
    all: Vec<Distribution>,
}

struct PendingFamily {
    name: Text,
    help: Text,
    kind: FamilyType,
}

struct Distribution {
    family: usize,
    labels: Range<usize>,
    buckets: Buckets,
}

impl Pending {
    /// How many distributions there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds a family; its number.
    pub(super) fn begin(&mut self, name: Text, help: Text, kind: FamilyType) -> usize {
        self.families.push(PendingFamily { name, help, kind });
        self.families.len() - 1
    }

    /// Sets the help text of a family.
    pub(super) fn describe(&mut self, family: usize, help: Text) {
        if let Some(family) = self.families.get_mut(family) {
            family.help = help;
        }
    }

    /// What has been read of the distribution of this family with these labels.
    pub(super) fn at<'a>(&mut self, out: &mut FamiliesBuilder<'a>, family: usize, labels: &[Label<'a>]) -> &mut Buckets {
        // Servers write one distribution after the other, so it is nearly always the last.
        let place = match self.all.last() {
            Some(last) if last.family == family && self.is_written_so(out, last, labels) => self.all.len() - 1,
            _ => self.find(out, family, labels),
        };
        &mut self.all[place].buckets
    }

    fn find<'a>(&mut self, out: &mut FamiliesBuilder<'a>, family: usize, labels: &[Label<'a>]) -> usize {
        let family_hash = self.seed.hash_one(family);
        let mut hash = labels.iter().fold(family_hash, |sum, label| sum.wrapping_add(self.seed.hash_one(label)));
        while let Some(place) = self.places.get(&hash) {
            let found = &self.all[*place];
            if found.family == family && self.has(out, found, labels) {
                return *place;
            }
            hash = hash.wrapping_add(1);
        }
        self.places.insert(hash, self.all.len());
        let first = self.labels.len();
        self.labels.extend(labels.iter().map(|(name, value)| (out.text(name), out.text(value))));
        self.all.push(Distribution { family, labels: first..self.labels.len(), buckets: Buckets::default() });
        self.all.len() - 1
    }

    /// Whether it has these labels in this order.
    fn is_written_so(&self, out: &FamiliesBuilder<'_>, distribution: &Distribution, labels: &[Label<'_>]) -> bool {
        let its = &self.labels[distribution.labels.clone()];
        let mut pairs = its.iter().zip(labels);
        its.len() == labels.len() && pairs.all(|((name, value), label)| out.read(*value) == label.1 && out.read(*name) == label.0)
    }

    /// Whether it has these labels in any order.
    fn has(&self, out: &FamiliesBuilder<'_>, distribution: &Distribution, labels: &[Label<'_>]) -> bool {
        let its = &self.labels[distribution.labels.clone()];
        let is_its = |label: &Label<'_>| its.iter().any(|(name, value)| out.read(*value) == label.1 && out.read(*name) == label.0);
        its.len() == labels.len() && labels.iter().all(is_its)
    }

    /// Adds all distributions to the families, now that their lines have been read.
    pub(super) fn finish(mut self, out: &mut FamiliesBuilder<'_>) {
        // Stable: within a family they stay in the server's order.
        self.all.sort_by_key(|distribution| distribution.family);
        let mut begun = None;
        for Distribution { family, labels, buckets } in self.all {
            let PendingFamily { name, help, kind } = self.families[family];
            if begun.replace(family) != Some(family) {
                out.family(name, help, kind);
            }
            self.labels[labels].iter().for_each(|(name, value)| out.label(*name, *value));
            if kind == FamilyType::Summary {
                let (summary, repairs) = quantiles::summary(buckets);
                out.summary(summary);
                out.repairs(&repairs);
                continue;
            }
            match buckets.finish() {
                Ok((histogram, repairs)) => {
                    out.histogram(histogram);
                    out.repairs(&repairs);
                }
                Err(repair) => out.lose_distribution(repair),
            }
        }
    }
}
