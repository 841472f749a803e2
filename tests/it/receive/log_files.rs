//! Segments of KumoMTA that are written to a directory, and the real program that reads them.

use super::segment_writer::Segment;
use super::world::{ANY, TOKEN, World, arrived, lines, page, records, send, until, value};
use crate::support::program::Program;
use crate::support::{postmeter, stderr, stdout};
use postmeter::app::Service;
use postmeter::simulate::Receiver;
use reqwest::StatusCode;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const KILLS: u64 = 5;

/// A target without a server, whose records are in a directory.
fn target(name: &str, dir: &Path, rest: &str) -> String {
    format!("  - {{name: {name}, system: kumomta, parts: {{deliveries: {{log_files: {{dir: \"{}\"}}{rest}}}}}}}\n", dir.display())
}

/// A world with one target, and its directory.
fn world(rest: &str) -> (World, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new();
    world.targets = target("mta1", dir.path(), rest);
    (world, dir)
}

#[tokio::test]
async fn records_of_segments_arrive_without_a_listener() {
    let (world, dir) = world("");
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = world.file(Some(&receiver.url())).replace("receive: {listen: \"127.0.0.1:0\"}\n", "");
    let mut complete = Segment::open(dir.path(), "20261128-144320.5");
    complete.write(0..1000);
    complete.finish();
    let directory = tempfile::tempdir().unwrap();
    let program = Program::spawn_with(directory.path(), &file, &[]);
    arrived(&receiver, 1000).await;
    // Two segments that are not complete, and grow.
    let mut open = ["20261128-144420.5", "20261128-144420.5_acct"].map(|name| Segment::open(dir.path(), name));
    for step in 0..3 {
        for (n, segment) in (0..).zip(&mut open) {
            let first = 1000 + step * 200 + n * 100;
            segment.write(first..first + 100);
            segment.flush();
        }
        arrived(&receiver, usize::try_from(1200 + step * 200).unwrap()).await;
    }
    program.end();
    assert_eq!((receiver.distinct_log_records(), receiver.log_records()), (1600, 1600));
}

#[tokio::test]
async fn the_hook_and_the_files_have_the_same_records() {
    let (world, dir) = world(", token: let-me-in");
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = world.service(Some(&receiver.url())).await;
    let mut segment = Segment::open(dir.path(), "20261128-144320.5");
    segment.write(0..100);
    segment.flush();
    until("the records are read", || receiver.distinct_log_records() == 100).await;
    assert_eq!(send(&service, "mta1", lines(50..150)).await, StatusCode::OK);
    until("the records have arrived", || receiver.distinct_log_records() == 150).await;
    segment.write(100..200);
    segment.finish();
    until("all records have arrived", || receiver.distinct_log_records() == 200).await;
    let page = page(&service).await;
    assert_eq!((records(&page, "mta1", "read"), records(&page, "mta1", "repeated")), (200.0, 100.0));
    assert_eq!(super::world::attempts(&page, "mta1", "delivered"), 200.0);
    assert_eq!(TOKEN, "let-me-in");
    service.stop().await;
}

#[tokio::test]
async fn a_target_with_files_only_accepts_no_requests() {
    let (world, _dir) = world("");
    let service = world.service(None).await;
    assert_eq!(send(&service, "mta1", lines(0..1)).await, StatusCode::NOT_FOUND);
    service.stop().await;
}

#[tokio::test]
async fn a_directory_that_appears_later_is_read_and_the_problem_is_shown() {
    let (mut world, dir) = world("");
    let later = dir.path().join("later");
    world.targets = target("mta1", &later, "");
    let service = world.service(None).await;
    let failures = |page: &str| value(page, "postmeter_poll_errors_total", &["postmeter_poll_part=\"deliveries\"", "error_type=\"file\""]);
    let mut text = String::new();
    while !text.contains("error_type=\"file\"") {
        tokio::time::sleep(Duration::from_millis(20)).await;
        text = page(&service).await;
    }
    assert!(failures(&text) >= 1.0);
    let failure = || shown_failure(&service);
    assert!(failure().unwrap().contains("/later cannot be read: No such file or directory"), "{:?}", failure());
    std::fs::create_dir(&later).unwrap();
    let mut segment = Segment::open(&later, "20261128-144320.5");
    segment.write(0..10);
    segment.finish();
    until("the failure has ended", || failure().is_none()).await;
    while records(&page(&service).await, "mta1", "read") < 10.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    service.stop().await;
}

/// The failure of log files that the status page shows for a target.
fn shown_failure(service: &Service) -> Option<String> {
    let shown = service.targets.find("mta1").unwrap();
    shown.target.history(|history| history.log_failure.as_ref().map(|failure| failure.error.to_string()))
}

async fn file_errors(service: &Service) -> f64 {
    let page = page(service).await;
    let is_counted = page.lines().any(|line| line.starts_with("postmeter_poll_errors_total{") && line.contains("error_type=\"file\""));
    if is_counted {
        value(&page, "postmeter_poll_errors_total", &["postmeter_poll_part=\"deliveries\"", "error_type=\"file\""])
    } else {
        0.0
    }
}

/// Each outage fills the space for records. Segments that are removed meanwhile, before they were read, are lost.
#[tokio::test]
async fn reading_that_waits_for_space_is_shown_and_removed_segments_are_counted() {
    let (mut world, dir) = world("");
    world.receive = ", max_bytes: 1MiB".to_owned();
    let mut next = 0;
    let mut write = |name: String, records: u64| {
        let mut segment = Segment::open(dir.path(), &name);
        segment.write(next..next + records);
        segment.finish();
        next += records;
        dir.path().join(name)
    };
    // More than the first round reads, and then segments that it only lists.
    (1..=5).for_each(|n| drop(write(format!("20261128-1{n:05}.0"), 1500)));
    let unread: Vec<_> = (1..=30).map(|n| write(format!("20261128-2{n:05}.0"), 1)).collect();
    let receiver = Receiver::start(ANY).await.unwrap();
    receiver.fail_with(Some(tonic::Status::unavailable("down")));
    let service = world.service(Some(&receiver.url())).await;
    let is_waiting = || shown_failure(&service).is_some_and(|failure| failure.contains("receive.max_bytes"));
    until("the failure is shown", is_waiting).await;
    let waiting = file_errors(&service).await;
    assert!(waiting >= 1.0);
    unread.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    receiver.fail_with(None);
    arrived(&receiver, 7500).await;
    until("the failure has ended", || shown_failure(&service).is_none()).await;
    let lost = file_errors(&service).await;
    assert!(lost >= waiting + unread.len() as f64, "{lost} after {waiting}");
    // Another outage is shown, too.
    receiver.fail_with(Some(tonic::Status::unavailable("down")));
    (1..=5).for_each(|n| drop(write(format!("20261129-1{n:05}.0"), 1500)));
    until("the failure is shown again", is_waiting).await;
    receiver.fail_with(None);
    arrived(&receiver, 15_000).await;
    until("the failure has ended again", || shown_failure(&service).is_none()).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_survives_kills_and_is_sent_under_one_identity() {
    let (world, dir) = world("");
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = world.file(Some(&receiver.url()));
    let directory = tempfile::tempdir().unwrap();
    let mut next = 0;
    let mut open = Segment::open(dir.path(), "20261128-000000.0");
    for kill in 0..KILLS {
        if kill % 2 == 1 {
            receiver.fail_with(Some(tonic::Status::unavailable("down")));
        }
        let program = Program::spawn_with(directory.path(), &file, &[]);
        let before = receiver.distinct_log_records();
        for step in 0..4 {
            open.write(next..next + 300);
            next += 300;
            open.flush();
            if step == 1 {
                open.finish();
                // A restart of the writer continues a segment in a second frame, or begins another one.
                let name = if kill == 2 { "20261128-000000.0".to_owned() } else { format!("20261128-{:06}.0", next) };
                open = Segment::open(dir.path(), &name);
            }
            if kill % 2 == 0 && step == 2 {
                until("some records have arrived", || receiver.distinct_log_records() > before).await;
            }
        }
        program.kill();
        receiver.fail_with(None);
    }
    let program = Program::spawn_with(directory.path(), &file, &[]);
    open.finish();
    arrived(&receiver, usize::try_from(next).unwrap()).await;
    program.end();
    assert_eq!(receiver.distinct_log_records() as u64, next, "each record has one identity");
}

#[test]
fn check_warns_of_files_that_cannot_be_read_and_tries_them() {
    let dir = tempfile::tempdir().unwrap();
    let (segments, log) = (dir.path().join("segments"), dir.path().join("mail.log"));
    let file = format!(
        "state_dir: {}\ntargets:\n{}  - {{name: mx1, system: postfix, parts: {{deliveries: {{log_files: {{path: \"{}\"}}}}}}}}\n",
        dir.path().display(),
        target("mta1", &segments, ""),
        log.display()
    );
    std::fs::write(dir.path().join("postmeter.yaml"), file).unwrap();
    let check = |flags: &[&str]| {
        let output = postmeter().args(["check", "--config", "postmeter.yaml"]).args(flags).current_dir(dir.path()).output().unwrap();
        (output.status.success(), stdout(&output), stderr(&output))
    };
    let (is_valid, _, warnings) = check(&[]);
    assert!(is_valid && warnings.matches("cannot be read: No such file or directory").count() == 2, "{warnings}");
    let (is_valid, table, _) = check(&["--connect"]);
    assert!(!is_valid && table.matches("FAILED").count() == 2 && table.contains("mail.log"), "{table}");
    assert!(!warnings.contains("TZ: "), "{warnings}");
    let misspelt =
        postmeter().args(["check", "--config", "postmeter.yaml"]).current_dir(dir.path()).env("TZ", "Europe/Berlim").output().unwrap();
    assert_eq!(stderr(&misspelt).matches("warning: TZ: \"Europe/Berlim\" is not a time zone").count(), 1, "{}", stderr(&misspelt));
    std::fs::create_dir(&segments).unwrap();
    std::fs::write(&log, "").unwrap();
    let (is_valid, table, warnings) = check(&["--connect"]);
    assert!(is_valid && table.matches("log files can be read").count() == 2 && !warnings.contains("warning: "), "{table} {warnings}");
    assert_eq!(table.matches("not polled: its records are read from files").count(), 2, "{table}");
}
