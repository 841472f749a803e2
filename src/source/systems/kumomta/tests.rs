//! Canonical values of the fixture, and counters over several polls.
#![allow(clippy::unwrap_used)]

use crate::model::vocabulary::*;
use crate::model::{Attribute, Repair, Snapshot};
use crate::source::{Context, CounterMemory, Detail, Source, by_name, map_to_canonical};
use std::time::{Duration, SystemTime};

fn source() -> &'static Source {
    by_name("kumomta").unwrap()
}

const METRICS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kumomta/metrics.json"));

fn snapshot(metrics: &str, memory: &mut CounterMemory, detail: Option<Detail>) -> Snapshot {
    let info = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kumomta/machine-info.json"));
    let read = [metrics, info].into_iter().zip(source().parts).map(|(body, part)| {
        let families = part.requests[0].read(body.as_bytes().to_vec()).unwrap();
        (part, families)
    });
    let context = Context { detail, ..Context::at(SystemTime::UNIX_EPOCH) };
    map_to_canonical(source(), &read.collect::<Vec<_>>(), memory, &context)
}

fn lines(snapshot: &Snapshot) -> Vec<String> {
    let line = |p: &crate::model::Point| {
        let attributes: Vec<_> = p.attributes.iter().map(|(_, value)| value.as_ref()).collect();
        format!("{} {} {}", p.metric.name, attributes.join(","), p.value)
    };
    snapshot.points.iter().map(line).collect()
}

#[test]
fn the_fixture_is_mapped() {
    let snapshot = snapshot(METRICS, &mut CounterMemory::default(), None);
    let expected = [
        "mail.queue.depth ready 5",
        "mail.queue.depth scheduled 20",
        "mail.queue.delays ready_queue_full 7",
        "mail.queue.delays message_rate 2",
        "mail.queue.delays ready_queue_insert_rate 1",
        "mail.received.messages smtp 94",
        "mail.received.messages http 23",
        "mail.rejected.messages unspecified 4",
        "mail.delivery.attempts delivered 92",
        "mail.delivery.attempts deferred 17",
        "mail.delivery.attempts failed 5",
        "mail.verifications dane,pass 6",
        "mail.verifications dane,unusable 1",
        "mail.verifications dane,not_applicable 9",
        "mail.verifications dane,insecure 2",
        "mail.verifications dane,temperror 3",
        "mail.connection.active smtp,inbound 2",
        "mail.connection.active smtp,outbound 3",
        "mail.connection.opened smtp,outbound 40",
        "mail.connection.denied smtp,inbound 1",
        "process.memory.usage  104857600",
        "system.cpu.utilization  0.13",
    ];
    assert_eq!(lines(&snapshot), expected);
    let (metric, attributes, histogram) = &snapshot.histograms[0];
    assert_eq!((snapshot.histograms.len(), metric.name, attributes.len()), (1, "mail.delivery.attempt.duration", 0));
    assert_eq!((&*histogram.bounds, &*histogram.cumulative), (&[0.1, 0.5, 1.0][..], &[1, 3, 4][..]));
    assert_eq!((histogram.sum, histogram.count), (Some(1.4), 4));
    assert_eq!(snapshot.version.as_deref(), Some("2026.08.01-0123abcd"));
    assert_eq!(snapshot.counters_since, None);
    let repairs: Vec<_> = snapshot.repairs.iter().collect();
    assert_eq!(repairs, [(Repair::Unescaped, 4)], "help, two queues, a campaign");
}

#[test]
fn details_add_up_to_the_total() {
    for (by, expected) in [
        (&DESTINATION_DOMAIN, vec!["example.com 12", "example.org 6", "_OTHER 2"]),
        (&TENANT_NAME, vec!["acme 8", "_OTHER 12"]),
        (&QUEUE_NAME, vec!["say \"hi\":acme@example.com 8", "back\\slash@example.org 6", "_OTHER 6"]),
    ] as [(&'static Attribute, _); 3]
    {
        let snapshot = snapshot(METRICS, &mut CounterMemory::default(), Some(Detail { by, top: 2 }));
        let depth: Vec<_> = lines(&snapshot).into_iter().filter_map(|l| Some(l.split_once(" scheduled,")?.1.to_owned())).collect();
        let depth: Vec<_> = depth.iter().map(String::as_str).collect();
        assert_eq!(depth, expected, "{}", by.key);
        assert!(lines(&snapshot).contains(&"mail.queue.depth ready 5".to_owned()));
    }
}

/// KumoMTA counts ready and scheduled messages of a provider together.
#[test]
fn a_detail_by_provider_replaces_both_states() {
    let detail = || Some(Detail { by: &PROVIDER_NAME, top: 2 });
    let metrics = METRICS.trim_end().strip_suffix('}').unwrap().to_owned();
    let by_provider = ",\n\"queued_count_by_provider\":{\"help\":\"Both.\",\"type\":\"gauge\",\"value\":{\"provider\":{\"big\":12,\n\"small\":4,\n\"tiny\":3}}}}";
    let depth = |metrics: &str| {
        let mut lines = lines(&snapshot(metrics, &mut CounterMemory::default(), detail()));
        lines.retain(|line| line.starts_with("mail.queue.depth"));
        lines
    };
    let expected = ["mail.queue.depth queued,big 12", "mail.queue.depth queued,small 4", "mail.queue.depth queued,_OTHER 9"];
    assert_eq!(depth(&(metrics + by_provider)), expected);
    assert_eq!(depth(METRICS), ["mail.queue.depth ready 5", "mail.queue.depth scheduled 20"], "a server without the family");
}

/// After a restart, every counter has started at 0, even one that is higher than before.
#[test]
fn a_later_start_of_the_process_resets_every_accumulated_counter() {
    let info = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kumomta/machine-info.json"));
    let mut memory = CounterMemory::default();
    let mut delays = |seconds: u64, queues: &str, since: Option<&str>, repeated: bool| {
        memory.repeats_process_start(repeated);
        let metrics = METRICS.replace("\"example.com\":3,\n\"acme@example.org\":4", queues);
        let metrics = source().parts[0].requests[0].read(metrics.into_bytes()).unwrap();
        let mut read = vec![(&source().parts[0], metrics)];
        if let Some(since) = since {
            let info = info.replace("2026-08-01", since);
            read.push((&source().parts[1], source().parts[1].requests[0].read(info.into_bytes()).unwrap()));
        }
        let context = Context::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_578_400 + seconds));
        memory.has_decreased(&source().parts[0], &read[..1]);
        let snapshot = map_to_canonical(source(), &read, &mut memory, &context);
        snapshot.points.iter().find(|point| point.metric == &QUEUE_DELAYS).map(|point| point.value)
    };
    let (before, after) = (Some("2026-08-01"), Some("2026-08-02"));
    // The times of the polls, in seconds since 2026-08-01T10:00:00Z. The process started then, and one and two days later.
    for (seconds, queues, since, repeated, expected) in [
        (60, "\"a\":3,\n\"b\":4", before, false, 7.0),
        (86_395, "\"a\":5,\n\"b\":4", before, true, 9.0),
        // One counter decreased, so the restart is known at once: both have restarted.
        (86_405, "\"a\":6,\n\"b\":1", after, false, 16.0),
        (86_415, "\"a\":7,\n\"b\":1", after, true, 17.0),
        (86_425, "\"a\":7,\n\"b\":2", None, false, 18.0),
        (86_435, "\"a\":8,\n\"b\":2", after, false, 19.0),
        // No counter decreased, so the restart is known one poll later.
        (172_805, "\"a\":9,\n\"b\":3", after, true, 21.0),
        (172_815, "\"a\":9,\n\"b\":4", Some("2026-08-03"), false, 32.0),
        (172_825, "\"a\":10,\n\"b\":4", Some("2026-08-03"), false, 33.0),
        // A clock that was set back is not a restart.
        (172_835, "\"a\":11,\n\"b\":4", before, false, 34.0),
    ] {
        assert_eq!(delays(seconds, queues, since, repeated), Some(expected), "{queues} {since:?}");
    }
}

/// A pruned counter disappears, and restarts at 1.
#[test]
fn pruning_does_not_reset_counters_by_queue() {
    let mut memory = CounterMemory::default();
    let full = |queues: &str| METRICS.replace("\"example.com\":3,\n\"acme@example.org\":4", queues);
    for (queues, expected) in [
        ("\"example.com\":3,\n\"acme@example.org\":4", 7.0),
        ("\"example.com\":5,\n\"acme@example.org\":4", 9.0),
        ("\"example.com\":6", 10.0),
        ("", 10.0),
        ("\"acme@example.org\":1", 11.0),
        ("\"example.com\":2,\n\"acme@example.org\":1", 13.0),
    ] {
        let snapshot = snapshot(&full(queues), &mut memory, None);
        let delays = snapshot.points.iter().find(|p| p.metric == &QUEUE_DELAYS).map(|p| p.value);
        assert_eq!(delays, Some(expected), "{queues}");
    }
}

#[test]
fn missing_families_are_not_zero() {
    let snapshot = snapshot(r#"{"memory_usage":{"type":"gauge","value":1}}"#, &mut CounterMemory::default(), None);
    assert_eq!(lines(&snapshot), ["process.memory.usage  1"]);
}

/// Responses of real servers, if available.
#[test]
fn both_formats_of_a_capture_have_the_same_values() {
    let Some(captures) = std::env::var_os("POSTMETER_CAPTURES") else { return };
    for name in ["idle", "small", "badlabel_quote"] {
        let mapped: Vec<_> = source()
            .required()
            .requests
            .iter()
            .zip(["json", "txt"])
            .map(|(request, ending)| {
                let path = std::path::Path::new(&captures).join(format!("kumomta/{name}.metrics.{ending}"));
                let read = [(source().required(), request.read(std::fs::read(path).unwrap()).unwrap())];
                let context = Context::at(SystemTime::UNIX_EPOCH);
                let mut lines = lines(&map_to_canonical(source(), &read, &mut CounterMemory::default(), &context));
                // These changed between the two requests.
                lines.retain(|line| !line.starts_with("process.") && !line.starts_with("system."));
                lines
            })
            .collect();
        assert_eq!(mapped[0], mapped[1], "{name}");
    }
}

#[test]
fn a_faulty_spool_and_a_suspended_source_lead_to_advice() {
    let gauge = |name: &str, value: &str| format!(r#","{name}":{{"type":"gauge","value":{value}}}"#);
    let page = |spool: u8, source: u8| {
        let received = r#"{"total_messages_received":{"type":"counter","value":{"service":{"esmtp_listener":1}}}"#;
        let spools = gauge("rocks_spool_load_shed_active", &format!(r#"{{"path":{{"/var/spool/a":0,"/var/spool/b":{spool}}}}}"#));
        let sources = gauge("egress_source_health_suspended", &format!(r#"[{{"source":"ip-1","reason":"Unplumbed","@":{source}}}]"#));
        format!("{received}{spools}{sources}}}")
    };
    let advice = |page: &str| snapshot(page, &mut CounterMemory::default(), None).advice;
    assert_eq!(advice(&page(0, 0)), [""; 0]);
    assert_eq!(
        advice(&page(1, 1)),
        [
            "the spool /var/spool/b is faulty, so KumoMTA rejects new messages: check the disk and KumoMTA's log",
            "KumoMTA has suspended the egress source ip-1 (Unplumbed): check its address and its proxy",
        ]
    );
}
