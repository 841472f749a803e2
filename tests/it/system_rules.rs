//! Rules of mail systems over several responses, and of responses that lack what others have: canonical values, calculated by hand.
#![allow(clippy::unwrap_used)]

use postmeter::model::Snapshot;
use postmeter::source::{self, Context, CounterMemory, map_to_canonical};
use std::time::{Duration, SystemTime};

/// The polls of one server, one after the other.
struct Polls {
    system: &'static str,
    memory: CounterMemory,
    polls: u64,
}

impl Polls {
    fn of(system: &'static str) -> Self {
        Self { system, memory: CounterMemory::default(), polls: 0 }
    }

    /// Maps the next response.
    fn next(&mut self, body: &str) -> Snapshot {
        let source = source::by_name(self.system).unwrap();
        let part = source.required();
        let families = part.read_saved(body.as_bytes()).unwrap();
        self.polls += 1;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + 15 * self.polls);
        let context = Context::at(now);
        map_to_canonical(source, &[(part, families)], &mut self.memory, &context)
    }
}

/// Returns the value of the point with these values of attributes, in any order.
fn value(snapshot: &Snapshot, metric: &str, attributes: &[&str]) -> Option<f64> {
    let sorted = |values: &[&str]| {
        let mut sorted: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        sorted.sort_unstable();
        sorted
    };
    let wanted = sorted(attributes);
    let is_wanted = |point: &&postmeter::model::Point| {
        let values: Vec<&str> = point.attributes.iter().map(|(_, value)| value.as_ref()).collect();
        point.metric.name == metric && sorted(&values) == wanted
    };
    snapshot.points.iter().find(is_wanted).map(|point| point.value)
}

/// A response of Rspamd with these numbers of rejected and of other messages.
fn rspamd(started: u64, reject: u64, no_action: u64) -> String {
    format!(
        "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n\
         # TYPE rspamd_actions_total counter\nrspamd_actions_total{{type=\"reject\"}} {reject}\n\
         rspamd_actions_total{{type=\"no action\"}} {no_action}\n# EOF\n"
    )
}

#[test]
fn a_crash_of_rspamd_counts_nothing_twice_and_loses_nothing_after_it() {
    for (before, saved, after) in [(99, 37, 68), (40, 0, 5), (12, 11, 11)] {
        let mut polls = Polls::of("rspamd");
        let spam = |snapshot: &Snapshot| value(snapshot, "mail.rejected.messages", &["spam"]).unwrap();
        let first = spam(&polls.next(&rspamd(1000, before, 7)));
        let restored = spam(&polls.next(&rspamd(2000, saved, 7)));
        let last = spam(&polls.next(&rspamd(2000, after, 9)));
        assert_eq!(restored - first, 0.0, "{before} {saved}");
        assert_eq!(last - first, (after - saved) as f64, "{before} {saved} {after}");
    }
}

#[test]
fn an_orderly_restart_of_rspamd_keeps_its_counters() {
    let mut polls = Polls::of("rspamd");
    let first = polls.next(&rspamd(1000, 37, 20));
    let second = polls.next(&rspamd(2000, 68, 31));
    let spam = |snapshot| value(snapshot, "mail.spam.verdicts", &["spam"]).unwrap();
    assert_eq!(spam(&second) - spam(&first), 31.0);
    assert_eq!(second.counters_since, None, "the start of the process is not the start of the counters");
}

#[test]
fn a_stopped_postfix_has_no_queue_and_is_down() {
    let up = |is_up: u8| format!("# TYPE postfix_up gauge\npostfix_up{{path=\"unix:///var/spool/postfix/public/showq\"}} {is_up}\n");
    let depth = "# TYPE postfix_showq_queue_depth gauge\npostfix_showq_queue_depth{queue=\"deferred\"} 9\n";
    let mut polls = Polls::of("postfix");
    assert_eq!(value(&polls.next(&(up(1) + depth)), "mail.queue.depth", &["deferred"]), Some(9.0));
    let stopped = polls.next(&up(0));
    assert_eq!(value(&stopped, "mail.queue.depth", &["deferred"]), None);
    assert_eq!(value(&stopped, "mail.service.status", &["postfix", "down"]), Some(1.0));
    assert_eq!(value(&stopped, "mail.service.status", &["postfix", "up"]), Some(0.0));
}

#[test]
fn the_state_of_the_log_file_of_postfix_is_not_that_of_the_service() {
    let body = "# TYPE postfix_up gauge\npostfix_up{path=\"/var/log/mail.log\"} 0\npostfix_up{path=\"tcp://192.0.2.4:10025\"} 1\n";
    let snapshot = Polls::of("postfix").next(body);
    assert_eq!(value(&snapshot, "mail.service.status", &["postfix", "up"]), Some(1.0));
    assert_eq!(value(&snapshot, "mail.service.status", &["postfix", "down"]), Some(0.0));
}

#[test]
fn an_exporter_without_outcomes_reports_no_zeros_for_them() {
    let kumina = "# TYPE postfix_smtp_status_deferred counter\npostfix_smtp_status_deferred 4\n";
    let snapshot = Polls::of("postfix").next(kumina);
    assert_eq!(value(&snapshot, "mail.delivery.attempts", &["deferred"]), Some(4.0));
    assert_eq!(value(&snapshot, "mail.delivery.attempts", &["delivered"]), None);
    assert_eq!(value(&snapshot, "mail.delivery.attempts", &["failed"]), None);
}

#[test]
fn groups_of_dovecot_are_counted_once() {
    let body = "# TYPE dovecot_mail_delivered counter\n\
        dovecot_mail_delivered_total{user=\"a\"} 5\ndovecot_mail_delivered_total{user=\"a\",session=\"s\"} 5\n\
        dovecot_mail_delivered_total{user=\"b\"} 3\ndovecot_mail_delivered_count 8\n# EOF\n";
    let snapshot = Polls::of("dovecot").next(body);
    assert_eq!(value(&snapshot, "mail.delivery.attempts", &["delivered"]), Some(8.0));
    let ungrouped = "# TYPE dovecot_mail_delivered counter\ndovecot_mail_delivered_total 6\n# EOF\n";
    let snapshot = Polls::of("dovecot").next(ungrouped);
    assert_eq!(value(&snapshot, "mail.delivery.attempts", &["delivered"]), Some(6.0));
    assert_eq!(value(&snapshot, "mail.delivery.attempts", &["failed"]), None, "a metric without a block is missing");
}

#[test]
fn advice_of_dovecot_names_each_missing_counter_and_no_other() {
    const BLOCKS: [(&[&str], &str); 4] = [
        (&["auth_success_total", "auth_success_count", "auth_successes_total", "auth_successes_count"], "successful logins"),
        (&["auth_failures_total", "auth_failures_count"], "failed logins"),
        (&["mail_delivered_total", "mail_delivered_count"], "deliveries that succeed"),
        (&["mail_delivery_failed_total", "mail_delivery_failed_count"], "deliveries that fail"),
    ];
    // Metrics whose names begin as those of the blocks do, and that count something else.
    let others = "dovecot_auth_successful_total 1\ndovecot_mail_deliveries_total 3\ndovecot_mail_deliver_total 1\n\
        dovecot_auth_success_duration_seconds_total 1\ndovecot_mail_delivery_count 3\n";
    let advice = |body: &str| {
        let advice = Polls::of("dovecot").next(&format!("{others}{body}")).advice;
        advice.iter().map(|text| text.split(" are not counted").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(advice(""), BLOCKS.map(|(_, missing)| missing));
    for (names, missing) in BLOCKS {
        for name in names {
            let expected: Vec<&str> = BLOCKS.iter().map(|(_, text)| *text).filter(|text| *text != missing).collect();
            assert_eq!(advice(&format!("dovecot_{name} 0\n")), expected, "{name}");
        }
    }
}

#[test]
fn lines_of_postscreen_that_the_exporter_does_not_read_lead_to_advice() {
    let advice = |service: &str, others: &str| {
        let mut polls = Polls::of("postfix");
        let page = |n: u32| {
            format!("postfix_virtual_delivered_total 0\npostfix_unsupported_log_entries_total{{service=\"{service}\"}} {n}\n{others}")
        };
        assert_eq!(polls.next(&page(5)).advice, [""; 0]);
        polls.next(&page(6)).advice
    };
    let old = advice("postscreen", "");
    assert!(old.len() == 1 && old[0].starts_with("rejections of postscreen(8) are not counted: "), "{old:?}");
    // A later exporter reads them, and counts the rest under the same name.
    assert_eq!(advice("postscreen", "postfix_postscreen_connects_total 0\n"), [""; 0]);
    let renamed = advice("mx/postscreen", "postfix_postscreen_connects_total 0\n");
    assert!(renamed.len() == 1 && renamed[0].contains(" --postfix.postscreen_service_label=mx/postscreen;"), "{renamed:?}");
}

#[test]
fn failures_of_exim_have_the_enhanced_code_or_the_plain_one() {
    let body = "# TYPE exim_message_errors_total counter\n\
        exim_message_errors_total{enhanced=\"\",status=\"421\"} 2\nexim_message_errors_total{enhanced=\"5.2.2\",status=\"552\"} 3\n\
        exim_message_errors_total{enhanced=\"\",status=\"999\"} 7\n";
    let snapshot = Polls::of("exim").next(body);
    assert_eq!(value(&snapshot, "mail.delivery.failures", &["transient", "421"]), Some(2.0));
    assert_eq!(value(&snapshot, "mail.delivery.failures", &["permanent", "5.2.2"]), Some(3.0));
    let failures = snapshot.points.iter().filter(|point| point.metric.name == "mail.delivery.failures");
    assert_eq!(failures.count(), 2, "a status that is neither 4xx nor 5xx is not mapped");
}

/// Returns a response of Stalwart with these counters and gauges.
fn stalwart(counters: &[(&str, u64)], gauges: &[(&str, u64)]) -> String {
    let family = |kind: &str, (name, value): &(&str, u64)| format!("# TYPE {name} {kind}\n{name} {value}\n");
    let counters = counters.iter().map(|family_of| family("counter", family_of));
    counters.chain(gauges.iter().map(|family_of| family("gauge", family_of))).collect()
}

#[test]
fn counters_of_stalwart_that_count_something_else_are_not_mapped() {
    let body = stalwart(
        &[
            ("delivery_attempt_start", 9),
            // One recipient that a limit rejected, and two domains without MX records.
            ("smtp_rate_limit_exceeded", 2),
            ("delivery_mx_lookup_failed", 2),
            ("delivery_ip_lookup_failed", 1),
            ("delivery_start_tls_error", 3),
            ("delivery_implicit_tls_error", 4),
        ],
        &[],
    );
    let snapshot = Polls::of("stalwart").next(&body);
    assert_eq!(value(&snapshot, "mail.rejected.messages", &["rate_limit"]), None);
    assert_eq!(value(&snapshot, "mail.delivery.failures", &["dns", "unknown"]), Some(1.0));
    // Where TLS is required, the failure can be permanent.
    assert_eq!(value(&snapshot, "mail.delivery.failures", &["tls", "transient"]), None);
    assert_eq!(value(&snapshot, "mail.delivery.failures", &["tls", "unknown"]), Some(7.0));
}

#[test]
fn a_node_of_a_stalwart_cluster_reports_no_numbers_that_it_does_not_know() {
    let numbers = |users, domains| {
        let gauges = [("user_count", users), ("domain_count", domains)];
        let snapshot = Polls::of("stalwart").next(&stalwart(&[("delivery_attempt_start", 9)], &gauges));
        let number = |metric| value(&snapshot, metric, &[]);
        (number("mail.account.configured"), number("mail.domain.configured"))
    };
    assert_eq!(numbers(0, 0), (None, None));
    assert_eq!(numbers(1, 1), (Some(1.0), Some(1.0)));
}

#[test]
fn the_queue_that_stalwart_lists_has_precedence_over_its_counter() {
    let source = source::by_name("stalwart").unwrap();
    let [metrics, queue] = ["metrics", "queue"].map(|name| source.parts.iter().find(|part| part.name == name).unwrap());
    let page = stalwart(&[("delivery_attempt_start", 9)], &[("queue_count", 4211)]);
    let counted = metrics.read_saved(page.as_bytes()).unwrap();
    let listed = queue.read_saved(br#"{"data":{"items":[],"total":3}}"#.as_slice()).unwrap();
    let depth = |read: &[_]| {
        let context = Context::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let snapshot = map_to_canonical(source, read, &mut CounterMemory::default(), &context);
        value(&snapshot, "mail.queue.depth", &["queued"])
    };
    assert_eq!(depth(&[(metrics, counted.clone()), (queue, listed)]), Some(3.0));
    assert_eq!(depth(&[(metrics, counted)]), Some(4211.0));
}
