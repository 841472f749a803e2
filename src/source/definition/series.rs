//! Decodes the series that a request finds in a JSON document.

use super::memory::Memory;
use super::pattern;
use super::schema::{LABEL_SOURCE, SERIES, VALUES_MAX};
use crate::model::FamilyType;
use crate::source::{Combine, Each, JsonPath, LabelSource, PathSeries, SeriesValue};
use crate::yaml::{Decoder, Item, Value};

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
    let location = map.location.clone();
    let family = map.take_required(decoder, "family").and_then(|item| pattern::family(decoder, &item));
    let help = map.take("help").and_then(|item| decoder.non_empty_text(&item)).unwrap_or_default();
    let kind = map.choice_or_default(decoder, "type", TYPES);
    let each = map.take("each").map_or(Some(Each::Document), |item| {
        let text = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, Each::parse(text))
    });
    let labels = map.take("labels").map(|item| labels(decoder, memory, &item)).unwrap_or_default();
    let value = map.take_required(decoder, "value").and_then(|item| value(decoder, &item));
    let booleans = map.flag_or_default(decoder, "booleans");
    let combine = map.choice_or_default(decoder, "combine", COMBINATIONS);
    let zero_for = map.take("zero_for").map(|item| decoder.bounded_list(&item, VALUES_MAX)).unwrap_or_default();
    decoder.finish(map);
    let zeros: Vec<Vec<(&str, &str)>> = zero_for.iter().map(|item| fixed_labels(decoder, item)).collect();
    let each = each?;
    let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let has_key = labels.iter().any(|(_, source)| *source == LabelSource::Key);
    decoder.ok_or_report(&location, each.check(has_key, &names, &zeros))?;
    Some(PathSeries {
        family: memory.text(family?),
        help: memory.text(&help),
        kind,
        each,
        labels: memory.list(labels.into_iter().map(|(name, source)| (memory.text(name), source)).collect()),
        value: value?,
        booleans,
        combine,
        zero_for: memory.list(zeros.iter().map(|labels| memory.pairs(labels)).collect()),
    })
}

/// Decodes labels, each with the source of its value.
fn labels<'n>(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'n>) -> Vec<(&'n str, LabelSource)> {
    let mut labels = Vec::new();
    for (label, item) in decoder.user_map(item) {
        if let Some(problem) = pattern::label_fault(label) {
            decoder.report(&item.location, problem);
        }
        labels.extend(label_source(decoder, memory, &item).map(|source| (label, source)));
    }
    labels
}

fn label_source(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<LabelSource> {
    if !matches!(item.node.value, Value::Map(_)) {
        let text = decoder.raw_text(item)?;
        return decoder.ok_or_report_value(item, LabelSource::parse(text, |text| memory.text(text)));
    }
    let mut map = decoder.map(item, LABEL_SOURCE)?;
    let path = map.take_required(decoder, "path").and_then(|item| {
        let text = decoder.raw_text(&item)?;
        decoder.ok_or_report_value(&item, JsonPath::parse_single(text))
    });
    let suffix = map.take("suffix").and_then(|item| decoder.non_empty_text(&item)).unwrap_or_default();
    decoder.finish(map);
    Some(LabelSource::Path { path: path?, suffix: memory.text(&suffix) })
}

/// Decodes labels with fixed values.
fn fixed_labels<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>) -> Vec<(&'n str, &'n str)> {
    decoder.user_map(item).into_iter().filter_map(|(label, item)| decoder.raw_text(&item).map(|value| (label, value))).collect()
}

fn value(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<SeriesValue> {
    let text = decoder.raw_text(item)?;
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Some(SeriesValue::Number(number)),
        _ => decoder.ok_or_report_value(item, JsonPath::parse_single(text).map(SeriesValue::Path)),
    }
}
