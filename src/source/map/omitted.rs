//! Detects native counters that a response omits although a canonical counter is a sum of them.
//!
//! If one of its collectors fails, an exporter omits that collector's families and still responds with status 200. The sum of the other
//! series is then too small: exported, it would look like a reset, and when the family is back its whole value would be counted again.
//! So a sum that lacks a series is omitted until the series is back, the server has restarted, or the series has been missing for
//! [`OMITTED_AGE_MAX`], and counted as a repair.

use super::mapping::is_counter_value;
use super::stay_fallen::FallenCounters;
use crate::model::{Value, unix_seconds};
use crate::source::Rule;
use foldhash::fast::RandomState;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

/// The time after which a missing series, or a part that fails, no longer counts as omitted.
pub(super) const OMITTED_AGE_MAX: Duration = Duration::from_secs(3600);
/// The largest number of series of a target that are stored. If others are omitted, that is not detected.
const SERIES_MAX: usize = 100_000;

/// A native series that is part of a canonical counter or histogram.
#[derive(Clone, Copy, Debug)]
struct Summand {
    /// The value of the series.
    value: f64,
    /// The identity of the canonical series.
    sum: u64,
    /// The address of the rule.
    rule: usize,
    /// The number of the last poll that had the series.
    poll: u32,
    /// The time of that poll in Unix seconds.
    last_seen: u32,
    /// The canonical series is known without it.
    is_optional: bool,
}

/// The native series of previous polls that canonical counters and histograms are sums of.
#[derive(Clone, Debug, Default)]
pub(super) struct Summands {
    /// By the address of the rule and the identity of the series, combined.
    known: HashMap<u64, Summand, RandomState>,
    /// The number of the current poll.
    poll: u32,
    /// The time of the current poll in Unix seconds.
    now: u32,
    /// The number of series of the current poll.
    read: usize,
    /// A series of the current poll is lower than before.
    has_decreased: bool,
    /// The same for a series of a held sum, which may fall without a restart.
    has_optional_decreased: bool,
    /// The series that fell and have not come back.
    fallen: FallenCounters,
}

impl Summands {
    /// Begins a poll.
    pub(super) fn start(&mut self, now: SystemTime) {
        (self.poll, self.now) = (self.poll.wrapping_add(1), u32::try_from(unix_seconds(now)).unwrap_or(u32::MAX));
        (self.read, self.has_decreased, self.has_optional_decreased) = (0, false, false);
    }

    /// Returns `true` if any series of the current poll is lower than before.
    pub(super) fn has_decreased(&self) -> bool {
        self.has_decreased || self.has_optional_decreased
    }

    /// Adds a native series that a rule has added to a canonical series. Each series is added once for each rule.
    /// `is_optional`: the canonical series is known without it.
    pub(super) fn add(&mut self, rule: &'static Rule, series: u64, value: Value<'_>, sum: u64, is_optional: bool) {
        let value = match value {
            Value::Number(n) => n,
            Value::Histogram(histogram) => histogram.count as f64,
            Value::Summary(_) => return,
        };
        // An invalid value does not show what the series has counted.
        if !is_counter_value(value) {
            return;
        }
        let rule = address(rule);
        let summand = Summand { value, sum, rule, poll: self.poll, last_seen: self.now, is_optional };
        let room = self.known.len() < SERIES_MAX;
        let key = series.wrapping_add(rule as u64);
        self.fallen.read(key, value);
        match self.known.entry(key) {
            Entry::Occupied(mut known) => {
                let decreased = if is_optional { &mut self.has_optional_decreased } else { &mut self.has_decreased };
                let before = known.get().value;
                if value < before {
                    *decreased = true;
                    self.fallen.add(key, before, is_optional);
                }
                // A series at 0 does not change the sum, and some servers do not report it: the sum is known without it.
                if value == 0.0 {
                    known.remove();
                    return;
                }
                known.insert(summand);
            }
            Entry::Vacant(new) if room && value > 0.0 => {
                new.insert(summand);
            }
            Entry::Vacant(_) => return,
        }
        self.read += 1;
    }

    /// Forgets the series of a fallback rule whose sums an earlier rule provides.
    pub(super) fn supersede(&mut self, rule: &'static Rule, is_provided: impl Fn(u64) -> bool) {
        let rule = address(rule);
        self.known.retain(|_, known| known.rule != rule || !is_provided(known.sum));
    }

    /// Forgets the series of all other rules.
    pub(super) fn keep_rules(&mut self, rules: impl Iterator<Item = &'static Rule>) {
        let rules: HashSet<usize> = rules.map(address).collect();
        self.known.retain(|_, known| rules.contains(&known.rule));
    }

    /// Returns `true` if counters of previous polls fell and have stayed lower, as after a restart.
    pub(super) fn have_stayed_lower(&mut self) -> bool {
        self.fallen.finish()
    }

    /// Ends the poll, and returns the identities of the canonical series that lack a native series.
    pub(super) fn finish(&mut self, is_restarted: bool) -> HashSet<u64> {
        if is_restarted {
            self.fallen.clear();
        }
        if self.known.len() == self.read {
            return HashSet::new();
        }
        let age_max = if is_restarted || self.has_decreased { None } else { Some(OMITTED_AGE_MAX.as_secs()) };
        let (poll, now) = (self.poll, self.now);
        let is_current = |known: &Summand| known.poll == poll;
        let is_omitted = |known: &Summand| age_max.is_some_and(|max| u64::from(now.saturating_sub(known.last_seen)) <= max);
        self.known.retain(|_, known| is_current(known) || is_omitted(known));
        self.known.values().filter(|known| !is_current(known) && !known.is_optional).map(|known| known.sum).collect()
    }
}

fn address(rule: &'static Rule) -> usize {
    std::ptr::from_ref(rule).addr()
}
