//! Decodes conditions.

use super::schema::{CONDITIONS_MAX, TEST};
use crate::source::definition::{limits::VALUES_MAX, pattern};
use crate::source::hook::{Condition, NodePath, Test};
use crate::yaml::{Decoder, Item, Value};

/// Decodes the conditions that a key has, if it is present.
pub(super) fn decode_optional(decoder: &mut Decoder<'_>, item: Option<Item<'_>>) -> Vec<Condition> {
    item.map(|item| decode(decoder, &item)).unwrap_or_default()
}

/// Decodes a map of paths, each with what its value must be.
pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<Condition> {
    let rows = decoder.user_map(item);
    if rows.len() > CONDITIONS_MAX {
        decoder.report(&item.location, format!("{} conditions exceed the limit of {CONDITIONS_MAX}", rows.len()));
        return Vec::new();
    }
    let mut conditions = Vec::new();
    for (path, item) in rows {
        let path = decoder.ok_or_report(&item.location, NodePath::parse(path));
        let test = decode_test(decoder, &item);
        conditions.extend(path.zip(test).map(|(path, test)| Condition { path, test }));
    }
    conditions
}

fn decode_test(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<Test> {
    match &item.node.value {
        Value::Map(_) => {
            let mut map = decoder.map(item, TEST)?;
            let location = map.location.clone();
            let present = map.take("present").and_then(|item| decoder.flag(&item));
            let exists = map.take("exists").and_then(|item| decoder.flag(&item));
            let min = map.take("min").and_then(|item| super::number(decoder, &item));
            let max = map.take("max").and_then(|item| super::number(decoder, &item));
            decoder.finish(map);
            match (present, exists, min, max) {
                (Some(present), None, None, None) => Some(Test::Present(present)),
                (None, Some(exists), None, None) => Some(Test::Exists(exists)),
                (None, None, None, None) => decoder.ok_or_report(&location, Err("expected present, exists, or min and max".to_owned())),
                (None, None, min, max) => Some(Test::Range(min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY))),
                _ => decoder.ok_or_report(&location, Err("expected only one of present, exists, and min and max".to_owned())),
            }
        }
        Value::List(_) => {
            let items = decoder.non_empty_list(item, VALUES_MAX, "values");
            Some(Test::OneOf(items.iter().filter_map(|item| pattern::value(decoder, item)).map(str::to_owned).collect()))
        }
        _ => pattern::value(decoder, item).map(|text| Test::OneOf(vec![text.to_owned()])),
    }
}
