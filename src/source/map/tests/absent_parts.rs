//! Points that are sums of two parts, of which one fails.

use super::*;

#[test]
fn a_point_of_two_parts_is_omitted_while_one_of_them_fails() {
    static FIRST: &[Rule] = &[
        Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["held"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "held")]),
        Rule::new(&["age"], &QUEUE_OLDEST_AGE).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["c"], &COMPLAINTS),
        Rule::new(&["spam"], &SPAM_VERDICTS).with(&[(&SPAM_VERDICT, "spam")]).transform(Transform::Rebase),
    ];
    static SECOND: &[Rule] = &[
        Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["age"], &QUEUE_OLDEST_AGE).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["c"], &COMPLAINTS),
        Rule::new(&["more_spam"], &SPAM_VERDICTS).with(&[(&SPAM_VERDICT, "spam")]).transform(Transform::Rebase),
    ];
    let mut polled = Polled::new(FIRST, SECOND);
    let (first, second) = ("q 5;held 1;age 9;c 20;spam 6", "q 7;age 30;c 100;more_spam 8");
    let partial = "mail.queue.depth held 1";
    let all = |queued| {
        let (age, counters) = ("mail.queue.oldest_age queued 30", "mail.complaints 120; mail.spam.verdicts spam 14");
        format!("mail.queue.depth queued {queued}; {partial}; {age}; {counters}")
    };
    assert_eq!(polled.mapped(&[first, second]), all(12));
    polled.context.now += Duration::from_secs(60);
    assert_eq!(polled.mapped(&[first]), format!("{partial}; !incomplete_sum 4"));
    assert_eq!(polled.mapped(&[&first.replace("q 5;", "")]), format!("{partial}; !incomplete_sum 3"), "the point has no value");
    assert_eq!(polled.mapped(&[first, second]), all(12));
    // A queue that is empty has no series.
    assert_eq!(polled.mapped(&[first, &second.replace("q 7;", "")]), all(5));
    assert_eq!(polled.mapped(&[first]), format!("mail.queue.depth queued 5; {partial}; !incomplete_sum 3"));
    polled.context.now += Duration::from_secs(3661);
    let alone = all(5).replace(" 30", " 9").replace(" 120", " 20").replace(" 14", " 6");
    assert_eq!(polled.mapped(&[first]), alone);
    // A reload removes the part.
    assert_eq!(polled.mapped(&[first, second]), all(12));
    let parts: Vec<&Part> = polled.source.parts.iter().collect();
    polled.memory.keep_parts(&parts);
    assert_eq!(polled.mapped(&[first]), format!("{partial}; !incomplete_sum 4"));
    polled.memory.keep_parts(&parts[..1]);
    assert_eq!(polled.mapped(&[first]), alone);
}

#[test]
fn a_point_of_alternative_parts_is_not_omitted() {
    static MAIN: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")])];
    static OTHER: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]).fallback()];
    let mut polled = Polled::new(MAIN, OTHER);
    assert_eq!(polled.mapped(&["x 1", "q 7"]), "mail.queue.depth queued 7");
    assert_eq!(polled.mapped(&["q 5"]), "mail.queue.depth queued 5");
    assert_eq!(polled.mapped(&["q 5", "q 7"]), "mail.queue.depth queued 5");
    // Parts that report different points.
    static HELD: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "held")])];
    let mut polled = Polled::new(MAIN, HELD);
    assert_eq!(polled.mapped(&["q 5", "q 7"]), "mail.queue.depth queued 5; mail.queue.depth held 7");
    assert_eq!(polled.mapped(&["q 5"]), "mail.queue.depth queued 5");
}

#[test]
fn a_total_that_lacks_a_part_has_no_detail() {
    static TOTAL: &[Rule] = &[
        Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["of"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]).detail("d", &DESTINATION_DOMAIN),
    ];
    static MORE: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")])];
    let mut polled = Polled::new(TOTAL, MORE);
    polled.context.detail = Some(Detail { by: &DESTINATION_DOMAIN, top: 2 });
    let page = "q 5;of{d=\"x\"} 3";
    assert_eq!(polled.mapped(&[page, "q 7"]), "mail.queue.depth queued x 3; mail.queue.depth queued _OTHER 9");
    assert_eq!(polled.mapped(&[page]), "!incomplete_sum 1");
}

#[test]
fn a_counter_is_omitted_while_one_of_its_parts_has_not_responded_yet() {
    static FIRST: &[Rule] = &[
        Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["c"], &COMPLAINTS),
        Rule::new(&["b"], &BOUNCES),
        Rule::new(&["spam"], &SPAM_VERDICTS).with(&[(&SPAM_VERDICT, "spam")]).transform(Transform::Rebase),
    ];
    static SECOND: &[Rule] = &[
        Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["c"], &COMPLAINTS),
        Rule::new(&["b"], &BOUNCES).fallback(),
        Rule::new(&["more_spam"], &SPAM_VERDICTS).with(&[(&SPAM_VERDICT, "spam")]).transform(Transform::Rebase),
    ];
    let new = || {
        let mut polled = Polled::new(FIRST, SECOND);
        let parts: Vec<&Part> = polled.source.parts.iter().collect();
        polled.memory.keep_parts(&parts);
        polled
    };
    let (first, second) = ("q 5;c 20;b 3;spam 6", "q 7;c 1000;b 4;more_spam 800");
    let omitted = "mail.queue.depth queued 5; mail.bounces 3; !incomplete_sum 2";
    let mut polled = new();
    assert_eq!(polled.mapped(&[first]), omitted);
    assert_eq!(polled.snapshot(&[first]).unknown_metrics, [&COMPLAINTS, &SPAM_VERDICTS]);
    polled.context.now += Duration::from_secs(60);
    assert_eq!(
        polled.mapped(&[first, second]),
        "mail.queue.depth queued 12; mail.complaints 1020; mail.bounces 3; mail.spam.verdicts spam 806"
    );
    // A part that responds without series has counted nothing.
    assert_eq!(new().mapped(&[first, "x 1"]), "mail.queue.depth queued 5; mail.complaints 20; mail.bounces 3; mail.spam.verdicts spam 6");
    // A part that does not respond for an hour is not awaited any more.
    let mut polled = new();
    assert_eq!(polled.mapped(&[first]), omitted);
    polled.context.now += Duration::from_secs(3600);
    assert_eq!(polled.mapped(&[first]), omitted);
    polled.context.now += Duration::from_secs(1);
    assert_eq!(polled.mapped(&[first]), "mail.queue.depth queued 5; mail.complaints 20; mail.bounces 3; mail.spam.verdicts spam 6");
    // A reload adds the part.
    let mut polled = new();
    let parts: Vec<&Part> = polled.source.parts.iter().collect();
    polled.memory.keep_parts(&parts[..1]);
    assert_eq!(polled.mapped(&[first]), "mail.queue.depth queued 5; mail.complaints 20; mail.bounces 3; mail.spam.verdicts spam 6");
    polled.memory.keep_parts(&parts);
    assert_eq!(polled.mapped(&[first]), omitted);
}
