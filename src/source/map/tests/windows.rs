//! Counters of windows that have no events yet.

use super::*;
use crate::source::by_name;

/// A target whose windows are hours. Returns the counters of a response to the request for an hour, and the repairs.
fn hour(polled: &mut Polled, number: u64, body: &str) -> String {
    polled.context.window_start = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(number * 3600));
    polled.mapped(&[body])
}

fn windowed(rules: &'static [Rule]) -> Polled {
    let mut polled = Polled::new(rules, &[]);
    polled.source.windowed = true;
    polled
}

#[test]
fn a_counter_continues_in_a_window_without_events() {
    static RULES: &[Rule] = &[
        Rule::new(&["delivered"], &DELIVERY_ATTEMPTS).with(&[(&DELIVERY_OUTCOME, "delivered")]),
        Rule::new(&["failed"], &DELIVERY_ATTEMPTS).with(&[(&DELIVERY_OUTCOME, "failed")]),
        Rule::new(&["suppressed"], &DELIVERY_ATTEMPTS).with(&[(&DELIVERY_OUTCOME, "failed")]).scale(-1.0),
        Rule::new(&["b"], &BOUNCES).from(&[AttributeSource::labels(&["t"], &BOUNCE_TYPE).by_table(&[("h", "hard"), ("s", "soft")])]),
        Rule::new(&["g"], &ACCOUNT_CONFIGURED),
    ];
    let mut polled = windowed(RULES);
    let all = "mail.delivery.attempts delivered 1182; mail.delivery.attempts failed 6; mail.bounces hard 4";
    for (number, body, expected) in [
        (1, "x 1", ""),
        (1, "delivered 1182;failed 9;suppressed 3;b{t=\"h\"} 4;g 1", &format!("{all}; mail.account.configured 1")[..]),
        (2, "x 1", "mail.bounces hard 4; mail.delivery.attempts delivered 1182; mail.delivery.attempts failed 6"),
        // Late events of the hour before.
        (1, "delivered 1222;failed 9;suppressed 3;b{t=\"h\"} 4", &all.replace("1182", "1222")),
        (2, "x 1", "mail.bounces hard 4; mail.delivery.attempts delivered 1222; mail.delivery.attempts failed 6"),
        // Other bounces: there were no hard ones. A family that is missing beside others is unknown.
        (
            2,
            "delivered 1;suppressed 3;b{t=\"s\"} 5",
            "mail.delivery.attempts delivered 1223; mail.bounces soft 5; mail.bounces hard 4; !out_of_range 1",
        ),
        (2, "delivered NaN;b{t=\"s\"} 5", "mail.bounces soft 5; mail.bounces hard 4; !non_finite 1"),
        (2, "delivered{ 1;x 1", "!unreadable 1"),
        // The larger value that the same window had before is held.
        (
            2,
            "x 1",
            "mail.bounces hard 4; mail.bounces soft 5; mail.delivery.attempts delivered 1223; mail.delivery.attempts failed 6; !held 2",
        ),
    ] {
        assert_eq!(hour(&mut polled, number, body), expected, "{number}: {body}");
    }
    // The delivery log counts them from now on.
    polled.context.metrics_from_log = crate::model::RecordMetrics::of(|metric| *metric == DELIVERY_ATTEMPTS);
    assert_eq!(hour(&mut polled, 3, "x 1"), "mail.bounces hard 4; mail.bounces soft 5");
    polled.source = Source { windowed: true, ..system(&RULES[4..], &[]) };
    assert_eq!(hour(&mut polled, 3, "x 1"), "", "no rule produces them any more");
}

#[test]
fn counters_of_mailgun_continue_in_an_hour_without_items() {
    let source = by_name("mailgun").unwrap();
    let mut memory = CounterMemory::default();
    let mut context = Polled::new(&[], &[]).context;
    let mut attempts = |hour: u64, items: &str| -> Vec<f64> {
        context.window_start = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600));
        let families = source.required().read_saved(format!("{{\"items\": [{items}]}}").as_bytes()).unwrap();
        let snapshot = map_to_canonical(source, &[(source.required(), families)], &mut memory, &context);
        let delivered = |point: &&crate::model::Point| point.metric == &DELIVERY_ATTEMPTS && point.attributes[0].1 == "delivered";
        snapshot.points.iter().filter(delivered).map(|point| point.value).collect()
    };
    let item = |delivered: u32| format!("{{\"metrics\": {{\"delivered_count\": {delivered}, \"complained_count\": 0}}}}");
    assert_eq!(attempts(1, ""), [0.0; 0], "nothing is known yet");
    assert_eq!(attempts(1, &item(1182)), [1182.0]);
    attempts(1, &item(1222));
    assert_eq!(attempts(2, ""), [1222.0]);
    assert_eq!(attempts(2, &item(3)), [1225.0]);
}
