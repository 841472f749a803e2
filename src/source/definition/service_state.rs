//! Checks that the states of a service include both `up` and `down`: the alert about a service reads `down`.

use crate::source::Rule;

/// The metric with a point for each state.
const METRIC: &str = "mail.service.status";
/// The attribute of the service.
const NAME: &str = "mail.service.name";
/// The attribute of the state.
const STATE: &str = "mail.service.state";
const UP: &str = "up";
const DOWN: &str = "down";

/// Returns the error about a service for which a rule sets the state `up`, and no rule of the part can result in `down`.
pub(super) fn problem(rules: &[Rule]) -> Option<String> {
    let of_services = || rules.iter().filter(|rule| rule.metric.name == METRIC);
    let lacks_down =
        |up: &&Rule| !of_services().any(|rule| may_set(rule, STATE, DOWN) && fixed(up, NAME).is_none_or(|name| may_set(rule, NAME, name)));
    let up = of_services().filter(|rule| fixed(rule, STATE) == Some(UP)).find(lacks_down)?;
    let service = fixed(up, NAME).map_or_else(String::new, |name| format!(" of {name}"));
    Some(format!(
        "mail.service.status{service} has the state up, but not down, so the alert about the service would never fire; write two rules for the \
         family: mail.service.state: up with convert: is_nonzero, and down with convert: is_zero"
    ))
}

/// The fixed value of an attribute.
fn fixed(rule: &Rule, attribute: &str) -> Option<&'static str> {
    rule.with.iter().find(|(other, _)| other.key == attribute).map(|(_, value)| *value)
}

/// Returns `true` if a point of the rule can have this value of an attribute.
fn may_set(rule: &Rule, attribute: &str, value: &str) -> bool {
    let from = rule.from.iter().find(|from| from.attribute.key == attribute);
    fixed(rule, attribute) == Some(value)
        || from.is_some_and(|from| {
            from.values.is_empty() || from.other == Some(value) || from.values.iter().any(|(_, canonical)| *canonical == value)
        })
}
