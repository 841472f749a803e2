//! Start times, and the unit of timestamps, which depend on the format.

use super::*;
use crate::model::SampleRef;

/// Returns each series as `name{label=value} value`, with its timestamp after `@` and its start time in seconds after `since`; then the
/// repairs.
fn summarize_as(format: Option<TextFormat>, text: &str) -> String {
    let families = read_as(format, LastLine::MustEnd, text.to_owned()).unwrap();
    let summarize = |name: &str, sample: SampleRef<'_>| {
        let at = sample.timestamp().map(|at| format!(" @{at}")).unwrap_or_default();
        let since = sample.created().map(|nanos| format!(" since {}", nanos / 1_000_000_000)).unwrap_or_default();
        format!("{name}{}{at}{since}", labels_and_value(sample)).to_lowercase()
    };
    let series = families.iter().flat_map(|family| family.samples().map(move |sample| summarize(family.name(), sample)));
    let repairs = families.repairs().iter().map(|(repair, n)| format!("!{} {n}", repair.as_str()));
    series.chain(repairs).collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check_as(format: Option<TextFormat>, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(summarize_as(format, text), *expected, "{text:?}");
    }
}

const PROMETHEUS: Option<TextFormat> = Some(TextFormat::Prometheus);
const OPEN_METRICS: Option<TextFormat> = Some(TextFormat::OpenMetrics);

#[test]
fn a_created_sample_is_a_series_of_its_own_in_the_text_format() {
    let cases = [
        ("# TYPE x counter\nx 5\nx_created 17\n", "x 5; x_created 17"),
        ("# TYPE x counter\nx 5\nx_created 1700000017\n", "x 5; x_created 1700000017"),
        ("# TYPE x counter\nx{a=\"1\"} 5\nx_created{a=\"2\"} 17\nx{a=\"2\"} 6\n", "x{a=1} 5; x_created{a=2} 17; x{a=2} 6"),
        ("# TYPE x counter\nx_total 5\nx_created 1700000017\nx_total{a=\"1\"} 6\n", "x_total 5; x_created 1700000017; x_total{a=1} 6"),
        ("# TYPE x_created gauge\n# TYPE x counter\nx 5\nx_created 17\n", "x 5; x_created 17"),
        ("# TYPE h histogram\nh_count 3\nh_created 1700000017\nh_sum 4\n", "h_created 1700000017; h [] [] of 3 sum some(4.0)"),
        (
            "# TYPE s summary\ns_count 3\n# TYPE y gauge\ny 1\ns_created 17\ns_sum 4\n",
            "y 1; s_created 17; s summary { quantiles: [], sum: some(4.0), count: some(3) }",
        ),
        ("# TYPE x counter\nx 1\nx_created{a=\"1\",a=\"2\"} 17\n", "x 1; !unreadable 1"),
    ];
    check_as(PROMETHEUS, &cases);
    check_as(None, &cases);
}

#[test]
fn a_created_sample_is_the_start_time_of_its_series_in_openmetrics() {
    const REST: &str = "# TYPE y counter\ny_total 7\ny_created 1700000007\n# EOF\n";
    const READ: &str = "y_total 7 since 1700000007";
    let cases = [
        ("# TYPE x counter\nx_total 5\nx_created 1700000017\n", format!("x_total 5 since 1700000017; {READ}")),
        ("# TYPE x counter\nx_created 1700000017\nx_total 5\n", format!("x_total 5 since 1700000017; {READ}")),
        (
            "# TYPE x counter\nx_total{a=\"1\"} 5\nx_total{a=\"2\"} 6\nx_created{a=\"1\"} 1700000017\nx_created{a=\"2\"} 1700000018\n",
            format!("x_total{{a=1}} 5 since 1700000017; x_total{{a=2}} 6 since 1700000018; {READ}"),
        ),
        ("# TYPE x counter\nx_total{a=\"1\"} 5\nx_created{a=\"2\"} 1700000017\n", format!("x_total{{a=1}} 5; {READ}; !unreadable 1")),
        (
            "# TYPE x counter\nx_total 5\nx_created 1700000017\nx_created 1700000018\n",
            format!("x_total 5 since 1700000017; {READ}; !duplicate_series 1"),
        ),
        ("# TYPE h histogram\nh_count 3\nh_created 1700000017\n", format!("{READ}; h [] [] of 3 sum none since 1700000017")),
        (
            "# TYPE h histogram\nh_count 3\nh_created 1700000017\nh_created 1700000018\n",
            format!("{READ}; h [] [] of 3 sum none since 1700000017; !duplicate_series 1"),
        ),
        ("# TYPE h histogram\nh_count 3\nh_created{a=\"1\"} 1700000017\n", format!("{READ}; h [] [] of 3 sum none; !missing_count 1")),
        // A family of its own, of Python's client.
        ("# TYPE x_created gauge\n# TYPE x counter\nx_total 5\nx_created 1700000017\n", format!("x_total 5; x_created 1700000017; {READ}")),
    ];
    for (text, expected) in cases {
        let page = format!("{text}{REST}");
        assert_eq!(summarize_as(OPEN_METRICS, &page), expected, "{text:?}");
        assert_eq!(summarize_as(None, &page), expected, "{text:?}");
    }
    for implausible in ["17", "0", "-1700000017", "NaN", "+Inf", "1700000017000", "946684799"] {
        for (family, read) in [("counter\nx_total 5", "x_total 5"), ("histogram\nx_count 3", "x [] [] of 3 sum none")] {
            let page = format!("# TYPE x {family}\nx_created {implausible}\n# EOF\n");
            assert_eq!(summarize_as(OPEN_METRICS, &page), format!("{read}; !unreadable 1"), "{page}");
        }
    }
}

#[test]
fn the_declared_format_decides_the_unit_of_timestamps() {
    const MILLISECONDS: &str = "x 5 1795999645437\n# EOF\n";
    const SECONDS: &str = "x 5 1795999645.437\n# EOF\n";
    check_as(PROMETHEUS, &[(MILLISECONDS, "x 5 @1795999645437"), (&SECONDS.replace(".437", ""), "x 5 @1795999645")]);
    check_as(OPEN_METRICS, &[(SECONDS, "x 5 @1795999645437")]);
    check_as(None, &[(SECONDS, "x 5 @1795999645437"), ("x 5 1795999645437\n", "x 5 @1795999645437")]);
    // The text of a help line is not a last line.
    check_as(None, &[("x 5 1795999645437\n# HELP x Before # EOF\n", "x 5 @1795999645437")]);
}
