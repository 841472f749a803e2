//! Proxmox Mail Gateway: a JSON API with tickets, and sums of whole days in UTC.

use super::Traffic;
use super::response::{reply, with_headers};
use super::server::{Request, ServerState};
use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

const JSON: &str = "application/json;charset=UTF-8";
const API: &str = "/api2/json/";
const DAY_SECONDS: u64 = 86_400;

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    let Some(path) = request.path.strip_prefix(API) else { return reply(404, JSON, r#"{"data":null}"#) };
    let ticket = format!("PMG:{}:{:08X}::{:016x}", state.options.username, 0x6b0a_1c2d, state.traffic.seed());
    if path == "access/ticket" {
        return if request.method == Method::POST && form(request) == Some((state.options.username.clone(), state.options.password.clone()))
        {
            reply(200, JSON, json!({"data": {"ticket": ticket, "username": state.options.username, "role": "audit"}}).to_string())
        } else {
            refusal()
        };
    }
    if cookie(request).as_deref() != Some(ticket.as_str()) {
        return refusal();
    }
    match data(state.traffic, path, request) {
        Some(data) => reply(200, JSON, json!({"data": data}).to_string()),
        None => reply(501, JSON, r#"{"data":null,"message":"Method not implemented\n"}"#),
    }
}

/// The reason of a refusal is in the status line only.
fn refusal() -> Response {
    with_headers(reply(401, JSON, ""), &[("cache-control", "max-age=0"), ("pragma", "no-cache")])
}

/// The user name and the password of a form.
fn form(request: &Request) -> Option<(String, String)> {
    let body = std::str::from_utf8(&request.body).ok()?;
    let field = |name: &str| body.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).map(percent_decoded);
    Some((field("username")?, field("password")?))
}

fn cookie(request: &Request) -> Option<String> {
    let cookies = request.headers.get("cookie")?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("PMGAuthCookie=")).map(percent_decoded)
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code =
            (*first == b'%').then(|| after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()));
        match code.flatten() {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn data(t: &Traffic, path: &str, request: &Request) -> Option<Value> {
    Some(match path {
        "statistics/mail" => statistics(t, request),
        "nodes/localhost/postfix/qshape" => qshape(t, request.parameter("queue").unwrap_or("deferred")),
        "quarantine/spamstatus" => json!({"count": t.spam, "mbytes": 3.25, "avgbytes": "14325.5", "avgspam": "7.2"}),
        "quarantine/virusstatus" => json!({"count": 0, "mbytes": 0, "avgbytes": 0}),
        _ => return None,
    })
}

/// The sums of a day; of yesterday, if the request has no date.
fn statistics(t: &Traffic, request: &Request) -> Value {
    let number = |name: &str| request.parameter(name).and_then(|number| number.parse::<u64>().ok());
    let today = t.now() as u64 / DAY_SECONDS;
    let day = match (number("day"), number("month"), number("year")) {
        (Some(day), Some(month), Some(year)) => days_since_1970(year, month, day),
        _ => today - 1,
    };
    let sums = t.window_total(day * DAY_SECONDS, (day + 1) * DAY_SECONDS - 1);
    let refused = sums.failed;
    json!({
        "avptime": 0.9, "count": sums.sent + refused, "count_in": sums.sent + 4 * refused, "count_out": sums.delivered,
        "glcount": refused, "spfcount": refused, "rbl_rejects": refused, "pregreet_rejects": refused,
        "junk_in": 4 * refused, "junk_out": 0, "spamcount_in": sums.deferred, "spamcount_out": 0, "viruscount_in": 0, "viruscount_out": 0,
        "bounces_in": 0, "bounces_out": 0, "bytes_in": sums.bytes as f64, "bytes_out": (sums.bytes / 2).to_string(),
    })
}

/// The number of a date of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Counted from March, so that the leap day is the last one of a year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    (365 * year + leap_days + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

/// The rows of a queue: the first one is the sum of the others. All numbers are texts.
fn qshape(t: &Traffic, queue: &str) -> Value {
    let messages = |domain: usize| match queue {
        "deferred" => t.queue.iter().filter(|message| message.domain == domain && !message.frozen()).count(),
        "hold" => t.queue.iter().filter(|message| message.domain == domain && message.frozen()).count(),
        "active" => t.domains[domain].ready as usize,
        _ => 0,
    };
    let row =
        |name: &str, total: usize| json!({"domain": name, "total": total.to_string(), "5m": total.to_string(), "10m": "0", "1280m+": "0"});
    let counts: Vec<usize> = (0..t.domains.len()).map(messages).collect();
    let domains = counts.iter().zip(&t.domains).filter(|(count, _)| **count > 0).map(|(count, domain)| row(&domain.name, *count));
    std::iter::once(row("TOTAL", counts.iter().sum())).chain(domains).collect()
}

#[cfg(test)]
mod tests {
    use super::days_since_1970;

    #[test]
    fn dates_are_days() {
        for (year, month, day, expected) in [(1970, 1, 1, 0), (1970, 3, 1, 59), (2000, 2, 29, 11_016), (2026, 11, 28, 20_785)] {
            assert_eq!(days_since_1970(year, month, day), expected, "{year}-{month}-{day}");
        }
    }
}
