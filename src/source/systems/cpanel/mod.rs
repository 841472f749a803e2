//! cPanel & WHM: functions of WHM API 1, JSON, with a token of root or of a reseller.
//!
//! # Sums over a window
//!
//! Mail statistics are sums over the window that the request names. They become counters by adding up the windows. A sum that falls
//! within a window, because an account was deleted, is held (`source::map::windows`).

mod delivery_log;
mod families;
mod lenient;
mod limit_state;
mod response;
mod rows;
mod user_stats;

use crate::format::ReadError;
use crate::model::vocabulary::*;
use crate::model::{Attribute, Families, Metric};
use crate::source::{AttributeSource, Credential, DeliveryLogApi, Part, Request, Rule, Source, Transform};
use std::time::Duration;

/// cPanel & WHM, as listed in the registry.
pub static SOURCE: Source = Source {
    min_interval: Duration::from_secs(60),
    timeout: Duration::from_secs(30),
    windowed: true,
    version: Some(("cpanel_version_info", "version")),
    delivery_log: Some(&DELIVERY_LOG),
    ..Source::new("cpanel", "cPanel & WHM", PARTS)
};

static PARTS: &[Part] = &[
    Part {
        rules: USER_STATS,
        requests: &[json(
            "/json-api/emailtrack_user_stats?api.version=1&starttime={start}&endtime={end}&api.sort.enable=1&api.sort.a.field=USER&api.sort.a.method=lexicographic&api.sort.b.field=DOMAIN&api.sort.b.method=lexicographic&api.chunk.enable=1&api.chunk.size=100000&api.chunk.start={offset}&api.chunk.verbose=1",
            user_stats::read_user_stats,
        )],
        ..part("emailtrack_user_stats", "mail of each user in the window")
    },
    Part {
        requests: &[json("/json-api/emailtrack_stats?api.version=1&starttime={start}&endtime={end}", families::read_totals)],
        ..part("emailtrack_stats", "totals of the window")
    },
    Part {
        rules: QUEUE,
        requests: &[json("/json-api/fetch_mail_queue?api.version=1", families::read_queue)],
        ..part("fetch_mail_queue", "every message in the queue")
    },
    Part {
        rules: SERVICES,
        requests: &[json("/json-api/servicestatus?api.version=1", families::read_services)],
        ..part("servicestatus", "services of the host")
    },
    Part { requests: &[json("/json-api/systemloadavg?api.version=1", families::read_load)], ..part("systemloadavg", "load of the host") },
    Part {
        requests: &[json("/json-api/getdiskusage?api.version=1", families::read_disks)],
        ..part("getdiskusage", "file systems of the host")
    },
    Part {
        requests: &[json(
            concat!(
                "/json-api/emailtrack_search?api.version=1&success=1&defer=1&failure=1&inprogress=1&deliverytype=all&max_results_by_type=1000",
                "&api.filter.enable=1&api.filter.a.field=sendunixtime&api.filter.a.type=gt_equal&api.filter.a.arg0={start}",
                "&api.sort.enable=1&api.sort.a.field=sendunixtime&api.sort.a.method=numeric&api.sort.a.reverse=1",
                "&api.chunk.enable=1&api.chunk.size=1000&api.chunk.start={offset}&api.chunk.verbose=1",
            ),
            delivery_log::read_email_logs,
        )],
        ..part(
            "email_logs",
            "one series for each of the newest deliveries, with mail addresses: for dashboards that were made for cpanel_mail_exporter",
        )
    },
    Part { requests: &[json("/json-api/version?api.version=1", families::read_version)], ..part("version", "version of cPanel & WHM") },
];

/// The delivery log. Rows of the same second have a defined order, so that each page begins where the previous one ends.
static DELIVERY_LOG: DeliveryLogApi = DeliveryLogApi {
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
            delivery_log::read_email_logs,
        )],
        ..part("messages", "the delivery log, exported as OTLP log records")
    },
    newest_path: concat!(
        "/json-api/emailtrack_search?api.version=1&success=1&defer=1&failure=1&inprogress=1&deliverytype=all&max_results_by_type=0",
        "&api.filter.enable=1&api.filter.a.field=actionunixtime&api.filter.a.type=gt_equal&api.filter.a.arg0={start}",
        "&api.sort.enable=1&api.sort.a.field=actionunixtime&api.sort.a.method=numeric&api.sort.a.reverse=1",
        "&api.chunk.enable=1&api.chunk.size=5000&api.chunk.start=1&api.chunk.verbose=1",
    ),
    reader: delivery_log::read_page,
};

const fn part(name: &'static str, help: &'static str) -> Part {
    Part {
        body_bytes_max: 64 * 1024 * 1024,
        credential: Credential::Whm,
        unauthorized_hint: "set username, and token (or token_file) to a token that this user created (WHM » Development » Manage API Tokens), with the ACLs that the parts need: All, or for a reseller those that list mail statistics, the mail queue and the server's status",
        not_found_hint: "this is not WHM, or a version without this function; check the url (https, port 2087), or remove the part from parts",
        ..Part::new(name, help, &[])
    }
}

const fn json(path: &'static str, reader: fn(String) -> Result<Families, ReadError>) -> Request {
    Request::get("json", path, reader)
}

static USER_STATS: &[Rule] = &[
    user_sum(&[("stat_type", "success_count")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "delivered")]),
    user_sum(&[("stat_type", "defer_count")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "deferred")]),
    user_sum(&[("stat_type", "fail_count")], &DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, "failed")]),
    user_sum(&[("stat_type", "send_count")], &RECEIVED_MESSAGES, &[(&MESSAGE_SOURCE, "authenticated")]).unless(PSEUDO_USERS),
    user_sum(&[("stat_type", "total_size")], &MESSAGE_IO, &[(&IO_DIRECTION, "transmit")]).unless(PSEUDO_USERS),
];

/// The rows of mail that no user submitted.
static PSEUDO_USERS: &[(&str, &str)] = &[("user", "-remote-"), ("domain", "-system-")];

/// Maps the sum of one statistic over all users.
const fn user_sum(
    statistic: &'static [(&'static str, &'static str)],
    metric: &'static Metric,
    attributes: &'static [(&'static Attribute, &'static str)],
) -> Rule {
    Rule::new(&["email_user_stats"], metric).when(statistic).with(attributes).transform(Transform::Hold).zero_when_absent()
}

static QUEUE: &[Rule] = &[
    Rule::new(&["email_queue_messages"], &QUEUE_DEPTH).from(&[QUEUE_STATE_LABEL]),
    Rule::new(&["email_queue_oldest_time_seconds"], &QUEUE_OLDEST_AGE).from(&[QUEUE_STATE_LABEL]).transform(Transform::Age),
];

const QUEUE_STATE_LABEL: AttributeSource =
    AttributeSource::labels(&["state"], &QUEUE_STATE).by_table(&[("queued", "queued"), ("frozen", "frozen")]);

static SERVICES: &[Rule] = &[
    Rule::new(&["service_running"], &SERVICE_STATUS)
        .from(&[AttributeSource::labels(&["name"], &SERVICE_NAME)])
        .with(&[(&SERVICE_STATE, "up")])
        .transform(Transform::IsNonZero),
    Rule::new(&["service_running"], &SERVICE_STATUS)
        .from(&[AttributeSource::labels(&["name"], &SERVICE_NAME)])
        .with(&[(&SERVICE_STATE, "down")])
        .transform(Transform::IsZero),
];

#[cfg(test)]
mod tests;
