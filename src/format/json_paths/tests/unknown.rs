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
