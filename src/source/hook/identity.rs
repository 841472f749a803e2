//! The identity of a record: the fields that no other record has with the same values.

use super::ValueSource;
use serde_json::Value;

/// A part of the identity of a record.
#[derive(Clone, Debug)]
pub enum IdentityPart {
    /// A value of the item, or a fixed text. An absent value is a part, too.
    Value(Box<ValueSource>),
    /// The recipient.
    Recipient,
    /// The number of the recipient in the item, counted from 0.
    Index,
}

/// Appends the identity of a record.
pub(super) fn write(parts: &[IdentityPart], item: &Value, recipient: Option<&str>, index: usize, identity: &mut Vec<u8>) {
    for part in parts {
        match part {
            IdentityPart::Value(source) => {
                let text = source.find(item).map(|found| match found.text() {
                    Some(text) => text.into_owned(),
                    None => node_text(&found),
                });
                push(identity, text.as_deref());
            }
            IdentityPart::Recipient => push(identity, recipient),
            IdentityPart::Index => push(identity, Some(&index.to_string())),
        }
    }
}

/// The JSON of an object or a list. Members are in the order of their names.
fn node_text(found: &super::value_source::Found<'_>) -> String {
    match found {
        super::value_source::Found::Node(node) => node.to_string(),
        super::value_source::Found::Text(text) => text.clone().into_owned(),
    }
}

/// Appends a part with its length, so that no two lists of parts have the same bytes.
fn push(identity: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => identity.push(0),
        Some(text) => {
            identity.push(1);
            identity.extend_from_slice(&(text.len() as u64).to_le_bytes());
            identity.extend_from_slice(text.as_bytes());
        }
    }
}
