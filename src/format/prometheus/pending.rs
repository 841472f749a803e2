//! Histograms and summaries while their lines are read. Other families may stand between those lines, so all wait for the end.

use super::ending::{Exemplar, exemplar, unix_nanos};
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
    unit: Text,
    kind: FamilyType,
}

pub(super) struct Distribution {
    family: usize,
    labels: Range<usize>,
    pub(super) buckets: Buckets,
    /// The newest explicit timestamp of its lines, in Unix milliseconds.
    pub(super) timestamp: Option<i64>,
    /// When it began, in Unix nanoseconds.
    pub(super) created: Option<u64>,
    /// The exemplars of its buckets, as they stand in the body.
    pub(super) exemplars: Vec<Text>,
}

impl Pending {
    /// How many distributions there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds a family; its number.
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

    /// What has been read of the distribution of this family with these labels.
    pub(super) fn at<'a>(&mut self, out: &mut FamiliesBuilder<'a>, family: usize, labels: &[Label<'a>]) -> &mut Distribution {
        // Servers write one distribution after the other, so it is nearly always the last.
        let place = match self.all.last() {
            Some(last) if last.family == family && self.is_written_so(out, last, labels) => self.all.len() - 1,
            _ => self.find(out, family, labels),
        };
        &mut self.all[place]
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
        for Distribution { family, labels, buckets, timestamp, created, exemplars } in self.all {
            let PendingFamily { name, help, unit, kind } = self.families[family];
            if begun.replace(family) != Some(family) {
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
                continue;
            }
            match buckets.finish() {
                Ok((histogram, repairs)) => {
                    out.histogram(histogram);
                    out.repairs(&repairs);
                }
                Err(repair) => out.add_unreadable_histogram(repair),
            }
            if out.series() > before {
                created.into_iter().for_each(|nanos| out.created_of_last(nanos));
                exemplars.into_iter().for_each(|exemplar| add_exemplar(out, out.read_body(exemplar)));
            }
        }
    }
}

/// Adds an exemplar to the series that was added last.
pub(super) fn add_exemplar(out: &mut FamiliesBuilder<'_>, text: &str) {
    let Some(Exemplar { labels, value, time }) = exemplar(text) else { return };
    let nanos = time.and_then(unix_nanos).unwrap_or(0);
    out.exemplar(labels.iter().map(|(name, value)| (&**name, &**value)), value, nanos);
}
