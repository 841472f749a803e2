//! The state of mapping one poll, and what each kind of rule does.

mod accumulation;
mod contribution;
mod detail;
mod fallback;
mod finish;
mod histograms;
mod limited_points;
mod share;
mod window;

use super::absent_parts::metrics_of_several_parts;
use super::counter_memory::CounterMemory;
use super::part_families::{PartFamilies, TakenSeries};
use super::points::{Addend, Points};
use super::{Context, Omission, Trace};
use crate::model::{
    Attributes, Kind, Metric, Point, Repair, Snapshot, Value, duplicates_to_drop, identity_of_point, remove_indices, scale,
};
use crate::source::{Part, Rule, Source, Take, Transform};
use std::collections::HashSet;
use std::time::{Duration, SystemTime};
use window::WindowContents;

/// For systems whose unsigned gauges can fall below zero: a larger gauge is such a number (2^64 - n), since no queue holds 10^15 messages.
const GAUGE_MAX: f64 = 1e15;
/// The longest time by which the server's clock may be ahead. A later time is no time in the past in another unit, or a placeholder.
pub(super) const TIME_AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);
/// The largest gauge that fits into the integer that it is exported as.
const INTEGER_MAX: f64 = 9_223_372_036_854_774_784.0;
/// The largest counter: whole numbers up to here are exact.
const COUNTER_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) struct Mapping<'a> {
    snapshot: Snapshot,
    points: Points,
    memory: &'a mut CounterMemory,
    context: &'a Context,
    /// Duplicate series of each part. Each is counted as a repair once, however many rules take it.
    duplicates: HashSet<(&'static str, u64)>,
    /// A canonical counter or histogram that lacks a native series is omitted.
    checks_summands: bool,
    /// The largest valid value of a gauge.
    gauge_max: f64,
    /// Histograms that lack a series.
    partial_histograms: Vec<(&'static Metric, Attributes)>,
    /// The rules that lack a series which may belong to any of their points, also to those that a later rule adds to.
    incomplete_rules: Vec<&'static Rule>,
    /// The metrics to whose points rules of several parts may contribute.
    shared_metrics: HashSet<&'static str>,
    /// The reader of the current part has counted the values that are NaN.
    is_nan_counted: bool,
    /// The part whose rule is applied, if a point without this part would be wrong.
    contributing: Option<&'static str>,
    /// The rules that found series in the window, for windowed systems.
    window: Option<WindowContents>,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(snapshot: Snapshot, memory: &'a mut CounterMemory, context: &'a Context, source: &Source) -> Self {
        if let Some(trace) = &mut memory.trace {
            trace.start(source.windowed && context.sliding);
        }
        memory.summands.start(context.now);
        memory.contributions.start(context.now);
        Self {
            // A new window starts without series, and a server that drops idle series does not omit the others.
            checks_summands: !source.windowed && !snapshot.drops_idle_series,
            snapshot,
            points: Points::default(),
            memory,
            context,
            duplicates: HashSet::new(),
            gauge_max: if source.gauges_underflow { GAUGE_MAX } else { INTEGER_MAX },
            partial_histograms: Vec::new(),
            incomplete_rules: Vec::new(),
            shared_metrics: metrics_of_several_parts(source),
            is_nan_counted: false,
            contributing: None,
            window: source.windowed.then(WindowContents::default),
        }
    }

    pub(super) fn repair(&mut self, repair: Repair) {
        if repair != Repair::NonFinite || !self.is_nan_counted {
            self.snapshot.repairs.count(repair);
        }
    }

    /// Counts the repair of a value without which a point of this metric is omitted.
    pub(super) fn omit_value(&mut self, metric: &'static Metric, repair: Repair) {
        self.repair(repair);
        self.note_unknown(metric);
    }

    /// Notes that a point of this metric is omitted because its value is unknown.
    pub(super) fn note_unknown(&mut self, metric: &'static Metric) {
        self.snapshot.note_unknown(metric);
    }

    /// Records into the trace, if one was requested.
    pub(super) fn trace(&mut self, record: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &mut self.memory.trace {
            record(trace);
        }
    }

    /// Applies a rule of a part that is not a detail.
    pub(super) fn apply(&mut self, part: &'static Part, rule: &'static Rule, families: &PartFamilies<'_>) {
        self.contributing = self.contributes(rule).then_some(part.name);
        self.is_nan_counted = families.has_counted_nan();
        match rule.transform {
            Transform::OneMinusShareOf(whole) => self.map_share(rule, whole, families),
            Transform::Accumulate => self.accumulate(rule, families),
            Transform::Unchanged | Transform::Hold | Transform::Rebase | Transform::IsZero | Transform::IsNonZero | Transform::Age => {
                self.map_each(rule, families)
            }
        }
    }

    /// Returns the series that a rule takes, without duplicates.
    fn series<'f>(&mut self, rule: &'static Rule, families: &'f PartFamilies<'_>) -> impl Iterator<Item = TakenSeries<'f>> + use<'f> {
        let found = families.taken_by(rule);
        // The usual case needs no list.
        let is_list_needed = !families.are_series_unique() || self.memory.trace.is_some();
        let (listed, unlisted) = if is_list_needed { (Some(found), None) } else { (None, Some(found)) };
        let mut found: Vec<_> = listed.into_iter().flatten().collect();
        // Most rules take one series.
        if found.len() > 1 && !families.are_series_unique() {
            let identities: Vec<u64> = found.iter().map(TakenSeries::identity).collect();
            let outdated = duplicates_to_drop(&identities, found.iter().map(|series| series.sample.timestamp()));
            for index in &outdated {
                if self.duplicates.insert((families.part.name, identities[*index])) {
                    self.snapshot.repairs.count(Repair::DuplicateSeries);
                }
            }
            remove_indices(&mut found, &outdated);
        }
        self.trace(|trace| found.iter().for_each(|series| trace.series(series.identity(), &series.sample)));
        found.into_iter().chain(unlisted.into_iter().flatten())
    }

    /// Maps each series on its own.
    fn map_each(&mut self, rule: &'static Rule, families: &PartFamilies<'_>) {
        let mut absent = if rule.zero_when_absent { rule.possible_attributes() } else { Vec::new() };
        let has_patterns = rule.has_patterns_in_tables();
        let rebased = (rule.transform == Transform::Rebase).then(|| rule.key(families.part));
        let mut earlier = rule.fallback.then(|| self.earlier_points(rule));
        if let Some(earlier) = &earlier {
            self.memory.summands.supersede(rule, |point| earlier.get(&point) == Some(&true));
        }
        if let Some(key) = rebased {
            // A series that the first response has and that could not be read would count from zero in the next one.
            if families.has_unknown_series_of(rule) && !self.memory.rebased.has(key) {
                return self.omit_points_of(rule, |_| false);
            }
            self.memory.rebased.start(key);
        }
        let mut series_taken = 0;
        let (is_counted, is_kept) = (self.checks_summands && is_summand(rule), is_kept(rule));
        for (index, series) in self.series(rule, families).enumerate() {
            series_taken += 1;
            let Some(attributes) = rule.attributes_of(&series.sample, has_patterns) else { continue };
            absent.retain(|other| *other != attributes);
            let mut value = taken(rule.take, series.sample.value());
            if rule.absent_when_zero && matches!(value, Ok(Value::Number(0.0))) {
                self.trace(|trace| trace.omit(index, Omission::UnknownZero));
                continue;
            }
            if earlier.as_mut().is_some_and(|earlier| self.is_settled(rule, &attributes, earlier)) {
                self.trace(|trace| trace.omit(index, Omission::Superseded));
                continue;
            }
            if rule.transform == Transform::Age
                && let Ok(Value::Number(n)) = &mut value
            {
                *n = scale(*n, rule.scale);
                // A server that does not know a time reports 0 or, like Go, a time before 1970.
                if *n <= 0.0 {
                    self.trace(|trace| trace.omit(index, Omission::UnknownTime));
                    continue;
                }
                let now = self.context.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                if *n > (now + TIME_AHEAD_MAX).as_secs_f64() {
                    self.trace(|trace| trace.point(index, &attributes, Some(Repair::OutOfRange)));
                    self.repair(Repair::OutOfRange);
                    continue;
                }
            }
            if is_counted && let Ok(value) = value {
                self.memory.summands.add(rule, series.identity(), value, identity_of_point(rule.metric, &attributes), is_kept);
            }
            if rule.scale < 0.0 {
                self.note_subtracted(rule, series.identity(), &attributes);
            }
            match (value, rule.metric.kind) {
                (Ok(Value::Histogram(histogram)), Kind::Histogram) => {
                    self.trace(|trace| trace.point(index, &attributes, None));
                    let mut histogram = histogram.scaled(rule.scale);
                    if histogram.sum.take_if(|sum| !sum.is_finite() || *sum < 0.0).is_some() {
                        self.repair(Repair::NonFiniteSum);
                    }
                    self.add_histogram(rule, attributes, histogram);
                }
                (_, Kind::Histogram) => {
                    self.trace(|trace| trace.point(index, &attributes, Some(Repair::Unreadable)));
                    self.omit_value(rule.metric, Repair::Unreadable);
                }
                (value, _) => {
                    let mut value = value.and_then(|value| self.number(rule.metric, value));
                    if let Some(key) = rebased {
                        value = self.rebased(key, series.identity(), value, identity_of_point(rule.metric, &attributes), &attributes);
                    }
                    self.trace(|trace| trace.point(index, &attributes, value.err()));
                    self.add(rule, attributes, value.map(|n| self.transformed(rule, n)));
                }
            }
        }
        if let Some(key) = rebased {
            for (attributes, total) in self.memory.rebased.totals_of_absent(key) {
                absent.retain(|other| *other != attributes);
                self.add(rule, attributes, Ok(scale(total, rule.scale)));
            }
        }
        if rule.metric.kind == Kind::Histogram {
            self.omit_partial_histograms(rule, families);
        } else if rule.take != Take::Value {
            self.invalidate_partial_sums(rule, families);
        }
        // A rebased total has the last value of a series that is missing.
        if rule.transform != Transform::Rebase && families.has_unknown_series_of(rule) {
            let is_settled = |point: &Point| earlier.as_ref().is_some_and(|earlier| earlier.get(&point.identity()) == Some(&true));
            self.omit_points_of(rule, is_settled);
        }
        if let Some(window) = &mut self.window {
            window.add(rule, series_taken, families.may_lack(rule));
        }
        let zero = if families.may_lack(rule) { f64::NAN } else { 0.0 };
        for attributes in absent {
            if !earlier.as_mut().is_some_and(|earlier| self.is_settled(rule, &attributes, earlier)) {
                self.add_zero(rule, attributes, zero);
            }
        }
    }

    /// Returns the total of a counter that continues after a fall. An invalid value of a known series does not change its total.
    fn rebased(&mut self, rule: u64, series: u64, value: Result<f64, Repair>, point: u64, attributes: &Attributes) -> Result<f64, Repair> {
        let total = self.memory.rebased.total(rule, series, value.ok(), point, attributes);
        if let (Some(_), Err(repair)) = (total, value) {
            self.repair(repair);
        }
        total.ok_or(value.err().unwrap_or(Repair::Unreadable))
    }

    fn number(&self, metric: &Metric, value: Value<'_>) -> Result<f64, Repair> {
        number(metric, value, self.gauge_max)
    }

    /// Returns the canonical value of a valid number. A Unix time is in seconds.
    fn transformed(&self, rule: &Rule, n: f64) -> f64 {
        match rule.transform {
            Transform::IsZero => f64::from(n == 0.0),
            Transform::IsNonZero => f64::from(n != 0.0),
            Transform::Age => {
                let then = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(n);
                // If the server's clock is slightly ahead, the age is 0, not negative.
                self.context.now.duration_since(then).unwrap_or_default().as_secs_f64()
            }
            Transform::Unchanged | Transform::Hold | Transform::Rebase | Transform::Accumulate | Transform::OneMinusShareOf(_) => {
                scale(n, rule.scale)
            }
        }
    }

    /// Adds a value to its point. An invalid value invalidates the point.
    fn add(&mut self, rule: &'static Rule, attributes: Attributes, value: Result<f64, Repair>) {
        self.contribute(rule, &attributes);
        let traced = self.memory.trace.is_some().then(|| attributes.clone());
        let number = if self.is_incomplete(rule, &attributes) { f64::NAN } else { value.unwrap_or(f64::NAN) };
        let is_added = self.points.add(rule.metric, attributes, number, Addend::of(rule, false));
        match value {
            Err(repair) => self.omit_value(rule.metric, repair),
            Ok(_) if !is_added => self.exceed_points(rule.metric, traced.as_ref()),
            Ok(_) => {}
        }
    }
}

/// Returns `true` if the decrease of a series that the rule takes may be a restart. Counters that are accumulated or rebased continue after
/// one.
fn is_summand(rule: &Rule) -> bool {
    matches!(rule.metric.kind, Kind::Counter | Kind::Histogram) && rule.transform != Transform::Rebase
}

/// Returns `true` if a missing series does not make the rule's sum wrong. A held sum does not fall, but it rises if what is subtracted is
/// missing.
fn is_kept(rule: &Rule) -> bool {
    rule.transform == Transform::Hold && rule.scale >= 0.0
}

/// Returns `true` if a number is a valid value of a counter. An invalid one does not show what has been counted, so it is not compared.
pub(super) fn is_counter_value(n: f64) -> bool {
    (0.0..=COUNTER_MAX).contains(&n)
}

/// Returns the value that a rule takes, or the repair that omitting it counts as.
pub(super) fn taken(take: Take, value: Value<'_>) -> Result<Value<'_>, Repair> {
    let number = match (take, value) {
        (Take::Value, value) => return Ok(value),
        (Take::Count, Value::Histogram(histogram)) => Some(histogram.count as f64),
        (Take::Count, Value::Summary(summary)) => summary.count.map(|count| count as f64),
        (Take::Sum, Value::Histogram(histogram)) => histogram.sum,
        (Take::Sum, Value::Summary(summary)) => summary.sum,
        // The family changed its type.
        (Take::Count | Take::Sum, Value::Number(_)) => None,
    };
    number.map(Value::Number).ok_or(Repair::Unreadable)
}

/// Returns a valid number for a metric that is not a histogram, or the repair that omitting it counts as. No canonical value is negative.
fn number(metric: &Metric, value: Value<'_>, gauge_max: f64) -> Result<f64, Repair> {
    let max = if metric.kind == Kind::Counter { COUNTER_MAX } else { gauge_max };
    match value {
        // The family changed its type, so it means something else than the rule expects.
        Value::Histogram(_) | Value::Summary(_) => Err(Repair::Unreadable),
        Value::Number(n) if !n.is_finite() => Err(Repair::NonFinite),
        Value::Number(n) if n > GAUGE_MAX && metric.kind != Kind::Counter && gauge_max == GAUGE_MAX => Err(Repair::Underflow),
        Value::Number(n) if !(0.0..=max).contains(&n) => Err(Repair::OutOfRange),
        Value::Number(n) => Ok(n),
    }
}
