//! `shard:` which part of the targets this Postmeter polls, where several share one file.
//!
//! # Why a rendezvous hash
//!
//! Each target goes to the shard for which the hash of both is highest. So every target is in exactly one shard, nobody has to
//! talk to anybody, and one shard more takes from each of the others only what becomes its own: a target that moves is polled
//! by a process that has not seen it before, and its counters lose their start.
//!
//! # Why they count from zero
//!
//! A shard is most often the ordinal of a `StatefulSet`'s pod, and an environment variable cannot be added up. What is counted from
//! one is noticed: there is no shard `3/3`.

use super::decode::{Decoder, Item};
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher as _;
use std::str::FromStr;

/// Shards of one file.
pub const SHARDS_MAX: u32 = 1000;

/// `0/3`: the first of three shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// Whether the target of this name is polled here.
    #[must_use]
    pub fn holds(self, name: &str) -> bool {
        // Of equal hashes the first shard wins, on every one of them.
        (0..self.of).max_by_key(|shard| (score(name, *shard), self.of - shard)) == Some(self.index)
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Self> {
        let text = decoder.word(item)?;
        decoder.noted(&item.place, text.parse())
    }
}

/// The same for ever: another hash would move targets between the shards of two releases during an update.
fn score(name: &str, shard: u32) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(name.as_bytes());
    hasher.write(&shard.to_le_bytes());
    hasher.finish()
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shaped = || format!("{text:?} is no shard; write the first of three as 0/3");
        let (index, of) = text.split_once('/').ok_or_else(shaped)?;
        let (index, of): (u32, u32) = (index.parse().map_err(|_| shaped())?, of.parse().map_err(|_| shaped())?);
        match of {
            0 => Err(shaped()),
            of if of > SHARDS_MAX => Err(format!("{of} shards are more than {SHARDS_MAX}")),
            of if index >= of => Err(format!("there is no shard {text}: the last of {of} is {}/{of}", of - 1)),
            of => Ok(Self { index, of }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(of: u32) -> impl Iterator<Item = Shard> {
        (0..of).map(move |index| Shard { index, of })
    }

    fn names() -> impl Iterator<Item = String> {
        (0..1000).map(|n| format!("mta{n}.example.com"))
    }

    #[test]
    fn every_target_is_in_exactly_one_shard() {
        for of in [1, 2, 3, 7, 20] {
            for name in names() {
                assert_eq!(shards(of).filter(|shard| shard.holds(&name)).count(), 1, "{name} of {of}");
            }
        }
    }

    #[test]
    fn shards_are_about_equal() {
        for of in [2, 3, 7] {
            for shard in shards(of) {
                let (held, fair) = (names().filter(|name| shard.holds(name)).count(), 1000 / of as usize);
                assert!(held.abs_diff(fair) < fair / 4, "{shard} holds {held} of 1000");
            }
        }
    }

    #[test]
    fn a_shard_more_takes_only_what_becomes_its_own() {
        let held = |name: &str, of| shards(of).find(|shard| shard.holds(name)).map(|shard| shard.index);
        let moved: Vec<_> = names().filter(|name| held(name, 4) != held(name, 5)).collect();
        assert!(moved.iter().all(|name| held(name, 5) == Some(4)));
        assert!((150..250).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn where_a_target_is_polled_does_not_change_with_a_release() {
        let held: Vec<_> = ["mta1", "mta2", "mail1", "ee", "cey", "whm1"].map(|name| shards(3).position(|s| s.holds(name))).into();
        assert_eq!(held, [0, 1, 1, 2, 1, 0].map(Some));
    }

    #[test]
    fn what_is_no_shard_says_so() {
        for (text, said) in [
            ("", "\"\" is no shard; write the first of three as 0/3"),
            ("1", "\"1\" is no shard; write the first of three as 0/3"),
            ("0/0", "\"0/0\" is no shard; write the first of three as 0/3"),
            ("-1/2", "\"-1/2\" is no shard; write the first of three as 0/3"),
            ("3/3", "there is no shard 3/3: the last of 3 is 2/3"),
            ("0/1001", "1001 shards are more than 1000"),
        ] {
            assert_eq!(text.parse::<Shard>().unwrap_err(), said);
        }
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
    }
}
