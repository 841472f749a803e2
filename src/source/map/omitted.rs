//! Native counters that a canonical one is the sum of, and that a response omits.
//!
//! Exporters omit the families of a collector that failed, with status 200. What is left of a sum is then too small: exported, it is a
//! reset, and when the family is back, its whole value is counted once more. So a sum that lacks a series which was part of it is left
//! out, until the series is back, the server has begun anew, or the series has not been seen for [`OMITTED_AGE_MAX`].

use crate::model::Value;
use crate::source::Rule;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

/// How long a series is waited for that a response omits.
const OMITTED_AGE_MAX: Duration = Duration::from_secs(3600);
/// Series of a target that are remembered; what is beyond is not waited for.
const SERIES_MAX: usize = 100_000;

/// A native series as a part of what one rule makes of it.
type Key = (usize, u64);

/// What a native series adds to a canonical counter or histogram.
#[derive(Clone, Copy, Debug)]
struct Summand {
    /// What was counted.
    value: f64,
    /// The canonical series.
    sum: u64,
    seen: SystemTime,
}

/// The series that canonical counters and histograms are the sums of.
#[derive(Clone, Debug, Default)]
pub(super) struct Summands {
    last: HashMap<Key, Summand, RandomState>,
    /// When the server's counters began, as it said last.
    since: Option<SystemTime>,
}

/// Those of one reading.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<(Key, f64, u64)>);

impl Found {
    /// A series that a rule has added to a canonical one.
    pub(super) fn add(&mut self, rule: &'static Rule, series: u64, value: Value<'_>, sum: u64) {
        let counted = match value {
            Value::Number(n) => n,
            Value::Histogram(histogram) => histogram.count as f64,
            Value::Summary(_) => return,
        };
        // One at zero adds nothing, and some servers do not report it.
        if counted > 0.0 {
            self.0.push(((std::ptr::from_ref(rule).addr(), series), counted, sum));
        }
    }
}

impl Summands {
    /// Takes those of a good reading, and gives the canonical series that lack one.
    pub(super) fn lacking(&mut self, found: Found, now: SystemTime, since: Option<SystemTime>) -> HashSet<u64> {
        let restarted = matches!((since, self.since), (Some(since), Some(before)) if since > before);
        self.since = since.or(self.since);
        let fell = |(key, value, _): &(Key, f64, u64)| self.last.get(key).is_some_and(|last| *value < last.value);
        if restarted || found.0.iter().any(fell) {
            self.last.clear();
        }
        for (key, value, sum) in &found.0 {
            if self.last.len() < SERIES_MAX || self.last.contains_key(key) {
                self.last.insert(*key, Summand { value: *value, sum: *sum, seen: now });
            }
        }
        self.last.retain(|_, last| now.duration_since(last.seen).unwrap_or_default() <= OMITTED_AGE_MAX);
        if self.last.len() <= found.0.len() {
            return HashSet::new();
        }
        let present: HashSet<Key, RandomState> = found.0.iter().map(|(key, ..)| *key).collect();
        self.last.iter().filter(|(key, _)| !present.contains(*key)).map(|(_, last)| last.sum).collect()
    }
}
