//! The conditions of rows.

use super::NodePath;
use crate::model::cut;
use crate::source::pattern::is_match_ignoring_case;
use serde_json::Value;

/// The length of a text that patterns are compared with.
const COMPARED_BYTES_MAX: usize = 4096;

/// A condition of an item: a path, and a condition for its value.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The path.
    pub path: NodePath,
    /// The condition that the value fulfils.
    pub test: Test,
}

/// A condition for a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// There is a value.
    Present(bool),
    /// There is a member of this name, with a value or without.
    Exists(bool),
    /// One of these values or patterns. The case of ASCII letters has no meaning.
    OneOf(Vec<String>),
    /// A number, or a text that is one, in this range.
    Range(f64, f64),
}

impl Condition {
    /// Returns `true` if the item fulfils the condition.
    pub(super) fn is_fulfilled(&self, item: &Value) -> bool {
        match &self.test {
            Test::Present(expected) => self.path.node(item).is_some() == *expected,
            Test::Exists(expected) => self.path.exists(item) == *expected,
            Test::OneOf(patterns) => self.path.scalar(item).is_some_and(|text| {
                let text = cut(&text, COMPARED_BYTES_MAX);
                patterns.iter().any(|pattern| is_match_ignoring_case(pattern, text))
            }),
            Test::Range(min, max) => {
                let number = self.path.scalar(item).and_then(|text| text.trim_ascii().parse::<f64>().ok());
                number.is_some_and(|number| (*min..=*max).contains(&number))
            }
        }
    }
}
