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
    assert_eq!(families.unknown_labels().collect::<Vec<_>>(), [("m", "d")]);
    // Too many of them: all are unknown.
    let many: Vec<String> = (0..combined::PARTIAL_MAX + 1).map(|n| format!(r#"{{"q":"{n}","d":{{}},"n":1}}"#)).collect();
    let body = format!(r#"{{"rows":[{{"q":"a","d":"x","n":1}},{}]}}"#, many.join(","));
    assert_eq!(text(&read(leak(vec![rows()]), &body).unwrap())[0], "m{d=x,q=a} NaN");
}
