//! Responses beyond a limit.

use super::*;

#[test]
fn labels_are_limited() {
    let long = "é".repeat(LABEL_VALUE_BYTES_MAX);
    let families = read_unterminated(format!("x{{q=\"{long}\"}} 1")).unwrap();
    let value = families.iter().flat_map(|f| f.samples()).next().unwrap().label("q").unwrap();
    assert_eq!((value.len(), families.repairs().get(Repair::LabelTooLong)), (LABEL_VALUE_BYTES_MAX, 1));
    let labels = |n: usize| (0..n).map(|i| format!("l{i}=\"\"")).collect::<Vec<_>>().join(",");
    assert_eq!(read_unterminated(format!("x{{{}}} 1", labels(64))).unwrap().series(), 1);
    assert_eq!(summarize(&format!("y 1\nx{{{}}} 1\nz{{a=\"b\"}} 2", labels(65))), "unknown y 1; unknown z{a=b} 2; !too_many_labels 1");
    for n in [66, 67, 200] {
        assert_eq!(summarize(&format!("y 1\nx{{{}}} 1", labels(n))), "unknown y 1; !too_many_labels 1");
    }
    for n in [65, 66] {
        let error = read_unterminated(format!("x{{{}}} 1", labels(n))).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("no line is a valid sample: it has a series with more than 64 labels"), "{error}");
    }
}

/// Returns a page of `n` lines.
fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn responses_beyond_a_limit_are_errors() {
    const SMALL: ReadingLimits = ReadingLimits { series_max: 30, distributions_max: 20, families_max: 15, types_max: 10 };
    let beyond = |n: usize, what: &str| Err(ReadError::Malformed(format!("it has more than {n} {what}")));
    let series = |text: String| read_within(SMALL, text, None, LastLine::MayLackLineFeed).map(|families| families.series());
    for kind in ["histogram", "summary"] {
        let page = |n| format!("# TYPE h {kind}\n{}\n# TYPE g {kind}\ng_count 1", lines(n, |n| format!("h_count{{a=\"{n}\"}} 1")));
        assert_eq!(series(page(19)), Ok(20));
        assert_eq!(series(page(20)), beyond(20, "histograms and summaries"));
    }
    let types = |n| format!("{}\nx 1", lines(n, |n| format!("# TYPE a{n} gauge")));
    assert_eq!(series(types(10)), Ok(1));
    assert_eq!(series(types(11)), beyond(10, "families"));
    assert_eq!(series("x 1\n".repeat(30)), Ok(30));
    assert_eq!(series("x 1\n".repeat(31)), beyond(30, "series"));
    assert_eq!(series("x 1\n".repeat(31) + "y"), beyond(30, "series"), "the limit is reported before other errors");
    let names = |n: usize| lines(n, |n| format!("x{n} 1"));
    assert_eq!(series(names(15)), Ok(15));
    assert_eq!(series(names(16)), beyond(15, "families"));
    let summaries = |n: usize| format!("# TYPE s summary\n{}", lines(n, |n| format!("s_count{{a=\"{n}\"}} 1\n# TYPE s summary")) + "\n");
    assert_eq!(series(summaries(20)), Ok(20));
    assert_eq!(series(summaries(21)), beyond(20, "histograms and summaries"));
}

#[test]
fn buckets_beyond_the_limit_are_not_kept() {
    let page = |kind: &str, line: &str| format!("# TYPE x {kind}\n{}\nx_count 1\ny 1", lines(5 * BUCKETS_MAX, |_| line.to_owned()));
    assert_eq!(summarize(&page("histogram", "x_bucket{le=\"1\"} 1")), "unknown y 1; !too_many_buckets 1");
    let summary = summarize(&page("summary", "x{quantile=\"0.5\"} 1"));
    assert!(
        summary.starts_with("unknown y 1; summary x ") && summary.ends_with("; !too_many_buckets 1; !duplicate_series 1000"),
        "{summary}"
    );
}

#[test]
fn plain_lines_have_the_limits_of_all_others() {
    let labels = |n: usize| (0..n).map(|n| format!("l{n}=\"v\"")).collect::<Vec<_>>().join(",");
    let (long_name, long_value) = ("n".repeat(crate::format::prometheus::labels::NAME_BYTES_MAX), "v".repeat(LABEL_VALUE_BYTES_MAX));
    for line in [
        format!("x{{{}}} 1", labels(64)),
        format!("x{{{}}} 1", labels(65)),
        format!("x{{{}}} 1", labels(66)),
        format!("x{{{long_name}=\"v\"}} 1"),
        format!("x{{{long_name}n=\"v\"}} 1"),
        format!("{long_name} 1\n{long_name} 1"),
        format!("{long_name}n 1\n{long_name}n 1"),
        format!("x{{a=\"{long_value}\"}} 1"),
        format!("x{{a=\"{long_value}v\",b=\"{long_value}v\"}} 1\nx{{a=\"{long_value}v\"}} y"),
    ] {
        let page = format!("x 0\n{line}\nx 2\n");
        let indented: String = page.lines().map(|line| format!(" {line}\n")).collect();
        assert_eq!(summarize(&page), summarize(&indented), "{}", &line[..line.len().min(80)]);
    }
}
