//! The state of a target's counters between polls, and the sums that are calculated from it.

use super::Trace;
use super::absent_parts::PartContributions;
use super::advice::AdviceMemory;
use super::carried::CarriedTotals;
use super::last_values::LastValues;
use super::omitted::Summands;
use super::process_start::{ProcessStart, Restart};
use super::rebased::RebasedCounters;
use super::reported_start::ReportedStart;
use super::selector::compare_values;
use super::totals::Totals;
use super::window_series::WindowSeries;
use super::windows::WindowSums;
use crate::model::{Attributes, Point, Repair, Repairs};
use crate::source::{Part, Source};
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

/// The largest number of series of a counter that are kept although a response lacks them, because they may be unreadable in it.
const ABSENT_SERIES_MAX: usize = 1_000_000;

/// The state of a target's counters between successful polls.
#[derive(Clone, Debug, Default)]
pub struct CounterMemory {
    /// For [`Transform::OneMinusShareOf`](crate::source::Transform), by the key of the rule and the family of the whole.
    shares: HashMap<(u64, &'static str), ShareValues>,
    /// For `Transform::Accumulate`, by the key of the rule and the identity of the point.
    accumulated: HashMap<(u64, u64), Accumulated>,
    /// For `Transform::Rebase`.
    pub(super) rebased: RebasedCounters,
    /// The start of the server's counters as first reported: that of counters that continue after a restart.
    pub(super) first_counters_since: Option<SystemTime>,
    /// The address of the parts whose rules the state belongs to.
    definition: Option<usize>,
    /// The names of the configured parts.
    parts: Vec<&'static str>,
    /// The values that diagnoses compare.
    pub(super) advice: AdviceMemory,
    /// The start of the server's process, if it is reported.
    pub(super) process: ProcessStart,
    /// The last sum of each counter rule of the required part, by the index of the rule: to detect a decrease.
    pub(super) sums: HashMap<usize, f64>,
    /// For `Transform::Hold`: the largest sum so far, by the identity of the point.
    held: HashMap<u64, f64>,
    /// The start of the server's counters.
    pub(super) counter_start: ReportedStart,
    /// The native series that canonical counters and histograms were sums of.
    pub(super) summands: Summands,
    /// The parts that points were sums of.
    pub(super) contributions: PartContributions,
    /// The sums of each window, for windowed systems.
    pub(super) windows: WindowSums,
    /// The series of recent windows.
    pub(super) window_series: WindowSeries,
    /// The totals of an earlier process.
    pub(super) carried: Option<Box<CarriedTotals>>,
    /// The trace of the last mapping, if it was requested.
    pub(super) trace: Option<Box<Trace>>,
}

/// The counters whose increases are divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareValues {
    pub(super) part: f64,
    pub(super) whole: f64,
    /// The numbers of series that both are the sums of.
    pub(super) series: (usize, usize),
}

#[derive(Clone, Debug, Default)]
struct Accumulated {
    /// The attributes of the point.
    attributes: Attributes,
    /// The sum of all increases. `None` before the first series.
    total: Option<f64>,
    last: LastValues,
    /// The total when the start of the process was last reported: everything in it was counted before a later restart.
    total_at_report: f64,
}

impl CounterMemory {
    /// Continues the totals of an earlier process. From then on, [`totals`](Self::totals) are reported.
    pub fn continue_from(&mut self, totals: Totals) {
        self.carried = Some(Box::new(CarriedTotals::after(totals)));
    }

    /// The totals of counters that Postmeter adds up itself, after the last mapping.
    #[must_use]
    pub fn totals(&self) -> Option<&Totals> {
        self.carried.as_ref()?.current()
    }

    /// Removes the state of rules that a mail system no longer has, because its definition was changed and loaded again.
    pub(super) fn keep_rules_of(&mut self, source: &Source) {
        let address = source.parts.as_ptr().addr();
        let Some(before) = self.definition.replace(address) else { return };
        if before != address {
            let rules: HashSet<u64> = source.rules().map(|(part, rule)| rule.key(part)).collect();
            self.accumulated.retain(|(rule, _), _| rules.contains(rule));
            self.rebased.keep(&rules);
            self.shares.retain(|(rule, _), _| rules.contains(rule));
            // They are known by the addresses of the rules.
            self.summands = Summands::default();
            self.contributions = PartContributions::awaiting(&self.parts);
            self.advice = AdviceMemory::default();
        }
    }

    /// Sets the parts that are configured. What others have contributed to points is forgotten, so that these are not omitted.
    pub fn keep_parts(&mut self, parts: &[&'static Part]) {
        let names: Vec<_> = parts.iter().map(|part| part.name).collect();
        if names != self.parts {
            self.contributions.keep_parts(&names, names.iter().copied().filter(|name| !self.parts.contains(name)));
            self.summands.keep_rules(parts.iter().flat_map(|part| part.rules));
            self.parts = names;
        }
    }

    /// Returns `true` if a part is configured.
    pub(super) fn is_configured(&self, part: &Part) -> bool {
        self.parts.contains(&part.name)
    }

    /// Returns the last values of the series of an accumulated point.
    pub(super) fn last_values(&self, rule: u64, point: u64) -> Option<&LastValues> {
        self.accumulated.get(&(rule, point)).map(|accumulated| &accumulated.last)
    }

    /// Returns the points that a rule has accumulated so far, each as its identity and its attributes, sorted by the values of these.
    pub(super) fn accumulated_by(&self, rule: u64) -> Vec<(u64, Attributes)> {
        let of_rule = self.accumulated.iter().filter(|((other, _), _)| *other == rule);
        let mut points: Vec<_> = of_rule.map(|((_, point), accumulated)| (*point, accumulated.attributes.clone())).collect();
        points.sort_by(|(_, a), (_, b)| compare_values(a, b));
        points
    }

    /// Returns `true` if a rule's point is accumulated.
    pub(super) fn is_accumulated(&self, rule: u64, point: u64) -> bool {
        self.accumulated.contains_key(&(rule, point))
    }

    /// Returns the number of points that are accumulated.
    pub(super) fn accumulated_points(&self) -> usize {
        self.accumulated.len()
    }

    /// Returns the increase of the part divided by the increase of the whole since the last poll, or `None` if either decreased or a series
    /// was added or is missing.
    pub(super) fn share_of_increase(&mut self, rule: (u64, &'static str), values: ShareValues) -> Option<f64> {
        let before = self.shares.insert(rule, values).filter(|before| before.series == values.series)?;
        let (part, whole) = (values.part - before.part, values.whole - before.whole);
        // Both restart with the host, so there is no increase in the first poll after that.
        (whole > 0.0 && (0.0..=whole).contains(&part)).then_some(part / whole)
    }

    /// Adds the increases of this poll, and returns the sum of all increases of a rule's point; `None` before its first series. `values`
    /// are the values of its series, by their identities; an invalid one is NaN.
    ///
    /// If the response `may_lack_series`, because something was unreadable, a series that it lacks keeps its last value. Otherwise it would
    /// be a new series in the next poll, and its whole value would be added again.
    pub(super) fn accumulate(
        &mut self,
        rule: u64,
        (point, attributes): (u64, &Attributes),
        mut values: Vec<(u64, f64)>,
        may_lack_series: bool,
    ) -> Option<f64> {
        let process = &self.process;
        let new = || Accumulated { attributes: attributes.clone(), ..Accumulated::default() };
        let Accumulated { total, last, total_at_report, .. } = self.accumulated.entry((rule, point)).or_insert_with(new);
        let before_restart = match process.restart() {
            Restart::None => None,
            Restart::SinceLastPoll => *total,
            Restart::SinceLastReport => Some(*total_at_report),
        };
        let (mut present, mut since_restart, mut search) = (0, 0.0, last.search());
        values.retain_mut(|(series, value)| {
            let before = search.find(*series);
            present += usize::from(before.is_some());
            if value.is_nan() {
                *value = before.unwrap_or(f64::NAN);
                return before.is_some();
            }
            since_restart += *value;
            // Everything that a new series has counted is an increase. A lower value is that of a series that was pruned and started again.
            let before = before.filter(|before| *value >= *before).unwrap_or(0.0);
            *total.get_or_insert(0.0) += *value - before;
            true
        });
        // Everything that a restarted process has counted is an increase, even if a series has exceeded its last value.
        if let (Some(total), Some(before_restart)) = (total.as_mut(), before_restart) {
            *total = total.max(before_restart + since_restart);
        }
        if process.is_reported() {
            *total_at_report = total.unwrap_or(0.0);
        }
        let absent = last.len().saturating_sub(present);
        last.replace(values, may_lack_series && (1..=ABSENT_SERIES_MAX).contains(&absent));
        *total
    }

    /// Keeps sums from falling until the counters restart.
    pub(super) fn hold<'p>(&mut self, is_restarted: bool, points: impl Iterator<Item = &'p mut Point>, repairs: &mut Repairs) {
        if is_restarted {
            self.held.clear();
        }
        for point in points {
            let held = self.held.entry(point.identity()).or_insert(0.0);
            if point.value < *held {
                point.value = *held;
                repairs.count(Repair::Held);
            }
            *held = point.value;
        }
    }
}
