//! Native labels that have the same name after Prometheus' OTLP receiver has translated them, such as `a.b` and `a_b`. The receiver joins
//! their values in one label, and series that differ only in these names become one.

use super::{SelectedFamily, TranslationStrategy, escaped_by_values, is_translatable};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

/// Two labels of a family that get the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelCollision {
    /// The native names.
    pub labels: [String; 2],
    /// The name of both in Prometheus.
    pub translated: String,
}

/// The name of a label after OTLP.
pub(super) fn translated_label(name: &str) -> Cow<'_, str> {
    match is_translatable(name.as_bytes()) {
        true => TranslationStrategy::default().label_name(name),
        // As in the export.
        false => Cow::Owned(escaped_by_values(name)),
    }
}

/// Finds the first two labels of a family whose series are changed because the labels get the same name. The first `series_max` series are
/// compared.
pub(super) fn label_collision(family: &SelectedFamily<'_>, series_max: usize) -> Option<LabelCollision> {
    let samples = || family.samples().take(series_max);
    if samples().all(|sample| sample.has_plain_label_names()) {
        return None;
    }
    let hasher = RandomState::default();
    let mut natives: HashMap<Cow<'_, str>, &str> = HashMap::new();
    let mut series = HashSet::new();
    let mut found = None;
    for sample in samples() {
        let mut labels: Vec<_> = sample.labels().map(|(name, value)| (translated_label(name), name, value)).collect();
        labels.sort_unstable();
        let joined = labels.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some([a, b]) = joined {
            return Some(LabelCollision { labels: [a.1.to_owned(), b.1.to_owned()], translated: a.0.to_string() });
        }
        let identity: Vec<_> = labels.iter().map(|(translated, _, value)| (translated, value)).collect();
        let is_merged = !series.insert(hasher.hash_one(identity));
        for (translated, native, _) in labels {
            let other = *natives.entry(translated.clone()).or_insert(native);
            if other != native && found.is_none() {
                found = Some(LabelCollision { labels: [other.to_owned(), native.to_owned()], translated: translated.into_owned() });
            }
        }
        // Series with different values stay different.
        if is_merged && found.is_some() {
            return found;
        }
    }
    None
}
