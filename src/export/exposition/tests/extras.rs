//! Units, exemplars, start times and scope labels.

use super::*;
use crate::model::TranslationStrategy;

const NATIVE: &str = "\
# TYPE d_seconds counter\n# UNIT d_seconds seconds\n\
d_seconds_total{l=\"1\"} 2.5 1795872000 # {trace_id=\"a\"} 0.5 1795872000.25\nd_seconds_created{l=\"1\"} 1795871000.5\n\
# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {trace_id=\"b\",\"x.y\"=\"\\\"\"} 0.75\nh_bucket{le=\"+Inf\"} 4 # {trace_id=\"c\"} 7 1795872000\nh_count 4\nh_created 1795871000\n# EOF\n";

fn settings(format: Format) -> PageSettings {
    format.into()
}

#[test]
fn openmetrics_has_units_and_exemplars() {
    let sections = [Section::without_identity(native(NATIVE))];
    let page = "# TYPE d_seconds counter\n# UNIT d_seconds seconds\n\
                d_seconds_total{l=\"1\"} 2.5 1795872000 # {trace_id=\"a\"} 0.5 1795872000.25\n\
                # TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {trace_id=\"b\",x_y=\"\\\"\"} 0.75\n\
                h_bucket{le=\"+Inf\"} 4 # {trace_id=\"c\"} 7 1795872000\n# EOF\n";
    assert_renders(OPEN_METRICS, &sections, page);
    let quoted = page.replace("x_y=", "\"x.y\"=");
    assert_renders(Format::OpenMetrics(Escaping::AllowUtf8), &sections, &quoted);
    // Text has neither.
    let text = "# TYPE d_seconds_total counter\nd_seconds_total{l=\"1\"} 2.5 1795872000000\n\
                # TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 4\nh_count 4\n";
    assert_renders(Format::Text, &sections, text);
}

#[test]
fn a_bucket_has_its_latest_exemplar() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {t=\"old\"} 0.5 10\nh_bucket{le=\"2.0\"} 3 # {t=\"new\"} 0.75 20\n\
                h_bucket{le=\"+Inf\"} 4 # {t=\"above\"} 2.0\nh_count 4\n# EOF\n";
    let expected = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {t=\"new\"} 0.75 20\nh_bucket{le=\"2.0\"} 3 # {t=\"above\"} 2\nh_bucket{le=\"+Inf\"} 4\n# EOF\n";
    assert_renders(OPEN_METRICS, &[Section::without_identity(native(page))], expected);
}

#[test]
fn a_unit_is_written_only_if_the_name_ends_in_it() {
    let families = Families::read(String::new(), |out| {
        for (name, unit) in [("a_seconds", "seconds"), ("b", "seconds"), ("cseconds", "seconds"), ("d_x y", "x y"), ("_seconds", "seconds")]
        {
            let (name, unit) = (out.add_text(name), out.add_text(unit));
            out.family(name, Default::default(), FamilyType::Gauge);
            out.unit(unit);
            out.number(1.0);
        }
        Ok::<_, LimitExceeded>(())
    });
    let families = Arc::new(SelectedFamilies::unfiltered(families.unwrap()));
    let page = render(OPEN_METRICS, &[Section::without_identity(families)]);
    let units: Vec<&str> = page.lines().filter(|line| line.starts_with("# UNIT")).collect();
    assert_eq!(units, ["# UNIT a_seconds seconds"], "{page}");
}

#[test]
fn start_times_are_lines_in_openmetrics_if_configured() {
    let sections = [Section::of_target(native(NATIVE), &Identity::new("x", "one"))];
    let with_created = |format| PageSettings { created_lines: true, ..settings(format) };
    let page = render(with_created(OPEN_METRICS), &sections);
    let target = "instance=\"one\",job=\"x\"";
    let created: Vec<&str> = page.lines().filter(|line| line.contains("_created")).collect();
    let expected = [format!("d_seconds_created{{l=\"1\",{target}}} 1795871000.5 1795872000"), format!("h_created{{{target}}} 1795871000")];
    assert_eq!(created, expected, "{page}");
    assert!(!render(OPEN_METRICS, &sections).contains("_created"));
    assert!(!render(with_created(Format::Text), &sections).contains("_created"));
    // The lines need their names, which OpenMetrics reserves even if there are none.
    let gauge = "# TYPE d_seconds_created gauge\nd_seconds_created 1\n# TYPE h_created gauge\nh_created 2\n";
    let other = Section::of_target(native(gauge), &Identity::new("x", "two"));
    for (format, created_lines, dropped) in [(OPEN_METRICS, true, 2), (OPEN_METRICS, false, 2), (Format::Text, true, 0)] {
        let settings = PageSettings { created_lines, ..settings(format) };
        let mut out = |_: &mut Vec<u8>| true;
        let mut writer = ExpositionWriter::new(settings, &mut out);
        writer.write(std::slice::from_ref(&other), &ReservedNames::of(settings, &sections));
        assert_eq!(writer.finish().families_dropped, dropped, "{format:?} {created_lines}");
    }
}

#[test]
fn series_have_the_labels_of_their_scope_if_configured() {
    let page = "# TYPE a gauge\na 1\n# TYPE b gauge\nb{otel_scope_name=\"theirs\"} 2\n# TYPE c gauge\nc{\"otel.scope.name\"=\"x\"} 3\n";
    let canonical = Section::of_postmeter(Arc::new(SelectedFamilies::unfiltered(
        prometheus::read("# TYPE mail_up gauge\nmail_up 1\n# TYPE target_info gauge\ntarget_info 1\n".to_owned()).unwrap(),
    )));
    let sections = [Section::of_target(native(page), &Identity::new("x", "one")), canonical];
    let version = env!("CARGO_PKG_VERSION");
    let schema = crate::model::registry::SCHEMA_URL;
    let native_scope = format!("otel_scope_name=\"postmeter.native\",otel_scope_version=\"{version}\"");
    let target = "instance=\"one\",job=\"x\"";
    let expected = format!(
        "# TYPE a gauge\na{{{target},{native_scope}}} 1\n\
         # TYPE b gauge\nb{{otel_scope_name=\"theirs\",{target}}} 2\n\
         # TYPE c gauge\nc{{_otel_scope_name=\"x\",{target},{native_scope}}} 3\n\
         # TYPE mail_up gauge\nmail_up{{otel_scope_name=\"postmeter\",otel_scope_schema_url=\"{schema}\",otel_scope_version=\"{version}\"}} 1\n\
         # TYPE target_info gauge\ntarget_info 1\n"
    );
    assert_eq!(render(PageSettings { scope_labels: true, ..settings(Format::Text) }, &sections), expected);
    assert!(!render(Format::Text, &sections).contains("postmeter.native"));
}

#[test]
fn the_names_of_target_info_follow_the_translation() {
    let identity = Identity::new("x", "one").with_version(Some("1.2"));
    for (translation, label) in [
        (TranslationStrategy::UnderscoreEscapingWithSuffixes, "service_version"),
        (TranslationStrategy::UnderscoreEscapingWithoutSuffixes, "service_version"),
        (TranslationStrategy::NoUtf8EscapingWithSuffixes, "\"service.version\""),
        (TranslationStrategy::NoTranslation, "\"service.version\""),
    ] {
        let section = Section::of_postmeter(Arc::new(target_info([&identity], translation)));
        let page = render(Format::TextV1(Escaping::AllowUtf8), std::slice::from_ref(&section));
        let line = format!("\ntarget_info{{instance=\"one\",job=\"x\",{label}=\"1.2\"}} 1\n");
        assert!(page.contains(&line), "{page}");
        // A client that does not support quoted names gets underscores.
        assert!(render(Format::Text, &[section]).contains("service_version=\"1.2\""));
    }
}

#[test]
fn a_label_of_a_scope_appears_once_also_with_very_many_scopes() {
    let mut page = "# TYPE m gauge\nm 1\n".to_owned();
    page.extend((0..150).map(|scope| format!("m{{otel_scope_name=\"s{scope}\",otel_scope_version=\"1\"}} 1\n")));
    page.push_str("# TYPE otel_scope_info gauge\notel_scope_info{otel_scope_name=\"s0\",otel_scope_version=\"1\",mascot=\"bear\"} 1\n");
    let rendered = render(PageSettings { scope_labels: true, ..settings(Format::Text) }, &[Section::without_identity(native(&page))]);
    assert_eq!(rendered.lines().filter(|line| !line.starts_with('#')).count(), 152);
    for line in rendered.lines() {
        assert!(line.matches("otel_scope_name=").count() <= 1 && line.matches("otel_scope_version=").count() <= 1, "{line}");
    }
}

#[test]
fn openmetrics_families_with_the_same_base_name_do_not_repeat_it() {
    let info = section("# TYPE x info\nx_info{v=\"1\"} 1\n# EOF\n", "a", "one");
    let counter = section("# TYPE x counter\nx_total 2\n# EOF\n", "a", "two");
    let target = |instance| format!("instance=\"{instance}\",job=\"a\"");
    let expected =
        format!("# TYPE x info\nx_info{{v=\"1\",{}}} 1\n# TYPE x_total unknown\nx_total{{{}}} 2\n# EOF\n", target("one"), target("two"));
    assert_eq!(render(OPEN_METRICS, &[info, counter]), expected);
}
