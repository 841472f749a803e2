//! KumoMTA: `GET /metrics.json` or `/metrics`, with Basic authentication or from a trusted address.
//!
//! # Only roll-ups are mapped
//!
//! A family contains a roll-up (`smtp_client`) next to its details (`smtp_client:source->site`), so each rule names the series that it
//! takes. Other services (`lua`, `httpinject`, `xfer`) are hops inside the server, not deliveries.
//!
//! # A missing series is not 0, and a counter can restart
//!
//! Families are missing before their first use, and idle series are pruned, so no rule uses `zero_when_absent`. A pruned counter by
//! queue restarts at 1 while the process keeps running. Postmeter therefore accumulates the increases, and `online_since` is not the
//! start time of these counters. A later `online_since` means a restart: every counter started again at 0, including those that have
//! exceeded their previous value since.
//!
//! # What the counters omit
//!
//! `total_messages_received` counts once per DATA command and deliveries count once per recipient, so the two need not agree. Messages
//! that expire, administrative bounces and failures of suspended domains are in none of the server's counters.

mod escape;
mod forged;
mod json;
mod machine_info;
mod text;

use crate::model::vocabulary::*;
use crate::source::{AttributeSource, Part, Request, Rule, Source, Transform};
use std::time::Duration;

/// KumoMTA, as listed in the registry.
pub static SOURCE: Source = Source {
    gauges_underflow: true,
    version: Some(("kumomta_machine_info", "version")),
    // `counters_since` is not set: `kumomta_online_since_seconds` is the start of the process, and pruned counters started later.
    process_since: Some("kumomta_online_since_seconds"),
    ..Source::new("kumomta", "KumoMTA", PARTS)
};

static PARTS: &[Part] = &[
    Part {
        body_bytes_max: 256 * 1024 * 1024,
        rules: RULES,
        identifying_families: IDENTIFYING_FAMILIES,
        unauthorized_hint: UNAUTHORIZED_HINT,
        not_found_hint: "this is not an HTTP listener of KumoMTA, or a proxy in front of it does not forward /metrics.json; check the url",
        ..Part::new(
            "metrics",
            "all metrics of the server",
            &[Request::get("json", "/metrics.json", json::read), Request::get("text", "/metrics", text::read)],
        )
    },
    Part {
        body_bytes_max: 1024 * 1024,
        interval: Some(Duration::from_secs(60)),
        unauthorized_hint: UNAUTHORIZED_HINT,
        not_found_hint: "KumoMTA has /api/machine-info since 2026.03.04; remove the part from parts for an older version",
        ..Part::new("machine-info", "version and identity", &[Request::get("json", "/api/machine-info", machine_info::read)])
    },
];

const UNAUTHORIZED_HINT: &str = "set username and password to those of a user that may read metrics (otel-config/kumomta.lua has its ACL), or, on the same machine, add the loopback address to trusted_hosts of KumoMTA's http listener; a wrong credential is rejected even from a trusted address";

/// Families that the server has even if it is idle. An idle server has no metrics of mail.
const IDENTIFYING_FAMILIES: &[&str] = &[
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
    // This family counts ready and scheduled messages together.
    Rule::new(&["queued_count_by_provider"], &QUEUE_DEPTH)
        .with(&[(&QUEUE_STATE, "queued")])
        .detail("provider", &PROVIDER_NAME)
        .replacing(&[&[(&QUEUE_STATE, "ready")], SCHEDULED]),
    // `ready_full` is not mapped: it counts the same delays as `delayed_due_to_ready_queue_full`.
    Rule::new(&["delayed_due_to_ready_queue_full"], &QUEUE_DELAYS)
        .with(&[(&DELAY_REASON, "ready_queue_full")])
        .transform(Transform::Accumulate),
    Rule::new(&["delayed_due_to_message_rate_throttle"], &QUEUE_DELAYS)
        .with(&[(&DELAY_REASON, "message_rate")])
        .transform(Transform::Accumulate),
    Rule::new(&["delayed_due_to_throttle_insert_ready"], &QUEUE_DELAYS)
        .with(&[(&DELAY_REASON, "ready_queue_insert_rate")])
        .transform(Transform::Accumulate),
    // Received messages.
    Rule::new(&["total_messages_received"], &RECEIVED_MESSAGES).when(ESMTP_LISTENER).with(&[(&PROTOCOL, "smtp")]),
    Rule::new(&["total_messages_received"], &RECEIVED_MESSAGES).when(&[("service", "http_listener")]).with(&[(&PROTOCOL, "http")]),
    Rule::new(&["smtp_server_rejections"], &REJECTED_MESSAGES).when(&[("service", "total")]).with(&[(&REJECTION_REASON, "unspecified")]),
    // Deliveries.
    Rule::new(&["total_messages_delivered"], &DELIVERY_ATTEMPTS).when(SMTP_CLIENT).with(&[(&DELIVERY_OUTCOME, "delivered")]),
    Rule::new(&["total_messages_transfail"], &DELIVERY_ATTEMPTS).when(SMTP_CLIENT).with(&[(&DELIVERY_OUTCOME, "deferred")]),
    Rule::new(&["total_messages_fail"], &DELIVERY_ATTEMPTS).when(SMTP_CLIENT).with(&[(&DELIVERY_OUTCOME, "failed")]),
    Rule::new(&["deliver_message_latency_rollup"], &DELIVERY_ATTEMPT_DURATION).when(SMTP_CLIENT),
    Rule::new(&["dane_result_count"], &VERIFICATIONS).with(&[(&VERIFICATION_METHOD, "dane")]).from(&[AttributeSource::labels(
        &["result"],
        &VERIFICATION_RESULT,
    )
    .by_table(DANE_RESULTS)]),
    // Connections.
    Rule::new(&["connection_count"], &CONNECTION_ACTIVE).when(ESMTP_LISTENER).with(INBOUND),
    Rule::new(&["connection_count"], &CONNECTION_ACTIVE).when(SMTP_CLIENT).with(OUTBOUND),
    Rule::new(&["total_connection_count"], &CONNECTION_OPENED).when(SMTP_CLIENT).with(OUTBOUND),
    Rule::new(&["total_connections_denied"], &CONNECTION_DENIED).when(ESMTP_LISTENER).with(INBOUND),
    // The process and its host.
    Rule::new(&["memory_usage"], &PROCESS_MEMORY_USAGE),
    // `process_cpu_usage_*` is not mapped: the semantic conventions require `cpu.mode`, which it does not have.
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
