//! Sums over windows of time, across midnight.

use crate::poll::common::{Server, configured, fails, is_good, response, send, target_at, value};
use postmeter::config::Environment;
use postmeter::poll::{Limits, Reading, Target};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// 2026-11-20T00:00:00Z. Midnight in Berlin is an hour earlier.
const DAY: u64 = 1_795_132_800;
const NEXT: u64 = DAY + 86_400;
const HOUR: u64 = 3600;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The responses of a simulated WHM: the start of each window, and its deliveries, or `None` for an error.
type Sums = Arc<Mutex<Vec<(u64, Option<u64>)>>>;

/// A simulated WHM with these sums.
async fn whm(sums: &[(u64, Option<u64>)]) -> (Server, Sums) {
    let sums: Sums = Arc::new(Mutex::new(sums.to_vec()));
    let served = sums.clone();
    let server = Server::start(move |_, request| {
        let (start, _) = requested_window(request);
        let sum = served.lock().unwrap().iter().find(|(of, _)| *of == start).and_then(|(_, sum)| *sum);
        let body = |sum| json!({"data": {"records": [{"USER": "u", "DOMAIN": "d", "SUCCESSCOUNT": sum}]}, "metadata": {"result": 1}});
        send(sum.map_or_else(|| response("500 Oops", ""), |sum: u64| response("200 OK", body(sum).to_string())))
    })
    .await;
    (server, sums)
}

fn requested_window(request: &str) -> (u64, u64) {
    let number = |name: &str| request.split(name).nth(1).and_then(|rest| rest.split('&').next()?.parse().ok()).unwrap();
    (number("starttime="), number("endtime="))
}

fn windows(server: &Server) -> Vec<(u64, u64)> {
    server.requests().iter().map(|request| requested_window(request)).collect()
}

fn delivered(reading: &Reading) -> Option<f64> {
    value(reading, "mail.delivery.attempts", &["delivered"])
}

fn since(reading: &Reading) -> Option<SystemTime> {
    reading.snapshot()?.counters_since
}

/// The clock of a test. A function pointer can only read a static.
macro_rules! whm_target {
    ($server:expr, $clock:ident, $more:expr) => {{
        static NOW: AtomicU64 = AtomicU64::new(0);
        $clock = &NOW;
        target_at(&format!("system: cpanel, url: '{}', username: u, token: t{}", $server.url(), $more), || at(NOW.load(Ordering::SeqCst)))
    }};
}

#[tokio::test]
async fn a_window_that_has_ended_is_read_once_more() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(1)), (NEXT + 86_400, Some(0))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");

    clock.store(DAY + 23 * HOUR, Ordering::SeqCst);
    let reading = target.reading().await;
    assert_eq!((reading.at, delivered(&reading), since(&reading)), (at(DAY + 23 * HOUR), Some(10.0), Some(at(DAY))));

    // Two more deliveries before midnight.
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
        // The window is read for a while after its end, because the server records events late.
        (DAY, NEXT - 1),
        (NEXT, NEXT + 120),
        (DAY, NEXT - 1),
        (NEXT, NEXT + 86_399),
        (NEXT + 86_400, NEXT + 86_400),
    ];
    assert_eq!(windows(&server), expected);
}

/// The target that a reload creates for a changed configuration.
#[tokio::test]
async fn a_replaced_target_keeps_its_sums_if_it_counts_the_same() {
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
    // A scrape that has begun may still use the previous target.
    assert_eq!(delivered(&*target.reading().await), Some(13.0));
}

#[tokio::test]
async fn a_window_whose_end_was_not_read_is_completed_by_the_next_poll() {
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
    // The ended day was read, and then the request for today failed: the day counts once.
    sums.lock().unwrap()[1].1 = None;
    clock.store(NEXT + 3, Ordering::SeqCst);
    fails(&target, &target.reading().await, "status", "500");
    let expected = [(DAY, DAY + HOUR), (DAY, NEXT - 1), (DAY, NEXT - 1), (NEXT, NEXT + 2), (DAY, NEXT - 1), (NEXT, NEXT + 3)];
    assert_eq!(windows(&server), expected);
}

#[tokio::test]
async fn a_day_that_cannot_be_read_does_not_keep_the_server_down() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(1))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    clock.store(DAY + HOUR, Ordering::SeqCst);
    is_good(&target.reading().await);
    sums.lock().unwrap()[0].1 = None;
    // The server adds to the day for 10 minutes after its end, so the next polls try it again.
    clock.store(NEXT + 598, Ordering::SeqCst);
    fails(&target, &target.reading().await, "status", "500");
    for (now, expected) in [(NEXT + 599, 11.0), (NEXT + 660, 12.0)] {
        clock.store(now, Ordering::SeqCst);
        let reading = target.reading().await;
        assert_eq!(delivered(&reading), Some(expected));
        assert_eq!(value(&reading, "postmeter.poll.errors", &["emailtrack_user_stats", "status"]), Some(expected - 9.0));
        sums.lock().unwrap()[1].1 = Some(2);
    }
    sums.lock().unwrap()[0].1 = Some(15);
    clock.store(NEXT + 720, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(17.0));
}

#[tokio::test]
async fn repairs_of_the_day_that_ended_count() {
    let row = |start: u64| json!({"USER": "u", "DOMAIN": "d", "SUCCESSCOUNT": 5, "FAILCOUNT": if start == DAY { "many" } else { "2" }});
    let body = move |start| json!({"data": {"records": [row(start)]}, "metadata": {"result": 1}}).to_string();
    let server = Server::start(move |_, request| send(response("200 OK", body(requested_window(request).0)))).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    for (now, unreadable, bytes) in [
        (DAY + HOUR, 1.0, body(DAY).len()),
        // The previous day for the last time, and this day.
        (NEXT + 60, 2.0, body(DAY).len() + body(NEXT).len()),
        // The previous day is read once more for late records. Its unreadable rows are already counted.
        (NEXT + 120, 2.0, body(DAY).len() + body(NEXT).len()),
        (NEXT + 700, 2.0, body(DAY).len() + body(NEXT).len()),
        (NEXT + 760, 2.0, body(NEXT).len()),
    ] {
        clock.store(now, Ordering::SeqCst);
        let reading = target.reading().await;
        is_good(&reading);
        assert_eq!(value(&reading, "postmeter.poll.repairs", &["unreadable"]), Some(unreadable), "{now}");
        assert_eq!(value(&reading, "postmeter.poll.body.size", &[]), Some(bytes as f64), "{now}");
    }
}

#[tokio::test]
async fn the_counter_never_decreases() {
    let (server, sums) = whm(&[(DAY, Some(10)), (NEXT, Some(0))]).await;
    let clock: &AtomicU64;
    let target = whm_target!(server, clock, "");
    clock.store(DAY + HOUR, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(10.0));
    // An account is deleted.
    sums.lock().unwrap()[0].1 = Some(3);
    clock.store(DAY + 2 * HOUR, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(10.0));
    clock.store(NEXT + 1, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(10.0), "held over midnight");
}

#[tokio::test]
async fn a_window_counts_once_if_the_clock_is_changed() {
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
async fn late_records_count_for_their_day() {
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
async fn a_changed_time_zone_counts_nothing_twice() {
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
async fn a_day_starts_at_midnight_of_its_time_zone() {
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
async fn a_sliding_window_has_no_counters() {
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

/// The sums of windows are stored in `state_dir`.
#[tokio::test]
async fn counters_go_on_after_a_restart() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let (server, sums) = whm(&[(DAY, Some(1000)), (NEXT, Some(5)), (NEXT + 86_400, Some(7))]).await;
    let state = tempfile::tempdir().unwrap();
    let keys = |more: &str| format!("system: cpanel, url: '{}', username: u, token: t{more}", server.url());
    let start = |keys: &str| {
        let limits = Limits::default().with_state_dir(Some(&state.path().join("not/created")));
        Target::with_clock(configured(keys, &Environment::default()), limits, || at(NOW.load(Ordering::SeqCst))).unwrap()
    };
    let set = |window: usize, sum: u64| sums.lock().unwrap()[window].1 = Some(sum);
    NOW.store(DAY + 23 * HOUR, Ordering::SeqCst);
    let target = start(&keys(""));
    assert_eq!(delivered(&*target.reading().await), Some(1000.0));
    NOW.store(NEXT + 60, Ordering::SeqCst);
    assert_eq!(delivered(&*target.reading().await), Some(1005.0));
    // The day of the restart does not count twice, and its start is that of the first day.
    let target = start(&keys(", timeout: 9s"));
    let reading = target.reading().await;
    assert_eq!((delivered(&reading), since(&reading)), (Some(1005.0), Some(at(DAY))));
    set(1, 30);
    assert_eq!(delivered(&*target.reading().await), Some(1030.0));
    // The next day begins while nothing runs.
    drop(target);
    NOW.store(NEXT + 86_400 + 60, Ordering::SeqCst);
    let target = start(&keys(""));
    let reading = target.reading().await;
    assert_eq!((delivered(&reading), since(&reading)), (Some(1037.0), Some(at(DAY))));
    NOW.store(NEXT + 86_400 + 120, Ordering::SeqCst);
    set(2, 8);
    assert_eq!(delivered(&*target.reading().await), Some(1038.0));
    // A failed poll does not change the totals, and those of another account do not continue.
    sums.lock().unwrap()[2].1 = None;
    fails(&target, &target.reading().await, "status", "500");
    set(2, 9);
    assert_eq!(delivered(&*start(&keys("")).reading().await), Some(1038.0));
    assert_eq!(delivered(&*start(&keys("").replace("username: u", "username: v")).reading().await), Some(9.0));
}
