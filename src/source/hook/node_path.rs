//! The path of a value in an item: names and indexes, separated by dots.

use serde_json::Value;
use std::borrow::Cow;

/// The largest length of a path.
pub const PATH_BYTES_MAX: usize = 200;
/// The largest number of names of a path.
const NAMES_MAX: usize = 10;

/// The path of a value, such as `response.code`. A number is an index if the value is a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePath {
    text: String,
}

impl NodePath {
    /// Parses a path.
    ///
    /// # Errors
    /// Describes what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATH_BYTES_MAX {
            return Err(format!("the path exceeds the limit of {PATH_BYTES_MAX} bytes"));
        }
        if text.split('.').any(str::is_empty) || text.contains(|c: char| c.is_whitespace() || c.is_control() || "$[]*\"'".contains(c)) {
            return Err(format!("{text:?} is not a path of names and indexes separated by dots, such as response.code"));
        }
        if text.split('.').count() > NAMES_MAX {
            return Err(format!("the path has more than {NAMES_MAX} names"));
        }
        Ok(Self { text: text.to_owned() })
    }

    /// The text of the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.text.split('.')
    }

    /// The value at the path. `null`, an empty text and an empty list are absent.
    pub(super) fn node<'v>(&self, item: &'v Value) -> Option<&'v Value> {
        match self.member(item)? {
            Value::Null => None,
            Value::String(text) if text.trim_ascii().is_empty() => None,
            Value::Array(elements) if elements.is_empty() => None,
            node => Some(node),
        }
    }

    /// Returns `true` if there is anything at the path, also `null`.
    pub(super) fn exists(&self, item: &Value) -> bool {
        self.member(item).is_some()
    }

    fn member<'v>(&self, item: &'v Value) -> Option<&'v Value> {
        self.names().try_fold(item, |node, name| match node {
            Value::Object(members) => members.get(name),
            Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The text, the number or the Boolean at the path, as text.
    pub(super) fn scalar<'v>(&self, item: &'v Value) -> Option<Cow<'v, str>> {
        self.node(item).and_then(scalar)
    }
}

/// A single value as text; of a list, its first element. Integers are exact.
pub(super) fn scalar(node: &Value) -> Option<Cow<'_, str>> {
    match node {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Array(elements) => elements.first().filter(|first| !first.is_array()).and_then(scalar),
        Value::Null | Value::Object(_) => None,
    }
}
