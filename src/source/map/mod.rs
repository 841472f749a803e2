//! The mapping from native families to canonical points: applies the rules of a mail system to the responses of a poll.
//!
//! # Unknown values are omitted
//!
//! An invalid number invalidates the whole point that it belongs to. So does a missing series that would mean 0 but may be one that could
//! not be read. The sum of the other series would be too small in this poll, and its increase too large in the next.

mod absent_parts;
mod advice;
mod carried;
mod counter_memory;
mod decreases;
mod last_values;
mod mapping;
mod omitted;
mod part_families;
mod points;
mod process_start;
mod rebased;
mod reported_start;
mod selector;
mod stay_fallen;
mod totals;
mod trace;
mod window_series;
mod windows;

use super::pattern::is_match;
use super::{Part, Rule, Source, Transform};
use crate::model::{Attribute, Families, Kind, Metric, RecordMetrics, Repair, Snapshot};
pub use advice::{ADVICE_BYTES_MAX, ADVICE_MAX};
pub use counter_memory::CounterMemory;
use mapping::Mapping;
use part_families::PartFamilies;
pub use points::POINTS_PER_METRIC_MAX;
use std::time::{Duration, SystemTime};
pub use totals::Totals;
pub use trace::{
    AbsentFamily, Omission, SkippedRule, TRACED_SERIES_MAX, Trace, TracedEntry, TracedFamily, TracedRule, TracedSeries, TracedValue,
};
pub use windows::WINDOWS_KEPT_MAX;

/// The inputs of the mapping of a poll, besides the responses.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time when the poll started.
    pub now: SystemTime,
    /// The start of the window that the sums cover, for windowed systems.
    pub window_start: Option<SystemTime>,
    /// `true` if the window moves with the clock, so that its sums are not counters.
    pub sliding: bool,
    /// The detail that the target opts in to.
    pub detail: Option<Detail>,
    /// Metrics that are counted from the delivery log. Rules for them are skipped, so that nothing is counted twice.
    pub metrics_from_log: RecordMetrics,
}

impl Context {
    /// The context of a poll at this time without a window, details and a delivery log.
    #[must_use]
    pub const fn at(now: SystemTime) -> Self {
        Self { now, window_start: None, sliding: false, detail: None, metrics_from_log: RecordMetrics::NONE }
    }

    /// The start of the window, or the time of the poll if it is not known.
    fn window(&self) -> SystemTime {
        self.window_start.unwrap_or(self.now)
    }
}

/// A detail that a target opts in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The attribute of the detail.
    pub by: &'static Attribute,
    /// The number of largest values that get a point of their own, as far as the metric has room for more points. The point `_OTHER`
    /// contains the rest.
    pub top: usize,
}

/// Maps the families that the parts of a poll returned to canonical points.
#[must_use]
pub fn map_to_canonical(source: &Source, read: &[(&'static Part, Families)], memory: &mut CounterMemory, context: &Context) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (_, families) in read {
        snapshot.series_read += families.series() as u64;
        snapshot.repairs.add_all(families.repairs());
    }
    snapshot.may_lack_series = snapshot.repairs.hide_series();
    snapshot.version = source.version.and_then(|(family, label)| version(read, family, label));
    snapshot.drops_idle_series = source.rules().any(|(_, rule)| rule.transform == Transform::Accumulate);
    snapshot.counters_since = source.counters_since.and_then(|family| unix_time(read, family));
    memory.keep_rules_of(source);
    let has_returned = memory.counter_start.has_returned(snapshot.counters_since);
    snapshot.advice = memory.advice.evaluate(source, read, (snapshot.counters_since, has_returned), context.now);
    memory.process.set(source.process_since.and_then(|family| unix_time(read, family)), context.now);

    let mut mapping = Mapping::new(snapshot, memory, context, source);
    mapping.note_responses(read);
    let parts = source.parts.iter().filter(|part| has_own_families(part, read));
    let parts: Vec<(&'static Part, PartFamilies<'_>)> = parts.map(|part| (part, PartFamilies::new(part, read))).collect();
    let names: Vec<&'static str> = parts.iter().map(|(part, _)| part.name).collect();
    let misnamed: Vec<&'static str> = parts.iter().filter(|(part, _)| is_misnamed(part, read)).map(|(part, _)| part.name).collect();
    misnamed.iter().for_each(|_| mapping.repair(Repair::Misnamed));
    for is_last in [false, true] {
        for (part, families) in &parts {
            let is_due = |rule: &&Rule| rule.detail.is_none() && (rule.fallback && are_fallbacks_last(source, rule.metric)) == is_last;
            for rule in part.rules.iter().filter(is_due) {
                let is_wrong = rule.metric.kind == Kind::Counter && misnamed.contains(&part.name);
                let skipped = if is_wrong {
                    Some(SkippedRule::Misnamed)
                } else if context.metrics_from_log.contains(rule.metric) {
                    Some(SkippedRule::CountedFromLog)
                } else {
                    mapping.awaits_part(source, part, rule, &names).then_some(SkippedRule::OtherPart)
                };
                mapping.trace(|trace| trace.rule(part, rule, skipped));
                match skipped {
                    None => mapping.apply(part, rule, families),
                    Some(SkippedRule::Misnamed) => mapping.note_unknown(rule.metric),
                    Some(_) => {}
                }
            }
        }
    }
    mapping.omit_points_without_part(&names);
    // Details replace totals, so all totals come first.
    for (part, families) in &parts {
        for rule in part.rules {
            let Some((label, attribute)) = rule.detail else { continue };
            let detail = context.detail.as_ref().filter(|detail| attribute == detail.by);
            mapping.trace(|trace| trace.rule(part, rule, detail.is_none().then_some(SkippedRule::Detail)));
            if let Some(detail) = detail {
                mapping.apply_detail(rule, label, detail, families);
            }
        }
    }
    mapping.trace(|trace| trace.finish(source, read));
    mapping.finish(source)
}

/// Returns `true` if the fallbacks of a metric are applied after all other rules: one of them belongs to a part before that of another rule.
fn are_fallbacks_last(source: &Source, metric: &Metric) -> bool {
    let has = |part: &Part, fallback| {
        let mut rules = part.rules.iter().filter(|rule| rule.detail.is_none() && rule.metric == metric);
        rules.any(|rule| rule.fallback == fallback)
    };
    let first_fallback = source.parts.iter().position(|part| has(part, true));
    let last_other = source.parts.iter().rposition(|part| has(part, false));
    first_fallback.zip(last_other).is_some_and(|(fallback, other)| fallback < other)
}

/// Returns `true` if a part was read whose rules apply. Without any family of its own, a response does not show that it comes from this
/// mail system, and what is missing in it is not 0.
fn has_own_families(part: &Part, read: &[(&'static Part, Families)]) -> bool {
    let mut pages = read.iter().filter(|(other, _)| other.name == part.name).map(|(_, families)| families).peekable();
    pages.peek().is_some() && (!part.identity_is_optional || pages.any(|families| part.identifies(families)))
}

/// Returns `true` if the response comes from a version whose counters have wrong names.
fn is_misnamed(part: &Part, read: &[(&'static Part, Families)]) -> bool {
    let is_sign = |name: &str| part.misnaming_families.iter().any(|sign| is_match(sign, name));
    !part.misnaming_families.is_empty() && read.iter().any(|(_, families)| families.iter().any(|family| is_sign(family.name())))
}

/// Returns the version that a label reports.
fn version(read: &[(&'static Part, Families)], family: &str, label: &str) -> Option<String> {
    let mut samples = read.iter().flat_map(|(_, families)| families.named(family)).flat_map(|family| family.samples());
    let version = samples.find_map(|sample| sample.label(label))?.trim_start_matches('v');
    (!version.is_empty()).then(|| version.to_owned())
}

/// Returns the time that a family, or the first one that matches a pattern, reports in Unix seconds.
fn unix_time(read: &[(&'static Part, Families)], name: &str) -> Option<SystemTime> {
    let named = read.iter().flat_map(|(_, families)| families.iter()).filter(|family| is_match(name, family.name()));
    let mut samples = named.flat_map(|family| family.samples());
    let seconds = samples.find_map(|sample| sample.number())?;
    let since_1970 = Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())?;
    SystemTime::UNIX_EPOCH.checked_add(since_1970)
}

#[cfg(test)]
mod tests;
