//! Walks rules over series: the only way from a server's words to ours.

use super::{From, Part, Rule, Source, Step};
use crate::model::{Attribute, Attributes, Families, Kind, Metric, Number, Point, Repair, SampleRef, Snapshot, Value};
use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::time::{Duration, SystemTime};

/// A gauge above this is an unsigned number that went below zero (2^64 - n), not a reading: no queue holds 10^15 messages.
const GAUGE_MAX: f64 = 1e15;
/// Whole numbers are exact up to here.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Points of one target: far above any table of rules, and below what an SDK instrument is given room for.
pub const POINTS_PER_METRIC_MAX: usize = 1000;
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
    /// How many of the largest are told apart; the rest is `_other`.
    pub top: usize,
}

/// What is remembered of a target from one good reading to the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// For `Step::OneMinusShareOf`: the last two counters.
    shares: HashMap<&'static str, (f64, f64)>,
    /// For `Step::Accumulate`: series and their last values, and the sum of all rises.
    accumulated: HashMap<&'static str, (f64, HashMap<u64, f64>)>,
    /// For `Step::Hold`: the largest sum so far.
    held: HashMap<u64, f64>,
    /// Of which life of the server's counters that is.
    held_since: Option<SystemTime>,
    /// For windowed sources: the final sums of closed windows.
    closed: HashMap<u64, f64>,
    /// When the first window began.
    first_window: Option<SystemTime>,
}

impl Memory {
    /// Adds the final sums of a window that has ended.
    pub fn close_window(&mut self, last: &Snapshot) {
        for point in last.points.iter().filter(|p| p.metric.kind == Kind::Counter) {
            self.closed.insert(key(point.metric, &point.attributes), point.value);
        }
        self.held.clear();
    }
}

/// The canonical words for what the parts of a poll said.
#[must_use]
pub fn apply(source: &Source, read: &[(&'static Part, Families)], memory: &mut Memory, context: &Context) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (_, families) in read {
        snapshot.series_read += families.series() as u64;
        snapshot.repairs.add_all(families.repairs());
    }
    snapshot.version = source.version.and_then(|said| version(read, said));
    snapshot.counters_since = source.counters_since.and_then(|family| counters_since(read, family));

    let mut walk = Walk { snapshot, memory, context, duplicates: HashSet::new(), broken: HashSet::new() };
    let parts: Vec<&'static Part> = source.parts.iter().filter(|part| read.iter().any(|(p, _)| p.name == part.name)).collect();
    for part in &parts {
        let misnamed = read.iter().any(|(_, f)| f.iter().any(|family| part.misnamed_when.contains(&family.name())));
        if misnamed {
            walk.snapshot.repairs.count(Repair::Misnamed);
        }
        let right = |rule: &&Rule| (!misnamed || rule.metric.kind != Kind::Counter) && !context.of_records.contains(&rule.metric);
        for rule in part.rules.iter().filter(|rule| rule.detail.is_none()).filter(right) {
            walk.rule(rule, read.iter().filter(|(p, _)| p.name == part.name).map(|(_, families)| families));
        }
    }
    for part in &parts {
        for rule in part.rules {
            if let (Some((label, by)), Some(detail)) = (rule.detail, &context.detail)
                && by == detail.by
            {
                walk.detail(rule, label, detail, read.iter().filter(|(p, _)| p.name == part.name).map(|(_, f)| f));
            }
        }
    }
    let broken = std::mem::take(&mut walk.broken);
    walk.snapshot.points.retain(|point| !broken.contains(&key(point.metric, &point.attributes)));
    walk.hold(source);
    walk.windows(source);
    walk.finish()
}

struct Walk<'a> {
    snapshot: Snapshot,
    memory: &'a mut Memory,
    context: &'a Context,
    /// Series that stand twice, counted once however many rules meet them.
    duplicates: HashSet<(&'static str, u64)>,
    /// Points that a number which is none belongs to: a sum over the others would be wrong.
    broken: HashSet<u64>,
}

impl Walk<'_> {
    fn rule<'f>(&mut self, rule: &'static Rule, read: impl Iterator<Item = &'f Families>) {
        if rule.fallback && self.snapshot.points.iter().any(|p| p.metric == rule.metric && rule.may_give(&p.attributes)) {
            return;
        }
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for families in read {
            for family in families.iter() {
                let Some(name) = rule.families.iter().copied().find(|name| *name == family.name()) else { continue };
                for sample in family.samples().filter(|sample| rule.takes(sample)) {
                    let series = series_hash(sample);
                    if !seen.insert((name, series)) {
                        if self.duplicates.insert((name, series)) {
                            self.snapshot.repairs.count(Repair::DuplicateSeries);
                        }
                        continue;
                    }
                    if let Some(attributes) = rule.attributes_of(&sample) {
                        found.push((series, attributes, sample));
                    }
                }
                if let Step::OneMinusShareOf(other) = rule.step {
                    let whole = families.named(other).flat_map(|f| f.samples()).find_map(|s| s.number());
                    self.share(rule, found.pop().and_then(|(_, _, s)| s.number()), whole);
                    return;
                }
            }
        }
        if rule.step == Step::Accumulate {
            return self.accumulate(rule, &found);
        }
        for (_, attributes, sample) in found {
            match sample.value() {
                Value::Histogram(h) if rule.metric.kind == Kind::Histogram => {
                    if !self.snapshot.histograms.iter().any(|(m, a, _)| *m == rule.metric && *a == attributes) {
                        self.snapshot.histograms.push((rule.metric, attributes, h.scaled(rule.scale)));
                    }
                }
                Value::Number(n) if rule.metric.kind != Kind::Histogram => self.number(rule, attributes, n),
                // A family that changed its type says something else than the rule knows.
                Value::Histogram(_) | Value::Summary(_) | Value::Number(_) => {}
            }
        }
        if rule.zero_when_absent {
            for attributes in rule.closed_attributes() {
                self.add(rule, attributes, 0.0);
            }
        }
    }

    fn number(&mut self, rule: &Rule, attributes: Attributes, n: f64) {
        if !n.is_finite() {
            self.broken.insert(key(rule.metric, &attributes));
            return self.snapshot.repairs.count(Repair::NonFinite);
        }
        if rule.metric.kind == Kind::Counter && !(0.0..=EXACT_MAX).contains(&n) {
            self.broken.insert(key(rule.metric, &attributes));
            return self.snapshot.repairs.count(Repair::OutOfRange);
        }
        if n > GAUGE_MAX && rule.metric.kind != Kind::Counter {
            return self.snapshot.repairs.count(Repair::Underflow);
        }
        let value = match rule.step {
            Step::Not => f64::from(n == 0.0),
            Step::Is => f64::from(n != 0.0),
            Step::Age => {
                let then = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(n.max(0.0));
                // A clock that is ahead of ours gives no negative age.
                self.context.now.duration_since(then).unwrap_or_default().as_secs_f64()
            }
            Step::AsIs | Step::Hold | Step::Accumulate | Step::OneMinusShareOf(_) => n * rule.scale,
        };
        self.add(rule, attributes, value);
    }

    fn add(&mut self, rule: &Rule, attributes: Attributes, value: f64) {
        let points = &mut self.snapshot.points;
        if let Some(point) = points.iter_mut().find(|p| p.metric == rule.metric && p.attributes == attributes) {
            point.value = match rule.metric.kind {
                Kind::Gauge => point.value.max(value),
                Kind::Counter | Kind::UpDownCounter | Kind::Histogram => point.value + value,
            };
            return;
        }
        if points.iter().filter(|p| p.metric == rule.metric).count() < POINTS_PER_METRIC_MAX {
            points.push(Point { metric: rule.metric, attributes, value });
        } else {
            self.snapshot.repairs.count(Repair::Unreadable);
        }
    }

    fn share(&mut self, rule: &Rule, part: Option<f64>, whole: Option<f64>) {
        let (Some(part), Some(whole)) = (part, whole) else { return };
        let before = self.memory.shares.insert(rule.families[0], (part, whole));
        if let Some((part_before, whole_before)) = before {
            let (part, whole) = (part - part_before, whole - whole_before);
            // Both restart when the host does; the first reading after that has no rise.
            if whole > 0.0 && (0.0..=whole).contains(&part) {
                self.add(rule, Attributes::new(), 1.0 - part / whole);
            }
        }
    }

    fn accumulate(&mut self, rule: &Rule, found: &[(u64, Attributes, SampleRef<'_>)]) {
        let (mut total, before) = self.memory.accumulated.remove(rule.families[0]).unwrap_or_default();
        let mut now = HashMap::with_capacity(found.len());
        for (series, _, sample) in found {
            let Some(value) = sample.number() else { continue };
            if !(0.0..=EXACT_MAX).contains(&value) {
                self.snapshot.repairs.count(if value.is_finite() { Repair::OutOfRange } else { Repair::NonFinite });
                // It goes on from where it was; as a new series it would be added once more.
                now.extend(before.get(series).map(|last| (*series, *last)));
                continue;
            }
            let rise = before.get(series).map_or(value, |last| if value >= *last { value - last } else { value });
            total += rise;
            now.insert(*series, value);
        }
        let known = !before.is_empty() || !now.is_empty() || total > 0.0;
        self.memory.accumulated.insert(rule.families[0], (total, now));
        if known || rule.zero_when_absent {
            let attributes = rule.with.iter().map(|(k, v)| (*k, Cow::Borrowed(*v))).collect();
            self.add(rule, attributes, total);
        }
    }

    /// The largest of a detail, and the rest of the total as one more: so that the sum stays what it was.
    fn detail<'f>(&mut self, rule: &'static Rule, label: &str, detail: &Detail, read: impl Iterator<Item = &'f Families>) {
        let mut seen = HashSet::new();
        let mut values: Vec<(&str, f64)> = read
            .flat_map(Families::iter)
            .filter(|family| rule.families.contains(&family.name()))
            .flat_map(|family| family.samples())
            .filter(|sample| rule.takes(sample) && seen.insert(series_hash(*sample)))
            .filter_map(|sample| Some((sample.label(label)?, sample.number()?)))
            .filter(|(_, n)| (0.0..=GAUGE_MAX).contains(n))
            .collect();
        values.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let plain: Attributes = rule.with.iter().map(|(k, v)| (*k, Cow::Borrowed(*v))).collect();
        let points = &mut self.snapshot.points;
        let Some(at) = points.iter().position(|p| p.metric == rule.metric && p.attributes == plain) else { return };
        let total = points.swap_remove(at).value;
        if self.broken.contains(&key(rule.metric, &plain)) {
            return;
        }
        let top = detail.top.min(POINTS_PER_METRIC_MAX - 1);
        let mut rest = total;
        for (name, value) in values.into_iter().take(top) {
            rest -= value;
            self.add(rule, with(&plain, detail.by, name.to_owned()), value);
        }
        // Families are counted one by one while mail moves, so the rest can come out a little below zero.
        self.add(rule, with(&plain, detail.by, OTHER.to_owned()), rest.max(0.0));
    }

    fn hold(&mut self, source: &Source) {
        // The sums of a sliding window fall as mail leaves it, and are no counters.
        if self.context.sliding {
            return;
        }
        let since = self.context.window_start.or(self.snapshot.counters_since);
        if self.memory.held_since != since {
            self.memory.held.clear();
            self.memory.held_since = since;
        }
        let holds = |p: &Point| source.rules().any(|(_, r)| r.step == Step::Hold && r.metric == p.metric && r.may_give(&p.attributes));
        for point in self.snapshot.points.iter_mut().filter(|p| holds(p)) {
            let held = self.memory.held.entry(key(point.metric, &point.attributes)).or_insert(0.0);
            if point.value < *held {
                point.value = *held;
                self.snapshot.repairs.count(Repair::Held);
            }
            *held = point.value;
        }
    }

    /// Sums of a window are counters only together with those of the windows before it.
    fn windows(&mut self, source: &Source) {
        if !source.windowed {
            return;
        }
        if self.context.sliding {
            self.snapshot.points.retain(|p| p.metric.kind != Kind::Counter);
            return;
        }
        let first = self.memory.first_window.get_or_insert(self.context.window_start.unwrap_or(self.context.now));
        self.snapshot.counters_since = Some(*first);
        for point in self.snapshot.points.iter_mut().filter(|p| p.metric.kind == Kind::Counter) {
            point.value += self.memory.closed.get(&key(point.metric, &point.attributes)).copied().unwrap_or(0.0);
        }
    }

    fn finish(mut self) -> Snapshot {
        for point in &mut self.snapshot.points {
            if point.metric.number == Number::Int {
                point.value = point.value.round();
            }
            if point.metric.kind == Kind::Counter {
                point.value = point.value.max(0.0);
            }
        }
        self.snapshot
    }
}

impl Rule {
    fn takes(&self, sample: &SampleRef<'_>) -> bool {
        self.when.iter().all(|(name, value)| sample.label(name) == Some(value))
            && !self.unless.iter().any(|(name, value)| sample.label(name) == Some(value))
    }

    fn attributes_of(&self, sample: &SampleRef<'_>) -> Option<Attributes> {
        let mut attributes: Attributes = self.with.iter().map(|(k, v)| (*k, Cow::Borrowed(*v))).collect();
        for from in self.from {
            attributes.push((from.attribute, from.value(sample.label(from.label)?)?));
        }
        Some(attributes)
    }

    /// The attribute sets that this rule gives whatever the server says.
    fn closed_attributes(&self) -> Vec<Attributes> {
        let plain: Attributes = self.with.iter().map(|(k, v)| (*k, Cow::Borrowed(*v))).collect();
        self.from.iter().fold(vec![plain], |sets, from| {
            sets.iter().flat_map(|set| from.values.iter().map(move |(_, ours)| with(set, from.attribute, *ours))).collect()
        })
    }

    fn may_give(&self, attributes: &Attributes) -> bool {
        self.with.iter().all(|(k, v)| attributes.iter().any(|(key, value)| key == k && value == v))
    }
}

impl From {
    fn value(&self, theirs: &str) -> Option<Cow<'static, str>> {
        if self.values.is_empty() {
            return Some(Cow::Owned(theirs.to_owned()));
        }
        let ours = self.values.iter().find(|(t, _)| *t == theirs).map(|(_, ours)| *ours);
        ours.or(self.other).map(Cow::Borrowed)
    }
}

fn with(attributes: &Attributes, key: &'static Attribute, value: impl Into<Cow<'static, str>>) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.push((key, value.into()));
    attributes
}

/// Equal for the same labels in any order.
fn series_hash(sample: SampleRef<'_>) -> u64 {
    sample.labels().fold(0, |hash, label| {
        let mut hasher = DefaultHasher::new();
        label.hash(&mut hasher);
        hash.wrapping_add(hasher.finish())
    })
}

fn key(metric: &Metric, attributes: &Attributes) -> u64 {
    let mut hasher = DefaultHasher::new();
    metric.name.hash(&mut hasher);
    for (attribute, value) in attributes {
        (attribute.key, value).hash(&mut hasher);
    }
    hasher.finish()
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
