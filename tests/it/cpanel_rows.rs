//! Rows of cPanel's responses that are not of the expected kind.
#![allow(clippy::unwrap_used)]

use postmeter::model::{Families, Repair};
use postmeter::source;

fn read(part: &str, list: &str, rows: &str) -> Result<Families, String> {
    let part = source::by_name("cpanel").unwrap().parts.iter().find(|other| other.name == part).unwrap();
    let body = format!(r#"{{"data":{{"{list}":[{rows}]}},"metadata":{{"result":1}}}}"#);
    part.read_saved(body.as_bytes()).map_err(|error| error.to_string())
}

/// Returns the values of the families, the unreadable rows, and whether any value is unknown.
fn values(part: &str, list: &str, rows: &str) -> (Vec<String>, u64) {
    let families = read(part, list, rows).unwrap();
    let values =
        families.iter().flat_map(|family| family.samples().map(move |sample| (family.name().to_owned(), sample.number().unwrap())));
    (values.map(|(name, value)| format!("{name} {value}")).collect(), families.repairs().get(Repair::Unreadable))
}

#[test]
fn rows_of_another_kind_fail_their_part() {
    for (part, list) in [
        ("emailtrack_user_stats", "records"),
        ("emailtrack_stats", "records"),
        ("fetch_mail_queue", "records"),
        ("servicestatus", "service"),
        ("getdiskusage", "partition"),
    ] {
        for rows in [
            r#"["bob","own","dom","pd",0,0,500,400,3,2,1,1000,0]"#,
            "[1,1700000000]",
            "null",
            "{}",
            r#"{"error":"x"}"#,
            // Names have this case, or another in other functions.
            r#"{"user":"u","successcount":4,"FROZEN":1,"NAME":"exim","MOUNT":"/"}"#,
        ] {
            let error = read(part, list, rows).map(|_| ()).unwrap_err();
            assert!(!error.contains('\n'), "{part}: {error}");
        }
        assert!(read(part, list, "").is_ok(), "{part}: an empty list");
    }
    for body in [
        r#"[{"records":[{"USER":"u","SUCCESSCOUNT":4}]},{"result":1}]"#,
        r#"{"data":[[{"USER":"u"}]],"metadata":{"result":1}}"#,
        r#"{"data":{"records":[]},"metadata":[1,"OK"]}"#,
    ] {
        assert!(source::by_name("cpanel").unwrap().required().read_saved(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn one_row_of_another_kind_makes_the_sums_unknown() {
    let (values_of_totals, unreadable) = values("emailtrack_stats", "records", r#"{"SUCCESSCOUNT":4},{"error":"x"}"#);
    assert!(values_of_totals.len() == 7 && values_of_totals.iter().all(|value| value.ends_with("NaN")), "{values_of_totals:?}");
    assert_eq!(unreadable, 1);
    let (queue, unreadable) = values("fetch_mail_queue", "records", r#"{"frozen":1,"time":5},{"error":"x"},{}"#);
    assert!(queue.iter().all(|value| value.ends_with("NaN")), "{queue:?}");
    assert_eq!(unreadable, 2);
    // The other services and file systems are known.
    let (services, unreadable) =
        values("servicestatus", "service", r#"{"name":"exim","enabled":1,"monitored":1,"running":1},{"error":"x"}"#);
    assert_eq!((services, unreadable), (vec!["service_running 1".to_owned()], 1));
    let (disks, unreadable) = values("getdiskusage", "partition", r#"{"mount":"/","total":2},{"error":"x"}"#);
    assert_eq!((disks, unreadable), (vec!["system_disk_total_bytes 2048".to_owned()], 1));
    // A member that is null is known.
    let (nothing, unreadable) = values("emailtrack_stats", "records", r#"{"SUCCESSCOUNT":null}"#);
    assert_eq!((nothing.len(), unreadable), (0, 0));
}

#[test]
fn a_row_of_an_unknown_account_makes_canonical_counters_unknown() {
    use postmeter::source::{Context, CounterMemory, map_to_canonical};
    let source = source::by_name("cpanel").unwrap();
    let attempts = |rows: &str| {
        let families = read("emailtrack_user_stats", "records", rows).unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let metrics_from_log = postmeter::model::RecordMetrics::NONE;
        let context = Context { now, window_start: Some(now), sliding: false, detail: None, metrics_from_log };
        let snapshot = map_to_canonical(source, &[(source.required(), families)], &mut CounterMemory::default(), &context);
        let delivered =
            |point: &&postmeter::model::Point| point.metric.name == "mail.delivery.attempts" && point.attributes[0].1 == "delivered";
        snapshot.points.iter().find(delivered).map(|point| point.value)
    };
    const ROW: &str = r#"{"USER":"u","DOMAIN":"d","SENDCOUNT":5,"SUCCESSCOUNT":4,"DEFERCOUNT":1,"FAILCOUNT":2,"TOTALSIZE":100}"#;
    assert_eq!(attempts(ROW), Some(4.0));
    assert_eq!(attempts(&format!("{ROW},{{\"error\":\"x\"}}")), None);
}
