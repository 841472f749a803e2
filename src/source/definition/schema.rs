//! The keys of a definition: one row for each key, with its name, its shape, its default, its limits and its help.

mod rule;

pub use rule::{ATTRIBUTE, CONVERT, DETAIL, RULE};

use super::limits::{
    DIAGNOSES_MAX, EXAMPLES_MAX, NOTES_MAX, PARTS_MAX, PATH_SERIES_MAX, REQUESTS_MAX, RULES_MAX, STATUSES, STATUSES_MAX, VALUES_MAX,
};
use crate::source::systems::code;
use crate::yaml::schema::DefaultValue::{Bytes, Choice, Description, Duration as DurationIs, Flag, Integer, Required};
use crate::yaml::schema::{Key, NONE, Shape, key, names};
use std::time::Duration;

/// The end of the year 9999.
const UNIX_SECONDS_MAX: usize = 253_402_300_799;
const TEXTS: Shape = Shape::List(&Shape::Text, 0..=VALUES_MAX);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The keys at the top of the file.
pub static DEFINITION: &[Key] = &[
    key(
        "name",
        Shape::Text,
        Required,
        "The value of `system:`, of mail.system.name and of service.name: letters, digits, '.', '_' and '-'.",
    ),
    key("title", Shape::Text, Description("the name"), "The product's name as its vendor writes it."),
    key(
        "min_interval",
        Shape::Duration(SECOND..=HOUR),
        DurationIs(Duration::from_secs(15)),
        "The age that a reading must have before a request triggers another poll, unless the target sets it.",
    ),
    key(
        "timeout",
        Shape::Duration(Duration::from_millis(100)..=Duration::from_secs(300)),
        DurationIs(Duration::from_secs(10)),
        "The longest time that a poll may take, unless the target sets it.",
    ),
    key("requests_per_minute", Shape::Integer(1..=60_000), Description("unlimited"), "The rate limit that the server enforces."),
    key("version", Shape::Map(VERSION), NONE, "The family and the label that hold the server's version."),
    key(
        "counters_since",
        Shape::Text,
        Description("unknown"),
        "The family, or a pattern of names, whose value is the Unix time in seconds when the server's counters started.",
    ),
    key(
        "process_since",
        Shape::Text,
        Description("unknown"),
        "The family whose value is the Unix time in seconds when the server's process started. A later value resets accumulated counters.",
    ),
    key(
        "gauges_underflow",
        Shape::Flag,
        Flag(false),
        "Whether the server is known to export a negative gauge as a number near 2^64. Such gauges are not mapped.",
    ),
    key("counters", TEXTS, NONE, "Families that are counters although the server declares them otherwise."),
    key("windowed", Shape::Flag, Flag(false), "Whether the server reports sums over a window, so that targets accept `window`."),
    key("delivery_log", Shape::Choice(|| names(code::DELIVERY_LOGS)), NONE, "The delivery log, by the name of its reader."),
    key("hook", Shape::Map(super::hook::schema::HOOK), NONE, "The requests by which the system reports deliveries to Postmeter."),
    key("notes", Shape::List(&Shape::Text, 0..=NOTES_MAX), NONE, "Facts for readers of the file. They have no effect."),
    key(
        "diagnoses",
        Shape::List(&Shape::Map(DIAGNOSIS), 0..=DIAGNOSES_MAX),
        NONE,
        "Advice that follows from native series. It is logged and shown once.",
    ),
    key(
        "parts",
        Shape::List(&Shape::Map(PART), 1..=PARTS_MAX),
        Required,
        "The requests of a poll. The first part is required; the others are enabled by `parts` of a target.",
    ),
    key(
        "examples",
        Shape::List(&Shape::Map(EXAMPLE), 0..=EXAMPLES_MAX),
        NONE,
        "Responses, and the points that the rules must produce from them.",
    ),
];

/// `version:`
pub static VERSION: &[Key] =
    &[key("family", Shape::Text, Required, "The native family."), key("label", Shape::Text, Required, "The label with the version.")];

/// An item of `diagnoses:`
pub static DIAGNOSIS: &[Key] = &[
    key("family", Shape::Text, Description("families"), "The native family, or a pattern of names."),
    key(
        "families",
        TEXTS,
        Description("family"),
        "Several families, such as the names in several versions. A series of any of them fulfils the condition; for `absent`, none may have one.",
    ),
    key("when", LABELS, NONE, "Labels and values that a series must have."),
    key("without", TEXTS, NONE, "Families, or patterns of names. If the response has a series of any of them, there is no advice."),
    key(
        "condition",
        Shape::Choice(|| names(super::diagnosis::CONDITIONS)),
        Choice("rises"),
        "`rises`: the value is higher than in the previous poll. `falls`: it is lower, and the server reports the same start of its counters as before. `present`: there is such a series. `positive`: its value is greater than 0. `absent`: there is no such series.",
    ),
    key("advice", Shape::Text, Required, "What to do, in one sentence. `{label}` is replaced by the value of a label of the series."),
];

/// Labels, each with a value or a list of which one is enough. Values can be patterns.
const LABELS: Shape = Shape::MapOf(&Shape::Either(&[Shape::AnyText, Shape::List(&Shape::AnyText, 1..=VALUES_MAX)]));

/// An item of `parts:`
pub static PART: &[Key] = &[
    key("name", Shape::Text, Required, "The name in `parts` of a target: letters, digits, '_' and '-'."),
    key("help", Shape::Text, Description("the name"), "A short description of what the part reports."),
    key(
        "requests",
        Shape::List(&Shape::Map(REQUEST), 1..=REQUESTS_MAX),
        Required,
        "Of the required part, `format` of a target selects a request; the first is the default. Of an optional part, the next one is tried if the server responds with 404.",
    ),
    key("body_bytes_max", Shape::Bytes(1024..=1024 * 1024 * 1024), Bytes(16 * 1024 * 1024), "The largest response, after decompression."),
    key(
        "credential",
        Shape::Either(&[Shape::Choice(|| names(super::credential::KINDS)), Shape::Map(CREDENTIAL)]),
        Choice("optional"),
        "The credential that the requests carry.",
    ),
    key(
        "identity",
        Shape::Either(&[Shape::Text, TEXTS]),
        Description("the families of the rules"),
        "Families, or patterns of names, that no other server has, in addition to those of the rules; a response without any of them is rejected. `optional`: a response without any is accepted, unless it has families of another known system. An empty list accepts every response.",
    ),
    key(
        "misnaming_families",
        TEXTS,
        NONE,
        "Families that only a version with a known fault exposes: its counters have wrong names, so none of them is mapped.",
    ),
    key(
        "interval",
        Shape::Duration(SECOND..=Duration::from_secs(24 * 3600)),
        Description("each poll"),
        "Of an optional part: the shortest time between two requests as long as no counter decreases.",
    ),
    key("hints", Shape::Map(HINTS), NONE, "Advice for the operator."),
    key(
        "window",
        Shape::Map(WINDOW_RULE),
        NONE,
        "Of the required part: its values are sums of whole days or hours. Those of counters are added up, window by window.",
    ),
    key("rules", Shape::List(&Shape::Map(RULE), 0..=RULES_MAX), NONE, "The mapping from native families to canonical metrics."),
];

/// `hints:`
pub static HINTS: &[Key] = &[
    key("unauthorized", Shape::Text, Description("a general one"), "The advice for status 401 and 403."),
    key("not_found", Shape::Text, Description("a general one"), "The advice for status 404."),
];

/// `credential:` as a map
pub static CREDENTIAL: &[Key] = &[
    key("header", Shape::Text, NONE, "The name of the header that carries `token`."),
    key("ticket", Shape::Map(TICKET), NONE, "A ticket that the server issues for `username` and `password`, and that a cookie carries."),
];

/// `ticket:`
pub static TICKET: &[Key] = &[
    key("path", Shape::Text, Required, "The path of the POST request for a ticket. Its body is a form."),
    key("username", Shape::Text, Description("username"), "The field of the form with the user name."),
    key("password", Shape::Text, Description("password"), "The field of the form with the password."),
    key("value", Shape::Text, Required, "The JSONPath of the ticket in the response."),
    key("cookie", Shape::Text, Required, "The name of the cookie that carries the ticket."),
    key(
        "lifetime",
        Shape::Duration(Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600)),
        Required,
        "The time for which a ticket is valid. It is renewed before its end, and once if it is rejected.",
    ),
];

/// `window:`
pub static WINDOW_RULE: &[Key] = &[
    key("every", Shape::Choice(|| names(super::window::LENGTHS)), Required, "The length of a window: `day` or `hour`."),
    key("zone", Shape::Text, Description("UTC"), "The time zone that days begin in, unless `window` of the target has another."),
    key(
        "late",
        Shape::Duration(Duration::from_secs(0)..=Duration::from_secs(6 * 24 * 3600)),
        DurationIs(Duration::from_secs(600)),
        "The time for which a window that has ended is read again, because the server still adds to it: at most 6 windows.",
    ),
];

/// An item of `requests:`
pub static REQUEST: &[Key] = &[
    key("format", Shape::Text, Description("text or json"), "The value of `format` of a target that selects the request."),
    key(
        "path",
        Shape::AnyText,
        Required,
        "The path and query. Empty: the target's URL is used unchanged. `{start}` and `{end}` are replaced by the window's first and last Unix second, both included, `{start:%Y-%m-%d}` by its date in the time zone of the window. Without windows, `{end}` is the present time, and there is no `{start}`. Other placeholders are errors.",
    ),
    key("body", Shape::Text, Description("none: a GET request"), "The body of a POST request, with the same placeholders."),
    key("content_type", Shape::Text, Description("application/json"), "The media type of the body."),
    key(
        "statuses",
        Shape::List(&Shape::Integer(STATUSES), 0..=STATUSES_MAX),
        NONE,
        "Statuses other than 200 whose body is read as well, such as 503 of a server that reports why it is not ready.",
    ),
    key(
        "openmetrics",
        Shape::Flag,
        Flag(false),
        "Of a text reader: whether OpenMetrics with UTF-8 names is requested in preference to the text format. Names can differ there: a counter always ends in _total, and a time in `x_created` is the start of `x`.",
    ),
    key(
        "reader",
        Shape::Choice(code::reader_names),
        Choice("text"),
        "`text`: Prometheus' text format. `text_unterminated`: the same, if the last line may lack its line feed. `json`: the `series`. Others are readers of one system.",
    ),
    key("series", Shape::List(&Shape::Map(SERIES), 1..=PATH_SERIES_MAX), NONE, "Of the reader `json`: the series to find in the document."),
];

/// An item of `series:`
pub static SERIES: &[Key] = &[
    key("family", Shape::Text, Required, "The native family."),
    key("type", Shape::Choice(|| names(super::series::TYPES)), Choice("gauge"), "`gauge` or `counter`."),
    key("help", Shape::Text, Description("none"), "The help text of the family."),
    key("each", Shape::Text, Description("the document"), "The JSONPath of the nodes."),
    key(
        "labels",
        Shape::MapOf(&Shape::Either(&[Shape::Text, Shape::Map(LABEL_SOURCE)])),
        NONE,
        "Labels, each with the JSONPath of its value from the node, `@key` (the name or the index of the node), or a fixed text.",
    ),
    key("value", Shape::Text, Required, "A number, or the JSONPath of the number from the node."),
    key(
        "combine",
        Shape::Choice(|| names(super::series::COMBINATIONS)),
        Choice("sum"),
        "How nodes with equal labels are combined: `sum`, `max` or `min`.",
    ),
    key(
        "must_have",
        Shape::Text,
        Description("none"),
        "The JSONPath, from the node, of a member that each node has, such as its name. A node without it is unreadable, and a document without any such node is another response, such as an error.",
    ),
    key(
        "zero_for",
        Shape::List(&Shape::MapOf(&Shape::Text), 0..=VALUES_MAX),
        NONE,
        "Labels of series that have the value 0 if the document has no node with them, but the list that `each` selects from. If one of the lists is null, a text or a number, no value of the family is known.",
    ),
    key("booleans", Shape::Flag, Flag(false), "Whether true and false are the numbers 1 and 0."),
    key(
        "times",
        Shape::Flag,
        Flag(false),
        "Whether texts such as 2026-08-01T10:00:00Z (RFC 3339) are numbers: their Unix seconds, as `convert: age` and `counters_since` need them.",
    ),
];

/// A value of `labels:` as a map
pub static LABEL_SOURCE: &[Key] = &[
    key("path", Shape::Text, Required, "The JSONPath of the label's value from the node."),
    key("suffix", Shape::Text, NONE, "A text that is removed from the end of the value."),
];

/// An item of `examples:`
pub static EXAMPLE: &[Key] = &[
    key("title", Shape::Text, Required, "What the example shows."),
    key("part", Shape::Text, Description("the first part"), "The part that the response belongs to."),
    key("now", Shape::Integer(0..=UNIX_SECONDS_MAX), Integer(0), "The time of the response in Unix seconds, for ages."),
    key("body", Shape::AnyText, Required, "The response."),
    key(
        "points",
        Shape::MapOf(&Shape::Number),
        NONE,
        "Canonical points, as `metric{attribute=\"value\"}`, each with its value; of a histogram its count.",
    ),
    key("absent", TEXTS, NONE, "Metrics that must have no point."),
];
