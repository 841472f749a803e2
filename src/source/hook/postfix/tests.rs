//! Records from the lines of Postfix' log.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::model::{Field, Outcome, Record, RecordEvent};
use crate::source;
use std::time::Duration;

const LOG: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/postfix/hook-mail.log"));

fn hook() -> &'static Hook {
    source::by_name("postfix").unwrap().hook.unwrap()
}

/// The day after the lines of the fixture.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_960_000)
}

fn new_log() -> PostfixLog {
    PostfixLog::in_utc()
}

fn records(text: &str) -> Vec<Record> {
    new_log().read(hook(), text.as_bytes(), now()).0.records.into_iter().map(|found| found.record).collect()
}

/// A log with one delivery, whose end is this.
fn delivery(end: &str) -> Record {
    let line = format!("Nov 28 14:43:15 mx1 postfix/smtp[104]: 4F1A2B3C4D: to=<r@example.net>, {end}\n");
    records(&line).into_iter().next().unwrap_or_else(|| panic!("no record of {line}"))
}

#[test]
fn the_fixture_has_all_events() {
    let (page, unjoined) = new_log().read(hook(), LOG.as_bytes(), now());
    let count = |event, outcome| page.records.iter().filter(|found| (found.record.event, found.record.outcome) == (event, outcome)).count();
    let outcomes = [Outcome::Delivered, Outcome::Deferred, Outcome::Failed, Outcome::Expired];
    assert_eq!(outcomes.map(|outcome| count(RecordEvent::Delivery, Some(outcome))), [6, 6, 3, 1]);
    assert_eq!((count(RecordEvent::Rejection, None), count(RecordEvent::Received, None)), (5, 4));
    assert_eq!((page.unreadable, unjoined), (2, 5), "{:?}", page.problem);
}

#[test]
fn the_lines_of_a_message_are_joined() {
    let records = records(LOG);
    let first = &records[1];
    assert_eq!((first.outcome, first.size, first.source), (Some(Outcome::Delivered), Some(2048), Some("remote")));
    assert_eq!((first.duration, first.attempt_duration), (Some(5.5), Some(5.4)));
    for (field, expected) in [
        (Field::MessageId, "4F1A2B3C4D"),
        (Field::Sender, "s@example.com"),
        (Field::Recipient, "r@example.net"),
        (Field::ClientIp, "192.0.2.10"),
        (Field::ClientHost, "client.example.com"),
        (Field::PeerIp, "192.0.2.7"),
        (Field::PeerHost, "mx.example.net"),
        (Field::Transport, "smtp"),
        (Field::Message, "250 2.0.0 Ok: queued as ABCDEF"),
    ] {
        assert_eq!(first.field(field), Some(expected));
    }
    // The same queue id in another instance is another message.
    let other: Vec<_> = records.iter().filter(|record| record.field(Field::Sender) == Some("other@example.com")).collect();
    assert_eq!((other.len(), other[0].size, other[0].source), (2, Some(77), None));
}

#[test]
fn equal_lines_are_different_records_and_each_is_the_same_when_it_is_read_again() {
    let identities = |log: &mut PostfixLog, text: &str| {
        log.read(hook(), text.as_bytes(), now()).0.records.into_iter().map(|found| found.identity).collect::<Vec<_>>()
    };
    let whole = identities(&mut new_log(), LOG);
    assert_eq!(whole.iter().collect::<std::collections::HashSet<_>>().len(), whole.len());
    // A reader that starts again after each line continues in the same way.
    let mut saved = new_log().save();
    let mut again = Vec::new();
    for line in LOG.lines() {
        let mut log = new_log().load(&saved);
        again.extend(identities(&mut log, line));
        saved = log.save();
    }
    assert!(again == whole);
    // What was read before does not matter, nor does the time.
    let from = LOG.match_indices('\n').nth(20).unwrap().0 + 1;
    let later = new_log().read(hook(), &LOG.as_bytes()[from..], now() + Duration::from_secs(86_400)).0;
    let later: Vec<_> =
        later.records.into_iter().filter(|found| found.record.event != RecordEvent::Received).map(|found| found.identity).collect();
    assert!(!later.is_empty() && later.iter().all(|identity| whole.contains(identity)));
}

#[test]
fn a_reader_that_continues_has_the_same_facts() {
    let whole = records(LOG);
    let mut saved = new_log().save();
    let mut again = Vec::new();
    for line in LOG.lines() {
        let mut log = new_log().load(&saved);
        again.extend(log.read(hook(), line.as_bytes(), now()).0.records.into_iter().map(|found| found.record));
        saved = log.save();
    }
    assert_eq!(again, whole);
}

#[test]
fn replies_and_their_stages_are_found() {
    let relay = "relay=mx.example.net[192.0.2.7]:25, delay=1, delays=0/0/0.5/0.5, ";
    let case = |end: &str| {
        let record = delivery(&format!("{relay}{end}"));
        let origin = record.origin.map(crate::model::FailureOrigin::as_str);
        (record.reply.code, record.reply.status.map(|status| status.to_string()), record.reply.stage, origin)
    };
    let status = |text: &str| Some(text.to_owned());
    for (end, expected) in [
        ("dsn=2.0.0, status=sent (250 ok)", (Some(250), status("2.0.0"), None, None)),
        (
            "dsn=4.7.1, status=deferred (host mx.example.net[192.0.2.7] said: 451 4.7.1 later (in reply to RCPT TO command))",
            (Some(451), status("4.7.1"), Some("rcpt_to"), Some("remote")),
        ),
        (
            "dsn=5.0.0, status=bounced (host mx.example.net[192.0.2.7] said: 554-first 554 second (in reply to MAIL FROM command))",
            (Some(554), status("5.0.0"), Some("mail_from"), Some("remote")),
        ),
        (
            "dsn=4.4.2, status=deferred (lost connection with mx.example.net[192.0.2.7] while receiving the initial server greeting)",
            (None, status("4.4.2"), Some("greeting"), Some("local")),
        ),
        (
            "dsn=4.7.4, status=deferred (TLS is required, but was not offered by host mx.example.net[192.0.2.7])",
            (None, status("4.7.4"), Some("tls"), Some("local")),
        ),
    ] {
        assert_eq!(case(end), expected, "{end}");
    }
}

#[test]
fn what_follows_auth_is_cut_and_contents_of_messages_are_not_used() {
    let records = records(LOG);
    let texts: Vec<&str> = records.iter().filter_map(|record| record.field(Field::Message)).collect();
    assert!(texts.iter().any(|text| text.ends_with("refused AUTH")), "{texts:?}");
    assert!(!format!("{records:?}").contains("AHVzZXIA") && !format!("{records:?}").contains("private subject"));
    assert!(texts.contains(&"5.7.1 not wanted"));
}

#[test]
fn addresses_may_have_any_characters() {
    for address in ["\"a>, relay=x\"@example.net", "a, status=sent (@example.net", "r=@example.net", ""] {
        let line = format!(
            "Nov 28 14:43:15 mx1 postfix/smtp[1]: 4F1A2B3C4D: to=<{address}>, relay=none, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (x)\n"
        );
        let found = records(&line);
        assert!(found.len() <= 1, "{address}");
        if !address.is_empty() {
            assert_eq!(found[0].field(Field::Recipient), Some(address));
            assert_eq!(found[0].outcome, Some(Outcome::Deferred));
        }
    }
}

/// Whoever chooses a recipient must not choose the outcome of its delivery.
#[test]
fn a_local_part_cannot_forge_the_rest_of_its_line() {
    let end = "relay=mx.example.net[192.0.2.7]:25, delay=5.5, delays=0.1/0/1.2/4.2, dsn=5.1.1, status=bounced (said: 550 5.1.1 no)";
    let forged = "relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)";
    let read = |addresses: &str| {
        let line = format!("Nov 28 14:43:15 mx1 postfix/smtp[104]: 4F1A2B3C4D: {addresses}, {end}\n");
        new_log().read(hook(), line.as_bytes(), now()).0
    };
    for addresses in [
        format!(r#"to=<"x>, {forged}"@example.org>"#),
        format!(r#"to=<"x\">, {forged}"@example.org>"#),
        format!(r#"to=<a@example.org>, orig_to=<"x>, {forged}"@example.org>"#),
        format!(r#"to=<"x>, orig_to=<y>, {forged}"@example.org>, orig_to=<"z>, {forged}"@example.org>"#),
    ] {
        let page = read(&addresses);
        let record = &page.records[0].record;
        assert_eq!(
            (record.outcome, record.field(Field::PeerIp), page.unreadable),
            (Some(Outcome::Failed), Some("192.0.2.7"), 0),
            "{addresses}"
        );
    }
    // Without quotes, as older versions write it, the end of the address is not certain.
    for addresses in [format!("to=<x@y>, {forged}@example.org>"), format!("to=<a@example.org>, orig_to=<x>, {forged}@example.org>")] {
        let page = read(&addresses);
        assert_eq!((page.records.len(), page.unreadable), (0, 1), "{addresses}");
    }
    let rejection = r#"Nov 28 14:43:15 mx1 postfix/smtpd[9]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <"x; from=<f@example.com> to=<g@example.com>"@example.org>: Relay access denied; from=<"a> to=<h@example.com>"@example.com> to=<"x; from=<f@example.com> to=<g@example.com>"@example.org> proto=ESMTP helo=<h>"#;
    let record = &records(rejection)[0];
    assert_eq!(record.field(Field::Sender), Some(r#""a> to=<h@example.com>"@example.com"#));
    assert_eq!(record.field(Field::Recipient), Some(r#""x; from=<f@example.com> to=<g@example.com>"@example.org"#));
}

/// rsyslog folds equal lines, and the lines of several hosts are not in the order of their times.
#[test]
fn repeated_lines_count_as_often_as_they_were_written() {
    let message =
        "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <a@b>: Relay access denied; from=<s@x> to=<a@b> proto=ESMTP helo=<h>";
    let line = |second: u32, host: &str, message: &str| format!("Nov 28 14:43:{second} {host} postfix/smtpd[9]: {message}\n");
    let folded = |times: u32| line(25, "mx1", &format!("message repeated {times} times: [ {message}]"));
    let plain = |second: u32, host: &str| line(second, host, message);
    for (text, expected) in [
        (plain(20, "mx1") + &folded(3), 4),
        (folded(2) + &folded(2), 4),
        (plain(20, "mx1") + &plain(20, "mx1") + &plain(21, "mx2") + &plain(20, "mx1"), 4),
    ] {
        let (page, _) = new_log().read(hook(), text.as_bytes(), now());
        let identities: std::collections::HashSet<_> = page.records.iter().map(|found| &found.identity).collect();
        assert_eq!((page.records.len(), identities.len(), page.unreadable), (expected, expected, 0), "{text}");
    }
    let (page, _) = new_log().read(hook(), folded(REPETITIONS_MAX + 1).as_bytes(), now());
    assert_eq!((page.records.len(), page.unreadable), (0, 1));
}

/// Services other than rsyslog state only how often the line above was repeated.
#[test]
fn a_line_that_states_repetitions_is_unreadable_if_the_line_above_has_a_record() {
    let rejection = "Nov 28 14:43:20 mx1 postfix/smtpd[9]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <a@b>: Relay access denied; from=<s@x> to=<a@b> proto=ESMTP helo=<h>\n";
    let (other, repetition) = ("Nov 28 14:43:21 mx1 sshd[1]: closed\n", "Nov 28 14:43:25 mx1 last message repeated 3 times\n");
    for (text, expected) in [
        (rejection.to_owned() + repetition, (1, 0, 1)),
        (rejection.to_owned() + other + repetition + repetition, (1, 3, 0)),
        (rejection.to_owned() + repetition + repetition, (1, 0, 2)),
        // The line above is in a part of the file that was read before the start.
        (repetition.to_owned(), (0, 0, 1)),
    ] {
        let (page, _) = new_log().read(hook(), text.as_bytes(), now());
        assert_eq!((page.records.len() as u64, page.ignored, page.unreadable), expected, "{text}");
        let problem = page.problem.unwrap_or_default();
        assert_eq!(problem.contains("\"last message repeated\"") && problem.contains("write equal lines"), expected.2 > 0, "{problem}");
    }
    let (page, _) = new_log().read(hook(), b"Nov 28 14:43:25 mx1 last message repeated often times\n", now());
    assert_eq!(page.problem.as_deref(), Some("the line is not a syslog line"));
}

#[test]
fn the_table_of_messages_is_bounded() {
    let mut log = new_log();
    let active =
        |id: usize| format!("Nov 28 14:43:10 mx1 postfix/qmgr[1]: {id:010X}: from=<s{id}@example.com>, size=9, nrcpt=1 (queue active)\n");
    let total = MESSAGES_MAX + 10;
    let text: String = (0..total).map(active).collect();
    log.read(hook(), text.as_bytes(), now());
    assert_eq!(log.messages(), MESSAGES_MAX);
    let sent = |id: usize| {
        format!(
            "Nov 28 14:43:15 mx1 postfix/smtp[1]: {id:010X}: to=<r@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (x)\n"
        )
    };
    let (page, unjoined) = log.read(hook(), [sent(9), sent(10)].concat().as_bytes(), now());
    let senders: Vec<_> = page.records.iter().map(|found| found.record.field(Field::Sender)).collect();
    assert_eq!((senders, unjoined), (vec![None, Some("s10@example.com")], 1));
    let removed = format!("Nov 28 14:43:16 mx1 postfix/qmgr[1]: {:010X}: removed\n", 10);
    log.read(hook(), removed.as_bytes(), now());
    assert_eq!(log.messages(), MESSAGES_MAX - 1);
}

#[test]
fn a_queue_id_that_is_used_again_is_another_message() {
    let id = "4F1A2B3C4D";
    let line = |program: &str, text: &str| format!("Nov 28 14:43:10 mx1 postfix/{program}[1]: {id}: {text}\n");
    let active = |sender: &str| line("qmgr", &format!("from=<{sender}>, size=9, nrcpt=1 (queue active)"));
    let arrival = line("cleanup", "message-id=<1@example.com>");
    let sent = line("smtp", "to=<r@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (x)");
    let first =
        line("smtpd", "client=a.example.com[192.0.2.1], sasl_method=PLAIN, sasl_username=u1") + &arrival + &active("s1@example.com");
    for (second, ip, source) in [
        (line("smtpd", "client=b.example.com[192.0.2.2]") + &arrival, Some("192.0.2.2"), Some("remote")),
        (line("pickup", "uid=0 from=<root>") + &arrival, None, None),
        (arrival.clone() + &line("cleanup", "resent-message-id=<2@example.com>"), None, None),
    ] {
        let found = records(&(first.clone() + &second + &active("s2@example.com") + &active("s2@example.com") + &sent));
        let events: Vec<_> = found.iter().map(|record| record.event).collect();
        assert_eq!(events, [RecordEvent::Received, RecordEvent::Received, RecordEvent::Delivery], "{second}");
        assert_eq!(found[0].field(Field::User), Some("u1"));
        for record in &found[1..] {
            assert_eq!((record.field(Field::ClientIp), record.field(Field::User), record.source), (ip, None, source), "{second}");
            assert_eq!(record.field(Field::Sender), Some("s2@example.com"));
        }
    }
}

#[test]
fn rejections_of_a_filter_before_the_queue_are_read() {
    for (text, code, message) in [
        ("554 5.7.0 Reject, id=31619-02 - spam", Some(554), Some("554 5.7.0 Reject, id=31619-02 - spam")),
        (
            "451 4.5.0 id=1 from MTA(smtp:[127.0.0.1]:10025): 451 later",
            Some(451),
            Some("451 4.5.0 id=1 from MTA(smtp:[127.0.0.1]:10025): 451 later"),
        ),
        ("", None, None),
    ] {
        let line = |result: &str| {
            format!(
                "Nov 28 14:43:15 mx1 postfix/smtpd[9]: proxy-{result}: END-OF-MESSAGE: {text}; from=<s@example.com> to=<r@example.net> proto=ESMTP helo=<h>\n"
            )
        };
        let found = records(&(line("reject") + &line("accept")));
        assert_eq!(found.len(), 1, "{text}");
        let record = &found[0];
        assert_eq!((record.event, record.reply.code, record.reply.stage), (RecordEvent::Rejection, code, Some("data")), "{text}");
        assert_eq!((record.field(Field::Message), record.field(Field::ClientIp)), (message, None), "{text}");
        assert_eq!((record.field(Field::Sender), record.field(Field::Recipient)), (Some("s@example.com"), Some("r@example.net")));
    }
}

#[test]
fn zeros_before_a_line_are_left_out() {
    let line = LOG.lines().nth(5).unwrap();
    assert_eq!(records(&format!("\0\0\0{line}\r\n")), records(line));
    assert_eq!(records(line).len(), 1);
}
