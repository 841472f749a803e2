#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::{Environment, parse};
use crate::model::vocabulary::{DELIVERY_ATTEMPTS, DELIVERY_OUTCOME, SERVICE_NAME, SERVICE_STATE, SERVICE_STATUS};
use crate::poll::{Limits, Target};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// A target whose deliveries are counted from its delivery log, so that a test can add counts without a server.
fn target() -> Arc<Target> {
    let text = "state_dir: /tmp\ntargets: [{name: a, system: cpanel, username: u, token: x, url: 'https://a.example.com', parts: {messages: {}, servicestatus: {}, fetch_mail_queue: {}}}]";
    let config = parse(text, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    Target::new(config.targets[0].clone(), Limits::default()).unwrap()
}

fn attempts(counts: [f64; 3]) -> Vec<Point> {
    let outcomes = ["delivered", "deferred", "failed"];
    outcomes.into_iter().zip(counts).map(|(outcome, n)| Point::new(&DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, outcome)], n)).collect()
}

fn found(points: &[Point], increases: &[[f64; 3]]) -> Vec<String> {
    let (target, start) = (target(), Instant::now());
    let mut sums = [1000.0; 3];
    target.note_log_counts(start, &attempts(sums));
    for (i, increase) in increases.iter().enumerate() {
        sums = std::array::from_fn(|i| sums[i] + increase[i]);
        target.note_log_counts(start + Duration::from_secs(60 * (i as u64 + 1)), &attempts(sums));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let concerns = target.history(|history| concerns(points, history, now));
    concerns.iter().map(|concern| format!("{}: {}", concern.kind.label(), concern.value)).collect()
}

fn service(name: &'static str, state: &'static str, value: f64) -> Point {
    Point::new(&SERVICE_STATUS, &[(&SERVICE_NAME, name), (&SERVICE_STATE, state)], value)
}

fn queue(state: &'static str, value: f64) -> Point {
    Point::new(&QUEUE_DEPTH, &[(&QUEUE_STATE, state)], value)
}

#[test]
fn services_that_are_down_are_named() {
    let points = [service("exim", "down", 1.0), service("exim", "up", 0.0), service("dovecot", "up", 1.0), service("dovecot", "down", 0.0)];
    assert_eq!(found(&points, &[]), ["services down: exim"]);
    assert!(found(&points[2..], &[]).is_empty());
}

#[test]
fn mail_that_waits_for_an_operator_is_counted() {
    assert_eq!(found(&[queue("held", 3.0), queue("frozen", 0.0), queue("active", 9.0)], &[]), ["held mail: 3 held"]);
    assert_eq!(found(&[queue("held", 3.0), queue("frozen", 2.0)], &[]), ["held mail: 3 held", "held mail: 2 frozen"]);
    assert!(found(&[queue("active", 90.0)], &[]).is_empty());
}

#[test]
fn a_message_that_servers_usually_give_up_is_old() {
    let oldest = |seconds| Point::new(&QUEUE_OLDEST_AGE, &[], seconds);
    assert_eq!(found(&[oldest(3600.0 * 150.0)], &[]), ["old mail: 6 d 6 h"]);
    assert!(found(&[oldest(470_000.0)], &[]).is_empty());
}

#[test]
fn ratios_need_enough_attempts() {
    assert_eq!(found(&[], &[[60.0, 39.0, 1.0], [0.0, 1.0, 0.0]]), ["many deferrals: 40 % of 101 attempts"]);
    assert_eq!(found(&[], &[[80.0, 0.0, 20.0]]), ["many failures: 20 % of 100 attempts"]);
    assert!(found(&[], &[[70.0, 29.0, 1.0]]).is_empty(), "below the threshold");
    assert!(found(&[], &[[5.0, 9.0, 5.0]]).is_empty(), "too few attempts");
    assert!(found(&[], &[]).is_empty(), "no attempts");
}

/// The thresholds are those of the alert rules.
#[test]
fn the_thresholds_are_those_of_the_alerts() {
    let alerts = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/alerts/mail.yml")).unwrap();
    let held = HELD_STATES.join("|");
    for expression in [
        format!(
            "mail:queue_waiting:sum > {QUEUE_MIN} and mail:queue_waiting:sum > {QUEUE_GROWTH_MAX} * (mail:queue_waiting:sum offset 1h)"
        ),
        format!("mail_queue_oldest_age_seconds{{mail_queue_state!~\"{held}\"}}) > {} * 86400", OLDEST_SECONDS_MAX / 86_400.0),
        format!("increase{}m) >= {ATTEMPTS_MIN}) > {DEFERRED_SHARE_MAX}\n", ATTEMPTS_SECONDS / 60),
        format!("increase{}m) >= {ATTEMPTS_MIN}) > {FAILED_SHARE_MAX}\n", ATTEMPTS_SECONDS / 60),
    ] {
        assert!(alerts.contains(&expression), "{expression}");
    }
}
