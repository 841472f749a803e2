//! Canonical values of the fixtures, and sums over windows.
#![allow(clippy::unwrap_used)]

use super::DELIVERY_LOG;
use crate::model::vocabulary::DELIVERY_ATTEMPTS;
use crate::model::{Families, Repair, Snapshot};
use crate::source::{Context, CounterMemory, Part, ReadError, Source, by_name, map_to_canonical};
use std::time::{Duration, SystemTime};

fn source() -> &'static Source {
    by_name("cpanel").unwrap()
}

const DAY: u64 = 86_400;

fn families(part: &str, body: &str) -> (&'static Part, Families) {
    let part = source().part(part).unwrap();
    (part, part.requests[0].read(body.as_bytes().to_vec()).unwrap())
}

fn fixtures() -> Vec<(&'static Part, Families)> {
    let read = |part: &Part| {
        let path = format!("{}/tests/fixtures/cpanel/{}.json", env!("CARGO_MANIFEST_DIR"), part.name);
        families(part.name, &std::fs::read_to_string(path).unwrap())
    };
    source().parts.iter().map(read).collect()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn context(now: u64, window_start: Option<u64>, sliding: bool) -> Context {
    Context { window_start: window_start.map(at), sliding, ..Context::at(at(now)) }
}

fn lines(snapshot: &Snapshot) -> Vec<String> {
    let line = |p: &crate::model::Point| {
        let attributes: Vec<_> = p.attributes.iter().map(|(_, value)| value.as_ref()).collect();
        format!("{} {} {}", p.metric.name, attributes.join(","), p.value)
    };
    snapshot.points.iter().map(line).collect()
}

#[test]
fn the_fixtures_are_mapped() {
    let snapshot =
        map_to_canonical(source(), &fixtures(), &mut CounterMemory::default(), &context(1_700_000_100, Some(1_699_920_000), false));
    let expected = [
        "mail.delivery.attempts delivered 468",
        "mail.delivery.attempts deferred 309",
        "mail.received.messages authenticated 42",
        "mail.message.io transmit 1234",
        "mail.queue.depth queued 3",
        "mail.queue.depth frozen 1",
        "mail.queue.oldest_age queued 60",
        "mail.queue.oldest_age frozen 100",
        "mail.service.status up,exim 1",
        "mail.service.status up,imap 0",
        "mail.service.status up,lmtp 1",
        "mail.service.status down,exim 0",
        "mail.service.status down,imap 1",
        "mail.service.status down,lmtp 0",
        "system.filesystem.usage used,/ 40960",
        "system.filesystem.usage used,/boot/efi 1024",
        "system.filesystem.usage free,/ 61440",
        "system.filesystem.usage free,/boot/efi 9216",
        "system.filesystem.limit / 102400",
        "system.filesystem.limit /boot/efi 10240",
    ];
    assert_eq!(lines(&snapshot), expected);
    assert_eq!(snapshot.version.as_deref(), Some("11.138.0.6"));
    assert_eq!(snapshot.counters_since, Some(at(1_699_920_000)));
    let repairs: Vec<_> = snapshot.repairs.iter().collect();
    assert_eq!(repairs, [(Repair::Unreadable, 1)], "FAILCOUNT is `many`, so failures have no sum");
}

#[test]
fn the_fixtures_are_read_as_families() {
    let mut found = Vec::new();
    for (_, families) in fixtures() {
        for family in families.iter() {
            for sample in family.samples() {
                let labels: Vec<_> = sample.labels().map(|(_, value)| value).collect();
                found.push(format!("{} {} {}", family.name(), labels.join(","), sample.number().unwrap()));
            }
        }
    }
    assert_eq!(found.iter().filter(|line| line.starts_with("email_user_stats ")).count(), 31);
    assert_eq!(found.iter().filter(|line| line.starts_with("email_logs ")).count(), 2);
    for line in [
        "email_user_stats ,,-remote-,root,success_count 400",
        "email_user_stats -system-,,root,root,send_count 24",
        "email_user_stats example.com,,alice,root,send_count 30",
        "email_user_stats example.com,,alice,reseller,send_count 7",
        "email_user_stats example.com,,alice,reseller,defer_count 9",
        "email_user_stats shop.example.com,,alice,root,send_count 3",
        "email_user_stats ,,nobody,root,fail_count NaN",
        "email_flag_stats example.com,alice,reached_maxemails 1",
        "email_flag_stats example.com,alice,reached_maxdeferfail 1",
        "email_flag_stats ,-remote-,reached_maxemails 0",
        "email_stats success_count 8",
        "email_stats in_progress_count 3",
        "email_queue_messages queued 3",
        "email_queue_oldest_time_seconds frozen 1700000000",
        "service_running exim 1",
        "service_running imap 0",
        "service_running lmtp 1",
        "system_load_average 1m 0.5",
        "system_load_average 15m 2",
        "system_disk_total_bytes /,/dev/vda1 102400",
        "system_disk_available_bytes /boot/efi,/dev/vda2 9216",
        "system_disk_inodes_used /,/dev/vda1 10",
        "cpanel_version_info 11.138.0.6 1",
    ] {
        assert!(found.iter().any(|f| f == line), "{line} in {found:#?}");
    }
    for absent in [
        "email_stats total_size",
        "service_running spamd",
        "service_running clamd",
        "service_running ftpd",
        "system_disk_inodes_total /boot",
    ] {
        assert!(!found.iter().any(|f| f.starts_with(absent)), "{absent}");
    }
}

#[test]
fn an_empty_queue_is_zero() {
    let read = [families("fetch_mail_queue", "{\"data\":{\"records\":[]},\"metadata\":{\"result\":1}}")];
    let snapshot = map_to_canonical(source(), &read, &mut CounterMemory::default(), &context(0, Some(0), false));
    assert_eq!(lines(&snapshot), ["mail.queue.depth queued 0", "mail.queue.depth frozen 0"]);
}

#[test]
fn an_invalid_field_of_a_queued_message_hides_what_would_be_wrong_without_it() {
    let old = "{\"frozen\":0,\"time\":40},{\"frozen\":1,\"time\":30}";
    let counts = ["mail.queue.depth queued 2", "mail.queue.depth frozen 1"];
    let (age_queued, age_frozen) = ("mail.queue.oldest_age queued 60", "mail.queue.oldest_age frozen 70");
    for (message, expected) in [
        // The message may be in either state.
        (r#"{"frozen":"yes","time":50}"#, &[][..]),
        (r#"{"frozen":-1,"time":50}"#, &[]),
        // It may be the oldest.
        (r#"{"frozen":0,"time":"2023-11-14"}"#, &[counts[0], counts[1], age_frozen]),
        (r#"{"frozen":0,"time":-5}"#, &[counts[0], counts[1], age_frozen]),
        (r#"{"frozen":1,"time":[]}"#, &["mail.queue.depth queued 1", "mail.queue.depth frozen 2", age_queued]),
        // It has no time.
        (r#"{"frozen":0,"time":0}"#, &[counts[0], counts[1], age_queued, age_frozen]),
        (r#"{"time":null}"#, &[counts[0], counts[1], age_queued, age_frozen]),
        (r#"{"frozen":0,"time":"50"}"#, &[counts[0], counts[1], age_queued, age_frozen]),
    ] {
        for records in [format!("{message},{old}"), format!("{old},{message}")] {
            let read = [families("fetch_mail_queue", &format!("{{\"data\":{{\"records\":[{records}]}},\"metadata\":{{\"result\":1}}}}"))];
            let snapshot = map_to_canonical(source(), &read, &mut CounterMemory::default(), &context(100, Some(0), false));
            assert_eq!(lines(&snapshot), expected, "{records}");
            let is_known = expected.len() == 4;
            assert_eq!(snapshot.repairs == Default::default(), is_known, "{records}");
            assert_eq!(read[0].1.unreadable_reason("email_queue_oldest_time_seconds").is_none(), is_known, "{records}");
        }
    }
}

#[test]
fn a_sender_with_control_characters_does_not_hide_the_queue() {
    let body =
        "{\"data\":{\"records\":[{\"sender\":\"a\u{1}\nb@example.com\",\"frozen\":0},\n{\"frozen\":1}]},\"metadata\":{\"result\":1}}";
    let read = [families("fetch_mail_queue", body)];
    let snapshot = map_to_canonical(source(), &read, &mut CounterMemory::default(), &context(0, Some(0), false));
    assert_eq!(lines(&snapshot), ["mail.queue.depth queued 1", "mail.queue.depth frozen 1"]);
    assert_eq!(snapshot.repairs.get(Repair::Unescaped), 1);
}

fn delivered(rows: &[(&str, u32)]) -> Vec<(&'static Part, Families)> {
    let row = |(user, n): &(&str, u32)| format!("{{\"USER\":\"{user}\",\"DOMAIN\":\"example.com\",\"SUCCESSCOUNT\":{n}}}");
    let rows: Vec<_> = rows.iter().map(row).collect();
    vec![families("emailtrack_user_stats", &format!("{{\"data\":{{\"records\":[{}]}},\"metadata\":{{\"result\":1}}}}", rows.join(",")))]
}

fn sum(snapshot: &Snapshot) -> Option<f64> {
    let delivered = |p: &&crate::model::Point| p.metric == &DELIVERY_ATTEMPTS && p.attributes[0].1 == "delivered";
    snapshot.points.iter().find(delivered).map(|p| p.value)
}

#[test]
fn sums_add_up_over_windows_and_never_fall() {
    let mut memory = CounterMemory::default();
    let poll = |memory: &mut CounterMemory, day: u64, rows: &[(&str, u32)]| {
        map_to_canonical(source(), &delivered(rows), memory, &context(day * DAY + 100, Some(day * DAY), false))
    };
    for (rows, expected, held) in [
        (&[("alice", 5), ("bob", 10)][..], 15.0, 0),
        (&[("alice", 6)], 15.0, 1),
        (&[("alice", 14)], 15.0, 1),
        (&[("alice", 16)], 16.0, 0),
        (&[], 16.0, 1),
    ] {
        let snapshot = poll(&mut memory, 1, rows);
        assert_eq!((sum(&snapshot), snapshot.repairs.get(Repair::Held)), (Some(expected), held), "{rows:?}");
        assert_eq!(snapshot.counters_since, Some(at(DAY)));
    }
    poll(&mut memory, 1, &[("alice", 18)]);
    for (rows, expected) in [(&[][..], 18.0), (&[("alice", 2)], 20.0), (&[("alice", 3), ("carol", 4)], 25.0)] {
        let snapshot = poll(&mut memory, 2, rows);
        assert_eq!((sum(&snapshot), snapshot.repairs.get(Repair::Held)), (Some(expected), 0), "{rows:?}");
        assert_eq!(snapshot.counters_since, Some(at(DAY)), "the start of the first window");
    }
    let last = poll(&mut memory, 2, &[("alice", 3)]);
    assert_eq!((sum(&last), last.repairs.get(Repair::Held)), (Some(25.0), 1));
    assert_eq!(sum(&poll(&mut memory, 3, &[("alice", 1)])), Some(26.0));
    // A window that is read again is replaced: late events count, and nothing counts twice.
    for (day, delivered, expected) in [(1, 18, 26.0), (2, 7, 26.0), (2, 9, 28.0), (1, 19, 29.0), (3, 1, 29.0)] {
        assert_eq!(sum(&poll(&mut memory, day, &[("alice", delivered)])), Some(expected), "{delivered} on day {day}");
    }
    // A window that is too old to be read again does not change.
    for day in 4..=20 {
        assert_eq!(sum(&poll(&mut memory, day, &[("alice", 1)])), Some(29.0 + day as f64 - 3.0));
    }
    assert_eq!(sum(&poll(&mut memory, 1, &[("alice", 1000)])), Some(46.0));
}

#[test]
fn an_invalid_number_invalidates_its_sum() {
    let poll = |memory: &mut CounterMemory, day: u64, rows: &str| {
        let body = format!("{{\"data\":{{\"records\":[{rows}]}},\"metadata\":{{\"result\":1}}}}");
        map_to_canonical(source(), &[families("emailtrack_user_stats", &body)], memory, &context(day * DAY + 100, Some(day * DAY), false))
    };
    let alice = "{\"USER\":\"alice\",\"SUCCESSCOUNT\":5}";
    for invalid in ["\"12/50\"", "\"NaN\"", "[]", "-1"] {
        let mut memory = CounterMemory::default();
        assert_eq!(sum(&poll(&mut memory, 1, alice)), Some(5.0));
        let snapshot = poll(&mut memory, 1, &format!("{alice},{{\"USER\":\"bob\",\"SUCCESSCOUNT\":{invalid},\"DEFERCOUNT\":2}}"));
        assert_eq!(sum(&snapshot), None, "{invalid}");
        assert!(lines(&snapshot).contains(&"mail.delivery.attempts deferred 2".to_owned()), "{invalid}");
        assert_ne!(snapshot.repairs, Default::default(), "{invalid}");
        // The day ends, and its last valid sums count.
        assert_eq!(sum(&poll(&mut memory, 2, alice)), Some(10.0), "{invalid}");
    }
}

#[test]
fn invalid_fields_are_counted() {
    for (part, records, n) in [
        ("fetch_mail_queue", "\"records\":[{\"frozen\":\"perhaps\",\"time\":\"noon\"},{\"frozen\":0}]", 2),
        ("servicestatus", "\"service\":[{\"name\":\"a\",\"enabled\":1,\"running\":\"so-so\"},{\"name\":\"b\",\"enabled\":{}}]", 2),
        ("servicestatus", "\"service\":[{\"name\":\"a\",\"enabled\":0},{\"name\":\"b\",\"enabled\":1,\"running\":null}]", 0),
    ] {
        let (_, families) = families(part, &format!("{{\"data\":{{{records}}},\"metadata\":{{\"result\":1}}}}"));
        assert_eq!(families.repairs().get(Repair::Unreadable), n, "{part}: {records}");
    }
}

#[test]
fn a_sliding_window_has_no_counters() {
    let mut memory = CounterMemory::default();
    for n in [20, 10] {
        let mut read = fixtures();
        read[0] = delivered(&[("alice", n)]).remove(0);
        let snapshot = map_to_canonical(source(), &read, &mut memory, &context(1_700_000_100, None, true));
        assert_eq!(sum(&snapshot), None);
        assert!(snapshot.points.iter().all(|p| p.metric.kind != crate::model::Kind::Counter));
        assert_eq!(snapshot.points.len(), 16, "queue, services and file systems");
        assert_eq!((snapshot.counters_since, snapshot.repairs.get(Repair::Held)), (None, 0));
    }
}

#[test]
fn pages_add_up() {
    let chunk = |current: u32| format!("\"chunk\":{{\"size\":1,\"start\":{current},\"chunks\":2,\"current\":{current}}}");
    let page = |current: u32, user: &str| {
        let row = format!("{{\"USER\":\"{user}\",\"DOMAIN\":\"example.com\",\"SUCCESSCOUNT\":{current}}}");
        families("emailtrack_user_stats", &format!("{{\"data\":{{\"records\":[{row}]}},\"metadata\":{{\"result\":1,{}}}}}", chunk(current)))
    };
    let read = [page(1, "alice"), page(2, "bob")];
    assert_eq!([0, 1].map(|page| read[page].1.edge.and_then(|edge| edge.next)), [Some(2), None]);
    assert_eq!(sum(&map_to_canonical(source(), &read, &mut CounterMemory::default(), &context(100, Some(0), false))), Some(3.0));
}

#[test]
fn too_many_rows_are_rejected() {
    for (part, list, rows_max) in [
        ("emailtrack_user_stats", "records", 500_000),
        ("emailtrack_stats", "records", 500_000),
        ("fetch_mail_queue", "records", 500_000),
        ("servicestatus", "service", 500_000),
        ("getdiskusage", "partition", 500_000),
        ("email_logs", "records", 100_000),
        ("messages", "records", 100_000),
    ] {
        let body = |rows: usize| {
            format!("{{\"metadata\":{{\"result\":1}},\"data\":{{\"{list}\":[{}{{}}]}}}}", "{},".repeat(rows - 1)).into_bytes()
        };
        let read = match source().part(part) {
            Some(part) => part.requests[0].read(body(rows_max + 1)).map(|_| ()),
            None => DELIVERY_LOG.read(body(rows_max + 1)).map(|_| ()),
        };
        let beyond = format!("it has more than {rows_max} rows at line 1");
        assert!(matches!(read, Err(ReadError::Malformed(why)) if why.starts_with(&beyond)), "{part}");
    }
}

#[test]
fn every_part_rejects_other_documents() {
    for part in source().parts {
        for body in ["", "{}", "[]", "{\"data\":{},\"metadata\":{\"result\":0}}", "<html>", "{\"cpanelresult\":{}}"] {
            assert!(part.requests[0].read(body.as_bytes().to_vec()).is_err(), "{}: {body}", part.name);
        }
    }
    let records = "{\"data\":{},\"metadata\":{\"result\":1}}";
    assert!(source().required().requests[0].read(records.as_bytes().to_vec()).is_err(), "missing records are not 0 records");
}
