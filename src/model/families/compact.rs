//! A copy of some series of a response without the rest of its body.

use super::sample::{Sample, Shape};
use super::{Families, Family, FamilyRef, Label, LabelName, SampleRef, Text};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::mem::size_of;

/// The memory of an exemplar without its labels.
const EXEMPLAR_BYTES: usize = 48;
/// Less unused memory is kept: it costs less than a copy with each poll.
const FREED_BYTES_MIN: usize = 1024;

/// Builds families from some series of other families. The body of the copy has only their texts.
#[derive(Debug, Default)]
pub(in crate::model) struct CompactCopy {
    out: Families,
    texts: HashMap<Box<str>, Text, RandomState>,
    /// The indices of label names, by the positions of their texts.
    names: HashMap<Text, u16, RandomState>,
}

impl CompactCopy {
    /// Adds a family with those series for whose index `keep` returns true. Returns the index of the new family.
    pub(in crate::model) fn add(&mut self, family: FamilyRef<'_>, mut keep: impl FnMut(usize) -> bool) -> usize {
        let first = self.out.samples.len() as u32;
        let (name, help, unit) = (self.text(family.name()), self.text(family.help()), self.text(family.unit()));
        for (_, sample) in family.samples().enumerate().filter(|(index, _)| keep(*index)) {
            self.sample(&sample);
        }
        let end = self.out.samples.len() as u32;
        self.out.families.push(Family { name, help, unit, kind: family.kind(), first, end });
        self.out.families.len() - 1
    }

    pub(in crate::model) fn finish(mut self) -> Families {
        self.out.shrink();
        self.out
    }

    fn sample(&mut self, sample: &SampleRef<'_>) {
        let index = self.out.samples.len() as u32;
        if let Some(nanos) = sample.created() {
            self.out.extras.add_created(index, nanos);
        }
        self.out.timestamps.extend(sample.timestamp().map(|timestamp| (index, timestamp)));
        for exemplar in sample.exemplars() {
            let labels: Vec<(Text, Text)> = exemplar.labels().map(|(name, value)| (self.text(name), self.text(value))).collect();
            self.out.extras.add_exemplar(index, &labels, exemplar.value(), exemplar.time());
        }
        let labels = self.out.labels.len() as u32;
        for (name, value) in sample.labels() {
            let label = Label::new(self.name(name), self.text(value));
            self.out.labels.push(label);
        }
        let distribution = usize::try_from(sample.sample.bits).unwrap_or(usize::MAX);
        let bits = match sample.sample.shape {
            Shape::Number => sample.sample.bits,
            Shape::Histogram => {
                self.out.histograms.extend(sample.of.histograms.get(distribution).cloned());
                self.out.histograms.len() as u64 - 1
            }
            Shape::Summary => {
                self.out.summaries.extend(sample.of.summaries.get(distribution).cloned());
                self.out.summaries.len() as u64 - 1
            }
        };
        self.out.samples.push(Sample { labels, labels_len: sample.sample.labels_len, shape: sample.sample.shape, bits });
    }

    /// The index of a label name. There are not more of them than in the response.
    fn name(&mut self, name: &str) -> u16 {
        let text = self.text(name);
        let next = self.out.names.len() as u16;
        *self.names.entry(text).or_insert_with(|| {
            self.out.push_name(LabelName::new(text, name.as_bytes()));
            next
        })
    }

    /// The position of a text, which is stored once, however often it is used.
    fn text(&mut self, text: &str) -> Text {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let added = Text::new(self.out.body.len(), text.len());
        self.out.body.push_str(text);
        self.texts.insert(text.into(), added);
        added
    }
}

impl Families {
    /// The memory of the families in bytes, without the overhead of allocations.
    pub(in crate::model) fn memory_bytes(&self) -> usize {
        let texts = self.body.capacity() + self.added_text.capacity();
        let tables = self.families.capacity() * size_of::<Family>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.labels.capacity() * size_of::<Label>()
            + self.names.capacity() * size_of::<LabelName>()
            + self.inconsistent.capacity() * size_of::<Text>()
            + self.unreadable.capacity() * size_of::<(Text, Sample)>()
            + self.unreadable_labels.capacity() * size_of::<Label>()
            + self.timestamps.capacity() * size_of::<(u32, i64)>()
            + self.unreadable_reasons_bytes()
            + self.unknown_series_bytes()
            + self.extras.memory_bytes();
        let histograms: usize = self.histograms.iter().map(|h| (h.bounds.capacity() + h.cumulative.capacity()) * 8).sum();
        let summaries: usize = self.summaries.iter().map(|s| s.quantiles.capacity() * 16).sum();
        let distributions =
            self.histograms.capacity() * size_of::<super::Histogram>() + self.summaries.capacity() * size_of::<super::Summary>();
        texts + tables + histograms + summaries + distributions
    }

    /// Frees memory that was allocated and is not used, where that is worth a copy.
    pub(in crate::model) fn shrink(&mut self) {
        self.body.shrink_to_fit();
        if is_worth_a_copy(self.added_text.capacity() - self.added_text.len()) {
            self.added_text.shrink_to_fit();
        }
        shrink(&mut self.families);
        shrink(&mut self.samples);
        shrink(&mut self.labels);
        shrink(&mut self.names);
        shrink(&mut self.histograms);
        shrink(&mut self.summaries);
        shrink(&mut self.inconsistent);
        shrink(&mut self.unreadable);
        shrink(&mut self.unreadable_labels);
        shrink(&mut self.timestamps);
        self.extras.shrink();
    }
}

/// Frees the unused memory of a table, if it is worth a copy.
fn shrink<T>(table: &mut Vec<T>) {
    if is_worth_a_copy((table.capacity() - table.len()) * size_of::<T>()) {
        table.shrink_to_fit();
    }
}

fn is_worth_a_copy(unused_bytes: usize) -> bool {
    unused_bytes >= FREED_BYTES_MIN
}

impl SampleRef<'_> {
    /// The memory that a copy of the series needs at most, in bytes.
    pub(in crate::model) fn copy_bytes(&self) -> usize {
        let labels: usize = self.stored_labels().iter().map(|label| label.value().len() + size_of::<Label>()).sum();
        let distribution = usize::try_from(self.sample.bits).unwrap_or(usize::MAX);
        let value = match self.sample.shape {
            Shape::Number => 0,
            Shape::Histogram => {
                let values = self.of.histograms.get(distribution).map_or(0, |h| h.bounds.len() * 16);
                values + size_of::<super::Histogram>()
            }
            Shape::Summary => self.of.summaries.get(distribution).map_or(0, |s| s.quantiles.len() * 16) + size_of::<super::Summary>(),
        };
        let text = |(name, value): (&str, &str)| name.len() + value.len() + size_of::<(Text, Text)>();
        let exemplars: usize = self.exemplars().map(|exemplar| EXEMPLAR_BYTES + exemplar.labels().map(text).sum::<usize>()).sum();
        let times = self.created().map_or(0, |_| size_of::<(u32, u64)>()) + self.timestamp().map_or(0, |_| size_of::<(u32, i64)>());
        size_of::<Sample>() + labels + value + exemplars + times
    }
}
