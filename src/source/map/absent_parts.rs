//! Detects points that lack the values of a part whose request failed.
//!
//! Native series that are not counters may vanish, so a point without one of them is not wrong. But a part whose request failed reports
//! nothing, and the rest of the sum is too small. So a point to which an earlier response of such a part belongs is omitted until the part
//! is back, or has been missing for [`OMITTED_AGE_MAX`], or a reload has removed it.
//!
//! A counter that may be the sum of a part which has not responded since Postmeter started is omitted, too, for the same time: all that the
//! part has ever counted would be added to it in one interval when the part responds.

use super::omitted::OMITTED_AGE_MAX;
use crate::model::{Kind, unix_seconds};
use crate::source::{Part, Rule, Source};
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

/// The largest number of pairs of a part and a point of a target that are stored. If other points lack a part, that is not detected.
const CONTRIBUTIONS_MAX: usize = 100_000;

/// The points to which each part has contributed, of metrics that several parts report.
#[derive(Clone, Debug, Default)]
pub(super) struct PartContributions {
    /// By the name of the part and the identity of the point.
    known: HashMap<(&'static str, u64), Contribution, RandomState>,
    /// The configured parts that have not responded yet, each with the time in Unix seconds of the first poll in which it did not.
    awaited: HashMap<&'static str, Option<u64>, RandomState>,
    /// The number of the current poll.
    poll: u32,
    /// The time of the current poll in Unix seconds.
    now: u64,
}

#[derive(Clone, Copy, Debug)]
struct Contribution {
    /// The number of the last poll in which the part contributed.
    poll: u32,
    /// The time of that poll in Unix seconds.
    at: u64,
}

impl PartContributions {
    /// Begins a poll.
    pub(super) fn start(&mut self, now: SystemTime) {
        self.poll = self.poll.wrapping_add(1);
        self.now = unix_seconds(now);
    }

    /// The state of parts with other rules than before, which have contributed nothing yet.
    pub(super) fn awaiting(parts: &[&'static str]) -> Self {
        Self { awaited: parts.iter().map(|part| (*part, None)).collect(), ..Self::default() }
    }

    /// Forgets all other parts than those that are configured, of which some are `new`.
    pub(super) fn keep_parts(&mut self, parts: &[&'static str], new: impl Iterator<Item = &'static str>) {
        self.known.retain(|(part, _), _| parts.contains(part));
        self.awaited.retain(|part, _| parts.contains(part));
        self.awaited.extend(new.map(|part| (part, None)));
    }

    /// Notes which parts responded in the current poll.
    pub(super) fn note_responses(&mut self, parts: impl Iterator<Item = &'static str>) {
        for part in parts {
            self.awaited.remove(part);
        }
        let now = self.now;
        self.awaited.values_mut().for_each(|since| *since = since.or(Some(now)));
    }

    /// Returns the rules of counters and histograms whose part has not responded yet.
    pub(super) fn awaited_rules(&self, source: &Source) -> Vec<&'static Rule> {
        let is_recent = |since: &Option<u64>| since.is_none_or(|since| self.now.saturating_sub(since) <= OMITTED_AGE_MAX.as_secs());
        let is_awaited = |part: &Part| self.awaited.get(part.name).is_some_and(is_recent);
        let is_counted = |rule: &Rule| !rule.fallback && matches!(rule.metric.kind, Kind::Counter | Kind::Histogram);
        source.rules().filter(|(part, rule)| is_awaited(part) && is_counted(rule)).map(|(_, rule)| rule).collect()
    }

    /// Adds a part that contributes to a point in the current poll.
    pub(super) fn add(&mut self, part: &'static str, point: u64) {
        if self.known.len() < CONTRIBUTIONS_MAX || self.known.contains_key(&(part, point)) {
            self.known.insert((part, point), Contribution { poll: self.poll, at: self.now });
        }
    }

    /// Ends the poll of these parts. Returns the points of the current poll that lack another part.
    pub(super) fn finish(&mut self, parts: &[&'static str]) -> HashSet<u64> {
        let (poll, now) = (self.poll, self.now);
        let is_recent = |known: &Contribution| now.saturating_sub(known.at) <= OMITTED_AGE_MAX.as_secs();
        // A part that was read and contributes no longer has no such series any more.
        self.known.retain(|(part, _), known| known.poll == poll || !parts.contains(part) && is_recent(known));
        let current: HashSet<u64> = self.known.iter().filter(|(_, known)| known.poll == poll).map(|((_, point), _)| *point).collect();
        let absent = self.known.iter().filter(|(_, known)| known.poll != poll).map(|((_, point), _)| *point);
        absent.filter(|point| current.contains(point)).collect()
    }
}

/// Returns the metrics to whose points rules of several parts may contribute.
pub(super) fn metrics_of_several_parts(source: &Source) -> HashSet<&'static str> {
    let mut parts: HashMap<&'static str, &'static str> = HashMap::new();
    let contributes = |rule: &Rule| !rule.fallback && rule.detail.is_none() && rule.metric.kind != Kind::Histogram;
    let rules = source.rules().filter(|(_, rule)| source.parts.len() > 1 && contributes(rule));
    rules
        .filter(|(part, rule)| *parts.entry(rule.metric.name).or_insert(part.name) != part.name)
        .map(|(_, rule)| rule.metric.name)
        .collect()
}
