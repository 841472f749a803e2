//! Hostile names in `/metrics`.
#![allow(clippy::unwrap_used)]

use super::*;

const BEFORE: &str = "# HELP ready_count R\n# TYPE ready_count gauge\nready_count{service=\"smtp_client\"} 2\n";
const AFTER: &str = "# HELP total_messages_delivered D\n# TYPE total_messages_delivered counter\ntotal_messages_delivered{service=\"smtp_client\"} 10\n# HELP scheduled_count_total T\n# TYPE scheduled_count_total gauge\nscheduled_count_total 4\n";
const OTHERS: [&str; 3] =
    ["ready_count{service=smtp_client} 2", "scheduled_count_total{} 4", "total_messages_delivered{service=smtp_client} 10"];

fn series(families: &Families) -> Vec<String> {
    let mut all: Vec<String> = families
        .iter()
        .flat_map(|family| {
            family.samples().map(move |sample| {
                let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{}{{{}}} {}", family.name(), labels.join("|"), sample.number().unwrap_or(f64::NAN))
            })
        })
        .collect();
    all.sort();
    all
}

/// Reads a page with a queue of this name between two others.
fn with_queue(name: &str) -> Families {
    read(format!("{BEFORE}# HELP scheduled_count S\n# TYPE scheduled_count gauge\nscheduled_count{{queue=\"a\"}} 1\nscheduled_count{{queue=\"{name}\"}} 5\nscheduled_count{{queue=\"z\"}} 3\n{AFTER}")).unwrap()
}

#[test]
fn names_with_quotes_and_backslashes_are_read() {
    for name in [
        "say \"hi\":t@example.com",
        "x{y=\"z\"}:t,3@example.com",
        "a\"} 999",
        "a\"} 999 1",
        "\"",
        "\"@\"",
        "back\\slash@example.com",
        "a\", queue=\"",
        "{}",
        "ü:t@example.com",
    ] {
        let found = series(&with_queue(name));
        for expected in OTHERS.into_iter().chain(["scheduled_count{queue=a} 1", "scheduled_count{queue=z} 3"]) {
            assert!(found.contains(&expected.to_owned()), "{expected} with {name:?}: {found:?}");
        }
        let own = format!("scheduled_count{{queue={name}}} 5");
        // A series with a duplicate label is dropped.
        assert!(name.contains("queue=") || found.contains(&own), "{name:?}: {found:?}");
        assert!(found.len() <= 6, "{found:?}");
    }
}

#[test]
fn a_line_feed_in_a_name_forges_no_series() {
    for (name, lost) in [
        ("a1\nb1@example.org", &[][..]),
        ("a1\ntotal_messages_delivered{service=\"smtp_client\"} 999\nb1", &[]),
        ("a1\ntotal_messages_delivered{service=\"smtp_client\"} 999\nscheduled_count{queue=\"b1", &[]),
        ("a1\nscheduled_count_total 999\ntotal_messages_fail{service=\"smtp_client\"} 999\n# b1", &[]),
        // A block of a family that the server does not have.
        (
            "a1\n# TYPE total_messages_fail counter\ntotal_messages_fail{service=\"smtp_client\"} 999\n# TYPE scheduled_count gauge\nscheduled_count{queue=\"b1",
            &["scheduled_count{"],
        ),
        ("a1\n# HELP x y\n# TYPE x counter\nx{l=\"m\"} 999\nscheduled_count{queue=\"b1", &[]),
        ("a1\n# TYPE x counter\nx{l=\"m\"} 999\n# TYPE y gauge\ny{queue=\"b1", &[]),
        // A block of a family that the server has, too: neither is trusted.
        (
            "a1\n# TYPE total_messages_delivered counter\ntotal_messages_delivered{service=\"smtp_client\"} 999\nscheduled_count{queue=\"b1",
            &["total_messages_delivered"],
        ),
        (
            "a1\n# TYPE total_messages_delivered counter\ntotal_messages_delivered{service=\"smtp_client\"} 10\n# TYPE zzz gauge\nzzz{queue=\"b1",
            &["total_messages_delivered"],
        ),
        // A series of the same family, then a block of another one.
        (
            "a1\nscheduled_count{queue=\"q\"} 1\n# TYPE total_messages_fail counter\ntotal_messages_fail{service=\"smtp_client\"} 999\n# TYPE y gauge\ny{queue=\"b1",
            &["scheduled_count{"],
        ),
        // The name begins like a complete series.
        ("z\"} 999\na1\n# TYPE total_messages_fail gauge\na\n# TYPE total_messages_fail gauge\n", &["scheduled_count{"]),
        ("z\"} 999\n# TYPE x gauge\nx{l=\"b1", &["scheduled_count{"]),
        // A duplicate series.
        ("a1\nscheduled_count{queue=\"z\"} 999\nscheduled_count{queue=\"b1", &["scheduled_count{queue=z"]),
    ] {
        let families = with_queue(name);
        let found = series(&families);
        assert!(!found.iter().any(|series| series.ends_with(" 999")), "{name:?}: {found:?}");
        for expected in OTHERS.into_iter().chain(["scheduled_count{queue=a} 1", "scheduled_count{queue=z} 3"]) {
            let is_lost = lost.iter().any(|lost| expected.starts_with(lost));
            assert_eq!(found.contains(&expected.to_owned()), !is_lost, "{expected} with {name:?}: {found:?}");
        }
        let counted = [Repair::Forged, Repair::Unreadable].into_iter().map(|repair| families.repairs().get(repair)).sum::<u64>();
        assert!(counted > 0, "{name:?}");
    }
}

#[test]
fn a_sample_outside_of_its_block_is_dropped() {
    let families = read(format!("{BEFORE}scheduled_count_total 7\nx{{a=\"b\"}} 7\n{AFTER}")).unwrap();
    assert_eq!(series(&families), OTHERS);
    assert_eq!(families.repairs().get(Repair::Forged), 2);
}

#[test]
fn other_documents_are_errors() {
    for (body, expected) in [
        ("", ReadError::Empty),
        ("x\n", ReadError::Malformed("no line is a valid sample".to_owned())),
        ("# TYPE x gauge\nx{a=\"1\"} 1\nx{a=\"1\"} 1\n", ReadError::Malformed("all of its series occur more than once".to_owned())),
    ] {
        assert_eq!(read(body.to_owned()).unwrap_err(), expected, "{body:?}");
    }
    let truncated = read(format!("{BEFORE}{}", "# TYPE x gauge\nx{a=\"1\"} 1"));
    assert!(matches!(truncated, Err(ReadError::Malformed(why)) if why.contains("truncated")));
}

/// If reading took quadratic time, this test would take hours.
#[test]
fn reading_takes_linear_time() {
    let open: String = (0..50_000).map(|n| format!("# TYPE f{n} gauge\nf{n}{{a=\"\n")).collect();
    assert!(read(open).is_err());
    let same = format!("# TYPE f gauge\n{}", "f{a=\"\n".repeat(200_000));
    assert!(read(same).is_err());
    let quotes = format!("# TYPE f gauge\nf{{a=\"{}\"}} 1\n", "\",".repeat(200_000));
    assert_eq!(read(quotes).unwrap().series(), 1);
}

/// Responses of real servers with unusual names, if available.
#[test]
fn both_formats_of_a_capture_have_the_same_names() {
    let Some(captures) = std::env::var_os("POSTMETER_CAPTURES") else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: captures of KumoMTA: POSTMETER_CAPTURES is not set\n");
        return;
    };
    let captures = std::path::Path::new(&captures).join("kumomta");
    for (name, names_min) in [("oddnames", 35), ("badlabel_quote", 1)] {
        let body = |ending: &str| std::fs::read_to_string(captures.join(format!("{name}.metrics.{ending}"))).unwrap();
        let (text, json) = (read(body("txt")).unwrap(), crate::source::systems::kumomta::json::read(body("json")).unwrap());
        let queues = |families: &Families| -> Vec<String> {
            let named = families.named("scheduled_count").flat_map(|family| family.samples());
            let mut names: Vec<_> = named.map(|sample| sample.label("queue").unwrap().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(queues(&text), queues(&json), "{name}");
        assert!(queues(&text).len() >= names_min, "{name}");
        for families in [&text, &json] {
            assert_eq!((families.repairs().get(Repair::Forged), families.repairs().get(Repair::Unreadable)), (0, 0), "{name}");
        }
    }
}

#[test]
fn plain_lines_are_read_like_all_others() {
    const LABELS: [&str; 14] = [
        "",
        "{}",
        "{queue=\"a\"}",
        "{queue=\"a\", site=\"b\"}",
        "{queue=\"a\",site=\"b\"}",
        "{queue=\"a\", queue=\"b\"}",
        "{queue=\"a\"b\"}",
        "{queue=\"a\"} 9\"}",
        "{queue=\"a\\\"}",
        "{queue=\"a\\\\b\"}",
        "{queue=\"a\"",
        "{queue=\"}\"}",
        "{queue = \"a\"}",
        "{9=\"a\"}",
    ];
    let summary = |page: String| {
        let families = read(page).unwrap();
        (series(&families), families.repairs().iter().collect::<Vec<_>>())
    };
    for kind in ["gauge", "histogram"] {
        for name in ["scheduled_count", "scheduled_count_sum", "ready_count", "9"] {
            for (labels, value) in
                LABELS.iter().flat_map(|labels| [" 1", "  1", " x", " 1 17", " 1e3", " NaN"].map(|value| (labels, value)))
            {
                let line = format!("{name}{labels}{value}");
                let page = format!(
                    "{BEFORE}# HELP scheduled_count S\n# TYPE scheduled_count {kind}\nscheduled_count{{queue=\"0\"}} 1\n{line}\nscheduled_count{{queue=\"z\"}} 3\n{AFTER}"
                );
                // A plain line does not begin with a blank.
                let indented: String =
                    page.lines().map(|line| if line.starts_with('#') { format!("{line}\n") } else { format!(" {line}\n") }).collect();
                assert_eq!(summary(page), summary(indented), "{kind} {line}");
            }
        }
    }
}
