//! The explanation as text for people.

use super::reason;
use super::report::{Contribution, ExplainedValue, Explanation, RuleReference};
use super::rule_text;
use crate::app::plural::pluralize;
use crate::model::{Attributes, FamilyType, Metric};
use crate::net::Escaped;
use crate::source::{TracedSeries, TracedValue};
use std::fmt::Write as _;

/// The largest number of native series that are listed below a point and a rule. Further ones are counted.
const SERIES_SHOWN_MAX: usize = 10;
/// The largest number of series without a point that are listed.
const UNMAPPED_SHOWN_MAX: usize = 50;

/// Renders an explanation.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let version = explanation.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let _ = writeln!(out, "{}: {}{}", Escaped::line(&explanation.target), explanation.system, Escaped::line(&version));
    for part in &explanation.parts {
        let state = part.error.as_ref().map_or_else(|| "read".to_owned(), |error| format!("failed: {error}"));
        let _ = writeln!(out, "  part {}: {}", part.name, Escaped::line(&state));
    }
    if explanation.is_failed() {
        return out;
    }
    points(&mut out, explanation);
    unmapped(&mut out, explanation);
    title(&mut out, "Rules without a series", explanation.unmatched.len());
    for same_reason in explanation.unmatched.chunk_by(|a, b| a.reason == b.reason) {
        if let Some(first) = same_reason.first() {
            let _ = writeln!(out, "  {}", first.reason);
        }
        for unmatched in same_reason {
            let _ = writeln!(out, "      {}", rule_line(&unmatched.rule));
        }
    }
    title(&mut out, "Native families with series that no rule uses", explanation.unused.len());
    for family in &explanation.unused {
        let unused = family.series - family.used;
        let series = if family.used == 0 { format!("{unused} series") } else { format!("{unused} of {} series", family.series) };
        let _ = writeln!(out, "  {} ({}, {series})", Escaped::line(&family.name), type_name(family.kind));
        for example in &family.unused {
            let _ = writeln!(out, "      {}", native(example));
        }
        if unused > family.unused.len() as u64 {
            let _ = writeln!(out, "      and {} more", unused - family.unused.len() as u64);
        }
    }
    if !explanation.absent.is_empty() {
        title(&mut out, "Families of the definition without a value in the response", explanation.absent.len());
    }
    for family in &explanation.absent {
        let reason = family.unreadable.as_deref().unwrap_or("its paths select nothing, or null");
        let _ = writeln!(out, "  {} of {}: {}", family.name, family.part, Escaped::line(reason));
    }
    let repairs: Vec<_> = explanation.repairs.iter().collect();
    title(&mut out, "Repairs", repairs.len());
    for (repair, n) in repairs {
        let _ = writeln!(out, "  {} {n}: {}", repair.as_str(), repair.description());
    }
    let (now, if_rising) = (&explanation.advice, &explanation.advice_if_rising);
    if !now.is_empty() || !if_rising.is_empty() {
        title(&mut out, "Advice", now.len() + if_rising.len());
        for advice in now {
            let _ = writeln!(out, "  {}", Escaped::line(advice));
        }
        for advice in if_rising {
            let _ = writeln!(out, "  if the value rises: {}", Escaped::line(advice));
        }
    }
    if explanation.series_omitted > 0 {
        let _ = writeln!(out, "\n{} series are not listed, because there are too many.", explanation.series_omitted);
    }
    out
}

fn title(out: &mut String, text: &str, n: usize) {
    let _ = if n == 0 { writeln!(out, "\n{text}: none") } else { writeln!(out, "\n{text}: {n}") };
}

fn points(out: &mut String, explanation: &Explanation) {
    title(out, "Canonical points", explanation.points.len());
    for point in &explanation.points {
        let value = match point.value {
            ExplainedValue::Number(value) => format!("{value}"),
            ExplainedValue::Histogram { count: n, sum } => {
                format!("{}{}", pluralize(n as usize, "value"), sum.map(|sum| format!(", sum {sum}")).unwrap_or_default())
            }
        };
        let _ = writeln!(out, "  {} = {value}", name(point.metric, &point.attributes));
        contributions(out, &point.contributions);
    }
    if !explanation.omitted.is_empty() {
        title(out, "Points without a value", explanation.omitted.len());
    }
    for point in &explanation.omitted {
        let _ = writeln!(out, "  {}: {}", name(point.metric, &point.attributes), point.reason);
        contributions(out, &point.contributions);
    }
}

fn unmapped(out: &mut String, explanation: &Explanation) {
    if explanation.unmapped.is_empty() {
        return;
    }
    title(out, "Series that have no point", explanation.unmapped.len());
    let shown = &explanation.unmapped[..explanation.unmapped.len().min(UNMAPPED_SHOWN_MAX)];
    let is_same =
        |a: &Contribution, b: &Contribution| std::ptr::eq(a.rule.rule, b.rule.rule) && reason::without_point(a) == reason::without_point(b);
    for same_rule in shown.chunk_by(is_same) {
        for contribution in same_rule {
            if let Some(series) = &contribution.series {
                let _ = writeln!(out, "  {}", native(series));
            }
        }
        if let Some(first) = same_rule.first() {
            let _ = writeln!(out, "      {}: {}", rule_line(&first.rule), reason::without_point(first));
        }
    }
    if explanation.unmapped.len() > shown.len() {
        let _ = writeln!(out, "  and {} more", explanation.unmapped.len() - shown.len());
    }
}

/// Writes the rules of a point, each with its series.
fn contributions(out: &mut String, contributions: &[Contribution]) {
    for same_rule in contributions.chunk_by(|a, b| std::ptr::eq(a.rule.rule, b.rule.rule)) {
        let Some(Contribution { rule, .. }) = same_rule.first() else { continue };
        let _ = writeln!(out, "      {}", rule_line(rule));
        for contribution in same_rule.iter().take(SERIES_SHOWN_MAX) {
            let invalid = contribution.invalid.map(|repair| format!("  ({})", repair.as_str())).unwrap_or_default();
            let series = contribution.series.as_ref().map_or_else(|| "no series, which means 0".to_owned(), native);
            let _ = writeln!(out, "        {series}{invalid}");
        }
        if same_rule.len() > SERIES_SHOWN_MAX {
            let _ = writeln!(out, "        and {} series more", same_rule.len() - SERIES_SHOWN_MAX);
        }
    }
}

fn rule_line(rule: &RuleReference) -> String {
    format!("rule {} of {}: {}", rule.number, rule.part, Escaped::line(&rule_text::describe(rule.rule)))
}

/// The name of a canonical series.
pub(super) fn name(metric: &Metric, attributes: &Attributes) -> String {
    series_name(metric.name, attributes.iter().map(|(attribute, value)| (attribute.key, &**value)))
}

fn native(series: &TracedSeries) -> String {
    let name = series_name(&series.family, series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    match series.value {
        TracedValue::Number(value) => format!("{name} {value}"),
        TracedValue::Histogram(n) => format!("{name} histogram of {}", pluralize(n as usize, "value")),
        TracedValue::Summary => format!("{name} summary"),
    }
}

fn series_name<'a>(name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let labels: Vec<String> =
        labels.map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    Escaped::line(&format!("{name}{labels}")).to_string()
}

/// The name of a family's type, as in the Prometheus text format.
pub(super) fn type_name(kind: FamilyType) -> &'static str {
    kind.name("untyped")
}
