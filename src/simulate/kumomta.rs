//! KumoMTA: metrics as JSON and as text, without escapes, and with roll-ups among the series that they add up.

use super::response::{chunked, reply};
use super::server::{Request, ServerState};
use super::{Distribution, Traffic};
use axum::http::Method;
use axum::response::Response;
use serde_json::json;
use std::collections::BTreeMap;

mod peer;
mod render;

use peer::{Peer, Totals, peers, providers, share};
pub(super) use render::{metrics, metrics_json};

const SOURCES: [&str; 2] = ["ip-1", "ip-2"];
const POOL: &str = "pool0";
const LISTENER: &str = "192.0.2.25:25";
const PLAIN: &str = "text/plain; charset=utf-8";
/// The service that outgoing connections are rolled up to.
const CLIENT: &str = "smtp_client";

/// Responds to a request.
pub(super) fn respond(state: ServerState<'_>, request: &Request) -> Response {
    match (&request.method, request.path.as_str()) {
        (&Method::HEAD, _) => reply(401, PLAIN, "Unauthorized"),
        (&Method::GET, "/metrics.json") => chunked("application/json; charset=utf-8", metrics_json(state.traffic)),
        (&Method::GET, "/metrics") => chunked(PLAIN, metrics(state.traffic, request.parameter("prefix").unwrap_or_default())),
        (&Method::GET, "/api/machine-info") => reply(200, "application/json", machine_info(state.traffic)),
        (&Method::GET, "/api/check-liveness/v1") => reply(200, PLAIN, "OK"),
        (&Method::GET, path) => match path.strip_prefix("/api/admin/").and_then(|name| administration(state.traffic, name)) {
            Some(body) => reply(200, "application/json", body.to_string()),
            None => reply(404, PLAIN, "not found"),
        },
        _ => reply(404, PLAIN, "not found"),
    }
}

/// The suspensions and bounces of an administrator: a tenant is suspended while the server is busy, and a bounce is always in force.
fn administration(t: &Traffic, name: &str) -> Option<serde_json::Value> {
    let id = |number: u64| format!("00000000-0000-4000-8000-{number:012x}");
    let is_busy = t.scheduled() > t.domains.len() as u64;
    let queue = |domain: &super::Domain| format!("{}->mx.{}@{CLIENT}", SOURCES[0], domain.name);
    Some(match name {
        "suspend/v1" if is_busy => {
            json!([{"id": id(1), "campaign": null, "tenant": "northwind", "domain": null, "reason": "many complaints", "duration": "9m 3s"}])
        }
        "suspend/v1" => json!([]),
        "suspend-ready-q/v1" => {
            let slow = t.domains.iter().enumerate().filter(|(index, _)| super::Domain::slow(*index));
            slow.map(|(index, domain)| json!({"id": id(index as u64), "name": queue(domain), "reason": "slow", "duration": "4m"})).collect()
        }
        "bounce/v1" => json!([{
            "id": id(2), "campaign": "receipts", "tenant": null, "domain": null, "routing_domain": null, "reason": "withdrawn",
            "duration": "50s", "bounced": {"receipts:contoso@example.net": 3}, "total_bounced": 3,
        }]),
        "ready-q-states/v1" => {
            let limited = t.domains.iter().filter(|domain| domain.ready > 0);
            let state = json!({"connection_limited": {"context": "limit", "since": "2026-09-21T14:00:00Z"}});
            let states: serde_json::Map<String, serde_json::Value> = limited.map(|domain| (queue(domain), state.clone())).collect();
            json!({"states_by_ready_queue": states})
        }
        _ => return None,
    })
}

fn machine_info(t: &Traffic) -> String {
    let since = jiff::Timestamp::from_second(t.started() as i64).map_or_else(|_| String::new(), |time| time.to_string());
    json!({
        "node_id": format!("{:08x}-0000-4000-8000-{:012x}", t.seed() as u32, t.seed() >> 16),
        "hostname": "mta.example.com",
        "version": "2026.08.12-abcdef01",
        "online_since": since,
        "num_cores": 4,
        "os": "linux",
    })
    .to_string()
}

/// The value of a family.
enum Value {
    /// One series without labels.
    Number(u64),
    /// Series by one label.
    ByLabel(&'static str, Vec<(String, u64)>),
    /// Series by several labels.
    ByLabels(&'static [&'static str], Vec<(Vec<String>, u64)>),
    /// A histogram, with a label or without.
    Histogram(Option<(&'static str, &'static str)>, Distribution),
}

/// A metric family.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: Value,
    /// `true` if the family is of the second registry, whose JSON has a line for each series.
    has_line_per_series: bool,
}

fn families(t: &Traffic) -> Vec<Family> {
    let mut out = machine(t);
    let peers = peers(t);
    services(t, &peers, &mut out);
    providers(&peers, &mut out);
    queues(t, &mut out);
    out
}

/// The families of the first registry.
fn machine(t: &Traffic) -> Vec<Family> {
    let percent = |share: f64, of: f64| (share * of).round() as u64;
    let busy = t.cpu_busy();
    let number = |name, kind, help, value| Family { name, kind, help, value: Value::Number(value), has_line_per_series: false };
    let latency = Value::Histogram(Some(("service", CLIENT)), t.attempt_seconds.clone());
    vec![
        Family {
            name: "deliver_message_latency_rollup",
            kind: "histogram",
            help: "duration of a delivery attempt, by protocol",
            value: latency,
            has_line_per_series: false,
        },
        Family {
            name: "disk_free_bytes",
            kind: "gauge",
            help: "free bytes",
            value: Value::ByLabel("name", vec![("data spool".into(), 50 << 30), ("log dir /var/log/kumomta".into(), 50 << 30)]),
            has_line_per_series: false,
        },
        number("dns_mx_resolve_status_fail", "counter", "failed MX lookups", t.failed_lookup),
        number("dns_mx_resolve_status_ok", "counter", "successful MX lookups", t.attempts() - t.failed_lookup),
        number("memory_limit", "gauge", "memory limit in bytes", 6 << 30),
        number("memory_low_thresh", "gauge", "memory use from which it is reduced, in bytes", 5 << 30),
        number("memory_usage", "gauge", "memory use in bytes", t.memory_used_bytes / 4),
        number("message_count", "gauge", "messages in memory", t.scheduled() + t.ready()),
        number("process_cpu_usage_normalized", "gauge", "processor use of the process, in percent of all processors", percent(busy, 60.0)),
        number("process_cpu_usage_sum", "gauge", "processor use of the process, in percent of one processor", percent(busy, 240.0)),
        number("scheduled_count_total", "gauge", "messages in all scheduled queues", t.scheduled()),
        number("scheduled_queue_count", "gauge", "scheduled queues", t.domains.len() as u64),
        Family {
            name: "smtpsrv_transaction_duration",
            kind: "histogram",
            help: "duration of an incoming transaction",
            value: Value::Histogram(None, t.smtp_seconds.clone()),
            has_line_per_series: false,
        },
        number("system_cpu_usage_normalized", "gauge", "processor use of the machine, in percent of all processors", percent(busy, 100.0)),
        number("system_cpu_usage_sum", "gauge", "processor use of the machine, in percent of one processor", percent(busy, 400.0)),
        number("total_readyq_runs", "counter", "runs of ready queue maintenance", t.now() as u64 - t.started() as u64),
    ]
}

/// A family of the second registry.
fn by_series(name: &'static str, kind: &'static str, help: &'static str, value: Value) -> Family {
    Family { name, kind, help, value, has_line_per_series: true }
}

/// Families by service, with roll-ups among the series that they add up.
fn services(t: &Traffic, peers: &[Peer], out: &mut Vec<Family>) {
    let by = |of: fn(&Totals) -> u64| -> Vec<(String, u64)> {
        let each = |peer: &Peer, source: usize| {
            let name = format!("{CLIENT}:{}->{}@{CLIENT}", SOURCES[source], peer.host);
            (name, share(of(&peer.totals), source))
        };
        peers.iter().flat_map(|peer| (0..SOURCES.len()).map(move |source| each(peer, source))).collect()
    };
    let with_roll_ups = |mut details: Vec<(String, u64)>, roll_ups: &[(&str, u64)]| {
        for (name, value) in roll_ups {
            // Not first: readers must not rely on the order.
            details.insert(details.len().min(2), ((*name).to_string(), *value));
        }
        Value::ByLabel("service", details)
    };
    let mut active = by(|_| 0);
    let services = active.len() as u64;
    for (index, (_, connections)) in active.iter_mut().enumerate() {
        let rest = u64::from((index as u64) < t.outbound_active % services);
        *connections = t.outbound_active / services + rest;
    }
    out.extend([
        by_series(
            "connection_count",
            "gauge",
            "open connections, by service",
            with_roll_ups(active, &[(CLIENT, t.outbound_active), ("esmtp_listener", t.smtp_active)]),
        ),
        by_series(
            "total_connections_denied",
            "counter",
            "connections denied",
            with_roll_ups(Vec::new(), &[("esmtp_listener", t.smtp_denied)]),
        ),
        by_series(
            "total_messages_received",
            "counter",
            "messages received",
            with_roll_ups(
                vec![(format!("esmtp_listener:{LISTENER}"), t.received_smtp)],
                &[("esmtp_listener", t.received_smtp), ("http_listener", t.received_http)],
            ),
        ),
        by_series(
            "total_connection_count",
            "counter",
            "connections opened",
            with_roll_ups(by(|totals| totals.opened), &[(CLIENT, t.outbound_opened)]),
        ),
        by_series("ready_count", "gauge", "messages in ready queues", with_roll_ups(by(|totals| totals.ready), &[(CLIENT, t.ready())])),
        by_series(
            "total_messages_delivered",
            "counter",
            "messages delivered",
            with_roll_ups(by(|totals| totals.delivered), &[(CLIENT, t.delivered)]),
        ),
        by_series(
            "total_messages_transfail",
            "counter",
            "delivery attempts with a transient failure",
            with_roll_ups(by(|totals| totals.deferred), &[(CLIENT, t.deferred)]),
        ),
        by_series(
            "total_messages_fail",
            "counter",
            "delivery attempts with a permanent failure",
            with_roll_ups(by(|totals| totals.failed), &[(CLIENT, t.failed)]),
        ),
        by_series("ready_full", "counter", "times that a ready queue was full", with_roll_ups(by(|_| 0), &[])),
        by_series(
            "smtp_server_rejections",
            "counter",
            "messages and recipients rejected",
            with_roll_ups(vec![(LISTENER.to_string(), t.rejected)], &[("total", t.rejected)]),
        ),
    ]);
}

/// Families by queue, domain, tenant and campaign.
fn queues(t: &Traffic, out: &mut Vec<Family>) {
    let (mut tenants, mut campaigns) = (BTreeMap::<&str, u64>::new(), BTreeMap::<(&str, &str), u64>::new());
    let mut by_domain = Vec::with_capacity(t.domains.len());
    let mut by_queue = Vec::with_capacity(t.domains.len());
    let mut throttled = Vec::new();
    for domain in &t.domains {
        let name = match (domain.tenant, domain.campaign) {
            (Some(tenant), Some(campaign)) => format!("{campaign}:{tenant}@{}", domain.name),
            (Some(tenant), None) => format!("{tenant}@{}", domain.name),
            (None, _) => domain.name.clone(),
        };
        if let Some(tenant) = domain.tenant {
            *tenants.entry(tenant).or_default() += domain.scheduled;
            if let Some(campaign) = domain.campaign {
                *campaigns.entry((tenant, campaign)).or_default() += domain.scheduled;
            }
        }
        if domain.throttled > 0 {
            throttled.push((name.clone(), domain.throttled));
        }
        by_domain.push((domain.name.clone(), domain.scheduled));
        by_queue.push((name, domain.scheduled));
    }
    out.push(by_series("scheduled_by_domain", "gauge", "scheduled messages, by domain", Value::ByLabel("domain", by_domain)));
    out.push(by_series("scheduled_count", "gauge", "scheduled messages, by queue", Value::ByLabel("queue", by_queue)));
    // KumoMTA omits families without series.
    if !tenants.is_empty() {
        let rows = tenants.into_iter().map(|(tenant, n)| (tenant.to_string(), n)).collect();
        out.push(by_series("scheduled_by_tenant", "gauge", "scheduled messages, by tenant", Value::ByLabel("tenant", rows)));
    }
    if !campaigns.is_empty() {
        let rows = campaigns.into_iter().map(|((tenant, campaign), n)| (vec![tenant.to_string(), campaign.to_string()], n)).collect();
        let value = Value::ByLabels(&["tenant", "campaign"], rows);
        out.push(by_series("scheduled_by_tenant_campaign", "gauge", "scheduled messages, by tenant and campaign", value));
    }
    if !throttled.is_empty() {
        let value = Value::ByLabel("queue", throttled);
        out.push(by_series("delayed_due_to_message_rate_throttle", "counter", "messages delayed by a message rate limit", value));
    }
    if t.dane_ok + t.dane_none > 0 {
        let value = Value::ByLabel("result", vec![("ok".into(), t.dane_ok), ("not_applicable".into(), t.dane_none)]);
        out.push(by_series("dane_result_count", "counter", "DANE lookups, by result", value));
    }
}
