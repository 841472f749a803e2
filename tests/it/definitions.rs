//! Definitions of mail systems: what their rules make of responses beyond the fixtures.
#![allow(clippy::unwrap_used)]

use postmeter::model::{Repair, Snapshot};
use postmeter::source::{self, Context, CounterMemory, map_to_canonical};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Maps a response of the required part.
fn map(system: &str, body: &str, memory: &mut CounterMemory) -> Snapshot {
    let source = source::by_name(system).unwrap();
    let part = source.required();
    let families = part.read_saved(body.as_bytes()).unwrap_or_else(|error| panic!("{system}: {error}"));
    let context = Context::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    map_to_canonical(source, &[(part, families)], memory, &context)
}

fn map_once(system: &str, body: &str) -> Snapshot {
    map(system, body, &mut CounterMemory::default())
}

/// Returns the value of a point: its metric, and the values of its attributes in any order. NaN: there is no such point.
fn value(snapshot: &Snapshot, series: &str) -> f64 {
    let (metric, values) = series.split_once(' ').unwrap_or((series, ""));
    let mut expected: Vec<&str> = values.split_whitespace().collect();
    expected.sort_unstable();
    let point = snapshot.points.iter().find(|point| {
        let mut values: Vec<&str> = point.attributes.iter().map(|(_, value)| value.as_ref()).collect();
        values.sort_unstable();
        point.metric.name == metric && values == expected
    });
    point.map_or(f64::NAN, |point| point.value)
}

/// A series of Mox's histogram of deliveries: its labels, the counts of its buckets (0.5, 5 and more), and its sum.
type Delivery = ([&'static str; 4], [u64; 3], f64);

/// Writes the histogram as Mox does.
fn mox_deliveries(series: &[Delivery]) -> String {
    let name = "mox_queue_delivery_duration_seconds";
    let mut body = format!("# TYPE {name} histogram\n");
    for ([attempt, result, tls, transport], counts, sum) in series {
        let labels = format!("attempt=\"{attempt}\",result=\"{result}\",tlsmode=\"{tls}\",transport=\"{transport}\"");
        let mut count = 0;
        for (le, more) in ["0.5", "5", "+Inf"].into_iter().zip(counts) {
            count += more;
            writeln!(body, "{name}_bucket{{{labels},le=\"{le}\"}} {count}").unwrap();
        }
        writeln!(body, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}").unwrap();
    }
    body
}

#[test]
fn a_histogram_of_mox_with_four_labels_is_added_up_by_outcome_and_in_total() {
    let opportunistic = "opportunistic";
    let first: &[Delivery] = &[
        (["1", "ok", opportunistic, ""], [5, 2, 0], 4.5),
        (["1", "ok", "immediate", "relay"], [1, 0, 0], 0.25),
        (["1", "okpartial", opportunistic, ""], [0, 1, 0], 2.0),
        (["1", "temperror", opportunistic, ""], [3, 0, 0], 0.5),
        (["1", "error", "skip", ""], [2, 0, 0], 0.125),
        (["1", "permerror", opportunistic, ""], [4, 0, 0], 0.375),
    ];
    // Retries are series of their own.
    let retries: &[Delivery] = &[
        (["2", "ok", opportunistic, ""], [1, 1, 0], 3.0),
        (["2", "timeout", opportunistic, ""], [0, 0, 2], 250.0),
        (["3", "canceled", "opportunistic+mtasts+dane", "relay"], [0, 1, 0], 1.5),
        // A result of a later version is not mapped, because its outcome is unknown.
        (["1", "quantum", opportunistic, ""], [7, 0, 0], 1.0),
    ];
    let mut memory = CounterMemory::default();
    for (series, outcomes, cumulative, count, sum) in
        [(first.to_vec(), [9.0, 5.0, 4.0], [15, 18], 18, 7.75), ([first, retries].concat(), [11.0, 8.0, 4.0], [23, 28], 30, 263.25)]
    {
        let snapshot = map("mox", &mox_deliveries(&series), &mut memory);
        let found = ["delivered", "deferred", "failed"].map(|outcome| value(&snapshot, &format!("mail.delivery.attempts {outcome}")));
        assert_eq!(found, outcomes);
        let histograms: Vec<_> =
            snapshot.histograms.iter().filter(|(metric, ..)| metric.name == "mail.delivery.attempt.duration").collect();
        let [(_, attributes, histogram)] = histograms.as_slice() else { panic!("one histogram, found {}", histograms.len()) };
        assert_eq!(attributes.len(), 0);
        assert_eq!((&histogram.bounds[..], &histogram.cumulative[..]), (&[0.5, 5.0][..], &cumulative[..]));
        assert_eq!((histogram.count, histogram.sum), (count, Some(sum)));
    }
}

#[test]
fn rejections_of_mox_have_the_reason_of_the_enhanced_code() {
    let name = "mox_smtpserver_command_duration_seconds";
    for (kind, cmd, code, ecode, reason) in [
        ("smtp", "rcpt", "550", "5.1.1", "unknown_recipient"),
        ("smtp", "data", "550", "5.7.26", "dmarc"),
        ("smtp", "data", "550", "5.7.23", "spf"),
        ("smtp", "data", "451", "4.7.1", "temporary"),
        ("smtp", "data", "451", "", "temporary"),
        ("smtp", "rcpt", "452", "4.5.3", "too_many_recipients"),
        ("smtp", "mail", "552", "5.3.4", "too_large"),
        ("submission", "mail", "530", "5.7.0", "authentication_required"),
        ("submission", "mail", "550", "5.7.1", "policy"),
        ("smtp", "mail", "530", "5.7.0", "policy"),
        ("smtp", "data", "554", "", "policy"),
        ("smtp", "rcpt", "503", "5.5.1", "protocol"),
    ] {
        let labels = format!("cmd=\"{cmd}\",code=\"{code}\",ecode=\"{ecode}\",kind=\"{kind}\"");
        let body = format!(
            "# TYPE {name} histogram\n{name}_bucket{{{labels},le=\"+Inf\"}} 6\n{name}_sum{{{labels}}} 1\n{name}_count{{{labels}}} 6\n"
        );
        let snapshot = map_once("mox", &body);
        let rejected: Vec<_> = snapshot.points.iter().filter(|p| p.metric.name == "mail.rejected.messages" && p.value > 0.0).collect();
        assert_eq!(rejected.iter().map(|p| p.value).sum::<f64>(), 6.0, "{labels}");
        assert_eq!(value(&snapshot, &format!("mail.rejected.messages {reason}")), 6.0, "{labels}");
    }
}

fn maddy(start: u64, started: u64, aborted: u64, failed: u64) -> String {
    let failure = "command=\"DATA\",module=\"smtp\",smtp_code=\"550\",smtp_enchcode=\"5.7.1\"";
    format!(
        "process_start_time_seconds {start}\n# TYPE maddy_smtp_started_transactions counter\nmaddy_smtp_started_transactions{{module=\"smtp\"}} {started}\n\
         # TYPE maddy_smtp_aborted_transactions counter\nmaddy_smtp_aborted_transactions{{module=\"smtp\"}} {aborted}\n\
         # TYPE maddy_smtp_failed_commands counter\nmaddy_smtp_failed_commands{{{failure}}} {failed}\n"
    )
}

#[test]
fn received_messages_of_maddy_do_not_fall_until_it_restarts() {
    let mut memory = CounterMemory::default();
    let mut poll = |body: &str| {
        let snapshot = map("maddy", body, &mut memory);
        (value(&snapshot, "mail.received.messages remote"), snapshot.repairs.get(Repair::Held))
    };
    assert_eq!(poll(&maddy(1000, 40, 6, 4)), (30.0, 0));
    // Transactions in progress were aborted.
    assert_eq!(poll(&maddy(1000, 41, 9, 5)).0, 30.0);
    assert_eq!(poll(&maddy(1000, 50, 9, 5)), (36.0, 0));
    assert_eq!(poll(&maddy(2000, 3, 1, 0)), (2.0, 0), "after a restart");
}

#[test]
fn a_fresh_maddy_is_accepted_without_points_and_another_system_is_not() {
    let fresh = "# TYPE go_goroutines gauge\ngo_goroutines 20\nprocess_start_time_seconds 1000\nprocess_resident_memory_bytes 4096\n";
    assert_eq!(map_once("maddy", fresh).points.len(), 0);
    let part = source::by_name("maddy").unwrap().required();
    for other in ["mox_queue_hold 0\n", "haraka_connect_init_total 3\n", "emailengine_config 1\n", "ceymail_queue_active 2\n"] {
        let error = part.read_saved(format!("{fresh}{other}").as_bytes()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(other.split_once(' ').unwrap().0), "{other}: {error}");
    }
}

#[test]
fn haraka_may_have_any_prefix() {
    for prefix in ["", "haraka_", "mx7_", "acme_mail_"] {
        let mut body = String::new();
        for (family, count) in [
            ("connect_init", 12),
            ("connect", 11),
            ("disconnect", 9),
            ("queue_ok", 8),
            ("queue", 90),
            ("queue_outbound", 91),
            ("delivered", 5),
            ("deferred", 2),
            ("bounce", 1),
            ("deny", 7),
        ] {
            writeln!(body, "# TYPE {prefix}{family}_total counter\n{prefix}{family}_total{{node=\"a\"}} {count}\n").unwrap();
        }
        writeln!(body, "# TYPE {prefix}process_start_time_seconds gauge\n{prefix}process_start_time_seconds 1790000000").unwrap();
        let snapshot = map_once("haraka", &body);
        for (series, expected) in [
            ("mail.connection.opened smtp inbound", 12.0),
            ("mail.received.messages smtp", 8.0),
            ("mail.delivery.attempts delivered", 5.0),
            ("mail.delivery.attempts deferred", 2.0),
            ("mail.delivery.attempts failed", 1.0),
        ] {
            assert_eq!(value(&snapshot, series), expected, "{prefix}: {series}");
        }
        let since = snapshot.counters_since.and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok());
        assert_eq!(since.map(|since| since.as_secs()), Some(1_790_000_000), "{prefix}");
    }
}

#[test]
fn workers_of_haraka_do_not_make_its_counters_fall_and_are_diagnosed() {
    let mut memory = CounterMemory::default();
    let mut poll = |start: u64, count: u64| {
        let body = format!(
            "# TYPE haraka_connect_total counter\nharaka_connect_total {count}\n# TYPE haraka_delivered_total counter\nharaka_delivered_total {count}\n\
             # TYPE haraka_process_start_time_seconds gauge\nharaka_process_start_time_seconds {start}\n"
        );
        let snapshot = map("haraka", &body, &mut memory);
        let is_diagnosed = snapshot.advice.iter().any(|advice| advice.contains("run one process"));
        (value(&snapshot, "mail.delivery.attempts delivered"), is_diagnosed)
    };
    assert_eq!(poll(1_790_000_000, 100), (100.0, false));
    assert_eq!(poll(1_790_000_600, 4), (4.0, false), "a restart is not a fall");
    assert_eq!(poll(1_790_000_600, 60), (60.0, false));
    // Each poll reads one of three workers.
    let polls = [20, 45, 63, 21, 46, 70].map(|count| poll(1_790_000_600, count));
    assert_eq!(polls.map(|(delivered, _)| delivered), [60.0, 60.0, 63.0, 63.0, 63.0, 70.0]);
    assert!(polls.iter().all(|(_, is_diagnosed)| *is_diagnosed));
}

/// A user's file for a made-up server: loaded, its examples run, and another response mapped.
#[test]
fn a_system_of_a_user_needs_fewer_than_30_lines() {
    let path = "tests/fixtures/config/systems/parcelpost.yaml";
    let text = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(text.lines().count() < 30);
    let source = source::load(&text, path).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(source::run_examples(source).iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);

    let body = "parcelpost_boot_time_seconds 1790000000\nparcelpost_queue_size{state=\"now\"} 2\nparcelpost_queue_size{state=\"lost\"} 9\n\
                parcelpost_attempts_total{smtp=\"552\"} 3\nparcelpost_attempts_total{smtp=\"550\"} 4\n";
    let part = source.required();
    let families = part.read_saved(body.as_bytes()).unwrap();
    let context = Context::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let snapshot = map_to_canonical(source, &[(part, families)], &mut CounterMemory::default(), &context);
    for (series, expected) in [
        ("mail.queue.depth active", 2.0),
        ("mail.delivery.attempts failed", 7.0),
        ("mail.delivery.attempts delivered", 0.0),
        ("mail.delivery.attempts deferred", 0.0),
    ] {
        assert_eq!(value(&snapshot, series), expected, "{series}");
    }
    assert!(value(&snapshot, "mail.queue.depth held").is_nan(), "a missing depth is not 0");
    assert!(snapshot.counters_since.is_some());
}
