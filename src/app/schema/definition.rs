//! The keys of a definition of a mail system as JSON Schema, for editors.

use super::json::{DRAFT, REFERENCE_PATH, SYSTEM_NAME, map};
use crate::model::{Attribute, Metric};
use crate::source::definition::{metrics, schema::DEFINITION};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Returns the schema of a definition. It adds the vocabulary to the tables of keys.
pub(super) fn schema() -> Value {
    let mut schema = map(DEFINITION);
    adapt(&mut schema);
    schema["type"] = json!("object");
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!("Definition of a mail system for Postmeter");
    let name = &mut schema["properties"]["name"];
    *name = json!({"type": "string", "pattern": SYSTEM_NAME, "description": name["description"]});
    let rule = &mut schema["properties"]["parts"]["items"]["properties"]["rules"]["items"];
    rule["anyOf"] = json!([{"required": ["family"]}, {"required": ["families"]}]);
    restrict(&mut rule["properties"]["metric"], json!({"enum": metrics().map(|metric| metric.name).collect::<Vec<_>>()}));
    let description = rule["properties"]["attributes"]["description"].clone();
    let source = attribute_map(&rule["properties"]["attributes"]["additionalProperties"]);
    rule["properties"]["attributes"] = attributes(&source);
    rule["properties"]["attributes"]["description"] = description;
    rule["allOf"] = metrics().map(restriction_of_metric).collect();
    schema
}

/// Removes what applies to configuration files only: references, and the rule that no text is empty.
fn adapt(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(adapt),
        Value::Object(object) => {
            object.remove("minLength");
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice["$ref"] != REFERENCE_PATH);
                if let [single] = choices.as_slice() {
                    let single = single.clone();
                    object.remove("anyOf");
                    object.extend(single.as_object().cloned().unwrap_or_default());
                }
            }
            object.values_mut().for_each(adapt);
        }
        _ => {}
    }
}

/// Replaces the values of a key, and keeps its description.
fn restrict(key: &mut Value, values: Value) {
    let description = key["description"].clone();
    *key = values;
    key["description"] = description;
}

/// The map that describes where an attribute comes from.
fn attribute_map(attribute: &Value) -> Value {
    let shapes = attribute["anyOf"].as_array().cloned().unwrap_or_default();
    shapes.into_iter().find(|shape| shape["properties"].is_object()).unwrap_or_else(|| json!({"type": "object"}))
}

/// The attributes of all metrics, each with its values.
fn attributes(source: &Value) -> Value {
    let all: BTreeMap<&str, &Attribute> =
        metrics().flat_map(|metric| metric.attributes).map(|attribute| (attribute.key, *attribute)).collect();
    let properties: Map<String, Value> = all
        .into_values()
        .map(|attribute| {
            let fixed = if attribute.values.is_empty() {
                json!({"type": ["string", "number", "boolean"]})
            } else {
                json!({"enum": attribute.values})
            };
            (attribute.key.to_owned(), json!({"anyOf": [fixed, from_labels(source, attribute)]}))
        })
        .collect();
    json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false})
}

/// The map of an attribute, with its closed set of values.
fn from_labels(source: &Value, attribute: &Attribute) -> Value {
    let mut map = source.clone();
    if !attribute.values.is_empty() {
        map["properties"]["values"]["additionalProperties"] = json!({"enum": attribute.values});
        restrict(&mut map["properties"]["otherwise"], json!({"enum": attribute.values}));
    }
    map
}

/// A metric has its own attributes only.
fn restriction_of_metric(metric: &Metric) -> Value {
    let keys: Vec<&str> = metric.attributes.iter().map(|attribute| attribute.key).collect();
    json!({
        "if": {"properties": {"metric": {"const": metric.name}}, "required": ["metric"]},
        "then": {"properties": {"attributes": {"propertyNames": {"enum": keys}}}},
    })
}
