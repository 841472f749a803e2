//! The keys of a rule.

use super::{LABELS, TEXTS};
use crate::source::definition::limits::VALUES_MAX;
use crate::yaml::schema::DefaultValue::{self, Choice, Description, Flag, Required};
use crate::yaml::schema::{Key, NONE, Shape, key, names};

const VALUE: DefaultValue = Choice("value");

/// An item of `rules:`
pub static RULE: &[Key] = &[
    key("family", Shape::Text, Description("families"), "The native family, or a pattern of names: `*` is any text, `?` one character."),
    key(
        "families",
        TEXTS,
        Description("family"),
        "Several families, such as the names in several versions. All that are present are added up.",
    ),
    key(
        "when",
        LABELS,
        NONE,
        "Labels that a series must have, each with a value or a list of which one is enough. Values can be patterns.",
    ),
    key("unless", LABELS, NONE, "Labels of which a series must have none. An absent label is equal to an empty one."),
    key(
        "unlabelled",
        Shape::Flag,
        Flag(false),
        "Whether only a series without labels is taken: the total of a family that also has series of groups.",
    ),
    key("metric", Shape::Text, Required, "The canonical metric; `postmeter metrics` prints all."),
    key(
        "attributes",
        Shape::MapOf(&Shape::Either(&[Shape::Text, Shape::Map(ATTRIBUTE)])),
        NONE,
        "Attributes of the metric, each with a fixed value or a map that describes where it comes from.",
    ),
    key(
        "take",
        Shape::Choice(|| names(super::super::rule::TAKES)),
        VALUE,
        "`value`, or of a histogram or summary its `count` or `sum` as a number.",
    ),
    key("scale", Shape::Number, Description("1"), "A factor. Of counters and up-down counters it can be negative or 0."),
    key(
        "unit",
        Shape::Choice(|| names(super::super::unit::UNITS)),
        Description("that of the metric"),
        "The native unit; replaces `scale`.",
    ),
    key(
        "fall",
        Shape::Choice(|| names(super::super::rule::FALLS)),
        Choice("reset"),
        "What a lower value of a counter means. `reset`: it restarted. `hold`: a difference fell; the sum is kept until the server restarts, which the reported start shows, or without one another counter that falls with this one and stays lower for three polls. `accumulate`: the server drops idle series; increases are added up. `rebase`: the server restored an older state; the value is a new base that adds nothing. Not for systems with windows.",
    ),
    key("zero_when_absent", Shape::Flag, Flag(false), "Of counters: whether a missing series means 0."),
    key(
        "absent_when_zero",
        Shape::Flag,
        Flag(false),
        "Of gauges and up-down counters: whether 0 means that the server does not know the value. Not with `convert` or `detail`.",
    ),
    key(
        "fallback",
        Shape::Flag,
        Flag(false),
        "Whether the rule is skipped once an earlier rule, or a rule of a later part that is no fallback, has produced the same point. Not with `fall: accumulate` or `rebase`.",
    ),
    key(
        "convert",
        Shape::Either(&[Shape::Choice(|| names(super::super::rule::CONVERSIONS)), Shape::Map(CONVERT)]),
        NONE,
        "`age`: the time since a Unix timestamp, in seconds unless `unit` or `scale` is set. `is_zero` and `is_nonzero`: 1 or 0.",
    ),
    key(
        "detail",
        Shape::Map(DETAIL),
        NONE,
        "The rule applies only to targets that opt in to the detail. Its attributes have fixed values, and series with the same value of the label are added up.",
    ),
    key(
        "replaces",
        Shape::List(&Shape::MapOf(&Shape::Text), 1..=VALUES_MAX),
        NONE,
        "Of a detail: the attributes of the totals that it replaces.",
    ),
];

/// A value of `attributes:` as a map
pub static ATTRIBUTE: &[Key] = &[
    key("label", Shape::Text, NONE, "The label that has the value."),
    key("labels", TEXTS, NONE, "Several labels, of which the first one that is not empty has the value."),
    key("template", Shape::Text, NONE, "A text that is composed of labels: `{label}`, or `{label[0]}` for one character of it."),
    key("values", Shape::MapOf(&Shape::Text), NONE, "Native values or patterns of them, each with the value of the attribute."),
    key("otherwise", Shape::Text, Description("such series are not mapped"), "The value for native values that are not in `values`."),
];

/// `convert:` as a map
pub static CONVERT: &[Key] = &[key(
    "one_minus_share_of",
    Shape::Text,
    NONE,
    "1 minus the share of this counter's increase in the increase of that family: utilization from idle time and total time. All series are added up; `when` and `unless` apply to the labels that the family has, unless it is the same family.",
)];

/// `detail:`
pub static DETAIL: &[Key] = &[
    key("label", Shape::Text, Required, "The label that splits the total."),
    key("attribute", Shape::Text, Required, "The attribute of the detail."),
];
