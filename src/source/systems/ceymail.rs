//! CeyMail: `GET /api/stats/metrics`, Prometheus text format, bearer token.
//!
//! This is the shortest mail system. To add another one, copy this file and follow the steps in [`crate::source`].
//!
//! # Facts
//!
//! From the documentation of the statistics API, which needs the Business plan:
//!
//! - There is one valid token. It is shown once; creating another one revokes it.
//! - Each client address may send 12 requests a minute. Requests are counted before authentication, so rejected ones count, too.
//! - All metrics are gauges, including those whose names end in `_total`.
//! - A service that is not loaded has no series. No rule takes a missing series for 0.
//! - The last line may lack its line feed.

use crate::format::prometheus;
use crate::model::vocabulary::*;
use crate::source::{AttributeSource, Credential, Part, Request, Rule, Source, Transform};
use std::time::Duration;

/// CeyMail, as listed in the registry. Every field that is not set here has the default of [`Source::new`] or [`Part::new`].
pub static SOURCE: Source =
    Source { min_interval: Duration::from_secs(10), requests_per_minute_max: Some(12), ..Source::new("ceymail", "CeyMail", PARTS) };

static PARTS: &[Part] = &[Part {
    body_bytes_max: 1024 * 1024,
    credential: Credential::Bearer,
    rules: RULES,
    identifying_families: &["ceymail_*"],
    unauthorized_hint: "set token (or token_file) to the API token from the statistics page; creating a new token there revokes the old one, and the Business plan is required",
    not_found_hint: "this server has no statistics API at /api/stats/metrics; check the url and the plan",
    ..Part::new("metrics", "all metrics of the server", REQUESTS)
}];

static REQUESTS: &[Request] = &[Request::get("text", "/api/stats/metrics", prometheus::read_unterminated)];

static RULES: &[Rule] = &[
    // The mail queue.
    Rule::new(&["ceymail_queue_active"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "active")]),
    Rule::new(&["ceymail_queue_deferred"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "deferred")]),
    Rule::new(&["ceymail_queue_hold"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "held")]),
    Rule::new(&["ceymail_queue_bounce"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "bounce")]),
    // Services: each native series becomes two points, one for each state.
    Rule::new(&["ceymail_service_up"], &SERVICE_STATUS)
        .with(&[(&SERVICE_STATE, "up")])
        .from(&[AttributeSource::labels(&["name"], &SERVICE_NAME)])
        .transform(Transform::IsNonZero),
    Rule::new(&["ceymail_service_up"], &SERVICE_STATUS)
        .with(&[(&SERVICE_STATE, "down")])
        .from(&[AttributeSource::labels(&["name"], &SERVICE_NAME)])
        .transform(Transform::IsZero),
    // Configuration.
    Rule::new(&["ceymail_domains_total"], &DOMAIN_CONFIGURED),
    Rule::new(&["ceymail_mailboxes_total"], &ACCOUNT_CONFIGURED),
    Rule::new(&["ceymail_aliases_total"], &ALIAS_CONFIGURED),
    // The host. CPU times are counters, so utilization is calculated from two polls.
    Rule::new(&["ceymail_memory_used_bytes"], &SYSTEM_MEMORY_USAGE).with(&[(&MEMORY_STATE, "used")]),
    Rule::new(&["ceymail_memory_total_bytes"], &SYSTEM_MEMORY_LIMIT),
    Rule::new(&["ceymail_disk_used_bytes"], &SYSTEM_FILESYSTEM_USAGE).with(&[(&FILESYSTEM_STATE, "used"), (&FILESYSTEM_MOUNTPOINT, "/")]),
    Rule::new(&["ceymail_disk_total_bytes"], &SYSTEM_FILESYSTEM_LIMIT).with(&[(&FILESYSTEM_MOUNTPOINT, "/")]),
    Rule::new(&["ceymail_cpu_idle_jiffies"], &SYSTEM_CPU_UTILIZATION).transform(Transform::OneMinusShareOf("ceymail_cpu_total_jiffies")),
];
