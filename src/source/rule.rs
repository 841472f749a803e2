//! Rules: how native series become canonical points, as data.

use crate::model::{Attribute, Metric};

/// Maps series of native families to points of one canonical metric.
///
/// Names of families and values of labels can be patterns: `*` matches any text, `?` one character. A label that a series does not have is
/// equal to an empty one. Values of a counter or an up-down counter that have the same attributes are added up; of a gauge the largest is
/// taken.
#[derive(Debug)]
pub struct Rule {
    /// The names of the family in all versions of the server, or patterns. All families that match are added up.
    pub families: &'static [&'static str],
    /// The canonical metric.
    pub metric: &'static Metric,
    /// Labels and values that a series must have. If a label is repeated, one of its values is enough.
    pub when: &'static [(&'static str, &'static str)],
    /// Labels and values of which a series must have none.
    pub unless: &'static [(&'static str, &'static str)],
    /// `true` if only a series without labels is taken.
    pub unlabelled: bool,
    /// Attributes with a fixed value.
    pub with: &'static [(&'static Attribute, &'static str)],
    /// Attributes whose value comes from labels.
    pub from: &'static [AttributeSource],
    /// The number that is taken from a series.
    pub take: Take,
    /// The factor that values are multiplied by: 0.001 for milliseconds, -1 for a part that another family counts too.
    pub scale: f64,
    /// `true` if a missing series means 0. It does not if anything of the response was unreadable.
    pub zero_when_absent: bool,
    /// `true` if a value of 0 means that the server does not know it. Such a series is not mapped.
    pub absent_when_zero: bool,
    /// `true` if the rule is skipped once an earlier rule, or a rule of a later part that is no fallback, has produced the same point from a
    /// series: for a value that a server reports in two places.
    pub fallback: bool,
    /// The calculation that turns the native value into the canonical one.
    pub transform: Transform,
    /// The label and the attribute of a detail. The rule applies only to targets that opt in to the detail.
    pub detail: Option<(&'static str, &'static Attribute)>,
    /// The attributes of the totals that a detail replaces. If empty, the attributes of the rule itself.
    pub replaces: &'static [&'static [(&'static Attribute, &'static str)]],
}

/// An attribute whose value comes from labels.
#[derive(Debug)]
pub struct AttributeSource {
    /// The canonical attribute.
    pub attribute: &'static Attribute,
    /// Native labels: the first one that is not empty counts.
    pub labels: &'static [&'static str],
    /// The pieces of a text that is composed of labels. If not empty, `labels` is not used. A series that lacks one of its labels is not
    /// mapped.
    pub template: &'static [Piece],
    /// Pairs of a native and a canonical value. A native value can be a pattern; an equal value overrides patterns, of which the first one
    /// that matches counts. If there are no pairs, the native value is used unchanged: for attributes without a closed set of values. A
    /// series whose value is empty is not mapped then.
    pub values: &'static [(&'static str, &'static str)],
    /// The canonical value for native values that are not in the table, also of a label that the series does not have. `None`: such a
    /// series is not mapped.
    pub other: Option<&'static str>,
}

/// A piece of a text that is composed of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Fixed text.
    Text(&'static str),
    /// The value of a label.
    Label(&'static str),
    /// One character of a label's value, by its index.
    Char(&'static str, usize),
}

/// The number that a rule takes from a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Take {
    /// The value: a number, or a histogram for a metric that is one.
    #[default]
    Value,
    /// The number of observations of a histogram or summary.
    Count,
    /// The sum of the observations of a histogram or summary.
    Sum,
}

/// The calculation that turns native values into canonical ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// The native value, multiplied by the rule's scale.
    Unchanged,
    /// The sum of all increases since Postmeter started, added up series by series: for counters that the server drops when they are idle.
    Accumulate,
    /// The native value, but the sum does not fall before the server's counters restart: a decrease is held and counted as a repair.
    Hold,
    /// The native value until it falls. A fall sets a new base and adds nothing: for counters that a server restores from an older state
    /// after a crash, so that they repeat what they have already counted.
    Rebase,
    /// 1 if the native value is 0, otherwise 0.
    IsZero,
    /// 1 if the native value is not 0, otherwise 0.
    IsNonZero,
    /// The time since a Unix timestamp, which the rule's scale converts to seconds.
    Age,
    /// 1 minus the share of this counter's increase in the increase of another counter: utilization from idle time and total time.
    OneMinusShareOf(&'static str),
}

impl Transform {
    /// Returns `true` if a counter continues after a restart of the server, so that the server's later start is not its own.
    #[must_use]
    pub const fn outlasts_restarts(self) -> bool {
        matches!(self, Self::Accumulate | Self::Rebase)
    }
}

impl Rule {
    /// Maps every series of a family to the metric, unchanged. Several names are those of different versions.
    #[must_use]
    pub const fn new(families: &'static [&'static str], metric: &'static Metric) -> Self {
        Self {
            families,
            metric,
            when: &[],
            unless: &[],
            unlabelled: false,
            with: &[],
            from: &[],
            take: Take::Value,
            scale: 1.0,
            zero_when_absent: false,
            absent_when_zero: false,
            fallback: false,
            transform: Transform::Unchanged,
            detail: None,
            replaces: &[],
        }
    }
}
