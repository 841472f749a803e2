//! Native families are exported as the Prometheus compatibility specification defines.

use crate::config::Temporality;
use crate::export::otlp::metrics::{TargetMetrics, message, requests};
use crate::format::prometheus;
use crate::model::{FamilySelection, Repair, SelectedFamilies, Snapshot};
use crate::poll::{Reading, Tally};
use crate::report::SeriesState;
use crate::telemetry::Identity;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric, NumberDataPoint, ResourceMetrics};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

mod names;

const SECOND: u64 = 1_000_000_000;

fn reading(at: u64, body: &str) -> Reading {
    let families = prometheus::read_unterminated(body.to_owned()).unwrap();
    let repairs = *families.repairs();
    let native = Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default())));
    let (at, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(at), Instant::now());
    let mut snapshot = Snapshot { repairs, ..Snapshot::default() };
    snapshot.repairs.add_all(&native.repairs);
    let (parts, tally) = (Vec::new(), Tally::default());
    Reading { at, began: now, ended: now, outcome: Ok(snapshot), native, parts, body_bytes: 0, tally, tally_since: at }
}

fn pushed(state: &mut SeriesState, reading: &Reading) -> Vec<ResourceMetrics> {
    let identity = Identity::new("prometheus", "one").with_target_info(reading.native.resource_attributes());
    message(&[TargetMetrics::new(&identity, state.report(Vec::new(), "prometheus", reading, None))]).resource_metrics
}

fn push(body: &str) -> (Vec<ResourceMetrics>, Reading) {
    let reading = reading(1_700_000_000, body);
    (pushed(&mut SeriesState::default(), &reading), reading)
}

fn text(attributes: &[KeyValue]) -> String {
    let value = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text.clone(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| format!("{}={}", attribute.key, value(attribute))).collect::<Vec<_>>().join(",")
}

fn points(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => &gauge.data_points,
        Data::Sum(sum) => &sum.data_points,
        _ => &[],
    }
}

/// All number points as `scope name{attributes} value`.
fn series(resources: &[ResourceMetrics]) -> Vec<String> {
    let mut lines = Vec::new();
    for scope in resources.iter().flat_map(|of| &of.scope_metrics) {
        let of = scope.scope.as_ref().unwrap();
        for metric in &scope.metrics {
            let value = |point: &NumberDataPoint| match point.value {
                Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsDouble(n)) => n,
                _ => f64::NAN,
            };
            lines.extend(points(metric).iter().map(|p| format!("{} {}{{{}}} {}", of.name, metric.name, text(&p.attributes), value(p))));
        }
    }
    lines
}

fn metric<'a>(resources: &'a [ResourceMetrics], name: &str) -> &'a Metric {
    let mut all = resources.iter().flat_map(|of| &of.scope_metrics).flat_map(|scope| &scope.metrics);
    all.find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} is missing"))
}

#[test]
fn a_configured_attribute_is_not_overwritten() {
    let (_, reading) = push("target_info{deployment_environment=\"native\",rack=\"4\"} 1\na 1\n");
    let identity = Identity::new("prometheus", "one").with_target_info(&[("deployment.environment".to_owned(), "configured".to_owned())]);
    let attributes: Vec<String> =
        identity.with_target_info(reading.native.resource_attributes()).attributes().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(attributes[2..], ["deployment.environment=configured", "rack=4"]);
}

#[test]
fn scope_labels_define_the_scope() {
    let body = "# TYPE otel_scope_info gauge\notel_scope_info{otel_scope_name=\"b\",otel_scope_version=\"2\",mascot=\"bear\"} 1\n\
                # TYPE c gauge\nc{otel_scope_name=\"b\",otel_scope_version=\"2\",l=\"1\"} 1\nc{otel_scope_name=\"a\",l=\"1\"} 2\nc{l=\"1\"} 3\n\
                # TYPE d gauge\nd{otel_scope_name=\"b\",otel_scope_version=\"2\"} 4\nd{otel_scope_name=\"a\",otel_scope_schema_url=\"u\",otel_scope_tier=\"x\"} 5\n";
    for bytes_max in [usize::MAX, 1] {
        let reading = reading(1_700_000_000, body);
        let report = SeriesState::default().report(Vec::new(), "prometheus", &reading, None);
        let metrics = [TargetMetrics::new(&Identity::new("prometheus", "one"), report)];
        let requests = requests(&metrics, bytes_max);
        let resources: Vec<ResourceMetrics> = requests
            .map(|request| {
                <opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as prost::Message>::decode(request.bytes)
                    .unwrap()
            })
            .flat_map(|request| request.resource_metrics)
            .collect();
        let expected = ["postmeter.native c{l=1} 3", "a c{l=1} 2", "a d{} 5", "b c{l=1} 1", "b d{} 4"];
        assert_eq!(series(&resources), expected);
        let scopes: Vec<_> = resources.iter().flat_map(|of| &of.scope_metrics).collect();
        let b = scopes.iter().find(|scope| scope.scope.as_ref().unwrap().name == "b").unwrap();
        assert_eq!(
            (b.scope.as_ref().unwrap().version.as_str(), text(&b.scope.as_ref().unwrap().attributes)),
            ("2", "mascot=bear".to_owned())
        );
        let tiered = scopes.iter().find(|scope| scope.schema_url == "u").unwrap();
        assert_eq!(text(&tiered.scope.as_ref().unwrap().attributes), "tier=x");
        if bytes_max > 1 {
            assert_eq!(scopes.len(), 4, "each scope is exported once");
        }
    }
}

#[test]
fn a_series_continues_and_ends_in_its_scope() {
    let mut state = SeriesState::new(Temporality::Delta);
    let body = |a: u32, b: u32| {
        format!(
            "# TYPE c counter\nc{{otel_scope_name=\"a\"}} {a}\nc{{otel_scope_name=\"b\"}} {b}\n# TYPE d gauge\nd{{otel_scope_name=\"b\"}} 1\n"
        )
    };
    pushed(&mut state, &reading(1_700_000_000, &body(1, 2)));
    assert_eq!(series(&pushed(&mut state, &reading(1_700_000_010, &body(5, 12)))), ["a c{} 4", "b c{} 10", "b d{} 1"]);
    let last = pushed(&mut state, &reading(1_700_000_020, "# TYPE c counter\nc{otel_scope_name=\"a\"} 6\n"));
    assert_eq!(series(&last), ["b c{} NaN", "b d{} NaN", "a c{} 1"]);
}

#[test]
fn a_series_ends_if_its_scope_type_or_labels_change() {
    let scoped = |version: &str, value: u32| {
        format!("# TYPE c gauge\nc{{otel_scope_name=\"a\",otel_scope_version=\"{version}\",l=\"x\"}} {value}\n")
    };
    let labeled = |label: &str, value: u32| format!("# TYPE c gauge\nc{{k=\"v\"{label}}} {value}\nd 1\n");
    for (before, after, expected) in [
        (scoped("1", 1), scoped("2", 2), &["a c{l=x} NaN", "a c{l=x} 2"][..]),
        (labeled(",l=\"\"", 1), labeled("", 2), &["c{k=v,l=} NaN", "c{k=v} 2", "d{} 1"]),
        (labeled("", 1), labeled(",l=\"\"", 2), &["c{k=v} NaN", "c{k=v,l=} 2", "d{} 1"]),
        (labeled("", 1), labeled("", 2).replace("c gauge", "c counter"), &["c{k=v} NaN", "c{k=v} 2", "d{} 1"]),
        // The end marker would be later than the sample.
        ("u 1\n".to_owned(), "# TYPE u gauge\nu 2 1700000009000\n".to_owned(), &["u{} 2"]),
        (labeled("", 1), labeled(",l=\"x\"", 2), &["c{k=v} NaN", "c{k=v,l=x} 2", "d{} 1"]),
        (labeled("", 1), scoped("1", 2), &["c{k=v} NaN", "d{} NaN", "a c{l=x} 2"]),
    ] {
        let mut state = SeriesState::default();
        pushed(&mut state, &reading(1_700_000_000, &before));
        let mut found = series(&pushed(&mut state, &reading(1_700_000_010, &after)));
        let mut expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        found.iter_mut().for_each(|line| *line = line.trim_start_matches("postmeter.native ").to_owned());
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{before} {after}");
    }
}

#[test]
fn types_and_units_follow_the_specification() {
    let body = "# TYPE c counter\n# UNIT c seconds\nc_total 1\n# TYPE g gauge\n# UNIT g bytes_per_second\ng 1\n# TYPE i info\ni_info{v=\"1\"} 1\n\
                # TYPE s stateset\ns{s=\"on\"} 1\ns{s=\"off\"} 0\nu 1\n# TYPE h histogram\n# UNIT h ratio\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n# TYPE y summary\ny_count 1\n";
    let (resources, _) = push(body);
    for (name, kind, unit) in [
        ("c_total", "counter", "s"),
        ("g", "gauge", "By/s"),
        ("i_info", "info", ""),
        ("s", "stateset", ""),
        ("u", "unknown", ""),
        ("h", "histogram", "1"),
        ("y", "summary", ""),
    ] {
        let metric = metric(&resources, name);
        assert_eq!((text(&metric.metadata), metric.unit.as_str()), (format!("prometheus.type={kind}"), unit), "{name}");
        let is_right = match (kind, metric.data.as_ref().unwrap()) {
            ("counter", Data::Sum(sum)) => sum.is_monotonic,
            ("info" | "stateset", Data::Sum(sum)) => !sum.is_monotonic && sum.aggregation_temporality == 2,
            ("gauge" | "unknown", Data::Gauge(_)) | ("histogram", Data::Histogram(_)) | ("summary", Data::Summary(_)) => true,
            _ => false,
        };
        assert!(is_right, "{name}: {metric:?}");
    }
}

#[test]
fn unsupported_types_are_omitted_and_counted() {
    let body = "a 1\n# TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\ng_bucket{le=\"+Inf\"} 2\ng_gcount 2\ng_gsum 3\n\
                # TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 3\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\n";
    let (resources, reading) = push(body);
    let metrics: Vec<&str> =
        resources[0].scope_metrics.iter().flat_map(|scope| &scope.metrics).map(|metric| metric.name.as_str()).collect();
    assert_eq!(metrics, ["a"]);
    let repairs = reading.snapshot().unwrap().repairs;
    assert_eq!((repairs.get(Repair::Unsupported), repairs.get(Repair::MissingCount)), (4, 2));
}

#[test]
fn a_reported_start_time_is_used() {
    let body = |n: u32, created: &str| {
        format!(
            "# TYPE c counter\nc_total{{l=\"1\"}} {n}\nc_created{{l=\"1\"}} {created}\nc_total{{l=\"2\"}} 5\n# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} {n}\nh_count {n}\nh_created {created}\n# EOF\n"
        )
    };
    let starts = |resources: &[ResourceMetrics]| {
        let numbers: Vec<u64> = points(metric(resources, "c_total")).iter().map(|point| point.start_time_unix_nano).collect();
        let Data::Histogram(histogram) = metric(resources, "h").data.as_ref().unwrap() else { panic!("not a histogram") };
        (numbers, histogram.data_points[0].start_time_unix_nano)
    };
    let half = 1_600_000_000 * SECOND + SECOND / 2;
    let mut state = SeriesState::default();
    assert_eq!(starts(&pushed(&mut state, &reading(1_700_000_000, &body(7, "1600000000.5")))), (vec![half, 0], half));
    let resources = pushed(&mut state, &reading(1_700_000_010, &body(9, "1600000000.5")));
    assert_eq!(starts(&resources), (vec![half, 0], half));
    // The counter was reset, although it counts more.
    let reset = 1_700_000_015 * SECOND;
    assert_eq!(starts(&pushed(&mut state, &reading(1_700_000_020, &body(20, "1700000015")))), (vec![reset, 0], reset));
    // A start time after the reading is due to a wrong clock and ignored.
    let mut state = SeriesState::default();
    assert_eq!(starts(&pushed(&mut state, &reading(1_700_000_000, &body(7, "1800000000")))), (vec![0, 0], 0));

    let mut state = SeriesState::new(Temporality::Delta);
    pushed(&mut state, &reading(1_700_000_000, &body(7, "1600000000.5")));
    let deltas = series(&pushed(&mut state, &reading(1_700_000_010, &body(9, "1600000000.5"))));
    assert_eq!(deltas, ["postmeter.native c_total{l=1} 2", "postmeter.native c_total{l=2} 0"]);
    let deltas = series(&pushed(&mut state, &reading(1_700_000_020, &body(20, "1700000015"))));
    assert_eq!(deltas, ["postmeter.native c_total{l=1} 20", "postmeter.native c_total{l=2} 0"]);
}

#[test]
fn created_lines_are_matched_to_their_series_in_any_order() {
    let body = "# TYPE c counter\nc_total{a=\"1\",b=\"2\"} 1\nc_total{a=\"2\"} 2\nc_created{a=\"2\"} 1600000002\nc_created{b=\"2\",a=\"1\"} 1600000001\nc_created{a=\"3\"} 1600000003\n\
                # TYPE c_created_at gauge\nc_created_at 1600000009\n# EOF\n";
    let (resources, _) = push(body);
    let starts: Vec<u64> = points(metric(&resources, "c_total")).iter().map(|point| point.start_time_unix_nano / SECOND).collect();
    assert_eq!(starts, [1_600_000_001, 1_600_000_002]);
    assert_eq!(series(&resources)[0], "postmeter.native c_created_at{} 1600000009");
}

#[test]
fn exemplars_are_forwarded() {
    let trace = "0123456789abcdef0123456789ABCDEF";
    let body = format!(
        "# TYPE c counter\nc_total 3 # {{trace_id=\"{trace}\",span_id=\"00f067aa0ba902b7\",user=\"x\"}} 1 1600000000.25\n\
         # TYPE h histogram\nh_bucket{{le=\"1\"}} 1 # {{trace_id=\"short\"}} 0.5\nh_bucket{{le=\"+Inf\"}} 2 1699999999000 # {{}} 7 1600000001\nh_count 2\n\
         # TYPE g gauge\ng 1 # {{a=\"b\"}} 1\n# TYPE l counter\nl_total 1 # {{a=\"{}\"}} 1\n",
        "x".repeat(128)
    );
    let (resources, reading) = push(&body);
    let exemplar = |exemplar: &Exemplar| {
        let value = match exemplar.value {
            Some(opentelemetry_proto::tonic::metrics::v1::exemplar::Value::AsDouble(n)) => n,
            other => panic!("{other:?}"),
        };
        (text(&exemplar.filtered_attributes), value, exemplar.time_unix_nano, exemplar.trace_id.len(), exemplar.span_id.clone())
    };
    let of_counter = &points(metric(&resources, "c_total"))[0].exemplars;
    let span = vec![0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
    let at = 1_600_000_000 * SECOND + SECOND / 4;
    assert_eq!(of_counter.iter().map(exemplar).collect::<Vec<_>>(), [("user=x".to_owned(), 1.0, at, 16, span)]);
    assert_eq!(points(metric(&resources, "g"))[0].exemplars.len(), 1);
    let Data::Histogram(histogram) = metric(&resources, "h").data.as_ref().unwrap() else { panic!("not a histogram") };
    let expected =
        [("trace_id=short".to_owned(), 0.5, 1_699_999_999 * SECOND, 0, vec![]), (String::new(), 7.0, 1_600_000_001 * SECOND, 0, vec![])];
    assert_eq!(histogram.data_points[0].exemplars.iter().map(exemplar).collect::<Vec<_>>(), expected);
    assert_eq!(reading.snapshot().unwrap().repairs.get(Repair::ExemplarDropped), 1);
}

#[test]
fn utf8_names_are_kept() {
    let (resources, _) = push("# TYPE \"mail.queue.size\" gauge\n{\"mail.queue.size\",\"queue.name\"=\"a\",b=\"c\"} 5\n{\"Süd\"} 7\n");
    assert_eq!(series(&resources), ["postmeter.native Süd{} 7", "postmeter.native mail.queue.size{queue.name=a,b=c} 5"]);
}

/// A file with an input that failed once; `None` if the files are not available.
fn case(name: &str) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/cases/").to_owned() + name;
    let read = std::fs::read_to_string(&path).ok();
    if read.is_none() {
        eprintln!("skipped: {path} does not exist");
    }
    read
}

#[test]
fn inputs_that_failed_once_lose_no_series() {
    for (name, count, has) in [
        ("70-federate.prom", 5, "postmeter.native postfix_queue_length{queue=deferred,exported_job=postfix,exported_instance=mx2:9154} 20"),
        ("40-target-info.prom", 7, "postmeter.native requests_total{} 4"),
        ("job-instance.prom", 4, "postmeter.native n{exported___name__=other} 4"),
        ("21-utf8-names.prom", 5, "postmeter.native mail.queue.size{queue.name=a,b=c} 5"),
    ] {
        let Some(body) = case(name) else { continue };
        let (resources, reading) = push(&body);
        let lines = series(&resources);
        assert_eq!(lines.len(), count, "{name}: {lines:#?}");
        assert!(lines.iter().any(|line| line == has), "{name}: {lines:#?}");
        if name == "40-target-info.prom" {
            let resource = text(&resources[0].resource.as_ref().unwrap().attributes);
            assert_eq!(resource, "service.name=prometheus,service.instance.id=one,host_name=a,service_name=cart,service_namespace=demo");
            let collisions: Vec<String> = reading.native.name_collisions().iter().map(|c| format!("{} {}", c.other, c.family)).collect();
            assert_eq!(
                collisions,
                ["Postmeter's own mail_queue_depth mail_queue_depth", "Postmeter's own mail_up mail_up", "requests requests_total"]
            );
        }
    }
}
