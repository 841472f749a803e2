//! Metrics with many points: by detail, and up to their limit.

use super::*;

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
        (2, PAGE, "b 3; c 3; _OTHER 4; !non_finite 1; !underflow 1"),
        (9, PAGE, "b 3; c 3; a 2; _OTHER 2; !non_finite 1; !underflow 1"),
        (0, PAGE, "_OTHER 10; !non_finite 1; !underflow 1"),
        (2, "all 10", "_OTHER 10"),
        (2, "all 4;of{d=\"a\"} 5", "a 5; _OTHER 0"),
        (2, "all 4;of{d=\"a\"} 3;of{d=\"a\"} 3", "a 3; _OTHER 1; !duplicate_series 1"),
        (2, "all 4;of{d=\"_OTHER\"} 3", "_OTHER 4"),
        (2, "of{d=\"a\"} 3", ""),
        // The rest of an unknown total is unknown, and the values are not.
        (2, "all -4;of{d=\"a\"} 3;of{d=\"b\"} NaN", "a 3; !out_of_range 1"),
        (1, "all NaN;of{d=\"a\"} 3;of{d=\"b\"} 4", "b 4; !non_finite 1"),
    ] {
        let mapped = by(&DESTINATION_DOMAIN, top).mapped(&[page]).replace("mail.queue.depth scheduled ", "");
        assert_eq!(mapped, expected, "{top} of {page}");
    }
    assert_eq!(by(&TENANT_NAME, 2).mapped(&[PAGE]), "mail.queue.depth scheduled 10", "other details are not applied");
    assert_eq!(Polled::new(RULES, &[]).mapped(&[PAGE]), "mail.queue.depth scheduled 10");
}

#[test]
fn an_invalid_series_hides_its_own_value_of_a_detail_only() {
    static RULES: &[Rule] = &[
        Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "active")]),
        Rule::new(&["h"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "held")]),
        Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "active")]).detail("d", &DESTINATION_DOMAIN),
        Rule::new(&["both"], &QUEUE_DEPTH)
            .with(&[(&QUEUE_STATE, "queued")])
            .detail("d", &DESTINATION_DOMAIN)
            .replacing(&[&[(&QUEUE_STATE, "active")], &[(&QUEUE_STATE, "held")]]),
    ];
    for (page, expected) in [
        ("q{d=\"a\"} 3;q{d=\"b\"} 4;q{d=\"c\"} 5", "active c 5; active b 4; active _OTHER 3"),
        ("q{d=\"a\"} 3;q{d=\"b\"} NaN;q{d=\"c\"} 5", "active c 5; active a 3; !non_finite 1"),
        // The largest are unknown, too, if a value of theirs is.
        ("q{d=\"c\",p=\"1\"} 5;q{d=\"c\",p=\"2\"} -1", "!out_of_range 1"),
        ("q 1;h NaN;both{d=\"a\"} 7", "active _OTHER 1; queued a 7; !non_finite 1"),
    ] {
        let mut polled = Polled::new(RULES, &[]);
        polled.context.detail = Some(Detail { by: &DESTINATION_DOMAIN, top: 2 });
        assert_eq!(polled.mapped(&[page]).replace("mail.queue.depth ", ""), expected, "{page}");
    }
}

#[test]
fn several_series_with_one_label_value_are_one_value_of_a_detail() {
    static RULES: &[Rule] = &[
        Rule::new(&["all"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "active")]),
        Rule::new(&["of"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "active")]).scale(10.0).detail("d", &DESTINATION_DOMAIN),
    ];
    const PAGE: &str = "all 150;of{d=\"x\",q=\"1\"} 3;of{d=\"y\"} 4;of{d=\"x\",q=\"2\"} 2;of{d=\"z\",q=\"1\"} 1;of{d=\"z\",q=\"2\"} 2;of{d=\"n\",q=\"1\"} 1";
    for (top, page, expected) in [
        (1, PAGE.to_owned(), "x 50; _OTHER 100"),
        (2, PAGE.to_owned(), "x 50; y 40; _OTHER 60"),
        (9, PAGE.to_owned(), "x 50; y 40; z 30; n 10; _OTHER 20"),
        // The sum of a value is unknown with an invalid series, so it is part of the rest.
        (2, PAGE.to_owned() + ";of{d=\"x\"} NaN", "y 40; z 30; _OTHER 80; !non_finite 1"),
    ] {
        let mut polled = Polled::new(RULES, &[]);
        polled.context.detail = Some(Detail { by: &DESTINATION_DOMAIN, top });
        assert_eq!(polled.mapped(&[&page]).replace("mail.queue.depth active ", ""), expected, "{top} of {page}");
    }
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
    assert_eq!((snapshot.points.len(), snapshot.repairs.get(Repair::TooManyPoints)), (POINTS_PER_METRIC_MAX, 2));
    let again = format!("{page}s{{n=\"0\",and=\"again\"}} 1\n");
    let snapshot = Polled::new(RULES, &[]).snapshot(&[&again]);
    assert_eq!((snapshot.points[0].value, snapshot.points[1].value), (2.0, 1.0), "known points are not limited");
}
