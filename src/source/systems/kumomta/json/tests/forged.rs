//! Names that look like series and families change nothing but themselves.

use super::*;

/// Reads a document as the server writes it, with a queue and a campaign of this name. They are the last ones of their families if
/// `is_last`.
fn with_name(name: &str, is_last: bool) -> Families {
    let (z, list_z) =
        if is_last { (String::new(), String::new()) } else { (",\n\"z\":3".to_owned(), ",\n{\"t\":\"z\",\"c\":\"y\",\"@\":3}".to_owned()) };
    read(format!(
        "{{\"disk\":{{\"type\":\"gauge\",\"value\":1}},\"memory_usage\":{{\"help\":\"m\",\"type\":\"gauge\",\"value\":2}},\n\
         \"ready_count\":{{\"help\":\"r\",\"type\":\"gauge\",\"value\":{{\"service\":{{\"smtp_client\":2,\n\"smtp_client:a->b\":2}}}}}},\n\
         \"by_campaign\":{{\"help\":\"c\",\"type\":\"gauge\",\"value\":[{{\"t\":\"a\",\"c\":\"b\",\"@\":1}},\n{{\"t\":\"t1\",\"c\":\"{name}\",\"@\":5}}{list_z}]}},\n\
         \"scheduled_count\":{{\"help\":\"s\",\"type\":\"gauge\",\"value\":{{\"queue\":{{\"a\":1,\n\"{name}:t@example.org\":5{z}}}}}}},\n\
         \"total_messages_delivered\":{{\"help\":\"d\",\"type\":\"counter\",\"value\":{{\"service\":{{\"smtp_client\":10,\n\"smtp_client:a->b\":10}}}}}},\n\
         \"total\":{{\"help\":\"t\",\"type\":\"gauge\",\"value\":4}}}}"
    ))
    .unwrap()
}

const OTHERS: [&str; 9] = [
    "disk{} 1",
    "memory_usage{} 2",
    "ready_count{service=smtp_client} 2",
    "ready_count{service=smtp_client:a->b} 2",
    "by_campaign{t=a|c=b} 1",
    "scheduled_count{queue=a} 1",
    "total_messages_delivered{service=smtp_client} 10",
    "total_messages_delivered{service=smtp_client:a->b} 10",
    "total{} 4",
];
const AFTER_NAME: [&str; 2] = ["by_campaign{t=z|c=y} 3", "scheduled_count{queue=z} 3"];

/// Checks that a name changes no other series. Families in `lost` are missing, because the name forges them.
#[track_caller]
fn check_name(name: &str, lost: &[&str]) {
    for is_last in [false, true] {
        let families = with_name(name, is_last);
        let found = series(&families);
        assert!(!found.iter().any(|series| series.ends_with(" 999")), "{name:?}: {found:?}");
        for expected in OTHERS.into_iter().chain(AFTER_NAME.into_iter().filter(|_| !is_last)) {
            let is_lost = lost.iter().any(|lost| expected.starts_with(lost));
            assert_eq!(found.iter().any(|series| series == expected), !is_lost, "{expected} with {name:?}: {found:#?}");
        }
        let expected = OTHERS.len() + if is_last { 2 } else { 4 };
        assert!(found.len() <= expected, "{name:?}: {found:#?}");
    }
}

#[test]
fn text_in_a_name_is_not_read_as_series_or_family() {
    for name in [
        "plain",
        "a\"}b",
        "a\"@\"b",
        "a\":999,\"victim",
        "a\":999}},\"x",
        "a\",\"@\":999},{\"t\":\"q\",\"c\":\"r",
        "a\",\"c\":\"b\",\"@\":999},{\"t\":\"q\",\"c\":\"r",
        "1}},\"fresh\":{\"help\":\"\",\"type\":\"gauge\",\"value\":999},\"zzz\":{\"type\":\"gauge\",\"value\":{\"queue\":{\"b",
        "a\":1}},\"fresh\":{\"type\":\"counter\",\"value\":{\"service\":{\"smtp_client\":999}}},\"zzz\":{\"type\":\"gauge\",\"value\":{\"queue\":{\"b",
        "a\",\"@\":1}]},\"fresh\":{\"type\":\"gauge\",\"value\":999},\"zzz\":{\"type\":\"gauge\",\"value\":[{\"t\":\"x\",\"c\":\"b",
    ] {
        check_name(name, &[]);
    }
}

#[test]
fn a_family_that_a_name_ends_is_not_trusted() {
    for end in ["}}},\n", "}}},\n\"x", "}}}}\n", "}}},\n\"x\":7,\n\"y"] {
        let page = format!(
            "{{\"queues\":{{\"help\":\"q\",\"type\":\"gauge\",\"value\":{{\"queue\":{{\"a\":1,\n\"z\":999{end}:t1@example.org\":5,\n\"z\":3}}}}}},\n\"total\":{{\"help\":\"t\",\"type\":\"gauge\",\"value\":9}}}}"
        );
        let families = read(page).unwrap();
        let found = series(&families);
        assert!(!found.iter().any(|series| series.ends_with(" 999")), "{end:?}: {found:?}");
        assert!(found.iter().any(|series| series.starts_with("total")), "{end:?}: {found:?}");
    }
}

#[test]
fn a_family_that_a_name_ends_before_another_family_is_not_trusted() {
    let queues = |first: &str, last: &str| format!("{first}\"zzz\":{{\"type\":\"gauge\",\"value\":{{\"queue\":{{\"{last}");
    for name in [
        queues("z\":999}}},\n", "a"),
        queues("b\":7,\n\"z\":999}}},\n", "a"),
        queues("z\":999}}},\n", "a\":1,\n\"q"),
        // A family of another form, which cannot be read.
        "z\":999}}},\n\"zzz\":{\"type\":\"gauge\",\"value\":[{\"t\":\"\",\"@\":999},\n{\"t\":\"a\",\"c\":\"a".to_owned(),
        // Text that is not a family, before one.
        "z\":999}}},\n}}},\n\"zzz\":{\"type\":\"counter\",\"value\":{\"service\":{\"smtp_client\":999}}}\"total\":{\"type\":\"gauge\",\"value\":999}a".to_owned(),
        // The family is not read to its end: another family, and a string that is too long.
        "z\":999,\n\"}}},\n\"zzz\":{\"type\":\"gauge\",\"value\":[{\"t\":\"\",\"@\":999},\n{\"t\":\"a\",\"c\":\"a".to_owned(),
        format!("z\":999,\n{}", "\"".repeat(STRING_BYTES_MAX + 1)),
    ] {
        for is_last in [false, true] {
            let found = series(&with_name(&name, is_last));
            // Without a real series of these labels, the forged one cannot be distinguished from one of the attacker's own.
            let changed = found.iter().any(|series| series.starts_with("zzz") || !is_last && series == "scheduled_count{queue=z} 999");
            assert!(!changed, "{name:?}: {found:#?}");
            // The last name has the head of `total`, too.
            let is_own = |series: &&str| ["scheduled_count", "by_campaign", "total{"].iter().any(|own| series.starts_with(own));
            for expected in OTHERS.into_iter().filter(|series| !is_own(series)) {
                assert!(found.iter().any(|series| series == expected), "{expected} with {name:?}: {found:#?}");
            }
        }
    }
}

#[test]
fn a_forged_family_is_not_trusted() {
    let forged = "a\":1}},\"total_messages_delivered\":{\"type\":\"counter\",\"value\":{\"service\":{\"smtp_client\":999}}},\"zzz\":{\"type\":\"gauge\",\"value\":{\"queue\":{\"b";
    check_name(forged, &["total_messages_delivered"]);
    check_name(&forged.replace("999", "10"), &["total_messages_delivered"]);
    // With line feeds, the lines of the name look like lines of the server. Series after it may be lost, but none is changed.
    for (name, lost) in [
        (forged.replace(",\"", ",\n\""), &["total_messages_delivered", "scheduled_count{", "by_campaign{t=z"][..]),
        (
            forged.replace(",\"", ",\n\"").replace("zzz", "scheduled_count"),
            &["total_messages_delivered", "scheduled_count{", "by_campaign{t=z"],
        ),
        (forged.replace(",\"", ",\n\"").replace("total_messages_delivered", "fresh"), &["scheduled_count{", "by_campaign{t=z"]),
    ] {
        for is_last in [false, true] {
            let found = series(&with_name(&name, is_last));
            assert!(!found.iter().any(|series| series.ends_with(" 999")), "{name:?}: {found:#?}");
            for expected in OTHERS {
                let may_be_lost = lost.iter().any(|lost| expected.starts_with(lost));
                assert!(may_be_lost || found.iter().any(|series| series == expected), "{expected} with {name:?}: {found:#?}");
            }
        }
    }
}

#[test]
fn families_and_series_that_occur_twice_are_not_trusted() {
    let page = |inside: &str| {
        read(format!("{{\"a\":{{\"type\":\"gauge\",\"value\":1}},{inside},\"z\":{{\"type\":\"gauge\",\"value\":2}}}}")).unwrap()
    };
    for (inside, expected, count) in [
        ("\"f\":{\"type\":\"gauge\",\"value\":1},\"f\":{\"type\":\"gauge\",\"value\":1}", &[][..], 2),
        (
            "\"f\":{\"type\":\"gauge\",\"value\":1},\"g\":{\"value\":3},\"f\":{\"type\":\"counter\",\"value\":{\"q\":{\"a\":1}}}",
            &["g{} 3"],
            2,
        ),
        // One of the two has no series.
        ("\"f\":{\"type\":\"gauge\",\"value\":1},\"g\":{\"value\":3},\"f\":{\"type\":\"gauge\",\"value\":null}", &["g{} 3"], 1),
        ("\"f\":{\"type\":\"gauge\",\"value\":{\"q\":{\"a\":1,\"b\":2,\"a\":1}}}", &["f{q=b} 2"], 2),
        (
            "\"f\":{\"type\":\"gauge\",\"value\":[{\"q\":\"a\",\"r\":\"b\",\"@\":1},{\"q\":\"a\",\"r\":\"b\",\"@\":2},{\"q\":\"a\",\"r\":\"c\",\"@\":2}]}",
            &["f{q=a|r=c} 2"],
            2,
        ),
    ] {
        let families = page(inside);
        let mut found = series(&families);
        found.retain(|series| series != "a{} 1" && series != "z{} 2");
        assert_eq!(
            (found.iter().map(String::as_str).collect::<Vec<_>>(), families.repairs().get(Repair::Forged)),
            (expected.to_vec(), count),
            "{inside}"
        );
        assert!(families.named("a").next().is_some() && families.named("z").next().is_some(), "{inside}");
    }
}

#[test]
fn the_forged_family_of_a_capture_is_not_trusted() {
    let Some(captures) = std::env::var_os("POSTMETER_CAPTURES") else {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: captures of KumoMTA: POSTMETER_CAPTURES is not set\n");
        return;
    };
    let path = std::path::Path::new(&captures).join("kumomta/forged-family.metrics.json");
    let families = read(std::fs::read_to_string(path).unwrap()).unwrap();
    let found = series(&families);
    assert!(!found.iter().any(|series| series.ends_with(" 777777") || series.ends_with(" 999999")));
    for name in ["total_messages_delivered", "scheduled_count_total", "zzz"] {
        assert!(families.named(name).next().is_none(), "{name}");
    }
    for expected in [
        "smtp_server_rejections{service=total} 5",
        "total_messages_transfail{service=smtp_client} 226",
        "scheduled_count{queue=spring:t,3@d29.example} 2",
        "scheduled_by_tenant{tenant=a} 13",
    ] {
        assert!(found.iter().any(|series| series == expected), "{expected}");
    }
    assert_eq!(families.named("scheduled_count").flat_map(|family| family.samples()).count(), 41);
}
