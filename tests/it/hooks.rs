//! Bodies that mail systems send: the records that they become, with all fields, compared with snapshots.
//!
//! The fixtures are written by us: every row of each definition, and what the vendors do that one does not expect.
#![allow(clippy::unwrap_used)]

mod bodies;
mod mailgun;
mod printed;

use crate::assert_text_snapshot;
use crate::support::{FIXTURES, postmeter, stderr, stdout};
use postmeter::model::{ComplaintType, Outcome, Record};
use postmeter::source::hook::postfix::PostfixLog;
use postmeter::source::{self, HookPage, LogFileFormat};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// The time of the requests: a week after most events.
const RECEIVED_AT: Duration = Duration::from_secs(1_796_500_000);

/// The systems, each with its fixture.
const FILES: &[(&str, &str)] = &[
    ("kumomta", "hook-records.jsonl"),
    ("postfix", "hook-mail.log"),
    ("emailengine", "hook-events.jsonl"),
    ("stalwart", "hook-events.jsonl"),
    ("postal", "hook-events.jsonl"),
    ("mox", "hook-events.jsonl"),
    ("sendgrid", "hook-events.json"),
    ("mailgun", "hook-events.jsonl"),
    ("postmark", "hook-events.jsonl"),
];

fn fixture(system: &str, file: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{system}/{file}")).unwrap()
}

fn read(system: &str, body: &[u8]) -> HookPage {
    read_at(system, body, SystemTime::UNIX_EPOCH + RECEIVED_AT)
}

fn read_at(system: &str, body: &[u8], now: SystemTime) -> HookPage {
    let hook = source::by_name(system).unwrap().hook.unwrap();
    match hook.log_files {
        Some(LogFileFormat::Postfix) => PostfixLog::in_utc().read(hook, body, now).0,
        _ => hook.read(body, now),
    }
}

/// Everything that a page contains. A record with the identity of an earlier one is marked as its duplicate.
fn describe(page: &HookPage) -> String {
    let mut out = String::new();
    let mut first: HashMap<&[u8], usize> = HashMap::new();
    for (number, found) in page.records.iter().enumerate() {
        let double = first.get(&found.identity[..]).map(|first| format!(" (double of {first})")).unwrap_or_default();
        first.entry(&found.identity).or_insert(number);
        let Record { event, at, at_nanos, .. } = found.record;
        writeln!(out, "{number}{double}: {} {at}.{at_nanos:09}", event.as_str()).unwrap();
        describe_record(&mut out, &found.record);
    }
    writeln!(out, "ignored: {}\nunreadable: {}\nproblem: {}", page.ignored, page.unreadable, page.problem.as_deref().unwrap_or("none"))
        .unwrap();
    out
}

fn describe_record(out: &mut String, record: &Record) {
    let reply = record.reply;
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            writeln!(out, "    {name}: {value}").unwrap();
        }
    };
    line("outcome", record.outcome.map(|value| value.as_str().to_owned()));
    line("received", record.received.map(|value| value.to_string()));
    line("duration", record.duration.map(|value| value.to_string()));
    line("attempt", record.attempt.map(|value| value.to_string()));
    line("attempt_duration", record.attempt_duration.map(|value| value.to_string()));
    line("size", record.size.map(|value| value.to_string()));
    line("source", record.source.map(str::to_owned));
    line("code", reply.code.map(|value| value.to_string()));
    line("status", reply.status.map(|value| value.to_string()));
    line("stage", reply.stage.map(str::to_owned));
    line("origin", record.origin.map(|value| value.as_str().to_owned()));
    line("error_type", record.error_type.map(str::to_owned));
    line("bounce_type", record.bounce.map(|value| value.as_str().to_owned()));
    line("complaint_type", record.complaint.map(|value| value.as_str().to_owned()));
    line("protocol", record.protocol.map(str::to_owned));
    line("tls", record.tls.map(|value| value.to_string()));
    for (field, value) in &record.fields {
        line(field.info().name, Some(value.clone()));
    }
}

#[test]
fn every_row_of_every_system_is_read() {
    for (system, file) in FILES {
        assert_text_snapshot!(format!("hook-{system}"), describe(&read(system, &fixture(system, file))));
    }
}

#[test]
fn every_system_with_a_hook_has_a_fixture_and_every_row_a_record() {
    for source in source::SOURCES.iter() {
        let Some(hook) = source.hook else { continue };
        let (_, file) = FILES.iter().find(|(system, _)| *system == source.name).unwrap_or_else(|| panic!("{}: no fixture", source.name));
        let page = read(source.name, &fixture(source.name, file));
        for row in &hook.rows {
            let is_shown = page.records.iter().any(|found| found.record.event == row.event && found.record.outcome == row.outcome);
            assert!(is_shown, "{}: no record of {:?} {:?}", source.name, row.event, row.outcome);
        }
    }
}

#[test]
fn a_body_that_is_sent_again_has_the_same_identities_whenever_it_arrives() {
    for (system, file) in FILES {
        let body = fixture(system, file);
        let identities = |seconds| {
            let page = read_at(system, &body, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            page.records.into_iter().map(|found| found.identity).collect::<Vec<_>>()
        };
        assert_eq!(identities(1_796_500_000), identities(1_799_000_000), "{system}");
    }
}

#[test]
fn numbers_and_times_are_exact_and_bounded() {
    let at = |time: &str| {
        let body = format!("{{\"type\":\"Delivery\",\"id\":\"a\",\"event_time\":{time},\"created\":1795876990}}");
        let record = read("kumomta", body.as_bytes()).records.remove(0).record;
        (record.at, record.at_nanos, record.duration)
    };
    assert_eq!(at("\"2026-11-28T14:43:20.5Z\""), (1_795_877_000, 500_000_000, Some(10.5)));
    assert_eq!(at("\"2026-11-28T15:43:20.123456789+01:00\""), (1_795_877_000, 123_456_789, Some(10.123_456_789)));
    assert_eq!(at("1795877000"), (1_795_877_000, 0, Some(10.0)));
    assert_eq!(at("\"1795877000.1\""), (1_795_877_000, 100_000_000, Some(10.1)));
    assert_eq!(at("1795876989.9"), (1_795_876_989, 900_000_000, Some(0.0)));
    // A clock that went backwards.
    assert_eq!(at("1795876900"), (1_795_876_900, 0, None));
    for implausible in
        ["0", "-1", "1e300", "\"\"", "\"yesterday\"", "null", "{}", "1895877000", "\"1999-12-31T23:59:59Z\"", "99999999999999999999"]
    {
        assert_eq!(at(implausible), (RECEIVED_AT.as_secs(), 0, None), "{implausible}");
    }

    // Neighbours that a double cannot tell apart.
    let queue = |id: &str| {
        let item = format!(
            "{{\"type\":\"delivery.dsn-success\",\"createdAt\":\"2026-11-28T14:43:20Z\",\"data\":{{\"queueId\":{id},\"to\":\"r@example.net\"}}}}"
        );
        read("stalwart", format!("{{\"events\":[{item}]}}").as_bytes()).records.remove(0)
    };
    let (one, other) = (queue("18446744073709551614"), queue("18446744073709551615"));
    assert_ne!(one.identity, other.identity);
    assert_eq!(one.record.field(postmeter::model::Field::MessageId), Some("18446744073709551614"));

    for (attempts, expected) in
        [("0", Some(1)), ("\"4\"", Some(5)), ("65535", Some(65_536)), ("-1", None), ("1.5", None), ("\"x\"", None), ("1e99", None)]
    {
        let body = format!("{{\"type\":\"Delivery\",\"id\":\"a\",\"num_attempts\":{attempts}}}");
        assert_eq!(read("kumomta", body.as_bytes()).records[0].record.attempt, expected, "{attempts}");
    }
}

#[test]
fn a_status_may_have_a_comment() {
    for (status, expected) in [
        ("5.1.1", Some("5.1.1")),
        (" 4.4.1 (connection timed out)", Some("4.4.1")),
        ("5.7.26\\tpolicy", Some("5.7.26")),
        ("5.1.10(RESOLVER)", Some("5.1.10")),
        ("5.1.1x", None),
        ("(comment) 5.1.1", None),
        ("5.1.1.1", None),
        ("3.1.1", None),
        ("5.1", None),
    ] {
        let body = format!(
            "{{\"event\":\"messageBounce\",\"account\":\"a\",\"data\":{{\"messageId\":\"m\",\"response\":{{\"status\":\"{status}\"}}}}}}"
        );
        let found = read("emailengine", body.as_bytes()).records[0].record.reply.status.map(|status| status.to_string());
        assert_eq!(found.as_deref(), expected, "{status}");
    }
}

#[test]
fn the_two_events_of_a_final_failure_are_one_record_of_each_recipient_in_any_order() {
    let event = |event: &str, rest: &str| {
        let routing = ["", ",\"networkRouting\":null", ",\"networkRouting\":{\"localAddress\":\"192.0.2.9\"}"];
        routing.map(|routing| {
            format!("{{\"account\":\"a\",\"date\":\"2026-11-28T14:43:20.000Z\",\"event\":\"{event}\",\"data\":{{\"queueId\":\"1a2229c2c30a\"{rest}{routing}}}}}")
        })
    };
    let details = ",\"envelope\":{\"to\":[\"r@example.net\",\"q@example.net\"]},\"smtpResponse\":\"550 5.1.1 no\",\"smtpResponseCode\":550";
    let [_, errors @ ..] = event("messageDeliveryError", details);
    for error in &errors {
        let expected = read("emailengine", error.as_bytes()).records;
        assert_eq!(expected.len(), 2);
        for failed in event("messageFailed", ",\"error\":\"Error: no\"") {
            // The same identity as that of the first recipient, so whichever arrives later is a double.
            let page = read("emailengine", failed.as_bytes());
            assert_eq!((page.records.len(), &page.records[0].identity), (1, &expected[0].identity), "{failed}");
            assert_eq!(page.records[0].record.outcome, expected[0].record.outcome);
        }
    }
}

#[test]
fn the_last_of_several_attempts_is_final_even_with_a_date_of_a_next_one() {
    // Before EmailEngine 2.74, the last attempt has a date of a next one.
    let error = "{\"account\":\"a\",\"date\":\"2026-11-28T14:43:20.000Z\",\"event\":\"messageDeliveryError\",\"data\":{\"queueId\":\"1a2229c2c30a\",\"smtpResponseCode\":451,\"job\":{\"attemptsMade\":9,\"attempts\":10,\"nextAttempt\":\"2026-11-28T15:43:20.000Z\"},\"networkRouting\":null}}";
    let failed = "{\"account\":\"a\",\"date\":\"2026-11-28T14:43:20.500Z\",\"event\":\"messageFailed\",\"data\":{\"queueId\":\"1a2229c2c30a\",\"networkRouting\":null}}";
    let page = read("emailengine", format!("{error}\n{failed}").as_bytes());
    let outcomes: Vec<_> = page.records.iter().map(|found| found.record.outcome.map(Outcome::as_str)).collect();
    assert_eq!(outcomes, [Some("deferred"), Some("failed")]);
    assert_ne!(page.records[0].identity, page.records[1].identity);
}

#[test]
fn the_case_of_letters_has_no_meaning() {
    let count = |action: &str| {
        let body = format!("{{\"event\":\"messageBounce\",\"account\":\"a\",\"data\":{{\"messageId\":\"m\",\"action\":\"{action}\"}}}}");
        let page = read("emailengine", body.as_bytes());
        (page.records.len(), page.ignored)
    };
    assert_eq!(["failed", "Failed", "FAILED", "other"].map(count), [(1, 0); 4]);
    assert_eq!(["delayed", "Delayed", "RELAYED", "Expanded", "deLivered"].map(count), [(0, 1); 5]);
    for (native, expected) in [("Abuse", ComplaintType::Abuse), ("NOT-SPAM", ComplaintType::NotSpam), ("opt-out", ComplaintType::Other)] {
        let body = format!("{{\"event\":\"messageComplaint\",\"account\":\"a\",\"data\":{{\"arf\":{{\"feedbackType\":\"{native}\"}}}}}}");
        assert_eq!(read("emailengine", body.as_bytes()).records[0].record.complaint, Some(expected), "{native}");
    }
}

#[test]
fn credentials_in_a_reply_are_cut() {
    for (content, expected) in [
        ("535 5.7.8 in response to AUTH PLAIN AHVzZXIAc2VjcmV0", "535 5.7.8 in response to AUTH"),
        ("Rejected(AUTH LOGIN dXNlcg==) failed", "Rejected(AUTH"),
        ("AUTH\\tPLAIN\\tAHVzZXIA", "AUTH"),
        ("\\\"AUTH\\\" AHVzZXIA", "\"AUTH"),
        ("535 5.7.8 in response to auth plain AHVzZXIAc2VjcmV0", "535 5.7.8 in response to auth"),
        ("Auth PLAIN AHVzZXIAc2VjcmV0", "Auth"),
        ("aUTH=plain AHVzZXIAc2VjcmV0", "aUTH"),
        ("Auth { sasl_mech: \\\"PLAIN\\\", initial_response: Some(\\\"AHVzZXIA\\\") }", "Auth"),
        ("mail.auth.example.com failed: auth login AHVzZXIA", "mail.auth.example.com failed: auth"),
        ("no such user at smtp-auth.example.com", "no such user at smtp-auth.example.com"),
        ("550 5.7.1 AUTHENTICATION required", "550 5.7.1 AUTHENTICATION required"),
        ("550 5.7.1 authentication required", "550 5.7.1 authentication required"),
        ("530 must issue AUTH", "530 must issue AUTH"),
        ("250-one\\r\\n 250 two\\n", "250-one 250 two"),
    ] {
        let body = format!(
            "{{\"type\":\"TransientFailure\",\"id\":\"a\",\"response\":{{\"content\":\"{content}\",\"command\":\"AUTH PLAIN AHVzZXIA\\r\\n\"}}}}"
        );
        let page = read("kumomta", body.as_bytes());
        let record = &page.records[0].record;
        assert_eq!(record.field(postmeter::model::Field::Message), Some(expected));
        assert_eq!(record.reply.stage, Some("auth"));
        assert!(!format!("{record:?}").contains("AHVz"), "{record:?}");
    }
}
