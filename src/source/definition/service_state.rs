//! Checks that the states of a service include both `up` and `down`: the alert about a service reads `down`.

use crate::source::Rule;

/// The metric with a point for each state.
const METRIC: &str = "mail.service.status";
/// The attribute of the state.
const STATE: &str = "mail.service.state";
const UP: &str = "up";
const DOWN: &str = "down";
/// The error about a part without the second point.
pub(super) const PROBLEM: &str = "mail.service.status has the state up, but not down, so the alert about the service would never fire; \
     write two rules for the family: mail.service.state: up with convert: is_nonzero, and down with convert: is_zero";

/// Returns `true` if a rule sets the state `up` for all series, and no rule of the part can result in `down`.
pub(super) fn lacks_down(rules: &[Rule]) -> bool {
    let of_services = || rules.iter().filter(|rule| rule.metric.name == METRIC);
    of_services().any(|rule| fixed_state(rule) == Some(UP)) && !of_services().any(can_be_down)
}

fn fixed_state(rule: &Rule) -> Option<&str> {
    rule.with.iter().find(|(attribute, _)| attribute.key == STATE).map(|(_, value)| *value)
}

fn can_be_down(rule: &Rule) -> bool {
    let from = rule.from.iter().find(|from| from.attribute.key == STATE);
    fixed_state(rule) == Some(DOWN)
        || from
            .is_some_and(|from| from.values.is_empty() || from.other == Some(DOWN) || from.values.iter().any(|(_, state)| *state == DOWN))
}
