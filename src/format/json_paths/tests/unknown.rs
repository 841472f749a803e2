//! Values that are not known.

use super::*;
use crate::model::{FamilySelection, SelectedFamilies};

#[test]
fn unknown_values_are_not_among_the_native_metrics() {
    let size = || each("size", "$.rows[*]", &[("q", "$.q")], path("$.n"));
    let all = || vec![size(), PathSeries::new("m", "", path("$.m"))];
    for (body, expected) in [
        (r#"{"m":1,"rows":[{"q":"a","n":3},{"q":"b","n":4}]}"#, vec![1.0, 3.0, 4.0]),
        (r#"{"m":1,"rows":[{"q":"a","n":3},{"q":"b","n":"?"}]}"#, vec![1.0, 3.0]),
        (r#"{"m":1,"rows":[{"q":"a","n":3},{"q":{},"n":4}]}"#, vec![1.0]),
    ] {
        let families = read(leak(all()), body).unwrap();
        let native = SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()));
        let values: Vec<f64> =
            native.families().flat_map(|family| family.samples().filter_map(|sample| sample.number()).collect::<Vec<_>>()).collect();
        assert_eq!((values.as_slice(), native.kept), (expected.as_slice(), expected.len() as _), "{body}");
    }
}

#[test]
fn an_unknown_label_makes_those_series_unknown_that_have_the_others() {
    let rows = || each("m", "$.rows[*]", &[("q", "$.q"), ("d", "$.d")], path("$.n"));
    check(
        vec![rows()],
        &[
            (
                r#"{"rows":[{"q":"a","d":"x","n":1},{"q":"b","d":"x","n":2},{"q":"a","n":3},{"q":"a","d":{},"n":4}]}"#,
                &["m{d=x,q=a} NaN", "m{d=x,q=b} 2", "m{q=a} NaN"],
            ),
            // A label that the element lacks is known.
            (r#"{"rows":[{"q":"a","d":"x","n":1},{"q":"b","n":2},{"q":{},"n":4}]}"#, &["m{d=x,q=a} NaN", "m{q=b} NaN"]),
            (r#"{"rows":[{"q":"a","d":"x","n":1},{"q":[],"d":{},"n":4}]}"#, &["m{d=x,q=a} NaN"]),
        ],
    );
    let members = || each("m", "$[*]", &[("q", "@key"), ("d", "$.d")], path("$.n"));
    check(vec![members()], &[(r#"{"a":{"d":"x","n":1},"b":{"d":{},"n":2}}"#, &["m{d=x,q=a} 1", "m{q=b} NaN"])]);
    let families = read(leak(vec![rows()]), r#"{"rows":[{"q":"a","d":{},"n":4},{"q":"b","d":[],"n":4}]}"#).unwrap();
    assert_eq!(families.unknown_series().collect::<Vec<_>>(), [(Some("m"), Some("d"))]);
    // Too many of them: all are unknown.
    let many: Vec<String> = (0..combined::PARTIAL_MAX + 1).map(|n| format!(r#"{{"q":"{n}","d":{{}},"n":1}}"#)).collect();
    let body = format!(r#"{{"rows":[{{"q":"a","d":"x","n":1}},{}]}}"#, many.join(","));
    assert_eq!(text(&read(leak(vec![rows()]), &body).unwrap())[0], "m{d=x,q=a} NaN");
}

#[test]
fn a_null_among_several_lists_makes_the_counts_unknown() {
    let zeros: &[&[(&str, &str)]] = &[&[("s", "a")], &[("s", "d")]];
    let count = || each("m", "$.hosts[*].q[*]", &[("s", "$.s")], SeriesValue::Number(1.0));
    let with_zeros = || PathSeries { zero_for: zeros, ..count() };
    check(
        vec![with_zeros()],
        &[
            (r#"{"hosts":[{"q":[{"s":"a"}]},{"q":[]}]}"#, &["m{s=a} 1", "m{s=d} 0"]),
            (r#"{"hosts":[{"q":null},{"q":[]}]}"#, &["m{s=a} NaN", "m{s=d} NaN"]),
            (r#"{"hosts":[{"q":[]},{"q":null}]}"#, &["m{s=a} NaN", "m{s=d} NaN"]),
            (r#"{"hosts":[{"q":[{"s":"a"}]},{"q":null}]}"#, &["m{s=a} NaN", "m{s=d} NaN"]),
            (r#"{"hosts":[{"q":[{"s":"a"}]},null]}"#, &["m{s=a} NaN", "m{s=d} NaN"]),
            (r#"{"hosts":{"x":null,"y":{"q":[]}}}"#, &["m{s=a} NaN", "m{s=d} NaN"]),
            (r#"{"hosts":[]}"#, &["m{s=a} 0", "m{s=d} 0"]),
            (r#"{"hosts":[{"q":[{"s":"a"}]},"offline"]}"#, &["m{s=a} NaN", "m{s=d} NaN"]),
            (r#"{"hosts":{"count":1,"y":{"q":[]}}}"#, &["m{s=a} 0", "m{s=d} 0"]),
        ],
    );
    check(vec![count()], &[(r#"{"hosts":[{"q":[{"s":"a"}]},{"q":null}]}"#, &["m{s=a} NaN"])]);
    for body in [r#"{"hosts":[{"q":null},{"q":null}]}"#, r#"{"hosts":null}"#, r#"{"hosts":[null]}"#] {
        assert!(read(leak(vec![with_zeros()]), body).is_err(), "{body}");
    }
    let families = read(leak(vec![with_zeros()]), r#"{"hosts":[{"q":null},{"q":[]}]}"#).unwrap();
    assert_eq!(families.repairs().iter().collect::<Vec<_>>(), [(Repair::Unreadable, 1)]);
    // A filter selects no null, and the elements of the last list are nodes.
    let filtered = || each("m", "$.hosts[?@.on].q[*]", &[("s", "$.s")], SeriesValue::Number(1.0));
    check(vec![filtered()], &[(r#"{"hosts":[{"on":1,"q":[{"s":"a"}]},null]}"#, &["m{s=a} 1"])]);
    let numbers = || each("n", "$.n[*]", &[], path("$"));
    check(vec![numbers()], &[(r#"{"n":[1,null,2]}"#, &["n{} 3"])]);
}

#[test]
fn null_or_a_single_value_in_place_of_a_list_makes_its_family_unknown() {
    let zeros: &[&[(&str, &str)]] = &[&[("q", "a")]];
    let rows = || PathSeries { zero_for: zeros, ..each("m", "$.rows[*]", &[("q", "$.q")], path("$.n")) };
    let all = || leak(vec![rows(), PathSeries::new("v", "", path("$.v"))]);
    for (value, found) in [("null", "null"), ("\"database is locked\"", "the text `database is locked`"), ("7", "7"), ("false", "false")] {
        let families = read(all(), &format!(r#"{{"v":1,"rows":{value}}}"#)).unwrap();
        assert_eq!(text(&families), ["v{} 1"], "{value}");
        assert_eq!(families.repairs().iter().collect::<Vec<_>>(), [(Repair::Unreadable, 1)], "{value}");
        assert_eq!(families.unknown_series().collect::<Vec<_>>(), [(Some("m"), None)], "{value}");
        assert_eq!(families.unreadable_reason("m"), Some(format!("one of its lists is {found}").as_str()));
        assert!(read(leak(vec![rows()]), &format!(r#"{{"rows":{value}}}"#)).is_err(), "no other value: {value}");
    }
    for (body, expected) in
        [(r#"{"v":1,"rows":[]}"#, &["m{q=a} 0", "v{} 1"][..]), (r#"{"v":1,"rows":{}}"#, &["m{q=a} 0", "v{} 1"]), (r#"{"v":1}"#, &["v{} 1"])]
    {
        let families = read(all(), body).unwrap();
        assert_eq!(text(&families), expected, "{body}");
        assert!(families.repairs().iter().next().is_none() && families.unknown_series().next().is_none(), "{body}");
    }
}

#[test]
fn a_missing_value_of_a_counter_makes_its_series_unknown() {
    let sent = |labels: &[(&'static str, &'static str)]| PathSeries {
        kind: FamilyType::Counter,
        ..each("sent", "$.rows[*]", labels, path("$.n"))
    };
    for value in [r#","n":null"#, "", r#","n":"""#, r#","n":"-""#] {
        let body = format!(r#"{{"rows":[{{"q":"a","n":20}},{{"q":"b"{value}}}]}}"#);
        let families = read(leak(vec![sent(&[("q", "$.q")])]), &body).unwrap();
        assert_eq!(text(&families), ["sent{q=a} 20", "sent{q=b} NaN"], "{value}");
        assert_eq!(families.repairs().iter().collect::<Vec<_>>(), [(Repair::Unreadable, 1)], "{value}");
        assert_eq!(text(&read(leak(vec![sent(&[])]), &body).unwrap()), ["sent{} NaN"], "{value}");
    }
    // A document whose only node is another value is still another response.
    assert!(read(leak(vec![sent(&[])]), r#"{"rows":{"error":"locked"}}"#).is_err());
    // A counter of the document itself is one that this version of the server lacks.
    let document = || {
        vec![PathSeries { kind: FamilyType::Counter, ..PathSeries::new("sent", "", path("$.sent")) }, PathSeries::new("v", "", path("$.v"))]
    };
    check(document(), &[(r#"{"v":1}"#, &["v{} 1"]), (r#"{"v":1,"sent":null}"#, &["v{} 1"])]);
}
