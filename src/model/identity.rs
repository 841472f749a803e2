//! Hashes that identify series by their labels or attributes, and the search for duplicates.
//!
//! # Random seed
//!
//! Label values are often chosen by strangers (queues are named after recipients). Someone who could predict the hashes could make two
//! series collide. So the seed is random, constant for the lifetime of the process, and never leaves it.

use super::families::Label;
use super::{Attributes, FamilyRef, Metric, Point, SampleRef, SelectedFamily, is_scope_label};
use foldhash::quality::RandomState;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The suffixes of the samples of a distribution.
const DISTRIBUTION_SUFFIXES: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Bits of the filter for duplicates per series: about one in this many unique series is checked again.
const BITS_PER_SERIES: usize = 16;

/// The identity of a sample with these labels: the same as [`SampleRef::identity`].
pub(super) fn identity_of_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let hashes = labels.map(|(name, value)| mix(hash(name.as_bytes()), hash(value.as_bytes())));
    hashes.fold(0, u64::wrapping_add)
}

impl SampleRef<'_> {
    /// A hash of the labels, which does not depend on their order and is constant for the lifetime of the process. As in OTLP, an empty
    /// label differs from a missing one.
    #[must_use]
    pub fn identity(&self) -> u64 {
        self.stored_labels().iter().map(|label| self.label_hash(*label)).fold(0, u64::wrapping_add)
    }

    /// A hash of the labels as Prometheus compares them: an empty label is equal to a missing one.
    pub(crate) fn prometheus_identity(&self) -> u64 {
        let labels = self.stored_labels().iter().filter(|label| label.value().len() > 0);
        labels.map(|label| self.label_hash(*label)).fold(0, u64::wrapping_add)
    }

    /// A hash of the labels that are attributes of the point in OTLP, as Prometheus compares them: an empty one is equal to a missing one.
    pub(super) fn point_identity(&self) -> u64 {
        identity_of_labels(self.labels().filter(|(name, value)| !value.is_empty() && !is_scope_label(name.as_bytes())))
    }

    /// A hash of the labels that the samples of a distribution have in common in OTLP, as Prometheus compares them: an empty label is equal
    /// to a missing one.
    #[must_use]
    pub fn distribution_identity(&self) -> u64 {
        let is_common =
            |(name, value): &(&str, &str)| !value.is_empty() && !is_scope_label(name.as_bytes()) && !matches!(*name, "le" | "quantile");
        identity_of_labels(self.labels().filter(is_common))
    }

    fn label_hash(&self, label: Label) -> u64 {
        mix(self.families().label_name_hash(label), hash(self.bytes(label.value())))
    }
}

impl FamilyRef<'_> {
    /// A hash of the name, constant for the lifetime of the process.
    #[must_use]
    pub fn name_identity(&self) -> u64 {
        hash(self.name().as_bytes())
    }
}

impl SelectedFamily<'_> {
    /// A hash of the name without the prefix, constant for the lifetime of the process.
    #[must_use]
    pub fn name_identity(&self) -> u64 {
        hash(self.native_name().as_bytes())
    }

    /// A hash of the name that the samples of a distribution have in common, constant for the lifetime of the process.
    #[must_use]
    pub fn distribution_identity(&self) -> u64 {
        let name = self.native_name();
        let common = DISTRIBUTION_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
        hash(common.unwrap_or(name).as_bytes())
    }
}

impl Point {
    /// A hash of the metric and the attributes, constant for the lifetime of the process.
    #[must_use]
    pub fn identity(&self) -> u64 {
        identity_of_point(self.metric, &self.attributes)
    }
}

/// The identity of a point of this metric with these attributes: the same as [`Point::identity`].
pub(crate) fn identity_of_point(metric: &Metric, attributes: &Attributes) -> u64 {
    let mut hasher = SEED.build_hasher();
    metric.name.hash(&mut hasher);
    for (attribute, value) in attributes {
        (attribute.key, value).hash(&mut hasher);
    }
    hasher.finish()
}

/// A hash of some bytes, constant for the lifetime of the process.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SEED.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// Combines two hashes. A sum would be the same if two labels exchanged their values.
fn mix(name: u64, value: u64) -> u64 {
    let product = u128::from(name) * u128::from(value);
    (product as u64) ^ (product >> 64) as u64
}

/// The indices, ascending, of identities that occurred before.
pub(super) fn repeated(identities: &[u64]) -> Vec<usize> {
    if identities.len() < 2 {
        return Vec::new();
    }
    // A hash table of a million identities would miss the cache on each access. A filter of two bits per entry (seen once, seen twice)
    // fits.
    let filter_len = (identities.len() * BITS_PER_SERIES).div_ceil(64).next_power_of_two();
    let mut filter = vec![[0u64; 2]; filter_len];
    let entry = |identity: u64| ((identity >> 6) as usize & (filter_len - 1), 1u64 << (identity & 63));
    for identity in identities {
        let (index, bit) = entry(*identity);
        let [once, twice] = &mut filter[index];
        *twice |= *once & bit;
        *once |= bit;
    }
    let may_be_repeated = |identity: u64| {
        let (index, bit) = entry(identity);
        filter[index][1] & bit != 0
    };
    let candidates = identities.iter().copied().zip(0..).filter(|(identity, _)| may_be_repeated(*identity));
    let mut candidates: Vec<(u64, usize)> = candidates.collect();
    candidates.sort_unstable();
    let mut repeated: Vec<usize> = candidates.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).collect();
    repeated.sort_unstable();
    repeated
}

/// Chooses which of several samples of a series to drop: all but the newest, or all but the first if their timestamps are equal. Returns
/// indices, ascending. `timestamps` are the explicit timestamps of the samples; one without it is the newest.
pub(crate) fn duplicates_to_drop(identities: &[u64], timestamps: impl Iterator<Item = Option<i64>>) -> Vec<usize> {
    let repeated = repeated(identities);
    if repeated.is_empty() {
        return repeated;
    }
    let timestamps: Vec<Option<i64>> = timestamps.collect();
    if timestamps.iter().all(Option::is_none) {
        return repeated;
    }
    let of_several: HashSet<u64, foldhash::fast::RandomState> =
        repeated.iter().filter_map(|index| identities.get(*index).copied()).collect();
    let (mut newest, mut outdated) = (HashMap::new(), Vec::with_capacity(repeated.len()));
    let samples = identities.iter().zip(timestamps).enumerate();
    for (index, (identity, timestamp)) in samples.filter(|(_, (identity, _))| of_several.contains(identity)) {
        let sample = (timestamp.unwrap_or(i64::MAX), index);
        match newest.entry(identity) {
            Entry::Vacant(entry) => drop(entry.insert(sample)),
            Entry::Occupied(mut entry) if entry.get().0 < sample.0 => outdated.push(entry.insert(sample).1),
            Entry::Occupied(_) => outdated.push(index),
        }
    }
    outdated.sort_unstable();
    outdated
}

/// Removes the elements with these indices, which are ascending.
pub(crate) fn remove_indices<T>(list: &mut Vec<T>, indices: &[usize]) {
    let (mut indices, mut index) = (indices.iter().copied().peekable(), 0);
    list.retain(|_| {
        index += 1;
        indices.next_if_eq(&(index - 1)).is_none()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;

    #[track_caller]
    fn same(a: &str, b: &str) -> bool {
        let of = |labels: &str| {
            let families = prometheus::read(format!("x{{{labels}}} 1\n")).unwrap();
            families.iter().next().unwrap().samples().next().unwrap().identity()
        };
        of(a) == of(b)
    }

    #[test]
    fn to_prometheus_an_empty_label_is_a_missing_one() {
        let of = |labels: &str| {
            let families = prometheus::read(format!("x{{{labels}}} 1\n")).unwrap();
            families.iter().next().unwrap().samples().next().unwrap().prometheus_identity()
        };
        assert_eq!(of(r#"a="1",b="",c="2""#), of(r#"c="2",a="1""#));
        assert_eq!(of(r#"a="""#), of(""));
        assert_ne!(of(r#"a="",b="1""#), of(r#"a="1",b="""#));
    }

    #[test]
    fn the_identity_depends_on_everything_but_the_order_of_labels() {
        assert!(same(r#"a="1",b="2""#, r#"b="2",a="1""#));
        assert!(same("", ""));
        for (a, b) in [
            (r#"a="1",b="2""#, r#"a="2",b="1""#),
            (r#"a="1""#, r#"b="1""#),
            (r#"a="1""#, r#"a="1",b="""#),
            (r#"a="bc""#, r#"ab="c""#),
            (r#"a="1",b="1""#, r#"a="2",b="2""#),
        ] {
            assert!(!same(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn repeated_identities_are_found() {
        for (identities, expected) in [
            (&[][..], &[][..]),
            (&[7], &[]),
            (&[7, 7], &[1]),
            (&[1, 2, 1, 3, 2, 1], &[2, 4, 5]),
            // The same entry of the filter for all, although they differ.
            (&[1 << 63, 1 << 62, 1 << 61, 1 << 62], &[3]),
        ] {
            assert_eq!(repeated(identities), expected, "{identities:?}");
        }
    }

    #[test]
    fn a_hundred_thousand_identities_are_distinguished() {
        let once: Vec<u64> = (1..=100_000u64).map(|n| hash(&n.to_le_bytes())).collect();
        assert!(repeated(&once).is_empty());
        let twice: Vec<u64> = once.iter().chain(&once).copied().collect();
        assert_eq!(repeated(&twice), (100_000..200_000).collect::<Vec<_>>());
    }
}
