//! The reasons why a point has no value, and why a series has no point.

use super::report::Contribution;
use crate::model::{Kind, Metric, Repair, label_text};
use crate::net::Redactor;
use crate::source::{Omission, Take, Trace, TracedRule, TracedSeries, TracedValue, Transform};
use std::borrow::Cow;

/// Returns the reason why a point with these contributions has no value.
pub(super) fn of_point(metric: &Metric, contributions: &[Contribution], trace: &Trace, secrets: &Redactor) -> Cow<'static, str> {
    if let Some((contribution, repair)) = contributions.iter().find_map(|contribution| Some((contribution, contribution.invalid?))) {
        return of_invalid_value(contribution, repair, trace, secrets);
    }
    let is_replaced = |rule: &TracedRule| rule.rule.detail.is_some() && rule.skipped.is_none() && rule.rule.metric == metric;
    if trace.rules.iter().any(is_replaced) && contributions.iter().all(|contribution| contribution.rule.rule.detail.is_none()) {
        return "it is replaced by the points of its detail".into();
    }
    if trace.is_sliding && metric.kind == Kind::Counter {
        return "the window moves with the clock, so that its sums are not counters".into();
    }
    if contributions.iter().all(|contribution| contribution.series.is_none()) {
        return "the response is partly unreadable, so a missing series does not mean 0".into();
    }
    if let Some(reason) = contributions.iter().find_map(|contribution| unreadable_family(contribution, trace, secrets)) {
        return reason;
    }
    if metric.kind == Kind::Histogram {
        return "a histogram that belongs to it cannot be read, or has other bucket bounds".into();
    }
    let is_subtracted = |contribution: &Contribution| contribution.rule.rule.scale < 0.0;
    if contributions.iter().all(is_subtracted) {
        return "there is no series to subtract these from".into();
    }
    if contributions.iter().any(is_subtracted) {
        return "more is subtracted than there is".into();
    }
    if contributions.iter().any(|contribution| contribution.rule.rule.transform == Transform::Accumulate) {
        return "its increase is known from the second poll on, and only if the response is completely readable".into();
    }
    if contributions.iter().any(|contribution| contribution.rule.rule.take != Take::Value) {
        return "a histogram that belongs to it cannot be read".into();
    }
    let rules = trace.rules.iter().filter(|rule| rule.rule.metric == metric);
    if let Some(reason) = rules.filter_map(|rule| unreadable_family_of(rule, trace, secrets)).next() {
        return reason;
    }
    "a part of it has not responded, or a series is missing that an earlier response had".into()
}

/// Returns the reason why the family of a contribution cannot be read, if it cannot.
fn unreadable_family(contribution: &Contribution, trace: &Trace, secrets: &Redactor) -> Option<Cow<'static, str>> {
    let (part, series) = (contribution.rule.part, contribution.series.as_ref()?);
    let family = trace.families.iter().find(|family| family.part == part && family.name == series.family)?;
    let of_series = label_text(series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let own = family.unreadable.iter().find(|(labels, _)| *labels == of_series).map(|(_, reason)| (String::new(), reason));
    // Another series that may have the same labels.
    let other = || family.unreadable.first().map(|(labels, reason)| (braced(labels), reason));
    let (labels, reason) = own.or_else(other)?;
    Some(secrets.redacted(format!("{}{labels} cannot be read: {reason}", family.name)).into())
}

/// Labels in braces, if there are any.
fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

/// Returns the reason why a family of a rule cannot be read completely: what is missing may belong to any point of the rule.
fn unreadable_family_of(rule: &TracedRule, trace: &Trace, secrets: &Redactor) -> Option<Cow<'static, str>> {
    let families =
        trace.families.iter().filter(|family| family.part == rule.part.name && rule.rule.families.contains(&family.name.as_str()));
    let of_response = families.filter_map(|family| family.unreadable.first().map(|(_, reason)| (family.name.as_str(), reason)));
    let absent = trace.absent.iter().filter(|family| family.part == rule.part.name && rule.rule.families.contains(&family.name));
    let (name, reason) = of_response.chain(absent.filter_map(|family| Some((family.name, family.unreadable.as_ref()?)))).next()?;
    Some(secrets.redacted(format!("{name} cannot be read: {reason}")).into())
}

/// Returns the reason why a value is invalid.
fn of_invalid_value(contribution: &Contribution, repair: Repair, trace: &Trace, secrets: &Redactor) -> Cow<'static, str> {
    let (rule, series) = (contribution.rule, contribution.series.as_ref());
    match (repair, series.map(|series| series.value)) {
        (Repair::NonFinite, _) => {
            let reason = unreadable_family(contribution, trace, secrets);
            reason.unwrap_or_else(|| repair.description().into())
        }
        (Repair::OutOfRange, _) if rule.rule.transform == Transform::Age => {
            "the time is more than a day in the future; if it is in milliseconds, set unit: ms".into()
        }
        (Repair::OutOfRange, Some(TracedValue::Number(number))) if number < 0.0 => "the value is negative".into(),
        (Repair::OutOfRange, Some(TracedValue::Number(_))) => "the value is too large to be exact".into(),
        (Repair::Unreadable, Some(value)) => of_other_type(rule.rule.metric, rule.rule.take, value).into(),
        _ => repair.description().into(),
    }
}

/// Returns the reason why a rule has no use for a value of this type.
fn of_other_type(metric: &Metric, take: Take, value: TracedValue) -> &'static str {
    match (take, value) {
        (Take::Count, TracedValue::Number(_)) => "take: count needs a histogram or a summary, and the series is a number",
        (Take::Sum, TracedValue::Number(_)) => "take: sum needs a histogram or a summary, and the series is a number",
        (Take::Count, _) => "the series has no count",
        (Take::Sum, _) => "the series has no sum",
        (Take::Value, TracedValue::Histogram(_)) if metric.kind != Kind::Histogram => {
            "the metric needs a number, and the series is a histogram"
        }
        (Take::Value, TracedValue::Summary) if metric.kind != Kind::Histogram => "the metric needs a number, and the series is a summary",
        (Take::Value, TracedValue::Summary | TracedValue::Number(_)) if metric.kind == Kind::Histogram => {
            "the metric needs a histogram, and the series is none"
        }
        (Take::Value, _) => Repair::Unreadable.description(),
    }
}

/// Returns the reason why a series that a rule takes has no point.
pub(super) fn without_point(contribution: &Contribution) -> &'static str {
    let rule = contribution.rule.rule;
    match (contribution.omission, rule.transform) {
        (Some(Omission::Superseded), _) => "another rule has produced the point",
        (Some(Omission::UnknownTime), _) => "the time is 0 or before 1970, which means that the server does not know it",
        (Some(Omission::UnknownZero), _) => "the value is 0, which means that the server does not know it",
        (Some(Omission::UnknownWhole), _) => {
            "a share needs its own value and that of the whole, of which one is missing or is not a number"
        }
        _ if contribution.series.as_ref().is_some_and(|series| matches!(series.value, TracedValue::Number(number) if number.is_nan())) => {
            "a label of the series cannot be read, or has no value in the rule's table"
        }
        (None, Transform::OneMinusShareOf(_)) => "the value is calculated from the increase between two polls",
        (None, _) => rule.detail.map_or("a label is missing or empty, or its value is not in the rule's table", |(label, _)| {
            without_detail(label, contribution.series.as_ref())
        }),
    }
}

/// Returns the reason why a series has no point of a detail.
fn without_detail(label: &str, series: Option<&TracedSeries>) -> &'static str {
    match series {
        Some(series) if !series.labels.iter().any(|(name, _)| name == label) => "the label of the detail is missing",
        Some(TracedSeries { value: TracedValue::Number(number), .. }) if number.is_finite() && *number >= 0.0 => {
            "there is no total that the detail could split"
        }
        _ => "there is no total that the detail could split, or the value is invalid and therefore part of the rest",
    }
}
