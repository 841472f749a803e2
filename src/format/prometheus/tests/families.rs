//! Families: which samples belong to them.

use super::*;

#[test]
fn a_second_type_line_begins_another_family() {
    const HISTOGRAM: &str = "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_sum 3\nx_count 2\n";
    let after = |text: &str| summarize(&format!("{HISTOGRAM}{text}"));
    const READ: &str = "histogram x [1.0] [1] of 2 sum some(3.0)";
    assert_eq!(after("# TYPE x counter\nx_total 9\n"), format!("counter x_total 9; {READ}"));
    assert_eq!(after("# TYPE x gauge\nx 9\n"), format!("gauge x 9; {READ}"));
    assert_eq!(after("# TYPE x histogram\nx_count{a=\"1\"} 9\n"), format!("{READ}; histogram x{{a=1}} [] [] of 9 sum none"));
    check(&[
        ("# TYPE x gauge\nx 9\n# TYPE x summary\nx_count 3\n", "gauge x 9; summary x summary { quantiles: [], sum: none, count: some(3) }"),
        ("# TYPE x counter\nx 1\n# TYPE x gauge\nx{a=\"1\"} 2\n", "gauge x 1; gauge x{a=1} 2"),
    ]);
}

#[test]
fn samples_belong_to_the_family_of_their_type_line() {
    check(&[
        ("# TYPE x counter\n# TYPE x counter\nx 1", "counter x 1"),
        ("# TYPE x counter\nx 1\n# TYPE x counter\nx{a=\"1\"} 2", "counter x 1; counter x{a=1} 2"),
        ("x 1\n# TYPE x gauge\n", "gauge x 1"),
        ("# TYPE y counter\nx 1", "unknown x 1"),
        ("# TYPE x flower\nx 1", "unknown x 1"),
        ("# TYPE x untyped\nx 1", "unknown x 1"),
        ("# TYPE x\nx 1", "unknown x 1"),
        ("# TYPE\n#\n# \n# a comment\nx 1", "unknown x 1"),
        ("# HELP x With \\\\ and \\n.\n# TYPE x gauge\nx 1", "gauge x 1"),
        (
            "# TYPE x summary\nx{quantile=\"0.5\"} 1\nx{quantile=\"0.9\"} NaN\nx_sum 3\nx_count 2",
            "summary x summary { quantiles: [(0.5, 1.0), (0.9, nan)], sum: some(3.0), count: some(2) }",
        ),
        (
            "# TYPE x summary\nx{l=\"a\",quantile=\"0.5\"} 1\nx{l=\"b\",quantile=\"0.5\"} 2\nx_count{l=\"a\"} 4\nx_sum{l=\"b\"} 9",
            "summary x{l=a} summary { quantiles: [(0.5, 1.0)], sum: none, count: some(4) }; !missing_count 1",
        ),
        // OTLP has no counts with fractions.
        ("# TYPE x summary\nx_sum 3\nx_count 2.5\ny 1", "unknown y 1; !out_of_range 1"),
        (
            "# TYPE x histogram\nx_bucket{le=\"1\"} 1.5\nx_bucket{le=\"+Inf\"} 2.7\nx_count 2.7\ny 1",
            "unknown y 1; !inconsistent_histogram 1",
        ),
        ("# TYPE x counter\n# TYPE y gauge\ny 1", "gauge y 1"),
        ("# TYPE x_total gauge\nx_total 3", "gauge x_total 3"),
    ]);
}

#[test]
fn openmetrics_suffixes_and_types_are_read() {
    check(&[
        ("# TYPE x counter\n# UNIT x bytes\nx_total 3\nx_created 1700000000\n# EOF\n", "counter x_total 3"),
        ("# TYPE x counter\nx_total{a=\"1\"} 3 # {b=\"2\"} 1\nx_total{a=\"2\"} 4", "counter x_total{a=1} 3; counter x_total{a=2} 4"),
        ("# TYPE x counter\nx_total 3\nx 4\nx_total 5", "counter x_total 3; unknown x 4; counter x_total 5"),
        ("# TYPE x counter\nx 3\nx_total 4", "counter x 3; unknown x_total 4"),
        ("# TYPE x gauge\nx 3\nx_created 5", "gauge x 3; unknown x_created 5"),
        ("x 3\nx_created 5", "unknown x 3; unknown x_created 5"),
        ("# TYPE x counter\nx_total 3\n# TYPE x_created gauge\nx_created 5", "counter x_total 3; gauge x_created 5"),
        ("# TYPE x info\nx_info{v=\"1\"} 1", "info x_info{v=1} 1"),
        ("# TYPE x stateset\nx{x=\"on\"} 1", "stateset x{x=on} 1"),
        ("# TYPE x gaugehistogram\nx_bucket{le=\"1\"} 1\nx_gcount 1\ny 1", "unknown y 1; !unsupported 2"),
        ("# TYPE x gaugehistogram\nx_gcount 1\ny 1\nx_gsum 1\nx_gsum_rate 2", "unknown y 1; unknown x_gsum_rate 2; !unsupported 2"),
    ]);
}

#[test]
fn families_without_series_are_dropped() {
    let page = format!("# TYPE a gauge\n# HELP a A.\na 1\n{}\nb 2\n", "# TYPE x gauge\n# TYPE y gauge\n".repeat(100));
    let families = read_unterminated(page).unwrap();
    let names: Vec<_> = families.iter().map(|family| (family.name(), family.help(), family.samples().len())).collect();
    assert_eq!(names, [("a", "A.", 1), ("b", "", 1)]);
}

#[test]
fn the_first_of_duplicate_lines_is_kept() {
    let twice = |line: &str| format!("{line} 5\n{line} 9\n");
    let page = format!(
        "# TYPE x histogram\n{}{}x_sum 1\nx_sum 2\n{}",
        twice("x_bucket{le=\"1\"}"),
        twice("x_bucket{le=\"+Inf\"}"),
        twice("x_count")
    );
    let quantiles = format!("# TYPE x summary\n{}x_sum 1\nx_count 4\n", twice("x{quantile=\"0.5\"}"));
    let summary = "summary x summary { quantiles: [(0.5, 5.0)], sum: some(1.0), count: some(4) }; !duplicate_series 1";
    assert_eq!(summarize(&quantiles), summary);
    assert_eq!(
        summarize("# TYPE x histogram\nx_bucket{le=\"1\"} 5\nx_bucket{le=\"1\"} 9\nx_count 9"),
        "histogram x [1.0] [5] of 9 sum none; !duplicate_series 1"
    );
    assert_eq!(summarize(&page), "histogram x [1.0] [5] of 5 sum some(1.0); !duplicate_series 4");
}

#[test]
fn a_family_can_continue_after_another_one() {
    check(&[
        ("# TYPE x counter\nx{a=\"1\"} 1\ny 2\nx{a=\"2\"} 3\n", "counter x{a=1} 1; unknown y 2; counter x{a=2} 3"),
        ("# TYPE x counter\n# TYPE y gauge\nx_total 1\ny 2\nx_total{a=\"2\"} 3\n", "counter x_total 1; gauge y 2; counter x_total{a=2} 3"),
        (
            "# TYPE x histogram\n# TYPE y gauge\ny 2\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_count 2\ny{a=\"b\"} 1\n",
            "gauge y 2; gauge y{a=b} 1; histogram x [1.0] [1] of 2 sum none",
        ),
        (
            "# TYPE s summary\ns{quantile=\"0.5\"} 1\nother 3\ns_count 9\ns_sum 4\n",
            "unknown other 3; summary s summary { quantiles: [(0.5, 1.0)], sum: some(4.0), count: some(9) }",
        ),
        (
            "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nother 1\nh_bucket{le=\"+Inf\"} 5\n# TYPE g gauge\ng 1\nh_count 5\nother{a=\"b\"} 1\nh_sum 7\n",
            "unknown other 1; gauge g 1; unknown other{a=b} 1; histogram h [1.0] [2] of 5 sum some(7.0)",
        ),
        (
            "# TYPE h histogram\n# TYPE s summary\nh_count{a=\"1\"} 2\ns_count{a=\"1\"} 3\nh_sum{a=\"1\"} 4\ns_sum{a=\"1\"} 5\n",
            "histogram h{a=1} [] [] of 2 sum some(4.0); summary s{a=1} summary { quantiles: [], sum: some(5.0), count: some(3) }",
        ),
        ("# TYPE x summary\n# TYPE x_sum gauge\nx_sum 1\n", "gauge x_sum 1"),
    ]);
}
