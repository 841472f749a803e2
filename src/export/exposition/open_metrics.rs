//! Requirements of OpenMetrics on the values of a type. A page that violates one is rejected as a whole by some readers.

use super::names::{Escaping, escaped_label_names};
use super::page_family::PageFamily;
use crate::model::{FamilyType, Histogram, SampleRef, SelectedFamily};
use std::collections::HashSet;

/// The type of a family: an info or a stateset whose series are not those of one is a gauge, as in the other formats.
pub(super) fn kind_of(family: &PageFamily<'_>, escaping: Escaping) -> FamilyType {
    let mut of_sections = family.of_sections.iter().map(|(_, family)| family);
    let is_valid = match family.kind {
        FamilyType::Info => of_sections.all(|family| family.samples().all(|sample| sample.number() == Some(1.0))),
        FamilyType::StateSet => of_sections.all(|of_section| is_state_set(of_section, &family.name, escaping)),
        _ => true,
    };
    if is_valid { family.kind } else { FamilyType::Gauge }
}

/// Returns true if each series has 0 or 1, and its state in the label with the name of the family, and if the states of a set are adjacent.
fn is_state_set(family: &SelectedFamily<'_>, name: &str, escaping: Escaping) -> bool {
    let (mut sets, mut last) = (HashSet::new(), None);
    family.samples().all(|sample| {
        let Some(set) = set_of_state(&sample, name, escaping).filter(|_| matches!(sample.number(), Some(0.0 | 1.0))) else { return false };
        let is_next_state = last.as_ref() == Some(&set);
        is_next_state || sets.insert(last.insert(set).clone())
    })
}

/// The labels of a state other than the one with its name, sorted. `None` if it has no such label.
fn set_of_state<'a>(sample: &SampleRef<'a>, name: &str, escaping: Escaping) -> Option<Vec<(&'a str, &'a str)>> {
    let escaped = escaped_label_names(sample, escaping);
    let is_state = |(index, (label, _)): &(usize, (&str, &str))| {
        escaped.as_ref().and_then(|names| names.get(*index)).map_or(*label, String::as_str) == name
    };
    let state = sample.labels().enumerate().find(is_state).map(|(index, _)| index)?;
    let mut others: Vec<_> = sample.labels().enumerate().filter(|(index, _)| *index != state).map(|(_, label)| label).collect();
    others.sort_unstable();
    Some(others)
}

/// Returns true if a histogram can have this sum. With negative observations, a sum is not a counter.
pub(super) fn may_have_sum(histogram: &Histogram, sum: f64) -> bool {
    is_sum(sum) && histogram.bounds.iter().all(|bound| *bound >= 0.0)
}

/// Returns true if a sum is a counter: not negative, and not NaN.
pub(super) fn is_sum(sum: f64) -> bool {
    sum >= 0.0
}
