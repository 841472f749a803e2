//! Values that cannot be read, and what is unknown because of them.

use super::*;

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
            // The unreadable series may be one of those that are added or subtracted.
            ("tries 5;c{e=\"c\" 7;c{e=\"final\"} 2", "!unreadable 1"),
            ("tries 5;c{e=\"final\" 2;c{e=\"c\"} 7", "!unreadable 1"),
            ("tries 5;z{e=\"c\" 7;c{e=\"c\"} 7;c{e=\"final\"} 2", "mail.complaints 7; mail.delivery.attempts 3; !unreadable 1"),
            ("tries 5;{e=\"c\" 7;c{e=\"c\"} 7;c{e=\"final\"} 2", "mail.complaints 7; mail.delivery.attempts 3; !unreadable 1"),
            ("tries 5;# TYPE c histogram;c_bucket{e=\"c\",le=\"1\"} 3;c_count{e=\"c\"} 2", "!inconsistent_histogram 1"),
            (
                "tries 5;# TYPE h histogram;h_bucket{le=\"1\"} 3;h_count 2;# TYPE z gauge",
                "mail.complaints 0; mail.delivery.attempts 5; !inconsistent_histogram 1",
            ),
        ],
    );
}

#[test]
fn a_histogram_without_its_type_is_not_zero() {
    static RULES: &[Rule] = &[
        Rule::new(&["h"], &DELIVERY_ATTEMPTS).take(Take::Count).when(&[("r", "ok")]).zero_when_absent(),
        Rule::new(&["c"], &COMPLAINTS).zero_when_absent(),
    ];
    const LINES: &str = "h_bucket{r=\"ok\",le=\"+Inf\"} 10;h_sum{r=\"ok\"} 1;h_count{r=\"ok\"} 10";
    check_each(
        RULES,
        &[
            (&format!("# TYPE h histogram;{LINES}"), "mail.delivery.attempts 10; mail.complaints 0"),
            (LINES, "mail.complaints 0"),
            ("c_count 4;c 3", "mail.delivery.attempts 0; mail.complaints 3"),
            ("x_count 4", "mail.delivery.attempts 0; mail.complaints 0"),
            // A family of its own.
            ("# TYPE c_count gauge;c_count 4", "mail.delivery.attempts 0; mail.complaints 0"),
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
fn a_missing_series_is_zero_only_if_its_part_was_read() {
    static FIRST: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).zero_when_absent()];
    static SECOND: &[Rule] = &[Rule::new(&["b"], &BOUNCES).zero_when_absent()];
    let mut polled = Polled::new(FIRST, SECOND);
    assert_eq!(polled.mapped(&["x 1", "x 1"]), "mail.complaints 0; mail.bounces 0");
    assert_eq!(polled.mapped(&["x 1"]), "mail.complaints 0", "the second part was not read");
    assert_eq!(polled.mapped(&["b 3"]), "mail.complaints 0", "rules read only their own part");
}

#[test]
fn an_invalid_value_makes_only_its_metric_unknown() {
    static RULES: &[Rule] = &[
        Rule::new(&["c"], &COMPLAINTS),
        Rule::new(&["less"], &COMPLAINTS).scale(-1.0),
        Rule::new(&["b"], &BOUNCES).from(&[AttributeSource::labels(&["t"], &BOUNCE_TYPE).by_table(&[("h", "hard"), ("s", "soft")])]),
        Rule::new(&["h"], &DELIVERY_ATTEMPT_DURATION),
        Rule::new(&["a"], &RECEIVED_MESSAGES).transform(Transform::Accumulate),
    ];
    for (page, unknown, may_lack_series) in [
        ("c 1;b{t=\"h\"} 2", &[][..], false),
        ("c NaN;b{t=\"h\"} 2", &["mail.complaints"], false),
        ("c -1;b{t=\"h\"} +Inf;b{t=\"s\"} 2", &["mail.complaints", "mail.bounces"], false),
        ("less 2", &["mail.complaints"], false),
        ("c 1;h 3;a NaN", &["mail.delivery.attempt.duration", "mail.received.messages"], false),
        ("c 1;b{t=\"h\"} what", &["mail.bounces"], true),
    ] {
        let snapshot = Polled::new(RULES, &[]).snapshot(&[page]);
        let names: Vec<_> = snapshot.unknown_metrics.iter().map(|metric| metric.name).collect();
        assert_eq!((names.as_slice(), snapshot.may_lack_series), (unknown, may_lack_series), "{page}");
    }
    // A counter that is omitted because a series of it is missing.
    let mut polled = Polled::new(&RULES[2..3], &[]);
    let _ = polled.snapshot(&["b{t=\"h\",n=\"1\"} 2;b{t=\"h\",n=\"2\"} 2"]);
    assert_eq!(polled.snapshot(&["b{t=\"h\",n=\"1\"} 2"]).unknown_metrics, [&BOUNCES]);
    assert_eq!(Polled::new(RULES, &[]).snapshot(&["c 1;wrong 1"]).unknown_metrics.len(), 3, "counters with wrong names");
}

#[test]
fn an_unknown_label_of_json_makes_points_unknown_that_depend_on_it() {
    use crate::format::json_paths::{Each, JsonPath, LabelSource, PathSeries, SeriesValue, read};
    static RULES: &[Rule] = &[
        Rule::new(&["size"], &QUEUE_DEPTH)
            .from(&[AttributeSource::labels(&["q"], &QUEUE_STATE).by_table(&[("a", "active"), ("h", "held")])]),
        Rule::new(&["size"], &ACCOUNT_CONFIGURED).when(&[("d", "x")]),
        Rule::new(&["size"], &DOMAIN_CONFIGURED).when(&[("q", "h")]),
        Rule::new(&["size"], &DOMAIN_CONFIGURED).fallback(),
        Rule::new(&["other"], &COMPLAINTS),
    ];
    let label = |name: &'static str, path: &str| (name, LabelSource::parse(path, |_| "").unwrap());
    let number = |path: &str| SeriesValue::Path(JsonPath::parse_single(path).unwrap());
    let rows = PathSeries {
        each: Each::parse("$.rows[*]").unwrap(),
        labels: Box::leak(Box::new([label("d", "$.d"), label("q", "$.q")])),
        ..PathSeries::new("size", "", number("$.n"))
    };
    let series: &[PathSeries] = Box::leak(Box::new([rows, PathSeries::new("other", "", number("$.o"))]));
    let mapped = |rules: &'static [Rule], body: &str| {
        let mut polled = Polled::new(rules, &[]);
        let read = [(&polled.source.parts[0], read(series, body).unwrap())];
        let snapshot = map_to_canonical(&polled.source, &read, &mut polled.memory, &polled.context);
        let values =
            snapshot.points.iter().map(|p| format!("{} {}", p.attributes.first().map_or(p.metric.name, |(_, value)| value), p.value));
        values.collect::<Vec<_>>().join("; ")
    };
    const ROWS: &str = r#"{"o":1,"rows":[{"q":"a","d":"x","n":1},{"q":"h","d":"x","n":2},{"q":"h","d":"y","n":3}"#;
    for (more, expected) in [
        ("", "active 1; held 5; mail.account.configured 3; mail.domain.configured 5; mail.complaints 1"),
        // The element may be one of `d="x"`, and is none of `q="h"`.
        (r#",{"q":"a","d":{},"n":9}"#, "held 5; mail.domain.configured 5; mail.complaints 1"),
        (r#",{"q":[],"d":"y","n":9}"#, "mail.account.configured 3; mail.complaints 1"),
        (r#",{"q":[],"d":{},"n":9}"#, "mail.complaints 1"),
    ] {
        assert_eq!(mapped(RULES, &format!("{ROWS}{more}]}}")), expected, "{more}");
    }
    // The element may be one of `held`, to which only another rule adds.
    static BEFORE: &[Rule] = &[
        Rule::new(&["size"], &QUEUE_DEPTH)
            .from(&[AttributeSource::labels(&["q"], &QUEUE_STATE).by_table(&[("a", "active"), ("h", "held")])]),
        Rule::new(&["other"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "held")]),
    ];
    static AFTER: &[Rule] = &[
        Rule::new(&["other"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "held")]),
        Rule::new(&["size"], &QUEUE_DEPTH)
            .from(&[AttributeSource::labels(&["q"], &QUEUE_STATE).by_table(&[("a", "active"), ("h", "held")])]),
    ];
    for (rules, expected) in [(BEFORE, "active 1; held 1"), (AFTER, "held 1; active 1")] {
        assert_eq!(mapped(rules, r#"{"o":1,"rows":[{"q":"a","d":"x","n":1}]}"#), expected);
        assert_eq!(mapped(rules, r#"{"o":1,"rows":[{"q":"a","d":"x","n":1},{"q":[],"d":"y","n":9}]}"#), "");
    }
}
