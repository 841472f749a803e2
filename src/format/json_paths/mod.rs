//! JSON documents as metric families, by paths (JSONPath, RFC 9535): for APIs that are not an exposition of metrics.
//!
//! # Missing values stay missing
//!
//! A missing member, null, an empty text and a dash result in no series, never in 0. Of a counter, they make the series of their node
//! unknown, because its sum with other nodes would fall and count everything again. A value that is not a number makes every sum that
//! includes it unknown: the series has the value NaN. So are all series of a family if null or a single value is where a list should be. A
//! label that is a list or an object makes all series unknown that have the element's other labels, and all canonical points of rules that
//! depend on that label: each of them may lack this element. Unknown series invalidate their canonical points, and are not among the native
//! metrics.
//!
//! # Limits
//!
//! The body has the limit of its part. Besides, nesting, the memory of the parsed values, the nodes of a path and the number of series are
//! limited, and a path whose cost can grow faster than the document is refused ([`JsonPath::parse`]).

mod combined;
mod document;
mod path;
mod scalar;
mod series;

pub use document::{DEPTH_MAX, VALUES_BYTES_MAX};
pub use path::{JsonPath, PATH_BYTES_MAX};
pub use series::{Combine, Each, LabelSource, List, PathSeries, SeriesValue};

use super::{ReadError, quote};
use crate::model::{Families, FamiliesBuilder, FamilyType, Repair, label_text};
use combined::{CombinedSeries, Labels, PartialLabels};
use path::LocatedNode;
use scalar::Reading;
use serde_json::Value;

/// The largest number of nodes that one path may select.
pub const NODES_MAX: usize = 200_000;
/// The number of members of a foreign document that an error names.
const MEMBERS_NAMED_MAX: usize = 5;

/// Reads the families that these series declare from a body.
///
/// # Errors
/// The body is empty or is not JSON, it exceeds a limit, or nothing in it is what the series select.
pub fn read(series: &'static [PathSeries], body: &str) -> Result<Families, ReadError> {
    let document = document::parse(body)?;
    let mut is_expected = series.iter().all(PathSeries::is_constant);
    let families = Families::read(String::new(), |out| {
        for (at, first) in series.iter().enumerate() {
            if series.iter().take(at).any(|earlier| earlier.family == first.family) {
                continue;
            }
            let mut combined = CombinedSeries::default();
            for entry in series.iter().skip(at).filter(|entry| entry.family == first.family) {
                is_expected |= add_nodes(entry, &document, &mut combined, out)?;
            }
            combined.write(first, out);
        }
        Ok::<(), ReadError>(())
    })?;
    if is_expected {
        return Ok(families);
    }
    let reason = list_without_wildcard(series, &document).unwrap_or_else(|| describe(&document));
    Err(ReadError::Malformed(format!("no path leads to a value; {reason}")))
}

/// Adds the series of all nodes. Returns true if the document has the nodes or the empty list that they would be in.
fn add_nodes<'a>(
    series: &'static PathSeries,
    document: &'a Value,
    combined: &mut CombinedSeries<'a>,
    out: &mut FamiliesBuilder<'_>,
) -> Result<bool, ReadError> {
    let mut is_expected = false;
    for located in nodes_of(series, document)? {
        is_expected |= add_node(series, &located, document, combined, out);
    }
    is_expected |= has_list_without_nodes(series, document);
    if is_expected {
        combined.add_zeros(series.zero_for);
    }
    if let Some(found) = value_in_place_of_list(series, document) {
        note_unreadable(series, out, || format!("one of its lists is {}", scalar::describe(found)));
        combined.add_unknown_nodes();
    }
    Ok(is_expected)
}

/// Selects the nodes of a series, with their keys if a label needs them.
fn nodes_of<'a>(series: &PathSeries, document: &'a Value) -> Result<Vec<LocatedNode<'a>>, ReadError> {
    let needs_keys = series.labels.iter().any(|(_, source)| *source == LabelSource::Key);
    let nodes: Vec<LocatedNode<'a>> = match &series.each {
        Each::Document => vec![LocatedNode { node: document, key: None }],
        Each::Nodes { path, .. } if needs_keys => path.located_nodes(document),
        Each::Nodes { path, .. } => path.nodes(document).into_iter().map(|node| LocatedNode { node, key: None }).collect(),
    };
    if nodes.len() > NODES_MAX {
        return Err(ReadError::Malformed(format!("{} has more than {NODES_MAX} nodes", series.family)));
    }
    Ok(nodes)
}

/// Adds the series of a node. Returns true if the node is one that the series describes.
fn add_node<'a>(
    series: &'static PathSeries,
    located: &LocatedNode<'a>,
    document: &'a Value,
    combined: &mut CombinedSeries<'a>,
    out: &mut FamiliesBuilder<'_>,
) -> bool {
    if !series.accepts(located.node) {
        note_unreadable(series, out, || "an element of its list lacks the member that must_have names".to_owned());
        combined.add_unreadable(combined::labels_of(series, located, true));
        return false;
    }
    let (node, reading) = match &series.value {
        SeriesValue::Number(number) => (None, Reading::Number(*number)),
        SeriesValue::Path(path) => {
            let node = path.node(located.node);
            (node, scalar::number(node, series.booleans, series.times))
        }
    };
    let is_expected = node.is_some() || series.is_recognized_by(located.node, document);
    let is_missing = reading == Reading::Missing;
    if is_missing && (series.kind != FamilyType::Counter || std::ptr::eq(located.node, document)) {
        return is_expected;
    }
    let labels = combined::labels_of(series, located, is_missing && !located.node.is_object());
    let value = match reading {
        Reading::Number(number) => number,
        Reading::Missing => {
            note_unreadable_node(series, &labels, out, || "an element of its list has no value of the counter".to_owned());
            combined.add_unreadable(labels);
            return is_expected;
        }
        Reading::Invalid => {
            note_unreadable_node(series, &labels, out, || {
                let expected = if series.times { "neither a number nor an RFC 3339 time" } else { "not a number" };
                format!("{} is {expected}", node.map_or_else(String::new, scalar::describe))
            });
            f64::NAN
        }
    };
    match labels {
        Ok(labels) => combined.add(labels, value, series.combine),
        Err(partial) => {
            note_unreadable(series, out, || "a label is a list or an object".to_owned());
            combined.add_unreadable(Err(partial));
        }
    }
    is_expected
}

/// Counts a value that cannot be read, and notes the reason.
fn note_unreadable(series: &PathSeries, out: &mut FamiliesBuilder<'_>, reason: impl FnOnce() -> String) {
    out.repair(Repair::Unreadable);
    out.explain_unreadable(series.family, reason);
}

/// Counts a value of a node that cannot be read, and notes the reason for its series.
fn note_unreadable_node(
    series: &PathSeries,
    labels: &Result<Labels<'_>, PartialLabels<'_>>,
    out: &mut FamiliesBuilder<'_>,
    reason: impl FnOnce() -> String,
) {
    let (Ok(known) | Err(PartialLabels { known, .. })) = labels;
    out.repair(Repair::Unreadable);
    out.explain_unreadable_series(series.family, || label_text(known.iter().map(|(name, value)| (*name, &**value))), reason);
}

/// Returns the null or the single value that is where one of the lists should be that the series are selected from, or the element that
/// would contain it: the server could not find out what is in it, and any series may have nodes there.
fn value_in_place_of_list<'a>(series: &PathSeries, document: &'a Value) -> Option<&'a Value> {
    let Each::Nodes { lists, .. } = &series.each else { return None };
    let is_single = |value: &&'a Value| !value.is_array() && !value.is_object();
    lists.iter().enumerate().find_map(|(at, list)| {
        let contains_lists = at + 1 < lists.len() && !list.is_filtered;
        list.path.nodes(document).into_iter().find_map(|node| match node {
            Value::Array(elements) if contains_lists => elements.iter().find(is_single),
            Value::Object(members) if contains_lists => members.values().find(|member| member.is_null()),
            node => Some(node).filter(is_single),
        })
    })
}

/// Returns true if the document has a list that the series would be selected from, and the list has no such element.
fn has_list_without_nodes(series: &PathSeries, document: &Value) -> bool {
    let Each::Nodes { lists, .. } = &series.each else { return false };
    lists.iter().any(|list| {
        list.path.nodes(document).into_iter().any(|node| match node {
            Value::Array(elements) => elements.is_empty() || (list.is_filtered && elements.iter().any(|element| series.accepts(element))),
            // The document itself may be an error message.
            Value::Object(members) if list.is_filtered && !std::ptr::eq(node, document) => {
                members.is_empty() || members.values().any(|member| member.is_object() && series.accepts(member))
            }
            Value::Object(members) => members.is_empty(),
            _ => false,
        })
    })
}

/// Explains a path of `each` that selects a list instead of its elements.
fn list_without_wildcard(series: &[PathSeries], document: &Value) -> Option<String> {
    series.iter().find_map(|entry| match &entry.each {
        Each::Nodes { path, .. } if matches!(path.nodes(document).as_slice(), [Value::Array(_)]) => {
            Some(format!("each: {path} selects a list as a whole; write {path}[*] for its elements", path = path.as_str()))
        }
        _ => None,
    })
}

/// Describes a document, without its values. Returns `None` if it is not JSON.
#[must_use]
pub fn describe_document(body: &str) -> Option<String> {
    document::parse(body).ok().map(|document| describe(&document))
}

/// Describes a document that has none of the expected values.
fn describe(document: &Value) -> String {
    match document {
        Value::Object(members) => {
            let names: Vec<&str> = members.keys().take(MEMBERS_NAMED_MAX).map(String::as_str).collect();
            if names.is_empty() { "the response is an empty object".into() } else { format!("it has {}", quote(&names.join(", "))) }
        }
        Value::Array(_) => "the response is a list of other elements".into(),
        Value::Null => "the response is null: the server could not find out".into(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => "the response is a single value".into(),
    }
}

#[cfg(test)]
mod tests;
