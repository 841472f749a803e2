//! cPanel and WHM, API 1: window sums of mail by user, the queue, and the health of the machine, in JSON of changing types.

use super::server::{Request, ServerState, reply, unending};
use super::traffic::{DISK_BYTES, MEMORY_BYTES};
use super::{Account, Attempt, Ended, LogFault, Origin, Sums, Traffic};
use axum::response::Response;
use serde_json::{Map, Value, json};

const JSON: &str = "application/json; charset=\"utf-8\"";
const VERSION: &str = "11.138.0.6";
/// Records of each kind that a search gives unless more are asked for.
const RESULTS_BY_TYPE: usize = 250;
/// Records of a page that names no size.
const CHUNK_RECORDS: usize = 50;

pub(super) fn answer(site: ServerState<'_>, request: &Request) -> Response {
    let credential = format!("{}:{}", site.options.username, site.options.token);
    if request.credential("whm") != Some(&credential) {
        let body = json!({"cpanelresult": {
            "apiversion": "2",
            "error": "Access denied",
            "data": {"reason": "Access denied", "result": "0"},
            "type": "text",
        }});
        return reply(403, "text/plain; charset=\"utf-8\"", body.to_string());
    }
    let Some(function) = request.path.strip_prefix("/json-api/") else {
        return reply(404, "text/html; charset=\"utf-8\"", "<html><body>There is no such page.</body></html>");
    };
    let modern = request.parameter("api.version") == Some("1");
    if modern && function == "emailtrack_search" {
        return search(site.traffic, request);
    }
    let body = match data(site.traffic, function, request) {
        Some(data) if modern => modern_body(function, data, request),
        Some(data) => legacy_body(data),
        None if modern => {
            let reason = format!("Unknown app (“{function}”) requested for this version (1) of the API.");
            json!({"metadata": {"command": function, "reason": reason, "result": 0, "version": 1}})
        }
        None => json!({"cpanelresult": {"error": format!("Unknown app requested: {function}"), "type": "text"}}),
    };
    reply(200, JSON, body.to_string())
}

/// What the function gives, without what stands around it.
fn data(t: &Traffic, function: &str, request: &Request) -> Option<Value> {
    let time = |name, or: u64| request.parameter(name).and_then(|time| time.parse().ok()).unwrap_or(or);
    let (start, end) = (time("starttime", 0), time("endtime", u64::MAX));
    Some(match function {
        "emailtrack_user_stats" => json!({"records": user_stats(t, start, end)}),
        "emailtrack_stats" => json!({"records": [stats(t, start, end, request.parameter("user"))]}),
        "fetch_mail_queue" => json!({"records": mail_queue(t)}),
        "servicestatus" => json!({"service": services(t)}),
        "systemloadavg" => {
            let [one, five, fifteen] = t.load.map(|load| format!("{load:.2}"));
            json!({"one": one, "five": five, "fifteen": fifteen})
        }
        "getdiskusage" => json!({"partition": partitions(t)}),
        "version" => json!({"version": VERSION}),
        _ => return None,
    })
}

/// What is asked without `api.version=1` comes without metadata.
fn legacy_body(data: Value) -> Value {
    let mut body = Map::from_iter([("status".to_string(), json!(1)), ("statusmsg".to_string(), json!("Ok"))]);
    if let Value::Object(data) = data {
        body.extend(data);
    }
    Value::Object(body)
}

fn modern_body(function: &str, mut data: Value, request: &Request) -> Value {
    let mut metadata = json!({"command": function, "reason": "OK", "result": 1, "version": 1});
    let on = |name| request.parameter(name) == Some("1");
    if on("api.chunk.enable")
        && let Some(records) = data.get_mut("records").and_then(Value::as_array_mut)
    {
        let number = |name, or: usize| request.parameter(name).and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(or);
        let (size, start) = (number("api.chunk.size", CHUNK_RECORDS), number("api.chunk.start", 1));
        let all = records.len();
        *records = std::mem::take(records).into_iter().skip(start - 1).take(size).collect();
        metadata["__chunked"] = json!(1);
        metadata["overflowed"] = json!(0);
        if on("api.chunk.verbose") {
            let (chunks, current) = (all.div_ceil(size), (start - 1) / size + 1);
            metadata["chunk"] = json!({"size": size, "start": start, "records": all, "chunks": chunks, "current": current});
        }
    }
    json!({"data": data, "metadata": metadata})
}

/// The user of a domain: each fourth domain is its predecessor's, so that a user stands in several rows.
fn user(domain: usize) -> String {
    format!("user{}", domain - usize::from(domain % 4 == 3))
}

/// A row for each account that did anything.
fn user_stats(t: &Traffic, start: u64, end: u64) -> Vec<Value> {
    t.window(start, end).into_iter().map(|(account, sums)| user_row(t, account, sums)).collect()
}

fn user_row(t: &Traffic, account: Account, sums: Sums) -> Value {
    let (user, domain, index) = match account {
        Account::Remote => ("-remote-".to_string(), "", None),
        Account::System => ("root".to_string(), "-system-", None),
        Account::Nobody => ("nobody".to_string(), "", None),
        Account::Domain(index) => (user(index), t.domains[index].name.as_str(), Some(index)),
    };
    let primary = index.map_or("", |index| t.domains[index - usize::from(index % 4 == 3)].name.as_str());
    let mut row = json!({
        "USER": user,
        "DOMAIN": domain,
        "PRIMARY_DOMAIN": primary,
        "OWNER": if index.is_some_and(|index| index % 5 > 2) { "reseller1" } else { "root" },
        "SENDCOUNT": sums.sent,
        "SUCCESSCOUNT": sums.delivered,
        "FAILCOUNT": sums.failed,
        "DEFERCOUNT": sums.deferred,
        "DEFERFAILCOUNT": sums.deferred + sums.failed,
        "TOTALSIZE": sums.bytes,
        "REACHED_MAXEMAILS": 0,
        "REACHED_MAXDEFERFAIL": u8::from(sums.failed > 50),
    });
    // The server's types change from row to row.
    if let Some(index) = index {
        if index % 6 == 3 {
            row["SENDCOUNT"] = json!(sums.sent.to_string());
            row["TOTALSIZE"] = json!(sums.bytes.to_string());
        }
        if index % 4 == 2 && sums.failed == 0 {
            row["FAILCOUNT"] = Value::Null;
        }
        if index % 5 == 4 {
            row["REACHED_MAXEMAILS"] = json!("150/150");
        }
        if index % 7 == 5 {
            row["REACHED_MAXDEFERFAIL"] = json!("5/5 (100%)");
        }
    }
    row
}

fn stats(t: &Traffic, start: u64, end: u64, of: Option<&str>) -> Value {
    let name = |account| match account {
        Account::Remote => "-remote-".to_string(),
        Account::System => "root".to_string(),
        Account::Nobody => "nobody".to_string(),
        Account::Domain(index) => user(index),
    };
    let mut sums = Sums::default();
    for (account, its) in t.window(start, end) {
        if of.is_none_or(|of| of.is_empty() || of == name(account)) {
            sums += its;
        }
    }
    json!({
        "SENDCOUNT": sums.sent,
        "SUCCESSCOUNT": sums.delivered,
        "FAILCOUNT": sums.failed,
        "DEFERCOUNT": sums.deferred,
        "DEFERFAILCOUNT": sums.deferred + sums.failed,
        "INPROGRESSCOUNT": t.ready() + t.scheduled(),
        "TOTALSIZE": sums.bytes,
    })
}

fn mail_queue(t: &Traffic) -> Vec<Value> {
    let record = |message: &super::Message| {
        let domain = &t.domains[message.domain].name;
        let (time, frozen) = (message.received as u64, u8::from(message.frozen()));
        let from_user = matches!(message.origin, Origin::Authenticated | Origin::Nobody);
        let recipients: Vec<String> = (0..message.id % 3).map(|nth| format!("reader{nth}@{domain}")).collect();
        let odd = message.id.is_multiple_of(5);
        json!({
            "frozen": if odd { json!(frozen.to_string()) } else { json!(frozen) },
            "msgid": message_id(message.id),
            "recipients": recipients,
            "sender": if from_user { format!("sender@{domain}") } else { String::new() },
            "size": if odd { json!(message.bytes.to_string()) } else { json!(message.bytes) },
            "time": if odd { json!(time.to_string()) } else { json!(time) },
            "user": if from_user { json!(user(message.domain)) } else { Value::Null },
        })
    };
    t.queue.iter().map(record).collect()
}

/// The delivery log. Filters and sorting are those by time; a page is made of what is on it alone.
fn search(t: &mut Traffic, request: &Request) -> Response {
    let fault = t.log.search();
    if fault == Some(LogFault::Status) {
        return reply(500, "text/plain", "Internal Server Error");
    }
    if fault == Some(LogFault::Refused) {
        let metadata = json!({"command": "emailtrack_search", "reason": "API failure: (XID f4u1t) The database is locked.", "result": 0, "version": 1});
        return reply(200, JSON, json!({"metadata": metadata}).to_string());
    }
    let on = |name| request.parameter(name) == Some("1");
    let number = |name: &str| request.parameter(name).and_then(|n| n.parse::<usize>().ok());
    type Time = fn(&Attempt) -> u64;
    let time =
        |field: Option<&str>| -> Time { if field == Some("actionunixtime") { |attempt| attempt.at } else { |attempt| attempt.received } };
    let filters: Vec<(Time, std::ops::RangeInclusive<u64>)> = ["a", "b", "c"]
        .into_iter()
        .filter(|_| on("api.filter.enable"))
        .filter_map(|n| {
            let of = |what| request.parameter(&format!("api.filter.{n}.{what}"));
            let to: u64 = of("arg0")?.parse().ok()?;
            let range = match of("type")? {
                "gt" => to + 1..=u64::MAX,
                "gt_equal" => to..=u64::MAX,
                "lt" => 0..=to.checked_sub(1)?,
                "lt_equal" => 0..=to,
                _ => to..=to,
            };
            Some((time(of("field")), range))
        })
        .collect();
    let from = filters.iter().map(|(_, range)| *range.start()).max().unwrap_or(0);
    let to = filters.iter().map(|(_, range)| *range.end()).min().unwrap_or(u64::MAX).min(t.now() as u64);
    if t.log.search_seconds_max.is_some_and(|most| to.saturating_sub(from) > most) {
        return unending(200, JSON);
    }
    let kinds = Ended::ALL.map(|kind| (kind, on(kind.name())));
    let passes =
        |attempt: &Attempt| kinds.contains(&(attempt.ended, true)) && filters.iter().all(|(time, range)| range.contains(&time(attempt)));
    let mut found: Vec<&Attempt> = t.log.matching(t.now() as u64, passes).collect();
    let filtered = t.log.len().saturating_sub(found.len());
    // The newest of each kind, as many as are asked for, or as the server gives at all.
    let asked = number("max_results_by_type").unwrap_or(RESULTS_BY_TYPE);
    let most = [asked, t.log.results_by_type_max.unwrap_or(0)].into_iter().filter(|most| *most > 0).min();
    let mut overflowed = false;
    if let Some(most) = most {
        found.sort_by_key(|attempt| std::cmp::Reverse(attempt.at));
        for kind in Ended::ALL {
            let mut left = most;
            let all = found.len();
            found.retain(|attempt| {
                attempt.ended != kind || {
                    let keep = left > 0;
                    left = left.saturating_sub(1);
                    keep
                }
            });
            overflowed |= found.len() < all;
        }
    }
    if on("api.sort.enable") {
        let time = time(request.parameter("api.sort.a.field"));
        found.sort_by_key(|attempt| time(attempt));
    }
    if request.parameter("api.sort.a.reverse") != Some("0") {
        found.reverse();
    }
    let mut metadata = json!({"command": "emailtrack_search", "reason": "OK", "result": 1, "version": 1});
    metadata["overflowed"] = json!(u8::from(overflowed));
    metadata["filter"] = json!({"filtered": filtered});
    if on("api.chunk.enable") {
        let (size, start) = (number("api.chunk.size").unwrap_or(CHUNK_RECORDS).max(1), number("api.chunk.start").unwrap_or(1).max(1));
        let all = found.len();
        found = found.into_iter().skip(start - 1).take(size).collect();
        let (chunks, current) = (all.div_ceil(size), (start - 1) / size + 1);
        metadata["chunk"] = json!({"size": size, "start": start, "records": all, "chunks": chunks, "current": current});
    }
    let odd = (0..t.log.odd).map(|n| json!({"type": "success", "actionunixtime": null, "msgid": format!("odd-{n}")}));
    let records: Vec<Value> = found.into_iter().map(|attempt| delivery(t, attempt)).chain(odd).collect();
    let mut body = json!({"data": {"records": records}, "metadata": metadata}).to_string();
    if fault == Some(LogFault::Truncated) {
        let half = (0..=body.len() / 2).rev().find(|i| body.is_char_boundary(*i)).unwrap_or(0);
        body.truncate(half);
    }
    reply(200, JSON, body)
}

/// A row of the delivery log. Its types change from row to row, as a server's do.
fn delivery(t: &Traffic, attempt: &Attempt) -> Value {
    let domain = &t.domains[attempt.domain as usize % t.domains.len()];
    let (name, recipient, user) = (&domain.name, attempt.recipient(domain), user(attempt.domain as usize % t.domains.len()));
    let done = matches!(attempt.ended, Ended::Success);
    let peer = format!("192.0.2.{}", attempt.domain % 250);
    let (sender, user, auth, host) = match attempt.origin {
        Origin::Remote => (format!("someone@{}.example", attempt.id % 89), "-remote-".to_owned(), Value::Null, "mail.example.net"),
        Origin::Dsn => (String::new(), "-system-".to_owned(), Value::Null, "localhost"),
        Origin::Nobody => (format!("app@{name}"), "nobody".to_owned(), json!("localuser"), "localhost"),
        Origin::Authenticated | Origin::Report => (format!("sender@{name}"), user, json!("dovecot_login"), "client.example.net"),
    };
    let mut row = json!({
        "actiontime": format!("2026-11-20 10:{:02}:{:02}", attempt.at / 60 % 60, attempt.at % 60),
        "actionunixtime": attempt.at,
        "deliveredto": if done { json!(recipient) } else { Value::Null },
        "deliverydomain": name,
        "deliveryuser": if attempt.id.is_multiple_of(3) { json!(user) } else { Value::Null },
        "domain": if sender.is_empty() { "" } else { name },
        "email": sender,
        "host": if attempt.ended == Ended::InProgress { Value::Null } else { json!(format!("mx1.{name}")) },
        "ip": if attempt.ended == Ended::InProgress { Value::Null } else { json!(peer) },
        "message": attempt.message(domain),
        "msgid": message_id(attempt.id),
        "owner": if attempt.domain % 5 > 2 { "reseller1" } else { "root" },
        "recipient": recipient,
        "router": "lookuphost",
        "sender": sender,
        "senderauth": auth,
        "senderhost": host,
        "senderip": format!("198.51.100.{}", attempt.id % 250),
        "sendunixtime": attempt.received,
        "size": attempt.bytes,
        "spamscore": if attempt.origin == Origin::Remote { json!(1.5) } else { json!(0) },
        "transport": if attempt.ended == Ended::InProgress { Value::Null } else { json!("remote_smtp") },
        "transport_is_remote": 1,
        "type": attempt.ended.name(),
        "user": user,
    });
    if attempt.id % 6 == 1 {
        row["size"] = json!(attempt.bytes.to_string());
        row["sendunixtime"] = json!(attempt.received.to_string());
    }
    row
}

fn message_id(id: u64) -> String {
    format!("1v{:04x}-{:011x}-{:04x}", id >> 48 & 0xffff, id >> 16 & 0xffff_ffff, id & 0xffff)
}

fn services(t: &Traffic) -> Vec<Value> {
    let up = |unit: &str| t.services.iter().any(|service| service.name == unit && service.up);
    let named = [
        ("exim", "Exim", "postfix"),
        ("imap", "IMAP", "dovecot"),
        ("spamd", "SpamAssassin", "spamassassin"),
        ("httpd", "Web server", "nginx"),
        ("mysql", "Database", "mariadb"),
        ("rsyslogd", "Log", "rsyslog"),
    ];
    let row = |(name, shown, unit)| json!({"name": name, "display_name": shown, "enabled": 1, "installed": 1, "monitored": 1, "running": u8::from(up(unit))});
    let mut rows: Vec<Value> = named.into_iter().map(row).collect();
    // One that is switched off says nothing about running.
    rows.push(json!({"name": "mailman", "display_name": "Mailing lists", "enabled": 0, "installed": 1, "monitored": 0}));
    rows
}

fn partitions(t: &Traffic) -> Vec<Value> {
    let (used, total) = (t.disk_used_bytes / 1024, DISK_BYTES / 1024);
    let inodes_used = t.disk_used_bytes / 40_000;
    let memory = MEMORY_BYTES / 2048;
    vec![
        json!({
            "device": "/dev/vda1", "disk": "vda", "filesystem": "xfs", "mount": "/",
            "used": used, "available": total - used, "total": total, "percentage": used * 100 / total,
            "inodes_used": inodes_used, "inodes_available": 5_000_000 - inodes_used, "inodes_total": 5_000_000,
            "inodes_ipercentage": inodes_used * 100 / 5_000_000,
        }),
        json!({
            "device": "tmpfs", "disk": "tmpfs", "filesystem": "tmpfs", "mount": "/tmp",
            "used": 1024, "available": memory - 1024, "total": memory, "percentage": 1,
            "inodes_used": null, "inodes_available": null, "inodes_total": null, "inodes_ipercentage": null,
        }),
    ]
}
