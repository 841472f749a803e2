//! Detects native counters that a response omits although a canonical counter is a sum of them.
//!
//! If one of its collectors fails, an exporter omits that collector's families and still responds with status 200. The sum of the other
//! series is then too small: exported, it would look like a reset, and when the family is back its whole value would be counted again.
//! So a sum that lacks a series is omitted until the series is back, the server has restarted, or the series has been missing for
//! [`OMITTED_AGE_MAX`].

use crate::model::Value;
use crate::source::Rule;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

/// The time after which a missing series no longer counts as omitted.
const OMITTED_AGE_MAX: Duration = Duration::from_secs(3600);
/// The largest number of series of a target that are stored. If others are omitted, that is not detected.
const SERIES_MAX: usize = 100_000;

/// The address of a rule, and the identity of a series that it takes.
type SummandKey = (usize, u64);

/// A native series that is part of a canonical counter or histogram.
#[derive(Clone, Copy, Debug)]
struct Summand {
    /// The value of the series.
    value: f64,
    /// The identity of the canonical series.
    sum: u64,
    last_seen: SystemTime,
}

/// The native series of previous polls that canonical counters and histograms are sums of.
#[derive(Clone, Debug, Default)]
pub(super) struct Summands {
    known: HashMap<SummandKey, Summand, RandomState>,
    /// The start of the server's counters, as last reported.
    counters_since: Option<SystemTime>,
}

/// The native series of one poll that canonical counters and histograms are sums of.
#[derive(Debug, Default)]
pub(super) struct ReadSummands(Vec<(SummandKey, f64, u64)>);

impl ReadSummands {
    /// Adds a native series that a rule has added to a canonical series.
    pub(super) fn add(&mut self, rule: &'static Rule, series: u64, value: Value<'_>, sum: u64) {
        let value = match value {
            Value::Number(n) => n,
            Value::Histogram(histogram) => histogram.count as f64,
            Value::Summary(_) => return,
        };
        // A series at 0 does not change the sum, and some servers do not report it.
        if value > 0.0 {
            self.0.push(((std::ptr::from_ref(rule).addr(), series), value, sum));
        }
    }
}

impl Summands {
    /// Stores the series of a poll, and returns the identities of the canonical series that lack one.
    pub(super) fn update(&mut self, read: ReadSummands, now: SystemTime, counters_since: Option<SystemTime>) -> HashSet<u64> {
        let is_restarted = matches!((counters_since, self.counters_since), (Some(now), Some(before)) if now > before);
        self.counters_since = counters_since.or(self.counters_since);
        let has_decreased = |(key, value, _): &(SummandKey, f64, u64)| self.known.get(key).is_some_and(|known| *value < known.value);
        if is_restarted || read.0.iter().any(has_decreased) {
            self.known.clear();
        }
        for (key, value, sum) in &read.0 {
            if self.known.len() < SERIES_MAX || self.known.contains_key(key) {
                self.known.insert(*key, Summand { value: *value, sum: *sum, last_seen: now });
            }
        }
        self.known.retain(|_, known| now.duration_since(known.last_seen).unwrap_or_default() <= OMITTED_AGE_MAX);
        if self.known.len() <= read.0.len() {
            return HashSet::new();
        }
        let present: HashSet<SummandKey, RandomState> = read.0.iter().map(|(key, ..)| *key).collect();
        self.known.iter().filter(|(key, _)| !present.contains(*key)).map(|(_, known)| known.sum).collect()
    }
}
