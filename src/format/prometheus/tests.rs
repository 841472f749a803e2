//! Texts that servers write, unusual ones first.
#![allow(clippy::unwrap_used)]

mod families;
mod formats;
mod labels;
mod limits;
mod timestamps;

use super::*;
use crate::format::buckets::BUCKETS_MAX;
use crate::model::{LABEL_VALUE_BYTES_MAX, SampleRef, Value};

/// Returns each series as `type name{label=value} value`, then each repair as `!kind n`, separated by `; `.
fn summarize(text: &str) -> String {
    try_summarize(text).unwrap()
}

fn try_summarize(text: &str) -> Result<String, ReadError> {
    let families = read_unterminated(text.to_owned())?;
    let series = families.iter().flat_map(|family| family.samples().map(move |sample| (family.kind(), family.name(), sample)));
    let series = series.map(|(kind, name, sample)| format!("{kind:?} {name}{}", labels_and_value(sample)).to_lowercase());
    let repairs = families.repairs().iter().map(|(repair, n)| format!("!{} {n}", repair.as_str()));
    Ok(series.chain(repairs).collect::<Vec<_>>().join("; "))
}

fn labels_and_value(sample: SampleRef<'_>) -> String {
    let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    match sample.value() {
        Value::Number(n) => format!("{labels} {n}"),
        Value::Histogram(h) => format!("{labels} {:?} {:?} of {} sum {:?}", h.bounds, h.cumulative, h.count, h.sum),
        Value::Summary(s) => format!("{labels} {s:?}"),
    }
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(summarize(text), *expected, "{text:?}");
    }
}

#[test]
fn only_an_unreadable_line_is_lost() {
    check(&[
        ("x{a=\"1\" 7\ny 2\nx{a=\"2\"} 3\n", "unknown y 2; unknown x{a=2} 3; !unreadable 1"),
        ("x{a=\"1\"} seven\ny 2\nx{a=\"2\"} 3\n", "unknown y 2; unknown x{a=2} 3; !unreadable 1"),
        ("x{a=\"1\"\ny 2\nx{a=\"2\"} 3\n", "unknown y 2; unknown x{a=2} 3; !unreadable 1"),
        ("x{a\ny 2\nx{a=\"2\"} 3\n", "unknown y 2; unknown x{a=2} 3; !unreadable 1"),
    ]);
    let unclosed = Err(ReadError::Malformed("it is truncated inside a label value: `q=\"a`".to_owned()));
    for text in ["y 1\nx{q=\"a\ny 5\n", "y 1\nx{q=\"a\nz 5", "y 1\nx{q=\"a\n", "y 1\nx{q=\"a"] {
        assert_eq!(read_unterminated(text.to_owned()).map(|families| families.series()), unclosed, "{text:?}");
    }
}

#[test]
fn unclosed_quotes_are_searched_in_linear_time() {
    let truncated = |line: &str| Err(ReadError::Malformed(format!("it is truncated inside a label value: `{line}`")));
    let without_sample = |line: &str| Err(ReadError::Malformed(format!("no line of it is a sample; the first one is `{line}`")));
    for (line, expected) in [
        ("x{q=\"\n", truncated("q=\"")),
        ("x{q=\"a\n", truncated("q=\"a")),
        ("x{q=\"a\"b\n", without_sample("x{q=\"a\"b")),
        ("x{a=\"\",q=\"\n", truncated("a=\"\",q=\"")),
        ("x{q=\"\\\n", truncated("q=\"\\")),
        ("x{q=\"a\"} b\n", without_sample("x{q=\"a\"} b")),
        ("x{q=\"a\"} b\nx{q=\"a\"} 1\n", Ok(20_000)),
    ] {
        assert_eq!(read_unterminated(line.repeat(20_000)).map(|families| families.series()), expected, "{line:?}");
    }
}

#[test]
fn a_long_line_is_not_searched_for_each_unclosed_quote() {
    let long_line = format!("y{{q=\"{}\"}} 1\n", "v".repeat(10_000));
    let read = |unclosed: usize| read_unterminated("x{q=\"a\"b\n".repeat(unclosed) + &long_line).map(|families| families.series());
    assert_eq!(read(10), Ok(1));
    assert_eq!(read(20_000), Err(ReadError::Malformed("too many of its label values do not end".to_owned())));
}

#[test]
fn spaces_and_line_ends() {
    check(&[
        ("x{a=\"1\", b=\"2\" , c = \"3\",} 1", "unknown x{a=1,b=2,c=3} 1"),
        ("x {a=\"1\"}1", "unknown x{a=1} 1"),
        ("x\t1", "unknown x 1"),
        ("  x   1  ", "unknown x 1"),
        ("x 1\r\ny 2\r\n", "unknown x 1; unknown y 2"),
        ("\n\n# TYPE x gauge\n\nx 1\n\n", "gauge x 1"),
        ("x 1\ny 2", "unknown x 1; unknown y 2"),
        ("#TYPE x gauge\nx 1", "gauge x 1"),
        ("#  TYPE   x   gauge  \nx 1", "gauge x 1"),
    ]);
}

#[test]
fn values_timestamps_and_exemplars() {
    check(&[
        ("x +Inf\nx{a=\"1\"} -Inf\nx{a=\"2\"} NaN", "unknown x inf; unknown x{a=1} -inf; unknown x{a=2} nan"),
        ("x 1.5e3", "unknown x 1500"),
        ("x 18446744073709551615", "unknown x 18446744073709552000"),
        ("x 1 1700000000000", "unknown x 1"),
        ("x 1 1700000000.123", "unknown x 1"),
        ("x 1 # {trace_id=\"a b\"} 0.5 1700000000.1", "unknown x 1"),
        ("x 1 1700000000 # {trace_id=\"a\"} 0.5", "unknown x 1"),
        ("x 1 # {a=\"b\"} 1e3", "unknown x 1"),
        ("y 1\nx 1 yesterday\nx 1 NaN\nx 1 inf\nx 1 1e999\n", "unknown y 1; !unreadable 4"),
        ("y 1\nx 1 17 18\nx 1 17 garbage\nx 1 garbage\nx 1 }\n", "unknown y 1; !unreadable 4"),
        ("y 1\nx 1 # a comment\nx 1 17 # {}\nx 1 # {a=\"b\"} one\nx 1 # {a=\"b\"} 1 17 18\n", "unknown y 1; !unreadable 4"),
        ("y 1\nx one\n", "unknown y 1; !unreadable 1"),
        ("y 1\nx\n", "unknown y 1; !unreadable 1"),
        ("y 1\nx{a=\"1\"}\n", "unknown y 1; !unreadable 1"),
        ("y 1\nx{a=\"1\" 1\n", "unknown y 1; !unreadable 1"),
        ("y 1\nx{a=1} 1\n", "unknown y 1; !unreadable 1"),
        ("y 1\nx{a} 1\n", "unknown y 1; !unreadable 1"),
        ("y 1\nx{=\"1\"} 1\n", "unknown y 1; !unreadable 1"),
        ("y 1\nx{a b=\"1\"} 1\n", "unknown y 1; !unreadable 1"),
        ("y 1\n9x 1\nx-y 1\n{a=\"1\"} 1\n", "unknown y 1; !unreadable 3"),
    ]);
}

#[test]
fn histograms_are_read() {
    const H: &str = "# TYPE h histogram\n";
    let check = |cases: &[(&str, &str)]| {
        cases.iter().for_each(|(text, expected)| assert_eq!(summarize(&format!("{H}{text}")), *expected, "{text:?}"))
    };
    check(&[
        ("h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3", "histogram h [1.0] [2] of 3 sum some(4.0)"),
        ("h_bucket{le=\"1\"} 2\nh_bucket{le=\"inf\"} 1\nh_sum 4\nh_count 3", "histogram h [1.0] [2] of 3 sum some(4.0); !not_cumulative 1"),
        ("h_count 0\nh_sum 0\nh_bucket{le=\"+Inf\"} 0", "histogram h [] [] of 0 sum some(0.0)"),
        ("h_count 2\nh_sum -Inf\nh_bucket{le=\"+Inf\"} 2", "histogram h [] [] of 2 sum some(-inf)"),
        ("h_bucket{le=\"1\"} 2 # {t=\"a\"} 0.5\nh_count 3", "histogram h [1.0] [2] of 3 sum none"),
        // Alternating label sets, and labels in different orders.
        (
            "h_bucket{le=\"1\",k=\"a\"} 1\nh_bucket{k=\"b\",le=\"1\"} 2\nh_count{k=\"a\"} 3\nh_count{k=\"b\"} 4",
            "histogram h{k=a} [1.0] [1] of 3 sum none; histogram h{k=b} [1.0] [2] of 4 sum none",
        ),
        // The order of labels does not matter. Another value, or a duplicate label, makes another label set.
        (
            "h_bucket{a=\"1\",b=\"2\",le=\"1\"} 1\nh_count{b=\"2\",a=\"1\"} 3\nh_count{b=\"1\",a=\"2\"} 4\nh_count{a=\"1\",a=\"1\"} 5",
            "histogram h{a=1,b=2} [1.0] [1] of 3 sum none; histogram h{b=1,a=2} [] [] of 4 sum none; !unreadable 1",
        ),
        ("h_bucket{le=\"1\"} 5\nh_count 3\nx 1", "unknown x 1; !inconsistent_histogram 1"),
        ("h_bucket{le=\"wide\"} 5\nh_bucket 2\nh_count 3", "histogram h [] [] of 3 sum none; !unreadable 2"),
        ("# TYPE g gauge\ng 1", "gauge g 1"),
    ]);
    assert_eq!(summarize("h_bucket{le=\"1\"} 2"), "unknown h_bucket{le=1} 2", "without a TYPE line it is a number");
}

#[test]
fn other_documents_are_errors() {
    let malformed = |line: &str| Err(ReadError::Malformed(format!("no line of it is a sample; the first one is `{line}`")));
    for (text, expected) in [
        ("", Err(ReadError::Empty)),
        ("\n\r\n", Err(ReadError::Empty)),
        ("# only\n# TYPE x counter\n# EOF", Err(ReadError::Empty)),
        ("{\"a\": 1}", malformed("{\"a\": 1}")),
        ("{\n  \"x\": {\"type\": \"gauge\", \"value\": 1}\n}", malformed("{")),
        ("Service Unavailable", malformed("Service Unavailable")),
        (
            "# TYPE x histogram\nx_bucket{le=\"1\"} 7\nx_count 5\n",
            Err(ReadError::Malformed(format!("no line is a valid sample: it has {}", Repair::InconsistentHistogram.description()))),
        ),
    ] {
        for read in [read, read_unterminated] {
            assert_eq!(read(text.to_owned()).map(|families| families.series()), expected, "{text:?}");
        }
    }
}

#[test]
fn a_last_line_without_line_feed_is_an_error() {
    let truncated = |line: &str| Err(ReadError::Malformed(format!("it is truncated: its last line `{line}` has no line feed")));
    for (text, expected, of_any_endpoint) in [
        ("y 1\nx", truncated("x"), truncated("x")),
        ("y 1\n# TYPE x cou", truncated("# TYPE x cou"), truncated("# TYPE x cou")),
        ("y 1\n# HELP x With", truncated("# HELP x With"), truncated("# HELP x With")),
        ("y 1\n#", truncated("#"), truncated("#")),
        ("y 1\n# EO", truncated("# EO"), truncated("# EO")),
        ("y 1\nx 12", truncated("x 12"), Ok(2)),
        ("y 1\nx 12 17000", truncated("x 12 17000"), Ok(2)),
        ("y 1\nx 12\r", truncated("x 12"), Ok(2)),
        // Complete, or indistinguishable from a complete response.
        ("y 1\nx\n", Ok(1), Ok(1)),
        ("y 1\nx 12\n", Ok(2), Ok(2)),
        ("y 1\nx 12\n  ", Ok(2), Ok(2)),
        ("y 1\n# TYPE x cou\n", Ok(1), Ok(1)),
        ("y 1\n# EOF", Ok(1), Ok(1)),
        ("y 1\n#EOF\r", Ok(1), Ok(1)),
    ] {
        assert_eq!(read(text.to_owned()).map(|families| families.series()), expected, "{text:?}");
        assert_eq!(read_unterminated(text.to_owned()).map(|families| families.series()), of_any_endpoint, "{text:?}");
    }
}

#[test]
fn no_part_of_a_page_panics() {
    let page = concat!(
        "# HELP x With \\\\ é.\n# TYPE x histogram\nx_bucket{a=\"say \"hé\" \\\",\",le=\"1\"} 2 # {t=\"é\"} 1\nx_sum 3\nx_count 2\r\n",
        "# TYPE y counter\ny_total{b=\"back\\slash\\\\\", c=\"\\\"\"} 1e3 17\ny_created 5\n{\"x\":\"\"} z\n# EOF"
    );
    for end in (0..page.len()).filter(|end| page.is_char_boundary(*end)) {
        let _ = read_unterminated(page[..end].to_owned());
        let _ = read_unterminated(page[end..].to_owned());
    }
}

/// Texts around which [`PlainLine`] must not differ from the complete grammar.
#[test]
fn plain_lines_are_read_like_all_others() {
    const NAMES: [&str; 9] = ["x", "x_total", "x_sum", "x_created", "x_info", "_a:b", "9x", "x-y", "é"];
    const LABELS: [&str; 24] = [
        "",
        "{}",
        "{a=\"1\"}",
        "{a=\"1\",b=\"2\"}",
        "{a=\"1\", b=\"2\"}",
        "{a=\"1\",}",
        "{a=\"1\",,b=\"2\"}",
        "{a=\"1\",  b=\"2\"}",
        "{a=\"1\"b=\"2\"}",
        "{a=\"\"}",
        "{a=\"1\",a=\"2\"}",
        "{a:b=\"1\"}",
        "{9a=\"1\"}",
        "{a =\"1\"}",
        "{a= \"1\"}",
        "{a=1}",
        "{a=\"\\\"\"}",
        "{a=\"\\n\\x\"}",
        "{a=\"é}\"}",
        "{a=\"1\"",
        "{a=\"1\"}}",
        "{\"a b\"=\"1\"}",
        "{a=\"x\"y\"}",
        "{quantile=\"1\",le=\"1\"}",
    ];
    const VALUES: [&str; 14] =
        [" 1", " -1.5", "  1", " 1 ", "\t1", " 1\r", " NaN", " 1 17", " 1 # {t=\"a\"} 2", " ", "", " x", " 18446744073709551615", "1"];
    for kind in ["counter", "gauge", "histogram", "summary", "info", "gaugehistogram"] {
        for name in NAMES {
            for (labels, value) in LABELS.iter().flat_map(|labels| VALUES.iter().map(move |value| (labels, value))) {
                let line = format!("{name}{labels}{value}");
                let page = format!("y 1\n# TYPE x {kind}\n# HELP x X.\n{line}\n{line}\nx{{z=\"1\"}} 2\n{line}\nz 3\n");
                // A plain line does not begin with a blank.
                let indented: String = page.lines().map(|line| format!(" {line}\n")).collect();
                assert_eq!(try_summarize(&page), try_summarize(&indented), "{page}");
            }
        }
    }
}
