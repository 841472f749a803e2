//! Walks rules over series: the only way from a server's words to ours.
//!
//! # What is not known is left out
//!
//! A number that is none breaks the point that it belongs to, and so does a series that should be 0 when it is absent but may be what
//! could not be read of its part: a sum over the rest would be too small now, and its next rise too large.

mod accumulated;
mod falls;
mod omitted;
mod part_families;
mod points;
mod windows;

use super::{Part, Rule, Source, Transform};
use crate::model::{Attribute, Attributes, Families, Histogram, Kind, Metric, Number, Repair, SampleRef, Snapshot, Value};
pub use accumulated::CounterMemory;
use foldhash::fast::RandomState;
use omitted::Found;
use part_families::{PartFamilies, with};
pub use points::POINTS_PER_METRIC_MAX;
use points::Points;
use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, SystemTime};
pub use windows::WINDOWS_KEPT_MAX;

/// Of a system whose unsigned gauges go below zero, a gauge above this is such a number (2^64 - n): no queue holds 10^15 messages.
const GAUGE_MAX: f64 = 1e15;
/// A gauge above this does not fit into the integer that it is exported as.
const INTEGER_MAX: f64 = 9_223_372_036_854_774_784.0;
/// Whole numbers are exact up to here.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// The value of a detail attribute that stands for all values outside the largest.
const OTHER: &str = "_other";

/// What a reading depends on besides the answers.
#[derive(Clone, Debug)]
pub struct Context {
    /// When the poll began.
    pub now: SystemTime,
    /// When the window of the sums began, for windowed sources.
    pub window_start: Option<SystemTime>,
    /// Whether the window follows the clock, so that its sums are no counters.
    pub sliding: bool,
    /// The detail that the target asks for.
    pub detail: Option<Detail>,
    /// Metrics that are counted from the server's records: rules for them rest, so that nothing is counted twice.
    pub of_records: &'static [&'static Metric],
}

/// A detail that a target opts in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// By what.
    pub by: &'static Attribute,
    /// How many of the largest are told apart, as far as the metric has room beside its other points; the rest is `_other`.
    pub top: usize,
}

/// The canonical words for what the parts of a poll said.
#[must_use]
pub fn apply(source: &Source, read: &[(&'static Part, Families)], memory: &mut CounterMemory, context: &Context) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (_, families) in read {
        snapshot.series_read += families.series() as u64;
        snapshot.repairs.add_all(families.repairs());
    }
    snapshot.version = source.version.and_then(|said| version(read, said));
    snapshot.drops_idle_series = source.rules().any(|(_, rule)| rule.step == Transform::Accumulate);
    snapshot.counters_since = source.counters_since.and_then(|family| counters_since(read, family));

    memory.process_began(source.process_since.and_then(|family| counters_since(read, family)));

    let gauge_max = if source.gauges_underflow { GAUGE_MAX } else { INTEGER_MAX };
    let mut walk = Mapping {
        snapshot,
        points: Points::default(),
        memory,
        context,
        duplicates: HashSet::new(),
        gauge_max,
        partial_histograms: Vec::new(),
        found: Found::default(),
    };
    let parts = source.parts.iter().filter(|part| read.iter().any(|(p, _)| p.name == part.name));
    let parts: Vec<(&'static Part, PartFamilies<'_>)> = parts.map(|part| (part, PartFamilies::of(part, read))).collect();
    for (part, said) in &parts {
        let wrong = |name: &str| part.misnamed_when.contains(&name);
        let misnamed = !part.misnamed_when.is_empty() && read.iter().any(|(_, f)| f.iter().any(|family| wrong(family.name())));
        if misnamed {
            walk.snapshot.repairs.count(Repair::Misnamed);
        }
        let right = |rule: &&Rule| (!misnamed || rule.metric.kind != Kind::Counter) && !context.of_records.contains(&rule.metric);
        for rule in part.rules.iter().filter(|rule| rule.detail.is_none()).filter(right) {
            walk.rule(rule, said);
        }
    }
    for (part, said) in &parts {
        for rule in part.rules {
            if let (Some((label, by)), Some(detail)) = (rule.detail, &context.detail)
                && by == detail.by
            {
                walk.detail(rule, label, detail, said);
            }
        }
    }
    walk.finish(source)
}

struct Mapping<'a> {
    snapshot: Snapshot,
    points: Points,
    memory: &'a mut CounterMemory,
    context: &'a Context,
    /// Series that stand twice, counted once however many rules meet them.
    duplicates: HashSet<(&'static str, u64)>,
    /// What canonical counters and histograms are the sums of.
    found: Found,
    /// The largest gauge that is a reading.
    gauge_max: f64,
    /// Histograms that a series is missing from.
    partial_histograms: Vec<(&'static Metric, Attributes)>,
}

impl Mapping<'_> {
    fn rule(&mut self, rule: &'static Rule, said: &PartFamilies<'_>) {
        if rule.fallback {
            if self.points.has_sound(|point| rule.may_give(point)) {
                return;
            }
            while self.points.take(|point| rule.may_give(point)).is_some() {}
        }
        match rule.step {
            Transform::OneMinusShareOf(whole) => self.share(rule, whole, said),
            Transform::Accumulate => self.accumulate(rule, said),
            Transform::AsIs | Transform::Hold | Transform::Not | Transform::Is | Transform::Age => self.each(rule, said),
        }
    }

    /// The series that a rule takes, each once, with their identities.
    fn series<'f>(&mut self, rule: &'static Rule, said: &PartFamilies<'f>) -> Vec<(u64, SampleRef<'f>)> {
        let mut found: Vec<_> = said.taken_by(rule).map(|(family, sample)| (family, sample.identity(), sample)).collect();
        // Most rules take one series.
        if found.len() > 1 {
            let mut seen = HashSet::with_capacity_and_hasher(found.len(), RandomState::default());
            found.retain(|&(family, series, _)| {
                let is_new = seen.insert((family, series));
                if !is_new && self.duplicates.insert((family, series)) {
                    self.snapshot.repairs.count(Repair::DuplicateSeries);
                }
                is_new
            });
        }
        found.into_iter().map(|(_, series, sample)| (series, sample)).collect()
    }

    fn each(&mut self, rule: &'static Rule, said: &PartFamilies<'_>) {
        let mut absent = if rule.zero_when_absent { rule.closed_attributes() } else { Vec::new() };
        for (series, sample) in self.series(rule, said) {
            let Some(attributes) = rule.attributes_of(&sample) else { continue };
            absent.retain(|a| *a != attributes);
            // A sum that is held does not fall.
            if matches!(rule.metric.kind, Kind::Counter | Kind::Histogram) && !rule.fallback && rule.step != Transform::Hold {
                self.found.add(rule, series, sample.value(), identity(rule.metric, &attributes));
            }
            match (sample.value(), rule.metric.kind) {
                (Value::Histogram(h), Kind::Histogram) => self.add_histogram(rule, attributes, h.scaled(rule.scale)),
                (_, Kind::Histogram) => self.snapshot.repairs.count(Repair::Unreadable),
                (value, _) => {
                    let value = self.number(rule.metric, value).map(|n| self.step(rule, n));
                    self.add(rule, attributes, value);
                }
            }
        }
        if rule.metric.kind == Kind::Histogram {
            self.leave_out_partial_histograms(rule, said);
        }
        let zero = if said.may_lack(rule) { f64::NAN } else { 0.0 };
        for attributes in absent {
            self.points.add(rule.metric, attributes, zero);
        }
    }

    /// Adds to the histogram of these attributes. Where that is not possible the sum is not known, so there is none.
    fn add_histogram(&mut self, rule: &'static Rule, attributes: Attributes, histogram: Histogram) {
        let is_its = |(metric, its): &(&'static Metric, Attributes)| *metric == rule.metric && *its == attributes;
        if self.partial_histograms.iter().any(is_its) {
            return;
        }
        let found = self.snapshot.histograms.iter_mut().position(|(metric, its, _)| *metric == rule.metric && *its == attributes);
        match found {
            None => self.snapshot.histograms.push((rule.metric, attributes, histogram)),
            Some(at) if self.snapshot.histograms[at].2.add(&histogram) => {}
            Some(at) => {
                self.snapshot.repairs.count(Repair::InconsistentHistogram);
                self.snapshot.histograms.swap_remove(at);
                self.partial_histograms.push((rule.metric, attributes));
            }
        }
    }

    /// Leaves out histograms that lack a series which could not be read: they would fall now, and rise too much when it is back.
    fn leave_out_partial_histograms(&mut self, rule: &'static Rule, said: &PartFamilies<'_>) {
        for attributes in said.lost_of(rule).filter_map(|sample| rule.attributes_of(&sample)) {
            self.snapshot.histograms.retain(|(metric, its, _)| *metric != rule.metric || *its != attributes);
            self.partial_histograms.push((rule.metric, attributes));
        }
    }

    fn number(&self, metric: &Metric, value: Value<'_>) -> Result<f64, Repair> {
        number(metric, value, self.gauge_max)
    }

    fn step(&self, rule: &Rule, n: f64) -> f64 {
        match rule.step {
            Transform::Not => f64::from(n == 0.0),
            Transform::Is => f64::from(n != 0.0),
            Transform::Age => {
                let then = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(n);
                // A clock that is ahead of ours gives no negative age.
                self.context.now.duration_since(then).unwrap_or_default().as_secs_f64()
            }
            Transform::AsIs | Transform::Hold | Transform::Accumulate | Transform::OneMinusShareOf(_) => n * rule.scale,
        }
    }

    fn add(&mut self, rule: &Rule, attributes: Attributes, value: Result<f64, Repair>) {
        let has_room = self.points.add(rule.metric, attributes, value.unwrap_or(f64::NAN));
        let repair = value.err().or((!has_room).then_some(Repair::Unreadable));
        repair.into_iter().for_each(|repair| self.snapshot.repairs.count(repair));
    }

    fn share(&mut self, rule: &'static Rule, whole: &str, said: &PartFamilies<'_>) {
        let part = said.taken_by(rule).find_map(|(_, sample)| sample.number());
        let whole = said.named(whole).find_map(|sample| sample.number());
        let (Some(part), Some(whole)) = (part, whole) else { return };
        if let Some(share) = self.memory.share(rule.families[0], part, whole) {
            self.add(rule, Attributes::new(), Ok(1.0 - share));
        }
    }

    fn accumulate(&mut self, rule: &'static Rule, said: &PartFamilies<'_>) {
        let found: Vec<_> = self.series(rule, said).iter().map(|(series, s)| (*series, self.number(rule.metric, s.value()))).collect();
        found.iter().filter_map(|(_, n)| n.err()).for_each(|repair| self.snapshot.repairs.count(repair));
        let lost = said.may_lack(rule);
        let total = self.memory.accumulate(rule.families[0], &found, lost);
        if let Some(total) = total.or((rule.zero_when_absent && !lost).then_some(0.0)) {
            self.add(rule, rule.fixed_attributes(), Ok(total));
        }
    }

    /// The largest of a detail, and the rest of the total as one more: so that the sum stays what it was.
    fn detail(&mut self, rule: &'static Rule, label: &str, detail: &Detail, said: &PartFamilies<'_>) {
        let series = self.series(rule, said);
        let plain = rule.fixed_attributes();
        // A server without the family keeps its totals apart.
        if !rule.replaces.is_empty() && series.is_empty() {
            return;
        }
        let mut replaced: Vec<Attributes> =
            rule.replaces.iter().map(|with| with.iter().map(|(k, v)| (*k, Cow::Borrowed(*v))).collect()).collect();
        if replaced.is_empty() {
            replaced.push(plain.clone());
        }
        let totals = replaced.iter().filter_map(|attributes| {
            self.points.take(|point| point.metric == rule.metric && point.attributes == *attributes).map(|point| point.value)
        });
        let Some(total) = totals.reduce(|sum, total| sum + total).filter(|total| !total.is_nan()) else { return };
        let values = series.into_iter().filter_map(|(_, s)| Some((s.label(label)?, self.number(rule.metric, s.value()).ok()?)));
        let mut values: Vec<(&str, f64)> = values.collect();
        values.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        // One is for the rest: without it the sum would fall short.
        values.truncate(detail.top.min(self.points.room(rule.metric).saturating_sub(1)));
        // Families are counted one by one while mail moves, so the rest can come out a little below zero.
        let rest = (total - values.iter().map(|(_, value)| value).sum::<f64>()).max(0.0);
        for (name, value) in values {
            self.add(rule, with(&plain, detail.by, name.to_owned()), Ok(value));
        }
        self.add(rule, with(&plain, detail.by, OTHER.to_owned()), Ok(rest));
    }

    fn finish(self, source: &Source) -> Snapshot {
        let Self { mut snapshot, points, memory, context, found, .. } = self;
        snapshot.points = points.into_sound();
        // The sums of a window begin anew with it, and a server that drops idle series omits nothing.
        if !source.windowed && !snapshot.drops_idle_series {
            let lacking = memory.summands.lacking(found, context.now, snapshot.counters_since);
            snapshot.points.retain(|point| !lacking.contains(&point.identity()));
            snapshot.histograms.retain(|(metric, attributes, _)| !lacking.contains(&identity(metric, attributes)));
        }
        if source.windowed && context.sliding {
            // The sums of a sliding window fall as mail leaves it, and are no counters.
            snapshot.points.retain(|point| point.metric.kind != Kind::Counter);
        } else if source.windowed {
            let began = context.window_start.unwrap_or(context.now);
            let counters = snapshot.points.iter_mut().filter(|point| point.metric.kind == Kind::Counter);
            snapshot.counters_since = Some(memory.windows.count(began, counters, &mut snapshot.repairs));
        } else {
            let holding: Vec<&Rule> = source.rules().map(|(_, rule)| rule).filter(|rule| rule.step == Transform::Hold).collect();
            let held = snapshot.points.iter_mut().filter(|point| holding.iter().any(|rule| rule.may_give(point)));
            memory.hold(snapshot.counters_since, held, &mut snapshot.repairs);
        }
        for point in &mut snapshot.points {
            if point.metric.number == Number::Int {
                point.value = point.value.round();
            }
            if point.metric.kind == Kind::Counter {
                point.value = point.value.max(0.0);
            }
        }
        snapshot
    }
}

fn identity(metric: &'static Metric, attributes: &Attributes) -> u64 {
    crate::model::Point { metric, attributes: attributes.clone(), value: 0.0 }.identity()
}

/// The number for a metric that is none in buckets, or why there is none: nothing that we measure is ever below zero.
fn number(metric: &Metric, value: Value<'_>, gauge_max: f64) -> Result<f64, Repair> {
    let most = if metric.kind == Kind::Counter { EXACT_MAX } else { gauge_max };
    match value {
        // A family that changed its type says something else than the rule knows.
        Value::Histogram(_) | Value::Summary(_) => Err(Repair::Unreadable),
        Value::Number(n) if !n.is_finite() => Err(Repair::NonFinite),
        Value::Number(n) if n > GAUGE_MAX && metric.kind != Kind::Counter && gauge_max == GAUGE_MAX => Err(Repair::Underflow),
        Value::Number(n) if !(0.0..=most).contains(&n) => Err(Repair::OutOfRange),
        Value::Number(n) => Ok(n),
    }
}

fn version(read: &[(&'static Part, Families)], (family, label): (&str, &str)) -> Option<String> {
    let mut samples = read.iter().flat_map(|(_, f)| f.named(family)).flat_map(|f| f.samples());
    samples.find_map(|s| s.label(label)).map(|v| v.trim_start_matches('v').to_owned()).filter(|v| !v.is_empty())
}

fn counters_since(read: &[(&'static Part, Families)], family: &str) -> Option<SystemTime> {
    let mut samples = read.iter().flat_map(|(_, f)| f.named(family)).flat_map(|f| f.samples());
    let seconds = samples.find_map(|s| s.number())?;
    let since = Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero())?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests;
