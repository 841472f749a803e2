//! Points that are the difference of two rules.

use super::*;

#[test]
fn a_difference_without_anything_to_subtract_from_is_unknown() {
    static RULES: &[Rule] = &[
        Rule::new(&["queue"], &QUEUE_DEPTH),
        Rule::new(&["frozen"], &QUEUE_DEPTH).scale(-1.0),
        Rule::new(&["all"], &COMPLAINTS).zero_when_absent().transform(Transform::Hold),
        Rule::new(&["less*"], &COMPLAINTS).scale(-1.0).zero_when_absent().transform(Transform::Hold),
        Rule::new(&["first"], &SYSTEM_MEMORY_LIMIT),
        Rule::new(&["second"], &SYSTEM_MEMORY_LIMIT).scale(-1.0),
        Rule::new(&["third"], &SYSTEM_MEMORY_LIMIT).fallback(),
    ];
    check_each(
        RULES,
        &[
            ("x 1", "mail.complaints 0"),
            ("frozen 5", "mail.complaints 0; !out_of_range 1"),
            // 0 messages are unknown as well.
            ("frozen 0", "mail.complaints 0"),
            ("queue 0;frozen 5", "mail.queue.depth 0; mail.complaints 0"),
            ("queue NaN;frozen 5", "mail.complaints 0; !non_finite 1"),
            // The server exposes a counter after its first event: a missing one is 0, unless more than that is subtracted.
            ("less 0", "mail.complaints 0"),
            ("less 2;less_of_another 3", "!out_of_range 1"),
            ("all 4", "mail.complaints 4"),
            ("all 4;less 5", "mail.complaints 0; !held 1"),
            ("second 3;third 9", "mail.complaints 0; system.memory.limit 9"),
        ],
    );
    check(
        RULES,
        &[
            ("started 9;less 5", "!out_of_range 1"),
            ("started 9;less 5;all 20000", "mail.complaints 19995"),
            ("started 9;less 5", "!out_of_range 1"),
            ("started 9;less 6;all 20000", "mail.complaints 19995; !held 1"),
        ],
    );
    static DETAILS: &[Rule] =
        &[Rule::new(&["frozen"], &QUEUE_DEPTH).scale(-1.0), Rule::new(&["of"], &QUEUE_DEPTH).detail("d", &DESTINATION_DOMAIN)];
    let mut polled = Polled::new(DETAILS, &[]);
    polled.context.detail = Some(Detail { by: &DESTINATION_DOMAIN, top: 2 });
    assert_eq!(polled.mapped(&["frozen 5;of{d=\"a\"} 3"]), "", "the total of a detail");
}

#[test]
fn a_difference_of_counters_is_held_by_attributes_until_a_restart() {
    const SOURCES: Table = &[("smtp", "remote"), ("submission", "authenticated")];
    const SOURCE: AttributeSource = AttributeSource::labels(&["module"], &MESSAGE_SOURCE).by_table(SOURCES);
    static RULES: &[Rule] = &[
        Rule::new(&["started_tx"], &RECEIVED_MESSAGES).from(&[SOURCE]).transform(Transform::Hold),
        Rule::new(&["aborted_tx"], &RECEIVED_MESSAGES).from(&[SOURCE]).scale(-1.0).transform(Transform::Hold),
        Rule::new(&["failed"], &RECEIVED_MESSAGES).when(&[("command", "DATA")]).from(&[SOURCE]).scale(-1.0).transform(Transform::Hold),
    ];
    let page = |since: u32, smtp: [u32; 3], submission: u32| {
        let [started, aborted, failed] = smtp;
        format!(
            "started {since};started_tx{{module=\"smtp\"}} {started};started_tx{{module=\"submission\"}} {submission};\
             aborted_tx{{module=\"smtp\"}} {aborted};failed{{module=\"smtp\",command=\"DATA\",code=\"550\"}} {failed};\
             failed{{module=\"smtp\",command=\"DATA\",code=\"451\"}} 1;failed{{module=\"smtp\",command=\"RCPT\",code=\"550\"}} 50"
        )
    };
    let mut polled = Polled::new(RULES, &[]);
    for (page, expected) in [
        (page(100, [20, 6, 2], 31), "mail.received.messages remote 11; mail.received.messages authenticated 31"),
        // A transaction that has started is aborted.
        (page(100, [20, 7, 2], 32), "mail.received.messages remote 11; mail.received.messages authenticated 32; !held 1"),
        (page(100, [24, 7, 2], 32), "mail.received.messages remote 14; mail.received.messages authenticated 32"),
        // The subtracted family is missing: the difference would be too large, and would be held.
        (
            "started 100;started_tx{module=\"smtp\"} 24;started_tx{module=\"submission\"} 33".to_owned(),
            "mail.received.messages authenticated 33; !incomplete_sum 1",
        ),
        (page(100, [25, 7, 2], 33), "mail.received.messages remote 15; mail.received.messages authenticated 33"),
        (page(200, [3, 0, 0], 2), "mail.received.messages remote 2; mail.received.messages authenticated 2"),
        (
            page(200, [3, 1, 0], 2).replace("started 200;", ""),
            "mail.received.messages remote 2; mail.received.messages authenticated 2; !held 1",
        ),
    ] {
        assert_eq!(polled.mapped(&[&page]), expected, "{page}");
    }
}
