//! Responses of real servers, from the directory in `POSTMETER_CAPTURES`: each can be read, and the canonical values are those that were
//! calculated by hand.
#![allow(clippy::unwrap_used)]

use crate::support::{files, postmeter, skipped, stderr};
use postmeter::model::{Families, Histogram, Repair, Snapshot};
use postmeter::source::{self, Context, CounterMemory, Part, Source, map_to_canonical};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The system and the part of captures, by the beginning of their path. The longest match is first.
const PARTS: &[(&str, &str, &str)] = &[
    ("ceymail/", "ceymail", "metrics"),
    ("cpanel/01-", "cpanel", "emailtrack_user_stats"),
    ("cpanel/02-", "cpanel", "emailtrack_user_stats"),
    ("cpanel/05-", "cpanel", "emailtrack_stats"),
    ("cpanel/08-", "cpanel", "fetch_mail_queue"),
    ("cpanel/09-", "cpanel", "servicestatus"),
    ("cpanel/2", "cpanel", "emailtrack_user_stats"),
    ("emailengine/", "emailengine", "metrics"),
    ("kumomta/admin-bounce-", "kumomta", "bounces"),
    ("kumomta/admin-ready-q-states-", "kumomta", "ready-queue-states"),
    ("kumomta/admin-suspend-ready-q-", "kumomta", "suspended-ready-queues"),
    ("kumomta/admin-suspend-", "kumomta", "suspensions"),
    ("kumomta/kumo-check-liveness-", "kumomta", "liveness"),
    ("kumomta/", "kumomta", "metrics"),
    ("dovecot/", "dovecot", "metrics"),
    ("exim/", "exim", "metrics"),
    ("haraka/", "haraka", "metrics"),
    ("maddy/", "maddy", "metrics"),
    ("mox/", "mox", "metrics"),
    ("postal/", "postal", "metrics"),
    ("postfix/", "postfix", "metrics"),
    ("rspamd/", "rspamd", "metrics"),
    ("stalwart/0.15.5/1", "stalwart", "queue"),
    ("stalwart/0.15.5/2", "stalwart", "queue"),
    ("stalwart/0.15.5/0", "stalwart", "metrics"),
    ("stalwart/0.16.18/1", "stalwart", "queue"),
    ("stalwart/0.16.18/2", "stalwart", "queue"),
    ("stalwart/0.16.18/0", "stalwart", "metrics"),
];

/// Files that are not responses of a part.
const OTHER: &[&str] = &[
    "README.md",
    "emailengine/families.tsv",
    // Details of single queues, and a policy.
    "kumomta/kumo-inspect-ready-q.json",
    "kumomta/kumo-inspect-sched-q.json",
    "kumomta/least-privilege.lua",
    "stalwart/0.15.5/otlp_push_at_09.json",
    // Records, which no part requests yet.
    "cpanel/06a-emailtrack_search.page1.json",
    "cpanel/06b-emailtrack_search.page2.json",
];

/// Folders of systems whose APIs no reader covers yet.
const UNCOVERED: &[&str] = &["mailcow/", "mailgun/", "pmg/", "postmark/", "powermta/", "sendgrid/"];

/// Returns `true` if a file is not a response of a part.
fn is_other(capture: &str) -> bool {
    OTHER.contains(&capture)
        || UNCOVERED.iter().any(|folder| capture.starts_with(folder))
        || [".md", ".conf", ".lua"].iter().any(|ending| capture.ends_with(ending))
        || capture.starts_with("postal/") && capture.ends_with(".http")
}

/// Captures that are errors, each with the beginning of the message after the path.
const ERRORS: &[(&str, &str)] = &[
    ("ceymail/11-401-missing.constructed.http", "the server responded with 401 Unauthorized: set token "),
    ("ceymail/13-429.source-shaped.http", "the server responded with 429 Too Many Requests: "),
    ("cpanel/20-err-403-access-denied.http", "the server responded with 403 Forbidden Access denied: set username, and token "),
    ("cpanel/21-err-result0-unknown-app.http", "the server refused: Unknown app (“emailtrack_userstats”) "),
    ("emailengine/02-no-token.txt", "the server responded with 401 Unauthorized: set token "),
    ("emailengine/03-wrong-token.txt", "the server responded with 401 Unauthorized: set token "),
    ("emailengine/05-api-scope-token.txt", "the server responded with 403 Forbidden: set token "),
    ("stalwart/0.15.5/02_noauth.txt", "the server responded with 401 Unauthorized: set username and password "),
    ("stalwart/0.15.5/03_wrongauth.txt", "the server responded with 401 Unauthorized: set username and password "),
    ("stalwart/0.15.5/16_queue_status.txt", "the response cannot be read: "),
    ("stalwart/0.15.5/18_telemetry_metrics_community.txt", "the server refused: unsupported Enterprise feature"),
    ("stalwart/0.15.5/22_queue_badauth.txt", "the server responded with 401 Unauthorized: set parts.queue.token "),
    ("stalwart/0.15.5/23_queue_user_noperm.txt", "the server responded with 403 Forbidden: set parts.queue.token "),
    ("stalwart/0.16.18/02_wrongauth.txt", "the server responded with 401 Unauthorized: set username and password "),
    ("stalwart/0.16.18/06_disabled_404.txt", "the server responded with 404 Not Found: enable the Prometheus endpoint "),
    ("stalwart/0.16.18/16_metric_enterprise.txt", "the server denied access (forbidden This feature is only available "),
    ("stalwart/0.16.18/20_jmap_noauth.txt", "the server responded with 401 Unauthorized: set parts.queue.token "),
];

/// Canonical values, calculated by hand from the captures: the metric, the values of its attributes in any order, and the value. NaN: the
/// point is missing.
const VALUES: &[(&str, &[(&str, f64)])] = &[
    (
        "kumomta/small.metrics.json",
        &[
            ("mail.delivery.attempts delivered", 92.0),
            ("mail.delivery.attempts deferred", 17.0),
            ("mail.delivery.attempts failed", 5.0),
            ("mail.queue.depth scheduled", 20.0),
            ("mail.queue.depth ready", 0.0),
            ("mail.received.messages smtp", 94.0),
            ("mail.received.messages http", 23.0),
            ("mail.rejected.messages unspecified", 1.0),
            ("mail.connection.opened smtp outbound", 20.0),
            ("mail.connection.active smtp outbound", 12.0),
            ("process.memory.usage", 123_678_720.0),
            ("system.cpu.utilization", 0.13),
        ],
    ),
    (
        "kumomta/badlabel_quote.metrics.json",
        &[("mail.queue.depth scheduled", 1.0), ("mail.delivery.attempts deferred", 1.0), ("mail.received.messages smtp", 1.0)],
    ),
    (
        "kumomta/q5000.metrics.json.gz",
        &[("mail.queue.depth scheduled", 5000.0), ("mail.delivery.attempts deferred", 5000.0), ("mail.received.messages http", 5000.0)],
    ),
    (
        "stalwart/0.15.5/09_final.txt",
        &[
            ("mail.delivery.attempts delivered", 12.0),
            ("mail.delivery.attempts deferred", 2.0),
            ("mail.delivery.attempts failed", 3.0),
            ("mail.received.messages remote", 3.0),
            ("mail.received.messages authenticated", 12.0),
            ("mail.received.messages dsn", 3.0),
            ("mail.received.messages report", 0.0),
            ("mail.authentication.attempts success inbound", 1540.0),
            ("mail.authentication.attempts failure inbound", 311.0),
            ("mail.authentication.attempts error inbound", 1.0),
            ("mail.delivery.failures dns unknown", 4.0),
            ("mail.delivery.failures rcpt_to unknown", 4.0),
            ("mail.verifications dane temperror", 5.0),
            ("mail.verifications dkim fail", 15.0),
            ("mail.rejected.messages relay_denied", 1.0),
            ("mail.spam.verdicts ham", 10.0),
            ("mail.connection.opened http inbound", 342.0),
            ("mail.connection.active http inbound", 1.0),
            ("process.memory.usage", 74_502_144.0),
        ],
    ),
    ("stalwart/0.15.5/10_queue_messages_ids.txt", &[("mail.queue.depth queued", 2.0)]),
    // Created 2026-11-20T23:44:17Z; the clock stands at 23:44:46Z.
    ("stalwart/0.15.5/11_queue_messages_values.txt", &[("mail.queue.depth queued", 2.0), ("mail.queue.oldest_age queued", 29.0)]),
    (
        "stalwart/0.16.18/04_after_traffic.txt",
        &[
            ("mail.delivery.attempts delivered", 11.0),
            ("mail.delivery.attempts deferred", 3.0),
            ("mail.delivery.attempts failed", 2.0),
            ("mail.received.messages remote", 3.0),
            ("mail.received.messages authenticated", 11.0),
            ("mail.received.messages dsn", 2.0),
            ("mail.authentication.attempts success inbound", 13.0),
            ("mail.authentication.attempts failure inbound", 9.0),
            ("mail.delivery.failures dns unknown", 3.0),
            ("mail.verifications dane none", 5.0),
        ],
    ),
    ("stalwart/0.16.18/10_queue_query_total.txt", &[("mail.queue.depth queued", 3.0)]),
    ("stalwart/0.16.18/12_queue_query_plus_get.txt", &[("mail.queue.depth queued", 3.0)]),
    // The name of a campaign forges three families.
    (
        "kumomta/forged-family.metrics.json",
        &[
            ("mail.rejected.messages unspecified", 5.0),
            ("mail.delivery.attempts deferred", 226.0),
            ("mail.delivery.attempts failed", 3.0),
            ("mail.delivery.attempts delivered", f64::NAN),
            ("mail.queue.depth scheduled", f64::NAN),
            ("mail.received.messages http", 190.0),
        ],
    ),
    // Sent and received as in `truth.md`.
    (
        "mox/02-active.http",
        &[
            ("mail.delivery.attempts delivered", 14.0),
            ("mail.delivery.attempts deferred", 13.0),
            ("mail.delivery.attempts failed", 7.0),
            ("mail.received.messages remote", 13.0),
            ("mail.received.messages authenticated", 31.0),
            ("mail.rejected.messages unknown_recipient", 5.0),
            ("mail.rejected.messages dmarc", 4.0),
            ("mail.rejected.messages policy", 1.0),
            ("mail.rejected.messages temporary", 0.0),
            ("mail.delivery.failures rcpt_to permanent 5.1.1", 5.0),
            ("mail.delivery.failures rcpt_to transient 4.7.1", 4.0),
            ("mail.delivery.failures data permanent 5.7.1", 2.0),
            ("mail.delivery.failures data transient 4.3.0", 3.0),
            ("mail.delivery.failures greeting transient 421", 2.0),
            ("mail.delivery.failures data permanent 5.5.1", f64::NAN),
            ("mail.connection.opened smtp inbound", 58.0),
            ("mail.connection.opened smtp outbound", 30.0),
            ("mail.connection.opened imap inbound", 3.0),
            ("mail.connection.active smtp inbound", 0.0),
            ("mail.authentication.attempts success inbound", 34.0),
            ("mail.authentication.attempts failure inbound", 10.0),
            ("mail.webhook.requests success", 35.0),
            ("mail.webhook.requests failure", 8.0),
            ("mail.verifications spf pass", 16.0),
            ("mail.verifications spf fail", 4.0),
            ("mail.verifications dmarc pass", 9.0),
            ("mail.verifications dmarc fail", 4.0),
            ("mail.verifications iprev pass", 14.0),
            ("mail.verifications iprev permerror", 4.0),
            ("mail.queue.depth held", 0.0),
            ("mail.queue.depth queued", f64::NAN),
        ],
    ),
    (
        "mox/01-fresh.http",
        &[
            ("mail.delivery.attempts delivered", 0.0),
            ("mail.received.messages remote", 0.0),
            ("mail.connection.opened smtp outbound", 0.0),
            ("mail.connection.active smtp inbound", f64::NAN),
            ("mail.queue.depth held", 0.0),
        ],
    ),
    (
        "maddy/02-active.http",
        &[
            ("mail.queue.depth queued", 11.0),
            ("mail.received.messages remote", 11.0),
            ("mail.received.messages authenticated", 31.0),
            ("mail.rejected.messages policy", 4.0),
            ("mail.rejected.messages unknown_recipient", 6.0),
            ("mail.rejected.messages sender_not_authorized", 1.0),
            ("mail.rejected.messages temporary", 0.0),
            ("mail.connection.opened smtp outbound", 9.0),
            ("mail.delivery.attempts delivered", f64::NAN),
            ("mail.authentication.attempts failure inbound", f64::NAN),
        ],
    ),
    ("maddy/01-fresh.http", &[("mail.queue.depth queued", f64::NAN), ("mail.received.messages remote", f64::NAN)]),
    (
        "haraka/02-active.http",
        &[
            ("mail.received.messages smtp", 50.0),
            ("mail.delivery.attempts delivered", 13.0),
            ("mail.delivery.attempts deferred", 11.0),
            // 10 of clients, and 10 of Haraka's own bounce messages.
            ("mail.delivery.attempts failed", 20.0),
            ("mail.connection.opened smtp inbound", 57.0),
            ("mail.connection.active smtp inbound", 0.0),
            // Two were rejected, and the counter of rejections is 0.
            ("mail.rejected.messages unspecified", f64::NAN),
            ("mail.queue.depth queued", f64::NAN),
        ],
    ),
    ("haraka/01-fresh.http", &[("mail.received.messages smtp", 0.0), ("mail.delivery.attempts failed", 0.0)]),
    (
        "postal/smtp.active.shape.prom",
        &[
            ("mail.received.messages remote", 220.0),
            ("mail.received.messages authenticated", 307.0),
            ("mail.received.messages dsn", 12.0),
            ("mail.bounces unknown", 12.0),
            ("mail.rejected.messages authentication_required", 44.0),
            ("mail.rejected.messages policy", 9.0),
            ("mail.rejected.messages too_large", 1.0),
            ("mail.authentication.attempts failure inbound", 21.0),
            ("mail.connection.opened smtp inbound", 740.0),
            ("mail.job.processed ProcessQueuedMessagesJob completed", f64::NAN),
        ],
    ),
    (
        "postal/worker.active.shape.prom",
        &[
            ("mail.job.processed ProcessQueuedMessagesJob completed", 410.0),
            ("mail.job.processed ProcessWebhookRequestsJob completed", 31.0),
            ("mail.received.messages remote", f64::NAN),
            ("mail.delivery.attempts delivered", f64::NAN),
        ],
    ),
    (
        "emailengine/20-active.prom",
        &[
            ("mail.received.messages", f64::NAN),
            ("mail.account.status connected", 2.0),
            ("mail.account.status connect_error", 1.0),
            ("mail.account.status syncing", f64::NAN),
            ("mail.webhook.requests success", 24.0),
            ("mail.webhook.requests failure", 7.0),
            ("mail.network.io imap receive", 11_712.0),
            ("mail.network.io imap transmit", 3884.0),
            ("mail.authentication.attempts success outbound", 2.0),
            ("mail.job.processed notify failed", 7.0),
            ("mail.delivery.attempts delivered", 0.0),
            ("process.cpu.time user", 10.574_271),
            ("process.cpu.time system", 2.705_405),
        ],
    ),
    (
        "cpanel/02-emailtrack_user_stats.realistic.json",
        &[
            ("mail.delivery.attempts delivered", 631.0),
            ("mail.delivery.attempts deferred", 311.0),
            ("mail.delivery.attempts failed", 90.0),
            ("mail.received.messages authenticated", 192.0),
        ],
    ),
    ("cpanel/08-fetch_mail_queue.json", &[("mail.queue.depth queued", 2.0), ("mail.queue.depth frozen", 1.0)]),
    (
        "cpanel/09-servicestatus.json",
        &[("mail.service.status exim up", 1.0), ("mail.service.status spamd down", 1.0), ("mail.service.status mailman up", f64::NAN)],
    ),
    // Nothing was sent yet.
    (
        "postfix/01-fresh.http",
        &[
            ("mail.queue.depth deferred", 0.0),
            ("mail.queue.depth queued", 0.0),
            ("mail.delivery.attempts delivered", 0.0),
            ("mail.delivery.attempts deferred", 0.0),
            ("mail.delivery.attempts failed", 0.0),
            ("mail.received.messages remote", 0.0),
            ("mail.received.messages authenticated", 0.0),
            ("mail.rejected.messages unspecified", 0.0),
            ("mail.service.status postfix up", 1.0),
            ("mail.service.status postfix down", 0.0),
        ],
    ),
    // The exporter had its default flags, so deliveries of relay/smtp and lmtp are missing, and so are the logins of the submission service.
    (
        "postfix/02-active.http",
        &[
            ("mail.queue.depth active", 0.0),
            ("mail.queue.depth deferred", 11.0),
            ("mail.queue.depth held", 3.0),
            ("mail.queue.depth queued", 0.0),
            ("mail.delivery.attempts delivered", 60.0),
            ("mail.delivery.attempts deferred", 47.0),
            ("mail.delivery.attempts failed", 8.0),
            ("mail.delivery.failures 4.7.1 transient", 24.0),
            ("mail.delivery.failures 4.2.2 transient", 8.0),
            ("mail.delivery.failures 4.2.0 transient", 3.0),
            ("mail.delivery.failures 4.4.1 transient", 12.0),
            ("mail.delivery.failures 5.1.1 permanent", 4.0),
            ("mail.delivery.failures 5.7.1 permanent", 2.0),
            ("mail.delivery.failures 5.0.0 permanent", 2.0),
            ("mail.delivery.failures expired permanent", 0.0),
            ("mail.received.messages remote", 71.0),
            ("mail.received.messages authenticated", 1.0),
            ("mail.received.messages dsn", 10.0),
            ("mail.rejected.messages unspecified", 16.0),
            ("mail.rejected.messages policy", 2.0),
            ("mail.authentication.attempts failure inbound", 2.0),
            ("mail.authentication.attempts success inbound", f64::NAN),
            ("mail.connection.opened inbound smtp", 93.0),
            ("mail.service.status postfix up", 1.0),
        ],
    ),
    (
        "exim/01-fresh.http",
        &[
            ("mail.queue.depth queued", 0.0),
            ("mail.queue.depth frozen", 0.0),
            ("mail.received.messages", 0.0),
            ("mail.delivery.attempts delivered", 0.0),
            ("mail.delivery.attempts failed", 0.0),
        ],
    ),
    // Log lines are not attempts: 25 of them say deferred for 12 attempts, and 38 rejected for 11 rejections. Neither is mapped.
    (
        "exim/02-active.http",
        &[
            ("mail.queue.depth queued", 11.0),
            ("mail.queue.depth frozen", 4.0),
            ("mail.received.messages", 77.0),
            ("mail.delivery.attempts delivered", 62.0),
            ("mail.delivery.attempts failed", 14.0),
            ("mail.delivery.attempts deferred", f64::NAN),
            ("mail.delivery.failures 4.7.1 transient", 6.0),
            ("mail.delivery.failures 4.2.2 transient", 2.0),
            ("mail.delivery.failures 4.2.0 transient", 3.0),
            ("mail.delivery.failures 5.1.1 permanent", 8.0),
            ("mail.delivery.failures 5.7.1 permanent", 2.0),
            ("mail.delivery.failures 550 permanent", 2.0),
            ("mail.rejected.messages unspecified", f64::NAN),
            ("mail.connection.active inbound smtp", 0.0),
            ("mail.service.status exim up", 1.0),
        ],
    ),
    (
        "dovecot/01-fresh.http",
        &[
            ("mail.authentication.attempts success inbound", 0.0),
            ("mail.delivery.attempts delivered", 0.0),
            ("mail.received.messages authenticated", 0.0),
            ("mail.rejected.messages unspecified", 0.0),
        ],
    ),
    (
        "dovecot/02-active.http",
        &[
            ("mail.authentication.attempts success inbound", 11.0),
            ("mail.authentication.attempts failure inbound", 15.0),
            ("mail.delivery.attempts delivered", 6.0),
            ("mail.delivery.attempts failed", 2.0),
            ("mail.delivery.attempts deferred", f64::NAN),
            ("mail.received.messages authenticated", 4.0),
            ("mail.rejected.messages unspecified", 2.0),
        ],
    ),
    // Another configuration, without the blocks for deliveries.
    (
        "dovecot/dovecot-2.3.19.http",
        &[
            ("mail.authentication.attempts success inbound", 2.0),
            ("mail.authentication.attempts failure inbound", 3.0),
            ("mail.delivery.attempts delivered", f64::NAN),
            ("mail.received.messages authenticated", f64::NAN),
        ],
    ),
    (
        "rspamd/01-fresh.http",
        &[
            ("mail.spam.verdicts spam", 0.0),
            ("mail.spam.verdicts ham", 0.0),
            ("mail.rejected.messages spam", 0.0),
            ("mail.rejected.messages greylist", 0.0),
            ("mail.rejected.messages rate_limit", 0.0),
        ],
    ),
    (
        "rspamd/02-active.http",
        &[
            ("mail.spam.verdicts spam", 34.0),
            ("mail.spam.verdicts ham", 29.0),
            ("mail.rejected.messages spam", 15.0),
            ("mail.rejected.messages greylist", 3.0),
            ("mail.rejected.messages rate_limit", 5.0),
            ("mail.received.messages", f64::NAN),
            ("mail.connection.active smtp inbound", f64::NAN),
        ],
    ),
    (
        "ceymail/10-200.constructed.http",
        &[
            ("mail.queue.depth active", 2.0),
            ("mail.queue.depth deferred", 17.0),
            ("mail.queue.depth held", 1.0),
            ("mail.queue.depth bounce", 0.0),
            ("mail.account.configured", 42.0),
            ("mail.alias.configured", 11.0),
            ("mail.service.status spamassassin down", 1.0),
            ("mail.service.status spamassassin up", 0.0),
            ("system.memory.usage used", 2_147_483_648.0),
        ],
    ),
];

/// Returns the directory of the captures, or reports that the test is skipped.
fn captures(test: &str) -> Option<PathBuf> {
    let captures = std::env::var_os("POSTMETER_CAPTURES").map(PathBuf::from);
    if captures.is_none() {
        skipped(test, "POSTMETER_CAPTURES is not set");
    }
    captures
}

fn part(capture: &str) -> Option<(&'static Source, &'static Part)> {
    let (_, system, part) = PARTS.iter().find(|(start, ..)| capture.starts_with(start))?;
    let source = source::by_name(system).unwrap();
    Some((source, source.part(part).unwrap()))
}

/// Returns the body of a capture, without HTTP headers.
fn body(captures: &Path, capture: &str) -> Vec<u8> {
    let saved = std::fs::read(captures.join(capture)).unwrap();
    if capture.ends_with(".gz") {
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&saved[..]), &mut body).unwrap();
        return body;
    }
    let headers_len = saved.starts_with(b"HTTP/").then(|| saved.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4);
    let body = &saved[headers_len.unwrap_or_default()..];
    // The captures of the administration API end with curl's status and duration.
    let end = body.windows(CURL_STATUS.len()).rposition(|w| w == CURL_STATUS).filter(|_| capture.ends_with("-v1.json"));
    body[..end.unwrap_or(body.len())].to_vec()
}

/// The beginning of what `curl -w` wrote after the body.
const CURL_STATUS: &[u8] = b" [200 ";

fn families(captures: &Path, capture: &str) -> Families {
    let (_, part) = part(capture).unwrap();
    part.read_saved(&body(captures, capture)).unwrap_or_else(|error| panic!("{capture}: {error}"))
}

fn snapshot(captures: &Path, capture: &str) -> Snapshot {
    let (source, part) = part(capture).unwrap();
    // 2026-11-20T23:44:46Z.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_218_286);
    let context = Context { now, window_start: Some(now), sliding: false, detail: None, metrics_from_log: &[] };
    map_to_canonical(source, &[(part, families(captures, capture))], &mut CounterMemory::default(), &context)
}

#[test]
fn every_capture_is_read_or_reports_the_expected_error() {
    let Some(captures) = captures("every_capture_is_read_or_reports_the_expected_error") else { return };
    let mut unknown = Vec::new();
    for path in files(&captures) {
        let capture = path.strip_prefix(&captures).unwrap().to_str().unwrap();
        let error = ERRORS.iter().find(|(name, _)| *name == capture);
        match (part(capture), error) {
            _ if is_other(capture) => {}
            (Some((source, part)), Some((_, message))) => check_error(&captures, capture, source, part, message),
            (Some(_), None) => assert!(families(&captures, capture).series() > 0, "{capture}"),
            (None, _) => unknown.push(capture.to_owned()),
        }
    }
    assert!(unknown.is_empty(), "no system is known for these captures: {unknown:?}");
}

#[track_caller]
fn check_error(captures: &Path, capture: &str, source: &Source, part: &Part, message: &str) {
    let file = format!("{}={capture}", part.name);
    let output = postmeter().current_dir(captures).args(["scrape", "--system", source.name, "--file", &file]).output().unwrap();
    // The error of an optional part is followed by an error about the missing required part.
    let first = stderr(&output).lines().next().unwrap().trim_start_matches("postmeter: ").to_owned();
    assert_eq!(output.status.code(), Some(1), "{capture}");
    assert!(first.starts_with(&format!("{capture}: {message}")), "{first}");
}

#[test]
fn canonical_values_are_correct() {
    let Some(captures) = captures("canonical_values_are_correct") else { return };
    for (capture, values) in VALUES {
        let snapshot = snapshot(&captures, capture);
        for (series, expected) in *values {
            let mut parts = series.split(' ');
            let (metric, mut expected_values) = (parts.next().unwrap(), parts.collect::<Vec<_>>());
            expected_values.sort_unstable();
            let value = snapshot.points.iter().find(|p| {
                let mut values: Vec<_> = p.attributes.iter().map(|(_, value)| value.as_ref()).collect();
                values.sort_unstable();
                p.metric.name == metric && values == expected_values
            });
            let value = value.map_or(f64::NAN, |p| p.value);
            assert!(value == *expected || (value.is_nan() && expected.is_nan()), "{capture}: {series} is {value}, not {expected}");
        }
    }
}

#[test]
fn the_administration_of_kumomta_is_read() {
    let Some(captures) = captures("the_administration_of_kumomta_is_read") else { return };
    for (capture, expected) in [
        ("admin-bounce-v1", &["kumomta_admin_bounces 1", "kumomta_admin_bounced_messages 20"][..]),
        (
            "admin-ready-q-states-v1",
            &["kumomta_admin_ready_queues connection_limited 0", "kumomta_admin_ready_queues connection_rate_throttled 0"],
        ),
        ("admin-suspend-ready-q-v1", &["kumomta_admin_suspended_ready_queues 0"]),
        (
            "admin-suspend-v1",
            &[
                "kumomta_admin_suspensions 1",
                "kumomta_admin_suspended_domains 1",
                "kumomta_admin_suspended_tenants 0",
                "kumomta_admin_suspended_campaigns 0",
            ],
        ),
        ("kumo-check-liveness-v1", &["kumomta_live 1"]),
    ] {
        let families = families(&captures, &format!("kumomta/{capture}.json"));
        let mut lines = Vec::new();
        for family in families.iter() {
            for sample in family.samples() {
                let labels: String = sample.labels().map(|(_, value)| format!(" {value}")).collect();
                lines.push(format!("{}{labels} {}", family.name(), sample.number().unwrap()));
            }
        }
        assert_eq!(lines, expected, "{capture}");
    }
}

#[test]
fn repairs_are_counted() {
    let Some(captures) = captures("repairs_are_counted") else { return };
    for (capture, expected) in [
        ("kumomta/small.metrics.json", &[][..]),
        ("kumomta/small.metrics.txt", &[]),
        ("kumomta/badlabel_quote.metrics.json", &[(Repair::Unescaped, 2)]),
        ("kumomta/badlabel_quote.metrics.txt", &[(Repair::Unescaped, 2)]),
        ("stalwart/0.15.5/09_final.txt", &[(Repair::NotCumulative, 8)]),
        ("emailengine/20-active.prom", &[]),
        ("ceymail/01-metrics.constructed.prom", &[]),
        ("postfix/02-active.http", &[]),
        ("exim/02-active.http", &[]),
        ("dovecot/02-active.http", &[]),
        ("rspamd/02-active.http", &[]),
    ] {
        assert_eq!(snapshot(&captures, capture).repairs.iter().collect::<Vec<_>>(), expected, "{capture}");
    }
}

#[test]
fn durations_of_dovecot_cover_its_deliveries_and_others_are_not_mapped() {
    let Some(captures) = captures("durations_of_dovecot_cover_its_deliveries_and_others_are_not_mapped") else { return };
    let histograms = |capture: &str| -> Vec<(&str, u64)> {
        snapshot(&captures, capture).histograms.iter().map(|(metric, _, histogram)| (metric.name, histogram.count)).collect()
    };
    assert_eq!(histograms("dovecot/02-active.http"), [("mail.delivery.attempt.duration", 8)]);
    // Postfix's exporter adds four stages up.
    assert_eq!(histograms("postfix/02-active.http"), []);
}

#[test]
fn both_formats_of_a_server_have_the_same_values() {
    let Some(captures) = captures("both_formats_of_a_server_have_the_same_values") else { return };
    for name in ["idle", "small", "badlabel_quote"] {
        let [json, text] = ["json", "txt"].map(|format| snapshot(&captures, &format!("kumomta/{name}.metrics.{format}")));
        assert_eq!(json.series_read, text.series_read, "{name}");
        let sorted = |snapshot: Snapshot| {
            let mut points: Vec<_> =
                snapshot.points.into_iter().map(|p| format!("{} {:?} {}", p.metric.name, p.attributes, p.value)).collect();
            points.sort();
            points
        };
        assert_eq!(sorted(json), sorted(text), "{name}");
    }
}

/// Compares histograms with those that the same server pushed over OTLP, which are correct.
#[test]
fn histograms_equal_those_that_the_server_pushes() {
    let Some(captures) = captures("histograms_equal_those_that_the_server_pushes") else { return };
    let pushed: serde_json::Value = serde_json::from_slice(&body(&captures, "stalwart/0.15.5/otlp_push_at_09.json")).unwrap();
    let metrics =
        pushed["body"]["resourceMetrics"][0]["scopeMetrics"].as_array().unwrap().iter().flat_map(|s| s["metrics"].as_array().unwrap());
    let pushed: BTreeMap<String, Histogram> = metrics.filter_map(histogram).collect();
    let read = families(&captures, "stalwart/0.15.5/09_final.txt");
    let mut compared = Vec::new();
    for family in read.iter() {
        let Some(postmeter::model::Value::Histogram(scraped)) = family.samples().next().map(|s| s.value()) else { continue };
        let pushed = pushed.get(family.name()).unwrap_or_else(|| panic!("{} was not pushed", family.name()));
        // The push was slightly later, and itself an HTTP request.
        if family.name() != "http_request_time" {
            assert_eq!(scraped, pushed, "{}", family.name());
        }
        assert_eq!(scraped.bounds, pushed.bounds, "{}", family.name());
        compared.push(family.name());
    }
    assert_eq!(compared.len(), 8, "{compared:?}");

    let snapshot = snapshot(&captures, "stalwart/0.15.5/09_final.txt");
    let (_, _, delivery) = snapshot.histograms.iter().find(|(metric, ..)| metric.name == "mail.delivery.duration").unwrap();
    assert_eq!((delivery.count, delivery.bounds[0], delivery.cumulative[0]), (15, 1.0, 15));
}

/// Returns a pushed histogram with the name that it has on the Prometheus endpoint.
fn histogram(metric: &serde_json::Value) -> Option<(String, Histogram)> {
    let number = |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap();
    let point = metric["histogram"]["dataPoints"].as_array()?.first()?;
    let mut sum = 0;
    let mut cumulative: Vec<u64> = point["bucketCounts"].as_array()?.iter().map(number).map(|n| (sum += n, sum).1).collect();
    cumulative.pop();
    let bounds = point["explicitBounds"].as_array()?.iter().filter_map(serde_json::Value::as_f64).collect();
    let histogram = Histogram { bounds, cumulative, sum: point["sum"].as_f64(), count: number(&point["count"]) };
    Some((metric["name"].as_str()?.replace(['.', '-'], "_"), histogram))
}

/// Passthrough loses nothing: there are as many lines as native series, which are counted without the readers under test.
#[test]
fn every_native_series_of_every_capture_is_forwarded() {
    let Some(captures) = captures("every_native_series_of_every_capture_is_forwarded") else { return };
    let mut checked = 0;
    for path in files(&captures) {
        let capture = path.strip_prefix(&captures).unwrap().to_str().unwrap();
        if is_other(capture) {
            continue;
        }
        let Some((source, part)) = part(capture).filter(|(source, part)| part.name == source.required().name) else { continue };
        // Because of their names, these two documents are not valid JSON, and families of one of them are omitted.
        let is_invalid_json = ["kumomta/forged-family.metrics.json", "kumomta/oddnames.metrics.json"].contains(&capture);
        if ERRORS.iter().any(|(error, _)| *error == capture) || source.name == "cpanel" || is_invalid_json {
            continue;
        }
        let body = String::from_utf8(body(&captures, capture)).unwrap();
        // The queue name with quotes makes the JSON invalid, so the same state is counted in the text format.
        let body = match capture.strip_suffix("badlabel_quote.metrics.json") {
            Some(folder) => std::fs::read_to_string(captures.join(format!("{folder}badlabel_quote.metrics.txt"))).unwrap(),
            None => body,
        };
        let expected: usize = match serde_json::from_str::<serde_json::Value>(&body) {
            Ok(document) => document.as_object().unwrap().values().map(|family| lines_of(&family["value"])).sum(),
            Err(_) => body.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count(),
        };
        // Before its first delivery Dovecot writes a histogram without a count, which is dropped.
        let dropped = if ["dovecot/01-fresh.http", "dovecot/dovecot-2.3.19.http"].contains(&capture) { 6 } else { 0 };
        let expected = expected - dropped;
        let page = postmeter().args(["scrape", "--only", "native", "--system", source.name, "--file"]).arg(&path).output().unwrap();
        let page = String::from_utf8(page.stdout).unwrap();
        let lines = page.lines().filter(|line| !line.starts_with('#')).count();
        // The two formats were captured one after the other, and differ by short-lived series.
        let is_equal = if capture.contains("badlabel") { lines.abs_diff(expected) <= 2 } else { lines == expected };
        assert!(is_equal, "{capture}: {lines} of {expected} ({})", part.name);
        checked += 1;
    }
    assert!(checked >= 15, "{checked}");
}

/// Returns the number of lines of a JSON value in the text format. A histogram has a line for each bucket, and for infinity, sum and count.
fn lines_of(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(map) => match map.get("bucket").and_then(serde_json::Value::as_array) {
            Some(buckets) => buckets.len() + 3,
            None if map.contains_key("@") => lines_of(&map["@"]),
            None => map.values().map(lines_of).sum(),
        },
        serde_json::Value::Array(list) => list.iter().map(lines_of).sum(),
        serde_json::Value::Null => 0,
        _ => 1,
    }
}
