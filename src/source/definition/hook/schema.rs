//! The keys of the section `hook` of a definition.

use crate::source::definition::limits::VALUES_MAX;
use crate::yaml::schema::DefaultValue::{Bytes, Choice, Description, Integer, Required};
use crate::yaml::schema::{Key, NONE, Shape, key, names};
use std::time::Duration;

/// The largest number of rows.
pub const ROWS_MAX: usize = 200;
/// The largest number of conditions of a row, and of lists of conditions.
pub const CONDITIONS_MAX: usize = 50;
/// The largest number of places of a field, and of paths of a place.
pub const SOURCES_MAX: usize = 20;
/// The largest number of parts of an identity.
pub const IDENTITY_MAX: usize = 20;
/// The default of the largest body.
const BODY_BYTES_DEFAULT: usize = 16 * 1024 * 1024;
/// The longest `max_age` of a time.
const AGE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

const TEXTS: Shape = Shape::List(&Shape::Text, 1..=SOURCES_MAX);
const CONDITIONS: Shape = Shape::MapOf(&Shape::Either(&[Shape::AnyText, Shape::List(&Shape::AnyText, 1..=VALUES_MAX), Shape::Map(TEST)]));
const FIELDS: Shape = Shape::MapOf(&Shape::Either(&[
    Shape::Text,
    Shape::Map(VALUE),
    Shape::List(&Shape::Either(&[Shape::Text, Shape::Map(VALUE)]), 0..=SOURCES_MAX),
]));
const IDENTITY: Shape = Shape::List(&Shape::Either(&[Shape::Text, Shape::Map(VALUE)]), 1..=IDENTITY_MAX);

/// `hook:`
pub static HOOK: &[Key] = &[
    key(
        "authentication",
        Shape::List(&Shape::Choice(super::credential_names), 0..=3),
        Required,
        "The credentials that a target can use, the recommended one first: `token`, `basic` (a user name and a password), `signing_key`. An empty list: the system sends no requests, and records are read from its log files.",
    ),
    key(
        "log_files",
        Shape::Choice(super::log_file_names),
        NONE,
        "The log files that have the same items. `segments`: a directory of files with lines of JSON, compressed with zstd. `postfix`: a file with the lines of Postfix, of which items are made.",
    ),
    key("signature", Shape::Choice(super::signature_names), NONE, "How the system signs its requests."),
    key(
        "list",
        Shape::Text,
        Description("each value is an item"),
        "The path of the list of items in a value. A body is one JSON value, a list of values, or a value in each line.",
    ),
    key("body_bytes_max", Shape::Bytes(1024..=64 * 1024 * 1024), Bytes(BODY_BYTES_DEFAULT), "The largest body, after decompression."),
    key(
        "kind",
        Shape::Either(&[Shape::Text, TEXTS]),
        Required,
        "The path of the value that names what an item reports. An item without any of the paths is unreadable.",
    ),
    key("ignore", Shape::List(&CONDITIONS, 0..=CONDITIONS_MAX), NONE, "Conditions of items that are ignored whatever they report."),
    key(
        "rows",
        Shape::List(&Shape::Map(ROW), 1..=ROWS_MAX),
        Required,
        "What items report. The first row whose conditions an item fulfils applies; an item without a row is ignored.",
    ),
    key(
        "fields",
        FIELDS,
        NONE,
        "The fields of a record, each with a path, a map, or a list of both of which the first one with a value applies. `docs/delivery-records.md` lists the names of the fields.",
    ),
    key(
        "identity",
        IDENTITY,
        Required,
        "What identifies a record: paths, `@recipient`, `@index` (the number of the recipient in the item), or maps. It must be equal whenever the system sends the record again.",
    ),
    key("limits", Shape::List(&Shape::Text, 0..=VALUES_MAX), NONE, "What the records do not contain, for the documentation."),
];

/// An item of `rows:`
pub static ROW: &[Key] = &[
    key(
        "when",
        CONDITIONS,
        NONE,
        "Paths, each with what its value must be: a value or a pattern, a list of which one is enough, or a map of `present`, `exists`, or `min` and `max`. ASCII letters match in either case.",
    ),
    key("unless", CONDITIONS, NONE, "Conditions of which the item must fulfil none."),
    key("event", Shape::Choice(super::event_names), Choice("mail.delivery"), "The event that the record reports."),
    key("outcome", Shape::Choice(super::outcome_names), NONE, "The outcome of a delivery."),
    key("bounce_type", Shape::Choice(super::bounce_names), NONE, "The kind of a bounce, unless the field of this name has a value."),
    key(
        "complaint_type",
        Shape::Choice(super::complaint_names),
        NONE,
        "The kind of a complaint, unless the field of this name has a value.",
    ),
    key("origin", Shape::Choice(super::origin_names), NONE, "Where the failure arose, unless the field of this name has a value."),
    key("fields", FIELDS, NONE, "Fields that replace those of the hook with the same name. An empty list: the record has no such field."),
    key("identity", IDENTITY, Description("that of the hook"), "What identifies a record of this row."),
];

/// A condition as a map
pub static TEST: &[Key] = &[
    key("present", Shape::Flag, NONE, "Whether there is a value. `null`, an empty text and an empty list are none."),
    key("exists", Shape::Flag, NONE, "Whether there is a member at this path, even if it is `null` or empty."),
    key("min", Shape::Number, NONE, "The smallest number."),
    key("max", Shape::Number, NONE, "The largest number."),
];

/// A place of a value as a map
pub static VALUE: &[Key] = &[
    key("path", Shape::Text, Description("paths or value"), "The path: names and indexes, separated by dots."),
    key("paths", TEXTS, Description("path"), "Several paths. The first one with a value applies."),
    key("value", Shape::Text, Description("path"), "A fixed value."),
    key("when", CONDITIONS, NONE, "Conditions that the item must fulfil."),
    key("unless", CONDITIONS, NONE, "Conditions of which the item must fulfil none."),
    key("capture", Shape::Text, NONE, "A regular expression. The value is its first group; without a match, there is none."),
    key("reader", Shape::Choice(crate::source::hook::reader_names), NONE, "`hex_milliseconds`: Unix milliseconds in hexadecimal."),
    key(
        "values",
        Shape::MapOf(&Shape::Text),
        NONE,
        "A table of native values or patterns, each with the value that replaces it. ASCII letters match in either case.",
    ),
    key("otherwise", Shape::Text, Description("absent"), "The value of a native value that is not in the table."),
    key("add", Shape::Integer(0..=1000), Integer(0), "Of a number: what is added, such as 1 to the number of earlier attempts."),
    key(
        "unit",
        Shape::Choice(|| names(crate::source::definition::unit::UNITS)),
        Description("seconds or bytes"),
        "Of a number or a time: the native unit.",
    ),
    key(
        "max_age",
        Shape::Duration(Duration::from_secs(60)..=AGE_MAX),
        NONE,
        "Of a time from an untrusted sender: a time that is older when the request arrives is not used.",
    ),
];
