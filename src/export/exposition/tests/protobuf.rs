//! Protobuf pages, decoded with messages that are declared independently.

use super::*;
use crate::model::TranslationStrategy;
use metric_family::{MetricFamily, families};

#[path = "../../../../tests/support/metric_family.rs"]
pub(super) mod metric_family;

const PROTOBUF: Format = Format::Protobuf(Escaping::Underscores);

fn text_of(settings: impl Into<PageSettings>, sections: &[Section]) -> String {
    families(&render_bytes(settings, sections)).iter().map(MetricFamily::text).collect()
}

const PAGE: &str = "\
# TYPE c counter\n# UNIT c_seconds seconds\n\
# HELP d_seconds Of a thing.\n# TYPE d_seconds counter\n# UNIT d_seconds seconds\n\
d_seconds_total{l=\"1\"} 2.5 # {trace_id=\"a\"} 0.5 1795872000.25\nd_seconds_created{l=\"1\"} 1795871000.5\nd_seconds_total{l=\"2\"} 3\n\
# TYPE g gauge\ng 1 1795872000.123\ng{l=\"-\"} -0.5 -2\n\
# TYPE h histogram\nh_bucket{le=\"1.0\"} 2 # {trace_id=\"b\"} 0.75\nh_bucket{le=\"+Inf\"} 4 # {trace_id=\"c\"} 7 1795872000\nh_sum 7.5\nh_count 4\nh_created 1795871000\n\
# TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 3\ns_count 2\ns_created 1795871000\n\
# TYPE u unknown\nu NaN\n# EOF\n";

fn open_metrics(page: &str) -> Arc<SelectedFamilies> {
    let families = prometheus::read(page.to_owned()).unwrap();
    Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())))
}

#[test]
fn a_page_has_all_types_start_times_exemplars_and_timestamps() {
    let section = Section::of_target(open_metrics(PAGE), &Identity::new("x", "one"));
    let target = "instance=\"one\",job=\"x\"";
    let expected = format!(
        "# d_seconds_total counter unit=seconds help=Of a thing.\n\
         d_seconds_total{{l=\"1\",{target}}} 2.5 # trace_id=a 0.5 @1795872000.250000000 since 1795871000.500000000\n\
         d_seconds_total{{l=\"2\",{target}}} 3\n\
         # g gauge unit= help=\ng{{{target}}} 1 1795872000123\ng{{l=\"-\",{target}}} -0.5 -2000\n\
         # h histogram unit= help=\nh_bucket{{{target},le=\"1\"}} 2 # trace_id=b 0.75\nh_bucket{{{target},le=\"+Inf\"}} 4 # trace_id=c 7 @1795872000.000000000\n\
         h_sum{{{target}}} 7.5\nh_count{{{target}}} 4 since 1795871000.000000000\n\
         # s summary unit= help=\ns{{{target},quantile=\"0.5\"}} 2\ns_sum{{{target}}} 3\ns_count{{{target}}} 2 since 1795871000.000000000\n\
         # u untyped unit= help=\nu{{{target}}} NaN\n"
    );
    assert_eq!(text_of(PROTOBUF, &[section]), expected);
}

#[test]
fn names_are_escaped_and_omitted_as_in_text() {
    let page = "# TYPE \"a.b\" gauge\n{\"a.b\",\"l.m\"=\"1\"} 1\n{\"a.b\",l_m=\"1\"} 2\n# TYPE \"a-b\" gauge\n{\"a-b\"} 3\nmail_up 4\n";
    let sections = [Section::without_identity(native(page))];
    for (escaping, expected) in [
        (Escaping::Underscores, "# a_b gauge unit= help=\na_b{} 3\n"),
        (Escaping::AllowUtf8, "# a-b gauge unit= help=\na-b{} 3\n# a.b gauge unit= help=\na.b{l.m=\"1\"} 1\na.b{l_m=\"1\"} 2\n"),
        (
            Escaping::Dots,
            "# a__b gauge unit= help=\na__b{} 3\n# a_dot_b gauge unit= help=\na_dot_b{l_dot_m=\"1\"} 1\na_dot_b{l_m=\"1\"} 2\n",
        ),
    ] {
        assert_eq!(text_of(Format::Protobuf(escaping), &sections), expected, "{escaping:?}");
        let (_, in_text) = write(Format::TextV1(escaping), &sections, &ReservedNames::default());
        let mut pages = Vec::new();
        let mut out = |chunk: &mut Vec<u8>| {
            pages.append(chunk);
            true
        };
        let mut writer = ExpositionWriter::new(Format::Protobuf(escaping), &mut out);
        writer.write(&sections, &ReservedNames::default());
        assert_eq!(writer.finish(), in_text);
    }
}

#[test]
fn a_large_family_is_written_in_chunks_with_its_length_first() {
    let lines = |labels: &str| -> String { (0..5000).map(|i| format!("a{{{labels}=\"value {i}\"}} {i}\n")).collect() };
    // Labels that need escaping, two of which become equal.
    let page = format!("{}a{{l_m=\"value 7\"}} 1\n", lines("\"l.m\""));
    let sections =
        [section(&format!("# TYPE a gauge\n{}", lines("l")), "x", "one"), section(&format!("# TYPE a gauge\n{page}"), "x", "two")];
    let (mut bytes, mut chunks) = (Vec::new(), Vec::new());
    let mut out = |chunk: &mut Vec<u8>| {
        chunks.push(chunk.len());
        bytes.append(chunk);
        true
    };
    let mut writer = ExpositionWriter::new(PROTOBUF, &mut out);
    writer.write(&sections, &ReservedNames::default());
    let omitted = writer.finish();
    assert_eq!(omitted.series_dropped, 1);
    assert!(chunks.len() > 2 && chunks.iter().all(|len| *len < 140_000), "{chunks:?}");
    let families = families(&bytes);
    assert_eq!((families.len(), families[0].metric.len()), (1, 10_000));
    let text = render(Format::Text, &sections);
    let values = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(values(&families[0].text()), values(&text));
}

#[test]
fn a_disconnected_client_ends_the_page() {
    let page: String = (0..9000).map(|i| format!("a{{l=\"value {i}\"}} {i}\n")).collect();
    let mut chunks = 0;
    let mut out = |chunk: &mut Vec<u8>| {
        chunks += 1;
        chunk.clear();
        false
    };
    let mut writer = ExpositionWriter::new(PROTOBUF, &mut out);
    assert_eq!(writer.write(&[Section::without_identity(native(&page))], &ReservedNames::default()), None);
    drop(writer);
    assert_eq!(chunks, 1);
}

#[test]
fn a_histogram_without_a_sum_has_no_zero_sum() {
    let page = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n";
    let families = families(&render_bytes(PROTOBUF, &[Section::without_identity(native(page))]));
    assert!(families[0].metric[0].histogram.as_ref().unwrap().sample_sum.unwrap().is_nan());
}

#[test]
fn start_times_of_canonical_counters_are_those_of_the_server() {
    use crate::model::{Point, vocabulary};
    use crate::telemetry::{CounterStarts, TargetMeterProvider};
    use std::time::{Duration, Instant, SystemTime};
    let source = crate::source::by_name("emailengine").unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_872_000);
    let starts = |counters_since| {
        let snapshot = crate::model::Snapshot { counters_since, ..Default::default() };
        let reading = crate::poll::Reading {
            at,
            began: Instant::now(),
            ended: Instant::now(),
            outcome: Ok(snapshot),
            native: Arc::default(),
            parts: Vec::new(),
            body_bytes: 0,
            tally: Default::default(),
            tally_since: at - Duration::from_secs(5),
        };
        CounterStarts::of(&reading)
    };
    let meter_provider = TargetMeterProvider::new(source, &Identity::new("x", "y"));
    let server_metric = vocabulary::ALL
        .iter()
        .find(|metric| {
            metric.kind == crate::model::Kind::Counter
                && metric.name.starts_with("mail.")
                && crate::telemetry::metrics_of(source).contains(metric)
        })
        .unwrap();
    let created = |counters_since| {
        let points = vec![
            Point::new(server_metric, &[], 1.0),
            Point::new(&vocabulary::POLL_ERRORS, &[], 1.0),
            Point::new(&vocabulary::UP, &[], 1.0),
        ];
        let families = meter_provider.gather(points, TranslationStrategy::default(), &starts(counters_since));
        families.families().map(|family| family.samples().next().unwrap().created()).collect::<Vec<_>>()
    };
    let (tally, server) = (Some(1_795_871_995_000_000_000), Some(1_795_871_990_000_000_000));
    // In the order of names: the counter of the server, `mail_up`, `postmeter_poll_errors_total`.
    assert_eq!(created(Some(at - Duration::from_secs(10))), [server, None, tally]);
    assert_eq!(created(None), [None, None, tally]);
    // The server's clock is ahead.
    assert_eq!(created(Some(at + Duration::from_secs(10))), [None, None, tally]);
}
