//! cPanel and WHM, API 1: mail statistics by user and time window, the mail queue, and the machine. The JSON types of values vary
//! between records.

use super::response::reply;
use super::server::{Request, ServerState};
use super::traffic::{DISK_BYTES, MEMORY_BYTES};
use super::{Account, Origin, Sums, Traffic};
use axum::response::Response;
use serde_json::{Map, Value, json};

mod search;

const JSON: &str = "application/json; charset=\"utf-8\"";
const VERSION: &str = "11.138.0.6";
/// The default number of records of a page.
const CHUNK_RECORDS: usize = 50;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    let credential = format!("{}:{}", state.options.username, state.options.token);
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
        return search::search(state.traffic, request);
    }
    let body = match data(state.traffic, function, request) {
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

/// The data of a function, without metadata. `None` if there is no such function.
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

/// The response to a request without `api.version=1`, which has no metadata.
fn legacy_body(data: Value) -> Value {
    let mut body = Map::from_iter([("status".to_string(), json!(1)), ("statusmsg".to_string(), json!("Ok"))]);
    if let Value::Object(data) = data {
        body.extend(data);
    }
    Value::Object(body)
}

/// The response to a request with `api.version=1`.
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

/// The user that owns a domain. Every fourth domain belongs to the owner of the one before, so some users have several rows.
fn user(domain: usize) -> String {
    format!("user{}", domain - usize::from(domain % 4 == 3))
}

/// A row for each active account.
fn user_stats(t: &Traffic, start: u64, end: u64) -> Vec<Value> {
    t.window(start, end).into_iter().map(|(account, sums)| user_row(t, account, sums)).collect()
}

fn user_row(t: &Traffic, account: Account, sums: Sums) -> Value {
    let (user, domain, index) = match account {
        Account::Remote => ("-remote-".to_string(), "", None),
        Account::System => ("root".to_string(), "-system-", None),
        Account::LocalUser => ("nobody".to_string(), "", None),
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
    // WHM changes the JSON types of values from row to row.
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
        Account::LocalUser => "nobody".to_string(),
        Account::Domain(index) => user(index),
    };
    let mut sums = Sums::default();
    for (account, account_sums) in t.window(start, end) {
        if of.is_none_or(|of| of.is_empty() || of == name(account)) {
            sums += account_sums;
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
        let from_user = matches!(message.origin, Origin::Authenticated | Origin::LocalUser);
        let recipients: Vec<String> = (0..message.id % 3).map(|nth| format!("reader{nth}@{domain}")).collect();
        let has_strings = message.id.is_multiple_of(5);
        json!({
            "frozen": if has_strings { json!(frozen.to_string()) } else { json!(frozen) },
            "msgid": message_id(message.id),
            "recipients": recipients,
            "sender": if from_user { format!("sender@{domain}") } else { String::new() },
            "size": if has_strings { json!(message.bytes.to_string()) } else { json!(message.bytes) },
            "time": if has_strings { json!(time.to_string()) } else { json!(time) },
            "user": if from_user { json!(user(message.domain)) } else { Value::Null },
        })
    };
    t.queue.iter().map(record).collect()
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
    let row = |(name, display_name, unit)| json!({"name": name, "display_name": display_name, "enabled": 1, "installed": 1, "monitored": 1, "running": u8::from(up(unit))});
    let mut rows: Vec<Value> = named.into_iter().map(row).collect();
    // WHM does not report `running` for disabled services.
    rows.push(json!({"name": "mailman", "display_name": "Mailing lists", "enabled": 0, "installed": 1, "monitored": 0}));
    rows
}

fn partitions(t: &Traffic) -> Vec<Value> {
    let (used, total) = (t.disk_used_bytes / 1024, DISK_BYTES / 1024);
    let inodes_used = t.disk_used_bytes / 40_000;
    let memory = MEMORY_BYTES / 2048;
    vec![
        json!({
            "device": "/dev/vda1", "disk": "vda", "filesystem": "/", "mount": "/",
            "used": used, "available": total - used, "total": total, "percentage": used * 100 / total,
            "inodes_used": inodes_used, "inodes_available": 5_000_000 - inodes_used, "inodes_total": 5_000_000,
            "inodes_ipercentage": inodes_used * 100 / 5_000_000,
        }),
        json!({
            "device": "tmpfs", "disk": "tmpfs", "filesystem": "/tmp", "mount": "/tmp",
            "used": 1024, "available": memory - 1024, "total": memory, "percentage": 1,
            "inodes_used": null, "inodes_available": null, "inodes_total": null, "inodes_ipercentage": null,
        }),
    ]
}
