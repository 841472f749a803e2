//! KumoMTA: `GET /metrics.json` or `/metrics`, access with Basic credentials or by trusted address.
//!
//! # Roll-ups only
//!
//! A family holds a roll-up (`smtp_client`) beside its details (`smtp_client:source->site`), so each rule names the series
//! that it takes. Other services (`lua`, `httpinject`, `xfer`) are hops inside the server and no deliveries.
//!
//! # Missing is not 0, and a counter may begin again
//!
//! Families are absent before their first use and series are pruned when idle, so no rule says `zero_when_absent`. Counters by
//! queue begin at 1 after that while the process lives: they are accumulated here, and `online_since` is not when they began.
//! A later `online_since` is a restart: every counter began at 0 again, also one that has overtaken its last value since.
//!
//! # What the counters leave out
//!
//! `total_messages_received` counts once per DATA, deliveries count once per recipient, so the two need not agree. Messages that
//! expire, bounces by an administrator and failures of suspended domains are in none of the server's counters.

mod escape;
mod forged;
mod json;
mod machine_info;
mod text;

use crate::model::vocabulary::*;
use crate::source::{AttributeSource, Credential, Part, Request, Rule, Source, Transform};
use std::time::Duration;

/// See the module.
pub static SOURCE: Source = Source {
    name: "kumomta",
    title: "KumoMTA",
    parts: &[
        Part {
            name: "metrics",
            help: "everything the server counts",
            requests: &[
                Request { format: "json", path: "/metrics.json", post: None, read: json::read },
                Request { format: "text", path: "/metrics", post: None, read: text::read },
            ],
            body_bytes_max: 256 * 1024 * 1024,
            credential: Credential::Optional,
            rules: RULES,
            known_by: KNOWN_BY,
            misnamed_when: &[],
            interval: None,
            on_unauthorized: ON_UNAUTHORIZED,
            on_not_found: "this is no http listener of KumoMTA, or a proxy before it does not pass /metrics.json on; check the url",
        },
        Part {
            name: "machine-info",
            help: "version and identity",
            requests: &[Request { format: "json", path: "/api/machine-info", post: None, read: machine_info::read }],
            body_bytes_max: 1024 * 1024,
            credential: Credential::Optional,
            rules: &[],
            known_by: &[],
            misnamed_when: &[],
            interval: Some(Duration::from_secs(60)),
            on_unauthorized: ON_UNAUTHORIZED,
            on_not_found: "KumoMTA has /api/machine-info since 2026.03.04; leave the part out of parts for an older one",
        },
    ],
    min_interval: Duration::from_secs(15),
    timeout: Duration::from_secs(10),
    requests_per_minute_max: None,
    windowed: false,
    gauges_underflow: true,
    mistyped_counters: &[],
    version: Some(("kumomta_machine_info", "version")),
    // `kumomta_online_since_seconds` is when the process began: counters that were pruned began later.
    counters_since: None,
    process_since: Some("kumomta_online_since_seconds"),
    records: None,
};

const ON_UNAUTHORIZED: &str = "set username and password of a user that may read metrics (otel-config/kumomta.lua shows its ACL), or, on the same machine, have trusted_hosts of KumoMTA's http listener hold the loopback address; a wrong credential is refused even from a trusted address";

/// An idle server has no metric of mail: these it has from its start, or whatever its use.
const KNOWN_BY: &[&str] = &[
    "deliver_message_*",
    "disk_free_inodes_percent",
    "log_submit_latency",
    "lruttl_*",
    "lua_event_*",
    "lua_spare_count",
    "memory_low_thresh",
    "memory_usage_rust",
    "rocks_spool_*",
    "scheduled_*",
    "thread_pool_parked",
    "total_messages_*",
];

static RULES: &[Rule] = &[
    // Queues.
    Rule::new(&["ready_count"], &QUEUE_DEPTH).when(SMTP_CLIENT).with(&[(&QUEUE_STATE, "ready")]),
    Rule::new(&["scheduled_count_total"], &QUEUE_DEPTH).with(SCHEDULED),
    Rule::new(&["scheduled_by_domain"], &QUEUE_DEPTH).with(SCHEDULED).detail("domain", &DESTINATION_DOMAIN),
    Rule::new(&["scheduled_by_tenant"], &QUEUE_DEPTH).with(SCHEDULED).detail("tenant", &TENANT_NAME),
    Rule::new(&["scheduled_count"], &QUEUE_DEPTH).with(SCHEDULED).detail("queue", &QUEUE_NAME),
    // Counts ready and scheduled messages together.
    Rule::new(&["queued_count_by_provider"], &QUEUE_DEPTH)
        .with(&[(&QUEUE_STATE, "queued")])
        .detail("provider", &PROVIDER_NAME)
        .in_place_of(&[&[(&QUEUE_STATE, "ready")], SCHEDULED]),
    // ready_full counts what the first of these does once more.
    Rule::new(&["delayed_due_to_ready_queue_full"], &QUEUE_DELAYS).with(&[(&DELAY_REASON, "ready_queue_full")]).step(Transform::Accumulate),
    Rule::new(&["delayed_due_to_message_rate_throttle"], &QUEUE_DELAYS)
        .with(&[(&DELAY_REASON, "message_rate")])
        .step(Transform::Accumulate),
    Rule::new(&["delayed_due_to_throttle_insert_ready"], &QUEUE_DELAYS)
        .with(&[(&DELAY_REASON, "ready_queue_insert_rate")])
        .step(Transform::Accumulate),
    // Mail in.
    Rule::new(&["total_messages_received"], &RECEIVED_MESSAGES).when(ESMTP_LISTENER).with(&[(&PROTOCOL, "smtp")]),
    Rule::new(&["total_messages_received"], &RECEIVED_MESSAGES).when(&[("service", "http_listener")]).with(&[(&PROTOCOL, "http")]),
    Rule::new(&["smtp_server_rejections"], &REJECTED_MESSAGES).when(&[("service", "total")]).with(&[(&REJECTION_REASON, "unspecified")]),
    // Mail out.
    Rule::new(&["total_messages_delivered"], &DELIVERY_ATTEMPTS).when(SMTP_CLIENT).with(&[(&DELIVERY_OUTCOME, "delivered")]),
    Rule::new(&["total_messages_transfail"], &DELIVERY_ATTEMPTS).when(SMTP_CLIENT).with(&[(&DELIVERY_OUTCOME, "deferred")]),
    Rule::new(&["total_messages_fail"], &DELIVERY_ATTEMPTS).when(SMTP_CLIENT).with(&[(&DELIVERY_OUTCOME, "failed")]),
    Rule::new(&["deliver_message_latency_rollup"], &DELIVERY_ATTEMPT_DURATION).when(SMTP_CLIENT),
    Rule::new(&["dane_result_count"], &VERIFICATIONS).with(&[(&VERIFICATION_METHOD, "dane")]).from(&[AttributeSource::table(
        "result",
        &VERIFICATION_RESULT,
        DANE_RESULTS,
    )]),
    // Connections.
    Rule::new(&["connection_count"], &CONNECTION_ACTIVE).when(ESMTP_LISTENER).with(INBOUND),
    Rule::new(&["connection_count"], &CONNECTION_ACTIVE).when(SMTP_CLIENT).with(OUTBOUND),
    Rule::new(&["total_connection_count"], &CONNECTION_OPENED).when(SMTP_CLIENT).with(OUTBOUND),
    Rule::new(&["total_connections_denied"], &CONNECTION_DENIED).when(ESMTP_LISTENER).with(INBOUND),
    // The process and its host.
    Rule::new(&["memory_usage"], &PROCESS_MEMORY_USAGE),
    // `process_cpu_usage_*` stays native: the conventions require `cpu.mode`, which it does not have.
    Rule::new(&["system_cpu_usage_normalized"], &SYSTEM_CPU_UTILIZATION).scale(PERCENT),
];

const PERCENT: f64 = 0.01;
static SMTP_CLIENT: &[(&str, &str)] = &[("service", "smtp_client")];
static ESMTP_LISTENER: &[(&str, &str)] = &[("service", "esmtp_listener")];
static SCHEDULED: &[(&crate::model::Attribute, &str)] = &[(&QUEUE_STATE, "scheduled")];
static INBOUND: &[(&crate::model::Attribute, &str)] = &[(&PROTOCOL, "smtp"), (&CONNECTION_DIRECTION, "inbound")];
static OUTBOUND: &[(&crate::model::Attribute, &str)] = &[(&PROTOCOL, "smtp"), (&CONNECTION_DIRECTION, "outbound")];
static DANE_RESULTS: &[(&str, &str)] = &[
    ("ok", "pass"),
    ("unusable", "unusable"),
    ("not_applicable", "not_applicable"),
    ("insecure_chain", "insecure"),
    ("tempfail", "temperror"),
];

#[cfg(test)]
mod tests;
