//! The declaration of series that paths select.

use super::path::{JsonPath, Syntax};
use crate::model::FamilyType;
use serde_json::Value;

/// One kind of series in a JSON document: the nodes that it is made of, and the labels and the value of each.
#[derive(Debug)]
pub struct PathSeries {
    /// The name of the native family. Several entries may add series to one family.
    pub family: &'static str,
    /// The help text of the family.
    pub help: &'static str,
    /// The type of the family: a counter or a gauge.
    pub kind: FamilyType,
    /// The nodes of which each results in a series.
    pub each: Each,
    /// The names of the labels and the source of their values.
    pub labels: &'static [(&'static str, LabelSource)],
    /// The value of a node.
    pub value: SeriesValue,
    /// `true` if boolean values count as 1 and 0. Otherwise they are not numbers.
    pub booleans: bool,
    /// `true` if texts may be RFC 3339 times, which count as Unix seconds. Otherwise they are not numbers.
    pub times: bool,
    /// The value of several nodes with the same labels.
    pub combine: Combine,
    /// A member that each node has, by its path. A node without it is unreadable; a document without any such node is another response.
    pub must_have: Option<JsonPath>,
    /// The labels of series that are 0 if no node has them. That applies only while the response has the list that `each` selects from.
    pub zero_for: &'static [&'static [(&'static str, &'static str)]],
}

/// The source of a label's value.
#[derive(Debug, PartialEq)]
pub enum LabelSource {
    /// A path from the node. If it selects nothing, the series lacks the label.
    Path {
        /// The path.
        path: JsonPath,
        /// The end of the text that is removed from it.
        suffix: &'static str,
    },
    /// The node's name in its object, or its index in its list.
    Key,
    /// A fixed text.
    Fixed(&'static str),
}

/// The text of a definition that stands for [`LabelSource::Key`].
const KEY: &str = "@key";

impl LabelSource {
    /// Parses the text of a definition: a path if it begins with `$`, `@key`, or else a fixed text, which `keep` stores.
    ///
    /// # Errors
    /// Returns one line about the problem with the path.
    pub fn parse(text: &str, keep: impl FnOnce(&str) -> &'static str) -> Result<Self, String> {
        match text {
            KEY => Ok(Self::Key),
            _ if text.starts_with('@') => Err(format!("{text} is not known; use {KEY}, a path that begins with $, or a fixed text")),
            _ if text.starts_with('$') => JsonPath::parse_single(text).map(|path| Self::Path { path, suffix: "" }),
            _ => Ok(Self::Fixed(keep(text))),
        }
    }
}

/// The value of a node.
#[derive(Debug, PartialEq)]
pub enum SeriesValue {
    /// The same number for each node: 1 counts them.
    Number(f64),
    /// A path from the node.
    Path(JsonPath),
}

/// The value of several nodes with the same labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combine {
    /// Their sum.
    #[default]
    Sum,
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
}

impl Combine {
    /// Returns the combination with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sum" => Some(Self::Sum),
            "max" => Some(Self::Max),
            "min" => Some(Self::Min),
            _ => None,
        }
    }

    /// Combines two values. If one of them is unknown (NaN), so is the result.
    pub(super) fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            _ if a.is_nan() || b.is_nan() => f64::NAN,
            Self::Sum => a + b,
            Self::Max => a.max(b),
            Self::Min => a.min(b),
        }
    }
}

/// The nodes of which each results in a series.
#[derive(Debug)]
pub enum Each {
    /// The document itself.
    Document,
    /// The nodes that a path selects.
    Nodes {
        /// The path.
        path: JsonPath,
        /// The lists that the path selects from.
        lists: Vec<List>,
    },
}

/// A list that a path selects from: where the path has a wildcard or a filter.
#[derive(Debug)]
pub struct List {
    /// The path to the list.
    pub(super) path: JsonPath,
    /// `true` if the path continues with a filter, which may select nothing although the list has elements.
    pub(super) is_filtered: bool,
}

impl Each {
    /// Parses a path.
    ///
    /// # Errors
    /// Returns one line about the problem.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = JsonPath::parse(text)?;
        let list = |&(end, is_filtered): &(usize, bool)| {
            let path = JsonPath::parse(text.get(..end).unwrap_or_default())?;
            Ok(List { path, is_filtered })
        };
        let lists = Syntax::of(text).lists.iter().map(list).collect::<Result<_, String>>()?;
        Ok(Self::Nodes { path, lists })
    }

    /// Checks that the nodes fit to the labels: `has_key` is true if one of them is the node's name, `names` are their names, and `zeros`
    /// are the labels of series that are 0 if no node has them.
    ///
    /// # Errors
    /// Returns one line about the contradiction.
    pub fn check(&self, has_key: bool, names: &[&str], zeros: &[Vec<(&str, &str)>]) -> Result<(), String> {
        match self {
            Self::Document if has_key => return Err(format!("{KEY} needs each")),
            Self::Document if !zeros.is_empty() => return Err("zero_for needs each".into()),
            Self::Nodes { path, .. } if has_key && path.descends() => return Err(format!("{KEY} cannot be used with `..`")),
            Self::Nodes { lists, .. } if !zeros.is_empty() && lists.is_empty() => {
                return Err("zero_for needs each with a wildcard or a filter, and without `..`".into());
            }
            Self::Document | Self::Nodes { .. } => {}
        }
        let unknown = zeros.iter().flatten().find(|(name, _)| !names.contains(name));
        unknown.map_or(Ok(()), |(name, _)| Err(format!("zero_for has {name}, which is not a label of the series")))
    }
}

impl PathSeries {
    /// Returns `true` if a node can be one of those that the path is meant to select.
    pub(super) fn accepts(&self, node: &Value) -> bool {
        self.must_have.as_ref().is_none_or(|path| path.node(node).is_some_and(|member| !member.is_null()))
    }

    /// Returns `true` if every JSON document has the series, whatever is in it.
    pub(super) fn is_constant(&self) -> bool {
        let is_path = |(_, source): &(_, LabelSource)| matches!(source, LabelSource::Path { .. });
        let is_document = match &self.each {
            Each::Document => true,
            Each::Nodes { path, .. } => path.as_str() == "$",
        };
        is_document && matches!(self.value, SeriesValue::Number(_)) && !self.labels.iter().any(is_path)
    }

    /// Returns `true` if a node shows that the document is the expected one although its value is constant: the path selects among several
    /// nodes, or a label of the node has a value. Without such labels, another node than the document itself is enough.
    pub(super) fn is_recognized_by(&self, node: &Value, document: &Value) -> bool {
        let mut paths = self.labels.iter().filter_map(|(_, source)| match source {
            LabelSource::Path { path, .. } => Some(path),
            LabelSource::Key | LabelSource::Fixed(_) => None,
        });
        let has_labels = paths.clone().next().is_some();
        let has_value = |path: &JsonPath| path.node(node).is_some_and(|value| !value.is_null());
        matches!(self.value, SeriesValue::Number(_))
            && match &self.each {
                Each::Nodes { path, lists } if !lists.is_empty() || path.descends() => true,
                _ if has_labels => paths.any(has_value),
                _ => !std::ptr::eq(node, document),
            }
    }

    /// A gauge with the value of one path from the document.
    #[must_use]
    pub const fn new(family: &'static str, help: &'static str, value: SeriesValue) -> Self {
        Self {
            family,
            help,
            kind: FamilyType::Gauge,
            each: Each::Document,
            labels: &[],
            value,
            booleans: false,
            times: false,
            combine: Combine::Sum,
            must_have: None,
            zero_for: &[],
        }
    }
}
