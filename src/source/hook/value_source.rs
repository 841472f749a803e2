//! A place where the value of a field may be, and what is done with the value.

use super::node_path::scalar;
use super::{Condition, NodePath, TextReader};
use crate::model::cut;
use crate::source::pattern::is_match_ignoring_case;
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;

/// The length of a text that an expression searches or a table compares.
const SEARCHED_BYTES_MAX: usize = 4096;

/// A place where the value of a field may be.
#[derive(Clone, Debug)]
pub struct ValueSource {
    /// Paths. The first one with a value applies.
    pub paths: Vec<NodePath>,
    /// The value, instead of paths.
    pub fixed: Option<String>,
    /// Conditions that the item must fulfil.
    pub when: Vec<Condition>,
    /// Conditions of which the item must fulfil none.
    pub unless: Vec<Condition>,
    /// An expression: the value is its first group.
    pub capture: Option<Regex>,
    /// A reader in code, which makes the value from the text.
    pub reader: Option<TextReader>,
    /// A table: native values or patterns, and the values that replace them.
    pub values: Vec<(String, String)>,
    /// The value of a native value that is not in the table.
    pub otherwise: Option<String>,
    /// A number that is added.
    pub add: u32,
    /// The factor from the native unit to seconds or bytes.
    pub scale: f64,
    /// The age, at the time of the request, from which on a time is not believed.
    pub age_max: Option<Duration>,
}

/// A value that was found.
#[derive(Clone, Debug)]
pub(super) enum Found<'v> {
    /// A value of the item.
    Node(&'v Value),
    /// A text that was made from one.
    Text(Cow<'v, str>),
}

impl<'v> Found<'v> {
    /// The value as text.
    pub(super) fn text(&self) -> Option<Cow<'v, str>> {
        match self {
            Self::Node(node) => scalar(node),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The value as a number; a text may be one.
    pub(super) fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Node(Value::Number(number)) => number.as_f64(),
            found => found.text().and_then(|text| text.trim_ascii().parse().ok()),
        };
        number.filter(|number| number.is_finite())
    }
}

impl ValueSource {
    /// Finds the value. `None`: it is absent, or is not in the table.
    pub(super) fn find<'v>(&'v self, item: &'v Value) -> Option<Found<'v>> {
        let is_fulfilled = |condition: &Condition| condition.is_fulfilled(item);
        if !self.when.iter().all(is_fulfilled) || self.unless.iter().any(is_fulfilled) {
            return None;
        }
        if let Some(fixed) = &self.fixed {
            return Some(Found::Text(Cow::Borrowed(fixed)));
        }
        self.paths.iter().find_map(|path| {
            let node = path.node(item)?;
            if self.capture.is_none() && self.reader.is_none() && self.values.is_empty() {
                return Some(Found::Node(node));
            }
            self.convert(scalar(node)?).map(Found::Text)
        })
    }

    fn convert<'v>(&'v self, text: Cow<'v, str>) -> Option<Cow<'v, str>> {
        let mut text = text;
        if let Some(capture) = &self.capture {
            let searched = cut(&text, SEARCHED_BYTES_MAX);
            let group = capture.captures(searched)?.get(1)?.as_str().trim();
            if group.is_empty() {
                return None;
            }
            text = Cow::Owned(group.to_owned());
        }
        if let Some(reader) = &self.reader {
            text = Cow::Owned((reader.read)(&text)?);
        }
        if self.values.is_empty() {
            return Some(text);
        }
        let compared = cut(&text, SEARCHED_BYTES_MAX);
        let row = self.values.iter().find(|(native, _)| is_match_ignoring_case(native, compared));
        row.map(|(_, value)| value).or(self.otherwise.as_ref()).map(|value| Cow::Borrowed(value.as_str()))
    }
}
