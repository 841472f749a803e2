//! Counters that are the number of values of a histogram.

use super::*;
use crate::source::Take;

const OUTCOMES: Table = &[("ok*", "delivered"), ("permerror", "failed")];

/// Returns the lines of one histogram with a single bucket.
pub(super) fn observed(family: &str, labels: &str, count: u64) -> String {
    format!(
        "{family}_bucket{{{labels},le=\"1\"}} {count};{family}_bucket{{{labels},le=\"+Inf\"}} {count};{family}_sum{{{labels}}} {count}.5;{family}_count{{{labels}}} {count};"
    )
}

#[test]
fn a_histogram_with_four_labels_is_counted_by_one_of_them() {
    static RULES: &[Rule] = &[
        Rule::new(&["mox_delivery_seconds"], &DELIVERY_ATTEMPTS)
            .from(&[AttributeSource::labels(&["result"], &DELIVERY_OUTCOME).by_table(OUTCOMES).otherwise("deferred")])
            .take(Take::Count)
            .zero_when_absent(),
        Rule::new(&["mox_delivery_seconds"], &DELIVERY_ATTEMPT_DURATION),
    ];
    let series = |attempt: u32, transport: &str, tls: &str, result: &str, count| {
        let labels = format!("attempt=\"{attempt}\",transport=\"{transport}\",tlsmode=\"{tls}\",result=\"{result}\"");
        observed("mox_delivery_seconds", &labels, count)
    };
    let page = "# TYPE mox_delivery_seconds histogram;".to_owned()
        + &series(1, "", "opportunistic", "ok", 9)
        + &series(1, "smarthost", "required", "ok", 3)
        + &series(2, "", "opportunistic", "okpartial", 2)
        + &series(1, "", "opportunistic", "timeout", 4)
        + &series(2, "", "none", "error", 5);
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(
        polled.mapped(&[&page]),
        "mail.delivery.attempts delivered 14; mail.delivery.attempts deferred 9; mail.delivery.attempts failed 0"
    );
    let duration = |snapshot: &Snapshot| snapshot.histograms.iter().map(|(_, _, h)| (h.count, h.sum)).collect::<Vec<_>>();
    assert_eq!(duration(&polled.snapshot(&[&page])), [(23, Some(25.5))]);
    // The same series twice counts once, and none at all means 0.
    let repeated = page.clone() + &series(1, "", "opportunistic", "ok", 9);
    assert!(Polled::new(RULES, &[]).mapped(&[&repeated]).starts_with("mail.delivery.attempts delivered 14;"));
    assert_eq!(
        Polled::new(RULES, &[]).mapped(&["x 1"]),
        "mail.delivery.attempts delivered 0; mail.delivery.attempts failed 0; mail.delivery.attempts deferred 0"
    );
}

#[test]
fn a_count_that_lacks_a_histogram_is_unknown() {
    static RULES: &[Rule] = &[
        Rule::new(&["h"], &WEBHOOK_REQUESTS)
            .from(&[AttributeSource::labels(&["c"], &WEBHOOK_OUTCOME).by_table(&[("2??", "success"), ("*", "failure")])])
            .take(Take::Count)
            .zero_when_absent(),
        Rule::new(&["h"], &MESSAGE_IO).with(&[(&IO_DIRECTION, "receive")]).take(Take::Sum).unless(&[("c", "5*")]),
    ];
    let page = |series: &[(&str, u64)]| -> String {
        "# TYPE h histogram;".to_owned() + &series.iter().map(|(code, n)| observed("h", &format!("c=\"{code}\""), *n)).collect::<String>()
    };
    let lost = |code: &str| format!("h_bucket{{c=\"{code}\",le=\"1\"}} 9;h_sum{{c=\"{code}\"}} 1;h_count{{c=\"{code}\"}} 4;");
    for (page, expected) in [
        (
            page(&[("200", 3), ("204", 4), ("500", 2)]),
            "mail.webhook.requests success 7; mail.webhook.requests failure 2; mail.message.io receive 8",
        ),
        (page(&[("200", 3), ("500", 2)]) + &lost("201"), "mail.webhook.requests failure 2; !inconsistent_histogram 1"),
        (
            page(&[("200", 3), ("500", 2)]) + &lost("503"),
            "mail.webhook.requests success 3; mail.message.io receive 4; !inconsistent_histogram 1",
        ),
        // An observation that is absent is 0, but one that may be unreadable is unknown.
        (page(&[("200", 3)]), "mail.webhook.requests success 3; mail.webhook.requests failure 0; mail.message.io receive 4"),
        ("h{c=\"200\"} 3;h{c=\"500\"} 1".to_owned(), "!unreadable 3"),
        (
            "# TYPE h summary;h{c=\"200\",quantile=\"0.5\"} 1;h_sum{c=\"200\"} 6;h_count{c=\"200\"} 2".to_owned(),
            "mail.webhook.requests success 2; mail.webhook.requests failure 0; mail.message.io receive 6",
        ),
    ] {
        assert_eq!(Polled::new(RULES, &[]).mapped(&[&page]), expected, "{page}");
    }
}

#[test]
fn a_count_restarts_as_a_counter_does() {
    static RULES: &[Rule] = &[Rule::new(&["h"], &COMPLAINTS).take(Take::Count)];
    let page = |labels: &[(&str, u64)]| -> String {
        "# TYPE h histogram;".to_owned() + &labels.iter().map(|(l, n)| observed("h", &format!("l=\"{l}\""), *n)).collect::<String>()
    };
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(polled.mapped(&[&page(&[("a", 5), ("b", 2)])]), "mail.complaints 7");
    // Without one of its series, the sum would fall.
    assert_eq!(polled.mapped(&[&page(&[("a", 6)])]), "!incomplete_sum 1");
    assert_eq!(polled.mapped(&[&page(&[("a", 6), ("b", 2)])]), "mail.complaints 8");
    assert_eq!(polled.mapped(&[&page(&[("a", 1)])]), "mail.complaints 1", "a decrease is a restart");
}
