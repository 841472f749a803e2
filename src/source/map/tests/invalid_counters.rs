//! Invalid values of counters, which show neither a restart nor an increase.

use super::*;
use crate::source::{Condition, Diagnosis};

/// Values that no counter can have.
const INVALID: [&str; 6] = ["+Inf", "1e19", "9007199254740994", "NaN", "-1", "-Inf"];

#[test]
fn an_invalid_counter_is_not_a_restart_of_the_next_poll() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS), Rule::new(&["h"], &BOUNCES).transform(Transform::Hold)];
    for invalid in INVALID {
        let mut polled = Polled::new(RULES, &[]);
        let repair = if invalid.contains("Inf") || invalid == "NaN" { "!non_finite 1" } else { "!out_of_range 1" };
        for (page, expected) in [
            ("c{q=\"a\"} 40;c{q=\"b\"} 13;h 5".to_owned(), "mail.complaints 53; mail.bounces 5"),
            (format!("c{{q=\"a\"}} 40;c{{q=\"b\"}} {invalid};h 5"), &format!("mail.bounces 5; {repair}")),
            // Neither the missing series nor the held value is forgotten.
            ("c{q=\"b\"} 13;h 4".to_owned(), "mail.bounces 5; !held 1; !incomplete_sum 1"),
            ("c{q=\"a\"} 41;c{q=\"b\"} 13;h 6".to_owned(), "mail.complaints 54; mail.bounces 6"),
        ] {
            assert_eq!(polled.mapped(&[&page]), expected, "{invalid}: {page}");
            polled.context.now += Duration::from_secs(60);
        }
    }
}

#[test]
fn a_later_start_is_not_a_restart_after_an_invalid_counter() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Hold)];
    for invalid in INVALID {
        let mut polled = Polled::new(RULES, &[]);
        for (page, expected) in [
            ("started 100;c 40".to_owned(), Some(40.0)),
            (format!("started 100;c {invalid}"), None),
            ("started 101;c 40".to_owned(), Some(40.0)),
            ("started 101;c 39".to_owned(), Some(39.0)),
        ] {
            let snapshot = polled.snapshot(&[&page]);
            assert_eq!(snapshot.points.first().map(|point| point.value), expected, "{invalid}: {page}");
            polled.context.now += Duration::from_secs(60);
        }
    }
}

#[test]
fn an_invalid_counter_has_not_decreased() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS), Rule::new(&["d"], &BOUNCES).transform(Transform::Accumulate)];
    for invalid in INVALID {
        let mut polled = Polled::new(RULES, &[]);
        let mut has_decreased = |page: &str| {
            let read = [(polled.source.required(), prometheus::read(page.replace(';', "\n") + "\n").unwrap())];
            let has_decreased = polled.memory.has_decreased(polled.source.required(), &read);
            let _ = map_to_canonical(&polled.source, &read, &mut polled.memory, &polled.context);
            has_decreased
        };
        assert!(!has_decreased("c{q=\"a\"} 4;c{q=\"b\"} 5;d 7"));
        assert!(!has_decreased(&format!("c{{q=\"a\"}} 4;c{{q=\"b\"}} {invalid};d {invalid}")), "{invalid}");
        assert!(!has_decreased("c{q=\"a\"} 4;c{q=\"b\"} 5;d 7"), "{invalid}");
        assert!(has_decreased("c{q=\"a\"} 4;c{q=\"b\"} 4;d 7"), "{invalid}");
        assert!(has_decreased("c{q=\"a\"} 4;c{q=\"b\"} 4;d 6"), "{invalid}");
    }
}

#[test]
fn an_invalid_total_is_not_a_utilization() {
    static RULES: &[Rule] = &[Rule::new(&["idle"], &SYSTEM_CPU_UTILIZATION).transform(Transform::OneMinusShareOf("all"))];
    for invalid in INVALID {
        check(
            RULES,
            &[
                ("idle 50;all 100", ""),
                (&format!("idle 60;all {invalid}"), ""),
                ("idle 70;all 140", ""),
                (&format!("idle {invalid};all 160"), ""),
                ("idle 90;all 180", ""),
                ("idle 95;all 190", "system.cpu.utilization 0.5"),
            ],
        );
    }
}

#[test]
fn an_invalid_counter_is_no_change_of_a_diagnosis() {
    let advice = |condition| {
        let families = &["c"];
        &*Box::leak(Box::new([Diagnosis { families, condition, when: &[], without: &[], advice: "changed" }]))
    };
    for condition in [Condition::Rises, Condition::Falls] {
        for invalid in INVALID {
            let mut polled = Polled::new(&[], &[]);
            polled.source.diagnoses = advice(condition);
            for page in ["started 100;c 5".to_owned(), format!("started 100;c {invalid}"), "started 100;c 5".to_owned()] {
                let found = polled.snapshot(&[&page]).advice;
                assert!(found.is_empty(), "{invalid}: {found:?}");
            }
        }
    }
}
