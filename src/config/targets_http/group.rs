//! A group of targets with common labels, in the form of Prometheus' HTTP service discovery, and the maps of its targets.

use super::label::{self, PREFIX};
use crate::config::decode::Decoder;
use crate::config::map::{Item, Location, Map};
use crate::config::schema::TARGET;
use crate::config::target::{NAME_CHARS_MAX, is_name};
use crate::config::text::show_bytes;
use crate::config::yaml::{Key, Node, Value};
use crate::model::cut;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The label with the scheme of the URL, as Prometheus sets it.
const SCHEME_LABEL: &str = "__scheme__";
/// The largest label of a list, its name and its value together.
const LABEL_BYTES_MAX: usize = 64 * 1024;
/// The largest part of a label's name, and of an address, that an error quotes.
const QUOTED_BYTES_MAX: usize = 200;
/// Labels that identify a target. Postmeter sets them to the mail system and the target's name.
const IDENTITY_LABELS: &[&str] = &["job", "instance"];

/// A group of targets with common labels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetGroup {
    /// The addresses of the targets: `host:port`, or a URL.
    pub targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The keys of one target, with their locations and values.
pub(super) struct TargetMap {
    location: Location,
    values: Vec<KeyValue>,
}

/// A key of a target, its location and its value.
type KeyValue = (&'static str, Location, Node);

/// Parses a response.
pub(super) fn parse(response: &str) -> Result<Vec<TargetGroup>, String> {
    serde_json::from_str(response).map_err(|error| {
        let form = r#"[{"targets": ["HOST:PORT"], "labels": {"__postmeter_system": "NAME"}}]"#;
        match response.trim_start().bytes().next() {
            None => "the response is empty; a list without targets is []".to_owned(),
            Some(b'{') => {
                format!("the response is a map, not a list; write {form} (for a Target Allocator, add ?collector_id=NAME to the url)")
            }
            Some(b'[') => format!("the response is not a valid list of targets: {error}; write {form}"),
            Some(_) => format!("the response is not JSON; write {form}"),
        }
    })
}

impl TargetGroup {
    /// Decodes the labels and returns the maps of the targets, or reports every problem of the labels. Each problem names the group by its
    /// position and its first target.
    pub(super) fn target_maps(&self, decoder: &mut Decoder<'_>, index: usize) -> Vec<TargetMap> {
        let Some(first) = self.targets.first() else { return Vec::new() };
        let location = |address: &str| Location { path: format!("[{index}] {}", cut(address, QUOTED_BYTES_MAX)), ..Location::default() };
        let group = location(first);
        let problems = decoder.problems.len();
        let mut shared = Vec::new();
        // As in Prometheus, an empty label is one that is missing.
        for (name, value) in self.labels.iter().filter(|(_, value)| !value.is_empty()) {
            let location = Location { path: format!("{}: {}", group.path, cut(name, QUOTED_BYTES_MAX)), ..Location::default() };
            if name.len() + value.len() > LABEL_BYTES_MAX {
                decoder.report(&location, format!("the label is larger than {}; shorten it", show_bytes(LABEL_BYTES_MAX)));
                continue;
            }
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            shared.extend(label::decode(decoder, location, key, value));
        }
        let has = |shared: &[KeyValue], key: &str| shared.iter().any(|(name, ..)| *name == key);
        if self.labels.get(&format!("{PREFIX}system")).is_none_or(|system| system.is_empty()) {
            decoder.report(&group, format!("{PREFIX}system is missing; it names the mail system, such as kumomta"));
        }
        for key in ["name", "url"] {
            if self.targets.len() > 1 && has(&shared, key) {
                decoder.report(&group, format!("{PREFIX}{key} is the {key} of one target, but the group has {}", self.targets.len()));
            }
        }
        if decoder.problems.len() > problems {
            return Vec::new();
        }
        self.add_resource(&mut shared, &group);
        let scheme = self.labels.get(SCHEME_LABEL).filter(|scheme| !scheme.is_empty()).map_or("http", String::as_str);
        let target_map = |address: &String| {
            let (location, mut values) = (location(address), shared.clone());
            let mut add = |key: &'static str, value: String| {
                if !values.iter().any(|(name, ..)| *name == key) {
                    values.push((key, location.clone(), scalar(value.replace('$', "$$"))));
                }
            };
            add("name", default_name(address));
            add("url", if address.contains("://") { address.clone() } else { format!("{scheme}://{address}") });
            TargetMap { location, values }
        };
        self.targets.iter().map(target_map).collect()
    }

    /// Adds the labels that do not begin with `__` to the attributes of the resource. An attribute cannot be named `_`.
    fn add_resource(&self, shared: &mut Vec<KeyValue>, group: &Location) {
        let is_attribute = |name: &str| !name.starts_with("__") && name != "_" && !IDENTITY_LABELS.contains(&name);
        let attributes = self.labels.iter().filter(|(name, value)| is_attribute(name) && !value.is_empty());
        let mut entries: Vec<(Key, Node)> = attributes.map(|(name, value)| (key(name), scalar(value.replace('$', "$$")))).collect();
        if entries.is_empty() {
            return;
        }
        match shared.iter_mut().find(|(name, ..)| *name == "resource") {
            Some((_, _, Node { value: Value::Map(own), .. })) => {
                entries.retain(|(key, _)| !own.iter().any(|(other, _)| other.name == key.name));
                own.extend(entries);
            }
            // Another form is reported when the value is decoded.
            Some(_) => {}
            None => shared.push(("resource", group.clone(), Node { line: None, column: None, value: Value::Map(entries) })),
        }
    }
}

impl TargetMap {
    /// Returns the map of the target, as the configuration file would have it.
    pub(super) fn as_map(&self) -> Map<'_> {
        let values = self.values.iter();
        let entries = values.map(|(name, location, node)| (*name, Item { location: location.clone(), node, inherited: false })).collect();
        Map { location: self.location.clone(), keys: TARGET, entries }
    }
}

/// The name of a target that has no label for it: its host and port. Characters that a name cannot have become `-`.
fn default_name(address: &str) -> String {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = address.split('/').next().unwrap_or_default();
    let name: String = authority.chars().map(|c| if is_name(c.encode_utf8(&mut [0; 4])) { c } else { '-' }).collect();
    name.trim_start_matches('-').chars().take(NAME_CHARS_MAX).collect()
}

fn key(name: &str) -> Key {
    Key { line: None, column: None, name: name.to_owned() }
}

fn scalar(text: String) -> Node {
    Node { line: None, column: None, value: Value::Scalar(text) }
}
