//! Attributes of points: from which labels they come.

use super::*;
use crate::source::Piece;

#[test]
fn labels_are_selected_by_patterns_and_by_one_of_several_values() {
    static ONE_OF: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).when(&[("cmd", "mail"), ("cmd", "rcpt"), ("code", "4??"), ("code", "5??")])];
    check_each(
        ONE_OF,
        &[
            ("c{cmd=\"mail\",code=\"450\"} 1;c{cmd=\"rcpt\",code=\"550\"} 2;c{cmd=\"data\",code=\"550\"} 4", "mail.complaints 3"),
            ("c{cmd=\"mail\",code=\"250\"} 1;c{cmd=\"mail\"} 2;c{code=\"450\"} 4;c{cmd=\"mail\",code=\"45\"} 8", ""),
        ],
    );
    static EMPTY: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).when(&[("l", "")])];
    check_each(EMPTY, &[("c 1;c{l=\"\",m=\"z\"} 2;c{l=\"x\"} 4;c{m=\"y\"} 8", "mail.complaints 11")]);
    static UNLESS: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).unless(&[("status", ""), ("status", "x*"), ("of", "y")])];
    check_each(
        UNLESS,
        &[("c 1;c{status=\"\",n=\"1\"} 2;c{status=\"xa\"} 4;c{status=\"s\"} 8;c{status=\"s\",of=\"y\"} 16", "mail.complaints 8")],
    );
    static PRESENT: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).when(&[("l", "?*")])];
    check_each(PRESENT, &[("c 1;c{l=\"\",n=\"1\"} 2;c{l=\"x\"} 4;c{l=\"xyz\"} 8", "mail.complaints 12")]);
}

#[test]
fn an_attribute_comes_from_the_first_label_that_is_not_empty() {
    static RULES: &[Rule] = &[Rule::new(&["e"], &DELIVERY_FAILURES).from(&[
        AttributeSource::labels(&["status"], &FAILURE_KIND).by_table(&[("4*", "transient"), ("450", "unknown"), ("5*", "permanent")]),
        AttributeSource::labels(&["enhanced", "status"], &ERROR_TYPE),
    ])];
    check_each(
        RULES,
        &[
            ("e{status=\"451\",enhanced=\"4.7.1\"} 1", "mail.delivery.failures transient 4.7.1 1"),
            ("e{status=\"451\",enhanced=\"\"} 1;e{status=\"451\",n=\"1\"} 2", "mail.delivery.failures transient 451 3"),
            // An equal key overrides a pattern, wherever it stands.
            ("e{status=\"450\"} 1", "mail.delivery.failures unknown 450 1"),
            ("e{status=\"250\",enhanced=\"2.0.0\"} 1;e 2;e{enhanced=\"5.0.0\"} 4", ""),
        ],
    );
    static MISSING: &[Rule] = &[Rule::new(&["m"], &RECEIVED_MESSAGES).from(&[
        AttributeSource::labels(&["method"], &MESSAGE_SOURCE).by_table(&[("NONE", "remote"), ("", "remote"), ("*", "authenticated")])
    ])];
    check_each(
        MISSING,
        &[(
            "m{method=\"NONE\"} 1;m{method=\"\",n=\"1\"} 2;m 4;m{method=\"PLAIN,\"} 8;m{method=\"LOGIN\"} 16",
            "mail.received.messages remote 7; mail.received.messages authenticated 24",
        )],
    );
    static STRICT: &[Rule] =
        &[Rule::new(&["m"], &RECEIVED_MESSAGES).from(&[AttributeSource::labels(&["a", "b"], &MESSAGE_SOURCE).by_table(&[("*", "dsn")])])];
    check_each(STRICT, &[("m 1;m{a=\"\",b=\"\",n=\"1\"} 2;m{b=\"x\"} 4", "mail.received.messages dsn 4")]);
}

#[test]
fn an_absent_label_is_equal_to_an_empty_one() {
    static TABLE: &[Rule] = &[Rule::new(&["e"], &DELIVERY_FAILURES).from(&[AttributeSource::labels(&["status"], &FAILURE_KIND)
        .by_table(&[("4*", "transient"), ("5*", "permanent")])
        .otherwise("unknown")])];
    static CLOSED: &[Rule] =
        &[Rule::new(&["e"], &DELIVERY_FAILURES)
            .from(&[AttributeSource::labels(&["status"], &FAILURE_KIND).by_table(&[("4*", "transient")])])];
    static UNCHANGED: &[Rule] = &[Rule::new(&["e"], &DELIVERY_FAILURES).from(&[AttributeSource::labels(&["status"], &ERROR_TYPE)])];
    for unlabelled in ["e", "e{status=\"\"}", "e{other=\"x\"}"] {
        let body = format!("e{{status=\"451\"}} 1;{unlabelled} 2");
        let both = "mail.delivery.failures transient 1; mail.delivery.failures unknown 2";
        check_each(TABLE, &[(&body, both)]);
        check_each(CLOSED, &[(&body, "mail.delivery.failures transient 1")]);
        check_each(UNCHANGED, &[(&body, "mail.delivery.failures 451 1")]);
    }
}

#[test]
fn an_attribute_is_composed_of_labels() {
    static RULES: &[Rule] = &[Rule::new(&["f"], &DELIVERY_FAILURES)
        .from(&[AttributeSource::template(&[Piece::Char("code", 0), Piece::Text("."), Piece::Label("secode")], &ERROR_TYPE)])];
    check_each(
        RULES,
        &[
            ("f{code=\"550\",secode=\"7.1\"} 1;f{code=\"551\",secode=\"7.1\"} 2", "mail.delivery.failures 5.7.1 3"),
            ("f{code=\"\",secode=\"7.1\"} 1;f{code=\"550\",secode=\"\"} 2;f{code=\"551\"} 4;f{secode=\"1\"} 8;f 16", ""),
            ("f{code=\"\u{fc}50\",secode=\"1\"} 1", "mail.delivery.failures \u{fc}.1 1"),
        ],
    );
    static BY_TABLE: &[Rule] = &[Rule::new(&["f"], &DELIVERY_FAILURES).from(&[AttributeSource::template(
        &[Piece::Char("code", 1), Piece::Char("code", 2)],
        &FAILURE_KIND,
    )
    .by_table(&[("5?", "transient"), ("50", "permanent")])
    .otherwise("unknown")])];
    check_each(
        BY_TABLE,
        &[(
            "f{code=\"450\"} 1;f{code=\"451\"} 2;f{code=\"4\"} 4;f{code=\"45\"} 8;f{code=\"421\"} 16",
            "mail.delivery.failures permanent 1; mail.delivery.failures transient 2; mail.delivery.failures unknown 16",
        )],
    );
}

#[test]
fn several_rules_add_to_one_point() {
    static RULES: &[Rule] = &[
        Rule::new(&["delivered", "additional"], &DELIVERY_ATTEMPTS).with(&[(&DELIVERY_OUTCOME, "delivered")]),
        Rule::new(&["m"], &DELIVERY_ATTEMPTS)
            .from(&[AttributeSource::labels(&["flag"], &DELIVERY_OUTCOME).by_table(&[("cut*", "delivered"), ("failed", "failed")])]),
        Rule::new(&["frozen"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "frozen")]),
        Rule::new(&["queue"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]),
        Rule::new(&["frozen"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]).scale(-1.0),
    ];
    check_each(
        RULES,
        &[
            (
                "delivered 5;additional 2;m{flag=\"cutthrough\"} 1;m{flag=\"failed\"} 3;m{flag=\"other\"} 9",
                "mail.delivery.attempts delivered 8; mail.delivery.attempts failed 3",
            ),
            ("queue 15;frozen 4", "mail.queue.depth frozen 4; mail.queue.depth queued 11"),
            // The server counts one after the other.
            ("queue 3;frozen 4", "mail.queue.depth frozen 4; mail.queue.depth queued 0"),
        ],
    );
}
