//! KumoMTA: its metrics as JSON and as text, both written without escapes, roll-ups beside their details.

use super::server::{Request, ServerState, chunked, reply};
use super::{Distribution, Traffic};
use axum::http::Method;
use axum::response::Response;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Mail servers of others that have series of their own; the rest of the domains share the last.
const SITES_MAX: usize = 40;
const SOURCES: [&str; 2] = ["ip-1", "ip-2"];
const POOL: &str = "pool0";
const LISTENER: &str = "192.0.2.25:25";
const PLAIN: &str = "text/plain; charset=utf-8";
const BOUNDS_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The roll-up over all that goes out.
const CLIENT: &str = "smtp_client";

pub(super) fn answer(site: ServerState<'_>, request: &Request) -> Response {
    match (&request.method, request.path.as_str()) {
        (&Method::HEAD, _) => reply(401, PLAIN, "Unauthorized"),
        (&Method::GET, "/metrics.json") => chunked(200, "application/json; charset=utf-8", metrics_json(site.traffic)),
        (&Method::GET, "/metrics") => chunked(200, PLAIN, metrics(site.traffic, request.parameter("prefix").unwrap_or_default())),
        (&Method::GET, "/api/machine-info") => reply(200, "application/json", machine_info(site.traffic)),
        _ => reply(404, PLAIN, "not found"),
    }
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

enum Value {
    Number(u64),
    /// By one label.
    By(&'static str, Vec<(String, u64)>),
    /// By several.
    List(&'static [&'static str], Vec<(Vec<String>, u64)>),
    Histogram(Option<(&'static str, &'static str)>, Distribution),
}

struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: Value,
    /// Of the second registry, which writes a line for each series.
    pruned: bool,
}

#[derive(Default, Clone)]
struct Totals {
    ready: u64,
    scheduled: u64,
    delivered: u64,
    deferred: u64,
    failed: u64,
    opened: u64,
}

/// One of others' mail servers.
struct Peer {
    host: String,
    provider: String,
    totals: Totals,
}

fn peers(t: &Traffic) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for (index, domain) in t.domains.iter().enumerate() {
        let index = index.min(SITES_MAX - 1);
        if index == peers.len() {
            let host = if index == SITES_MAX - 1 { "mx.shared.example.net".to_string() } else { format!("mx.{}", domain.name) };
            let provider = ["Provider One", "Provider Two"].get(index).map_or_else(|| host.clone(), ToString::to_string);
            peers.push(Peer { host, provider, totals: Totals::default() });
        }
        let totals = &mut peers[index].totals;
        totals.ready += domain.ready;
        totals.scheduled += domain.scheduled;
        totals.delivered += domain.delivered;
        totals.deferred += domain.deferred;
        totals.failed += domain.failed;
        totals.opened += domain.opened;
    }
    peers
}

/// A number shared out over the sources; the parts add up and never fall while the number does not.
fn part(n: u64, source: usize) -> u64 {
    let of = SOURCES.len() as u64;
    (n + of - 1 - source as u64) / of
}

fn families(t: &Traffic) -> Vec<Family> {
    let mut out = machine(t);
    let peers = peers(t);
    services(t, &peers, &mut out);
    providers(&peers, &mut out);
    queues(t, &mut out);
    out
}

/// The first registry.
fn machine(t: &Traffic) -> Vec<Family> {
    let percent = |share: f64, of: f64| (share * of).round() as u64;
    let busy = t.cpu_busy();
    let number = |name, kind, help, value| Family { name, kind, help, value: Value::Number(value), pruned: false };
    let latency = Value::Histogram(Some(("service", CLIENT)), t.attempt_seconds.clone());
    vec![
        Family {
            name: "deliver_message_latency_rollup",
            kind: "histogram",
            help: "seconds that an attempt takes, by protocol",
            value: latency,
            pruned: false,
        },
        Family {
            name: "disk_free_bytes",
            kind: "gauge",
            help: "bytes that are left",
            value: Value::By("name", vec![("data spool".into(), 50 << 30), ("log dir /var/log/kumomta".into(), 50 << 30)]),
            pruned: false,
        },
        number("dns_mx_resolve_status_fail", "counter", "domains whose mail servers were not found", t.failed_lookup),
        number("dns_mx_resolve_status_ok", "counter", "domains whose mail servers were found", t.attempts() - t.failed_lookup),
        number("memory_limit", "gauge", "bytes of memory that it keeps to", 6 << 30),
        number("memory_low_thresh", "gauge", "bytes of memory from which it saves", 5 << 30),
        number("memory_usage", "gauge", "bytes of memory that it uses", t.memory_used_bytes / 4),
        number("message_count", "gauge", "messages in memory", t.scheduled() + t.ready()),
        number("process_cpu_usage_normalized", "gauge", "percent of all processors that it uses", percent(busy, 60.0)),
        number("process_cpu_usage_sum", "gauge", "percent of one processor that it uses", percent(busy, 240.0)),
        number("scheduled_count_total", "gauge", "messages in all scheduled queues", t.scheduled()),
        number("scheduled_queue_count", "gauge", "scheduled queues", t.domains.len() as u64),
        Family {
            name: "smtpsrv_transaction_duration",
            kind: "histogram",
            help: "seconds that an incoming transaction takes",
            value: Value::Histogram(None, t.smtp_seconds.clone()),
            pruned: false,
        },
        number("system_cpu_usage_normalized", "gauge", "percent of all processors in use", percent(busy, 100.0)),
        number("system_cpu_usage_sum", "gauge", "percent of one processor in use", percent(busy, 400.0)),
        number("total_readyq_runs", "counter", "times that ready queues were looked after", t.now() as u64 - t.started() as u64),
    ]
}

fn pruned(name: &'static str, kind: &'static str, help: &'static str, value: Value) -> Family {
    Family { name, kind, help, value, pruned: true }
}

/// By service: the roll-up stands among its details.
fn services(t: &Traffic, peers: &[Peer], out: &mut Vec<Family>) {
    let by = |of: fn(&Totals) -> u64| -> Vec<(String, u64)> {
        let each = |peer: &Peer, source: usize| {
            let name = format!("{CLIENT}:{}->{}@{CLIENT}", SOURCES[source], peer.host);
            (name, part(of(&peer.totals), source))
        };
        peers.iter().flat_map(|peer| (0..SOURCES.len()).map(move |source| each(peer, source))).collect()
    };
    let with = |mut details: Vec<(String, u64)>, roll_ups: &[(&str, u64)]| {
        for (name, value) in roll_ups {
            // Anywhere but first: the order is nobody's promise.
            details.insert(details.len().min(2), ((*name).to_string(), *value));
        }
        Value::By("service", details)
    };
    let mut active = by(|_| 0);
    let services = active.len() as u64;
    for (index, (_, connections)) in active.iter_mut().enumerate() {
        let rest = u64::from((index as u64) < t.outbound_active % services);
        *connections = t.outbound_active / services + rest;
    }
    out.extend([
        pruned(
            "connection_count",
            "gauge",
            "connections now, by service",
            with(active, &[(CLIENT, t.outbound_active), ("esmtp_listener", t.smtp_active)]),
        ),
        pruned("total_connections_denied", "counter", "connections turned away", with(Vec::new(), &[("esmtp_listener", t.smtp_denied)])),
        pruned(
            "total_messages_received",
            "counter",
            "messages taken",
            with(
                vec![(format!("esmtp_listener:{LISTENER}"), t.received_smtp)],
                &[("esmtp_listener", t.received_smtp), ("http_listener", t.received_http)],
            ),
        ),
        pruned(
            "total_connection_count",
            "counter",
            "connections ever made",
            with(by(|totals| totals.opened), &[(CLIENT, t.outbound_opened)]),
        ),
        pruned("ready_count", "gauge", "messages in ready queues", with(by(|totals| totals.ready), &[(CLIENT, t.ready())])),
        pruned("total_messages_delivered", "counter", "messages delivered", with(by(|totals| totals.delivered), &[(CLIENT, t.delivered)])),
        pruned(
            "total_messages_transfail",
            "counter",
            "attempts that are tried again",
            with(by(|totals| totals.deferred), &[(CLIENT, t.deferred)]),
        ),
        pruned(
            "total_messages_fail",
            "counter",
            "attempts that are not tried again",
            with(by(|totals| totals.failed), &[(CLIENT, t.failed)]),
        ),
        pruned("ready_full", "counter", "times that a ready queue was full", with(by(|_| 0), &[])),
        pruned(
            "smtp_server_rejections",
            "counter",
            "messages and recipients turned away",
            with(vec![(LISTENER.to_string(), t.rejected)], &[("total", t.rejected)]),
        ),
    ]);
}

fn providers(peers: &[Peer], out: &mut Vec<Family>) {
    let by = |of: fn(&Totals) -> u64| Value::By("provider", peers.iter().map(|peer| (peer.provider.clone(), of(&peer.totals))).collect());
    let by_pool = |of: fn(&Totals) -> u64| {
        let row = |peer: &Peer| (vec![peer.provider.clone(), POOL.to_string()], of(&peer.totals));
        Value::List(&["provider", "pool"], peers.iter().map(row).collect())
    };
    let by_source = |of: fn(&Totals) -> u64| {
        let row = |peer: &Peer, source: usize| {
            (vec![peer.provider.clone(), SOURCES[source].to_string(), POOL.to_string()], part(of(&peer.totals), source))
        };
        let rows = peers.iter().flat_map(|peer| (0..SOURCES.len()).map(move |source| row(peer, source)));
        Value::List(&["provider", "source", "pool"], rows.collect())
    };
    let (delivered, deferred, failed) = ("messages delivered", "attempts that are tried again", "attempts that are not tried again");
    let waiting = "messages in scheduled and ready queues";
    out.extend([
        pruned("total_messages_fail_by_provider_and_source", "counter", failed, by_source(|totals| totals.failed)),
        pruned("total_messages_delivered_by_provider_and_source", "counter", delivered, by_source(|totals| totals.delivered)),
        pruned("total_messages_transfail_by_provider_and_source", "counter", deferred, by_source(|totals| totals.deferred)),
        pruned("total_messages_fail_by_provider", "counter", failed, by(|totals| totals.failed)),
        pruned("total_messages_delivered_by_provider", "counter", delivered, by(|totals| totals.delivered)),
        pruned("total_messages_transfail_by_provider", "counter", deferred, by(|totals| totals.deferred)),
        pruned("queued_count_by_provider", "gauge", waiting, by(|totals| totals.scheduled + totals.ready)),
        pruned("queued_count_by_provider_and_pool", "gauge", waiting, by_pool(|totals| totals.scheduled + totals.ready)),
    ]);
}

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
    out.push(pruned("scheduled_by_domain", "gauge", "messages that wait, by domain", Value::By("domain", by_domain)));
    out.push(pruned("scheduled_count", "gauge", "messages that wait, by queue", Value::By("queue", by_queue)));
    // What never was is not there.
    if !tenants.is_empty() {
        let rows = tenants.into_iter().map(|(tenant, n)| (tenant.to_string(), n)).collect();
        out.push(pruned("scheduled_by_tenant", "gauge", "messages that wait, by tenant", Value::By("tenant", rows)));
    }
    if !campaigns.is_empty() {
        let rows = campaigns.into_iter().map(|((tenant, campaign), n)| (vec![tenant.to_string(), campaign.to_string()], n)).collect();
        let value = Value::List(&["tenant", "campaign"], rows);
        out.push(pruned("scheduled_by_tenant_campaign", "gauge", "messages that wait, by tenant and campaign", value));
    }
    if !throttled.is_empty() {
        let value = Value::By("queue", throttled);
        out.push(pruned("delayed_due_to_message_rate_throttle", "counter", "times that a rate held a message back", value));
    }
    if t.dane_ok + t.dane_none > 0 {
        let value = Value::By("result", vec![("ok".into(), t.dane_ok), ("not_applicable".into(), t.dane_none)]);
        out.push(pruned("dane_result_count", "counter", "what came of asking for DANE", value));
    }
}

/// Joins rows, and says how each is written. Nothing is escaped, as the server does not.
fn join<T>(out: &mut String, between: &str, rows: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut String, T)) {
    for (index, row) in rows.into_iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        each(out, row);
    }
}

/// The body of `/metrics.json`.
pub(super) fn metrics_json(t: &Traffic) -> String {
    let mut out = String::from("{");
    let mut first = true;
    for family in families(t) {
        if !std::mem::take(&mut first) {
            out.push_str(if family.pruned { ",\n" } else { "," });
        }
        let _ = write!(out, r#""{}":{{"help":"{}","type":"{}","value":"#, family.name, family.help, family.kind);
        let between = if family.pruned { ",\n" } else { "," };
        match family.value {
            Value::Number(n) => {
                let _ = write!(out, "{n}");
            }
            Value::By(label, rows) => {
                let _ = write!(out, "{{\"{label}\":{{");
                join(&mut out, between, rows, |out, (value, n)| {
                    let _ = write!(out, "\"{value}\":{n}");
                });
                out.push_str("}}");
            }
            Value::List(labels, rows) => {
                out.push('[');
                join(&mut out, between, rows, |out, (values, n)| {
                    out.push('{');
                    for (label, value) in labels.iter().zip(values) {
                        let _ = write!(out, "\"{label}\":\"{value}\",");
                    }
                    let _ = write!(out, "\"@\":{n}}}");
                });
                out.push(']');
            }
            Value::Histogram(None, of) => histogram_json(&mut out, &of),
            Value::Histogram(Some((label, value)), of) => {
                let _ = write!(out, "{{\"{label}\":{{\"{value}\":");
                histogram_json(&mut out, &of);
                out.push_str("}}");
            }
        }
        out.push('}');
    }
    out.push('}');
    out
}

/// Cumulative, without `+Inf`.
fn histogram_json(out: &mut String, of: &Distribution) {
    let average = if of.count == 0 { 0.0 } else { of.sum / of.count as f64 };
    let _ = write!(out, "{{\"avg\":{average:?},\"bucket\":[");
    join(out, ",", BOUNDS_SECONDS, |out, le| {
        let _ = write!(out, "[{le:?},{:?}]", of.at_most(*le) as f64);
    });
    let _ = write!(out, "],\"count\":{},\"sum\":{:?}}}", of.count, of.sum);
}

/// The body of `/metrics`.
pub(super) fn metrics(t: &Traffic, prefix: &str) -> String {
    let mut out = String::new();
    for family in families(t) {
        let name = format!("{prefix}{}", family.name);
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind);
        match family.value {
            Value::Number(n) => {
                let _ = writeln!(out, "{name} {n}");
            }
            Value::By(label, rows) => {
                rows.iter().for_each(|(value, n)| {
                    let _ = writeln!(out, "{name}{{{label}=\"{value}\"}} {n}");
                });
            }
            Value::List(labels, rows) => {
                for (values, n) in rows {
                    let _ = write!(out, "{name}{{");
                    join(&mut out, ", ", labels.iter().zip(values), |out, (label, value)| {
                        let _ = write!(out, "{label}=\"{value}\"");
                    });
                    let _ = writeln!(out, "}} {n}");
                }
            }
            Value::Histogram(labels, of) => {
                let label = labels.map_or_else(String::new, |(label, value)| format!("{label}=\"{value}\""));
                let comma = if label.is_empty() { "" } else { "," };
                for le in BOUNDS_SECONDS {
                    let _ = writeln!(out, "{name}_bucket{{{label}{comma}le=\"{le}\"}} {}", of.at_most(*le));
                }
                let _ = writeln!(out, "{name}_bucket{{{label}{comma}le=\"+Inf\"}} {}", of.count);
                let braced = if label.is_empty() { label } else { format!("{{{label}}}") };
                let _ = writeln!(out, "{name}_sum{braced} {}\n{name}_count{braced} {}", of.sum, of.count);
            }
        }
    }
    out
}
