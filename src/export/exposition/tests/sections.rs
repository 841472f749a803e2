//! Pages of several sections, which are written section by section except for families that are too large for it.

use super::protobuf::metric_family::{MetricFamily, families};
use super::*;

/// More than are written section by section.
const MANY: usize = 10_000;

/// The sections of three targets. The first one has a large family, all have the same small ones, and each has one of its own.
fn sections() -> [Section; 3] {
    ["one", "two", "three"].map(|instance| {
        let series = if instance == "one" { MANY } else { 1 };
        let mut page: String = (0..series).map(|n| format!("large{{n=\"{n}\"}} {n}\n")).collect();
        page += "a 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nz{l=\"1\"} 3\nz{l=\"2\"} 4\n";
        section(&format!("{page}own_{instance} 5\n"), "x", instance)
    })
}

/// The lines of a family on the page of [`sections`], by the beginning of its lines up to the labels of the target.
fn lines(of_series: &dyn Fn(&str) -> Vec<(String, String)>) -> String {
    let lines = ["one", "two", "three"].into_iter().flat_map(|instance| {
        let line = move |(begin, end): (String, String)| format!("{begin}instance=\"{instance}\",job=\"x\"{end}\n");
        of_series(instance).into_iter().map(line)
    });
    lines.collect()
}

/// The page of [`sections`] in a text format, with this name of the type of numbers.
fn text(untyped: &str) -> String {
    let series = |begin: &str, value: &str| (begin.to_owned(), format!("}} {value}"));
    let a = lines(&|_| vec![series("a{", "1")]);
    let h = lines(&|_| vec![series("h_bucket{le=\"+Inf\",", "2"), series("h_count{", "2")]);
    let large = lines(&|instance| {
        let last = if instance == "one" { MANY } else { 1 };
        (0..last).map(|n| series(&format!("large{{n=\"{n}\","), &n.to_string())).collect()
    });
    let own = |name: &str| lines(&|instance| if instance == name { vec![series(&format!("own_{name}{{"), "5")] } else { Vec::new() });
    let z = lines(&|_| vec![series("z{l=\"1\",", "3"), series("z{l=\"2\",", "4")]);
    let numbers = |name: &str, lines: &str| format!("# TYPE {name} {untyped}\n{lines}");
    [
        numbers("a", &a),
        format!("# TYPE h histogram\n{h}"),
        numbers("large", &large),
        ["one", "three", "two"].map(|name| numbers(&format!("own_{name}"), &own(name))).concat(),
        numbers("z", &z),
    ]
    .concat()
}

#[test]
fn small_and_large_families_of_several_sections_are_in_order() {
    // OpenMetrics has a count only beside a sum.
    let open_metrics: String = text("unknown").split_inclusive('\n').filter(|line| !line.starts_with("h_count")).collect();
    for (format, expected) in [(Format::Text, text("untyped")), (OPEN_METRICS, format!("{open_metrics}# EOF\n"))] {
        let page = render(format, &sections());
        // The page is long, so only the first difference is shown.
        for (index, (line, expected)) in page.lines().zip(expected.lines()).enumerate() {
            assert_eq!(line, expected, "line {index} in {format:?}");
        }
        assert_eq!(page.len(), expected.len());
    }
}

#[test]
fn a_page_is_sent_in_chunks_of_limited_size() {
    let sections = sections();
    for format in [Format::Text, Format::Json, Format::Protobuf(Escaping::Underscores)] {
        let (mut longest, mut total) = (0, 0);
        let mut out = |chunk: &mut Vec<u8>| {
            longest = longest.max(chunk.len());
            total += std::mem::take(chunk).len();
            true
        };
        let mut writer = ExpositionWriter::new(format, &mut out);
        writer.write(&sections, &ReservedNames::default());
        writer.finish();
        assert_eq!(total, render_bytes(format, &sections).len());
        assert!(longest <= 68 * 1024, "{format:?}: {longest}");
    }
}

#[test]
fn all_formats_have_all_series_of_all_sections() {
    let expected = [("a", 3), ("h", 3), ("large", MANY + 2), ("own_one", 1), ("own_three", 1), ("own_two", 1), ("z", 6)];
    let page = render_bytes(Format::Protobuf(Escaping::Underscores), &sections());
    let found: Vec<(String, usize)> =
        families(&page).iter().map(|family| (family.name.clone().unwrap_or_default(), family.metric.len())).collect();
    assert_eq!(found, expected.map(|(name, series)| (name.to_owned(), series)));
    assert!(
        families(&page).iter().map(MetricFamily::text).collect::<String>().contains("large{n=\"9999\",instance=\"one\",job=\"x\"} 9999\n")
    );
    let page: serde_json::Value = serde_json::from_slice(&render_bytes(Format::Json, &sections())).unwrap();
    for (name, series) in expected {
        assert_eq!(page[name]["value"].as_array().unwrap().len(), series, "{name}");
    }
}

#[test]
fn a_client_that_disconnects_ends_a_page_of_several_sections() {
    let mut chunks = 0;
    let mut out = |_: &mut Vec<u8>| {
        chunks += 1;
        false
    };
    let mut writer = ExpositionWriter::new(Format::Text, &mut out);
    assert!(writer.write(&sections(), &ReservedNames::default()).is_none());
    assert_eq!(chunks, 1);
}
