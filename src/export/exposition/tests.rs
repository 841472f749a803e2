//! Pages, byte for byte.

use super::*;
use crate::format::prometheus;
use crate::model::{Families, FamilySelection, LimitExceeded, Repair};

const OPEN_METRICS: Format = Format::OpenMetrics(Escaping::Underscores);

fn native(page: &str) -> Arc<SelectedFamilies> {
    let families = prometheus::read(page.to_owned()).unwrap();
    Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())))
}

fn of(page: &str, job: &str, instance: &str) -> Section {
    Section::of(native(page), &Identity::new(job, instance))
}

fn told(format: Format, sections: &[Section], taken: &ReservedNames) -> (String, OmittedFamilies) {
    let mut bytes = Vec::new();
    let mut out = |piece: &mut Vec<u8>| {
        bytes.append(piece);
        true
    };
    let mut page = ExpositionWriter::new(format, &mut out);
    page.write(sections, taken);
    let told = page.finish();
    (String::from_utf8(bytes).unwrap(), told)
}

#[track_caller]
fn writes(format: Format, sections: &[Section], expected: &str) {
    assert_eq!(page(format, sections), expected);
}

#[test]
fn families_of_two_targets_are_one_family() {
    let sections = [
        of("# HELP a Of one.\n# TYPE a gauge\na{l=\"1\"} 1\n", "x", "one"),
        of("# TYPE a gauge\na{l=\"2\"} 2.5\n# TYPE b counter\nb 3\n", "x", "two"),
    ];
    writes(
        Format::Text,
        &sections,
        "# HELP a Of one.\n# TYPE a gauge\na{l=\"1\",instance=\"one\",job=\"x\"} 1\na{l=\"2\",instance=\"two\",job=\"x\"} 2.5\n\
         # TYPE b counter\nb{instance=\"two\",job=\"x\"} 3\n",
    );
}

#[test]
fn numbers_of_several_types_are_one_family_of_all_targets() {
    let sections = [
        of("# TYPE a_total gauge\na_total 1\n", "x", "one"),
        of("# HELP a_total A.\n# TYPE a_total counter\na_total{l=\"1\"} 2\n# TYPE b_total counter\nb_total 4\n", "y", "two"),
        of("a_total 3\n", "z", "three"),
        of("# TYPE a_total histogram\na_total_count 5\n", "z", "four"),
        of("# TYPE b_total counter\nb_total 5\n", "z", "five"),
    ];
    let (one, three, five) = ("{instance=\"one\",job=\"x\"} 1", "{instance=\"three\",job=\"z\"} 3", "{instance=\"five\",job=\"z\"} 5");
    let two = "instance=\"two\",job=\"y\"";
    let all = format!("a_total{one}\na_total{{l=\"1\",{two}}} 2\na_total{three}\n");
    let counter = format!("b_total{{{two}}} 4\nb_total{five}\n");
    let text = format!("# HELP a_total A.\n# TYPE a_total untyped\n{all}# TYPE b_total counter\n{counter}");
    writes(Format::Text, &sections, &text);
    // A counter of OpenMetrics is named without the suffix, and what is unknown with it.
    let open_metrics = format!("# HELP a_total A.\n# TYPE a_total unknown\n{all}# TYPE b counter\n{counter}# EOF\n");
    writes(OPEN_METRICS, &sections, &open_metrics);
    let json: serde_json::Value = serde_json::from_str(&page(Format::Json, &sections)).unwrap();
    assert_eq!(json["a_total"]["type"], "unknown");
    let values: Vec<_> = json["a_total"]["value"].as_array().unwrap().iter().map(|series| series["@"].as_f64().unwrap()).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
    assert_eq!(json["b_total"]["type"], "counter");
    let (_, told) = told(Format::Text, &sections, &ReservedNames::default());
    assert_eq!((told.families_untyped, told.families_dropped), (1, 1));
    assert_eq!(told.dropped, ["a_total of four is a histogram, and another target's is a gauge"]);
}

#[test]
fn a_family_that_cannot_be_another_targets_is_left_out_and_counted() {
    let summary = "# TYPE a summary\na_count 2\n";
    let sections = [of("# TYPE a gauge\na 1\n", "x", "one"), of(summary, "y", "two")];
    let (written, told_of) = told(Format::Text, &sections, &ReservedNames::default());
    assert_eq!((told_of.families_dropped, told_of.families_untyped, told_of.labels_renamed), (1, 0, 0));
    assert_eq!(told_of.dropped, ["a of two is a summary, and another target's is a gauge"]);
    assert_eq!(written, "# TYPE a gauge\na{instance=\"one\",job=\"x\"} 1\n");
    let sections = [of(summary, "y", "two"), of("# TYPE a histogram\na_count 3\n", "x", "one"), of("a 1\n", "x", "three")];
    let (written, told_of) = told(Format::Text, &sections, &ReservedNames::default());
    assert_eq!((told_of.families_dropped, told_of.families_untyped), (2, 0));
    assert_eq!(written, "# TYPE a summary\na_count{instance=\"two\",job=\"y\"} 2\n");
}

#[test]
fn a_mail_server_has_labels_of_the_same_names() {
    let section = of("a{job=\"theirs\",instance=\"i\"} 1\n", "x", "one");
    let expected = "# TYPE a untyped\na{exported_job=\"theirs\",exported_instance=\"i\",instance=\"one\",job=\"x\"} 1\n";
    writes(Format::Text, std::slice::from_ref(&section), expected);
    // A page without ours has them renamed, too: Prometheus adds its own.
    writes(Format::Text, &[Section::plain(native("a{job=\"theirs\"} 1\n"))], "# TYPE a untyped\na{exported_job=\"theirs\"} 1\n");
    let ours = prometheus::read("a{job=\"ours\"} 1\n".to_owned()).unwrap();
    writes(Format::Text, &[Section::own(Arc::new(SelectedFamilies::unfiltered(ours)))], "# TYPE a untyped\na{job=\"ours\"} 1\n");
}

#[test]
fn a_label_that_was_renamed_may_meet_another_series() {
    let section = of("a{job=\"theirs\"} 1\na{exported_job=\"theirs\"} 2\na{exported_job=\"other\"} 3\n", "x", "one");
    // The first stands, as in Prometheus.
    let expected = "# TYPE a untyped\na{exported_job=\"theirs\",instance=\"one\",job=\"x\"} 1\n\
                    a{exported_job=\"other\",instance=\"one\",job=\"x\"} 3\n";
    writes(Format::Text, std::slice::from_ref(&section), expected);
}

#[test]
fn a_label_that_is_the_name_is_another() {
    let page = "a{__name__=\"b\"} 1\na{exported___name__=\"c\"} 2\na{exported___name__=\"b\"} 3\n";
    let lines = "a{exported___name__=\"b\"} 1\na{exported___name__=\"c\"} 2\n";
    writes(Format::Text, &[Section::plain(native(page))], &format!("# TYPE a untyped\n{lines}"));
    writes(OPEN_METRICS, &[Section::plain(native(page))], &format!("# TYPE a unknown\n{lines}# EOF\n"));
    let section = of("a{__name__=\"b\"} 1\n", "x", "one");
    let (page, told) = told(Format::Text, &[section], &ReservedNames::default());
    assert_eq!(page, "# TYPE a untyped\na{exported___name__=\"b\",instance=\"one\",job=\"x\"} 1\n");
    assert_eq!((told.labels_renamed, told.series_dropped), (1, 0));
}

#[test]
fn a_label_that_was_renamed_may_be_of_nothing() {
    let section = of("a{job=\"\",l=\"1\"} 1\na{exported_job=\"x\"} 2\na{job=\"x\",exported_job=\"\"} 3\n", "x", "one");
    let (page, told) = told(Format::Text, &[section], &ReservedNames::default());
    let expected = "# TYPE a untyped\na{exported_job=\"\",l=\"1\",instance=\"one\",job=\"x\"} 1\na{exported_job=\"x\",instance=\"one\",job=\"x\"} 2\n\
                    a{exported_exported_job=\"x\",exported_job=\"\",instance=\"one\",job=\"x\"} 3\n";
    assert_eq!((page.as_str(), told.series_dropped), (expected, 0));
    let section = of("a{exported_exported_job=\"x\"} 1\na{job=\"x\",exported_job=\"\"} 2\n", "x", "one");
    let (page, told) = self::told(Format::Text, std::slice::from_ref(&section), &ReservedNames::default());
    let expected = "# TYPE a untyped\na{exported_exported_job=\"x\",instance=\"one\",job=\"x\"} 1\n";
    assert_eq!((page.as_str(), told.series_dropped, section.native.repairs.get(Repair::DuplicateSeries)), (expected, 0, 1));
}

#[test]
fn the_lines_of_a_histogram_or_summary_are_no_others() {
    const A: &str = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 3\n";
    const B: &str = "# TYPE b summary\nb_sum 4\nb_count 3\n";
    const OTHERS: &str = "# TYPE a_bucket gauge\na_bucket 5\n# TYPE a_count gauge\na_count 7\n# TYPE b_bucket gauge\nb_bucket 6\n# TYPE b_sum gauge\nb_sum 8\n";
    let all = Section::plain(native(&format!("{A}{OTHERS}{B}")));
    let (page, said) = told(Format::Text, std::slice::from_ref(&all), &ReservedNames::default());
    assert_eq!(page, format!("{A}{B}# TYPE b_bucket gauge\nb_bucket 6\n"));
    assert_eq!(said.families_dropped, 3);
    assert_eq!(said.dropped[1], "a_count of this target is named as a line of a histogram or summary");
    // Those of other targets too, and by whichever call.
    let (_, said) = told(Format::Text, &[of(OTHERS, "x", "one"), of(A, "x", "two"), of(B, "x", "three")], &ReservedNames::default());
    assert_eq!(said.families_dropped, 3);
    let ours = [Section::plain(native(&format!("{A}{B}")))];
    let (page, said) = told(Format::Text, &[of(OTHERS, "x", "one")], &ReservedNames::by(Format::Text, &ours));
    assert_eq!((page.as_str(), said.families_dropped), ("# TYPE b_bucket gauge\nb_bucket{instance=\"one\",job=\"x\"} 6\n", 3));
    let ours = [Section::plain(native(OTHERS))];
    let (page, said) = told(Format::Text, &[of(&format!("{A}{B}"), "x", "one")], &ReservedNames::by(Format::Text, &ours));
    assert_eq!((page.as_str(), said.families_dropped), ("", 2));
    // In JSON they are no lines.
    let (_, said) = told(Format::Json, &[all], &ReservedNames::default());
    assert_eq!(said.families_dropped, 0);
}

#[test]
fn a_counter_in_openmetrics_has_no_name_that_is_taken() {
    let page = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 3\n# TYPE a_sum_total counter\na_sum_total 1\n";
    let expected = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3\na_count 3\n# TYPE a_sum_total unknown\na_sum_total 1\n# EOF\n";
    writes(OPEN_METRICS, &[Section::plain(native(page))], expected);
    let ours = [Section::plain(native("# TYPE c_total counter\nc_total 1\n"))];
    for (format, dropped) in [(OPEN_METRICS, 1), (Format::Text, 0)] {
        let (_, told) = told(format, &[Section::plain(native("# TYPE c gauge\nc 1\n"))], &ReservedNames::by(format, &ours));
        assert_eq!(told.families_dropped, dropped, "{format:?}");
    }
}

#[test]
fn numbers_and_escapes() {
    let page = "a{l=\"q\\\" b\\\\ n\\n e\u{e9}\"} -1e-7\nb +Inf\nc NaN\nd 1e300\ne 123456789012\nf 0.1\n";
    writes(
        Format::Text,
        &[Section::plain(native(page))],
        "# TYPE a untyped\na{l=\"q\\\" b\\\\ n\\n e\u{e9}\"} -1e-7\n# TYPE b untyped\nb +Inf\n# TYPE c untyped\nc NaN\n\
         # TYPE d untyped\nd 1e+300\n# TYPE e untyped\ne 123456789012\n# TYPE f untyped\nf 0.1\n",
    );
}

const HISTOGRAM: &str = "# HELP h Of a \"thing\".\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2.5\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 7.5\nh_count 4\n";

#[test]
fn a_histogram_in_text_is_as_it_was() {
    writes(Format::Text, &[Section::plain(native(HISTOGRAM))], HISTOGRAM);
}

#[test]
fn openmetrics_has_its_own_counters_bounds_quotes_and_end() {
    writes(
        OPEN_METRICS,
        &[Section::plain(native(&format!("# TYPE c counter\nc 1\n# TYPE d_total counter\nd_total 2\n{HISTOGRAM}")))],
        "# TYPE c unknown\nc 1\n# TYPE d counter\nd_total 2\n# HELP h Of a \\\"thing\\\".\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 2\n\
         h_bucket{le=\"2.5\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 7.5\nh_count 4\n# EOF\n",
    );
}

#[test]
fn json_has_the_three_shapes() {
    let page = "# HELP a With \"quotes\".\n# TYPE a gauge\na 1\n# TYPE b counter\nb{l=\"x\"} 2\nb{l=\"y\\\"\"} 3\n# TYPE c gauge\nc{l=\"x\",m=\"y\"} 4\n";
    writes(
        Format::Json,
        &[Section::plain(native(page))],
        "{\"a\":{\"help\":\"With \\\"quotes\\\".\",\"type\":\"gauge\",\"value\":1}\n,\"b\":{\"type\":\"counter\",\"value\":{\"l\":{\"x\":2,\"y\\\"\":3}}}\n,\
         \"c\":{\"type\":\"gauge\",\"value\":[{\"l\":\"x\",\"m\":\"y\",\"@\":4}]}}\n",
    );
    let both = page_of_two();
    assert!(serde_json::from_str::<serde_json::Value>(&both).is_ok(), "{both}");
    assert!(both.contains("{\"job\":\"x\",\"instance\":\"one\",\"@\":1}"), "{both}");
}

fn page_of_two() -> String {
    page(Format::Json, &[of("a 1\n", "x", "one"), of(HISTOGRAM, "x", "two")])
}

#[test]
fn a_name_that_is_none_does_not_break_the_page() {
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
    writes(Format::Text, &[Section::plain(Arc::new(native))], expected);
}

/// The labels of each series of a family.
type SeriesLabels<'a> = &'a [&'a [(&'a str, &'a str)]];

/// Families of these names and types, each with series of these labels; values count up.
fn named(families: &[(&str, FamilyType, SeriesLabels<'_>)]) -> Arc<SelectedFamilies> {
    let built = Families::read(String::new(), |out| {
        let mut value = 0.0;
        for (name, kind, series) in families {
            let (name, help) = (out.add_text(name), out.add_text("About it."));
            out.family(name, help, *kind);
            for labels in *series {
                for (name, value) in *labels {
                    let (name, value) = (out.add_text(name), out.add_text(value));
                    out.label(name, value);
                }
                value += 1.0;
                out.number(value);
            }
        }
        Ok::<_, LimitExceeded>(())
    });
    Arc::new(SelectedFamilies::select(vec![built.unwrap()], "", usize::MAX, |_| Some(FamilySelection::default())))
}

#[test]
fn names_beyond_the_old_ones_are_quoted_or_escaped_as_the_client_asks() {
    let native = named(&[
        ("legacy", FamilyType::Gauge, &[&[("queue.name", "a"), ("b", "c")]]),
        ("mail.queue.size", FamilyType::Gauge, &[&[("queue.name", "a"), ("b", "c")], &[]]),
        ("my \"odd\" name_total", FamilyType::Counter, &[&[("b", "d")]]),
    ]);
    let section = [Section::of(native, &Identity::new("x", "one"))];
    let us = "instance=\"one\",job=\"x\"";
    let page = |name: &str, label: &str, odd: &str| {
        format!(
            "# HELP legacy About it.\n# TYPE legacy gauge\nlegacy{{{label}=\"a\",b=\"c\",{us}}} 1\n# HELP {name} About it.\n# TYPE {name} gauge\n\
             {name}{{{label}=\"a\",b=\"c\",{us}}} 2\n{name}{{{us}}} 3\n# HELP {odd} About it.\n# TYPE {odd} counter\n{odd}{{b=\"d\",{us}}} 4\n"
        )
    };
    let underscores = page("mail_queue_size", "queue_name", "my__odd__name_total");
    writes(Format::Text, &section, &underscores);
    writes(Format::TextV1(Escaping::Underscores), &section, &underscores);
    writes(Format::TextV1(Escaping::Dots), &section, &page("mail_dot_queue_dot_size", "queue_dot_name", "my____odd____name__total"));
    let quoted = format!(
        "# HELP legacy About it.\n# TYPE legacy gauge\nlegacy{{\"queue.name\"=\"a\",b=\"c\",{us}}} 1\n\
         # HELP \"mail.queue.size\" About it.\n# TYPE \"mail.queue.size\" gauge\n\
         {{\"mail.queue.size\",\"queue.name\"=\"a\",b=\"c\",{us}}} 2\n{{\"mail.queue.size\",{us}}} 3\n\
         # HELP \"my \\\"odd\\\" name_total\" About it.\n# TYPE \"my \\\"odd\\\" name_total\" counter\n\
         {{\"my \\\"odd\\\" name_total\",b=\"d\",{us}}} 4\n"
    );
    writes(Format::TextV1(Escaping::AllowUtf8), &section, &quoted);
    let open_metrics = quoted
        .replace("# HELP \"my \\\"odd\\\" name_total\"", "# HELP \"my \\\"odd\\\" name\"")
        .replace("# TYPE \"my \\\"odd\\\" name_total\"", "# TYPE \"my \\\"odd\\\" name\"");
    writes(Format::OpenMetrics(Escaping::AllowUtf8), &section, &format!("{open_metrics}# EOF\n"));
    let values = self::page(Format::OpenMetrics(Escaping::Values), &section);
    let line = format!("\nU__mail_2e_queue_2e_size{{U__queue_2e_name=\"a\",b=\"c\",{us}}} 2\n");
    assert!(values.contains(&line), "{values}");
    // A series without labels has no comma behind its name.
    let alone = named(&[("a.b", FamilyType::Gauge, &[&[]])]);
    let expected = "# HELP \"a.b\" About it.\n# TYPE \"a.b\" gauge\n{\"a.b\"} 1\n";
    writes(Format::TextV1(Escaping::AllowUtf8), &[Section::plain(alone)], expected);
}

#[test]
fn families_and_series_that_are_written_alike_stand_once_and_are_counted() {
    let native = named(&[
        ("a.b", FamilyType::Gauge, &[&[("l.m", "1")], &[("l_m", "1")], &[("l-m", "2")], &[("l.m", "3"), ("l_m", "4")]]),
        ("a-b", FamilyType::Gauge, &[&[("l", "1")]]),
        ("a_c", FamilyType::Gauge, &[&[("l", "1")]]),
        ("a.c", FamilyType::Gauge, &[&[("l", "1")]]),
    ]);
    let of_one = Section::of(native, &Identity::new("x", "one"));
    let two = named(&[("a.c", FamilyType::Gauge, &[&[("l", "1")]])]);
    let of_two = Section::of(two, &Identity::new("x", "two"));
    let (page, said) = told(Format::Text, &[of_one.clone(), of_two.clone()], &ReservedNames::default());
    let expected = "# HELP a_b About it.\n# TYPE a_b gauge\na_b{l=\"1\",instance=\"one\",job=\"x\"} 5\n\
                    # HELP a_c About it.\n# TYPE a_c gauge\na_c{l=\"1\",instance=\"one\",job=\"x\"} 6\na_c{l=\"1\",instance=\"two\",job=\"x\"} 1\n";
    assert_eq!(page, expected);
    assert_eq!((said.families_dropped, said.series_dropped), (2, 0));
    assert_eq!(said.dropped, ["\"a.b\" of one is written a_b, as \"a-b\" is", "\"a.c\" of one is written a_c, as \"a_c\" is"]);
    // In quotes they are all different.
    let (_, said) = told(Format::TextV1(Escaping::AllowUtf8), &[of_one, of_two], &ReservedNames::default());
    assert_eq!((said.families_dropped, said.series_dropped), (0, 0));
    let labels = named(&[("a", FamilyType::Gauge, &[&[("l.m", "1")], &[("l_m", "1")], &[("l-m", "2")], &[("l.m", "3"), ("l_m", "4")]])]);
    let (page, said) = told(Format::Text, &[Section::plain(labels)], &ReservedNames::default());
    let expected = "# HELP a About it.\n# TYPE a gauge\na{l_m=\"1\"} 2\na{l_m=\"2\"} 3\na{_l_m=\"3\",l_m=\"4\"} 4\n";
    assert_eq!((page.as_str(), said.series_dropped), (expected, 1));
}

#[test]
fn a_mail_servers_family_is_never_taken_for_ours() {
    let body = "# TYPE up gauge\nup 1\n# TYPE mail_up gauge\nmail_up{job=\"x\"} 1\n# TYPE mail_queue_length gauge\nmail_queue_length 2\n\
                # TYPE postmeter_export_retries counter\npostmeter_export_retries_total 5\n";
    let theirs = of(body, "kumomta", "one");
    for format in [Format::Text, OPEN_METRICS, Format::Json] {
        let (page, said) = told(format, std::slice::from_ref(&theirs), &ReservedNames::default());
        assert_eq!(said.families_dropped, 3, "{page}");
        assert!(page.contains("mail_queue_length") && !page.contains("up{") && !page.contains("retries"), "{page}");
        assert_eq!(said.dropped[0], "mail_up of one has the name of a metric of Postmeter or of Prometheus");
    }
    let families = prometheus::read(body.to_owned()).unwrap();
    let renamed = SelectedFamilies::select(vec![families], "their_", usize::MAX, |_| Some(FamilySelection::default()));
    let (page, said) = told(Format::Text, &[Section::plain(Arc::new(renamed))], &ReservedNames::default());
    assert!(said.families_dropped == 0 && page.contains("\ntheir_mail_up{exported_job=\"x\"} 1\n"), "{page}");
    // Ours stay beside theirs of the same name.
    let ours = Section::own(native("# TYPE mail_up gauge\nmail_up 0\n"));
    let (page, _) = told(Format::Text, &[theirs, ours], &ReservedNames::default());
    assert!(page.starts_with("# TYPE mail_queue_length gauge") && page.contains("# TYPE mail_up gauge\nmail_up 0\n"), "{page}");
}

#[test]
fn what_is_written_reads_back_the_same() {
    let source = format!("{HISTOGRAM}# TYPE a counter\na{{l=\"\\\"\\\\\\n\",m=\"\"}} 1e-9\na{{l=\"2\",m=\"x\"}} 3\nb NaN\n");
    let once = page(Format::Text, &[Section::plain(native(&source))]);
    assert_eq!(page(Format::Text, &[Section::plain(native(&once))]), once);
}

#[test]
fn our_translation_of_names_is_the_exporters() {
    use crate::model::{Kind, Point, vocabulary};
    for source in crate::source::SOURCES {
        let meter_provider = crate::telemetry::TargetMeterProvider::of(source, &Identity::new("x", "y")).unwrap();
        for metric in crate::telemetry::metrics_of(source).into_iter().filter(|metric| metric.kind != Kind::Histogram) {
            let families = meter_provider.gather(vec![Point::new(metric, &[], 1.0)]);
            let names: Vec<_> = families.families().map(|family| family.name().into_owned()).collect();
            assert_eq!(names, [translated(metric)], "{}", metric.name);
        }
    }
    assert_eq!(translated(&vocabulary::DELIVERY_DURATION), "mail_delivery_duration_seconds");
}

#[test]
fn explicit_timestamps_are_written_as_they_came() {
    let page = "# TYPE a gauge\na{l=\"1\"} 1 1795872000123\na{l=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3 1795872000000\nh_count 3 1795872000000\n";
    let sections = || [Section::plain(native(page))];
    writes(
        Format::Text,
        &sections(),
        "# TYPE a gauge\na{l=\"1\"} 1 1795872000123\na{l=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3 1795872000000\nh_count 3 1795872000000\n",
    );
    writes(
        Format::OpenMetrics(Escaping::Underscores),
        &sections(),
        "# TYPE a gauge\na{l=\"1\"} 1 1795872000.123\na{l=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3 1795872000\nh_count 3 1795872000\n# EOF\n",
    );
}
