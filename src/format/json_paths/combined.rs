//! Series with their labels: nodes with the same labels are one series.

use super::path::LocatedNode;
use super::scalar;
use super::series::{Combine, LabelSource, PathSeries};
use crate::model::FamiliesBuilder;
use std::borrow::Cow;
use std::collections::HashMap;

/// The largest number of nodes of a family whose labels are partly known. With more of them, all series of the family are unknown.
pub(super) const PARTIAL_MAX: usize = 100;

/// The labels of a series, ordered by name.
pub(super) type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// The labels of a node of which some cannot be read.
pub(super) struct PartialLabels<'a> {
    pub known: Labels<'a>,
    pub unknown: Vec<&'static str>,
}

impl PartialLabels<'_> {
    /// Returns true if the node may belong to the series with these labels.
    fn may_be(&self, labels: &Labels<'_>) -> bool {
        let is_known = |name: &&str| !self.unknown.contains(name);
        let of_series = labels.iter().filter(|(name, _)| is_known(name));
        of_series.eq(self.known.iter())
    }
}

/// Reads the labels of a node. If `are_required`, one that the node does not have cannot be read.
///
/// # Errors
/// A label's value is a list or an object.
pub(super) fn labels_of<'a>(
    series: &'static PathSeries,
    located: &LocatedNode<'a>,
    are_required: bool,
) -> Result<Labels<'a>, PartialLabels<'a>> {
    let mut labels = Labels::with_capacity(series.labels.len());
    let mut unknown = Vec::new();
    for (name, source) in series.labels {
        let value = match source {
            LabelSource::Fixed(text) => Ok(Some(Cow::Borrowed(*text))),
            LabelSource::Key => Ok(located.key.clone().map(Cow::Owned)),
            LabelSource::Path { path, suffix } => {
                scalar::label(path.node(located.node)).map(|text| text.map(|text| without_suffix(text, suffix)))
            }
        };
        match value {
            Ok(Some(value)) => labels.push((*name, value)),
            Ok(None) if !are_required => {}
            Ok(None) | Err(()) => unknown.push(*name),
        }
    }
    labels.sort_unstable_by_key(|(name, _)| *name);
    if unknown.is_empty() { Ok(labels) } else { Err(PartialLabels { known: labels, unknown }) }
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
    /// The labels of nodes of which some could not be read.
    partial: Vec<PartialLabels<'a>>,
    /// Nodes could not be read, and may belong to any of the series.
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

    /// Notes a node that cannot be read: the value of its series is unknown, or that of all series that it may belong to.
    pub(super) fn add_unreadable(&mut self, labels: Result<Labels<'a>, PartialLabels<'a>>) {
        match labels {
            Ok(labels) => self.add(labels, f64::NAN, Combine::Sum),
            Err(partial) if partial.known.is_empty() || self.partial.len() == PARTIAL_MAX => self.is_incomplete = true,
            Err(partial) => {
                // Sums that do not depend on the unknown labels include it.
                self.add(partial.known.clone(), f64::NAN, Combine::Sum);
                self.partial.push(partial);
            }
        }
    }

    /// Notes that nodes are missing which may belong to any of the series.
    pub(super) fn add_unknown_nodes(&mut self) {
        self.is_incomplete = true;
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
        if self.is_incomplete {
            out.note_unreadable_series(Some(series.family));
        }
        for name in self.partial.iter().flat_map(|partial| &partial.unknown) {
            out.note_unknown_label(series.family, name);
        }
        // The names of labels are few, so they are stored once.
        let mut names = HashMap::new();
        for ((_, labels), value) in ordered.into_iter().zip(self.values) {
            let is_unknown = self.is_incomplete || self.partial.iter().any(|partial| partial.may_be(&labels));
            for (name, text) in labels {
                let name = *names.entry(name).or_insert_with(|| out.add_text(name));
                let text = out.add_text(&text);
                out.label(name, text);
            }
            out.number(if is_unknown { f64::NAN } else { value });
        }
    }
}
