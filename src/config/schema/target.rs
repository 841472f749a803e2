//! `targets:` and `defaults:`.

use super::{Key, Shape, key, names, required};
use crate::config::delivery_log;
use crate::config::passthrough::{PATTERNS_MAX, SERIES_MAX_RANGE};
use crate::config::target::{BACKOFF_MAX_RANGE, BODY_BYTES_MAX_RANGE, DETAIL_TOP_RANGE, DETAILS, MIN_INTERVAL_RANGE, TIMEOUT_RANGE};
use crate::config::window::SLIDING_RANGE;
use crate::model::FIELDS;

/// A target: its own keys, and those that it may have from `defaults`.
pub static TARGET: &[Key] = &[
    required("name", Shape::Text, "Unique; letters, digits, '.', '_' and '-'. The label instance and service.instance.id."),
    required("system", Shape::System, "Which mail system answers there."),
    required("url", Shape::Url, "Scheme, host and port; for the system prometheus the whole address."),
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    PARTS,
    FORMAT,
    TIMEOUT,
    MIN_INTERVAL,
    BACKOFF_MAX,
    WINDOW,
    TLS,
    HEADERS,
    PROXY,
    RESOURCE,
    DETAIL,
    BODY_BYTES_MAX,
    RELAY,
];

/// `defaults:`.
pub static SHARED: &[Key] = &[
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    PARTS,
    FORMAT,
    TIMEOUT,
    MIN_INTERVAL,
    BACKOFF_MAX,
    WINDOW,
    TLS,
    HEADERS,
    PROXY,
    RESOURCE,
    DETAIL,
    BODY_BYTES_MAX,
    RELAY,
];

const USERNAME: Key = key("username", Shape::Text, "Who asks, where the system wants a name.");
const PASSWORD: Key = key("password", Shape::Secret, "Better as ${env:NAME} or ${file:PATH}.");
const PASSWORD_FILE: Key = key("password_file", Shape::Text, "The file that holds the password.");
const TOKEN: Key = key("token", Shape::Secret, "Better as ${env:NAME} or ${file:PATH}.");
const TOKEN_FILE: Key = key("token_file", Shape::Text, "The file that holds the token.");
const PARTS: Key = key("parts", Shape::MapAnd(PARTS_OF_THEIR_OWN, &PART), "Optional parts by name. Left out: only the required one.");
const FORMAT: Key = key("format", Shape::Text, "Which of several formats to ask for. Left out: the system's first.");
const TIMEOUT: Key = key("timeout", Shape::Duration(&TIMEOUT_RANGE), "How long a poll may take, all parts together.");
const MIN_INTERVAL: Key = key("min_interval", Shape::Duration(&MIN_INTERVAL_RANGE), "A reading younger than this is not replaced.");
const BACKOFF_MAX: Key = key(
    "backoff_max",
    Shape::Duration(&BACKOFF_MAX_RANGE),
    "The longest pause between polls of a server that keeps failing. Left out: 2m.",
);
const WINDOW: Key = key("window", Shape::Map(WINDOWS), "The window of time whose sums are asked for. Left out: {today: UTC}.");
pub(super) const TLS: Key =
    key("tls", Shape::Map(TLS_KEYS), "How the server's certificate is checked. Left out: by the system's authorities.");
pub(super) const HEADERS: Key = key("headers", Shape::MapOf(&Shape::Secret), "Sent with each request.");
const PROXY: Key = key("proxy", Shape::Url, "An HTTP proxy. Left out: none, whatever the environment says.");
const RESOURCE: Key =
    key("resource", Shape::MapOf(&Shape::Text), "Attributes of the target's resource besides those that Postmeter finds.");
const DETAIL: Key = key("detail", Shape::Map(DETAIL_KEYS), "Splits queue totals. Left out: totals only.");
const BODY_BYTES_MAX: Key =
    key("body_bytes_max", Shape::Bytes(&BODY_BYTES_MAX_RANGE), "Of an answer, decompressed. Left out: the system's own limit.");
const RELAY: Key =
    key("relay", Shape::Either(RELAYS), "What of the server's own families is passed on. Left out: everything; false: nothing.");

static RELAYS: &[Shape] = &[Shape::Off, Shape::Map(RELAY_KEYS)];

static PART: Shape = Shape::Map(CREDENTIALS);

/// Parts that have more than credentials.
static PARTS_OF_THEIR_OWN: &[Key] = &[key("messages", Shape::Map(MESSAGES), "The delivery log, on a timer of its own. Needs state_dir.")];

static FIELD: Shape = Shape::FamilySelection(|| FIELDS.iter().map(|field| field.name).collect());

static MESSAGES: &[Key] = &[
    USERNAME,
    PASSWORD,
    PASSWORD_FILE,
    TOKEN,
    TOKEN_FILE,
    key("interval", Shape::Duration(&delivery_log::MESSAGES_INTERVAL_RANGE), "How often the log is read. Left out: 60s."),
    key("since", Shape::Duration(&delivery_log::SINCE_RANGE), "How far back the first start reads. Left out: from now on."),
    key("overlap", Shape::Duration(&delivery_log::OVERLAP_RANGE), "How far back each reading looks for records that were written late."),
    key("include", Shape::List(&FIELD, 0..=FIELDS.len()), "What leaves this machine as it is."),
];

static CREDENTIALS: &[Key] = &[USERNAME, PASSWORD, PASSWORD_FILE, TOKEN, TOKEN_FILE];

static WINDOWS: &[Key] = &[
    key("today", Shape::Text, "From midnight in this time zone, such as Europe/Berlin."),
    key("sliding", Shape::Duration(&SLIDING_RANGE), "The last hour, or whatever is written here, whenever it is asked for."),
];

static TLS_KEYS: &[Key] = &[
    key("ca_file", Shape::Text, "PEM certificates of the authorities to trust in place of the system's."),
    key("cert_file", Shape::Text, "PEM certificate chain to show to the server, together with key_file."),
    key("key_file", Shape::Text, "PEM private key of that certificate."),
    key("server_name", Shape::Text, "The name that the server's certificate must have. Left out: the url's host."),
    key("insecure_skip_verify", Shape::Flag, "true takes any certificate: anyone in between can read the credentials."),
];

static DETAIL_KEYS: &[Key] = &[
    required("by", Shape::FamilySelection(|| names(DETAILS)), "What totals are split by."),
    key("top", Shape::Integer(&DETAIL_TOP_RANGE), "How many of the largest; the rest is folded into _other. Left out: 20."),
];

/// A list of no family would be none; that is `relay: false`.
static INCLUDED: &[Shape] = &[Shape::Text, Shape::List(&Shape::Text, 1..=PATTERNS_MAX)];
static PATTERNS: &[Shape] = &[Shape::Text, Shape::List(&Shape::Text, 0..=PATTERNS_MAX)];

static RELAY_KEYS: &[Key] = &[
    key("enabled", Shape::Flag, "false is the same as relay: false."),
    key("include", Shape::Either(INCLUDED), "Regular expressions over whole family names, one or a list. Left out: every family."),
    key("exclude", Shape::Either(PATTERNS), "The same, taken from what is included."),
    key("series_max", Shape::Integer(&SERIES_MAX_RANGE), "Of one reading. Left out: 2000000."),
    key("min_value", Shape::MapOf(&Shape::Number), "By family, the smallest value worth keeping."),
    key("prefix", Shape::Text, "Put before each name, and not part of the names above."),
];
