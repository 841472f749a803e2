//! Documents and their families.

use super::*;
use crate::model::{Families, FamilyType};
use proptest::prelude::*;

mod recognition;
mod unknown;

fn leak(series: Vec<PathSeries>) -> &'static [PathSeries] {
    Box::leak(series.into_boxed_slice())
}

/// Checks a declaration as the loader of definitions does.
fn check_declaration(series: &PathSeries) -> Result<(), String> {
    let names: Vec<&str> = series.labels.iter().map(|(name, _)| *name).collect();
    let has_key = series.labels.iter().any(|(_, source)| *source == LabelSource::Key);
    let zeros: Vec<Vec<(&str, &str)>> = series.zero_for.iter().map(|labels| labels.to_vec()).collect();
    series.each.check(has_key, &names, &zeros)
}

fn path(text: &str) -> SeriesValue {
    SeriesValue::Path(JsonPath::parse_single(text).unwrap())
}

fn labels(pairs: &[(&'static str, &'static str)]) -> &'static [(&'static str, LabelSource)] {
    let labels: Vec<_> = pairs.iter().map(|(name, text)| (*name, LabelSource::parse(text, |_| text).unwrap())).collect();
    Box::leak(labels.into_boxed_slice())
}

fn each(family: &'static str, nodes: &str, pairs: &[(&'static str, &'static str)], value: SeriesValue) -> PathSeries {
    let series = PathSeries { each: Each::parse(nodes).unwrap(), labels: labels(pairs), ..PathSeries::new(family, "A help text.", value) };
    assert_eq!(check_declaration(&series), Ok(()));
    series
}

/// All series as `family{name="value",...} number`, one a line.
fn text(families: &Families) -> Vec<String> {
    let mut lines = Vec::new();
    for family in families.iter() {
        for sample in family.samples() {
            let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
            lines.push(format!("{}{{{}}} {}", family.name(), labels.join(","), sample.number().unwrap()));
        }
    }
    lines
}

#[track_caller]
fn check(series: Vec<PathSeries>, cases: &[(&str, &[&str])]) {
    let series = leak(series);
    for (body, expected) in cases {
        assert_eq!(read(series, body).map(|families| text(&families)).unwrap(), *expected, "{body}");
    }
}

#[track_caller]
fn refuses(series: Vec<PathSeries>, cases: &[(&str, &str)]) {
    let series = leak(series);
    for (body, expected) in cases {
        assert_eq!(read(series, body).err().map(|error| error.to_string()).unwrap_or_default(), *expected, "{body}");
    }
}

#[test]
fn a_list_becomes_series_with_labels() {
    let count = || each("m", "$[*]", &[("queue", "$.queue"), ("kind", "all")], SeriesValue::Number(1.0));
    check(
        vec![count()],
        &[
            (
                r#"[{"queue":"a"},{"queue":"b"},{"queue":"a"},{"queue":null},{}]"#,
                &["m{kind=all,queue=a} 2", "m{kind=all,queue=b} 1", "m{kind=all} 2"],
            ),
            (r#"[{"queue":7},{"queue":true}]"#, &["m{kind=all,queue=7} 1", "m{kind=all,queue=true} 1"]),
            ("[]", &[]),
            ("{}", &[]),
        ],
    );
    // An element whose label is a list or an object may belong to any series, so none of the counts is known.
    for element in [r#"{"queue":["a"]}"#, r#"{"queue":{}}"#] {
        let families = read(leak(vec![count()]), &format!(r#"[{element},{{"queue":"b"}},{{"queue":"c"}}]"#)).unwrap();
        assert_eq!(text(&families), ["m{kind=all} NaN", "m{kind=all,queue=b} NaN", "m{kind=all,queue=c} NaN"]);
        assert_eq!(families.repairs().iter().collect::<Vec<_>>(), [(Repair::Unreadable, 1)]);
    }
}

#[test]
fn nodes_with_the_same_labels_are_combined() {
    let of = |family, combine| PathSeries { combine, ..each(family, "$.rows[*]", &[("q", "$.q")], path("$.n")) };
    let all = || vec![of("total", Combine::Sum), of("largest", Combine::Max), of("smallest", Combine::Min)];
    check(
        all(),
        &[
            (r#"{"rows":[{"q":"a","n":3},{"q":"a","n":"-4"}]}"#, &["total{q=a} -1", "largest{q=a} 3", "smallest{q=a} -4"]),
            (r#"{"rows":[{"q":"a","n":null},{"q":"a","n":"5"},{"q":"a"}]}"#, &["total{q=a} 5", "largest{q=a} 5", "smallest{q=a} 5"]),
            // One number is unknown, so all that includes it is.
            (
                r#"{"rows":[{"q":"a","n":1},{"q":"a","n":"?"},{"q":"a","n":9}]}"#,
                &["total{q=a} NaN", "largest{q=a} NaN", "smallest{q=a} NaN"],
            ),
        ],
    );
    // Two entries add to one family.
    let sent = |member: &str| PathSeries { kind: FamilyType::Counter, ..PathSeries::new("sent", "", path(member)) };
    check(vec![sent("$.a"), PathSeries::new("x", "", path("$.x")), sent("$.b")], &[(r#"{"a":1,"b":2,"x":3}"#, &["sent{} 3", "x{} 3"])]);
}

#[test]
fn missing_values_stay_missing_and_other_values_are_invalid() {
    let number = || vec![PathSeries::new("m", "", path("$.data.n"))];
    check(
        number(),
        &[
            (r#"{"data":{"n":0}}"#, &["m{} 0"]),
            (r#"{"data":{"n":"12"}}"#, &["m{} 12"]),
            (r#"{"data":{"n":null}}"#, &[]),
            (r#"{"data":{"n":""}}"#, &[]),
            (r#"{"data":{"n":"- "}}"#, &[]),
            (r#"{"data":{"n":true}}"#, &["m{} NaN"]),
            (r#"{"data":{"n":{}}}"#, &["m{} NaN"]),
        ],
    );
    let boolean = || PathSeries { booleans: true, ..PathSeries::new("m", "", path("$.on")) };
    check(vec![boolean()], &[(r#"{"on":true}"#, &["m{} 1"]), (r#"{"on":false}"#, &["m{} 0"]), (r#"{"on":"false"}"#, &["m{} 0"])]);
    refuses(
        number(),
        &[
            (r#"{"data":{}}"#, "the response cannot be read: no path leads to a value; it has data"),
            (r#"{"message":"no","code":7}"#, "the response cannot be read: no path leads to a value; it has code, message"),
            ("{}", "the response cannot be read: no path leads to a value; the response is an empty object"),
            ("[1]", "the response cannot be read: no path leads to a value; the response is a list of other elements"),
            (r#"{"n":100,"n":5}"#, "the response cannot be read: an object has two members `n` at line 1 column 12"),
            ("null", "the response cannot be read: no path leads to a value; the response is null: the server could not find out"),
            ("7", "the response cannot be read: no path leads to a value; the response is a single value"),
            ("", "the response has no metrics in it"),
        ],
    );
}

#[test]
fn zeros_need_the_list_that_could_have_had_the_nodes() {
    let zeros: &[&[(&str, &str)]] = &[&[("q", "a")], &[("q", "b")]];
    let of = |nodes: &str| PathSeries { zero_for: zeros, ..each("m", nodes, &[("q", "$.q")], SeriesValue::Number(1.0)) };
    check(
        vec![of("$.items[*]")],
        &[(r#"{"items":[]}"#, &["m{q=a} 0", "m{q=b} 0"]), (r#"{"items":[{"q":"b"},{"q":"c"}]}"#, &["m{q=b} 1", "m{q=c} 1", "m{q=a} 0"])],
    );
    refuses(
        vec![of("$.items[*]")],
        &[
            (r#"{"items":null}"#, "the response cannot be read: no path leads to a value; it has items"),
            (r#"{"error":"no"}"#, "the response cannot be read: no path leads to a value; it has error"),
        ],
    );
    check(vec![of("$[?@.big]")], &[(r#"[{"q":"a"}]"#, &["m{q=a} 0", "m{q=b} 0"]), ("[]", &["m{q=a} 0", "m{q=b} 0"])]);
    let active = || of("$.queues[?@.state == 'active']");
    for queues in [r#"[{"q":"a","state":"hold"}]"#, r#"{"x":{"q":"a","state":"hold"}}"#, "[]", "{}"] {
        check(vec![active()], &[(format!("{{\"queues\":{queues}}}").leak(), &["m{q=a} 0", "m{q=b} 0"])]);
    }
    // Objects that are not lists.
    for body in [r#"{"queues":{"error":"no"}}"#, r#"{"queues":null}"#, r#"{"queues":{"x":[]}}"#] {
        assert!(read(leak(vec![active()]), body).is_err(), "{body}");
    }
    assert!(read(leak(vec![of("$[?@.big]")]), r#"{"error":{"code":1}}"#).is_err());
    let total = || PathSeries { zero_for: &[&[]], ..each("m", "$[*]", &[], SeriesValue::Number(1.0)) };
    check(vec![total()], &[("{}", &["m{} 0"]), ("[]", &["m{} 0"]), ("[1,2]", &["m{} 2"])]);
}

#[test]
fn a_list_without_a_wildcard_is_explained() {
    let series = || each("m", "$.items", &[("s", "$.s")], path("$.n"));
    refuses(
        vec![series()],
        &[
            (
                r#"{"items":[{"n":1}]}"#,
                "the response cannot be read: no path leads to a value; each: $.items selects a list as a whole; write $.items[*] for its elements",
            ),
            (r#"{"items":{"x":1}}"#, "the response cannot be read: no path leads to a value; it has items"),
        ],
    );
}

#[test]
fn what_is_not_an_element_of_the_list_is_not_counted() {
    let must_have = |name: &str| Some(JsonPath::parse_single(&format!("$.{name}")).unwrap());
    let count = || PathSeries { zero_for: &[&[]], must_have: must_have("id"), ..each("m", "$[*]", &[], SeriesValue::Number(1.0)) };
    let foreign = [r#"{"type":"error","msg":"no"}"#, r#"[{"type":"danger"}]"#, "[null]", r#"["x"]"#, "[[]]", r#"{"a":{"id":null}}"#];
    for body in foreign {
        assert!(read(leak(vec![count()]), body).is_err(), "{body}");
    }
    check(vec![count()], &[("[]", &["m{} 0"]), ("{}", &["m{} 0"]), (r#"[{"id":1},{"id":2}]"#, &["m{} 2"])]);
    // The number of elements is not known.
    check(vec![count()], &[(r#"[{"id":1},{"type":"danger"}]"#, &["m{} NaN"])]);

    let filtered = || PathSeries { zero_for: &[&[]], must_have: must_have("id"), ..each("m", "$[?@.big]", &[], SeriesValue::Number(1.0)) };
    check(vec![filtered()], &[(r#"[{"id":1}]"#, &["m{} 0"]), (r#"[{"id":1,"big":1}]"#, &["m{} 1"])]);
    assert!(read(leak(vec![filtered()]), r#"[{"type":"danger"}]"#).is_err());

    // Only the value of the element that cannot be read is unknown, if its labels are known.
    let states = || {
        let of = |filter: &str, value| PathSeries { must_have: must_have("state"), ..each("m", filter, &[("name", "$.name")], value) };
        vec![of("$[?@.state == 'on']", SeriesValue::Number(1.0)), of("$[?@.state != 'on']", SeriesValue::Number(0.0))]
    };
    check(states(), &[(r#"[{"name":"a","state":"on"},{"name":"b"}]"#, &["m{name=a} 1", "m{name=b} NaN"])]);
    check(states(), &[(r#"[{"name":"a","state":"on"},{"state":null}]"#, &["m{name=a} NaN"])]);
    assert!(read(leak(states()), r#"{"b":{"name":"b","state":null}}"#).is_err());
}

#[test]
fn names_of_members_can_be_labels() {
    let actions = || each("m", "$.actions[*]", &[("action", "@key")], path("$"));
    check(
        vec![actions()],
        &[(r#"{"actions":{"soft reject":3,"reject":"4","x":null}}"#, &["m{action=reject} 4", "m{action=soft reject} 3"])],
    );
    check(vec![actions()], &[(r#"{"actions":[7]}"#, &["m{action=0} 7"])]);
}

#[test]
fn the_end_of_a_label_can_be_removed() {
    let path = JsonPath::parse_single("$.name").unwrap();
    let labels = Box::leak(Box::new([("name", LabelSource::Path { path, suffix: "-mailcow" })]));
    let series = || PathSeries { labels, ..each("m", "$[*]", &[], SeriesValue::Number(1.0)) };
    check(vec![series()], &[(r#"[{"name":"a-mailcow"},{"name":"b"},{"name":7}]"#, &["m{name=a} 1", "m{name=b} 1", "m{name=7} 1"])]);
    assert!(LabelSource::parse("@name", |_| "").is_err());
}

#[test]
fn contradictions_of_a_definition_are_found() {
    let key = labels(&[("k", "@key")]);
    let document = PathSeries { labels: key, ..PathSeries::new("m", "", SeriesValue::Number(1.0)) };
    let descending = PathSeries { labels: key, each: Each::parse("$..a").unwrap(), ..PathSeries::new("m", "", SeriesValue::Number(1.0)) };
    let zeros: &[&[(&str, &str)]] = &[&[("q", "a")]];
    let unlabelled = PathSeries { zero_for: zeros, each: Each::parse("$[*]").unwrap(), ..PathSeries::new("m", "", path("$")) };
    let single = PathSeries { zero_for: &[&[]], each: Each::parse("$.a").unwrap(), ..PathSeries::new("m", "", path("$")) };
    for (series, error) in [
        (document, "@key needs each"),
        (descending, "@key cannot be used with `..`"),
        (unlabelled, "zero_for has q, which is not a label of the series"),
        (single, "zero_for needs each with a wildcard or a filter, and without `..`"),
    ] {
        assert_eq!(check_declaration(&series), Err(error.to_owned()));
    }
}

#[test]
fn a_path_with_too_many_nodes_is_an_error() {
    let body = |n: usize| format!("[{}0]", "0,".repeat(n));
    let series = leak(vec![each("m", "$[*]", &[], SeriesValue::Number(1.0))]);
    assert!(read(series, &body(NODES_MAX - 1)).is_ok());
    let error = read(series, &body(NODES_MAX)).map(|_| ()).unwrap_err();
    assert_eq!(error, ReadError::Malformed("m has more than 200000 nodes".into()));
}

fn json() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec!["", "- ", "a", "b", "12", "-1e400", "NaN", "\u{0}\"\n", "é"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let name = prop::sample::select(vec!["a", "b", "n", "items", ""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

/// A definition that uses all that definitions can have.
fn definition() -> &'static [PathSeries] {
    static DEFINITION: std::sync::LazyLock<&'static [PathSeries]> = std::sync::LazyLock::new(|| {
        let zeros: &[&[(&str, &str)]] = &[&[("b", "x"), ("k", "0")]];
        leak(vec![
            PathSeries { zero_for: zeros, ..each("f", "$[*]", &[("k", "@key"), ("b", "$.b")], path("$.n")) },
            PathSeries { combine: Combine::Max, booleans: true, ..each("f", "$.items[?@.n > 0].a", &[("b", "$")], path("$")) },
            PathSeries { combine: Combine::Min, ..each("g", "$..n", &[], path("$")) },
            each("h", "$..a", &[("x", "$.b"), ("y", "fixed")], SeriesValue::Number(1.0)),
            PathSeries::new("i", "", path("$.items[0].n")),
        ])
    });
    *DEFINITION
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused_within_bounds(document in json()) {
        let body = document.to_string();
        if let Ok(families) = read(definition(), &body) {
            let names: Vec<&str> = families.iter().map(|family| family.name()).collect();
            prop_assert!(names.iter().enumerate().all(|(at, name)| !names[..at].contains(name)));
            // Each entry has at most one series for each value of the document, and one zero.
            prop_assert!(families.series() <= definition().len() * (body.len() + 1));
            for sample in families.iter().flat_map(|family| family.samples()) {
                prop_assert!(sample.number().is_some_and(|number| !number.is_infinite()));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), structure in "[\\[\\]{},:\"a0n\\\\ ]{0,200}") {
        let _ = read(definition(), &String::from_utf8_lossy(&bytes));
        let _ = read(definition(), &structure);
    }

    #[test]
    fn any_text_is_a_path_or_an_error_of_one_line(text in "[$@.*?\\[\\]'\",:()=<>&|! a-c0-2\\\\]{0,80}", document in json()) {
        match JsonPath::parse(&format!("${text}")) {
            Ok(path) => prop_assert!(path.nodes(&document).len() <= document.to_string().len() * 32),
            Err(error) => prop_assert!(!error.contains('\n')),
        }
        let _ = Each::parse(&format!("${text}"));
    }
}
