//! The value of a label that sets a key of a target.
//!
//! # References are replaced in secrets only
//!
//! A list comes over the network, so a label must not contain a secret. It refers to one: `${env:NAME}`, `${file:PATH}`, or a key that ends
//! in `_file`. In all other values a reference is an error: an address that contains one would send it to the server of that address.

use crate::config::decode::Decoder;
use crate::config::map::Location;
use crate::config::schema::{Key, Shape, TARGET};
use crate::config::text::suggestion;
use crate::config::yaml::{self, Node, Value};

/// The prefix of labels that set a key of a target.
pub(super) const PREFIX: &str = "__postmeter_";
/// The beginning of a reference.
const REFERENCE: &str = "${";

/// Decodes the value of a label. The value of a key that is a map or a list is written in YAML.
pub(super) fn decode(decoder: &mut Decoder<'_>, location: Location, name: &str, value: &str) -> Option<(&'static str, Location, Node)> {
    let Some(key) = TARGET.iter().find(|key| key.name == name) else {
        let names: Vec<String> = TARGET.iter().map(|key| format!("{PREFIX}{}", key.name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        decoder.report(&location, format!("unknown label; {}", suggestion(&format!("{PREFIX}{name}"), &names)));
        return None;
    };
    let node = if is_single_value(&key.shape) {
        Node { line: None, column: None, value: Value::Scalar(value.to_owned()) }
    } else {
        decoder.ok_or_report(&location, yaml::parse_without_aliases(value).map_err(|error| error.message))?
    };
    let node = checked(decoder, &location, &key.shape, node);
    Some((key.name, location, node))
}

fn is_single_value(shape: &Shape) -> bool {
    match shape {
        Shape::Map(_) | Shape::Target(_) | Shape::Defaults(_) | Shape::MapOf(_) | Shape::MapAnd(..) | Shape::List(..) => false,
        Shape::Either(shapes) => shapes.iter().all(is_single_value),
        _ => true,
    }
}

/// Returns the value without positions, because it is not in a file, and with `$` as an ordinary character in all values that are not
/// secrets. Reports secrets, and references in other values.
fn checked(decoder: &mut Decoder<'_>, location: &Location, shape: &Shape, node: Node) -> Node {
    let value = match node.value {
        Value::Nothing => Value::Nothing,
        Value::Scalar(text) if matches!(shape, Shape::Secret) => {
            if !text.contains(REFERENCE) {
                let advice = "refer to it by ${env:NAME}, ${file:PATH}, or a key that ends in _file";
                decoder.report(location, format!("a label must not contain a secret; {advice}"));
            }
            Value::Scalar(text)
        }
        Value::Scalar(text) => {
            if text.contains(REFERENCE) {
                decoder.report(location, "in labels, references are only replaced in passwords, tokens and headers");
            }
            Value::Scalar(text.replace('$', "$$"))
        }
        Value::List(nodes) => {
            let checked_item = |node| checked(decoder, location, item_shape(shape), node);
            Value::List(nodes.into_iter().map(checked_item).collect())
        }
        Value::Map(entries) => {
            let mut checked_entry = |(key, node): (yaml::Key, Node)| {
                let location = Location { path: format!("{}.{}", location.path, key.name), ..Location::default() };
                let shape = entry_shape(shape, &key.name).unwrap_or(&Shape::Text);
                let node = checked(decoder, &location, shape, node);
                (yaml::Key { line: None, column: None, ..key }, node)
            };
            Value::Map(entries.into_iter().map(&mut checked_entry).collect())
        }
    };
    Node { line: None, column: None, value }
}

/// The shape of the items of a list.
fn item_shape(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(item, _) => item,
        Shape::Either(shapes) => shapes.iter().find(|shape| matches!(shape, Shape::List(..))).map_or(&Shape::Text, item_shape),
        _ => &Shape::Text,
    }
}

/// The shape of a value of a map.
fn entry_shape<'s>(shape: &'s Shape, name: &str) -> Option<&'s Shape> {
    let of_key = |keys: &'s [Key]| keys.iter().find(|key| key.name == name).map(|key| &key.shape);
    match shape {
        Shape::Map(keys) | Shape::Target(keys) | Shape::Defaults(keys) => of_key(keys),
        Shape::MapOf(shape) => Some(shape),
        Shape::MapAnd(keys, other) => of_key(keys).or(Some(other)),
        Shape::Either(shapes) => shapes.iter().find_map(|shape| entry_shape(shape, name)),
        _ => None,
    }
}
