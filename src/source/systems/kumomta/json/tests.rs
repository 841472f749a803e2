//! Unusual documents, then hostile ones, then captures.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::{Repair, Value as Sample};

/// Returns every series as `name{label=value} number`.
fn series(families: &Families) -> Vec<String> {
    let line = |name: &str, sample: crate::model::SampleRef<'_>| {
        let labels: Vec<_> = sample.labels().map(|(k, v)| format!("{k}={v}")).collect();
        let value = match sample.value() {
            Sample::Number(n) => n.to_string(),
            Sample::Summary(s) => format!("{s:?}"),
            Sample::Histogram(h) => format!("{:?}{:?} {:?} {}", h.bounds, h.cumulative, h.sum, h.count),
        };
        format!("{name}{{{}}} {value}", labels.join("|"))
    };
    families.iter().flat_map(|f| f.samples().map(move |s| line(f.name(), s))).collect()
}

/// Checks how the value of family `f` is read, between one family of the `prometheus` crate and one of the newer registry.
#[track_caller]
fn check(value: &str, expected: &[&str], unescaped: u64, unreadable: u64) {
    let document = format!(
        "{{\"a\":{{\"type\":\"gauge\",\"value\":1}},\n\"f\":{{\"help\":\"h\",\"type\":\"gauge\",\"value\":{value}}},\n\"z\":{{\"type\":\"gauge\",\"value\":2}}}}"
    );
    let families = read(document).unwrap();
    let mut found = series(&families);
    assert_eq!((found.remove(0), found.pop()), ("a{} 1".to_owned(), Some("z{} 2".to_owned())), "the other families");
    assert_eq!(found, expected, "{value}");
    let repairs = families.repairs();
    assert_eq!((repairs.get(Repair::Unescaped), repairs.get(Repair::Unreadable)), (unescaped, unreadable), "{value}");
}

#[test]
fn unescaped_quotes_and_backslashes_are_read() {
    for (label, unescaped) in [
        (r#"""#, 1),
        (r#""start"#, 1),
        (r#"end""#, 1),
        (r#"say "hi":acme@example.com"#, 1),
        (r#"""""#, 1),
        (r#"a":1"#, 1),
        (r#"a":1,b"#, 1),
        (r#"a":1}b"#, 1),
        (r#"a":{"count":1"#, 1),
        (r#"a","b"#, 1),
        (r#"a"},"#, 1),
        (r#"a"}}"#, 1),
        (r"\", 1),
        (r"a\b", 1),
        (r"a\", 1),
        (r#"a\"b"#, 1),
        (r#"a\""#, 1),
        (r"\u0041", 1),
        ("a\nb", 0),
        ("", 0),
        ("ü{}[]:,", 0),
    ] {
        let plain = format!("f{{q={label}}} 5");
        let pair = format!("f{{t={label}|c={label}}} 5");
        check(&format!("{{\"q\":{{\"{label}\":5}}}}"), &[&plain], unescaped, 0);
        check(&format!("{{\"q\":{{\"{label}\":5,\n\"n\":6}}}}"), &[&plain, "f{q=n} 6"], unescaped, 0);
        check(&format!("{{\"q\":{{\"n\":6,\n\"{label}\":5}}}}"), &["f{q=n} 6", &plain], unescaped, 0);
        check(&format!("[{{\"t\":\"{label}\",\"c\":\"{label}\",\"@\":5}}]"), &[&pair], 2 * unescaped, 0);
        check(
            &format!("[{{\"t\":\"n\",\"@\":6}},\n{{\"t\":\"{label}\",\"c\":\"{label}\",\"@\":5}}]"),
            &["f{t=n} 6", &pair],
            2 * unescaped,
            0,
        );
        check(
            &format!("[{{\"t\":\"{label}\",\"c\":\"{label}\",\"@\":5}},\n{{\"t\":\"n\",\"@\":6}}]"),
            &[&pair, "f{t=n} 6"],
            2 * unescaped,
            0,
        );
    }
}

#[test]
fn only_an_unreadable_series_is_lost() {
    check("{\"q\":{\"a\":ten,\n\"b\":2}}", &["f{q=b} 2"], 0, 1);
    check("{\"q\":{\"a\":1,\n\"b:2,\n\"c\":3}}", &["f{q=a} 1", "f{q=c} 3"], 0, 1);
    check("{\"q\":{\"a\":1,\n\"b\":,\n\"c\":3,\n\"d\":}}", &["f{q=a} 1", "f{q=c} 3"], 0, 2);
    check("{\"q\":{\"a\":1,\n\"b\":{\"count\":\"x\"},\n\"c\":3}}", &["f{q=a} 1", "f{q=c} 3"], 0, 1);
    check("[{\"t\":\"a\",\"@\":x},\n{\"t\":\"b\",\"@\":2}]", &["f{t=b} 2"], 0, 1);
    check("[{\"t\":\"a\"},\n{\"t\":\"b\",\"@\":2},\n{\"t\":3,\"@\":3}]", &["f{t=b} 2"], 0, 2);
    check("[{\"t\":\"a\",\"@\":1}{,\n{\"t\":\"b\",\"@\":2}]", &["f{t=b} 2"], 0, 1);
}

#[test]
fn only_an_unreadable_family_is_lost() {
    check("", &[], 0, 1);
    check("ten", &[], 0, 1);
    check("\"ten\"", &[], 0, 1);
    check("{\"q\":{\"a\":1}", &["f{q=a} 1"], 0, 1);
    check("{\"q\":{\"a\":1}}}", &["f{q=a} 1"], 0, 1);
    check("[[[[[[", &[], 0, 1);
    check("{\"count\":1,\"other\":2}", &[], 0, 1);
    check("{\"bad label\":{\"a\":1}}", &[], 0, 1);
}

#[test]
fn values_are_read_in_every_form() {
    check("null", &[], 0, 0);
    check("{}", &[], 0, 0);
    check("[]", &[], 0, 0);
    check("{\"q\":{}}", &[], 0, 0);
    check("{\"q\":{\"a\":null,\n\"b\":1}}", &["f{q=b} 1"], 0, 0);
    check("NaN", &["f{} NaN"], 0, 0);
    check("-inf", &["f{} -inf"], 0, 0);
    check("0.0", &["f{} 0"], 0, 0);
    check("-3", &["f{} -3"], 0, 0);
    check("18446744073709551615", &["f{} 18446744073709552000"], 0, 0);
    check(&format!("1{}", "0".repeat(300)), &[&format!("f{{}} 1{}", "0".repeat(300))], 0, 0);
    check("0.00002344428085106383", &["f{} 0.00002344428085106383"], 0, 0);
    check("{\"count\":2,\"sum\":0.5}", &["f{} [][] Some(0.5) 2"], 0, 0);
    check("{\"sum\":0.5,\"bucket\":[],\"count\":2,\"avg\":0.25}", &["f{} [][] Some(0.5) 2"], 0, 0);
    check("{\"avg\":NaN,\"bucket\":[[0.5,1.0],[1,2]],\"count\":3,\"sum\":7}", &["f{} [0.5, 1.0][1, 2] Some(7.0) 3"], 0, 0);
    check(
        "{\"s\":{\"a\":{\"bucket\":[[1,1]],\"count\":1,\"sum\":1},\n\"b\":{\"count\":0,\"sum\":0}}}",
        &["f{s=a} [1.0][1] Some(1.0) 1", "f{s=b} [][] Some(0.0) 0"],
        0,
        0,
    );
    check("[{\"a\":\"x\",\"b\":\"y\",\"@\":{\"count\":1,\"sum\":2}}]", &["f{a=x|b=y} [][] Some(2.0) 1"], 0, 0);
    check("[{\"@\":4,\"a\":\"x\"}]", &["f{a=x} 4"], 0, 0);
}

#[test]
fn unescaped_help_texts_are_read() {
    for help in ["", "\"", "say \"hi\"", "\"a\", \"b\"", "`x` \\d", "\"type\"", "ends with \\"] {
        let document =
            format!("{{\"a\":{{\"help\":\"{help}\",\"type\":\"counter\",\"value\":1}},\n\"z\":{{\"type\":\"gauge\",\"value\":2}}}}");
        let families = read(document).unwrap();
        let family = families.named("a").next().unwrap();
        assert_eq!((family.help(), family.kind(), family.samples().len()), (help, FamilyType::Counter, 1));
        assert_eq!(families.repairs().get(Repair::Unescaped), u64::from(help.contains(['"', '\\'])), "{help}");
    }
}

#[test]
fn escaped_documents_of_older_servers_are_read() {
    for (label, expected, unescaped) in [
        (r#"say \"hi\""#, r#"say "hi""#, 0),
        (r#"\",\":1,\"#, r#"\",\":1,\"#, 1),
        (r"a\\", r"a\", 0),
        (r"\\\\", r"\\", 0),
        (r"\n\u00e9", "\né", 0),
        (r"\d", r"\d", 1),
        (r#"say "hi""#, r#"say "hi""#, 1),
    ] {
        let families =
            read(format!("{{\"f\":{{\"value\":{{\"q\":{{\"{label}\":0.0,\"n\":1}}}},\"type\":\"gauge\",\"help\":\"\\\"h\\\"\"}}}}"));
        let families = families.unwrap();
        assert_eq!(series(&families), [format!("f{{q={expected}}} 0"), "f{q=n} 1".to_owned()], "{label}");
        assert_eq!(families.repairs().get(Repair::Unescaped), unescaped, "{label}");
        let family = families.iter().next().unwrap();
        assert_eq!((family.help(), family.kind()), ("\"h\"", FamilyType::Gauge));
    }
}

#[test]
fn reformatted_documents_are_read() {
    let families = read("{\n  \"f\": {\n    \"type\": \"gauge\",\n    \"value\": {\n      \"q\": {\n        \"a\\\"b\": 1,\n        \"c\": 2\n      }\n    }\n  },\n  \"g\": {\n    \"type\": \"histogram\",\n    \"value\": {\n      \"bucket\": [\n        [ 1, 2 ]\n      ],\n      \"count\": 2,\n      \"sum\": 1\n    }\n  }\n}\n".to_owned()).unwrap();
    assert_eq!(series(&families), ["f{q=a\"b} 1", "f{q=c} 2", "g{} [1.0][2] Some(1.0) 2"]);
    assert_eq!(families.repairs().iter().count(), 0);
}

#[test]
fn other_documents_are_errors() {
    for (body, expected) in [
        ("", ReadError::Empty),
        (" \n", ReadError::Empty),
        ("{}", ReadError::Empty),
        ("{\"f\":{\"type\":\"gauge\",\"value\":null}}", ReadError::Empty),
        ("{\"f\":{\"type\":\"gauge\",\"value\":ten}}", ReadError::Malformed("none of its series can be read".to_owned())),
        ("{\"message\":\"no\"}}", ReadError::Malformed("none of its series can be read".to_owned())),
        ("[]", ReadError::Malformed("not a JSON object: `[]`".to_owned())),
        ("Unauthorized", ReadError::Malformed("not a JSON object: `Unauthorized`".to_owned())),
        ("{", truncated()),
        ("{\"f\"", truncated()),
        ("{\"f\":{\"type\":\"gauge\",\"value\":1}", truncated()),
        ("{\"f\":{\"type\":\"gauge\",\"value\":1},", truncated()),
    ] {
        assert_eq!(read(body.to_owned()).unwrap_err(), expected, "{body}");
    }
}

/// A truncated document is an error. If a byte is lost or changed, most series are read, or the document is an error.
#[test]
fn damaged_documents_do_not_panic() {
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kumomta/metrics.json"));
    let complete = read(document.to_owned()).unwrap().series();
    const LOST_MAX: usize = 8;
    for at in (0..document.len()).filter(|at| document.is_char_boundary(*at)) {
        assert!(read(document[..at].to_owned()).is_err(), "truncated at {at}");
        for inserted in ["", "\"", "\\", "{", "}", ",\n", "\":{\"help\":\""] {
            let damaged = format!("{}{inserted}{}", &document[..at], &document[at + 1..]);
            let series = read(damaged).map_or(0, |families| families.series());
            assert!(
                at == 0 || at + 5 >= document.len() || series + LOST_MAX >= complete,
                "{series} of {complete} with {inserted:?} at {at}"
            );
        }
    }
}

/// Documents of a hostile server. If reading took quadratic time, this test would take hours.
#[test]
fn reading_takes_linear_time() {
    for piece in [
        "\"",
        "\"a\":{\"help\":\"",
        "\"\":1,\n",
        "\"a\":{\"value\":{\"q\":{\"\\",
        "\\",
        "[",
        "{\"@\":",
        "\"a\":{\"value\":{\"bucket\":[[1,1],",
        "\",\"a\":",
        "\"count\":1,",
    ] {
        for open in ["{", "{\"f\":{\"value\":[{\"a\":\"", "{\"f\":{\"value\":{\"a\":{\"", "{\"f\":{\"value\":{\"bucket\":[["] {
            assert!(read(format!("{open}{}", piece.repeat(1_000_000 / piece.len()))).is_err());
        }
    }
}

#[test]
fn documents_beyond_a_limit_are_errors() {
    const SMALL: ReadingLimits = ReadingLimits { series_max: 30, distributions_max: 20, families_max: 10, types_max: 10 };
    let joined = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(",");
    let one_label = |n| format!("{{\"f\":{{\"value\":{{\"q\":{{{}}}}}}}}}", joined(n, &|n| format!("\"{n}\":1")));
    let objects = |n| format!("{{\"f\":{{\"value\":[{}]}}}}", joined(n, &|n| format!("{{\"a\":\"{n}\",\"b\":\"\",\"@\":1}}")));
    let families = |n| format!("{{{}}}", joined(n, &|n| format!("\"f{n}\":{{\"value\":1}}")));
    let histogram = "{\"count\":1,\"sum\":1,\"avg\":1,\"bucket\":[[1,1]]}";
    let histograms = |n| {
        let each = joined(n, &|n| format!("\"{n}\":{histogram}"));
        format!("{{\"f\":{{\"type\":\"histogram\",\"value\":{{\"q\":{{{each}}}}}}}}}")
    };
    type Page<'a> = &'a dyn Fn(usize) -> String;
    let pages: [(Page<'_>, usize, &str); 4] =
        [(&one_label, 30, "series"), (&objects, 30, "series"), (&families, 10, "families"), (&histograms, 20, "histograms and summaries")];
    for (page, max, what) in pages {
        let read = |page: String| read_within(SMALL, page).map(|families| families.series());
        let beyond = Err(ReadError::Malformed(format!("it has more than {max} {what}")));
        assert_eq!(read(page(max)), Ok(max), "{what}");
        assert_eq!(read(page(max + 1)), beyond, "{what}");
        // The text after the limit is not read.
        assert_eq!(read(page(2 * max) + "x"), beyond, "{what}");
    }
}

#[test]
fn duplicate_bounds_are_counted() {
    let families = read("{\"h\":{\"type\":\"histogram\",\"value\":{\"count\":9,\"sum\":1,\"bucket\":[[1,5],[1,9]]}}}".to_owned()).unwrap();
    assert_eq!((families.series(), families.repairs().get(Repair::DuplicateSeries)), (1, 1));
}

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
        // Text that is no family, before one.
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

/// Responses of real servers, if available.
#[test]
fn captures_in_both_formats_have_the_same_families() {
    let Some(captures) = std::env::var_os("POSTMETER_CAPTURES") else {
        // `eprintln` would not be shown, because the test passes.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: captures of KumoMTA: POSTMETER_CAPTURES is not set\n");
        return;
    };
    let captures = std::path::Path::new(&captures).join("kumomta");
    for name in ["idle", "small", "badlabel_quote"] {
        let path = |ending: &str| captures.join(format!("{name}.metrics.{ending}"));
        let json = read(std::fs::read_to_string(path("json")).unwrap()).unwrap();
        let text = std::fs::read_to_string(path("txt")).unwrap();
        let types = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect::<std::collections::BTreeSet<_>>();
        let names = json.iter().map(|f| f.name()).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names, types, "{name}");
        assert_eq!(json.repairs().get(Repair::Unreadable), 0, "{name}");
        if name == "badlabel_quote" {
            assert!(series(&json).contains(&"scheduled_count{queue=say \"hi\":acme@down.example.test} 1".to_owned()));
        }
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
