//! Numbers that tell series apart by their labels or attributes, and those that stand twice.
//!
//! # Why a seed
//!
//! Label values are often the words of strangers (queues are named after recipients). Whoever knew the numbers could make
//! two series one. So the seed is random, the same while the process lives, and never leaves it.

use super::{Point, SampleRef, SelectedFamily, Text};
use foldhash::quality::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// Bits of the first look for each series: one in as many looks like another series, and is looked at again.
const BITS_PER_SERIES: usize = 16;

/// Numbers series of one reading.
pub(super) struct Identities {
    seed: &'static RandomState,
    /// Label names of the last series and their numbers, which the next one nearly always repeats.
    names: Vec<(Text, u64)>,
}

impl Identities {
    /// As Prometheus tells them apart: to it a label of nothing is none.
    pub fn new() -> Self {
        Self { seed: &SEED, names: Vec::new() }
    }

    /// The same for the same labels, in whatever order they stand.
    pub fn of(&mut self, sample: &SampleRef<'_>) -> u64 {
        let mut sum = 0u64;
        for (place, (name, value)) in sample.places().iter().enumerate() {
            let name = match self.names.get(place) {
                Some((last, number)) if last == name => *number,
                _ => {
                    let number = hash(self.seed, sample.bytes(*name));
                    self.names.truncate(place);
                    self.names.push((*name, number));
                    number
                }
            };
            let value = sample.bytes(*value);
            if !value.is_empty() {
                sum = sum.wrapping_add(mix(name, hash(self.seed, value)));
            }
        }
        sum
    }
}

/// The number of these labels, as [`SampleRef::identity`] has it.
pub(super) fn of_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let numbers = labels.map(|(name, value)| mix(hash(&SEED, name.as_bytes()), hash(&SEED, value.as_bytes())));
    numbers.fold(0, u64::wrapping_add)
}

impl SampleRef<'_> {
    /// A number that is the same for the same labels, in whatever order they stand, while the process lives. To OTLP, an attribute of
    /// nothing is one.
    #[must_use]
    pub fn identity(&self) -> u64 {
        let numbers = self.places().iter().map(|(name, value)| mix(hash(&SEED, self.bytes(*name)), hash(&SEED, self.bytes(*value))));
        numbers.fold(0, u64::wrapping_add)
    }
}

impl SelectedFamily<'_> {
    /// A number that is the same for the same name, without the prefix, while the process lives.
    #[must_use]
    pub fn name_identity(&self) -> u64 {
        hash(&SEED, self.own_name().as_bytes())
    }
}

impl Point {
    /// A number that is the same for the same metric and attributes, while the process lives.
    #[must_use]
    pub fn identity(&self) -> u64 {
        let mut hasher = SEED.build_hasher();
        self.metric.name.hash(&mut hasher);
        for (attribute, value) in &self.attributes {
            (attribute.key, value).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn hash(seed: &RandomState, bytes: &[u8]) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// No sum of the two: else values that change places would come out the same.
fn mix(name: u64, value: u64) -> u64 {
    let product = u128::from(name) * u128::from(value);
    (product as u64) ^ (product >> 64) as u64
}

/// The places, rising, of numbers that stood before.
pub(super) fn repeated(identities: &[u64]) -> Vec<usize> {
    if identities.len() < 2 {
        return Vec::new();
    }
    // A table of a million numbers is misses of the cache, each time. Two bits a place, once and twice, fit into it.
    let words = (identities.len() * BITS_PER_SERIES).div_ceil(64).next_power_of_two();
    let mut marks = vec![[0u64; 2]; words];
    let place = |identity: u64| ((identity >> 6) as usize & (words - 1), 1u64 << (identity & 63));
    for identity in identities {
        let (word, bit) = place(*identity);
        let [once, twice] = &mut marks[word];
        *twice |= *once & bit;
        *once |= bit;
    }
    let suspect = |identity: u64| {
        let (word, bit) = place(identity);
        marks[word][1] & bit != 0
    };
    let mut suspects: Vec<(u64, usize)> = identities.iter().copied().zip(0..).filter(|(identity, _)| suspect(*identity)).collect();
    suspects.sort_unstable();
    let mut repeated: Vec<usize> = suspects.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).collect();
    repeated.sort_unstable();
    repeated
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
    fn to_prometheus_a_label_of_nothing_is_none() {
        let of = |labels: &str| {
            let families = prometheus::read(format!("x{{{labels}}} 1\n")).unwrap();
            Identities::new().of(&families.iter().next().unwrap().samples().next().unwrap())
        };
        assert_eq!(of(r#"a="1",b="",c="2""#), of(r#"c="2",a="1""#));
        assert_eq!(of(r#"a="""#), of(""));
        assert_ne!(of(r#"a="",b="1""#), of(r#"a="1",b="""#));
    }

    #[test]
    fn the_order_of_labels_does_not_matter_and_all_else_does() {
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
    fn what_stood_before_is_found() {
        for (identities, places) in [
            (&[][..], &[][..]),
            (&[7], &[]),
            (&[7, 7], &[1]),
            (&[1, 2, 1, 3, 2, 1], &[2, 4, 5]),
            // One place for all of them, and still not the same.
            (&[1 << 63, 1 << 62, 1 << 61, 1 << 62], &[3]),
        ] {
            assert_eq!(repeated(identities), places, "{identities:?}");
        }
    }

    #[test]
    fn a_hundred_thousand_are_told_apart() {
        let once: Vec<u64> = (1..=100_000u64).map(|n| hash(&SEED, &n.to_le_bytes())).collect();
        assert!(repeated(&once).is_empty());
        let twice: Vec<u64> = once.iter().chain(&once).copied().collect();
        assert_eq!(repeated(&twice), (100_000..200_000).collect::<Vec<_>>());
    }
}
