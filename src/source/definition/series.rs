//! Decodes the series that a request finds in a JSON document.

use super::memory::Memory;
use super::pattern;
use super::schema::{PATTERN_BYTES_MAX, SERIES, VALUES_MAX};
use crate::model::FamilyType;
use crate::source::{Combine, PathSeries, PathValue};
use crate::yaml::{Decoder, Item};

const TYPES: &[(&str, FamilyType)] = &[("gauge", FamilyType::Gauge), ("counter", FamilyType::Counter)];
const COMBINATIONS: &[(&str, Combine)] = &[("sum", Combine::Sum), ("max", Combine::Max), ("min", Combine::Min)];

pub(super) fn type_names() -> Vec<&'static str> {
    TYPES.iter().map(|(name, _)| *name).collect()
}

pub(super) fn combine_names() -> Vec<&'static str> {
    COMBINATIONS.iter().map(|(name, _)| *name).collect()
}

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<PathSeries> {
    let mut map = decoder.map(item, SERIES)?;
    let family = map.take_required(decoder, "family").and_then(|item| pattern::family(decoder, &item));
    let kind = map.choice_or_default(decoder, "type", TYPES);
    let each = map.take("each").and_then(|item| path(decoder, &item));
    let labels = map.take("labels").map(|item| labels(decoder, &item, path)).unwrap_or_default();
    let value = map.take_required(decoder, "value").and_then(|item| value(decoder, memory, &item));
    let combine = map.choice_or_default(decoder, "combine", COMBINATIONS);
    let zero_for = map.take("zero_for").map(|item| decoder.bounded_list(&item, VALUES_MAX)).unwrap_or_default();
    decoder.finish(map);
    let zero_for = zero_for.iter().map(|item| memory.pairs(&self::labels(decoder, item, pattern::value))).collect();
    Some(PathSeries {
        family: memory.text(family?),
        kind,
        each: memory.text(each.unwrap_or_default()),
        labels: memory.pairs(&labels),
        value: value?,
        combine,
        zero_for: memory.list(zero_for),
    })
}

/// Decodes labels, each with a value.
fn labels<'n>(
    decoder: &mut Decoder<'_>,
    item: &Item<'n>,
    value: fn(&mut Decoder<'_>, &Item<'n>) -> Option<&'n str>,
) -> Vec<(&'n str, &'n str)> {
    let mut labels = Vec::new();
    for (label, item) in decoder.user_map(item) {
        if let Some(problem) = pattern::label_fault(label) {
            decoder.report(&item.location, problem);
        }
        labels.extend(value(decoder, &item).map(|value| (label, value)));
    }
    labels
}

fn value(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<PathValue> {
    let text = decoder.raw_text(item)?;
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Some(PathValue::Number(number)),
        _ => path(decoder, item).map(|path| PathValue::Path(memory.text(path))),
    }
}

/// Decodes a JSONPath.
fn path<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Option<&'n str> {
    let text = decoder.raw_text(item)?;
    let problem = if text.len() > PATTERN_BYTES_MAX {
        format!("exceeds the limit of {PATTERN_BYTES_MAX} bytes")
    } else if !text.starts_with('$') {
        format!("{text:?} is not a JSONPath, which begins with $")
    } else {
        return Some(text);
    };
    decoder.report_value(item, problem);
    None
}
