//! Unusual documents, then hostile ones, then captures.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::{Repair, Value as Sample};

mod forged;

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
    check("{\"q\":{\"a\":null,\n\"b\":1}}", &["f{q=b} 1"], 0, 1);
    check("[{\"t\":\"a\",\"@\":null},\n{\"t\":\"b\",\"@\":2}]", &["f{t=b} 2"], 0, 1);
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
        ("{\"f\":{\"type\":\"gauge\",\"value\":ten}}", ReadError::Malformed("no member is a valid metric".to_owned())),
        ("{\"message\":\"no\"}}", ReadError::Malformed("no member is a valid metric".to_owned())),
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
