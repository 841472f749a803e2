//! Utilization: 1 minus the share of one increase in another.

use super::*;

static RULES: &[Rule] = &[Rule::new(&["idle"], &SYSTEM_CPU_UTILIZATION).transform(Transform::OneMinusShareOf("all"))];

#[test]
fn all_series_are_added_up() {
    let page = |idle: [u32; 2], all: [u32; 2]| {
        format!("idle{{cpu=\"0\"}} {};idle{{cpu=\"1\"}} {};all{{cpu=\"0\"}} {};all{{cpu=\"1\"}} {}", idle[0], idle[1], all[0], all[1])
    };
    for (idle, all, expected) in [
        ([[10, 0], [20, 100]], [[10, 0], [30, 100]], 1.0 - 110.0 / 120.0),
        ([[0, 0], [0, 0]], [[0, 0], [50, 50]], 1.0),
        ([[7, 9], [27, 19]], [[7, 9], [67, 69]], 0.75),
    ] {
        let mut polled = Polled::new(RULES, &[]);
        assert_eq!(polled.mapped(&[&page(idle[0], all[0])]), "");
        assert_eq!(polled.mapped(&[&page(idle[1], all[1])]), format!("system.cpu.utilization {expected}"));
    }
}

#[test]
fn a_series_that_is_added_or_missing_or_invalid_is_not_an_increase() {
    check(
        RULES,
        &[
            ("idle{c=\"0\"} 10;all{c=\"0\"} 20", ""),
            ("idle{c=\"0\"} 11;idle{c=\"1\"} 500;all{c=\"0\"} 22;all{c=\"1\"} 600", ""),
            ("idle{c=\"0\"} 12;idle{c=\"1\"} 501;all{c=\"0\"} 24;all{c=\"1\"} 602", "system.cpu.utilization 0.5"),
            ("idle{c=\"0\"} 13;idle{c=\"1\"} NaN;all{c=\"0\"} 26;all{c=\"1\"} 604", ""),
            ("idle{c=\"0\"} 14;idle{c=\"1\"} 503;all{c=\"0\"} 27;all{c=\"1\"} 606", ""),
            ("idle{c=\"0\"} 15;idle{c=\"1\"} 504;all{c=\"0\"} 28;all{c=\"1\"} 609", "system.cpu.utilization 0.5"),
            ("idle{c=\"0\"} 15;all{c=\"0\"} 29", ""),
        ],
    );
}

#[test]
fn conditions_apply_to_the_whole_and_each_rule_has_its_own_state() {
    const OF: &[Rule] = &[
        Rule::new(&["idle"], &SYSTEM_CPU_UTILIZATION).when(&[("cpu", "1"), ("mode", "idle")]).transform(Transform::OneMinusShareOf("all")),
        Rule::new(&["idle"], &SYSTEM_CPU_UTILIZATION).when(&[("cpu", "0")]).transform(Transform::OneMinusShareOf("all")),
    ];
    static RULES: &[Rule] = OF;
    let page = |idle: [u32; 2], all: [u32; 2]| {
        let [a, b] = idle;
        let [c, d] = all;
        format!("idle{{cpu=\"0\",mode=\"idle\"}} {a};idle{{cpu=\"1\",mode=\"idle\"}} {b};all{{cpu=\"0\"}} {c};all{{cpu=\"1\"}} {d}")
    };
    let mut polled = Polled::new(RULES, &[]);
    assert_eq!(polled.mapped(&[&page([10, 0], [10, 0])]), "");
    // The larger one is exported: 0.75 of the second rule, 0.75 of the first, 0.5 of the second.
    for (idle, all) in [([15, 90], [30, 100]), ([35, 91], [50, 104]), ([36, 191], [52, 204])] {
        let expected = if idle[0] == 36 { 0.5 } else { 0.75 };
        assert_eq!(polled.mapped(&[&page(idle, all)]), format!("system.cpu.utilization {expected}"), "{idle:?}");
    }
}

#[test]
fn a_part_of_its_own_family_is_compared_with_all_of_it() {
    static RULES: &[Rule] =
        &[Rule::new(&["cpu"], &SYSTEM_CPU_UTILIZATION).when(&[("mode", "idle")]).transform(Transform::OneMinusShareOf("cpu"))];
    check(
        RULES,
        &[
            ("cpu{mode=\"idle\"} 0;cpu{mode=\"user\"} 0;cpu{mode=\"system\"} 0", ""),
            ("cpu{mode=\"idle\"} 60;cpu{mode=\"user\"} 30;cpu{mode=\"system\"} 10", "system.cpu.utilization 0.4"),
        ],
    );
}

#[test]
fn a_share_is_a_fallback() {
    static RULES: &[Rule] = &[
        Rule::new(&["busy"], &SYSTEM_CPU_UTILIZATION),
        Rule::new(&["idle"], &SYSTEM_CPU_UTILIZATION).transform(Transform::OneMinusShareOf("all")).fallback(),
    ];
    check(
        RULES,
        &[
            ("busy 0.1;idle 0;all 100", "system.cpu.utilization 0.1"),
            ("busy 0.1;idle 50;all 200", "system.cpu.utilization 0.1"),
            ("idle 125;all 300", "system.cpu.utilization 0.25"),
            ("busy -1;idle 175;all 400", "system.cpu.utilization 0.5; !out_of_range 1"),
        ],
    );
}
