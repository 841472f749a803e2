//! The keys of `targets:` and `defaults:`.

use super::DefaultValue::{self, Description, Duration as DurationIs, Flag, Integer, Required, RequiredUnless};
use super::receive::DELIVERIES;
use super::{Key, NONE, Shape, key, names};
use crate::config::delivery_log::{INTERVAL_DEFAULT, OVERLAP_DEFAULT};
use crate::config::passthrough::{PATTERNS_MAX, SERIES_MAX_DEFAULT};
use crate::config::record_detail::{GROUPS_DEFAULT, GROUPS_MAX, RECORD_DIMENSIONS};
use crate::config::target::{BACKOFF_MAX_DEFAULT, DETAIL_TOP_DEFAULT, DETAILS};
use crate::model::FIELDS;
use std::time::Duration;

/// The largest number of names in a list of parts.
const PARTS_MAX: usize = 100;
const DAY: u64 = 24 * 3600;
/// The default of a key for which each mail system has its own default.
const OF_SYSTEM: DefaultValue = Description("depends on the mail system");

/// The keys of a target. `defaults` accepts all of them except those that are required.
pub static TARGET: &[Key] = &[
    key(
        "name",
        Shape::Text,
        Required,
        "A unique name of up to 100 letters, digits, '.', '_' and '-'. It becomes the label instance and service.instance.id.",
    ),
    key("system", Shape::System, Required, "The mail system that runs on the server."),
    key(
        "url",
        Shape::Url,
        RequiredUnless("the mail system sends deliveries only"),
        "Scheme, host and port. For the system prometheus the whole URL, query included; its default path is /metrics.",
    ),
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    key(
        "parts",
        Shape::Either(&[Shape::MapAnd(PARTS, &PART), Shape::List(&Shape::Text, 0..=PARTS_MAX)]),
        Description("the required part only"),
        "Optional parts of a poll: a map by name, or a list of names.",
    ),
    key(
        "format",
        Shape::Text,
        Description("the first format of the mail system"),
        "The format to request, for mail systems that have several.",
    ),
    key(
        "timeout",
        Shape::Duration(Duration::from_millis(100)..=Duration::from_secs(300)),
        OF_SYSTEM,
        "The longest time that a poll may take, all parts together.",
    ),
    key(
        "min_interval",
        Shape::Duration(Duration::from_secs(1)..=Duration::from_secs(3600)),
        OF_SYSTEM,
        "The age that a reading must have before a request triggers another poll.",
    ),
    key(
        "backoff_max",
        Shape::Duration(Duration::from_secs(1)..=Duration::from_secs(3600)),
        DurationIs(BACKOFF_MAX_DEFAULT),
        "The longest pause between polls of a server that keeps failing. There is no backoff if it does not exceed min_interval.",
    ),
    key(
        "window",
        Shape::Either(&[Shape::Map(WINDOW), Shape::Choice(|| vec!["today"])]),
        Description("{today: UTC}"),
        "The time window of the totals, for mail systems that report totals of a time window.",
    ),
    TLS_OF_CLIENT,
    HEADERS,
    key("proxy", Shape::Url, NONE, "An HTTP proxy. Proxy environment variables are ignored."),
    key(
        "resource",
        Shape::MapOf(&Shape::Text),
        NONE,
        "Attributes of the target's resource, in addition to those that Postmeter sets itself.",
    ),
    key("detail", Shape::Map(DETAIL), Description("totals only"), "Splits queue totals by domain, tenant, queue or provider."),
    key("body_bytes_max", Shape::Bytes(1024..=1024 * 1024 * 1024), OF_SYSTEM, "The largest response body to read, after decompression."),
    key("relay", Shape::Either(&[Shape::Switch, Shape::Map(RELAY)]), Description("all native metrics"), "The native metrics to forward."),
];

pub(super) const USERNAME: Key = key("username", Shape::Text, NONE, "The user name, if the mail system requires one.");
pub(super) const PASSWORD: Key = key("password", Shape::Secret, NONE, "The password, preferably as ${env:NAME} or ${file:PATH}.");
pub(super) const PASSWORD_FILE: Key = key("password_file", Shape::Text, NONE, "The file that contains the password.");
pub(super) const TOKEN: Key = key("token", Shape::Secret, NONE, "The token, preferably as ${env:NAME} or ${file:PATH}.");
pub(super) const TOKEN_FILE: Key = key("token_file", Shape::Text, NONE, "The file that contains the token.");
pub(super) const TLS_OF_CLIENT: Key =
    key("tls", Shape::Map(TLS), Description("the system's certificate authorities"), "Verification of the server's certificate.");
pub(super) const HEADERS: Key = key("headers", Shape::MapOf(&Shape::Secret), NONE, "Headers to send with each request.");

/// The credentials of a part; a part without any uses those of its target.
pub static CREDENTIALS: &[Key] = &[USERNAME, PASSWORD, PASSWORD_FILE, TOKEN, TOKEN_FILE];

static PART: Shape = Shape::Map(CREDENTIALS);

/// Parts that have more keys than credentials.
static PARTS: &[Key] = &[
    key("messages", Shape::Map(DELIVERY_LOG), Description("off"), "Reads the delivery log, independently of polls. Requires state_dir."),
    key(
        "deliveries",
        Shape::Map(DELIVERIES),
        Description("off"),
        "Accepts delivery records that the mail system sends, which requires receive, or reads them from its log files.",
    ),
];

pub(super) const INCLUDE: Key = key(
    "include",
    Shape::List(&FIELD, 0..=FIELDS.len()),
    Description("no personal data"),
    "Fields to export in plain text. Other fields that can identify a person are hashed or omitted.",
);

static FIELD: Shape = Shape::Choice(|| FIELDS.iter().map(|field| field.name).collect());

/// `parts: {messages: {...}}`
pub static DELIVERY_LOG: &[Key] = &[
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    key(
        "interval",
        Shape::Duration(Duration::from_secs(1)..=Duration::from_secs(3600)),
        DurationIs(INTERVAL_DEFAULT),
        "The time between two reads of the log.",
    ),
    key(
        "since",
        Shape::Duration(Duration::ZERO..=Duration::from_secs(31 * DAY)),
        DurationIs(Duration::ZERO),
        "How far back the first read goes. 0s reads new records only.",
    ),
    key(
        "overlap",
        Shape::Duration(Duration::ZERO..=Duration::from_secs(DAY)),
        DurationIs(OVERLAP_DEFAULT),
        "How far each read looks back for records that were written late.",
    ),
    INCLUDE,
    RECORD_BY,
    RECORD_GROUPS_MAX,
];

static DIMENSION: Shape = Shape::Choice(|| RECORD_DIMENSIONS.iter().map(|dimension| dimension.name).collect());

/// `by` of the parts that have delivery records.
pub const RECORD_BY: Key = key(
    "by",
    Shape::List(&DIMENSION, 0..=RECORD_DIMENSIONS.len()),
    Description("no detail"),
    "Splits the metrics that are counted from the records by these fields, which are exported in plain text.",
);
/// `groups_max` of the parts that have delivery records.
pub const RECORD_GROUPS_MAX: Key = key(
    "groups_max",
    Shape::Integer(1..=GROUPS_MAX),
    Integer(GROUPS_DEFAULT),
    "The number of combinations of these fields with series of their own; all later ones are counted as _OTHER.",
);

/// `window:`
pub static WINDOW: &[Key] = &[
    key("today", Shape::Text, NONE, "Totals since midnight in this time zone, such as Europe/Berlin. They become counters."),
    key(
        "sliding",
        Shape::Duration(Duration::from_secs(60)..=Duration::from_secs(31 * DAY)),
        NONE,
        "Totals of the most recent period of this length, such as 1h. They are gauges.",
    ),
];

/// `tls:` of connections to mail servers and receivers.
pub static TLS: &[Key] = &[
    key("ca_file", Shape::Text, Description("the system's"), "PEM certificates of the authorities to trust instead of the system's."),
    key("cert_file", Shape::Text, NONE, "The PEM certificate chain to present to the server. Requires key_file."),
    key("key_file", Shape::Text, NONE, "The PEM private key of that certificate."),
    key("server_name", Shape::Text, Description("the host of the URL"), "The name that the server's certificate must contain."),
    key("insecure_skip_verify", Shape::Flag, Flag(false), "Accept any certificate. A man in the middle can then read the credentials."),
];

/// `detail:`
pub static DETAIL: &[Key] = &[
    key("by", Shape::Choice(|| names(DETAILS)), Required, "The attribute to split totals by."),
    key(
        "top",
        // A metric has at most 1000 points, and one of them holds the rest.
        Shape::Integer(1..=999),
        Integer(DETAIL_TOP_DEFAULT),
        "The number of largest values to report; the rest is summed up as _OTHER.",
    ),
];

/// `relay:`
pub static RELAY: &[Key] = &[
    key("enabled", Shape::Flag, Flag(true), "false forwards nothing, as relay: false does."),
    key(
        "include",
        // An empty list would forward nothing, which is written `relay: false`.
        Shape::Either(&[Shape::Text, Shape::List(&Shape::Text, 1..=PATTERNS_MAX)]),
        Description("every family"),
        "Families to forward: one regular expression or a list, each matched against the whole name.",
    ),
    key(
        "exclude",
        Shape::Either(&[Shape::Text, Shape::List(&Shape::Text, 0..=PATTERNS_MAX)]),
        NONE,
        "Families not to forward although they are included: one regular expression or a list.",
    ),
    key("series_max", Shape::Integer(1..=5_000_000), Integer(SERIES_MAX_DEFAULT), "The largest number of series to forward per reading."),
    key(
        "min_value",
        Shape::MapOf(&Shape::Number),
        NONE,
        "The smallest value to forward, by family. Histograms and summaries are always forwarded.",
    ),
    key("prefix", Shape::Text, NONE, "A prefix for every forwarded name. It is not part of the names in the other keys."),
];
