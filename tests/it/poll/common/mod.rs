//! What tests of polling share: targets from YAML, a server that plays bytes, and what a failed reading must look like.
#![allow(dead_code, reason = "not every test binary needs all of it")]

mod server;

pub use server::{Act, Server, answer, chunked, gzip, say};

use crate::support::wait_until;
use postmeter::config::{self, Environment};
use postmeter::poll::{Clock, Limits, Reading, Target};
use std::cell::RefCell;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant, SystemTime};

/// A credential that must not be seen anywhere.
pub const SECRET: &str = "s3cr3t-c0ffee";
/// The same as Basic authentication of `user` has it.
const SECRET_IN_BASE64: &str = "dXNlcjpzM2NyM3QtYzBmZmVl";
/// A good answer of EmailEngine.
pub const GOOD: &str = "events{event=\"messageSent\"} 7\nserver_memory 1\n";
/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().copied().collect()
}

/// The configuration of a target: its keys in YAML, without the name.
#[track_caller]
pub fn configured(keys: &str, environment: &Environment) -> config::Target {
    let text = format!("targets: [{{name: t, {keys}}}]");
    let mut config = config::parse(&text, "test.yaml", environment).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let mut target = config.targets.remove(0);
    if !keys.contains("min_interval") {
        // Each call polls.
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

/// An EmailEngine there, with the token that must not be seen.
#[track_caller]
pub fn emailengine(url: &str) -> Arc<Target> {
    target(&format!("system: emailengine, url: '{url}', token: '${{env:SECRET}}', timeout: 5s"))
}

/// With a deadline that a test can wait for.
#[track_caller]
pub fn hasty(url: &str) -> Arc<Target> {
    target(&format!("system: emailengine, url: '{url}', token: '${{env:SECRET}}', timeout: 400ms"))
}

/// The value of a canonical metric whose attributes have these values, in order.
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

/// The reading failed, says so as `mail.up` 0, and tells an operator in one line what to do.
#[track_caller]
pub fn fails(target: &Target, reading: &Arc<Reading>, error_type: &str, says: &str) {
    let error = reading.outcome.as_ref().expect_err("it should have failed");
    let line = error.to_string();
    assert_eq!(error.error_type(), error_type, "{line}");
    assert_eq!(value(reading, "mail.up", &[]), Some(0.0));
    let names: Vec<&str> = reading.points(Instant::now()).iter().map(|p| p.metric.name).collect();
    assert!(names.iter().all(|name| *name == "mail.up" || name.starts_with("mail.poll.")), "{names:?}");
    assert!(line.contains(says), "{line}\nshould say: {says}");
    assert!((10..500).contains(&line.len()) && !line.contains(['\n', '\r']), "not one useful line: {line:?}");
    tells_nothing(&format!("{target:?}{reading:?}{error:?}{line}"));
}

/// No secret in it.
#[track_caller]
pub fn tells_nothing(text: &str) {
    assert!(!text.contains(SECRET) && !text.contains(SECRET_IN_BASE64), "a secret is seen: {text}");
}

/// Waits until it is so.
#[track_caller]
pub fn until(what: &str, so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    wait_until(so, PATIENCE, what)
}

/// What is logged on this thread while it is kept. Polls run there, as a test's runtime has no other.
pub struct Log;

thread_local! {
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl Log {
    pub fn begin() -> Self {
        // One for all threads: subscribers that come and go hide each other's lines.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let to_thread = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(|| ToThread);
            tracing::subscriber::set_global_default(to_thread.finish()).unwrap();
        });
        LOGGED.set(Some(Vec::new()));
        Self
    }

    /// All of it.
    pub fn text(&self) -> String {
        LOGGED.with_borrow(|logged| String::from_utf8(logged.clone().unwrap_or_default()).unwrap())
    }

    /// The lines that an operator sees.
    pub fn lines(&self) -> Vec<String> {
        self.text().lines().filter(|line| line.contains("WARN") || line.contains("INFO")).map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LOGGED.set(None);
    }
}

struct ToThread;

impl std::io::Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.iter_mut().for_each(|logged| logged.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
