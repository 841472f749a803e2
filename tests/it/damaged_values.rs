//! Responses of which some values are damaged: canonical values are right or missing, never those of the rest.
#![allow(clippy::unwrap_used)]

use postmeter::model::{Repair, Snapshot};
use postmeter::source::{self, Context, CounterMemory, Detail, map_to_canonical};
use std::time::{Duration, SystemTime};

/// The polls of one server, one after the other.
struct Polls {
    system: &'static str,
    memory: CounterMemory,
    context: Context,
}

impl Polls {
    fn of(system: &'static str) -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let metrics_from_log = postmeter::model::RecordMetrics::NONE;
        Self {
            system,
            memory: CounterMemory::default(),
            context: Context { now, window_start: Some(now), sliding: false, detail: None, metrics_from_log },
        }
    }

    /// Maps the next response of the first part.
    fn next(&mut self, body: &str) -> Snapshot {
        let source = source::by_name(self.system).unwrap();
        let part = source.required();
        let families = part.read_saved(body.as_bytes()).unwrap();
        self.context.now += Duration::from_secs(15);
        map_to_canonical(source, &[(part, families)], &mut self.memory, &self.context)
    }
}

/// Returns the value of the point whose attributes have one of these values, or no attributes.
fn value(snapshot: &Snapshot, metric: &str, attribute: &str) -> Option<f64> {
    let has = |point: &&postmeter::model::Point| {
        point.metric.name == metric && (attribute.is_empty() || point.attributes.iter().any(|(_, value)| value == attribute))
    };
    snapshot.points.iter().find(has).map(|point| point.value)
}

fn first(system: &'static str, body: &str) -> Snapshot {
    Polls::of(system).next(body)
}

#[test]
fn an_unreadable_line_does_not_count_as_zero() {
    const EXIM: &str = "# TYPE exim_queue gauge\nexim_queue 15\n# TYPE exim_queue_frozen gauge\nexim_queue_frozen 4\n\
        # TYPE exim_messages_total counter\nexim_messages_total{flag=\"delivered\"} 50\nexim_messages_total{flag=\"additional\"} 12\n\
        exim_messages_total{flag=\"arrived\"} 40\nexim_messages_total{flag=\"failed\"} 3\n";
    let exim = |body: &str| {
        let read = first("exim", body);
        (
            value(&read, "mail.queue.depth", "queued"),
            value(&read, "mail.delivery.attempts", "delivered"),
            value(&read, "mail.received.messages", ""),
        )
    };
    assert_eq!(exim(EXIM), (Some(11.0), Some(62.0), Some(40.0)));
    for (readable, damaged, expected) in [
        ("exim_queue_frozen 4", "exim_queue_frozen 4x", (None, Some(62.0), Some(40.0))),
        ("exim_queue_frozen 4", "exim_queue_frozen", (None, Some(62.0), Some(40.0))),
        ("additional\"} 12", "additional\"} 12x", (Some(11.0), None, None)),
        ("additional\"} 12", "additional\" 12", (Some(11.0), None, None)),
        // These are no series. A server may send them with each response.
        (
            "exim_queue_frozen 4",
            "exim_queue_frozen 4\n</pre>\nmy-metric 5\n}\n2026-11-30 [warning] x",
            (Some(11.0), Some(62.0), Some(40.0)),
        ),
        // These are lines of other families.
        ("exim_queue_frozen 4", "exim_queue_frozen 4\nexim_up x\nPHP Notice: undefined", (Some(11.0), Some(62.0), Some(40.0))),
    ] {
        assert_eq!(exim(&EXIM.replace(readable, damaged)), expected, "{damaged}");
    }
    const MADDY: &str = "# TYPE maddy_smtp_started_transactions counter\nmaddy_smtp_started_transactions{module=\"smtp\"} 57\n\
        # TYPE maddy_smtp_aborted_transactions counter\nmaddy_smtp_aborted_transactions{module=\"smtp\"} 57\n";
    let maddy = |body: &str| value(&first("maddy", body), "mail.received.messages", "remote");
    assert_eq!(maddy(MADDY), Some(0.0));
    assert_eq!(maddy(&MADDY.replace("aborted_transactions{module=\"smtp\"} 57", "aborted_transactions{module=\"smtp\"} 5 7 x")), None);
    // Kumina's exporter counts the queue in a histogram.
    let family = |queue: &str, n: &str| {
        format!(
            "postfix_showq_message_age_seconds_bucket{{queue=\"{queue}\",le=\"+Inf\"}} {n}\n\
             postfix_showq_message_age_seconds_sum{{queue=\"{queue}\"}} {n}\npostfix_showq_message_age_seconds_count{{queue=\"{queue}\"}} {n}\n"
        )
    };
    let postfix = |maildrop: &str| {
        let page =
            format!("# TYPE postfix_showq_message_age_seconds histogram\n{}{}", family("incoming", "5"), family("maildrop", maildrop));
        value(&first("postfix", &page), "mail.queue.depth", "queued")
    };
    assert_eq!(postfix("3"), Some(8.0));
    assert_eq!(postfix("3x"), None);
}

#[test]
fn a_counter_whose_line_was_unreadable_appears_with_its_whole_value() {
    let mut polls = Polls::of("exim");
    let page = |additional: &str| {
        format!(
            "# TYPE exim_messages_total counter\nexim_messages_total{{flag=\"delivered\"}} 50\nexim_messages_total{{flag=\"additional\"}} {additional}\n"
        )
    };
    let attempts = |snapshot: &Snapshot| value(snapshot, "mail.delivery.attempts", "delivered");
    let unreadable = polls.next(&page("12x"));
    assert_eq!(attempts(&unreadable), None);
    assert!(unreadable.unknown_metrics.iter().any(|metric| metric.name == "mail.delivery.attempts"));
    assert_eq!(attempts(&polls.next(&page("12"))), Some(62.0));
}

#[test]
fn the_failed_attempts_of_an_hour_of_mailgun_do_not_rise_for_an_invalid_number() {
    let body = |bounced: &str, delayed: &str| {
        format!(
            r#"{{"items":[{{"metrics":{{"delivered_count":41,"permanent_failed_count":15,"bounced_count":{bounced},"delayed_bounce_count":{delayed}}}}}]}}"#
        )
    };
    let failed = |snapshot: &Snapshot| value(snapshot, "mail.delivery.attempts", "failed");
    for (bounced, delayed) in [("null", "3"), ("\"x\"", "3"), ("-1", "3"), ("12", "null"), ("12", "\"x\""), ("12", "[3]"), ("null", "null")]
    {
        let mut polls = Polls::of("mailgun");
        for (bounced, delayed, expected) in
            [("12", "3", Some(9.0)), (bounced, delayed, None), ("12", "3", Some(9.0)), ("14", "4", Some(10.0))]
        {
            assert_eq!(failed(&polls.next(&body(bounced, delayed))), expected, "{bounced} {delayed}");
        }
        // The next hour begins anew.
        polls.context.window_start = polls.context.window_start.map(|start| start + Duration::from_secs(3600));
        assert_eq!(failed(&polls.next(&body("null", "null"))), Some(25.0), "without bounced_count, the permanent failures");
        // The hour before is read again.
        polls.context.window_start = polls.context.window_start.map(|start| start - Duration::from_secs(3600));
        assert_eq!(failed(&polls.next(&body("null", "4"))), None);
        assert_eq!(failed(&polls.next(&body("15", "4"))), Some(26.0));
    }
}

#[test]
fn received_messages_of_a_day_of_pmg_do_not_rise_for_a_missing_number() {
    let body = |count_in: u32, greylisted: &str| format!(r#"{{"data":{{"count_in":{count_in},"glcount":{greylisted},"rbl_rejects":20}}}}"#);
    let received = |snapshot: &Snapshot| value(snapshot, "mail.received.messages", "remote");
    let mut polls = Polls::of("pmg");
    for (count_in, greylisted, expected) in
        [(100, "10", Some(70.0)), (101, "null", None), (101, "\"-\"", None), (101, "10", Some(71.0)), (110, "11", Some(79.0))]
    {
        let snapshot = polls.next(&body(count_in, greylisted));
        assert_eq!(received(&snapshot), expected, "{greylisted}");
        assert_eq!(snapshot.repairs.get(Repair::IncompleteSum), u64::from(expected.is_none()), "{greylisted}");
        assert_eq!(value(&snapshot, "mail.rejected.messages", "blocklist"), Some(20.0));
    }
}

#[test]
fn logins_of_dovecot_are_not_doubled_without_their_total() {
    const PAGE: &str = "# TYPE dovecot_auth_failures counter\ndovecot_auth_failures_total{service=\"imap\"} 9\n\
        dovecot_auth_failures_total{service=\"imap\",mechanism=\"PLAIN\"} 9\n";
    let failures = |count: &str| value(&first("dovecot", &format!("{PAGE}{count}# EOF\n")), "mail.authentication.attempts", "failure");
    assert_eq!(failures("dovecot_auth_failures_count 9\n"), Some(9.0));
    for count in ["", "dovecot_auth_failures_count NaN\n", "dovecot_auth_failures_count -1\n", "dovecot_auth_failures_count 9x\n"] {
        assert_eq!(failures(count), None, "{count}");
    }
    assert_eq!(value(&first("dovecot", "dovecot_auth_failures_total 9\n"), "mail.authentication.attempts", "failure"), Some(9.0));
}

#[test]
fn a_null_series_of_kumomta_is_not_new_in_the_next_response() {
    let page = |value: &str| {
        format!(
            "{{\"delayed_due_to_throttle_insert_ready\":{{\"type\":\"counter\",\"value\":{{\"queue\":{{\"a\":{value},\n\"b\":75}}}}}},\n\
             \"dane_result_count\":{{\"type\":\"counter\",\"value\":null}}}}"
        )
    };
    let mut polls = Polls::of("kumomta");
    for (series, expected, unreadable) in [("155", 230.0, 0), ("null", 230.0, 1), ("156", 231.0, 0)] {
        let snapshot = polls.next(&page(series));
        assert_eq!(value(&snapshot, "mail.queue.delays", ""), Some(expected), "{series}");
        assert_eq!(snapshot.repairs.get(Repair::Unreadable), unreadable, "{series}");
    }
}

#[test]
fn a_negative_sum_of_durations_is_omitted() {
    let family = |sum: &str| {
        format!(
            "# TYPE mox_queue_delivery_duration_seconds histogram\nmox_queue_delivery_duration_seconds_bucket{{result=\"ok\",le=\"+Inf\"}} 3\n\
             mox_queue_delivery_duration_seconds_sum{{result=\"ok\"}} {sum}\nmox_queue_delivery_duration_seconds_count{{result=\"ok\"}} 3\n"
        )
    };
    for (sum, expected, repairs) in [("1.5", Some(1.5), 0), ("0", Some(0.0), 0), ("-5", None, 1), ("-Inf", None, 1)] {
        let snapshot = first("mox", &family(sum));
        let sums: Vec<_> = snapshot.histograms.iter().map(|(metric, _, histogram)| (metric.name, histogram.sum)).collect();
        assert_eq!(sums, [("mail.delivery.attempt.duration", expected)], "{sum}");
        assert_eq!(snapshot.repairs.get(Repair::NonFiniteSum), repairs, "{sum}");
    }
}

#[test]
fn an_invalid_value_of_a_detail_is_counted() {
    let page = |n: &str| {
        format!(
            "{{\"scheduled_count_total\":{{\"type\":\"gauge\",\"value\":9}},\n\
             \"scheduled_by_domain\":{{\"type\":\"gauge\",\"value\":{{\"domain\":{{\"a.example\":{n},\n\"b.example\":2}}}}}}}}"
        )
    };
    for (n, repairs, of_a, rest) in [("3", 0, Some(3.0), 4.0), ("-3", 1, None, 7.0)] {
        let mut polls = Polls::of("kumomta");
        polls.context.detail = Some(Detail { by: &postmeter::model::vocabulary::DESTINATION_DOMAIN, top: 5 });
        let snapshot = polls.next(&page(n));
        assert_eq!(value(&snapshot, "mail.queue.depth", "a.example"), of_a, "{n}");
        assert_eq!(value(&snapshot, "mail.queue.depth", "_OTHER"), Some(rest), "{n}");
        assert_eq!(snapshot.repairs.get(Repair::OutOfRange), repairs, "{n}");
    }
}
