//! Views of one family and of one sample.

use super::{Families, Family, FamilyType, Label, Text};
use crate::model::short_bytes::are_equal;
use crate::model::{Histogram, Summary};

/// A stored sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The index of its first label.
    pub labels: u32,
    pub labels_len: u16,
    pub shape: Shape,
    /// The bits of the number, or the index of the histogram or summary.
    pub bits: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Number,
    Histogram,
    Summary,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The value of a counter, a gauge, or an untyped series.
    Number(f64),
    /// A distribution in buckets.
    Histogram(&'a Histogram),
    /// A distribution in quantiles.
    Summary(&'a Summary),
}

impl Value<'_> {
    /// Returns true if each number, bucket and quantile of the value before is in this value, too. A receiver that stores one series for
    /// each of them then has none to end.
    #[must_use]
    #[inline]
    pub fn has_series_of(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Histogram(now), Self::Histogram(before)) => now.has_series_of(before),
            (Self::Summary(now), Self::Summary(before)) => now.has_series_of(before),
            (Self::Number(_), Self::Number(_)) => true,
            _ => false,
        }
    }
}

/// A family of a response.
#[derive(Clone, Copy)]
pub struct FamilyRef<'a> {
    pub(super) of: &'a Families,
    pub(super) family: &'a Family,
}

impl<'a> FamilyRef<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.of.text(self.family.name)
    }

    /// Its help text. Empty if the server sent none.
    #[must_use]
    pub fn help(&self) -> &'a str {
        self.of.text(self.family.help)
    }

    /// Its Prometheus unit. Empty if the server sent none.
    #[must_use]
    pub fn unit(&self) -> &'a str {
        self.of.text(self.family.unit)
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> FamilyType {
        self.family.kind
    }

    /// The range of its samples among those of all families.
    pub(in crate::model) fn range(&self) -> std::ops::Range<u32> {
        self.family.first..self.family.end
    }

    /// Its samples.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = SampleRef<'a>> + use<'a> {
        let of = self.of;
        let range = self.family.first as usize..self.family.end as usize;
        of.samples.get(range).unwrap_or_default().iter().map(move |sample| SampleRef { of, sample })
    }
}

/// A sample: one series of a family, with its value.
#[derive(Clone, Copy)]
pub struct SampleRef<'a> {
    pub(super) of: &'a Families,
    pub(super) sample: &'a Sample,
}

impl<'a> SampleRef<'a> {
    /// The response that contains the sample.
    pub(in crate::model) const fn families(&self) -> &'a Families {
        self.of
    }

    /// Its index among the samples of all families.
    pub(in crate::model) fn index(&self) -> u32 {
        let offset = std::ptr::from_ref(self.sample).addr().wrapping_sub(self.of.samples.as_ptr().addr());
        (offset / size_of::<Sample>()) as u32
    }

    /// Label names and values, in the server's order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let of = self.of;
        self.stored_labels().iter().map(move |label| (of.text(of.label_name(*label)), of.text(label.value())))
    }

    /// The labels as they are stored.
    pub(in crate::model) fn stored_labels(&self) -> &'a [Label] {
        let first = self.sample.labels as usize;
        self.of.labels.get(first..first + usize::from(self.sample.labels_len)).unwrap_or_default()
    }

    /// The bytes of a text.
    pub(in crate::model) fn bytes(&self, text: Text) -> &'a [u8] {
        self.of.bytes(text)
    }

    /// Label names and values as bytes: faster than [`labels`](Self::labels), for callers that only copy or compare.
    pub fn label_bytes(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let of = self.of;
        self.stored_labels().iter().map(move |label| (of.bytes(of.label_name(*label)), of.bytes(label.value())))
    }

    /// Returns true if every version of Prometheus supports the names of its labels.
    #[must_use]
    pub fn has_plain_label_names(&self) -> bool {
        self.of.has_plain_names(self.stored_labels())
    }

    /// Returns true if both samples have the same labels in the same order.
    #[must_use]
    pub fn has_labels_of(&self, other: &SampleRef<'_>) -> bool {
        let mut pairs = self.label_bytes().zip(other.label_bytes());
        // Values first: the series of a family rarely differ in label names.
        self.sample.labels_len == other.sample.labels_len && pairs.all(|(a, b)| are_equal(a.1, b.1) && are_equal(a.0, b.0))
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        let index = usize::try_from(self.sample.bits).unwrap_or(usize::MAX);
        let distribution = match self.sample.shape {
            Shape::Number => None,
            Shape::Histogram => self.of.histograms.get(index).map(Value::Histogram),
            Shape::Summary => self.of.summaries.get(index).map(Value::Summary),
        };
        distribution.unwrap_or(Value::Number(f64::from_bits(self.sample.bits)))
    }

    /// Returns true if a family of this type can have the sample's value.
    #[must_use]
    pub fn fits(&self, kind: FamilyType) -> bool {
        match kind {
            FamilyType::Histogram => self.sample.shape == Shape::Histogram,
            FamilyType::Summary => self.sample.shape == Shape::Summary,
            _ => self.sample.shape == Shape::Number,
        }
    }

    /// The explicit timestamp, in Unix milliseconds.
    #[must_use]
    #[inline]
    pub fn timestamp(&self) -> Option<i64> {
        if self.of.has_timestamps() { self.of.timestamp(self.index()) } else { None }
    }

    /// The value, if it is a number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.value() {
            Value::Number(n) => Some(n),
            Value::Histogram(_) | Value::Summary(_) => None,
        }
    }
}
