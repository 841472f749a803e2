//! Sums of a window of time, over midnight.

use crate::poll::common::{Server, answer, configured, fails, is_good, say, target_at, value};
use postmeter::config::Environment;
use postmeter::poll::{Reading, Target};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// 2026-11-20T00:00:00Z, and in Berlin, an hour earlier, midnight.
const DAY: u64 = 1_795_132_800;
const NEXT: u64 = DAY + 86_400;
const HOUR: u64 = 3600;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What a WHM answers: by the start of the window, deliveries, or nothing for a fault.
type Sums = Arc<Mutex<Vec<(u64, Option<u64>)>>>;

/// With the windows that it was asked for.
async fn whm(sums: &[(u64, Option<u64>)]) -> (Server, Sums) {
    let sums: Sums = Arc::new(Mutex::new(sums.to_vec()));
    let said = sums.clone();
    let server = Server::start(move |_, request| {
        let (start, _) = asked(request);
        let sum = said.lock().unwrap().iter().find(|(of, _)| *of == start).and_then(|(_, sum)| *sum);
        let body = |sum| json!({"data": {"records": [{"USER": "u", "DOMAIN": "d", "SUCCESSCOUNT": sum}]}, "metadata": {"result": 1}});
        say(sum.map_or_else(|| answer("500 Oops", ""), |sum: u64| answer("200 OK", body(sum).to_string())))
    })
    .await;
    (server, sums)
}

fn asked(request: &str) -> (u64, u64) {
    let number = |name: &str| request.split(name).nth(1).and_then(|rest| rest.split('&').next()?.parse().ok()).unwrap();
    (number("starttime="), number("endtime="))
}

fn windows(server: &Server) -> Vec<(u64, u64)> {
    server.requests().iter().map(|request| asked(request)).collect()
}

fn delivered(reading: &Reading) -> Option<f64> {
    value(reading, "mail.delivery.attempts", &["delivered"])
}

fn since(reading: &Reading) -> Option<SystemTime> {
    reading.snapshot()?.counters_since
}

/// A clock that the test sets: as a function pointer it can only look at a static.
macro_rules! whm_target {
    ($server:expr, $clock:ident, $more:expr) => {{
        static NOW: AtomicU64 = AtomicU64::new(0);
        $clock = &NOW;
        target_at(&format!("system: cpanel, url: '{}', username: u, token: t{}", $server.url(), $more), || at(NOW.load(Ordering::SeqCst)))
    }};
}

#[tokio::test]
async fn a_window_that_has_ended_is_asked_for_once_more() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(1)), (NEXT + 86_400, Some(0))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");

    clock.store(DAY + 23 * HOUR, Ordering::SeqCst);
    let reading = target.reading().await;
    assert_eq!((reading.at, delivered(&reading), since(&reading)), (at(DAY + 23 * HOUR), Some(10.0), Some(at(DAY))));

    // Two more before midnight.
    sums.lock().unwrap()[0].1 = Some(12);
    clock.store(NEXT + 60, Ordering::SeqCst);
    let reading = target.reading().await;
    assert_eq!((delivered(&reading), since(&reading)), (Some(13.0), Some(at(DAY))), "the counter goes on");

    sums.lock().unwrap()[1].1 = Some(4);
    clock.store(NEXT + 120, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(16.0));

    clock.store(NEXT + 86_400, Ordering::SeqCst);
    let reading = target.reading().await;
    assert_eq!((delivered(&reading), since(&reading)), (Some(16.0), Some(at(DAY))));
    let expected = [
        (DAY, DAY + 23 * HOUR),
        (DAY, NEXT - 1),
        (NEXT, NEXT + 60),
        // For a while after its end, for what the server records late.
        (DAY, NEXT - 1),
        (NEXT, NEXT + 120),
        (DAY, NEXT - 1),
        (NEXT, NEXT + 86_399),
        (NEXT + 86_400, NEXT + 86_400),
    ];
    assert_eq!(windows(&server), expected);
}

/// What a reload makes of a target that is written otherwise.
#[tokio::test]
async fn a_target_in_the_place_of_another_goes_on_with_its_sums_if_it_asks_the_same() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(1))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    clock.store(DAY + 23 * HOUR, Ordering::SeqCst);
    is_good(&target.reading().await);
    sums.lock().unwrap()[0].1 = Some(12);
    let place = |more: &str| {
        let keys = format!("system: cpanel, url: '{}', username: u, token: t, timeout: 9s{more}", server.url());
        Target::succeeding(configured(&keys, &Environment::default()), &target).unwrap()
    };
    let (same, other) = (place(""), place(", window: {sliding: 1h}"));
    assert!(same.latest().is_none(), "its reading is another's");
    clock.store(NEXT + 60, Ordering::SeqCst);
    let reading = same.reading().await;
    assert_eq!((delivered(&reading), since(&reading)), (Some(13.0), Some(at(DAY))));
    assert_ne!(since(&*other.reading().await), Some(at(DAY)));
    // The one before may still be asked by a scrape that began with it.
    assert_eq!(delivered(&*target.reading().await), Some(13.0));
}

#[tokio::test]
async fn a_window_that_could_not_be_closed_is_closed_by_the_next_poll() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(1))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    clock.store(DAY + HOUR, Ordering::SeqCst);
    is_good(&target.reading().await);
    sums.lock().unwrap()[0].1 = None;
    clock.store(NEXT + 1, Ordering::SeqCst);
    let reading = target.reading().await;
    fails(&target, &reading, "status", "500");
    assert_eq!(reading.at, at(NEXT + 1));
    sums.lock().unwrap()[0].1 = Some(11);
    clock.store(NEXT + 2, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(12.0));
    // Closed, and then today failed: the day counts once.
    sums.lock().unwrap()[1].1 = None;
    clock.store(NEXT + 3, Ordering::SeqCst);
    fails(&target, &target.reading().await, "status", "500");
    let expected = [(DAY, DAY + HOUR), (DAY, NEXT - 1), (DAY, NEXT - 1), (NEXT, NEXT + 2), (DAY, NEXT - 1), (NEXT, NEXT + 3)];
    assert_eq!(windows(&server), expected);
}

#[tokio::test]
async fn what_had_to_be_mended_of_the_day_that_ended_counts() {
    let row = |start: u64| json!({"USER": "u", "DOMAIN": "d", "SUCCESSCOUNT": 5, "FAILCOUNT": if start == DAY { "many" } else { "2" }});
    let body = move |start| json!({"data": {"records": [row(start)]}, "metadata": {"result": 1}}).to_string();
    let server = Server::start(move |_, request| say(answer("200 OK", body(asked(request).0)))).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    for (now, unreadable, bytes) in [
        (DAY + HOUR, 1.0, body(DAY).len()),
        // The day before, for the last time, and this one.
        (NEXT + 60, 2.0, body(DAY).len() + body(NEXT).len()),
        // And once more, for what the server records late: what is unreadable there has been counted.
        (NEXT + 120, 2.0, body(DAY).len() + body(NEXT).len()),
        (NEXT + 700, 2.0, body(DAY).len() + body(NEXT).len()),
        (NEXT + 760, 2.0, body(NEXT).len()),
    ] {
        clock.store(now, Ordering::SeqCst);
        let reading = target.reading().await;
        is_good(&reading);
        assert_eq!(value(&reading, "mail.poll.repairs", &["unreadable"]), Some(unreadable), "{now}");
        assert_eq!(value(&reading, "mail.poll.body_size", &[]), Some(bytes as f64), "{now}");
    }
}

#[tokio::test]
async fn the_counter_never_falls() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(0))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    clock.store(DAY + HOUR, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(10.0));
    // An account was deleted.
    sums.lock().unwrap()[0].1 = Some(3);
    clock.store(DAY + 2 * HOUR, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(10.0));
    clock.store(NEXT + 1, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(10.0), "held over midnight");
}

#[tokio::test]
async fn a_window_counts_once_whatever_the_clock_does() {
    let (server, sums) = whm(&[(DAY, Some(13_847)), (NEXT, Some(3)), (NEXT + 3 * 86_400, Some(0))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    for (now, expected, what) in [
        (NEXT - 60, 13_847.0, "the first day"),
        (NEXT + 5, 13_850.0, "the next day"),
        (NEXT - 5, 13_850.0, "set back over midnight"),
        (NEXT + 10, 13_850.0, "forward again"),
        (DAY - 86_400, 13_850.0, "set back to before the first start"),
        (NEXT + 20, 13_850.0, "forward again"),
        (NEXT + 3 * 86_400 + 7, 13_850.0, "three days ahead"),
        (NEXT + 30, 13_850.0, "right again"),
        (NEXT + HOUR, 13_850.0, "and it goes on"),
    ] {
        clock.store(now, Ordering::SeqCst);
        let reading = target.reading().await;
        assert_eq!((delivered(&reading), since(&reading)), (Some(expected), Some(at(DAY))), "{what}");
    }
    sums.lock().unwrap()[1].1 = Some(8);
    clock.store(NEXT + 2 * HOUR, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(13_855.0));
}

#[tokio::test]
async fn what_is_recorded_late_is_in_the_sum_of_its_day() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(1))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    for (now, of_the_day, expected) in
        [(NEXT - 1, 10, 10.0), (NEXT + 1, 11, 12.0), (NEXT + 60, 13, 14.0), (NEXT + 900, 14, 15.0), (NEXT + 960, 99, 15.0)]
    {
        sums.lock().unwrap()[0].1 = Some(of_the_day);
        clock.store(now, Ordering::SeqCst);
        assert_eq!(delivered(&*target.reading().await), Some(expected), "{}", now - NEXT);
    }
}

#[tokio::test]
async fn another_time_zone_after_a_reload_counts_nothing_twice() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT - HOUR, Some(2))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    clock.store(DAY + 12 * HOUR, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(10.0));
    let keys = format!("system: cpanel, url: '{}', username: u, token: t, window: {{today: Europe/Berlin}}", server.url());
    let target = Target::succeeding(configured(&keys, &Environment::default()), &target).unwrap();
    sums.lock().unwrap()[0].1 = Some(11);
    for (now, expected) in [(DAY + 13 * HOUR, 11.0), (NEXT - HOUR + 60, 13.0), (NEXT + 60, 13.0)] {
        clock.store(now, Ordering::SeqCst);
        let reading = target.reading().await;
        assert_eq!((delivered(&reading), since(&reading)), (Some(expected), Some(at(DAY))), "{now}");
    }
}

#[tokio::test]
async fn a_day_is_that_of_its_zone() {
    let (server, _) = whm(&[(DAY - HOUR, Some(1)), (NEXT - HOUR, Some(1))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, ", window: {today: Europe/Berlin}");
    for now in [DAY, NEXT - HOUR] {
        clock.store(now, Ordering::SeqCst);
        is_good(&target.reading().await);
    }
    assert_eq!(windows(&server), [(DAY - HOUR, DAY), (DAY - HOUR, NEXT - HOUR - 1), (NEXT - HOUR, NEXT - HOUR)]);
}

#[tokio::test]
async fn a_sliding_window_gives_no_counters() {
    let (server, _) = whm(&[(DAY, Some(10)), (NEXT, Some(5))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, ", window: {sliding: 1h}");
    for now in [DAY, NEXT] {
        clock.store(now + HOUR, Ordering::SeqCst);
        let reading = target.reading().await;
        is_good(&reading);
        assert_eq!((delivered(&reading), since(&reading)), (None, None));
    }
    assert_eq!(windows(&server), [(DAY, DAY + HOUR), (NEXT, NEXT + HOUR)]);
}
