//! Decodes the places of values.

use super::condition;
use super::schema::{SOURCES_MAX, VALUE};
use crate::source::definition::{limits::PATTERN_BYTES_MAX, limits::VALUES_MAX, pattern, unit};
use crate::source::hook::{Fields, IdentityPart, NodePath, READERS, Slot, ValueSource};
use crate::yaml::text::suggestion;
use crate::yaml::{Decoder, Item, Value};
use regex::{Regex, RegexBuilder};

/// The memory of a compiled expression.
const REGEX_BYTES_MAX: usize = 64 * 1024;

/// Decodes fields, each with the places of its value.
pub(super) fn fields(decoder: &mut Decoder<'_>, item: Option<Item<'_>>) -> Fields {
    let mut fields = Fields::new();
    let Some(item) = item else { return fields };
    for (name, item) in decoder.user_map(&item) {
        let Some(slot) = Slot::by_name(name) else {
            decoder.report(&item.location, format!("unknown field; {}", suggestion(name, &Slot::names())));
            continue;
        };
        let sources: Vec<ValueSource> = match &item.node.value {
            Value::List(_) => {
                let items = decoder.bounded_list(&item, SOURCES_MAX);
                items.iter().filter_map(|item| source(decoder, item, Some(slot))).collect()
            }
            _ => source(decoder, &item, Some(slot)).into_iter().collect(),
        };
        fields.push((slot, sources.into()));
    }
    fields
}

/// Decodes the parts of an identity.
pub(super) fn identity(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<IdentityPart> {
    let items = decoder.non_empty_list(item, super::schema::IDENTITY_MAX, "parts");
    let part = |item: &Item<'_>, decoder: &mut Decoder<'_>| match &item.node.value {
        Value::Scalar(text) if text == "@recipient" => Some(IdentityPart::Recipient),
        Value::Scalar(text) if text == "@index" => Some(IdentityPart::Index),
        Value::Scalar(text) if text.starts_with('@') => {
            decoder.report_value(item, format!("{text} is not known; expected a path, @recipient or @index"));
            None
        }
        _ => source(decoder, item, None).map(|source| IdentityPart::Value(Box::new(source))),
    };
    items.iter().filter_map(|item| part(item, decoder)).collect()
}

/// Decodes one path or a list of paths.
pub(super) fn paths(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<NodePath> {
    let path = |decoder: &mut Decoder<'_>, item: &Item<'_>| {
        let text = decoder.raw_text(item)?;
        decoder.ok_or_report_value(item, NodePath::parse(text))
    };
    match &item.node.value {
        Value::List(_) => {
            let items = decoder.non_empty_list(item, SOURCES_MAX, "paths");
            items.iter().filter_map(|item| path(decoder, item)).collect()
        }
        _ => path(decoder, item).into_iter().collect(),
    }
}

/// Decodes a path or a map. `slot` is the field that the value is for.
fn source(decoder: &mut Decoder<'_>, item: &Item<'_>, slot: Option<Slot>) -> Option<ValueSource> {
    let mut source = ValueSource {
        paths: Vec::new(),
        fixed: None,
        when: Vec::new(),
        unless: Vec::new(),
        capture: None,
        reader: None,
        values: Vec::new(),
        otherwise: None,
        add: 0,
        scale: 1.0,
        age_max: None,
    };
    if !matches!(item.node.value, Value::Map(_)) {
        source.paths = paths(decoder, item);
        check_table(decoder, item, slot, &source);
        return (!source.paths.is_empty()).then_some(source);
    }
    let mut map = decoder.map(item, VALUE)?;
    let location = map.location.clone();
    let (path, several, fixed) = (map.take("path"), map.take("paths"), map.take("value"));
    if [&path, &several, &fixed].into_iter().flatten().count() != 1 {
        decoder.report(&location, "expected one of path, paths and value");
    }
    source.paths = path.or(several).map(|item| paths(decoder, &item)).unwrap_or_default();
    source.fixed = fixed.and_then(|item| closed(decoder, &item, slot));
    source.when = condition::decode_optional(decoder, map.take("when"));
    source.unless = condition::decode_optional(decoder, map.take("unless"));
    source.capture = map.take("capture").and_then(|item| regex(decoder, &item));
    source.reader = map.take("reader").and_then(|item| {
        let readers: Vec<_> = READERS.iter().map(|reader| (reader.name, *reader)).collect();
        decoder.choice(&item, &readers)
    });
    source.values = map.take("values").map(|item| table(decoder, &item, slot)).unwrap_or_default();
    let otherwise = map.take("otherwise");
    if let Some(item) = otherwise.as_ref().filter(|_| source.values.is_empty()) {
        decoder.report(&item.location, "needs values");
    }
    source.otherwise = otherwise.and_then(|item| closed(decoder, &item, slot));
    source.add = u32::try_from(map.integer_or_default(decoder, "add")).unwrap_or(0);
    if let Some(item) = map.take("unit") {
        let factor = decoder.raw_text(&item).map(|text| unit::factor(text, None));
        source.scale = factor.and_then(|factor| decoder.ok_or_report_value(&item, factor)).unwrap_or(1.0);
    }
    source.age_max = map.duration(decoder, "max_age");
    decoder.finish(map);
    check_table(decoder, item, slot, &source);
    Some(source)
}

/// A field with a closed set of values needs a table, a fixed value or a reader.
fn check_table(decoder: &mut Decoder<'_>, item: &Item<'_>, slot: Option<Slot>, source: &ValueSource) {
    let values = slot.filter(|slot| *slot != Slot::Tls).and_then(Slot::values);
    if let Some(values) = values.filter(|_| source.fixed.is_none() && source.values.is_empty()) {
        decoder.report(&item.location, format!("needs values, a table from native values to: {}", values.join(", ")));
    }
}

/// Decodes a value of the field.
fn closed(decoder: &mut Decoder<'_>, item: &Item<'_>, slot: Option<Slot>) -> Option<String> {
    let text = decoder.non_empty_text(item)?;
    if let Some(values) = slot.and_then(Slot::values).filter(|values| !values.contains(&text.as_str())) {
        decoder.report_value(item, format!("unknown value {text}; {}", suggestion(&text, &values)));
        return None;
    }
    Some(text)
}

fn table(decoder: &mut Decoder<'_>, item: &Item<'_>, slot: Option<Slot>) -> Vec<(String, String)> {
    let rows = decoder.user_map(item);
    if rows.is_empty() || rows.len() > VALUES_MAX {
        decoder.report(&item.location, format!("expected 1 to {VALUES_MAX} values, found {}", rows.len()));
        return Vec::new();
    }
    let mut table = Vec::new();
    for (native, item) in rows {
        if let Some(problem) = pattern::fault(native) {
            decoder.report(&item.location, problem);
        }
        table.extend(closed(decoder, &item, slot).map(|value| (native.to_owned(), value)));
    }
    table
}

fn regex(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Regex> {
    let text = decoder.non_empty_text(item)?;
    let compile = || {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("exceeds the limit of {PATTERN_BYTES_MAX} bytes"));
        }
        let regex = RegexBuilder::new(&text).size_limit(REGEX_BYTES_MAX).build();
        let regex = regex.map_err(|error| format!("is not a regular expression: {}", error.to_string().replace('\n', " ")))?;
        if regex.captures_len() < 2 { Err("has no group; write ( ) around the value".to_owned()) } else { Ok(regex) }
    };
    decoder.ok_or_report_value(item, compile())
}
