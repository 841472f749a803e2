//! A target whose time zone changes while it runs: by a reload of the configuration, or of a definition file.

use crate::poll::common::{Server, configured, is_good, response, send, target_at, value};
use postmeter::config::{self, Environment};
use postmeter::poll::Target;
use postmeter::source::{Source, WindowRule, by_name};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// 2026-11-30T00:00:00Z.
const DAY: u64 = 1_795_996_800;
const HOUR: u64 = 3600;

static NOW: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
/// The clock of each target. A function pointer can only read a static.
const CLOCKS: [fn() -> SystemTime; 3] = [|| now(0), || now(1), || now(2)];

fn now(index: usize) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW[index].load(Ordering::SeqCst))
}

/// A server that has delivered this number of messages on each day.
async fn server(days: &'static [(&'static str, u64)]) -> Server {
    Server::start(move |_, request| {
        let parameter = |name: &str| request.split(name).nth(1).and_then(|rest| rest.split(['&', ' ']).next()).unwrap_or_default();
        let requested = parameter("start_date=")..=parameter("end_date=");
        let of_day = |(day, n): &(&str, u64)| json!({"date": day, "stats": [{"metrics": {"delivered": n}}]});
        let body: Vec<_> = days.iter().filter(|(day, _)| requested.contains(day)).map(of_day).collect();
        send(response("200 OK", json!(body).to_string()))
    })
    .await
}

const DAYS: &[(&str, u64)] = &[("2026-11-28", 9000), ("2026-11-29", 500), ("2026-11-30", 25), ("2026-12-01", 7), ("2026-12-02", 1)];

async fn delivered(target: &Arc<Target>, clock: usize, hours: u64) -> Option<f64> {
    NOW[clock].store(DAY + hours * HOUR, Ordering::SeqCst);
    let reading = target.reading().await;
    is_good(&reading);
    value(&reading, "mail.delivery.attempts", &["delivered"])
}

fn keys(server: &Server, zone: &str) -> String {
    format!("system: sendgrid, url: '{}', token: t, window: {{today: {zone}}}", server.url())
}

#[tokio::test]
async fn a_window_keeps_its_time_zone_and_no_day_counts_twice() {
    let server = server(DAYS).await;
    for (clock, before, after, steps) in [
        (0, "UTC", "America/Los_Angeles", [(6, 25.0), (7, 25.0), (9, 25.0), (31, 25.0), (33, 32.0), (57, 33.0)]),
        (1, "America/Los_Angeles", "UTC", [(5, 500.0), (6, 525.0), (9, 525.0), (23, 525.0), (25, 532.0), (49, 533.0)]),
    ] {
        let mut target = target_at(&keys(&server, before), CLOCKS[clock]);
        for (index, (hours, expected)) in steps.into_iter().enumerate() {
            if index == 1 {
                target = Target::succeeding(configured(&keys(&server, after), &Environment::default()), &target).unwrap();
            }
            assert_eq!(delivered(&target, clock, hours).await, Some(expected), "{before} {hours}");
        }
    }
}

#[tokio::test]
async fn the_time_zone_of_a_definition_can_change() {
    let server = server(DAYS).await;
    let sendgrid = by_name("sendgrid").unwrap();
    let with_zone = |zone: &'static str| -> config::Target {
        let window = sendgrid.window.map(|rule| WindowRule { zone, ..rule });
        let source = Source { window, windowed: true, ..Source::new("changing", "Changing", sendgrid.parts) };
        let source: &'static Source = Box::leak(Box::new(source));
        let text = format!("targets: [{{name: t, system: changing, url: '{}', token: t}}]", server.url());
        let mut config = config::parse_with(&[source], &text, "test.yaml", &Environment::default()).unwrap();
        config.targets[0].min_interval = Duration::ZERO;
        config.targets.remove(0)
    };
    let target = Target::with_clock(with_zone("UTC"), Default::default(), CLOCKS[2]).unwrap();
    assert_eq!(delivered(&target, 2, 6).await, Some(25.0));
    let target = Target::succeeding(with_zone("America/Los_Angeles"), &target).unwrap();
    for (hours, expected) in [(7, 25.0), (31, 25.0), (33, 32.0)] {
        assert_eq!(delivered(&target, 2, hours).await, Some(expected), "{hours}");
    }
}
