//! The explanation of one reading: which native series each canonical point comes from, and what is not used.

use super::reason;
use crate::model::{Attributes, Metric, Point, Repair, Repairs, Snapshot};
use crate::net::Redactor;
use crate::source::{AbsentFamily, Omission, Rule, SkippedRule, Source, Trace, TracedEntry, TracedFamily, TracedRule, TracedSeries};
use std::borrow::Cow;
use std::collections::HashMap;

/// The explanation of one reading of a target.
#[derive(Debug)]
pub(super) struct Explanation {
    /// The name of the target, or the paths of the saved responses.
    pub(super) target: String,
    pub(super) system: &'static str,
    pub(super) version: Option<String>,
    pub(super) parts: Vec<ExplainedPart>,
    pub(super) points: Vec<ExplainedPoint>,
    /// Points that a rule would produce but that have no value.
    pub(super) omitted: Vec<OmittedPoint>,
    /// Series that a rule takes but for which it has no point.
    pub(super) unmapped: Vec<Contribution>,
    /// Rules that took no series.
    pub(super) unmatched: Vec<UnmatchedRule>,
    /// Families with at least one series that no rule takes.
    pub(super) unused: Vec<TracedFamily>,
    /// Families of the definition that the response has no value for.
    pub(super) absent: Vec<AbsentFamily>,
    pub(super) repairs: Repairs,
    pub(super) advice: Vec<String>,
    /// Advice that applies if a native value, which is not 0, rises from now on.
    pub(super) advice_if_rising: Vec<String>,
    /// The number of series that are not listed.
    pub(super) series_omitted: u64,
}

/// A part of the poll.
#[derive(Debug)]
pub(super) struct ExplainedPart {
    pub(super) name: &'static str,
    /// The error, if the part was not read.
    pub(super) error: Option<String>,
}

/// A canonical point and the series that it is the sum of.
#[derive(Debug)]
pub(super) struct ExplainedPoint {
    pub(super) metric: &'static Metric,
    pub(super) attributes: Attributes,
    pub(super) value: ExplainedValue,
    pub(super) contributions: Vec<Contribution>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ExplainedValue {
    Number(f64),
    Histogram { count: u64, sum: Option<f64> },
}

/// A point that has no value.
#[derive(Debug)]
pub(super) struct OmittedPoint {
    pub(super) metric: &'static Metric,
    pub(super) attributes: Attributes,
    pub(super) reason: Cow<'static, str>,
    pub(super) contributions: Vec<Contribution>,
}

/// A native series that a rule takes, or the zero of a rule that found none.
#[derive(Clone, Debug)]
pub(super) struct Contribution {
    pub(super) rule: RuleReference,
    pub(super) series: Option<TracedSeries>,
    pub(super) invalid: Option<Repair>,
    /// The reason why the series has no point, if it is not one of its labels.
    pub(super) omission: Option<Omission>,
}

/// A rule and its position.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleReference {
    pub(super) part: &'static str,
    /// The position among the rules of the part, counted from 1.
    pub(super) number: usize,
    pub(super) rule: &'static Rule,
}

/// A rule that took no series.
#[derive(Debug)]
pub(super) struct UnmatchedRule {
    pub(super) rule: RuleReference,
    pub(super) reason: &'static str,
}

/// The identity of a canonical series for comparisons.
type SeriesKey = (&'static str, Vec<(&'static str, String)>);

impl Explanation {
    /// Explains the snapshot of one mapping. Secrets in label values are redacted.
    pub(super) fn new(target: String, source: &'static Source, snapshot: &Snapshot, mut trace: Trace, secrets: &Redactor) -> Self {
        let rules: Vec<RuleReference> = trace.rules.iter().map(reference).collect();
        let mut by_point: HashMap<SeriesKey, Vec<Contribution>> = HashMap::new();
        let mut order: Vec<(&'static Metric, Attributes)> = Vec::new();
        let mut unmapped = Vec::new();
        for entry in std::mem::take(&mut trace.entries) {
            let Some(rule) = rules.get(entry.rule).copied() else { continue };
            let TracedEntry { series, attributes, invalid, omission, .. } = entry;
            let contribution = Contribution { rule, series: series.map(|series| redacted(series, secrets)), invalid, omission };
            let Some(attributes) = attributes else {
                unmapped.push(contribution);
                continue;
            };
            let metric = rule.rule.metric;
            let contributions = by_point.entry(key(metric, &attributes)).or_insert_with(|| {
                order.push((metric, attributes));
                Vec::new()
            });
            contributions.push(contribution);
        }
        let mut points = Vec::new();
        for Point { metric, attributes, value } in &snapshot.points {
            let contributions = by_point.remove(&key(metric, attributes)).unwrap_or_default();
            let (attributes, value) = (attributes.clone(), ExplainedValue::Number(*value));
            points.push(ExplainedPoint { metric, attributes, value, contributions });
        }
        for (metric, attributes, histogram) in &snapshot.histograms {
            let contributions = by_point.remove(&key(metric, attributes)).unwrap_or_default();
            let value = ExplainedValue::Histogram { count: histogram.count, sum: histogram.sum };
            points.push(ExplainedPoint { metric, attributes: attributes.clone(), value, contributions });
        }
        let omitted = order.into_iter().filter_map(|(metric, attributes)| {
            let contributions = by_point.remove(&key(metric, &attributes))?;
            let reason = reason::of_point(metric, &contributions, &trace, secrets);
            Some(OmittedPoint { metric, attributes, reason, contributions })
        });
        let mut explanation = Self {
            target,
            system: source.name,
            version: snapshot.version.clone(),
            parts: Vec::new(),
            points,
            omitted: omitted.collect(),
            unmapped,
            unmatched: unmatched(&trace),
            absent: std::mem::take(&mut trace.absent).into_iter().map(|family| redacted_absent(family, secrets)).collect(),
            unused: trace.families.into_iter().filter(|family| family.used < family.series).map(|f| redacted_family(f, secrets)).collect(),
            repairs: snapshot.repairs,
            advice: snapshot.advice.iter().map(|advice| secrets.redacted(advice.clone())).collect(),
            advice_if_rising: Vec::new(),
            series_omitted: trace.series_omitted,
        };
        let if_rising = trace.advice_if_rising.into_iter().filter(|advice| !snapshot.advice.contains(advice));
        explanation.advice_if_rising = if_rising.map(|advice| secrets.redacted(advice)).collect();
        for point in &mut explanation.points {
            redact_attributes(&mut point.attributes, secrets);
        }
        for point in &mut explanation.omitted {
            redact_attributes(&mut point.attributes, secrets);
        }
        explanation.version = explanation.version.map(|version| secrets.redacted(version));
        explanation
    }

    /// The explanation of a target whose required part could not be read.
    pub(super) fn failed(target: String, source: &'static Source) -> Self {
        let mut explanation = Self::new(target, source, &Snapshot::default(), Trace::default(), &Redactor::default());
        explanation.unmatched.clear();
        explanation
    }

    /// Returns true if the required part could not be read, so that nothing was mapped.
    pub(super) fn is_failed(&self) -> bool {
        self.parts.first().is_some_and(|required| required.error.is_some())
    }
}

fn reference(traced: &TracedRule) -> RuleReference {
    let at = traced.part.rules.iter().position(|rule| std::ptr::eq(rule, traced.rule));
    RuleReference { part: traced.part.name, number: at.map_or(0, |at| at + 1), rule: traced.rule }
}

fn key(metric: &'static Metric, attributes: &Attributes) -> SeriesKey {
    let mut attributes: Vec<_> = attributes.iter().map(|(attribute, value)| (attribute.key, value.to_string())).collect();
    attributes.sort_unstable();
    (metric.name, attributes)
}

/// Returns the rules that took no series, those with the same reason one after the other.
fn unmatched(trace: &Trace) -> Vec<UnmatchedRule> {
    let rules = &trace.rules;
    let has_family =
        |traced: &TracedRule| trace.families.iter().any(|family| family.part == traced.part.name && traced.rule.reads(&family.name));
    let reason = |traced: &TracedRule| match traced.skipped {
        Some(SkippedRule::Misnamed) => Some("not applied: the counters of this version of the server have wrong names"),
        Some(SkippedRule::CountedFromLog) => Some("not applied: the metric is counted from the delivery log"),
        Some(SkippedRule::OtherPart) => Some("not applied: it replaces a rule of another part, which was not read"),
        Some(SkippedRule::Detail) => Some("not applied: the target does not enable this detail"),
        None if traced.series > 0 => None,
        None => Some(match (has_family(traced), traced.rule.zero_when_absent) {
            (true, true) => "no series of the family has the labels of the rule, which means 0",
            (true, false) => "no series of the family has the labels of the rule",
            (false, true) => "the response does not have the family, which means 0",
            (false, false) => "the response does not have the family",
        }),
    };
    let unmatched = rules.iter().filter_map(|traced| Some(UnmatchedRule { rule: reference(traced), reason: reason(traced)? }));
    let mut unmatched: Vec<_> = unmatched.collect();
    let parts: Vec<&str> = rules.iter().map(|traced| traced.part.name).collect();
    let order = |name: &str| parts.iter().position(|part| *part == name);
    unmatched.sort_by_key(|unmatched| (unmatched.reason, order(unmatched.rule.part), unmatched.rule.number));
    unmatched
}

fn redacted(mut series: TracedSeries, secrets: &Redactor) -> TracedSeries {
    series.labels.iter_mut().for_each(|(_, value)| secrets.redact(value));
    series
}

fn redacted_family(mut family: TracedFamily, secrets: &Redactor) -> TracedFamily {
    family.unused = family.unused.into_iter().map(|series| redacted(series, secrets)).collect();
    family
}

fn redacted_absent(mut family: AbsentFamily, secrets: &Redactor) -> AbsentFamily {
    family.unreadable = family.unreadable.map(|reason| secrets.redacted(reason));
    family
}

fn redact_attributes(attributes: &mut Attributes, secrets: &Redactor) {
    for (_, value) in attributes {
        if let std::borrow::Cow::Owned(text) = value {
            secrets.redact(text);
        }
    }
}
