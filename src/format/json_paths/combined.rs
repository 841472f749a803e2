//! Series with their labels: nodes with the same labels are one series.

use super::path::LocatedNode;
use super::scalar;
use super::series::{Combine, LabelSource, PathSeries};
use crate::model::FamiliesBuilder;
use std::borrow::Cow;
use std::collections::HashMap;

/// The labels of a series, ordered by name.
pub(super) type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// Reads the labels of a node.
///
/// # Errors
/// A label's value is a list or an object.
pub(super) fn labels_of<'a>(series: &'static PathSeries, located: &LocatedNode<'a>) -> Result<Labels<'a>, ()> {
    let mut labels = Labels::with_capacity(series.labels.len());
    for (name, source) in series.labels {
        let value = match source {
            LabelSource::Fixed(text) => Some(Cow::Borrowed(*text)),
            LabelSource::Key => located.key.clone().map(Cow::Owned),
            LabelSource::Path { path, suffix } => scalar::label(path.node(located.node))?.map(|text| without_suffix(text, suffix)),
        };
        labels.extend(value.map(|value| (*name, value)));
    }
    labels.sort_unstable_by_key(|(name, _)| *name);
    Ok(labels)
}

fn without_suffix<'a>(text: Cow<'a, str>, suffix: &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix(suffix).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text.strip_suffix(suffix).unwrap_or(&text).to_owned()),
    }
}

/// The series of one family, in the order of their first nodes.
#[derive(Default)]
pub(super) struct CombinedSeries<'a> {
    values: Vec<f64>,
    positions: HashMap<Labels<'a>, usize>,
    /// A node could not be read, and may belong to any of the series.
    is_incomplete: bool,
}

impl<'a> CombinedSeries<'a> {
    /// Adds the value of a node.
    pub(super) fn add(&mut self, labels: Labels<'a>, value: f64, combine: Combine) {
        let next = self.values.len();
        let at = *self.positions.entry(labels).or_insert(next);
        match self.values.get_mut(at) {
            Some(before) => *before = combine.apply(*before, value),
            None => self.values.push(value),
        }
    }

    /// Notes a node that cannot be read: the value of its series is unknown, or that of all series, if its labels are not known.
    pub(super) fn add_unreadable(&mut self, labels: Option<Labels<'a>>) {
        match labels {
            Some(labels) => self.add(labels, f64::NAN, Combine::Sum),
            None => self.is_incomplete = true,
        }
    }

    /// Adds the series that are 0 if no node has their labels.
    pub(super) fn add_zeros(&mut self, zero_for: &'static [&'static [(&'static str, &'static str)]]) {
        for labels in zero_for {
            let mut labels: Labels<'a> = labels.iter().map(|(name, value)| (*name, Cow::Borrowed(*value))).collect();
            labels.sort_unstable_by_key(|(name, _)| *name);
            let next = self.values.len();
            if *self.positions.entry(labels).or_insert(next) == next {
                self.values.push(0.0);
            }
        }
    }

    /// Writes the family.
    pub(super) fn write(self, series: &'static PathSeries, out: &mut FamiliesBuilder<'_>) {
        let (name, help) = (out.add_text(series.family), out.add_text(series.help));
        out.family(name, help, series.kind);
        let mut ordered: Vec<(usize, Labels<'a>)> = self.positions.into_iter().map(|(labels, at)| (at, labels)).collect();
        ordered.sort_unstable_by_key(|(at, _)| *at);
        // The names of labels are few, so they are stored once.
        let mut names = HashMap::new();
        for ((_, labels), value) in ordered.into_iter().zip(self.values) {
            for (name, text) in labels {
                let name = *names.entry(name).or_insert_with(|| out.add_text(name));
                let text = out.add_text(&text);
                out.label(name, text);
            }
            out.number(if self.is_incomplete { f64::NAN } else { value });
        }
    }
}
