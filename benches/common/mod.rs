//! Helpers of the benchmarks: bodies of a busy KumoMTA server, the loops over them, and checks of the results.
#![allow(clippy::unwrap_used, dead_code, missing_docs)]

mod named;

#[allow(unused_imports)]
pub use named::{is_named, named};
use postmeter::config::{self, Compression, Environment};
use postmeter::export::SeriesState;
use postmeter::export::exposition::{ExpositionWriter, Format, ReservedNames, Section};
use postmeter::export::otlp::{REQUEST_BYTES_MAX, RequestBody, TargetMetrics, requests};
use postmeter::model::{Families, FamilySelection, SelectedFamilies, Snapshot};
use postmeter::poll::{Limits, Reading, Tally, Target};
use postmeter::simulate::{HookSystem, SigningKey};
use postmeter::source;
use postmeter::telemetry::{DeliveryMetrics, Identity};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// KumoMTA's JSON with this number of series: half are gauges with one label, half counters with three.
pub fn json(series: usize) -> String {
    let mut body = String::from("{\"message_count\":{\"help\":\"All messages.\",\"type\":\"gauge\",\"value\":1},\n");
    body += "\"scheduled_count\":{\"help\":\"Messages in a queue.\",\"type\":\"gauge\",\"value\":{\"queue\":{";
    for i in 0..series / 2 {
        let _ = write!(body, "{}\"c{}:acme@d{i:06}.example.com\":{}", if i > 0 { ",\n" } else { "" }, i % 7, i % 100);
    }
    body += "}}},\n\"delivered_by_provider_and_source\":{\"help\":\"Deliveries.\",\"type\":\"counter\",\"value\":[";
    for i in 0..series / 2 {
        let comma = if i > 0 { ",\n" } else { "" };
        let _ = write!(body, "{comma}{{\"provider\":\"mx{i:06}.example.net\",\"source\":\"ip-{}\",\"pool\":\"pool0\",\"@\":{i}}}", i % 4);
    }
    body + "]}}"
}

/// The same series as text.
pub fn text(series: usize) -> String {
    let mut body = String::from("# HELP message_count All messages.\n# TYPE message_count gauge\nmessage_count 1\n");
    body += "# HELP scheduled_count Messages in a queue.\n# TYPE scheduled_count gauge\n";
    for i in 0..series / 2 {
        let _ = writeln!(body, "scheduled_count{{queue=\"c{}:acme@d{i:06}.example.com\"}} {}", i % 7, i % 100);
    }
    body += "# HELP delivered_by_provider_and_source Deliveries.\n# TYPE delivered_by_provider_and_source counter\n";
    for i in 0..series / 2 {
        let name = "delivered_by_provider_and_source";
        let _ = writeln!(body, "{name}{{provider=\"mx{i:06}.example.net\", source=\"ip-{}\", pool=\"pool0\"}} {i}", i % 4);
    }
    body
}

/// A page of WHM's delivery log with all fields; most records are successful deliveries.
pub fn deliveries(records: usize) -> String {
    let mut body = String::from("{\"data\":{\"records\":[");
    for i in 0..records {
        let (kind, message) = match i % 10 {
            8 => ("defer", "SMTP error from remote mail server after RCPT TO:<reader@example.org>: 451 4.7.1 Greylisted, try again later"),
            9 => (
                "failure",
                "SMTP error from remote mail server after RCPT TO:<reader@example.org>: 550 5.1.1 <reader@example.org>: unknown",
            ),
            _ => ("success", "Accepted"),
        };
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(
            body,
            r#"{comma}{{"actiontime":"2026-11-20 10:00:01","actionunixtime":{at},"deliveredto":"reader{i}@example.org","deliverydomain":"example.org","deliveryuser":null,"domain":"example.net","email":"sender{i}@example.net","host":"mx1.example.org","ip":"192.0.2.{ip}","message":"{message}","msgid":"1vM{i:06}-00000002aB1-3cDe","owner":"root","recipient":"reader{i}@example.org","router":"lookuphost","sender":"sender{i}@example.net","senderauth":"dovecot_login","senderhost":"client.example.net","senderip":"198.51.100.{ip}","sendunixtime":{sent},"size":"{size}","spamscore":0,"transport":"remote_smtp","transport_is_remote":1,"type":"{kind}","user":"user{user}"}}"#,
            at = 1_795_168_802 + i / 10,
            sent = 1_795_168_800 + i / 10,
            ip = i % 250,
            size = 1000 + i,
            user = i % 40,
        );
    }
    body + "]},\"metadata\":{\"command\":\"emailtrack_search\",\"reason\":\"OK\",\"result\":1,\"version\":1,\"overflowed\":0}}"
}

/// The sum of all values in [`json`] and [`text`].
pub fn sum(series: usize) -> f64 {
    1.0 + (0..series / 2).map(|i| (i % 100 + i) as f64).sum::<f64>()
}

pub fn read(format: &str, body: String) -> Families {
    let requests = source::by_name("kumomta").unwrap().required().requests;
    requests.iter().find(|request| request.format == format).unwrap().reader.read(body, None).unwrap()
}

pub fn choose(families: Families) -> SelectedFamilies {
    SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()))
}

pub fn check(native: &SelectedFamilies, series: usize) {
    assert_eq!(native.kept as usize, series / 2 * 2 + 1);
    let numbers = native.families().flat_map(|family| family.samples()).filter_map(|sample| sample.number());
    assert!((numbers.sum::<f64>() - sum(series)).abs() < 1e-3 * sum(series));
}

/// Writes the exposition and discards it. Returns the number of bytes and of pieces.
pub fn expose(native: &Arc<SelectedFamilies>) -> (usize, usize) {
    let (mut bytes, mut lines) = (0, 0);
    let mut out = |piece: &mut Vec<u8>| {
        bytes += piece.len();
        // Counting lines would distort the measurement; the first byte of each piece keeps the compiler from removing the loop.
        lines += usize::from(piece.first().is_some_and(|b| *b != 0));
        piece.clear();
        true
    };
    let mut page = ExpositionWriter::new(Format::Text, &mut out);
    let _ = page.write(&[Section::of_target(native.clone(), &Identity::new("kumomta", "mta1"))], &ReservedNames::default());
    page.finish();
    (bytes, lines)
}

pub fn reading(native: Arc<SelectedFamilies>, second: u64) -> Reading {
    let (at, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second), Instant::now());
    let (parts, tally, outcome) = (Vec::new(), Tally::default(), Ok(Snapshot::default()));
    Reading { at, began: now, ended: now, outcome, native, parts, body_bytes: 0, tally, tally_since: at }
}

/// Compares a reading with the previous one and encodes all requests. Returns the number of points and of bytes.
pub fn push(reading: &Reading, state: &mut SeriesState) -> (u64, usize) {
    let metrics = [TargetMetrics::new(&Identity::new("kumomta", "mta1"), state.report(Vec::new(), "kumomta", reading, None))];
    requests(&metrics, REQUEST_BYTES_MAX).fold((0, 0), |(points, bytes), request| (points + request.points, bytes + request.bytes.len()))
}

/// As [`push`], and compresses the requests. Returns the number of points and of compressed bytes.
pub fn push_compressed(reading: &Reading, state: &mut SeriesState, compression: Compression) -> (u64, usize) {
    let metrics = [TargetMetrics::new(&Identity::new("kumomta", "mta1"), state.report(Vec::new(), "kumomta", reading, None))];
    requests(&metrics, REQUEST_BYTES_MAX).fold((0, 0), |(points, bytes), request| {
        (points + request.points, bytes + RequestBody::compressed(request.bytes, compression).len())
    })
}

/// The metrics of the delivery records of a cPanel target, split by these fields.
pub fn delivery_metrics(by: &[&str]) -> DeliveryMetrics {
    let text = format!(
        "state_dir: .\ntargets: [{{name: a, system: cpanel, url: 'https://cp.example.com:2087', username: root, token: t, \
         parts: {{messages: {{by: [{}]}}}}}}]",
        by.join(", ")
    );
    let config = config::parse(&text, "bench.yaml", &Environment::default()).unwrap();
    let target = Target::new(config.targets[0].clone(), Limits::default()).unwrap();
    DeliveryMetrics::new(target.config.record_detail(), target.records.clone())
}

/// The resident memory of this process.
pub fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The systems that report deliveries, each with the key of its signatures.
pub fn signed_hooks() -> Vec<(HookSystem, Option<SigningKey>)> {
    let key = |system| match system {
        HookSystem::Kumomta | HookSystem::Mox | HookSystem::Postmark => None,
        HookSystem::Postal => Some(SigningKey::rsa(include_str!("../../tests/fixtures/postal/hook-signing-key.pem")).unwrap()),
        HookSystem::Sendgrid => Some(SigningKey::new_ecdsa().unwrap()),
        HookSystem::Emailengine | HookSystem::Stalwart | HookSystem::Mailgun => Some(SigningKey::Secret("secret".to_owned())),
    };
    HookSystem::ALL.map(|system| (system, key(system))).into()
}

/// The headers of a request.
pub fn headers(headers: &[(&'static str, String)]) -> http::HeaderMap {
    headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}
