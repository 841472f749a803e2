//! The keys of the configuration file as JSON Schema, for editors.

use crate::config::schema::{FILE, Key, Shape};
use crate::source::{SOURCES, Source, WindowLength};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The part of the records that a mail system sends.
const DELIVERIES: &str = "deliveries";

/// The draft that YAML language servers support best.
pub(super) const DRAFT: &str = "http://json-schema.org/draft-07/schema#";
/// The pattern of a reference, which is resolved when the file is read.
const REFERENCE: &str = r"\$\{(env|file):[^}]+\}";

/// The pattern of a mail system's name.
pub(super) const SYSTEM_NAME: &str = "^[A-Za-z0-9._-]{1,100}$";
/// The place of the definition of references.
pub(super) const REFERENCE_PATH: &str = "#/definitions/reference";

/// Returns the schema of the whole file.
pub(super) fn schema() -> Value {
    let mut schema = map(FILE);
    // A file without targets has nothing to poll.
    schema["type"] = json!("object");
    schema["anyOf"] = json!([{"required": ["targets"]}, {"required": ["targets_files"]}, {"required": ["targets_http"]}]);
    schema["if"] = json!({"not": {"required": ["systems_files"]}});
    schema["then"] = restriction_of_default_parts();
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!("Configuration of Postmeter");
    schema["description"] = json!("Any single value may contain ${env:NAME}, ${env:NAME:-default} or ${file:PATH}; $$ is a dollar sign.");
    schema["definitions"] = json!({"reference": {"type": "string", "pattern": REFERENCE}});
    schema
}

pub(super) fn map(keys: &[Key]) -> Value {
    map_of_keys(keys.iter())
}

fn map_of_keys<'k>(keys: impl Iterator<Item = &'k Key> + Clone) -> Value {
    let properties: Map<String, Value> = keys.clone().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.filter(|key| key.is_required()).map(|key| key.name).collect();
    // An empty map may be written as an empty value.
    let kinds = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
    json!({"type": kinds, "properties": properties, "required": required, "additionalProperties": false})
}

fn target(keys: &[Key]) -> Value {
    let mut map = map(keys);
    map["allOf"] = SOURCES.iter().map(|source| restriction_of_system(source)).collect();
    map
}

fn defaults(keys: &[Key]) -> Value {
    map_of_keys(keys.iter().filter(|key| key.is_inheritable()))
}

/// Restricts the parts in `defaults` to those of built-in systems, unless the file adds others.
fn restriction_of_default_parts() -> Value {
    // Several systems have a part of the same name, and validators reject an enumeration with duplicates.
    let parts: BTreeSet<&str> = SOURCES
        .iter()
        .flat_map(|source| source.parts)
        .map(|part| part.name)
        .chain(SOURCES.iter().filter_map(|source| source.delivery_log).map(|records| records.part.name))
        .chain(std::iter::once(DELIVERIES))
        .collect();
    let parts = json!({"propertyNames": {"enum": parts}, "items": {"enum": parts}});
    json!({"properties": {"defaults": {"properties": {"parts": parts}}}})
}

fn property(key: &Key) -> Value {
    let mut value = value(&key.shape);
    let limits = key.shape.limits().map(|limits| format!(" {limits}")).unwrap_or_default();
    let default = if key.is_required() { String::new() } else { format!(" Default: {}.", key.default) };
    value["description"] = json!(format!("{}{limits}{default}", key.help));
    value
}

fn value(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Secret => json!({"type": ["string", "number", "boolean"], "minLength": 1}),
        Shape::AnyText => json!({"type": ["string", "number", "boolean"]}),
        Shape::Url => json!({"type": "string", "pattern": format!("^https?://.|{REFERENCE}")}),
        // A duration needs a unit, and so is never a bare number.
        Shape::Duration(_) => json!({"type": "string", "pattern": "[A-Za-zµμ]"}),
        Shape::Bytes(range) => number(range.start(), range.end(), "^[0-9]+ *([KMG]iB)?$"),
        Shape::Integer(range) => number(range.start(), range.end(), "^[0-9]+$"),
        Shape::Number => any(vec![json!({"type": "number"}), json!({"type": "string", "pattern": "^[-+0-9.eE]+$"}), reference()]),
        Shape::Flag => any(vec![json!({"enum": [true, false, "true", "false"]}), reference()]),
        Shape::Choice(values) => any(vec![json!({"enum": values()}), reference()]),
        // The names of users' systems are not known here, so editors suggest those of the built-in ones and accept others.
        Shape::System => any(vec![
            json!({"enum": SOURCES.iter().map(|source| source.name).collect::<Vec<_>>()}),
            json!({"type": "string", "pattern": SYSTEM_NAME}),
            reference(),
        ]),
        Shape::Map(keys) => map(keys),
        Shape::Target(keys) => target(keys),
        Shape::Defaults(keys) => defaults(keys),
        Shape::MapOf(shape) => json!({"type": ["object", "null"], "additionalProperties": value(shape)}),
        Shape::MapAnd(keys, shape) => {
            let mut map = map(keys);
            map["additionalProperties"] = value(shape);
            map
        }
        Shape::List(shape, size) => {
            // An empty list may be written as an empty value.
            let kinds = if *size.start() == 0 { json!(["array", "null"]) } else { json!("array") };
            json!({"type": kinds, "items": value(shape), "minItems": size.start(), "maxItems": size.end()})
        }
        Shape::Either(shapes) => any(shapes.iter().map(value).collect()),
        Shape::Switch => json!({"enum": [true, false]}),
    }
}

fn any(shapes: Vec<Value>) -> Value {
    json!({"anyOf": shapes})
}

fn reference() -> Value {
    json!({"$ref": REFERENCE_PATH})
}

fn number(min: &usize, max: &usize, pattern: &str) -> Value {
    let number = json!({"type": "integer", "minimum": min, "maximum": max});
    any(vec![number, json!({"type": "string", "pattern": pattern}), reference()])
}

/// Restricts the keys, parts and formats that a target of this mail system does not support.
fn restriction_of_system(source: &Source) -> Value {
    let records = source.delivery_log.map(|records| records.part.name);
    let deliveries = source.hook.map(|_| DELIVERIES);
    let parts: Vec<&str> = source.parts.iter().map(|part| part.name).chain(records).chain(deliveries).collect();
    let formats: Vec<&str> = source.required().requests.iter().map(|request| request.format).collect();
    let mut properties = json!({"parts": {"propertyNames": {"enum": parts}, "items": {"enum": parts}}});
    properties["format"] = if formats.len() > 1 { any(vec![json!({"enum": formats}), reference()]) } else { json!(false) };
    // The windows of hours cannot be changed.
    if !source.windowed || source.window.is_some_and(|rule| rule.every == WindowLength::Hour) {
        properties["window"] = json!(false);
    }
    if !source.rules().any(|(_, rule)| rule.detail.is_some()) {
        properties["detail"] = json!(false);
    }
    // A system that sends its records need not be polled.
    let url_or_parts =
        if source.hook.is_some() { json!([{"required": ["url"]}, {"required": ["parts"]}]) } else { json!([{"required": ["url"]}]) };
    let then = json!({"properties": properties, "anyOf": url_or_parts});
    json!({"if": {"properties": {"system": {"const": source.name}}, "required": ["system"]}, "then": then})
}
