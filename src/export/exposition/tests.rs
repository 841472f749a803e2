//! Compares rendered pages byte for byte.

mod escaping;
mod extras;
mod measured;
mod open_metrics;
mod protobuf;
mod sections;

use super::*;
use crate::format::prometheus;
use crate::model::{Families, FamilySelection, FamilyType, LimitExceeded, Repair, SelectedFamilies};
use crate::telemetry::Identity;
use std::sync::Arc;

const OPEN_METRICS: Format = Format::OpenMetrics(Escaping::Underscores);

fn native(page: &str) -> Arc<SelectedFamilies> {
    let families = prometheus::read(page.to_owned()).unwrap();
    Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())))
}

fn section(page: &str, job: &str, instance: &str) -> Section {
    Section::of_target(native(page), &Identity::new(job, instance))
}

fn write(format: Format, sections: &[Section], reserved: &ReservedNames) -> (String, OmittedFamilies) {
    let mut bytes = Vec::new();
    let mut out = |chunk: &mut Vec<u8>| {
        bytes.append(chunk);
        true
    };
    let mut writer = ExpositionWriter::new(format, &mut out);
    writer.write(sections, reserved);
    let omitted = writer.finish();
    (String::from_utf8(bytes).unwrap(), omitted)
}

#[track_caller]
fn assert_renders(format: Format, sections: &[Section], expected: &str) {
    assert_eq!(render(format, sections), expected);
}

#[test]
fn families_of_two_targets_are_merged() {
    let sections = [
        section("# HELP a Of one.\n# TYPE a gauge\na{l=\"1\"} 1\n", "x", "one"),
        section("# TYPE a gauge\na{l=\"2\"} 2.5\n# TYPE b counter\nb 3\n", "x", "two"),
    ];
    assert_renders(
        Format::Text,
        &sections,
        "# HELP a Of one.\n# TYPE a gauge\na{l=\"1\",instance=\"one\",job=\"x\"} 1\na{l=\"2\",instance=\"two\",job=\"x\"} 2.5\n\
         # TYPE b counter\nb{instance=\"two\",job=\"x\"} 3\n",
    );
}

#[test]
fn numbers_of_several_types_are_merged_into_an_untyped_family() {
    let sections = [
        section("# TYPE a_total gauge\na_total 1\n", "x", "one"),
        section("# HELP a_total A.\n# TYPE a_total counter\na_total{l=\"1\"} 2\n# TYPE b_total counter\nb_total 4\n", "y", "two"),
        section("a_total 3\n", "z", "three"),
        section("# TYPE a_total histogram\na_total_count 5\n", "z", "four"),
        section("# TYPE b_total counter\nb_total 5\n", "z", "five"),
    ];
    let (one, three, five) = ("{instance=\"one\",job=\"x\"} 1", "{instance=\"three\",job=\"z\"} 3", "{instance=\"five\",job=\"z\"} 5");
    let two = "instance=\"two\",job=\"y\"";
    let all = format!("a_total{one}\na_total{{l=\"1\",{two}}} 2\na_total{three}\n");
    let counter = format!("b_total{{{two}}} 4\nb_total{five}\n");
    let text = format!("# HELP a_total A.\n# TYPE a_total untyped\n{all}# TYPE b_total counter\n{counter}");
    assert_renders(Format::Text, &sections, &text);
    // In OpenMetrics the family of a counter has no suffix; one of unknown type keeps it.
    let open_metrics = format!("# HELP a_total A.\n# TYPE a_total unknown\n{all}# TYPE b counter\n{counter}# EOF\n");
    assert_renders(OPEN_METRICS, &sections, &open_metrics);
    let json: serde_json::Value = serde_json::from_str(&render(Format::Json, &sections)).unwrap();
    assert_eq!(json["a_total"]["type"], "unknown");
    let values: Vec<_> = json["a_total"]["value"].as_array().unwrap().iter().map(|series| series["@"].as_f64().unwrap()).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
    assert_eq!(json["b_total"]["type"], "counter");
    let (_, omitted) = write(Format::Text, &sections, &ReservedNames::default());
    assert_eq!((omitted.families_untyped, omitted.families_dropped), (1, 1));
    assert_eq!(omitted.reasons, ["a_total of four is a histogram, but a gauge of another target"]);
}

#[test]
fn a_family_with_a_conflicting_type_is_omitted_and_counted() {
    let summary = "# TYPE a summary\na_count 2\n";
    let sections = [section("# TYPE a gauge\na 1\n", "x", "one"), section(summary, "y", "two")];
    let (written, omitted) = write(Format::Text, &sections, &ReservedNames::default());
    assert_eq!((omitted.families_dropped, omitted.families_untyped, omitted.labels_renamed), (1, 0, 0));
    assert_eq!(omitted.reasons, ["a of two is a summary, but a gauge of another target"]);
    assert_eq!(written, "# TYPE a gauge\na{instance=\"one\",job=\"x\"} 1\n");
    let sections = [section(summary, "y", "two"), section("# TYPE a histogram\na_count 3\n", "x", "one"), section("a 1\n", "x", "three")];
    let (written, omitted) = write(Format::Text, &sections, &ReservedNames::default());
    assert_eq!((omitted.families_dropped, omitted.families_untyped), (2, 0));
    assert_eq!(written, "# TYPE a summary\na_count{instance=\"two\",job=\"y\"} 2\n");
}

#[test]
fn native_labels_with_reserved_names_are_renamed() {
    let target = section("a{job=\"theirs\",instance=\"i\"} 1\n", "x", "one");
    let expected = "# TYPE a untyped\na{exported_job=\"theirs\",exported_instance=\"i\",instance=\"one\",job=\"x\"} 1\n";
    assert_renders(Format::Text, std::slice::from_ref(&target), expected);
    // They are renamed on a page without these labels, too, because Prometheus adds them.
    assert_renders(
        Format::Text,
        &[Section::without_identity(native("a{job=\"theirs\"} 1\n"))],
        "# TYPE a untyped\na{exported_job=\"theirs\"} 1\n",
    );
    let canonical = prometheus::read("a{job=\"postmeter\"} 1\n".to_owned()).unwrap();
    assert_renders(
        Format::Text,
        &[Section::of_postmeter(Arc::new(SelectedFamilies::unfiltered(canonical)))],
        "# TYPE a untyped\na{job=\"postmeter\"} 1\n",
    );
}

#[test]
fn a_series_that_is_a_duplicate_after_renaming_is_omitted() {
    let target = section("a{job=\"theirs\"} 1\na{exported_job=\"theirs\"} 2\na{exported_job=\"other\"} 3\n", "x", "one");
    // The first is kept, as in Prometheus.
    let expected = "# TYPE a untyped\na{exported_job=\"theirs\",instance=\"one\",job=\"x\"} 1\n\
                    a{exported_job=\"other\",instance=\"one\",job=\"x\"} 3\n";
    assert_renders(Format::Text, std::slice::from_ref(&target), expected);
}

#[test]
fn a_label_called_name_is_renamed() {
    let page = "a{__name__=\"b\"} 1\na{exported___name__=\"c\"} 2\na{exported___name__=\"b\"} 3\n";
    let lines = "a{exported___name__=\"b\"} 1\na{exported___name__=\"c\"} 2\n";
    assert_renders(Format::Text, &[Section::without_identity(native(page))], &format!("# TYPE a untyped\n{lines}"));
    assert_renders(OPEN_METRICS, &[Section::without_identity(native(page))], &format!("# TYPE a unknown\n{lines}# EOF\n"));
    let target = section("a{__name__=\"b\"} 1\n", "x", "one");
    let (page, omitted) = write(Format::Text, &[target], &ReservedNames::default());
    assert_eq!(page, "# TYPE a untyped\na{exported___name__=\"b\",instance=\"one\",job=\"x\"} 1\n");
    assert_eq!((omitted.labels_renamed, omitted.series_dropped), (1, 0));
}

#[test]
fn a_renamed_label_can_be_empty() {
    let target = section("a{job=\"\",l=\"1\"} 1\na{exported_job=\"x\"} 2\na{job=\"x\",exported_job=\"\"} 3\n", "x", "one");
    let (page, omitted) = write(Format::Text, std::slice::from_ref(&target), &ReservedNames::default());
    // As in Prometheus, an empty label does not keep another one from its name: the last two are one series.
    let expected =
        "# TYPE a untyped\na{exported_job=\"\",l=\"1\",instance=\"one\",job=\"x\"} 1\na{exported_job=\"x\",instance=\"one\",job=\"x\"} 2\n";
    let duplicates = target.native.repairs.get(Repair::DuplicateSeries);
    assert_eq!((page.as_str(), omitted.series_dropped, duplicates), (expected, 0, 1));
    let target = section("a{exported_exported_job=\"x\"} 1\na{job=\"x\",exported_job=\"\"} 2\n", "x", "one");
    let (page, omitted) = write(Format::Text, std::slice::from_ref(&target), &ReservedNames::default());
    let expected = "# TYPE a untyped\na{exported_exported_job=\"x\",instance=\"one\",job=\"x\"} 1\n\
                    a{exported_job=\"x\",exported_exported_job=\"\",instance=\"one\",job=\"x\"} 2\n";
    assert_eq!((page.as_str(), omitted.series_dropped, target.native.repairs.get(Repair::DuplicateSeries)), (expected, 0, 0));
}

#[test]
fn a_family_with_the_name_of_a_line_of_a_histogram_or_summary_is_omitted() {
    const A: &str = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 3\n";
    const B: &str = "# TYPE b summary\nb_sum 4\nb_count 3\n";
    const OTHERS: &str = "# TYPE a_bucket gauge\na_bucket 5\n# TYPE a_count gauge\na_count 7\n# TYPE b_bucket gauge\nb_bucket 6\n# TYPE b_sum gauge\nb_sum 8\n";
    let all = Section::without_identity(native(&format!("{A}{OTHERS}{B}")));
    let (page, omitted) = write(Format::Text, std::slice::from_ref(&all), &ReservedNames::default());
    assert_eq!(page, format!("{A}{B}# TYPE b_bucket gauge\nb_bucket 6\n"));
    assert_eq!(omitted.families_dropped, 3);
    assert_eq!(omitted.reasons[1], "a_count of this target has the name of a line of a histogram or summary");
    // This applies to lines of other targets and of an earlier call, too.
    let (_, omitted) =
        write(Format::Text, &[section(OTHERS, "x", "one"), section(A, "x", "two"), section(B, "x", "three")], &ReservedNames::default());
    assert_eq!(omitted.families_dropped, 3);
    let earlier = [Section::without_identity(native(&format!("{A}{B}")))];
    let (page, omitted) = write(Format::Text, &[section(OTHERS, "x", "one")], &ReservedNames::of(Format::Text, &earlier));
    assert_eq!((page.as_str(), omitted.families_dropped), ("# TYPE b_bucket gauge\nb_bucket{instance=\"one\",job=\"x\"} 6\n", 3));
    let earlier = [Section::without_identity(native(OTHERS))];
    let (page, omitted) = write(Format::Text, &[section(&format!("{A}{B}"), "x", "one")], &ReservedNames::of(Format::Text, &earlier));
    assert_eq!((page.as_str(), omitted.families_dropped), ("", 2));
    // JSON has no such lines.
    let (_, omitted) = write(Format::Json, &[all], &ReservedNames::default());
    assert_eq!(omitted.families_dropped, 0);
}

#[test]
fn a_counter_whose_openmetrics_name_is_in_use_has_an_unknown_type() {
    let page = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 3\n# TYPE a_sum_total counter\na_sum_total 1\n";
    let expected = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\n# TYPE a_sum_total unknown\na_sum_total 1\n# EOF\n";
    assert_renders(OPEN_METRICS, &[Section::without_identity(native(page))], expected);
    let earlier = [Section::without_identity(native("# TYPE c_total counter\nc_total 1\n"))];
    for (format, dropped) in [(OPEN_METRICS, 1), (Format::Text, 0)] {
        let (_, omitted) =
            write(format, &[Section::without_identity(native("# TYPE c gauge\nc 1\n"))], &ReservedNames::of(format, &earlier));
        assert_eq!(omitted.families_dropped, dropped, "{format:?}");
    }
}

#[test]
fn numbers_and_escapes_are_kept() {
    let page = "a{l=\"q\\\" b\\\\ n\\n e\u{e9}\"} -1e-7\nb +Inf\nc NaN\nd 1e300\ne 123456789012\nf 0.1\n";
    assert_renders(
        Format::Text,
        &[Section::without_identity(native(page))],
        "# TYPE a untyped\na{l=\"q\\\" b\\\\ n\\n e\u{e9}\"} -1e-7\n# TYPE b untyped\nb +Inf\n# TYPE c untyped\nc NaN\n\
         # TYPE d untyped\nd 1e+300\n# TYPE e untyped\ne 123456789012\n# TYPE f untyped\nf 0.1\n",
    );
}

const HISTOGRAM: &str = "# HELP h Of a \"thing\".\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2.5\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 7.5\nh_count 4\n";

#[test]
fn a_histogram_in_text_is_unchanged() {
    assert_renders(Format::Text, &[Section::without_identity(native(HISTOGRAM))], HISTOGRAM);
}

#[test]
fn sums_that_are_not_finite_are_unchanged() {
    for sum in ["+Inf", "-Inf", "NaN"] {
        let page =
            format!("# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} 2\nh_sum {sum}\nh_count 2\n# TYPE s summary\ns_sum {sum}\ns_count 3\n");
        let sections = [Section::without_identity(native(&page))];
        assert_renders(Format::Text, &sections, &page);
        // A sum is a counter in OpenMetrics.
        let expected = match sum {
            "+Inf" => page,
            _ => page.replace(&format!("h_sum {sum}\nh_count 2\n"), "").replace(&format!("s_sum {sum}\n"), ""),
        };
        assert_renders(OPEN_METRICS, &sections, &format!("{expected}# EOF\n"));
    }
}

#[test]
fn openmetrics_differs_in_counters_bounds_quotes_and_the_end() {
    assert_renders(
        OPEN_METRICS,
        &[Section::without_identity(native(&format!("# TYPE c counter\nc 1\n# TYPE d_total counter\nd_total 2\n{HISTOGRAM}")))],
        "# TYPE c unknown\nc 1\n# TYPE d counter\nd_total 2\n# HELP h Of a \\\"thing\\\".\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 2\n\
         h_bucket{le=\"2.5\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 7.5\nh_count 4\n# EOF\n",
    );
}

#[test]
fn json_has_the_three_shapes() {
    let page = "# HELP a With \"quotes\".\n# TYPE a gauge\na 1\n# TYPE b counter\nb{l=\"x\"} 2\nb{l=\"y\\\"\"} 3\n# TYPE c gauge\nc{l=\"x\",m=\"y\"} 4\n";
    assert_renders(
        Format::Json,
        &[Section::without_identity(native(page))],
        "{\"a\":{\"help\":\"With \\\"quotes\\\".\",\"type\":\"gauge\",\"value\":1}\n,\"b\":{\"type\":\"counter\",\"value\":{\"l\":{\"x\":2,\"y\\\"\":3}}}\n,\
         \"c\":{\"type\":\"gauge\",\"value\":[{\"l\":\"x\",\"m\":\"y\",\"@\":4}]}}\n",
    );
    let both = page_of_two();
    assert!(serde_json::from_str::<serde_json::Value>(&both).is_ok(), "{both}");
    assert!(both.contains("{\"job\":\"x\",\"instance\":\"one\",\"@\":1}"), "{both}");
}

fn page_of_two() -> String {
    render(Format::Json, &[section("a 1\n", "x", "one"), section(HISTOGRAM, "x", "two")])
}

#[test]
fn an_invalid_name_does_not_break_the_page() {
    let families = Families::read(String::new(), |out| {
        for name in ["a\nb 1", "c"] {
            let (name, label, value) = (out.add_text(name), out.add_text("l-l"), out.add_text("v"));
            out.family(name, Default::default(), FamilyType::Gauge);
            out.label(label, value);
            out.number(2.0);
        }
        Ok::<_, LimitExceeded>(())
    });
    let native = SelectedFamilies::select(vec![families.unwrap()], "", usize::MAX, |_| Some(FamilySelection::default()));
    let expected = "# TYPE a_b_1 gauge\na_b_1{l_l=\"v\"} 2\n# TYPE c gauge\nc{l_l=\"v\"} 2\n";
    assert_renders(Format::Text, &[Section::without_identity(Arc::new(native))], expected);
}

#[test]
fn native_families_with_reserved_names_are_omitted() {
    let body = "# TYPE up gauge\nup 1\n# TYPE mail_up gauge\nmail_up{job=\"x\"} 1\n# TYPE mail_queue_length gauge\nmail_queue_length 2\n\
                # TYPE postmeter_export_retries counter\npostmeter_export_retries_total 5\n";
    let native_section = section(body, "kumomta", "one");
    for format in [Format::Text, OPEN_METRICS, Format::Json] {
        let (page, omitted) = write(format, std::slice::from_ref(&native_section), &ReservedNames::default());
        assert_eq!(omitted.families_dropped, 3, "{page}");
        assert!(page.contains("mail_queue_length") && !page.contains("up{") && !page.contains("retries"), "{page}");
        assert_eq!(omitted.reasons[0], "mail_up of one has a name that is reserved for Postmeter or Prometheus");
    }
    let families = prometheus::read(body.to_owned()).unwrap();
    let renamed = SelectedFamilies::select(vec![families], "server_", usize::MAX, |_| Some(FamilySelection::default()));
    let (page, omitted) = write(Format::Text, &[Section::without_identity(Arc::new(renamed))], &ReservedNames::default());
    assert!(omitted.families_dropped == 0 && page.contains("\nserver_mail_up{exported_job=\"x\"} 1\n"), "{page}");
    // A canonical family with the same name is kept.
    let canonical = Section::of_postmeter(native("# TYPE mail_up gauge\nmail_up 0\n"));
    let (page, _) = write(Format::Text, &[native_section, canonical], &ReservedNames::default());
    assert!(page.starts_with("# TYPE mail_queue_length gauge") && page.contains("# TYPE mail_up gauge\nmail_up 0\n"), "{page}");
}

#[test]
fn a_rendered_page_parses_to_the_same_page() {
    let source = format!("{HISTOGRAM}# TYPE a counter\na{{l=\"\\\"\\\\\\n\",m=\"\"}} 1e-9\na{{l=\"2\",m=\"x\"}} 3\nb NaN\n");
    let once = render(Format::Text, &[Section::without_identity(native(&source))]);
    assert_eq!(render(Format::Text, &[Section::without_identity(native(&once))]), once);
}

#[test]
fn every_instrument_has_the_name_and_the_labels_of_the_translation() {
    use crate::model::{Kind, Point, TranslationStrategy};
    use crate::telemetry::{CounterStarts, TargetMeterProvider};
    for source in crate::source::SOURCES.iter() {
        let meter_provider = TargetMeterProvider::new(source, &Identity::new("x", "y"));
        for (_, strategy) in TranslationStrategy::ALL {
            for metric in crate::telemetry::metrics_of(source).into_iter().filter(|metric| metric.kind != Kind::Histogram) {
                let families = meter_provider.gather(vec![Point::new(metric, &[], 1.0)], strategy, &CounterStarts::default());
                let families: Vec<_> = families.families().collect();
                assert_eq!(families.len(), 1);
                assert_eq!(families[0].name(), strategy.name_of(metric));
                let labels: Vec<_> = families[0].samples().next().unwrap().labels().map(|(name, _)| name).collect();
                assert_eq!(labels, ["instance", "job", &strategy.label_name("mail.system.name")]);
            }
        }
    }
}

#[test]
fn explicit_timestamps_are_kept() {
    let page = "# TYPE a gauge\na{l=\"1\"} 1 1795872000123\na{l=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3 1795872000000\nh_count 3 1795872000000\n";
    let sections = || [Section::without_identity(native(page))];
    assert_renders(
        Format::Text,
        &sections(),
        "# TYPE a gauge\na{l=\"1\"} 1 1795872000123\na{l=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3 1795872000000\nh_count 3 1795872000000\n",
    );
    assert_renders(
        Format::OpenMetrics(Escaping::Underscores),
        &sections(),
        "# TYPE a gauge\na{l=\"1\"} 1 1795872000.123\na{l=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3 1795872000\n# EOF\n",
    );
}
