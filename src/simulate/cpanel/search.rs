//! WHM's search in the delivery log, with its filters, its limits and its faults.

use super::super::response::{reply, unending};
use super::super::server::Request;
use super::super::{Attempt, AttemptOutcome, LogFault, Origin, Traffic};
use super::{CHUNK_RECORDS, JSON, message_id, user};
use axum::response::Response;
use serde_json::{Value, json};

/// Records of each outcome in a response to a search, unless the request asks for more.
const RESULTS_BY_TYPE: usize = 250;

/// Responds to `emailtrack_search`. Filters and sorting support only times.
pub(super) fn search(t: &mut Traffic, request: &Request) -> Response {
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
            let key = |name| request.parameter(&format!("api.filter.{n}.{name}"));
            let bound: u64 = key("arg0")?.parse().ok()?;
            let range = match key("type")? {
                "gt" => bound + 1..=u64::MAX,
                "gt_equal" => bound..=u64::MAX,
                "lt" => 0..=bound.checked_sub(1)?,
                "lt_equal" => 0..=bound,
                _ => bound..=bound,
            };
            Some((time(key("field")), range))
        })
        .collect();
    let from = filters.iter().map(|(_, range)| *range.start()).max().unwrap_or(0);
    let to = filters.iter().map(|(_, range)| *range.end()).min().unwrap_or(u64::MAX).min(t.now() as u64);
    if t.log.search_seconds_max.is_some_and(|max| to.saturating_sub(from) > max) {
        return unending(200, JSON);
    }
    let outcomes = AttemptOutcome::ALL.map(|outcome| (outcome, on(outcome.name())));
    let passes = |attempt: &Attempt| {
        outcomes.contains(&(attempt.outcome, true)) && filters.iter().all(|(time, range)| range.contains(&time(attempt)))
    };
    let mut found: Vec<&Attempt> = t.log.matching(t.now() as u64, passes).collect();
    let filtered = t.log.len().saturating_sub(found.len());
    // The newest of each outcome, up to the limit of the request and of the server.
    let requested = number("max_results_by_type").unwrap_or(RESULTS_BY_TYPE);
    let max = [requested, t.log.results_by_type_max.unwrap_or(0)].into_iter().filter(|max| *max > 0).min();
    let mut overflowed = false;
    if let Some(max) = max {
        found.sort_by_key(|attempt| std::cmp::Reverse(attempt.at));
        for outcome in AttemptOutcome::ALL {
            let mut left = max;
            let all = found.len();
            found.retain(|attempt| {
                attempt.outcome != outcome || {
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
    let incomplete =
        (0..t.log.incomplete_entries).map(|n| json!({"type": "success", "actionunixtime": null, "msgid": format!("incomplete-{n}")}));
    let records: Vec<Value> = found.into_iter().map(|attempt| delivery(t, attempt)).chain(incomplete).collect();
    let mut body = json!({"data": {"records": records}, "metadata": metadata}).to_string();
    if fault == Some(LogFault::Truncated) {
        let half = (0..=body.len() / 2).rev().find(|i| body.is_char_boundary(*i)).unwrap_or(0);
        body.truncate(half);
    }
    reply(200, JSON, body)
}

/// A record of the delivery log. The JSON types of values vary between records, as WHM's do.
fn delivery(t: &Traffic, attempt: &Attempt) -> Value {
    let domain = &t.domains[attempt.domain as usize % t.domains.len()];
    let (name, recipient, user) = (&domain.name, attempt.recipient(domain), user(attempt.domain as usize % t.domains.len()));
    let done = matches!(attempt.outcome, AttemptOutcome::Success);
    let peer = format!("192.0.2.{}", attempt.domain % 250);
    let (sender, user, auth, host) = match attempt.origin {
        Origin::Remote => (format!("someone@{}.example", attempt.id % 89), "-remote-".to_owned(), Value::Null, "mail.example.net"),
        Origin::Dsn => (String::new(), "-system-".to_owned(), Value::Null, "localhost"),
        Origin::LocalUser => (format!("app@{name}"), "nobody".to_owned(), json!("localuser"), "localhost"),
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
        "host": if attempt.outcome == AttemptOutcome::InProgress { Value::Null } else { json!(format!("mx1.{name}")) },
        "ip": if attempt.outcome == AttemptOutcome::InProgress { Value::Null } else { json!(peer) },
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
        "transport": if attempt.outcome == AttemptOutcome::InProgress { Value::Null } else { json!("remote_smtp") },
        "transport_is_remote": 1,
        "type": attempt.outcome.name(),
        "user": user,
    });
    if attempt.id % 6 == 1 {
        row["size"] = json!(attempt.bytes.to_string());
        row["sendunixtime"] = json!(attempt.received.to_string());
    }
    row
}
