//! The fleet of the replay: metrics of some mail servers over two weeks, with the traffic of days, nights and weekends.
//!
//! Numbers vary by a fixed pseudo-random sequence, so that each run is the same.

use std::f64::consts::PI;
use std::ops::Range;

/// The interval of samples, in minutes.
pub const STEP: u64 = 5;
pub const HOUR: u64 = 60;
pub const DAY: u64 = 24 * HOUR;
pub const WEEK: u64 = 7 * DAY;

/// Postmeter does not run, on the first Friday.
pub const OUTAGE: Range<u64> = 4 * DAY + HOUR..4 * DAY + 12 * HOUR;
/// The attack, on the second Wednesday.
const ATTACK: Range<u64> = WEEK + 2 * DAY + 2 * HOUR..WEEK + 2 * DAY + 4 * HOUR;
/// Retries to a domain that has disappeared, from the first Sunday evening on.
const DEAD_DOMAIN: Range<u64> = 6 * DAY + 20 * HOUR..WEEK + 3 * DAY;

/// The servers, most of which are both pulled and pushed.
const SERVERS: &[(&str, &str, &[&str])] = &[
    ("kumomta", "mta1", &["pull", "otlp"]),
    ("cpanel", "whm1", &["pull", "otlp"]),
    ("stalwart", "stal1", &["pull"]),
    ("emailengine", "ee1", &["otlp"]),
    ("ceymail", "cey1", &["pull"]),
];

/// A number between 0 and 1 for a time and a purpose.
fn random(time: u64, purpose: u64) -> f64 {
    let mut state = (time * 31 + purpose).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^= state >> 29;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (state >> 40) as f64 / (1 << 24) as f64
}

/// The share of the busiest traffic at this time: a tenth at night, a third on weekends.
fn share(time: u64) -> f64 {
    let hour = (time % DAY) as f64 / HOUR as f64;
    let day = if (6.0..20.0).contains(&hour) { (PI * (hour - 6.0) / 14.0).sin() } else { 0.0 };
    let is_weekend = (time % WEEK) / DAY >= 5;
    (0.1 + 0.9 * day) * if is_weekend { 0.3 } else { 1.0 }
}

/// `true` while a weekly event of this weekday and these hours takes place.
fn weekly(time: u64, weekday: u64, hours: Range<u64>) -> bool {
    (time % WEEK) / DAY == weekday && hours.contains(&((time % DAY) / HOUR))
}

fn if_in(range: &Range<u64>, time: u64, n: f64) -> f64 {
    if range.contains(&time) { n } else { 0.0 }
}

type PerHour = fn(u64) -> f64;
type Now = fn(u64) -> f64;

/// Counters: server, metric, labels, events per hour.
const COUNTERS: &[(usize, &str, &str, PerHour)] = &[
    (0, "mail_delivery_attempts_total", r#"mail_delivery_outcome="delivered""#, |t| 6000.0 * share(t)),
    (0, "mail_delivery_attempts_total", r#"mail_delivery_outcome="deferred""#, |t| 400.0 * share(t)),
    (0, "mail_delivery_attempts_total", r#"mail_delivery_outcome="failed""#, |t| 120.0 * share(t)),
    (0, "mail_connection_denied_total", r#"mail_connection_direction="inbound""#, |t| 20.0 * share(t) + if_in(&ATTACK, t, 9000.0)),
    // A scanner comes every Wednesday night.
    (0, "mail_tls_failures_total", r#"mail_connection_direction="inbound""#, |t| if weekly(t, 2, 21..23) { 400.0 } else { 20.0 }),
    (1, "mail_delivery_attempts_total", r#"mail_delivery_outcome="delivered""#, |t| 300.0 * share(t) + if_in(&ATTACK, t, 900.0)),
    // Thirty messages to a dead domain, retried every half hour.
    (1, "mail_delivery_attempts_total", r#"mail_delivery_outcome="deferred""#, |t| 15.0 * share(t) + if_in(&DEAD_DOMAIN, t, 60.0)),
    (1, "mail_delivery_attempts_total", r#"mail_delivery_outcome="failed""#, |t| 6.0 * share(t) + if_in(&ATTACK, t, 600.0)),
    (1, "mail_received_messages_total", r#"mail_message_source="authenticated""#, |t| 300.0 * share(t)),
    (2, "mail_delivery_attempts_total", r#"mail_delivery_outcome="delivered""#, |t| 30.0 * share(t)),
    (2, "mail_delivery_attempts_total", r#"mail_delivery_outcome="deferred""#, |_| 50.0),
    (2, "mail_delivery_attempts_total", r#"mail_delivery_outcome="failed""#, |t| 0.5 * share(t)),
    // On Monday morning many passwords have expired.
    (2, "mail_authentication_attempts_total", r#"mail_authentication_direction="inbound",mail_authentication_outcome="failure""#, |t| {
        20.0 + if weekly(t, 0, 8..10) { 1500.0 } else { 0.0 } + if_in(&ATTACK, t, 9000.0)
    }),
    (2, "mail_authentication_attempts_total", r#"mail_authentication_direction="inbound",mail_authentication_outcome="success""#, |t| {
        900.0 * share(t)
    }),
    (3, "mail_webhook_requests_total", r#"mail_webhook_outcome="success""#, |t| 600.0 * share(t)),
    (3, "mail_webhook_requests_total", r#"mail_webhook_outcome="failure""#, |t| 6.0 * share(t)),
];

/// Gauges: server, metric, labels, value.
const GAUGES: &[(usize, &str, &str, Now)] = &[
    (0, "mail_queue_depth", r#"mail_queue_state="ready""#, |t| 100.0 * share(t)),
    // A newsletter every Tuesday at ten.
    (0, "mail_queue_depth", r#"mail_queue_state="scheduled""#, |t| 300.0 * share(t) + if weekly(t, 1, 10..12) { 4000.0 } else { 0.0 }),
    (1, "mail_queue_depth", r#"mail_queue_state="queued""#, |t| 15.0 + if_in(&DEAD_DOMAIN, t, 30.0) + if_in(&ATTACK, t, 25.0)),
    // Bounces to forged senders, removed every afternoon.
    (1, "mail_queue_depth", r#"mail_queue_state="frozen""#, |t| 5.0 + (((t + 9 * HOUR) % DAY) / HOUR) as f64),
    (1, "mail_queue_oldest_age_seconds", r#"mail_queue_state="queued""#, |t| 60.0 * (t % (4 * DAY)) as f64),
    (1, "mail_queue_oldest_age_seconds", r#"mail_queue_state="frozen""#, |_| 600_000.0),
    (1, "system_filesystem_usage_bytes", r#"system_filesystem_state="used",system_filesystem_mountpoint="/""#, |t| 60.0e9 + t as f64 * 1e6),
    (1, "system_filesystem_limit_bytes", r#"system_filesystem_mountpoint="/""#, |_| 100.0e9),
    (1, "system_filesystem_usage_bytes", r#"system_filesystem_state="used",system_filesystem_mountpoint="/snap/core/1""#, |_| 1e8),
    (1, "system_filesystem_limit_bytes", r#"system_filesystem_mountpoint="/snap/core/1""#, |_| 1e8),
    (1, "mail_service_status", r#"mail_service_name="exim",mail_service_state="down""#, |_| 0.0),
    (1, "email_flag_stats", r#"domain="example.com",user="bob",flag="reached_maxemails""#, |t| {
        if_in(&(ATTACK.start + HOUR..ATTACK.end + HOUR), t, 1.0)
    }),
    // Small, and at night often without any delivery, but never without retries.
    (2, "mail_queue_depth", r#"mail_queue_state="queued""#, |_| 25.0),
    (3, "mail_account_status", r#"mail_account_state="authentication_error""#, |_| 0.0),
    (3, "license_days_remaining", "", |t| 300.0 - (t / DAY) as f64),
    (4, "mail_queue_depth", r#"mail_queue_state="deferred""#, |t| 8.0 + 20.0 * share(t)),
    (4, "mail_queue_depth", r#"mail_queue_state="held""#, |_| 3.0),
];

/// Messages that users of whm1 send, per hour. The totals restart at midnight.
const USERS: &[(&str, PerHour)] = &[
    ("alice", |t| 40.0 * share(t)),
    ("bob", |t| 20.0 * share(t) + if_in(&ATTACK, t, 1500.0)),
    ("news", |t| if weekly(t, 1, 10..11) { 2000.0 } else { 0.0 }),
];

/// The series of the fleet in promtool's notation, with their values separated by spaces.
pub fn series() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |server: usize, metric: &str, labels: &str, value: &mut dyn FnMut(u64) -> f64| {
        let (job, instance, vias) = SERVERS[server];
        let values = values(value);
        // The licence and WHM's statistics are native metrics.
        let is_native = metric.starts_with("license") || metric.starts_with("email_");
        let system = if is_native { String::new() } else { format!(",mail_system_name=\"{job}\"") };
        let labels = if labels.is_empty() { String::new() } else { format!(",{labels}") };
        for via in vias {
            all.push((format!("{metric}{{job=\"{job}\",instance=\"{instance}\"{system}{labels},via=\"{via}\"}}"), values.clone()));
        }
    };
    for (server, metric, labels, per_hour) in COUNTERS {
        let (mut total, purpose) = (0.0, labels.len() as u64 + *server as u64);
        add(*server, metric, labels, &mut |time| {
            total += events(*per_hour, time, purpose);
            f64::floor(total)
        });
    }
    for (server, metric, labels, now) in GAUGES {
        add(*server, metric, labels, &mut |time| now(time).floor());
    }
    for server in 0..SERVERS.len() {
        add(server, "mail_up", "", &mut |_| 1.0);
        add(server, "postmeter_poll_age_seconds", "", &mut |time| (random(time, 9) * 60.0).floor());
    }
    for (user, per_hour) in USERS {
        let mut total = 0.0;
        let labels = format!(r#"domain="example.com",primary_domain="example.com",user="{user}",owner="root",stat_type="send_count""#);
        add(1, "email_user_stats", &labels, &mut |time| {
            total = if time % DAY == 0 { 0.0 } else { total } + events(*per_hour, time, 5);
            f64::floor(total)
        });
    }
    for (metric, value) in
        [("postmeter_build_info", 1), ("postmeter_config_last_reload_successful", 1), ("postmeter_targets_circuit_open", 0)]
    {
        all.push((format!("{metric}{{job=\"postmeter\",instance=\"pm1\",via=\"pull\"}}"), values(&mut |_| f64::from(value))));
    }
    // Prometheus itself notes that the scrape fails.
    let up = (0..2 * WEEK).step_by(STEP as usize).map(|time| if OUTAGE.contains(&time) { "0" } else { "1" });
    all.push((r#"up{job="postmeter",instance="postmeter:9464",via="pull"}"#.to_owned(), up.collect::<Vec<_>>().join(" ")));
    all
}

/// The events in one step, up to a quarter more or fewer than the average.
fn events(per_hour: PerHour, time: u64, purpose: u64) -> f64 {
    per_hour(time) * STEP as f64 / HOUR as f64 * (0.75 + 0.5 * random(time, purpose))
}

/// The values of a series in each step; `_` during the outage, in which the servers continue to count.
fn values(value: &mut dyn FnMut(u64) -> f64) -> String {
    let steps = (0..2 * WEEK).step_by(STEP as usize);
    let text = |time: u64| {
        let value = value(time);
        if OUTAGE.contains(&time) { "_".to_owned() } else { value.to_string() }
    };
    steps.map(text).collect::<Vec<_>>().join(" ")
}
