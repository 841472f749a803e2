//! A log of Postfix that is written and rotated, and the real program that reads it.

use super::world::{ANY, PATIENCE, World, attempts, page, records, until};
use crate::support::program::Program;
use crate::support::{FIXTURES, postmeter, stderr, stdout, wait_until_async};
use postmeter::simulate::Receiver;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const KILLS: u64 = 5;

/// A simulated Postfix that writes messages to a log, which is rotated.
struct Log {
    dir: TempDir,
    next: u64,
}

impl Log {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), next: 0 }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("mail.log")
    }

    fn append(&self, text: &str) {
        OpenOptions::new().append(true).create(true).open(self.path()).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Writes messages with one recipient each.
    fn write(&mut self, messages: u64) {
        for id in self.next..self.next + messages {
            self.append(&message(id));
        }
        self.next += messages;
    }

    /// The name of the next rotated file. All are kept, because a file that is removed before it is read is lost.
    fn rotated(&self) -> PathBuf {
        (1..).map(|number| self.dir.path().join(format!("mail.log.{number}"))).find(|path| !path.exists()).unwrap()
    }

    fn rotate(&self) {
        std::fs::rename(self.path(), self.rotated()).unwrap();
    }

    fn copy_and_truncate(&self) {
        std::fs::copy(self.path(), self.rotated()).unwrap();
        File::options().write(true).open(self.path()).unwrap().set_len(0).unwrap();
    }
}

fn message(id: u64) -> String {
    let line = |second: u64, program: &str, text: &str| {
        format!("2026-11-28T14:{:02}:{second:02}.{:06}+00:00 mx1 postfix/{program}: {id:010X}: {text}\n", id / 60 % 60, id % 1_000_000)
    };
    line(1, "smtpd[1]", "client=client.example.com[192.0.2.10]")
        + &line(1, "cleanup[2]", &format!("message-id=<{id}@example.com>"))
        + &line(2, "qmgr[3]", "from=<s@example.com>, size=2048, nrcpt=1 (queue active)")
        + &line(
            3,
            "smtp[4]",
            &format!(
                "to=<r{id}@example.net>, relay=mx.example.net[192.0.2.7]:25, delay=2.5, delays=0.1/0/1.2/1.2, dsn=2.0.0, status=sent (250 2.0.0 Ok)"
            ),
        )
        + &line(4, "qmgr[3]", "removed")
}

/// Each message has a record of its receipt and one of its delivery.
fn expected(messages: u64) -> usize {
    usize::try_from(2 * messages).unwrap()
}

fn world(path: &Path) -> World {
    let mut world = World::new();
    world.targets = format!("  - {{name: mx1, system: postfix, parts: {{deliveries: {{log_files: {{path: \"{}\"}}}}}}}}\n", path.display());
    world
}

#[tokio::test]
async fn deliveries_of_a_log_are_counted_and_arrive() {
    let (mut log, receiver) = (Log::new(), Receiver::start(ANY).await.unwrap());
    log.write(20);
    let world = world(&log.path());
    let service = world.service(Some(&receiver.url())).await;
    until("the first records have arrived", || receiver.distinct_log_records() == expected(20)).await;
    log.write(5);
    log.rotate();
    log.write(5);
    until("records of both files have arrived", || receiver.distinct_log_records() == expected(30)).await;
    log.append(&message(30)[..100]);
    log.copy_and_truncate();
    log.write(5);
    until("all records have arrived", || receiver.distinct_log_records() == expected(35)).await;
    let page = page(&service).await;
    assert_eq!((attempts(&page, "mx1", "delivered"), records(&page, "mx1", "read")), (35.0, 70.0));
    assert!(!page.contains("postmeter_record_state=\"unjoined\""), "{page}");
    assert!(page.contains("mail_received_messages_total") && page.contains("mail_message_source=\"remote\""), "{page}");
    service.stop().await;
}

/// Opening a named pipe would wait for a writer.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_pipe_in_the_place_of_the_log_is_reported_and_blocks_nothing() {
    let (mut log, receiver) = (Log::new(), Receiver::start(ANY).await.unwrap());
    log.write(1);
    let world = world(&log.path());
    let file = log.dir.path().join("postmeter.yaml");
    std::fs::write(&file, world.file(Some(&receiver.url()))).unwrap();
    let service = world.service(Some(&receiver.url())).await;
    until("the first records have arrived", || receiver.distinct_log_records() == expected(1)).await;
    log.rotate();
    assert!(Command::new("mkfifo").arg(log.path()).status().unwrap().success());
    let is_reported =
        async || page(&service).await.lines().any(|line| line.starts_with("postmeter_poll_errors_total{") && line.contains("\"file\""));
    wait_until_async(is_reported, PATIENCE, "the pipe is reported").await;
    let checked = postmeter().args(["check", "--config"]).arg(&file).output().unwrap();
    assert!(stderr(&checked).contains("not a regular file"), "{}{}", stdout(&checked), stderr(&checked));
    std::fs::remove_file(log.path()).unwrap();
    log.write(1);
    until("the log is read again", || receiver.distinct_log_records() == expected(2)).await;
    std::fs::remove_file(log.path()).unwrap();
    assert!(Command::new("mkfifo").arg(log.path()).status().unwrap().success());
    tokio::time::timeout(PATIENCE, service.stop()).await.expect("the service does not stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_survives_kills_and_rotations_under_one_identity() {
    let (mut log, receiver) = (Log::new(), Receiver::start(ANY).await.unwrap());
    let world = world(&log.path());
    let file = world.file(Some(&receiver.url())).replace("receive: {listen: \"127.0.0.1:0\"}\n", "");
    let directory = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        if kill % 2 == 1 {
            receiver.fail_with(Some(tonic::Status::unavailable("down")));
        }
        let before = receiver.distinct_log_records();
        let program = Program::spawn_with(directory.path(), &file, &[]);
        log.write(100);
        if kill % 2 == 0 {
            until("some records have arrived", || receiver.distinct_log_records() > before).await;
        }
        log.write(100);
        // In the middle of a message.
        let text = message(log.next);
        let (first, rest) = text.split_at(text.len() / 2);
        log.append(first);
        program.kill();
        log.append(rest);
        log.next += 1;
        receiver.fail_with(None);
        if kill % 2 == 0 {
            log.rotate()
        } else {
            log.copy_and_truncate()
        }
        log.write(10);
    }
    let program = Program::spawn_with(directory.path(), &file, &[]);
    until("all records have arrived", || receiver.distinct_log_records() >= expected(log.next)).await;
    program.end();
    assert_eq!(receiver.distinct_log_records(), expected(log.next), "each record has one identity");
}

#[test]
fn a_saved_log_is_printed() {
    let output =
        postmeter().args(["records", "--system", "postfix", "--file", &format!("{FIXTURES}/postfix/hook-mail.log")]).output().unwrap();
    let (printed, problem) = (stdout(&output), stderr(&output));
    assert_eq!(printed.lines().count(), 25, "{printed}");
    assert!(printed.contains("mail.delivery.outcome=deferred") && printed.contains("mail.smtp.enhanced_status_code=4.2.2"), "{printed}");
    for private in ["example.net", "192.0.2.10", "secret", "AHVz", "4F1A2B3C4D", "private subject"] {
        assert!(!printed.contains(private), "{private}: {printed}");
    }
    assert!(problem.contains("records: 25") && problem.contains("unreadable: 2") && !problem.contains("TZ"), "{problem}");
    for (zone, time, is_known) in [("America/New_York", "-11-28T19:43:15Z", true), ("America/New_Yorck", "-11-28T14:43:15Z", false)] {
        let output = postmeter()
            .args(["records", "--system", "postfix", "--file", &format!("{FIXTURES}/postfix/hook-mail.log")])
            .env("TZ", zone)
            .output()
            .unwrap();
        assert!(stdout(&output).contains(time), "{zone}: {}", stdout(&output));
        assert_eq!(
            stderr(&output).contains("warning: TZ: \"America/New_Yorck\" is not a time zone, so "),
            !is_known,
            "{}",
            stderr(&output)
        );
    }
}
