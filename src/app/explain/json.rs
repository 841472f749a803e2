//! The explanation as JSON for other programs.

use super::reason;
use super::report::{Contribution, ExplainedValue, Explanation, RuleReference};
use super::{rule_text, text};
use crate::model::{Attributes, Metric};
use crate::source::{TracedSeries, TracedValue};
use serde_json::{Map, Value, json};

/// Renders explanations as one object with a list of targets.
pub(super) fn render(explanations: &[Explanation]) -> String {
    format!("{:#}\n", json!({"targets": explanations.iter().map(target).collect::<Vec<_>>()}))
}

fn target(explanation: &Explanation) -> Value {
    let parts = explanation.parts.iter().map(|part| json!({"part": part.name, "error": part.error}));
    let points = explanation.points.iter().map(|point| {
        let mut value = series(point.metric, &point.attributes, &point.contributions);
        match point.value {
            ExplainedValue::Number(n) => value["value"] = number(n),
            ExplainedValue::Histogram { count, sum } => value["histogram"] = json!({"count": count, "sum": sum.map(number)}),
        }
        value
    });
    let omitted = explanation.omitted.iter().map(|point| {
        let mut value = series(point.metric, &point.attributes, &point.contributions);
        value["reason"] = json!(point.reason);
        value
    });
    let unmapped = explanation.unmapped.iter().map(
        |entry| json!({"rule": rule(&entry.rule), "series": entry.series.as_ref().map(native), "reason": reason::without_point(entry)}),
    );
    let unmatched = explanation.unmatched.iter().map(|unmatched| json!({"rule": rule(&unmatched.rule), "reason": unmatched.reason}));
    let unused = explanation.unused.iter().map(|family| {
        let unused = family.series - family.used;
        json!({"part": family.part, "family": family.name, "type": text::type_name(family.kind), "series": family.series, "unused_series": unused, "examples": family.unused.iter().map(native).collect::<Vec<_>>()})
    });
    let absent =
        explanation.absent.iter().map(|family| json!({"part": family.part, "family": family.name, "unreadable": family.unreadable}));
    let repairs =
        explanation.repairs.iter().map(|(repair, n)| json!({"kind": repair.as_str(), "count": n, "description": repair.description()}));
    json!({
        "target": explanation.target,
        "system": explanation.system,
        "version": explanation.version,
        "parts": parts.collect::<Vec<_>>(),
        "points": points.collect::<Vec<_>>(),
        "points_without_value": omitted.collect::<Vec<_>>(),
        "series_without_point": unmapped.collect::<Vec<_>>(),
        "unmatched_rules": unmatched.collect::<Vec<_>>(),
        "unused_families": unused.collect::<Vec<_>>(),
        "absent_families": absent.collect::<Vec<_>>(),
        "repairs": repairs.collect::<Vec<_>>(),
        "advice": explanation.advice,
        "advice_if_rising": explanation.advice_if_rising,
        "series_not_listed": explanation.series_omitted,
    })
}

fn series(metric: &Metric, attributes: &Attributes, contributions: &[Contribution]) -> Value {
    let attributes: Map<String, Value> = attributes.iter().map(|(key, value)| (key.key.to_owned(), json!(value))).collect();
    let sources = contributions.chunk_by(|a, b| std::ptr::eq(a.rule.rule, b.rule.rule)).map(|same_rule| {
        let series = same_rule.iter().filter_map(|contribution| {
            let mut value = native(contribution.series.as_ref()?);
            if let Some(repair) = contribution.invalid {
                value["repair"] = json!(repair.as_str());
            }
            Some(value)
        });
        json!({"rule": same_rule.first().map(|first| rule(&first.rule)), "series": series.collect::<Vec<_>>()})
    });
    json!({"metric": metric.name, "unit": metric.unit, "attributes": attributes, "sources": sources.collect::<Vec<_>>()})
}

fn rule(reference: &RuleReference) -> Value {
    json!({
        "part": reference.part,
        "number": reference.number,
        "families": reference.rule.families,
        "metric": reference.rule.metric.name,
        "description": rule_text::describe(reference.rule),
    })
}

fn native(series: &TracedSeries) -> Value {
    let labels: Map<String, Value> = series.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut value = json!({"family": series.family, "labels": labels});
    match series.value {
        TracedValue::Number(n) => value["value"] = number(n),
        TracedValue::Histogram(count) => value["histogram"] = json!({"count": count}),
        TracedValue::Summary => value["summary"] = json!({}),
    }
    value
}

/// A number; as text if JSON does not have it.
fn number(n: f64) -> Value {
    if n.is_finite() && n.fract() == 0.0 && n.abs() < 9e15 {
        json!(n as i64)
    } else if n.is_finite() {
        json!(n)
    } else {
        json!(n.to_string())
    }
}
