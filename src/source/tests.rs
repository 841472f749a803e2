//! Properties that every mail system has.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::vocabulary::{
    BOUNCES, COMPLAINTS, DELIVERY_ATTEMPTS, DELIVERY_DURATION, DELIVERY_FAILURES, MESSAGE_SIZE, RECEIVED_MESSAGES, REJECTED_MESSAGES,
};
use crate::model::{Attribute, Kind, Repair};
use crate::yaml::Problems;

fn rules() -> impl Iterator<Item = (&'static Source, &'static Part, &'static Rule)> {
    SOURCES.iter().flat_map(|source| source.rules().map(move |(part, rule)| (*source, part, rule)))
}

#[test]
fn rules_produce_only_declared_attributes_and_values() {
    for (source, _, rule) in rules() {
        let place = format!("{}: {:?} -> {}", source.name, rule.families, rule.metric.name);
        let declared = |attribute: &Attribute| rule.metric.attributes.contains(&attribute);
        for (attribute, value) in rule.with {
            assert!(declared(attribute), "{place}: {} is not declared", attribute.key);
            let is_known = attribute.values.is_empty() || attribute.values.contains(value);
            assert!(is_known, "{place}: {} has no {value}", attribute.key);
        }
        for from in rule.from {
            assert!(declared(from.attribute), "{place}: {} is not declared", from.attribute.key);
            let canonical = from.values.iter().map(|(_, canonical)| *canonical).chain(from.other);
            let needs_table = !from.attribute.values.is_empty();
            assert!(!needs_table || !from.values.is_empty(), "{place}: a closed set of values needs a table");
            for value in canonical.filter(|_| needs_table) {
                assert!(from.attribute.values.contains(&value), "{place}: {} has no {value}", from.attribute.key);
            }
        }
        if let Some((_, attribute)) = rule.detail {
            assert!(rule.metric.detail.contains(&attribute), "{place}: {} is not a detail", attribute.key);
            assert_eq!(rule.metric.kind, Kind::UpDownCounter, "{place}: only up-down counters can have a detail");
        }
    }
}

#[test]
fn rules_with_zero_when_absent_have_a_known_set_of_attributes() {
    for (source, _, rule) in rules().filter(|(_, _, rule)| rule.zero_when_absent) {
        assert!(rule.from.iter().all(|from| !from.values.is_empty()), "{}: {:?}", source.name, rule.families);
        assert_ne!(rule.metric.kind, Kind::Histogram, "{}: {:?}", source.name, rule.families);
    }
}

#[test]
fn a_histogram_comes_from_one_rule() {
    for (source, _, rule) in rules().filter(|(_, _, rule)| rule.metric.kind == Kind::Histogram) {
        let same = rules().filter(|(s, _, r)| s.name == source.name && r.metric == rule.metric && r.with == rule.with);
        assert_eq!(same.count(), 1, "{}: {:?}", source.name, rule.families);
    }
}

#[test]
fn names_are_unique_and_hints_are_set() {
    for source in SOURCES.iter() {
        assert_eq!(SOURCES.iter().filter(|other| other.name == source.name).count(), 1, "{}", source.name);
        for part in source.parts {
            assert_eq!(source.parts.iter().filter(|other| other.name == part.name).count(), 1, "{}", part.name);
            assert!(
                !part.requests.is_empty() && part.requests.iter().all(|r| r.path == TARGET_URL || r.path.starts_with('/')),
                "{}",
                part.name
            );
            assert!(!part.unauthorized_hint.is_empty() && !part.not_found_hint.is_empty() && !part.help.is_empty(), "{}", part.name);
        }
    }
}

#[test]
fn every_reader_detects_an_html_page() {
    let page = b"\n<!DOCTYPE html><html><body>Sign in</body></html>".to_vec();
    for request in SOURCES.iter().flat_map(|source| source.parts).flat_map(|part| part.requests) {
        assert_eq!(request.read(page.clone()).err(), Some(ReadError::Html), "{}", request.path);
    }
}

#[test]
fn invalid_utf_8_is_counted_as_a_repair() {
    let request = &by_name("emailengine").unwrap().required().requests[0];
    let families = request.read(b"x{q=\"\xff\"} 1\n".to_vec()).unwrap();
    assert_eq!(families.repairs().iter().collect::<Vec<_>>(), [(Repair::InvalidUtf8, 1)]);
}

#[test]
fn a_last_line_without_line_feed_is_accepted_only_from_servers_that_may_omit_it() {
    for (system, format, is_accepted) in [
        ("kumomta", "text", false),
        ("stalwart", "text", false),
        ("emailengine", "text", false),
        ("ceymail", "text", true),
        ("prometheus", "text", true),
    ] {
        let request = by_name(system).unwrap().required().requests.iter().find(|request| request.format == format).unwrap();
        assert!(request.read(b"x 1\ny 12\n".to_vec()).is_ok(), "{system}");
        assert_eq!(request.read(b"x 1\ny 1".to_vec()).is_ok(), is_accepted, "{system}");
        assert!(matches!(request.read(b"x 1\n# HELP y Ab".to_vec()), Err(ReadError::Malformed(_))), "{system}");
    }
}

#[test]
fn only_the_generic_system_prefers_openmetrics() {
    let requests = |source: &'static Source| source.parts.iter().flat_map(|part| part.requests);
    for source in SOURCES.iter() {
        let formats: Vec<&str> = requests(source).filter(|request| request.prefers_openmetrics).map(|request| request.format).collect();
        // The rules of the others are for the names of the text format.
        assert_eq!(formats, if source.name == GENERIC { &["openmetrics"][..] } else { &[] }, "{}", source.name);
    }
}

#[test]
fn no_reader_panics_on_the_response_of_another_system() {
    let bodies: &[&[u8]] = &[b"", b"\0", b"{", b"{}", b"[]", b"null", b"\"", b"x", b"x 1", b"{\"a\":", b"\xff\xfe{\"x\":1}", b"# TYPE"];
    for request in SOURCES.iter().flat_map(|source| source.parts).flat_map(|part| part.requests) {
        for body in bodies {
            let _ = request.read(body.to_vec());
        }
    }
}

#[test]
fn no_reader_panics_on_a_truncated_or_damaged_response() {
    /// The distance between two damaged positions. It is prime, so that they are spread over all kinds of text.
    const STRIDE_BYTES: usize = 53;
    for source in SOURCES.iter() {
        let folder = format!("{}/tests/fixtures/{}", env!("CARGO_MANIFEST_DIR"), source.name);
        for entry in std::fs::read_dir(folder).unwrap() {
            let response = std::fs::read(entry.unwrap().path()).unwrap();
            for (end, byte) in (0..response.len()).step_by(STRIDE_BYTES).zip(b"\"\\{}[]<\n,:\xff0-".iter().cycle()) {
                let mut damaged = response.clone();
                damaged[end] = *byte;
                for request in source.parts.iter().flat_map(|part| part.requests) {
                    let _ = request.read(response[..end].to_vec());
                    let _ = request.read(damaged.clone());
                }
            }
        }
    }
}

/// Returns the saved responses of a mail system's required part, each with the path of its file.
fn fixtures(source: &Source) -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/tests/fixtures/{}", env!("CARGO_MANIFEST_DIR"), source.name);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // Those whose names begin with "other" are of another program.
    let is_other = |path: &std::path::Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("other"));
    let is_response = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|end| end == "prom") && !is_other(path)
            || path.file_name().is_some_and(|name| name == "metrics.json" || name == "metrics.txt")
    };
    files.filter(is_response).map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn a_response_of_another_mail_system_is_rejected() {
    for (source, (name, body)) in SOURCES.iter().flat_map(|source| fixtures(source).into_iter().map(move |fixture| (source, fixture))) {
        for request in source.required().requests {
            let Ok(families) = request.read(body.clone()) else { continue };
            if families.series() > 0 {
                assert!(source.required().read(request, body.clone()).is_ok(), "{name} as {}", source.name);
            }
            // The page of an unknown exporter can be that of a server that has counted nothing yet.
            let may_accept = |part: &Part| {
                part.identifying_families.is_empty() || part.identity_is_optional && source.required().identifying_families.is_empty()
            };
            // A page of an exporter with a definition can also be read as any Prometheus endpoint, and is then named after that definition.
            let is_same = |other: &Source| other.name == source.name || name.ends_with(&format!("/prometheus/{}.prom", other.name));
            for other in SOURCES.iter().filter(|other| !may_accept(other.required()) && !is_same(other)) {
                let read = other.required().read(request, body.clone());
                assert!(matches!(read, Err(ReadError::OtherExporter(_))), "{name} as {}: {:?}", other.name, read.map(|f| f.series()));
            }
        }
    }
}

#[test]
fn a_document_is_accepted_for_any_family_of_its_paths() {
    let part = by_name("emailengine").unwrap().part("stats").unwrap();
    for (body, expected) in [
        (r#"{"accounts":null,"queues":{"submit":{"isPaused":true}}}"#, Ok(vec!["emailengine_queue_paused"])),
        (r#"{"accounts":5,"queues":null}"#, Ok(vec!["emailengine_accounts", "emailengine_queue_paused"])),
        (r#"{"version":"2"}"#, Err("the response cannot be read: no path leads to a value; it has version".to_owned())),
    ] {
        let read = part.read(&part.requests[0], body.as_bytes());
        let names = read.as_ref().map(|families| families.iter().map(|family| family.name()).collect::<Vec<_>>());
        assert_eq!(names.map_err(ToString::to_string), expected, "{body}");
    }
}

#[test]
fn a_response_of_another_exporter_is_rejected_with_the_names_of_its_families() {
    let go = "go_goroutines 7\nprocess_cpu_seconds_total 3\n# TYPE go_gc histogram\ngo_gc_count 3\nup 1\nup{a=\"1\"} 1\nx 1\ny 1\n";
    for (system, format) in [("ceymail", "text"), ("kumomta", "text"), ("stalwart", "text"), ("emailengine", "text")] {
        let part = by_name(system).unwrap().required();
        let request = part.requests.iter().find(|request| request.format == format).unwrap();
        let error = part.read(request, go.as_bytes()).err().map(|error| error.to_string());
        // The reader of KumoMTA drops samples outside of the block of their type.
        let names = if system == "kumomta" {
            "go_goroutines, process_cpu_seconds_total, go_gc"
        } else {
            "go_goroutines, process_cpu_seconds_total, up, x, y"
        };
        assert_eq!(error, Some(format!("this looks like another exporter: {names}; check url and system")), "{system}");
        assert_eq!(part.read(request, Vec::new()).err(), Some(ReadError::Empty), "{system}: an empty body");
        assert_eq!(part.read(request, b"# TYPE x gauge\n".to_vec()).err(), Some(ReadError::Empty), "{system}: no sample");
    }
    let kumomta = by_name("kumomta").unwrap().required();
    let json = br#"{"go_goroutines":{"type":"gauge","value":7}}"#.to_vec();
    assert_eq!(kumomta.read(&kumomta.requests[0], json).err(), Some(ReadError::OtherExporter("go_goroutines".to_owned())));
    let prometheus = by_name("prometheus").unwrap().required();
    assert!(prometheus.read(&prometheus.requests[0], go.as_bytes()).is_ok(), "a generic endpoint has no identifying families");
}

#[test]
fn every_built_in_definition_loads_and_its_examples_hold() {
    let problems = built_in_problems();
    assert!(problems.is_empty(), "{}", Problems::new(problems));
    let names: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
    assert_eq!(names, BUILT_IN_NAMES, "a definition has the name of its file");
    for source in SOURCES.iter() {
        assert_eq!(source.uses_target_url(), source.name == GENERIC, "{}", source.name);
        let problems = run_examples(source);
        assert!(problems.is_empty(), "{}:\n{}", source.name, Problems::new(problems));
    }
}

#[test]
fn metrics_without_facts_in_records_remain_those_of_polls() {
    let sources = SOURCES.iter().filter(|source| source.hook.is_some());
    let counted =
        |metric| sources.clone().filter(|source| source.record_metrics().contains(metric)).map(|source| source.name).collect::<Vec<_>>();
    assert_eq!(counted(&DELIVERY_DURATION), ["kumomta", "emailengine", "postfix", "postal"]);
    assert_eq!(counted(&MESSAGE_SIZE), ["kumomta", "stalwart", "postfix", "mailgun"]);
    assert_eq!(counted(&BOUNCES), ["kumomta", "emailengine", "mox", "postal", "mailgun"]);
    assert_eq!(counted(&COMPLAINTS), ["kumomta", "stalwart", "emailengine", "sendgrid", "mailgun", "postmark"]);
    assert_eq!(counted(&REJECTED_MESSAGES), ["kumomta", "postfix", "postal", "sendgrid", "mailgun", "postmark"]);
    assert_eq!(counted(&RECEIVED_MESSAGES), ["kumomta", "stalwart", "postfix", "sendgrid", "mailgun"]);
    for metric in [&DELIVERY_ATTEMPTS, &DELIVERY_FAILURES] {
        assert_eq!(counted(metric).len(), sources.clone().count(), "{}", metric.name);
    }
}
