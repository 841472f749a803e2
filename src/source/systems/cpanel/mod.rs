//! cPanel: functions of WHM API 1, JSON, with a token of root or a reseller.
//!
//! # Sums of a window
//!
//! Mail statistics are sums over a window that the request names. They make counters only together with the windows
//! before, and a sum that falls within a window (an account was deleted) is held: see `apply::windows`.

mod delivery_log;
mod families;
mod reached;
mod response;
mod rows;
mod user_stats;

use crate::format::ReadError;
use crate::model::vocabulary::*;
use crate::model::{Attribute, Families, Metric};
use crate::source::{AttributeSource, Credential, Part, Records, Request, Rule, Source, Transform};
use std::time::Duration;

/// See the module.
pub static SOURCE: Source = Source {
    name: "cpanel",
    title: "cPanel & WHM",
    parts: PARTS,
    min_interval: Duration::from_secs(60),
    timeout: Duration::from_secs(30),
    requests_per_minute_max: None,
    windowed: true,
    gauges_underflow: false,
    mistyped_counters: &[],
    version: Some(("cpanel_version_info", "version")),
    counters_since: None,
    process_since: None,
    records: Some(&RECORDS),
};

static PARTS: &[Part] = &[
    Part {
        rules: USER_STATS,
        requests: &[json(
            "/json-api/emailtrack_user_stats?api.version=1&starttime={start}&endtime={end}&api.sort.enable=1&api.sort.a.field=USER&api.sort.a.method=lexicographic&api.sort.b.field=DOMAIN&api.sort.b.method=lexicographic&api.chunk.enable=1&api.chunk.size=100000&api.chunk.start={offset}&api.chunk.verbose=1",
            user_stats::user_stats,
        )],
        ..part("emailtrack_user_stats", "mail of each user in the window")
    },
    Part {
        requests: &[json("/json-api/emailtrack_stats?api.version=1&starttime={start}&endtime={end}", families::stats)],
        ..part("emailtrack_stats", "totals of the window")
    },
    Part {
        rules: QUEUE,
        requests: &[json("/json-api/fetch_mail_queue?api.version=1", families::queue)],
        ..part("fetch_mail_queue", "the queue, message by message")
    },
    Part {
        rules: SERVICES,
        requests: &[json("/json-api/servicestatus?api.version=1", families::services)],
        ..part("servicestatus", "services of the host")
    },
    Part { requests: &[json("/json-api/systemloadavg?api.version=1", families::load)], ..part("systemloadavg", "load of the host") },
    Part { requests: &[json("/json-api/getdiskusage?api.version=1", families::disks)], ..part("getdiskusage", "file systems of the host") },
    Part {
        requests: &[json(
            concat!(
                "/json-api/emailtrack_search?api.version=1&success=1&defer=1&failure=1&inprogress=1&deliverytype=all&max_results_by_type=1000",
                "&api.filter.enable=1&api.filter.a.field=sendunixtime&api.filter.a.type=gt_equal&api.filter.a.arg0={start}",
                "&api.sort.enable=1&api.sort.a.field=sendunixtime&api.sort.a.method=numeric&api.sort.a.reverse=1",
                "&api.chunk.enable=1&api.chunk.size=1000&api.chunk.start={offset}&api.chunk.verbose=1",
            ),
            delivery_log::email_logs,
        )],
        ..part("email_logs", "a series for each of the newest deliveries, with addresses: for dashboards made for cpanel_mail_exporter")
    },
    Part { requests: &[json("/json-api/version?api.version=1", families::version)], ..part("version", "version of cPanel & WHM") },
];

/// The delivery log, on a timer of its own. Rows of the same second are in a defined order, so that a page ends where the next begins.
static RECORDS: Records = Records {
    part: Part {
        requests: &[json(
            concat!(
                "/json-api/emailtrack_search?api.version=1&success=1&defer=1&failure=1&inprogress=1&deliverytype=all&max_results_by_type=0",
                "&api.filter.enable=1&api.filter.a.field=actionunixtime&api.filter.a.type=gt_equal&api.filter.a.arg0={start}",
                "&api.filter.b.field=actionunixtime&api.filter.b.type=lt_equal&api.filter.b.arg0={end}",
                "&api.sort.enable=1&api.sort.a.field=actionunixtime&api.sort.a.method=numeric&api.sort.a.reverse=0",
                "&api.sort.b.field=msgid&api.sort.b.method=lexicographic&api.sort.b.reverse=0",
                "&api.sort.c.field=recipient&api.sort.c.method=lexicographic&api.sort.c.reverse=0",
                "&api.sort.d.field=type&api.sort.d.method=lexicographic&api.sort.d.reverse=0",
                "&api.chunk.enable=1&api.chunk.size={rows}&api.chunk.start={offset}&api.chunk.verbose=1",
            ),
            delivery_log::email_logs,
        )],
        ..part("messages", "the delivery log, record by record, by OTLP")
    },
    newest_path: concat!(
        "/json-api/emailtrack_search?api.version=1&success=1&defer=1&failure=1&inprogress=1&deliverytype=all&max_results_by_type=0",
        "&api.filter.enable=1&api.filter.a.field=actionunixtime&api.filter.a.type=gt_equal&api.filter.a.arg0={start}",
        "&api.sort.enable=1&api.sort.a.field=actionunixtime&api.sort.a.method=numeric&api.sort.a.reverse=1",
        "&api.chunk.enable=1&api.chunk.size=5000&api.chunk.start=1&api.chunk.verbose=1",
    ),
    read: delivery_log::page,
};

const fn part(name: &'static str, help: &'static str) -> Part {
    Part {
        name,
        help,
        requests: &[],
        body_bytes_max: 64 * 1024 * 1024,
        credential: Credential::Whm,
        rules: &[],
        known_by: &[],
        misnamed_when: &[],
        interval: None,
        on_unauthorized: "set username, and token (or token_file) to a token from WHM » Development » Manage API Tokens, made by that user, with the ACLs that the parts need: All, or for a reseller those that list mail statistics, the mail queue and the server's status",
        on_not_found: "this is no WHM, or a version without this function; check the url (https, port 2087), or leave the part out of parts",
    }
}

const fn json(path: &'static str, read: fn(String) -> Result<Families, ReadError>) -> Request {
    Request { format: "json", path, post: None, read }
}

static USER_STATS: &[Rule] = &[
    of_users(&[("stat_type", "success_count")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "delivered")]),
    of_users(&[("stat_type", "defer_count")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "deferred")]),
    of_users(&[("stat_type", "fail_count")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "failed")]),
    of_users(&[("stat_type", "send_count")], &RECEIVED_MESSAGES, &[(&MESSAGE_SOURCE, "authenticated")]).unless(PSEUDO),
    of_users(&[("stat_type", "total_size")], &MESSAGE_IO, &[(&IO_DIRECTION, "transmit")]).unless(PSEUDO),
];

/// Rows for mail that no user handed in.
static PSEUDO: &[(&str, &str)] = &[("user", "-remote-"), ("domain", "-system-")];

const fn of_users(
    stat: &'static [(&'static str, &'static str)],
    metric: &'static Metric,
    with: &'static [(&'static Attribute, &'static str)],
) -> Rule {
    Rule::new(&["email_user_stats"], metric).when(stat).with(with).step(Transform::Hold).zero_when_absent()
}

static QUEUE: &[Rule] = &[
    Rule::new(&["email_queue_messages"], &QUEUE_DEPTH).from(&[STATE]),
    Rule::new(&["email_queue_oldest_time_seconds"], &QUEUE_OLDEST_AGE).from(&[STATE]).step(Transform::Age),
];

const STATE: AttributeSource = AttributeSource::table("state", &QUEUE_STATE, &[("queued", "queued"), ("frozen", "frozen")]);

static SERVICES: &[Rule] = &[
    Rule::new(&["service_running"], &SERVICE_STATUS)
        .from(&[AttributeSource::same("name", &SERVICE_NAME)])
        .with(&[(&SERVICE_STATE, "up")])
        .step(Transform::Is),
    Rule::new(&["service_running"], &SERVICE_STATUS)
        .from(&[AttributeSource::same("name", &SERVICE_NAME)])
        .with(&[(&SERVICE_STATE, "down")])
        .step(Transform::Not),
];

#[cfg(test)]
mod tests;
