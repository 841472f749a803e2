//! `docs/limits.md` has the values of the constants in the code.
#![allow(clippy::unwrap_used)]

use crate::support::files;
use postmeter::serve::ServerLimits;
use std::path::Path;

/// The first cell of a row, and the name of a constant, which only one file of `src` has.
const CONSTANTS: &[(&str, &str)] = &[
    ("memory for responses being read", "RESPONDING_BYTES_MAX"),
    ("the same, for targets and parts whose last poll failed", "FAILING_BYTES_MAX"),
    ("concurrent requests to mail servers", "RESPONDING_REQUESTS_MAX"),
    ("concurrent requests to servers whose last poll failed, in addition", "FAILING_REQUESTS_MAX"),
    ("pause between polls of a server that keeps failing", "BACKOFF_MAX_DEFAULT"),
    ("memory for the values of a JSON document that is read by paths", "VALUES_BYTES_MAX"),
    ("logins of a target that are kept with their tickets", "LOGINS_MAX"),
    ("native metrics kept by the readings of all targets", "READINGS_BYTES_MAX"),
    ("native series of a reading", "SERIES_MAX_DEFAULT"),
    ("canonical series per metric and target", "POINTS_PER_METRIC_MAX"),
    ("different label names of a response", "LABEL_NAMES_MAX"),
    ("exemplars of a response", "EXEMPLARS_MAX"),
    ("labels of an exemplar", "EXEMPLAR_CHARS_MAX"),
    ("points to which each of several parts contributes, per target", "CONTRIBUTIONS_MAX"),
    ("labels of a series", "LABELS_PER_SERIES_MAX"),
    ("a label value", "LABEL_VALUE_BYTES_MAX"),
    ("a help text", "HELP_BYTES_MAX"),
    ("points of counters that are accumulated, per target", "ACCUMULATED_POINTS_MAX"),
    ("time for which a counter of several parts is omitted because one has not responded", "OMITTED_AGE_MAX"),
    ("starts of a server that are remembered", "EARLIER_MAX"),
    ("time for which advice about an increase is shown after the last increase", "CHANGE_AGE_MAX"),
    ("advice from the metrics of a server", "ADVICE_MAX"),
    ("a text of advice", "ADVICE_BYTES_MAX"),
    ("records of a request for the delivery log", "PAGE_ROWS"),
    ("requests per poll of the delivery log", "POLL_REQUESTS_MAX"),
    ("delivery records remembered to detect repetitions", "KNOWN_MAX"),
    ("rotated files that are remembered as read", "FINISHED_MAX"),
    ("files next to a log that are considered after a rotation", "SIBLINGS_MAX"),
    ("messages of Postfix' log that are remembered until they leave the queue", "MESSAGES_MAX"),
    ("moments of Postfix' log whose equal lines are numbered", "MOMENTS_MAX"),
    ("repetitions of a line of Postfix' log (`message repeated N times`)", "REPETITIONS_MAX"),
    ("read positions of KumoMTA's segments", "POSITIONS_MAX"),
    ("items of a body", "ITEMS_MAX"),
    ("size of an item", "ITEM_BYTES_MAX"),
    ("recipients of an item", "RECIPIENTS_MAX"),
    ("text of a reply", "REPLY_BYTES_MAX"),
    ("other text fields of a record", "FIELD_BYTES_MAX"),
    ("authenticated requests of a target at the same time", "TARGET_REQUESTS_MAX"),
    ("lowest rate of a body that only a signature authenticates", "UNVERIFIED_BYTES_PER_SECOND_MIN"),
    ("time for which a sender may send nothing", "STALL_MAX"),
    ("time until a body has arrived", "BODY_TIME_MAX"),
    ("time from the end of a request to its response", "COMMIT_WAIT_MAX"),
    ("clients that are remembered as authenticated", "AUTHENTICATED_CLIENTS_MAX"),
    ("disk space for received records that are not exported", "MAX_BYTES_DEFAULT"),
    ("a file with the newest records of a target in `state_dir`", "JOURNAL_WAIT_MAX"),
    ("received records of a target remembered to detect repetitions", "RECENT_UIDS_MAX"),
    ("kinds of problems in the records of a target that are logged", "LOGGED_PROBLEMS_MAX"),
    ("combinations of stage, kind, reason, class and group in `mail.delivery.failures`", "FAILURES_MAX"),
    ("failure classes of a target", "FAILURE_CLASSES_MAX"),
    ("combinations of provider, source and pool in metrics from records (`by`)", "GROUPS_DEFAULT"),
    ("a label of that list, name and value", "LABEL_BYTES_MAX"),
    ("a name that an error of that list quotes", "QUOTED_BYTES_MAX"),
    ("time a scrape waits for targets", "SCRAPE_WAIT_MAX_DEFAULT"),
    ("time a scrape waits for a target whose last poll failed", "FAILING_WAIT_MAX"),
    ("concurrent scrapes", "SCRAPES_CONCURRENT_MAX"),
    ("series of a page that several scrapers share", "SHARED_SERIES_MAX"),
    ("size of a page that several scrapers share", "PAGE_BYTES_MAX"),
    ("older such pages that slow clients still read", "REPLACED_BYTES_MAX"),
    ("memory of outdated readings whose pages, too large to be shared, are still being sent", "OUTDATED_BYTES_MAX"),
    ("users of the pull endpoint", "USERS_MAX"),
    ("trusted networks of the pull endpoint", "NETWORKS_MAX"),
    ("history of a target on the status page", "HISTORY_POINTS_MAX"),
    ("targets with charts on the status page; further ones have their own pages", "DETAILED_MAX"),
    ("response shown by `/-/response`", "RAW_BYTES_MAX"),
    ("wait for a poll by `/-/poll`, after which it continues", "POLL_WAIT_MAX"),
    ("the export queue, compressed", "QUEUE_BYTES_DEFAULT"),
    ("requests on disk", "SPOOLED_REQUESTS_MAX"),
];

/// The rows of the pull endpoint's limits, whose defaults are fields.
fn server_limits() -> Vec<(&'static str, u64)> {
    let limits = ServerLimits::default();
    vec![
        ("concurrent requests", limits.requests_max as u64),
        ("concurrent requests of an HTTP/2 connection", limits.streams_max.into()),
        ("concurrent connections", limits.connections_max as u64),
        ("the same, of clients that have not authenticated where they have to", limits.unauthenticated_max as u64),
        ("idle time of a connection", limits.idle_timeout.as_secs()),
        (
            "idle time of a connection that has not authenticated where it has to, and of `health`",
            limits.unauthenticated_idle_timeout.as_secs(),
        ),
        ("request line and headers", limits.head_bytes_max as u64),
        ("path of a request, with its query", limits.path_bytes_max as u64),
        ("duration of the TLS handshake", limits.head_timeout.as_secs()),
        ("duration of the request headers", limits.head_timeout.as_secs()),
        ("time a client may stop reading", limits.stall_timeout.as_secs()),
        ("time per 64 KiB of a response", limits.response_timeout.as_secs()),
        ("time of a whole response", limits.response_duration_max.as_secs()),
    ]
}

#[test]
fn documented_limits_are_those_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split(" | ").map(|cell| cell.trim_start_matches("| ")).collect()).collect();
    let documented = |limit: &str| {
        let found: Vec<_> = rows.iter().filter(|cells| cells[0] == limit).collect();
        let [cells] = found[..] else { panic!("{} rows of docs/limits.md begin with {limit}", found.len()) };
        quantity(cells[1]).unwrap_or_else(|| panic!("{limit}: {} does not begin with a quantity", cells[1]))
    };
    let sources: Vec<String> = files(&root.join("src")).iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let constants = CONSTANTS.iter().map(|(limit, name)| (*limit, constant(&sources, name)));
    let different: Vec<String> = constants
        .chain(server_limits())
        .filter(|(limit, value)| documented(limit) != *value)
        .map(|(limit, value)| format!("{limit}: {}, and in the code {value}", documented(limit)))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The number at the beginning of a text, in bytes or seconds if it has a unit of those.
fn quantity(text: &str) -> Option<u64> {
    let mut parts = text.split([' ', ';', '/']).map(|part| part.trim_end_matches(','));
    let number: u64 = parts.next()?.replace(',', "").parse().ok()?;
    let unit = match parts.next() {
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("GiB") => 1 << 30,
        Some("min") => 60,
        Some("h" | "hour") => 3600,
        _ => 1,
    };
    Some(number * unit)
}

/// The value of a constant: a product, or a number of seconds.
fn constant(sources: &[String], name: &str) -> u64 {
    let declaration = format!("const {name}: ");
    let found: Vec<&str> = sources.iter().flat_map(|text| text.split(&declaration).skip(1)).collect();
    let [declared] = found[..] else { panic!("{} constants are named {name}", found.len()) };
    let (_, value) = declared.split(';').next().unwrap().split_once(" = ").unwrap();
    let factors = value.trim_start_matches("Duration::from_secs(").trim_end_matches(')').split(" * ");
    let number = |factor: &str| factor.replace('_', "").parse().unwrap_or_else(|_| constant(sources, factor));
    factors.map(number).product()
}

#[test]
fn quantities_are_read_with_their_units() {
    for (text, expected) in [
        ("64 MiB; then 503", Some(64 << 20)),
        ("16 KiB/s, after the first 4 s", Some(16 << 10)),
        ("2,000,000", Some(2_000_000)),
        ("1 hour", Some(3600)),
        ("5 min", Some(300)),
        ("10 s", Some(10)),
        ("4,096; fewer if", Some(4096)),
        ("20,000, the newest", Some(20_000)),
        ("no limit", None),
    ] {
        assert_eq!(quantity(text), expected, "{text}");
    }
}
