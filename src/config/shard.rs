//! The share of the targets that this process polls, if several processes share one file: `shard:`.
//!
//! # Why a rendezvous hash
//!
//! Each target belongs to the shard with the highest hash of target and shard. Every target is therefore in exactly one shard without
//! any coordination, and adding a shard only moves the targets that the new shard polls. Moves are undesirable because the process that
//! polls a target next does not know the start times of its counters.
//!
//! # Why shards are counted from zero
//!
//! A shard is usually the ordinal of a `StatefulSet`'s pod, and no arithmetic is possible on environment variables. Counting from one
//! by mistake is detected, because the shard `3/3` does not exist.

use super::decode::Decoder;
use super::map::Item;
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher as _;
use std::str::FromStr;

/// The largest number of shards.
const SHARDS_MAX: u32 = 1000;

/// One of several shards: `0/3` is the first of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Returns `true` if the target of this name belongs to the shard.
    #[must_use]
    pub fn contains(self, name: &str) -> bool {
        // If hashes are equal, every shard agrees that the first one wins.
        (0..self.count).max_by_key(|shard| (score(name, *shard), self.count - shard)) == Some(self.index)
    }

    /// The number of this shard, counted from zero.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of shards.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let text = decoder.non_empty_text(item)?;
        decoder.ok_or_report(&item.location, text.parse())
    }
}

/// Computes the hash of a target and a shard. It must never change: targets would move between shards during an update.
fn score(name: &str, shard: u32) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.write(&shard.to_le_bytes());
    hasher.finish()
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let syntax = || format!("{text:?} is not a valid shard; write the first of three as 0/3");
        let (index, count) = text.split_once('/').ok_or_else(syntax)?;
        let (index, count): (u32, u32) = (index.parse().map_err(|_| syntax())?, count.parse().map_err(|_| syntax())?);
        match count {
            0 => Err(syntax()),
            count if count > SHARDS_MAX => Err(format!("{count} shards exceed the limit of {SHARDS_MAX}")),
            count if index >= count => Err(format!("the shard {text} does not exist: the last of {count} is {}/{count}", count - 1)),
            count => Ok(Self { index, count }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(count: u32) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard { index, count })
    }

    fn names() -> impl Iterator<Item = String> {
        (0..1000).map(|n| format!("mta{n}.example.com"))
    }

    #[test]
    fn every_target_is_in_exactly_one_shard() {
        for count in [1, 2, 3, 7, 20] {
            for name in names() {
                assert_eq!(shards(count).filter(|shard| shard.contains(&name)).count(), 1, "{name} of {count}");
            }
        }
    }

    #[test]
    fn shards_have_similar_sizes() {
        for count in [2, 3, 7] {
            for shard in shards(count) {
                let (size, average) = (names().filter(|name| shard.contains(name)).count(), 1000 / count as usize);
                assert!(size.abs_diff(average) < average / 4, "{shard} contains {size} of 1000");
            }
        }
    }

    #[test]
    fn an_added_shard_moves_only_its_own_targets() {
        let shard_of = |name: &str, count| shards(count).find(|shard| shard.contains(name)).map(|shard| shard.index);
        let moved: Vec<_> = names().filter(|name| shard_of(name, 4) != shard_of(name, 5)).collect();
        assert!(moved.iter().all(|name| shard_of(name, 5) == Some(4)));
        assert!((150..250).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn the_shard_of_a_target_never_changes() {
        let indexes: Vec<_> = ["mta1", "mta2", "mail1", "ee", "cey", "whm1"].map(|name| shards(3).position(|s| s.contains(name))).into();
        assert_eq!(indexes, [0, 1, 1, 2, 1, 0].map(Some));
    }

    #[test]
    fn invalid_shards_are_rejected() {
        for (text, expected) in [
            ("", "\"\" is not a valid shard; write the first of three as 0/3"),
            ("1", "\"1\" is not a valid shard; write the first of three as 0/3"),
            ("0/0", "\"0/0\" is not a valid shard; write the first of three as 0/3"),
            ("-1/2", "\"-1/2\" is not a valid shard; write the first of three as 0/3"),
            ("3/3", "the shard 3/3 does not exist: the last of 3 is 2/3"),
            ("0/1001", "1001 shards exceed the limit of 1000"),
        ] {
            assert_eq!(text.parse::<Shard>().unwrap_err(), expected);
        }
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
    }
}
