//! Support for tests of polling: targets from YAML, a scripted server, and checks of readings.
#![allow(dead_code, reason = "not every test binary needs all of it")]

mod server;

pub use crate::support::gzip::gzip;
pub use server::{Act, Server, chunked, response, send};

pub use crate::support::thread_log::Log;

use crate::support::wait_until;
use postmeter::config::{self, Environment};
use postmeter::poll::{Clock, Limits, Reading, Target};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A credential that must not appear in any output.
pub const SECRET: &str = "s3cr3t-c0ffee";
/// The credential in Basic authentication of `user`.
const SECRET_IN_BASE64: &str = "dXNlcjpzM2NyM3QtYzBmZmVl";
/// A valid response of EmailEngine.
pub const GOOD: &str = "events{event=\"messageSent\"} 7\nserver_memory 1\n";
/// The longest time that a test waits.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().copied().collect()
}

/// The configuration of a target: its keys in YAML, without the name.
#[track_caller]
pub fn configured(keys: &str, environment: &Environment) -> config::Target {
    let receive = if keys.contains("deliveries:") { "receive: {listen: '127.0.0.1:0'}\nstate_dir: /var/lib/postmeter\n" } else { "" };
    let text = format!("{receive}targets: [{{name: t, {keys}}}]");
    let mut config = config::parse(&text, "test.yaml", environment).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let mut target = config.targets.remove(0);
    if !keys.contains("min_interval") {
        // Every call polls.
        target.min_interval = Duration::ZERO;
    }
    target
}

#[track_caller]
pub fn target(keys: &str) -> Arc<Target> {
    target_at(keys, SystemTime::now)
}

#[track_caller]
pub fn target_at(keys: &str, clock: Clock) -> Arc<Target> {
    let variables = environment(&[("SECRET", SECRET)]);
    Target::with_clock(configured(keys, &variables), Limits::default(), clock).unwrap()
}

/// An EmailEngine target at this address, with the secret token.
#[track_caller]
pub fn emailengine(url: &str) -> Arc<Target> {
    target(&format!("system: emailengine, url: '{url}', token: '${{env:SECRET}}', timeout: 5s"))
}

/// A target with a short timeout.
#[track_caller]
pub fn hasty(url: &str) -> Arc<Target> {
    target(&format!("system: emailengine, url: '{url}', token: '${{env:SECRET}}', timeout: 400ms"))
}

/// The value of the canonical metric whose attributes have these values, in order.
pub fn value(reading: &Reading, metric: &str, attributes: &[&str]) -> Option<f64> {
    let points = reading.points(Instant::now());
    points
        .into_iter()
        .find(|p| p.metric.name == metric && p.attributes.iter().map(|(_, v)| &**v).eq(attributes.iter().copied()))
        .map(|p| p.value)
}

#[track_caller]
pub fn is_good(reading: &Arc<Reading>) {
    assert!(reading.outcome.is_ok(), "{:?}", reading.outcome);
    assert_eq!(value(reading, "mail.up", &[]), Some(1.0));
}

/// Checks that the reading failed with `mail.up` 0, and that the error has one line with advice.
#[track_caller]
pub fn fails(target: &Target, reading: &Arc<Reading>, error_type: &str, message: &str) {
    let error = reading.outcome.as_ref().expect_err("it should have failed");
    let line = error.to_string();
    assert_eq!(error.error_type(), error_type, "{line}");
    assert_eq!(value(reading, "mail.up", &[]), Some(0.0));
    let names: Vec<&str> = reading.points(Instant::now()).iter().map(|p| p.metric.name).collect();
    assert!(names.iter().all(|name| *name == "mail.up" || name.starts_with("postmeter.poll.")), "{names:?}");
    assert!(line.contains(message), "{line}\nshould contain: {message}");
    assert!((10..500).contains(&line.len()) && !line.contains(['\n', '\r']), "not one useful line: {line:?}");
    has_no_secret(&format!("{target:?}{reading:?}{error:?}{line}"));
}

/// Checks that a text has no secret.
#[track_caller]
pub fn has_no_secret(text: &str) {
    assert!(!text.contains(SECRET) && !text.contains(SECRET_IN_BASE64), "a secret is seen: {text}");
}

/// Waits until the condition is true.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    wait_until(condition, PATIENCE, what)
}
