//! Native series that are found in a JSON document by their paths (RFC 9535).

use crate::model::FamilyType;

/// Series of one native family: one for each node of a JSON document, before nodes with equal labels are combined.
#[derive(Debug)]
pub struct PathSeries {
    /// The native family.
    pub family: &'static str,
    /// Its type: a counter or a gauge.
    pub kind: FamilyType,
    /// The JSONPath of the nodes. Empty: the document is the only node.
    pub each: &'static str,
    /// Labels, each with the JSONPath of its value from the node.
    pub labels: &'static [(&'static str, &'static str)],
    /// The value of a node.
    pub value: PathValue,
    /// How the values of nodes with equal labels are combined.
    pub combine: Combine,
    /// Labels of series that have the value 0 if the document has no node with them.
    pub zero_for: &'static [&'static [(&'static str, &'static str)]],
}

/// The value of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PathValue {
    /// The same number for each node.
    Number(f64),
    /// The number at this JSONPath from the node. A string that is a number counts as one; a node without a number has no value.
    Path(&'static str),
}

/// How the values of nodes with equal labels are combined.
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
