//! Rules applied to pages: a rule or two, the pages of consecutive polls, and the expected points.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::format::prometheus;
use crate::model::vocabulary::*;
use crate::model::{Attributes, Histogram};
use crate::source::{AttributeSource, Request, Rule};

mod accumulation;
mod definitions;
mod windows;

/// Returns a mail system whose two parts have these rules.
fn system(rules: &'static [Rule], more: &'static [Rule]) -> Source {
    static REQUESTS: &[Request] = &[Request::get("text", "/", prometheus::read)];
    let part = |name, rules| Part { rules, misnaming_families: &["wrong"], ..Part::new(name, "", REQUESTS) };
    Source {
        gauges_underflow: true,
        version: Some(("build", "version")),
        counters_since: Some("started"),
        ..Source::new("test", "", Box::leak(Box::new([part("first", rules), part("second", more)])))
    }
}

/// A target that is polled several times.
struct Polled {
    source: Source,
    memory: CounterMemory,
    context: Context,
}

impl Polled {
    fn new(rules: &'static [Rule], more: &'static [Rule]) -> Self {
        let context = Context {
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
            window_start: None,
            sliding: false,
            detail: None,
            metrics_from_log: crate::model::RecordMetrics::NONE,
        };
        Self { source: system(rules, more), memory: CounterMemory::default(), context }
    }

    /// Maps the pages of the parts. In a page, `;` separates lines.
    fn snapshot(&mut self, pages: &[&str]) -> Snapshot {
        let page = |(part, page): (&'static Part, &&str)| (part, prometheus::read(page.replace(';', "\n") + "\n").unwrap());
        let read: Vec<_> = self.source.parts.iter().zip(pages).map(page).collect();
        map_to_canonical(&self.source, &read, &mut self.memory, &self.context)
    }

    /// Returns the points as `metric values number`, then the repairs as `!kind n`.
    fn mapped(&mut self, pages: &[&str]) -> String {
        let snapshot = self.snapshot(pages);
        let point = |p: &crate::model::Point| {
            let values: Vec<_> = p.attributes.iter().map(|(_, value)| format!(" {value}")).collect();
            format!("{}{} {}", p.metric.name, values.concat(), p.value)
        };
        let repairs = snapshot.repairs.iter().map(|(repair, n)| format!("!{} {n}", repair.as_str()));
        snapshot.points.iter().map(point).chain(repairs).collect::<Vec<_>>().join("; ")
    }
}

/// Checks the points of consecutive polls of one target, the first of which is at second 1000, and the others a minute apart.
#[track_caller]
fn check(rules: &'static [Rule], cases: &[(&str, &str)]) {
    let mut polled = Polled::new(rules, &[]);
    for (page, expected) in cases {
        assert_eq!(polled.mapped(&[page]), *expected, "{page}");
        polled.context.now += Duration::from_secs(60);
    }
}

/// Checks the points of first polls, each of another target.
#[track_caller]
fn check_each(rules: &'static [Rule], cases: &[(&str, &str)]) {
    cases.iter().for_each(|case| check(rules, &[*case]));
}

#[test]
fn invalid_numbers_are_omitted() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS), Rule::new(&["g"], &ACCOUNT_CONFIGURED), Rule::new(&["a"], &QUEUE_OLDEST_AGE)];
    check_each(
        RULES,
        &[
            ("c NaN;g 1", "mail.account.configured 1; !non_finite 1"),
            ("c +Inf;g -Inf", "!non_finite 2"),
            ("c -1", "!out_of_range 1"),
            ("c 9007199254740993e3", "!out_of_range 1"),
            ("c 4294967295", "mail.complaints 4294967295"),
            ("g 18446744073709551615", "!underflow 1"),
            ("a 18446744073709551615", "!underflow 1"),
            ("g{of=\"1\"} 5;g{of=\"2\"} 18446744073709551615", "!underflow 1"),
            ("g -1e300;a -1", "!out_of_range 2"),
            ("g{of=\"1\"} 5;g{of=\"2\"} -1", "!out_of_range 1"),
            ("a{q=\"1\"} NaN;a{q=\"2\"} 7;a{q=\"3\"} NaN", "!non_finite 2"),
            ("g 999999999999999", "mail.account.configured 999999999999999"),
            ("g 1.5", "mail.account.configured 2"),
            ("# TYPE c histogram;c_bucket{le=\"+Inf\"} 3;c_count 3;g 1", "mail.account.configured 1; !unreadable 1"),
        ],
    );
}

#[test]
fn an_invalid_number_invalidates_its_sum() {
    static RULES: &[Rule] = &[
        Rule::new(&["c"], &COMPLAINTS).zero_when_absent(),
        Rule::new(&["q"], &QUEUE_DEPTH)
            .from(&[AttributeSource::labels(&["s"], &QUEUE_STATE).by_table(&[("a", "active"), ("h", "held")])])
            .zero_when_absent(),
    ];
    check_each(
        RULES,
        &[
            ("c{a=\"1\"} 5;c{a=\"2\"} NaN", "mail.queue.depth active 0; mail.queue.depth held 0; !non_finite 1"),
            ("c -1;q{s=\"a\"} 2;q{s=\"h\",x=\"1\"} Inf;q{s=\"h\",x=\"2\"} 1", "mail.queue.depth active 2; !non_finite 1; !out_of_range 1"),
        ],
    );
}

#[test]
fn a_missing_series_is_not_zero_if_something_was_unreadable() {
    static RULES: &[Rule] = &[
        Rule::new(&["c"], &COMPLAINTS).when(&[("e", "c")]).zero_when_absent(),
        Rule::new(&["tries"], &DELIVERY_ATTEMPTS).zero_when_absent(),
        Rule::new(&["c"], &DELIVERY_ATTEMPTS).when(&[("e", "final")]).scale(-1.0).zero_when_absent(),
    ];
    check_each(
        RULES,
        &[
            ("tries 5", "mail.complaints 0; mail.delivery.attempts 5"),
            ("c{e=\"c\" 7;tries 5", "!unreadable 1"),
            ("tries 5;c{e=\"c\" 7;c{e=\"final\"} 2", "mail.delivery.attempts 3; !unreadable 1"),
            ("tries 5;c{e=\"final\" 2;c{e=\"c\"} 7", "mail.complaints 7; !unreadable 1"),
            ("tries 5;# TYPE c histogram;c_bucket{e=\"c\",le=\"1\"} 3;c_count{e=\"c\"} 2", "!inconsistent_histogram 1"),
            (
                "tries 5;# TYPE h histogram;h_bucket{le=\"1\"} 3;h_count 2;# TYPE z gauge",
                "mail.complaints 0; mail.delivery.attempts 5; !inconsistent_histogram 1",
            ),
        ],
    );
}

#[test]
fn a_counter_that_changed_its_type_is_not_zero() {
    static RULES: &[Rule] = &[Rule::new(&["c", "d"], &COMPLAINTS).zero_when_absent(), Rule::new(&["h"], &DELIVERY_DURATION)];
    check_each(
        RULES,
        &[
            ("# TYPE c histogram;c_bucket{le=\"+Inf\"} 3;c_count 3", "!unreadable 1"),
            ("# TYPE c summary;c{quantile=\"0.5\"} 3;c_count 3;d 4", "!unreadable 1"),
            ("c 3;h 4", "mail.complaints 3; !unreadable 1"),
        ],
    );
}

#[test]
fn accumulation_continues_after_an_unreadable_series() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Accumulate)];
    check(
        RULES,
        &[
            ("c{q=\"a\"} 1000;c{q=\"b\"} 1", "mail.complaints 1001"),
            ("c{q=\"a\" 1000;c{q=\"b\"} 2", "mail.complaints 1002; !unreadable 1"),
            ("c{q=\"a\" 1001;c{q=\"b\"} 2", "mail.complaints 1002; !unreadable 1"),
            ("c{q=\"a\"} 1001;c{q=\"b\"} 2", "mail.complaints 1003"),
            ("# TYPE c histogram;c_bucket{q=\"a\",le=\"+Inf\"} 3;c_count{q=\"a\"} 3", "mail.complaints 1003; !unreadable 1"),
            ("c{q=\"a\"} 1002", "mail.complaints 1004"),
            ("c{q=\"b\"} 1", "mail.complaints 1005"),
            ("x;c{q=\"a\"} 4", "mail.complaints 1009; !unreadable 1"),
        ],
    );
}

#[test]
fn accumulation_continues_after_an_invalid_number() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Accumulate)];
    check(
        RULES,
        &[
            ("c{a=\"1\"} 100", "mail.complaints 100"),
            ("c{a=\"1\"} NaN", "mail.complaints 100; !non_finite 1"),
            ("c{a=\"1\"} -1", "mail.complaints 100; !out_of_range 1"),
            ("c{a=\"1\"} 101", "mail.complaints 101"),
        ],
    );
}

#[test]
fn duplicate_series_count_once() {
    static RULES: &[Rule] = &[Rule::new(&["g"], &ACCOUNT_CONFIGURED), Rule::new(&["g"], &DOMAIN_CONFIGURED)];
    check_each(
        RULES,
        &[
            ("g{a=\"1\"} 3;g{a=\"1\"} 4", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            ("g{a=\"1\",b=\"2\"} 3;g{b=\"2\",a=\"1\"} 4", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            ("g{a=\"1\"} 3;x 1;g{a=\"1\"} 4", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            ("g{a=\"1\"} 3;g{a=\"2\"} 4", "mail.account.configured 7; mail.domain.configured 7"),
        ],
    );
}

#[test]
fn values_with_equal_attributes_add_up_except_gauges() {
    static RULES: &[Rule] = &[
        Rule::new(&["a", "b"], &COMPLAINTS),
        Rule::new(&["less"], &COMPLAINTS).scale(-1.0),
        Rule::new(&["age"], &QUEUE_OLDEST_AGE).transform(Transform::Age),
        Rule::new(&["percent"], &SYSTEM_CPU_UTILIZATION).scale(0.01),
    ];
    check_each(
        RULES,
        &[
            ("a 5;b 4", "mail.complaints 9"),
            ("a 5;less 2", "mail.complaints 3"),
            ("a 5;less 7", "mail.complaints 0"),
            ("age{q=\"1\"} 900;age{q=\"2\"} 600", "mail.queue.oldest_age 400"),
            ("age 1500", "mail.queue.oldest_age 0"),
            // These times are not set.
            ("age 0;percent 7", "system.cpu.utilization 0.07"),
            ("age{q=\"1\"} 0;age{q=\"2\"} 600;age{q=\"3\"} -62135596800", "mail.queue.oldest_age 400"),
            ("percent 50", "system.cpu.utilization 0.5"),
        ],
    );
}

#[test]
fn label_values_are_mapped_by_a_table() {
    const TABLE: &[(&str, &str)] = &[("ok", "success"), ("fail", "failure")];
    static STRICT: &[Rule] = &[Rule::new(&["w"], &WEBHOOK_REQUESTS)
        .from(&[AttributeSource::labels(&["s"], &WEBHOOK_OUTCOME).by_table(TABLE)])
        .zero_when_absent()];
    check_each(
        STRICT,
        &[
            ("w{s=\"ok\",e=\"1\"} 2;w{s=\"ok\",e=\"2\"} 3", "mail.webhook.requests success 5; mail.webhook.requests failure 0"),
            ("w{s=\"other\"} 2;w 4", "mail.webhook.requests success 0; mail.webhook.requests failure 0"),
            ("x 1", "mail.webhook.requests success 0; mail.webhook.requests failure 0"),
        ],
    );
    static OTHER: &[Rule] = &[Rule::new(&["w"], &ACCOUNT_STATUS)
        .from(&[AttributeSource::labels(&["s"], &ACCOUNT_STATE).by_table(&[("a", "init")]).otherwise("_OTHER")])];
    check_each(OTHER, &[("w{s=\"a\"} 1;w{s=\"b\"} 2;w{s=\"c\"} 3", "mail.account.status init 1; mail.account.status _OTHER 5")]);
}

#[test]
fn a_missing_series_is_zero_only_if_its_part_was_read() {
    static FIRST: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).zero_when_absent()];
    static SECOND: &[Rule] = &[Rule::new(&["b"], &BOUNCES).zero_when_absent()];
    let mut polled = Polled::new(FIRST, SECOND);
    assert_eq!(polled.mapped(&["x 1", "x 1"]), "mail.complaints 0; mail.bounces 0");
    assert_eq!(polled.mapped(&["x 1"]), "mail.complaints 0", "the second part was not read");
    assert_eq!(polled.mapped(&["b 3"]), "mail.complaints 0", "rules read only their own part");
}

#[test]
fn a_fallback_applies_only_without_a_valid_point() {
    static FIRST: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")])];
    static SECOND: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]).fallback()];
    for (pages, expected) in [
        (&["q 14", "q 3"][..], "mail.queue.depth queued 14"),
        (&["x 1", "q 3"], "mail.queue.depth queued 3"),
        (&["q 18446744073709551615", "q 3"], "mail.queue.depth queued 3; !underflow 1"),
        (&["q 14"], "mail.queue.depth queued 14"),
    ] {
        assert_eq!(Polled::new(FIRST, SECOND).mapped(pages), expected, "{pages:?}");
    }
}

#[test]
fn pruned_counters_are_accumulated() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Accumulate)];
    check(
        RULES,
        &[
            ("x 1", ""),
            ("c{q=\"a\"} 5;c{q=\"b\"} 2", "mail.complaints 7"),
            ("c{q=\"a\"} 6", "mail.complaints 8"),
            ("x 1", "mail.complaints 8"),
            ("c{q=\"a\"} 1", "mail.complaints 9"),
            ("c{q=\"a\"} 1;c{q=\"a\"} 1;c{q=\"b\"} NaN", "mail.complaints 9; !non_finite 1; !duplicate_series 1"),
            ("c{q=\"b\"} 4;c{q=\"a\"} 3", "mail.complaints 15"),
        ],
    );
}

#[test]
fn utilization_is_calculated_from_increases() {
    static RULES: &[Rule] = &[Rule::new(&["idle"], &SYSTEM_CPU_UTILIZATION).transform(Transform::OneMinusShareOf("all"))];
    check(
        RULES,
        &[
            ("idle 50;all 100", ""),
            ("idle 125;all 200", "system.cpu.utilization 0.25"),
            ("idle 125;all 200", ""),
            ("all 300", ""),
            ("idle 125;all 400", "system.cpu.utilization 1"),
            ("idle 5;all 10", ""),
            ("idle 15;all 20", "system.cpu.utilization 0"),
            ("idle 95;all 40", ""),
            ("idle 96;all NaN", ""),
            ("idle 97;all 50", ""),
            ("idle 102;all 60", "system.cpu.utilization 0.5"),
        ],
    );
}

#[test]
fn a_sum_is_held_until_the_counters_restart() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Hold).zero_when_absent()];
    check(
        RULES,
        &[
            ("started 100;c 5", "mail.complaints 5"),
            ("started 100;c 4", "mail.complaints 5; !held 1"),
            ("started 100", "mail.complaints 5; !held 1"),
            ("started 100;c 6", "mail.complaints 6"),
            ("started 200;c 1", "mail.complaints 1"),
        ],
    );
}

#[test]
fn a_start_that_moves_with_the_clock_does_not_release_a_held_sum() {
    static RULES: &[Rule] = &[
        Rule::new(&["all"], &COMPLAINTS).transform(Transform::Hold),
        Rule::new(&["less"], &COMPLAINTS).scale(-1.0).transform(Transform::Hold),
    ];
    check(
        RULES,
        &[
            ("started 100;all 105;less 5", "mail.complaints 100"),
            ("started 100;all 105;less 7", "mail.complaints 100; !held 1"),
            ("started 101;all 105;less 7", "mail.complaints 100; !held 1"),
            ("started 99;all 105;less 7", "mail.complaints 100; !held 1"),
            ("started 101;all 105;less 7", "mail.complaints 100; !held 1"),
            // Restarts: after the last poll; with a clock that is behind; of an exporter whose counters appear with the first event.
            ("started 1290;all 106;less 9", "mail.complaints 97"),
            ("started 1300;all 30;less 9", "mail.complaints 21"),
            ("started 1310", ""),
            ("started 1310;all 2;less 0", "mail.complaints 2"),
        ],
    );
}

#[test]
fn a_detail_adds_up_to_its_total() {
    static RULES: &[Rule] = &[
        Rule::new(&["all"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "scheduled")]),
        Rule::new(&["of"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "scheduled")]).detail("d", &DESTINATION_DOMAIN),
    ];
    let by = |by: &'static Attribute, top: usize| {
        let mut polled = Polled::new(RULES, &[]);
        polled.context.detail = Some(Detail { by, top });
        polled
    };
    const PAGE: &str = "all 10;of{d=\"c\"} 3;of{d=\"b\"} 3;of{d=\"a\"} 2;of{d=\"n\"} NaN;of{d=\"u\"} 18446744073709551615;of 1";
    for (top, page, expected) in [
        (2, PAGE, "b 3; c 3; _OTHER 4"),
        (9, PAGE, "b 3; c 3; a 2; _OTHER 2"),
        (0, PAGE, "_OTHER 10"),
        (2, "all 10", "_OTHER 10"),
        (2, "all 4;of{d=\"a\"} 5", "a 5; _OTHER 0"),
        (2, "all 4;of{d=\"a\"} 3;of{d=\"a\"} 3", "a 3; _OTHER 1; !duplicate_series 1"),
        (2, "all 4;of{d=\"_OTHER\"} 3", "_OTHER 4"),
        (2, "of{d=\"a\"} 3", ""),
        (2, "all -4;of{d=\"a\"} 3", "!out_of_range 1"),
    ] {
        let mapped = by(&DESTINATION_DOMAIN, top).mapped(&[page]).replace("mail.queue.depth scheduled ", "");
        assert_eq!(mapped, expected, "{top} of {page}");
    }
    assert_eq!(by(&TENANT_NAME, 2).mapped(&[PAGE]), "mail.queue.depth scheduled 10", "other details are not applied");
    assert_eq!(Polled::new(RULES, &[]).mapped(&[PAGE]), "mail.queue.depth scheduled 10");
}

#[test]
fn the_rest_of_a_detail_fits_into_the_limit_of_points() {
    static RULES: &[Rule] = &[
        Rule::new(&["ready"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "ready")]),
        Rule::new(&["all"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "scheduled")]),
        Rule::new(&["of"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "scheduled")]).detail("d", &DESTINATION_DOMAIN),
    ];
    let page: String = (0..1500).map(|i| format!("of{{d=\"{i}\"}} 2\n")).collect();
    for (page, top, points) in [
        (format!("ready 7\nall 3000\n{page}"), 999, 1000),
        (format!("all 3000\n{page}"), 999, 1000),
        (format!("ready 7\nall 3000\n{page}"), 997, 999),
    ] {
        let mut polled = Polled::new(RULES, &[]);
        polled.context.detail = Some(Detail { by: &DESTINATION_DOMAIN, top });
        let snapshot = polled.snapshot(&[&page]);
        let scheduled = snapshot.points.iter().filter(|point| point.attributes[0].1 == "scheduled");
        assert_eq!(scheduled.map(|point| point.value).sum::<f64>(), 3000.0, "{top}");
        assert_eq!((snapshot.points.len(), snapshot.repairs.iter().count()), (points, 0), "{top}");
    }
}

#[test]
fn a_metric_has_a_limited_number_of_points() {
    static RULES: &[Rule] = &[Rule::new(&["s"], &JOB_DEPTH).from(&[AttributeSource::labels(&["n"], &JOB_QUEUE)])];
    let page: String = (0..POINTS_PER_METRIC_MAX + 2).map(|i| format!("s{{n=\"{i}\"}} 1\n")).collect();
    let snapshot = Polled::new(RULES, &[]).snapshot(&[&page]);
    assert_eq!((snapshot.points.len(), snapshot.repairs.get(Repair::Unreadable)), (POINTS_PER_METRIC_MAX, 2));
    let again = format!("{page}s{{n=\"0\",and=\"again\"}} 1\n");
    let snapshot = Polled::new(RULES, &[]).snapshot(&[&again]);
    assert_eq!((snapshot.points[0].value, snapshot.points[1].value), (2.0, 1.0), "known points are not limited");
}

#[test]
fn misnamed_counters_are_omitted() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).zero_when_absent(), Rule::new(&["g"], &ACCOUNT_CONFIGURED)];
    check_each(
        RULES,
        &[("c 1;g 2", "mail.complaints 1; mail.account.configured 2"), ("c 1;g 2;wrong 3", "mail.account.configured 2; !misnamed 1")],
    );
}

#[test]
fn version_and_start_of_counters_are_read() {
    let since = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    for (page, version, started) in [
        ("build{version=\"v2.1\"} 1;started 1700000000", Some("2.1"), since(1_700_000_000)),
        ("build{config=\"a\"} 1;build{version=\"2.1\"} 1;started 0", Some("2.1"), None),
        ("build{version=\"\"} 1;started NaN", None, None),
        ("started -1", None, None),
        ("started 1e300", None, None),
    ] {
        let snapshot = Polled::new(&[], &[]).snapshot(&[page]);
        assert_eq!((snapshot.version.as_deref(), snapshot.counters_since), (version, started), "{page}");
    }
}

#[test]
fn a_sum_that_lacks_a_series_is_omitted_until_the_series_is_back_or_the_server_restarts() {
    static RULES: &[Rule] = &[
        Rule::new(&["a"], &COMPLAINTS).zero_when_absent(),
        Rule::new(&["b"], &COMPLAINTS),
        Rule::new(&["c"], &BOUNCES).zero_when_absent(),
        Rule::new(&["g"], &ACCOUNT_CONFIGURED),
    ];
    let cases = [
        ("a 1000;b 5;g 2", "mail.complaints 1005; mail.bounces 0; mail.account.configured 2"),
        // The sum is neither 5 nor 0. Gauges have no state.
        ("b 6", "mail.bounces 0"),
        ("g 2", "mail.bounces 0; mail.account.configured 2"),
        ("a 1060;b 7;c 3", "mail.complaints 1067; mail.bounces 3"),
        // A counter decreased: the server restarted, and missing series are 0.
        ("b 1", "mail.complaints 1; mail.bounces 0"),
        ("started 500;c 2", "mail.bounces 2"),
        // A start that moves with the server's clock is not a restart; one after the last poll is.
        ("started 501;b 1", "mail.complaints 1"),
        ("started 501;c 2", "mail.bounces 2"),
        ("started 1430;g 1", "mail.complaints 0; mail.bounces 0; mail.account.configured 1"),
    ];
    check(RULES, &cases);
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(polled.mapped(&["a 5;b 1"]), "mail.complaints 6; mail.bounces 0");
    polled.context.now += Duration::from_secs(3600);
    assert_eq!(polled.mapped(&["b 1"]), "mail.bounces 0");
    polled.context.now += Duration::from_secs(1);
    assert_eq!(polled.mapped(&["b 1"]), "mail.complaints 1; mail.bounces 0", "an hour later");
}

/// Returns the canonical histograms of a page as attribute values, bounds, counts, count and sum, then the repairs.
fn histograms(polled: &mut Polled, page: &str) -> String {
    let snapshot = polled.snapshot(&[page]);
    let histogram = |(_, attributes, h): &(&'static crate::model::Metric, Attributes, Histogram)| {
        let values: Vec<_> = attributes.iter().map(|(_, value)| format!("{value} ")).collect();
        format!("{}{:?} {:?} of {} sum {:?}", values.concat(), h.bounds, h.cumulative, h.count, h.sum)
    };
    let repairs = snapshot.repairs.iter().map(|(repair, n)| format!("!{} {n}", repair.as_str()));
    snapshot.histograms.iter().map(histogram).chain(repairs).collect::<Vec<_>>().join("; ")
}

/// Returns the lines of a histogram `h` with these labels before `le`.
fn histogram(labels: &str, buckets: &[(&str, u64)], sum: u64, count: u64) -> String {
    let bucket = |(le, n): &(&str, u64)| format!("h_bucket{{{labels},le=\"{le}\"}} {n};");
    let buckets: String = buckets.iter().map(bucket).collect();
    format!("{buckets}h_sum{{{labels}}} {sum};h_count{{{labels}}} {count};")
}

#[test]
fn histograms_of_several_series_add_up() {
    static RULES: &[Rule] = &[Rule::new(&["h"], &DELIVERY_ATTEMPT_DURATION).unless(&[("s", "total")])];
    let four = histogram("s=\"a\"", &[("1", 1), ("5", 3)], 7, 4);
    let forty = histogram("s=\"b\"", &[("1", 10), ("5", 20)], 100, 40);
    let wider = histogram("s=\"c\"", &[("0.5", 1), ("5", 2), ("9", 3)], 10, 5);
    let apart = histogram("s=\"d\"", &[("2", 1)], 10, 5);
    let total = histogram("s=\"total\"", &[("1", 11), ("5", 23)], 107, 44);
    for (lines, expected) in [
        (vec![&four, &forty, &total], "[1.0, 5.0] [11, 23] of 44 sum Some(107.0)"),
        (vec![&four, &wider], "[5.0] [5] of 9 sum Some(17.0)"),
        (vec![&wider, &forty, &four], "[5.0] [25] of 49 sum Some(117.0)"),
        // The sum is unknown.
        (vec![&four, &apart], "!inconsistent_histogram 1"),
        (vec![&four, &apart, &forty], "!inconsistent_histogram 1"),
        // Duplicate series count once.
        (vec![&four, &four], "[1.0, 5.0] [1, 3] of 4 sum Some(7.0); !duplicate_series 4"),
    ] {
        let page = format!("# TYPE h histogram;{}", lines.into_iter().map(String::as_str).collect::<String>());
        assert_eq!(histograms(&mut Polled::new(RULES, &[]), &page), expected, "{page}");
    }
}

#[test]
fn a_histogram_that_lacks_a_series_is_omitted() {
    static RULES: &[Rule] = &[
        Rule::new(&["h"], &DELIVERY_ATTEMPT_DURATION).unless(&[("s", "total")]),
        Rule::new(&["h"], &WEBHOOK_REQUEST_DURATION).when(&[("s", "total")]),
    ];
    let good = histogram("s=\"a\"", &[("1", 1)], 7, 4);
    let total = histogram("s=\"total\"", &[("1", 11)], 107, 44);
    let bad = |series: &str| histogram(&format!("s=\"{series}\""), &[("1", 9)], 7, 4);
    for (page, expected) in [
        (good.clone() + &total, "[1.0] [1] of 4 sum Some(7.0); [1.0] [11] of 44 sum Some(107.0)"),
        (bad("b") + &good + &total, "[1.0] [11] of 44 sum Some(107.0); !inconsistent_histogram 1"),
        (good.clone() + &bad("b") + &total, "[1.0] [11] of 44 sum Some(107.0); !inconsistent_histogram 1"),
        (good + &bad("total"), "[1.0] [1] of 4 sum Some(7.0); !inconsistent_histogram 1"),
    ] {
        let page = format!("# TYPE h histogram;{page}");
        assert_eq!(histograms(&mut Polled::new(RULES, &[]), &page), expected, "{page}");
    }
}

#[test]
fn a_gauge_near_2_to_the_64_is_valid_unless_gauges_underflow() {
    static RULES: &[Rule] = &[Rule::new(&["g"], &SYSTEM_MEMORY_LIMIT)];
    let mut polled = Polled::new(RULES, &[]);
    polled.source.gauges_underflow = false;
    assert_eq!(polled.mapped(&["g 9007199254740992000"]), "system.memory.limit 9007199254740992000");
    assert_eq!(polled.mapped(&["g 18446744073709551615"]), "!out_of_range 1");
}
