//! Documents that are recognized by a series, and error messages that are not.

use super::*;

#[test]
fn a_constant_value_does_not_make_an_error_message_a_response() {
    const ERROR: &str = "the response cannot be read: no path leads to a value; it has error";
    let version = || each("info", "$", &[("version", "$.Version")], SeriesValue::Number(1.0));
    let fixed = || each("one", "$", &[("kind", "all")], SeriesValue::Number(1.0));
    let count = || PathSeries::new("count", "", path("$.count"));
    let document = || PathSeries::new("one", "", SeriesValue::Number(1.0));
    for series in [vec![version(), count()], vec![version()], vec![fixed(), count()], vec![count(), document()]] {
        refuses(series, &[(r#"{"error":"unauthorized"}"#, ERROR)]);
    }
    refuses(
        vec![version()],
        &[(r#"{"Version":null,"error":1}"#, "the response cannot be read: no path leads to a value; it has Version, error")],
    );
    check(vec![version(), count()], &[(r#"{"Version":"1.2"}"#, &["info{version=1.2} 1"]), (r#"{"count":3}"#, &["info{} 1", "count{} 3"])]);
    check(vec![fixed(), count()], &[(r#"{"count":3}"#, &["one{kind=all} 1", "count{} 3"])]);
    // Another node than the document shows what the document is.
    let product = || each("has_product", "$.product", &[], SeriesValue::Number(1.0));
    check(vec![product()], &[(r#"{"product":{}}"#, &["has_product{} 1"])]);
    refuses(vec![product()], &[(r#"{"error":"unauthorized"}"#, ERROR)]);
    // Nothing could be recognized.
    check(vec![document()], &[("{}", &["one{} 1"])]);
    check(vec![fixed()], &[("[]", &["one{kind=all} 1"])]);
}
