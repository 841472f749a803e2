//! A rule in one line.

use crate::source::{Rule, Take, Transform};
use std::fmt::Write as _;

/// Describes what a rule takes and how it calculates the value.
pub(super) fn describe(rule: &Rule) -> String {
    let mut out = rule.families.join(" + ");
    // Writing to a String cannot fail.
    let labels = |labels: &[(&str, &str)]| labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect::<Vec<_>>().join(", ");
    if !rule.when.is_empty() {
        let _ = write!(out, " when {}", labels(rule.when));
    }
    if !rule.unless.is_empty() {
        let _ = write!(out, " unless {}", labels(rule.unless));
    }
    if rule.unlabelled {
        out.push_str(" without labels");
    }
    let _ = write!(out, " -> {}", rule.metric.name);
    if let Some((label, attribute)) = rule.detail {
        let _ = write!(out, " by {} (label {label})", attribute.key);
    }
    if rule.scale != 1.0 {
        let _ = write!(out, ", times {}", rule.scale);
    }
    match rule.take {
        Take::Value => {}
        Take::Count => out.push_str(", its count"),
        Take::Sum => out.push_str(", its sum"),
    }
    match rule.transform {
        Transform::Unchanged => {}
        Transform::Accumulate => out.push_str(", increases are added up"),
        Transform::Rebase => out.push_str(", a decrease is a new base that adds nothing"),
        Transform::Hold => out.push_str(", a decrease is held"),
        Transform::IsZero => out.push_str(", 1 if it is 0"),
        Transform::IsNonZero => out.push_str(", 1 if it is not 0"),
        Transform::Age => out.push_str(", time since this Unix time"),
        Transform::OneMinusShareOf(whole) => {
            let _ = write!(out, ", 1 minus its share of {whole}");
        }
    }
    if rule.fallback {
        out.push_str(", only without an earlier rule's point");
    }
    out
}
