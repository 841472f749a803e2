//! A trace of one mapping: which native series each rule took, and which point they became. `postmeter explain` prints it.
//!
//! The mapping records into a trace only if one was requested by [`CounterMemory::request_trace`], so it costs nothing otherwise.

use super::CounterMemory;
use crate::model::{Attributes, Families, FamilyType, Repair, SampleRef, Value};
use crate::source::{Part, Rule, Source, Transform};
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};

/// The largest number of native series that a trace contains. Further ones are only counted.
pub const TRACED_SERIES_MAX: usize = 20_000;
/// The largest number of native families that a trace contains.
pub const TRACED_FAMILIES_MAX: usize = 20_000;

/// The largest number of series of a family that a trace contains although no rule has taken them.
pub const UNUSED_SERIES_MAX: usize = 3;

/// The trace of one mapping.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The rules of the parts that were read, in the order in which they were applied.
    pub rules: Vec<TracedRule>,
    /// The results of the rules, in the same order.
    pub entries: Vec<TracedEntry>,
    /// The native families of the responses.
    pub families: Vec<TracedFamily>,
    /// `true` if the window moves with the clock, so that its sums are not counters.
    pub is_sliding: bool,
    /// The number of series that exceed [`TRACED_SERIES_MAX`].
    pub series_omitted: u64,
    /// The families of the definition that no response has a value for.
    pub absent: Vec<AbsentFamily>,
    /// Advice of diagnoses that applies if a value that is not 0 rises from now on.
    pub advice_if_rising: Vec<String>,
    /// The native series that any rule has taken, each by the name of its part and its identity.
    used: HashSet<(&'static str, u64), RandomState>,
    /// The index in `entries` of the first series of the current rule.
    first_entry: usize,
}

/// A rule, and why it was not applied if it was not.
#[derive(Clone, Copy, Debug)]
pub struct TracedRule {
    /// The part that the rule belongs to.
    pub part: &'static Part,
    /// The rule.
    pub rule: &'static Rule,
    /// The reason why the rule was not applied, or `None`.
    pub skipped: Option<SkippedRule>,
    /// The number of series that the rule took.
    pub series: u64,
}

/// A reason why a rule is not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkippedRule {
    /// The response comes from a version whose counters have wrong names.
    Misnamed,
    /// The metric is counted from the delivery log.
    CountedFromLog,
    /// It is a fallback to a rule of another part, which is configured and was not read.
    OtherPart,
    /// The target does not opt in to the detail.
    Detail,
}

/// A reason why a series that a rule took has no point, besides its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// An earlier rule has produced the point, so that this fallback does not.
    Superseded,
    /// The value is a time of 0 or before 1970, so the age is not known.
    UnknownTime,
    /// The value is 0, which means that the server does not know it.
    UnknownZero,
    /// The series is a share of a whole, and one of the two is missing or is not a number.
    UnknownWhole,
}

/// A native series, or a point without one, and what became of it.
#[derive(Clone, Debug)]
pub struct TracedEntry {
    /// The index of the rule in [`Trace::rules`].
    pub rule: usize,
    /// The series. `None` for a zero, because the rule found no series.
    pub series: Option<TracedSeries>,
    /// The attributes of the point. `None`: a label is missing or its value is not mapped, so the series has no point.
    pub attributes: Option<Attributes>,
    /// The repair, if the value is invalid.
    pub invalid: Option<Repair>,
    /// The reason why the series has no point, if it is not one of its labels.
    pub omission: Option<Omission>,
    /// The identity of the series.
    identity: u64,
}

/// A native series.
#[derive(Clone, Debug)]
pub struct TracedSeries {
    /// The name of its family.
    pub family: String,
    /// Its labels, in the server's order.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: TracedValue,
}

/// The value of a native series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TracedValue {
    /// A number.
    Number(f64),
    /// A histogram, by its count.
    Histogram(u64),
    /// A summary.
    Summary,
}

/// A native family of a response.
#[derive(Clone, Debug)]
pub struct TracedFamily {
    /// The part whose response contains it.
    pub part: &'static str,
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: FamilyType,
    /// The number of its series.
    pub series: u64,
    /// The number of its series that at least one rule has taken.
    pub used: u64,
    /// The first of its series that no rule has taken.
    pub unused: Vec<TracedSeries>,
    /// The reasons why values cannot be read, as far as they are known, each with the labels of its series; none if it concerns the family.
    pub unreadable: Vec<(String, String)>,
}

/// A family of a definition whose paths select no value in the response.
#[derive(Clone, Debug)]
pub struct AbsentFamily {
    /// The part whose response lacks it.
    pub part: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The reason why it cannot be read, if its paths select something.
    pub unreadable: Option<String>,
}

impl CounterMemory {
    /// Requests a trace of the next mappings. The trace is that of the last one.
    pub fn request_trace(&mut self) {
        self.trace = Some(Box::default());
    }

    /// Returns the trace of the last mapping, if one was requested, and ends the request.
    pub fn take_trace(&mut self) -> Option<Trace> {
        self.trace.take().map(|trace| *trace)
    }
}

impl Trace {
    /// Starts the trace of a mapping. `is_sliding`: its window moves with the clock.
    pub(super) fn start(&mut self, is_sliding: bool) {
        *self = Self { is_sliding, ..Self::default() };
    }

    /// Adds a rule that is applied next, or skipped.
    pub(super) fn rule(&mut self, part: &'static Part, rule: &'static Rule, skipped: Option<SkippedRule>) {
        self.rules.push(TracedRule { part, rule, skipped, series: 0 });
        self.first_entry = self.entries.len();
    }

    /// Adds a series that the current rule has taken.
    pub(super) fn series(&mut self, identity: u64, sample: &SampleRef<'_>) {
        let Some(rule) = self.rules.last_mut() else { return };
        rule.series += 1;
        if self.entries.len() == TRACED_SERIES_MAX {
            self.series_omitted += 1;
            return;
        }
        self.used.insert((rule.part.name, identity));
        // The name of the family is added at the end.
        let series = Some(TracedSeries::new("", sample));
        let rule = self.rules.len() - 1;
        self.entries.push(TracedEntry { rule, series, attributes: None, invalid: None, omission: None, identity });
    }

    /// Sets the point of a series of the current rule. `index` counts the series that the rule has taken.
    pub(super) fn point(&mut self, index: usize, attributes: &Attributes, invalid: Option<Repair>) {
        if let Some(entry) = self.entries.get_mut(self.first_entry + index) {
            (entry.attributes, entry.invalid) = (Some(attributes.clone()), invalid);
        }
    }

    /// Sets the reason why a series of the current rule has no point.
    pub(super) fn omit(&mut self, index: usize, omission: Omission) {
        if let Some(entry) = self.entries.get_mut(self.first_entry + index) {
            entry.omission = Some(omission);
        }
    }

    /// Marks the series of the current rule with these attributes: their point exceeds the number of points of the metric.
    pub(super) fn exceed_points(&mut self, attributes: &Attributes) {
        let of_rule = self.entries.get_mut(self.first_entry..).unwrap_or_default();
        for entry in of_rule.iter_mut().filter(|entry| entry.attributes.as_ref() == Some(attributes)) {
            entry.invalid.get_or_insert(Repair::TooManyPoints);
        }
    }

    /// Adds a point of the current rule that has the value 0 because there is no series.
    pub(super) fn zero(&mut self, attributes: &Attributes) {
        if !self.rules.is_empty() && self.entries.len() < TRACED_SERIES_MAX {
            let rule = self.rules.len() - 1;
            let attributes = Some(attributes.clone());
            self.entries.push(TracedEntry { rule, series: None, attributes, invalid: None, omission: None, identity: 0 });
        }
    }

    /// Adds the families of the responses, and counts the series that the mail system uses.
    pub(super) fn finish(&mut self, source: &Source, read: &[(&'static Part, Families)]) {
        let mut known: HashMap<(&str, &str), usize, RandomState> = HashMap::default();
        let mut names: HashMap<u64, &str, RandomState> = HashMap::default();
        let families = read.iter().flat_map(|(part, families)| families.iter().map(move |family| (part.name, families, family)));
        for (part, families, family) in families.filter(|(_, _, family)| family.samples().len() > 0) {
            let name = family.name();
            if self.families.len() == TRACED_FAMILIES_MAX && !known.contains_key(&(part, name)) {
                continue;
            }
            let index = *known.entry((part, name)).or_insert_with(|| {
                self.families.push(TracedFamily {
                    part,
                    name: name.to_owned(),
                    kind: family.kind(),
                    series: 0,
                    used: 0,
                    unused: Vec::new(),
                    unreadable: families.unreadable_reasons(name).map(|(labels, reason)| (labels.to_owned(), reason.to_owned())).collect(),
                });
                self.families.len() - 1
            });
            let is_used_as_whole = is_used_besides_rules(source, name);
            let Some(traced) = self.families.get_mut(index) else { return };
            for sample in family.samples() {
                traced.series += 1;
                let identity = family.name_identity() ^ sample.prometheus_identity();
                let is_taken = self.used.contains(&(part, identity));
                if is_taken {
                    names.insert(identity, name);
                }
                if is_taken || is_used_as_whole {
                    traced.used += 1;
                } else if traced.unused.len() < UNUSED_SERIES_MAX {
                    traced.unused.push(TracedSeries::new(name, &sample));
                }
            }
        }
        for entry in &mut self.entries {
            if let (Some(series), Some(name)) = (&mut entry.series, names.get(&entry.identity)) {
                series.family = (*name).to_owned();
            }
        }
        self.add_absent(read);
        self.advice_if_rising = super::advice::if_rising(source, read);
    }
}

impl Trace {
    /// Adds the families of definitions that no response has a value for.
    fn add_absent(&mut self, read: &[(&'static Part, Families)]) {
        for (part, families) in read {
            let declared = part.requests.iter().flat_map(|request| request.reader.declared_series());
            for name in declared.map(|series| series.family) {
                let is_present = self.families.iter().any(|family| family.part == part.name && family.name == name);
                if !is_present && !self.absent.iter().any(|absent| absent.part == part.name && absent.name == name) {
                    let unreadable = families.unreadable_reason(name).map(str::to_owned);
                    self.absent.push(AbsentFamily { part: part.name, name, unreadable });
                }
            }
        }
    }
}

impl TracedSeries {
    fn new(family: &str, sample: &SampleRef<'_>) -> Self {
        let value = match sample.value() {
            Value::Number(n) => TracedValue::Number(n),
            Value::Histogram(histogram) => TracedValue::Histogram(histogram.count),
            Value::Summary(_) => TracedValue::Summary,
        };
        let labels = sample.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { family: family.to_owned(), labels, value }
    }
}

/// Returns true if a mail system uses a family for something else than the value of a rule.
fn is_used_besides_rules(source: &Source, family: &str) -> bool {
    let is_whole = |rule: &Rule| matches!(rule.transform, Transform::OneMinusShareOf(whole) if whole == family);
    source.version.is_some_and(|(name, _)| name == family)
        || [source.counters_since, source.process_since].contains(&Some(family))
        || source.rules().any(|(_, rule)| is_whole(rule))
}
