//! Timestamps of samples.

use super::*;

/// Checks the explicit timestamps of all series, in order.
#[track_caller]
fn timestamps(page: &str, expected: &[Option<i64>]) {
    let families = read(page.to_owned()).unwrap();
    let found: Vec<Option<i64>> = families.iter().flat_map(|family| family.samples()).map(|sample| sample.timestamp()).collect();
    assert_eq!(found, expected, "{page}");
}

#[test]
fn explicit_timestamps_are_milliseconds_or_in_openmetrics_seconds() {
    timestamps("a 1 1795872000123\nb 2\na{l=\"1\"} 3 -5\n", &[Some(1_795_872_000_123), None, Some(-5)]);
    timestamps("a 1 1795872000.1234\nb 2\n# EOF\n", &[Some(1_795_872_000_123), None]);
    timestamps("a 1 1795872000 # {trace_id=\"a\"} 0.5 1795871000\n# EOF\n", &[Some(1_795_872_000_000)]);
    // A timestamp that is out of range is unreadable.
    timestamps("a 1\nb 1 1e300\nc 1 NaN\n", &[None]);
    timestamps("a 1\nb 1 21700000000000\n# EOF\n", &[None]);
    // The timestamp of a series that is dropped is dropped as well.
    timestamps("a{l=\"1\",l=\"2\"} 1 5\nb 1\nc{ 1 7\nd 1\n", &[None, None]);
}

#[test]
fn the_newest_of_two_samples_of_a_distribution_is_kept() {
    let old = "h_bucket{le=\"1\"} 1 1000\nh_bucket{le=\"+Inf\"} 2 1000\nh_sum 3 1000\nh_count 2 1000\n";
    let new = "h_bucket{le=\"1\"} 4 2000\nh_bucket{le=\"+Inf\"} 5 2000\nh_sum 6 2000\nh_count 5 2000\n";
    for page in [format!("# TYPE h histogram\n{old}{new}"), format!("# TYPE h histogram\n{new}{old}")] {
        timestamps(&page, &[Some(2000)]);
        let families = read(page).unwrap();
        let family = families.named("h").next().unwrap();
        let Value::Histogram(histogram) = family.samples().next().unwrap().value() else { panic!() };
        assert_eq!((histogram.count, histogram.sum, histogram.cumulative.as_slice()), (5, Some(6.0), &[4][..]));
        assert!(families.repairs().get(Repair::DuplicateSeries) > 0);
    }
    timestamps(
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2 1000\nh_count 2 1000\n# TYPE s summary\ns_count 1\ns_sum 2\n",
        &[Some(1000), None],
    );
}
