//! Names of families, patterns and labels.

use super::limits::{PATTERN_BYTES_MAX, PATTERN_WILDCARDS_MAX, VALUES_MAX};
use crate::yaml::{Decoder, Item, Map, Value};

/// Pairs of a label and a value or a pattern.
pub(super) type Labels<'n> = Vec<(&'n str, &'n str)>;

/// Decodes the name of one family.
pub(super) fn family<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Option<&'n str> {
    let name = family_pattern(decoder, item)?;
    if name.contains(['*', '?']) {
        decoder.report_value(item, format!("{name} must be the name of one family, not a pattern"));
        return None;
    }
    Some(name)
}

/// Decodes the name of a family, or a pattern of names.
pub(super) fn family_pattern<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Option<&'n str> {
    let name = decoder.raw_text(item)?;
    let problem = if name.is_empty() {
        Some("is empty".to_owned())
    } else if name.chars().all(|c| matches!(c, '*' | '?')) {
        Some(format!("{name} matches every family; a pattern needs a part of the name"))
    } else if name.contains(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | '"')) {
        Some(format!("{name} is not the name of a family; labels belong into `when`"))
    } else {
        fault(name)
    };
    report(decoder, item, name, problem)
}

/// Decodes a list of names of families or patterns.
pub(super) fn families<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>, max: usize) -> Vec<&'n str> {
    let items = decoder.bounded_list(item, max);
    items.iter().filter_map(|item| family_pattern(decoder, item)).collect()
}

/// Decodes the families of a map, which has either `family` or `families`.
pub(super) fn family_or_families<'n>(decoder: &mut Decoder<'_>, map: &mut Map<'n>) -> Vec<&'n str> {
    let (family, families) = (map.take("family"), map.take("families"));
    match (&family, &families) {
        (None, None) => decoder.report(&map.location, "family is missing"),
        (Some(_), Some(item)) => decoder.report(&item.location, "family and families cannot both be set"),
        _ => {}
    }
    let mut names: Vec<&str> = family.and_then(|item| family_pattern(decoder, &item)).into_iter().collect();
    let items = families.map(|item| decoder.non_empty_list(&item, VALUES_MAX, "families")).unwrap_or_default();
    names.extend(items.iter().filter_map(|item| family_pattern(decoder, item)));
    names
}

/// Decodes the name of a label.
pub(super) fn name<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Option<&'n str> {
    let name = decoder.raw_text(item)?;
    let problem = label_fault(name);
    report(decoder, item, name, problem)
}

/// Returns what is wrong with the name of a label.
pub(super) fn label_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("the name of the label is empty".to_owned())
    } else if name.len() > PATTERN_BYTES_MAX {
        Some(format!("the name of the label exceeds the limit of {PATTERN_BYTES_MAX} bytes"))
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control() || "{}[]=\"'*?,".contains(c)) {
        Some(format!("{name:?} is not the name of a label"))
    } else {
        None
    }
}

/// Decodes a value of a label, or a pattern. It can be empty.
pub(super) fn value<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Option<&'n str> {
    let text = decoder.raw_text(item)?;
    let problem = fault(text);
    report(decoder, item, text, problem)
}

/// Decodes labels, each with a value or a list of values.
pub(super) fn labels<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Labels<'n> {
    let mut pairs = Vec::new();
    for (label, item) in decoder.user_map(item) {
        if let Some(problem) = label_fault(label) {
            decoder.report(&item.location, problem);
        }
        match &item.node.value {
            Value::List(_) => {
                let items = decoder.non_empty_list(&item, VALUES_MAX, "values");
                pairs.extend(items.iter().filter_map(|item| value(decoder, item)).map(|value| (label, value)));
            }
            _ => pairs.extend(value(decoder, &item).map(|value| (label, value))),
        }
    }
    pairs
}

/// Returns what is wrong with a pattern.
pub(super) fn fault(pattern: &str) -> Option<String> {
    let wildcards = pattern.matches('*').count();
    if pattern.len() > PATTERN_BYTES_MAX {
        Some(format!("the pattern exceeds the limit of {PATTERN_BYTES_MAX} bytes"))
    } else if pattern.contains("**") {
        Some(format!("{pattern} repeats *; one is enough"))
    } else if wildcards > PATTERN_WILDCARDS_MAX {
        Some(format!("{pattern} has {wildcards} wildcards *, which exceeds the limit of {PATTERN_WILDCARDS_MAX}"))
    } else {
        None
    }
}

fn report<'n>(decoder: &mut Decoder<'_>, item: &Item<'_>, text: &'n str, problem: Option<String>) -> Option<&'n str> {
    match problem {
        Some(problem) => {
            decoder.report_value(item, problem);
            None
        }
        None => Some(text),
    }
}
