//! Responses of real servers, from the directory in `POSTMETER_CAPTURES`: each can be read, and the canonical values are those that were
//! calculated by hand.
#![allow(clippy::unwrap_used)]

mod inventory;
mod values;

use crate::support::{files, postmeter, skipped, stderr};
use inventory::{EMPTY, ERRORS, PARTS, is_other};
use postmeter::model::{Families, Histogram, Repair, Snapshot};
use postmeter::source::{self, Context, CounterMemory, Part, Reader, Source, map_to_canonical};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use values::VALUES;

/// Returns the directory of the captures, or reports that the test is skipped.
fn captures(test: &str) -> Option<PathBuf> {
    let captures = std::env::var_os("POSTMETER_CAPTURES").map(PathBuf::from);
    if captures.is_none() {
        skipped(test, "POSTMETER_CAPTURES is not set");
    }
    captures
}

fn part(capture: &str) -> Option<(&'static Source, &'static Part)> {
    let (_, system, part) = PARTS.iter().find(|(start, ..)| capture.starts_with(start))?;
    let source = source::by_name(system).unwrap();
    Some((source, source.part(part).unwrap()))
}

/// Returns the body of a capture, without HTTP headers.
fn body(captures: &Path, capture: &str) -> Vec<u8> {
    let saved = std::fs::read(captures.join(capture)).unwrap();
    if capture.ends_with(".gz") {
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&saved[..]), &mut body).unwrap();
        return body;
    }
    let headers_len = saved.starts_with(b"HTTP/").then(|| saved.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4);
    let body = &saved[headers_len.unwrap_or_default()..];
    // The captures of the administration API end with curl's status and duration.
    let end = body.windows(CURL_STATUS.len()).rposition(|w| w == CURL_STATUS).filter(|_| capture.ends_with("-v1.json"));
    body[..end.unwrap_or(body.len())].to_vec()
}

/// The beginning of what `curl -w` wrote after the body.
const CURL_STATUS: &[u8] = b" [200 ";

fn families(captures: &Path, capture: &str) -> Families {
    let (_, part) = part(capture).unwrap();
    part.read_saved(body(captures, capture)).unwrap_or_else(|error| panic!("{capture}: {error}"))
}

fn snapshot(captures: &Path, capture: &str) -> Snapshot {
    let (source, part) = part(capture).unwrap();
    // 2026-11-20T23:44:46Z.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_218_286);
    let context = Context { window_start: Some(now), ..Context::at(now) };
    map_to_canonical(source, &[(part, families(captures, capture))], &mut CounterMemory::default(), &context)
}

#[test]
fn every_capture_is_read_or_reports_the_expected_error() {
    let Some(captures) = captures("every_capture_is_read_or_reports_the_expected_error") else { return };
    let mut unknown = Vec::new();
    for path in files(&captures) {
        let capture = path.strip_prefix(&captures).unwrap().to_str().unwrap();
        let error = ERRORS.iter().find(|(name, _)| *name == capture);
        match (part(capture), error) {
            _ if is_other(capture) => {}
            (Some((source, part)), Some((_, message))) => check_error(&captures, capture, source, part, message),
            (Some(_), None) => assert_eq!(families(&captures, capture).series() == 0, EMPTY.contains(&capture), "{capture}"),
            (None, _) => unknown.push(capture.to_owned()),
        }
    }
    assert!(unknown.is_empty(), "no system is known for these captures: {unknown:?}");
}

#[track_caller]
fn check_error(captures: &Path, capture: &str, source: &Source, part: &Part, message: &str) {
    let file = format!("{}={capture}", part.name);
    let output = postmeter().current_dir(captures).args(["scrape", "--system", source.name, "--file", &file]).output().unwrap();
    // The error of an optional part is followed by an error about the missing required part.
    let first = stderr(&output).lines().next().unwrap().trim_start_matches("postmeter: ").to_owned();
    assert_eq!(output.status.code(), Some(1), "{capture}");
    assert!(first.starts_with(&format!("{capture}: {message}")), "{first}");
}

#[test]
fn canonical_values_are_correct() {
    let Some(captures) = captures("canonical_values_are_correct") else { return };
    for (capture, values) in VALUES {
        let snapshot = snapshot(&captures, capture);
        for (series, expected) in *values {
            let mut parts = series.split(' ');
            let (metric, mut expected_values) = (parts.next().unwrap(), parts.collect::<Vec<_>>());
            expected_values.sort_unstable();
            let value = snapshot.points.iter().find(|p| {
                let mut values: Vec<_> = p.attributes.iter().map(|(_, value)| value.as_ref()).collect();
                values.sort_unstable();
                p.metric.name == metric && values == expected_values
            });
            let value = value.map_or(f64::NAN, |p| p.value);
            assert!(value == *expected || (value.is_nan() && expected.is_nan()), "{capture}: {series} is {value}, not {expected}");
        }
    }
}

#[test]
fn the_administration_of_kumomta_is_read() {
    let Some(captures) = captures("the_administration_of_kumomta_is_read") else { return };
    for (capture, expected) in [
        ("admin-bounce-v1", &["kumomta_admin_bounces 1", "kumomta_admin_bounced_messages 20"][..]),
        (
            "admin-ready-q-states-v1",
            &["kumomta_admin_ready_queues connection_limited 0", "kumomta_admin_ready_queues connection_rate_throttled 0"],
        ),
        ("admin-suspend-ready-q-v1", &["kumomta_admin_suspended_ready_queues 0"]),
        (
            "admin-suspend-v1",
            &[
                "kumomta_admin_suspensions 1",
                "kumomta_admin_suspended_domains 1",
                "kumomta_admin_suspended_tenants 0",
                "kumomta_admin_suspended_campaigns 0",
            ],
        ),
        ("kumo-check-liveness-v1", &["kumomta_live 1"]),
    ] {
        let families = families(&captures, &format!("kumomta/{capture}.json"));
        let mut lines = Vec::new();
        for family in families.iter() {
            for sample in family.samples() {
                let labels: String = sample.labels().map(|(_, value)| format!(" {value}")).collect();
                lines.push(format!("{}{labels} {}", family.name(), sample.number().unwrap()));
            }
        }
        assert_eq!(lines, expected, "{capture}");
    }
}

#[test]
fn repairs_are_counted() {
    let Some(captures) = captures("repairs_are_counted") else { return };
    for (capture, expected) in [
        ("kumomta/small.metrics.json", &[][..]),
        ("kumomta/small.metrics.txt", &[]),
        ("kumomta/badlabel_quote.metrics.json", &[(Repair::Unescaped, 2)]),
        ("kumomta/badlabel_quote.metrics.txt", &[(Repair::Unescaped, 2)]),
        ("stalwart/0.15.5/09_final.txt", &[(Repair::NotCumulative, 8)]),
        ("emailengine/20-active.prom", &[]),
        ("ceymail/01-metrics.constructed.prom", &[]),
        ("postfix/02-active.http", &[]),
        ("exim/02-active.http", &[]),
        ("dovecot/02-active.http", &[]),
        ("rspamd/02-active.http", &[]),
    ] {
        assert_eq!(snapshot(&captures, capture).repairs.iter().collect::<Vec<_>>(), expected, "{capture}");
    }
}

#[test]
fn durations_of_dovecot_cover_its_deliveries_and_others_are_not_mapped() {
    let Some(captures) = captures("durations_of_dovecot_cover_its_deliveries_and_others_are_not_mapped") else { return };
    let histograms = |capture: &str| -> Vec<(&str, u64)> {
        snapshot(&captures, capture).histograms.iter().map(|(metric, _, histogram)| (metric.name, histogram.count)).collect()
    };
    assert_eq!(histograms("dovecot/02-active.http"), [("mail.delivery.attempt.duration", 8)]);
    // Postfix's exporter adds four stages up.
    assert_eq!(histograms("postfix/02-active.http"), []);
}

#[test]
fn both_formats_of_a_server_have_the_same_values() {
    let Some(captures) = captures("both_formats_of_a_server_have_the_same_values") else { return };
    for name in ["idle", "small", "badlabel_quote"] {
        let [json, text] = ["json", "txt"].map(|format| snapshot(&captures, &format!("kumomta/{name}.metrics.{format}")));
        assert_eq!(json.series_read, text.series_read, "{name}");
        let sorted = |snapshot: Snapshot| {
            let mut points: Vec<_> =
                snapshot.points.into_iter().map(|p| format!("{} {:?} {}", p.metric.name, p.attributes, p.value)).collect();
            points.sort();
            points
        };
        assert_eq!(sorted(json), sorted(text), "{name}");
    }
}

/// Compares histograms with those that the same server pushed over OTLP, which are correct.
#[test]
fn histograms_equal_those_that_the_server_pushes() {
    let Some(captures) = captures("histograms_equal_those_that_the_server_pushes") else { return };
    let pushed: serde_json::Value = serde_json::from_slice(&body(&captures, "stalwart/0.15.5/otlp_push_at_09.json")).unwrap();
    let metrics =
        pushed["body"]["resourceMetrics"][0]["scopeMetrics"].as_array().unwrap().iter().flat_map(|s| s["metrics"].as_array().unwrap());
    let pushed: BTreeMap<String, Histogram> = metrics.filter_map(histogram).collect();
    let read = families(&captures, "stalwart/0.15.5/09_final.txt");
    let mut compared = Vec::new();
    for family in read.iter() {
        let Some(postmeter::model::Value::Histogram(scraped)) = family.samples().next().map(|s| s.value()) else { continue };
        let pushed = pushed.get(family.name()).unwrap_or_else(|| panic!("{} was not pushed", family.name()));
        // The push was slightly later, and itself an HTTP request.
        if family.name() != "http_request_time" {
            assert_eq!(scraped, pushed, "{}", family.name());
        }
        assert_eq!(scraped.bounds, pushed.bounds, "{}", family.name());
        compared.push(family.name());
    }
    assert_eq!(compared.len(), 8, "{compared:?}");

    let snapshot = snapshot(&captures, "stalwart/0.15.5/09_final.txt");
    let (_, _, delivery) = snapshot.histograms.iter().find(|(metric, ..)| metric.name == "mail.delivery.duration").unwrap();
    assert_eq!((delivery.count, delivery.bounds[0], delivery.cumulative[0]), (15, 1.0, 15));
}

/// Returns a pushed histogram with the name that it has on the Prometheus endpoint.
fn histogram(metric: &serde_json::Value) -> Option<(String, Histogram)> {
    let number = |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap();
    let point = metric["histogram"]["dataPoints"].as_array()?.first()?;
    let mut sum = 0;
    let mut cumulative: Vec<u64> = point["bucketCounts"].as_array()?.iter().map(number).map(|n| (sum += n, sum).1).collect();
    cumulative.pop();
    let bounds = point["explicitBounds"].as_array()?.iter().filter_map(serde_json::Value::as_f64).collect();
    let histogram = Histogram { bounds, cumulative, sum: point["sum"].as_f64(), count: number(&point["count"]) };
    Some((metric["name"].as_str()?.replace(['.', '-'], "_"), histogram))
}

/// Passthrough loses nothing: there are as many lines as native series, which are counted without the readers under test.
#[test]
fn every_native_series_of_every_capture_is_forwarded() {
    let Some(captures) = captures("every_native_series_of_every_capture_is_forwarded") else { return };
    let mut checked = 0;
    for path in files(&captures) {
        let capture = path.strip_prefix(&captures).unwrap().to_str().unwrap();
        if is_other(capture) {
            continue;
        }
        let Some((source, part)) = part(capture).filter(|(source, part)| part.name == source.required().name) else { continue };
        // Because of their names, these two documents are not valid JSON, and families of one of them are omitted.
        let is_invalid_json = ["kumomta/forged-family.metrics.json", "kumomta/oddnames.metrics.json"].contains(&capture);
        // A document that is read by paths has no lines to count.
        let is_read_by_paths = part.requests.iter().any(|request| matches!(request.reader, Reader::Paths(_)));
        if ERRORS.iter().any(|(error, _)| *error == capture) || source.name == "cpanel" || is_invalid_json || is_read_by_paths {
            continue;
        }
        let body = String::from_utf8(body(&captures, capture)).unwrap();
        // The queue name with quotes makes the JSON invalid, so the same state is counted in the text format.
        let body = match capture.strip_suffix("badlabel_quote.metrics.json") {
            Some(folder) => std::fs::read_to_string(captures.join(format!("{folder}badlabel_quote.metrics.txt"))).unwrap(),
            None => body,
        };
        let expected: usize = match serde_json::from_str::<serde_json::Value>(&body) {
            Ok(document) => document.as_object().unwrap().values().map(|family| lines_of(&family["value"])).sum(),
            Err(_) => body.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count(),
        };
        // Before its first delivery Dovecot writes a histogram without a count, which is that of the infinite bucket.
        let added = usize::from(["dovecot/01-fresh.http", "dovecot/dovecot-2.3.19.http"].contains(&capture));
        let expected = expected + added;
        let page = postmeter().args(["scrape", "--only", "native", "--system", source.name, "--file"]).arg(&path).output().unwrap();
        let page = String::from_utf8(page.stdout).unwrap();
        let lines = page.lines().filter(|line| !line.starts_with('#')).count();
        // The two formats were captured one after the other, and differ by short-lived series.
        let is_equal = if capture.contains("badlabel") { lines.abs_diff(expected) <= 2 } else { lines == expected };
        assert!(is_equal, "{capture}: {lines} of {expected} ({})", part.name);
        checked += 1;
    }
    assert!(checked >= 15, "{checked}");
}

/// Returns the number of lines of a JSON value in the text format. A histogram has a line for each bucket, and for infinity, sum and count.
fn lines_of(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(map) => match map.get("bucket").and_then(serde_json::Value::as_array) {
            Some(buckets) => buckets.len() + 3,
            None if map.contains_key("@") => lines_of(&map["@"]),
            None => map.values().map(lines_of).sum(),
        },
        serde_json::Value::Array(list) => list.iter().map(lines_of).sum(),
        serde_json::Value::Null => 0,
        _ => 1,
    }
}
