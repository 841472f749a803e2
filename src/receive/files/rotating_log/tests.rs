#![allow(clippy::unwrap_used)]
mod rotations;

use super::*;
use crate::model::Field;
use crate::source;
use flate2::write::GzEncoder;
use std::fs::{File, OpenOptions};
use std::io::Write;

fn hook() -> &'static Hook {
    source::by_name("postfix").unwrap().hook.unwrap()
}

/// The lines of a message: its arrival and its delivery.
fn arrival(id: u64) -> String {
    format!("2026-11-28T14:43:20Z mx1 postfix/qmgr[1]: {id:010X}: from=<s{id}@example.com>, size=9, nrcpt=1 (queue active)\n")
}

fn delivery(id: u64) -> String {
    format!(
        "2026-11-28T14:43:21Z mx1 postfix/smtp[2]: {id:010X}: to=<{id}@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
    )
}

fn message(id: u64) -> String {
    arrival(id) + &delivery(id)
}

/// A log, its reader, which may be started again after each round, and the records that it has read.
struct World {
    dir: tempfile::TempDir,
    saved: Vec<u8>,
    log: Option<RotatingLog>,
    restarts: bool,
    rotations: u64,
    /// The message of each record, and whether its sender is known.
    found: Vec<(u64, bool)>,
    identities: Vec<Vec<u8>>,
    losses: Vec<String>,
    unreadable: u64,
    /// The time that the reader believes to have, after the real one.
    later: Duration,
}

impl World {
    fn new(restarts: bool) -> Self {
        let (log, found, identities, losses, unreadable, later) = Default::default();
        let dir = tempfile::tempdir().unwrap();
        Self { dir, saved: Positions::default().encode(), log, restarts, rotations: 0, found, identities, losses, unreadable, later }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, text: &str) {
        self.append_to("mail.log", text);
    }

    fn append_to(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Renames a file. Its time is older than that of the next one, which a clock of the file system may not show in a fast test.
    fn rename(&mut self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
        self.make_older(to);
    }

    fn make_older(&mut self, name: &str) {
        self.rotations += 1;
        let time = SystemTime::now() - Duration::from_secs(10_000) + Duration::from_secs(10 * self.rotations);
        File::open(self.path(name)).unwrap().set_modified(time).unwrap();
    }

    /// Copies the log, and truncates it.
    fn copy_and_truncate(&mut self, to: &str) {
        std::fs::copy(self.path("mail.log"), self.path(to)).unwrap();
        self.make_older(to);
        File::options().write(true).open(self.path("mail.log")).unwrap().set_len(0).unwrap();
    }

    /// Compresses a file as logrotate does: the time is kept, and the original is removed. By another program than gzip it cannot be read.
    fn compress(&mut self, name: &str, extension: &str) {
        let (path, compressed) = (self.path(name), self.path(&format!("{name}{extension}")));
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        let mut encoder = GzEncoder::new(File::create(&compressed).unwrap(), flate2::Compression::fast());
        encoder.write_all(&std::fs::read(&path).unwrap()).unwrap();
        encoder.finish().unwrap().set_modified(modified).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    fn round(&mut self) -> Round {
        let path = self.path("mail.log");
        let new = || RotatingLog::new(path, Positions::decode(&self.saved).unwrap());
        let mut log = self.log.take().filter(|_| !self.restarts).unwrap_or_else(new);
        let round = log.read(hook(), SystemTime::now() + self.later).unwrap();
        self.saved = log.positions(true).unwrap().encode();
        self.log = Some(log);
        for found in &round.page.records {
            let recipient = found.record.field(Field::Recipient).unwrap();
            let id = recipient.split_once('@').unwrap().0.parse().unwrap();
            self.found.push((id, found.record.field(Field::Sender).is_some()));
            self.identities.push(found.identity.clone());
        }
        self.losses.extend(round.losses.iter().cloned());
        self.unreadable += round.page.unreadable;
        round
    }

    fn read_all(&mut self) {
        let rounds = (0..10_000).take_while(|_| self.round().has_more).count();
        assert!(rounds < 10_000, "there is always more to read");
    }

    /// Checks that the deliveries of these messages were read in this order, each with its sender.
    #[track_caller]
    fn has_read(&mut self, expected: std::ops::Range<u64>) {
        self.read_all();
        assert_eq!(self.found, expected.map(|id| (id, true)).collect::<Vec<_>>(), "{:?}", self.losses);
    }
}

#[test]
fn a_growing_log_is_read_once_whatever_restarts() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        let mut next = 0;
        for messages in [1, 0, 20, 3] {
            world.append(&(next..next + messages).map(message).collect::<String>());
            next += messages;
            world.has_read(0..next);
        }
        // A restart between the lines of a message.
        world.append(&arrival(next));
        world.has_read(0..next);
        world.append(&delivery(next));
        world.has_read(0..next + 1);
        assert_eq!((world.losses.len(), world.unreadable), (0, 0));
    }
}

#[test]
fn the_place_where_the_bytes_are_split_does_not_matter() {
    let text: String = (0..3).map(message).collect();
    let mut whole = World::new(false);
    whole.append(&text);
    whole.has_read(0..3);
    for restarts in [false, true] {
        for at in (0..=text.len()).step_by(if restarts { 5 } else { 1 }) {
            let mut world = World::new(restarts);
            world.append(&text[..at]);
            world.read_all();
            world.append(&text[at..]);
            world.has_read(0..3);
            assert!(world.identities == whole.identities, "{at}");
        }
    }
}

#[test]
fn the_rest_of_a_renamed_log_is_read_first() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append(&message(0));
        world.has_read(0..1);
        world.append(&(message(1) + &arrival(2)));
        world.rename("mail.log", "mail.log.1");
        world.has_read(0..2);
        // The writer still has the old file.
        OpenOptions::new()
            .append(true)
            .open(world.path("mail.log.1"))
            .unwrap()
            .write_all(message(3).replace("3@", "2@").as_bytes())
            .unwrap();
        std::fs::write(world.path("mail.log"), "").unwrap();
        world.has_read(0..3);
        world.append(&message(3));
        world.has_read(0..4);
        // Another one, while nothing was read.
        world.rename("mail.log.1", "mail.log.2");
        world.append(&message(4));
        world.rename("mail.log", "mail.log.1");
        world.append(&message(5));
        world.has_read(0..6);
        assert_eq!((world.losses.len(), world.unreadable), (0, 0), "{:?}", world.losses);
    }
}

#[test]
fn several_rotations_while_nothing_runs_are_followed() {
    let mut world = World::new(true);
    world.append(&message(0));
    world.has_read(0..1);
    world.append(&message(1));
    for (id, name) in [(2, "mail.log.2"), (3, "mail.log.1")] {
        world.rename("mail.log", name);
        world.append(&message(id));
    }
    // Files of earlier rotations, and of other logs.
    for name in ["mail.log.3", "mail.log.4.gz", "mail.logging"] {
        std::fs::write(world.path(name), message(9)).unwrap();
        File::open(world.path(name)).unwrap().set_modified(SystemTime::now() - Duration::from_secs(20_000)).unwrap();
    }
    world.has_read(0..4);
    assert!(world.losses.is_empty(), "{:?}", world.losses);
}

#[test]
fn a_log_that_is_copied_and_truncated_is_followed() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append(&(message(0) + &message(1)));
        world.has_read(0..2);
        world.append(&message(2));
        world.copy_and_truncate("mail.log.1");
        world.has_read(0..3);
        world.append(&message(3));
        world.has_read(0..4);
        // It is as large as before at the next check.
        world.copy_and_truncate("mail.log.1");
        world.append(&(4..8).map(message).collect::<String>());
        world.has_read(0..8);
        assert!(world.losses.is_empty(), "{:?}", world.losses);
    }
}

#[test]
fn a_log_that_is_truncated_or_replaced_is_read_from_its_start() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append(&(message(0) + &message(1)));
        world.has_read(0..2);
        File::options().write(true).open(world.path("mail.log")).unwrap().set_len(0).unwrap();
        world.append(&message(2));
        world.has_read(0..3);
        // Removed, and written again.
        std::fs::remove_file(world.path("mail.log")).unwrap();
        world.append(&(message(3) + &message(4) + &message(5)));
        world.has_read(0..6);
        // Nobody knows what the truncated file had. The removed one is read to its end if it is open.
        assert_eq!(world.losses.len(), 1 + usize::from(restarts), "{:?}", world.losses);
    }
}

#[test]
fn a_log_that_is_written_again_counts_no_line_twice() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append(&(0..5).map(message).collect::<String>().replace("14:43", "14:42"));
        world.append(&(5..10).map(message).collect::<String>());
        world.has_read(0..10);
        for id in 10..13 {
            // By `rsync`, for example.
            std::fs::copy(world.path("mail.log"), world.path(".new")).unwrap();
            std::fs::rename(world.path(".new"), world.path("mail.log")).unwrap();
            world.append(&message(id));
            world.has_read(0..id + 1);
        }
        // A line at the beginning is changed, or lines are removed there: everything is read again, and recognized.
        let known = world.identities.clone();
        for change in [|text: &str| text.replacen("size=9", "size=8", 1), |text: &str| text.split_inclusive('\n').skip(2).collect()] {
            let changed: String = change(&std::fs::read_to_string(world.path("mail.log")).unwrap());
            std::fs::write(world.path(".new"), changed).unwrap();
            std::fs::rename(world.path(".new"), world.path("mail.log")).unwrap();
            world.read_all();
        }
        assert!(world.identities.iter().all(|identity| known.contains(identity)));
        assert_eq!(world.losses.len(), usize::from(restarts) * 2, "{:?}", world.losses);
    }
}

#[test]
fn a_half_written_line_waits_and_the_last_line_of_a_rotated_log_does_not() {
    let mut world = World::new(true);
    let text = message(0);
    world.append(&text[..text.len() - 1]);
    world.has_read(0..0);
    world.rename("mail.log", "mail.log.1");
    world.has_read(0..0);
    world.append(&message(1));
    world.has_read(0..2);
    assert_eq!(world.unreadable, 0);
    // Bytes that end in the middle of a line.
    world.append("2026-11-28T14:43:21Z mx1 postfix/smtp[2]: AB01234567: to=<x@exam");
    world.rename("mail.log", "mail.log.2");
    world.append(&message(2));
    world.has_read(0..3);
    assert_eq!(world.unreadable, 1);
}

#[test]
fn a_line_without_an_end_is_skipped() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append(&message(0));
        world.append(&"x".repeat(3 * FILE_TEXT_BYTES_MAX));
        world.read_all();
        world.append(&format!("{}\n", "y".repeat(LINE_BYTES_MAX + 1)));
        world.append(&message(1));
        world.has_read(0..2);
        assert_eq!(world.unreadable, 1);
    }
}

#[test]
fn what_is_large_is_saved_later_and_at_the_end() {
    let mut world = World::new(false);
    let many = SAVED_AT_ONCE_MAX as u64 + 1;
    world.append(&(0..many).map(message).collect::<String>());
    world.read_all();
    let mut log = world.log.take().unwrap();
    assert_eq!(log.positions(false), None);
    assert_eq!(log.positions(true).unwrap().files[0].offset, std::fs::metadata(world.path("mail.log")).unwrap().len());
    assert_eq!(log.positions(false), None);
    log.unsaved_lines = UNSAVED_LINES_MAX + 1;
    assert!(log.positions(false).is_some());
}

#[test]
fn a_log_that_cannot_be_read_is_a_problem_and_is_tried_again() {
    let mut world = World::new(true);
    let mut log = RotatingLog::new(world.path("mail.log"), Positions::default());
    let problem = log.read(hook(), SystemTime::now()).unwrap_err();
    assert!(problem.contains("/mail.log cannot be read: No such file or directory"), "{problem}");
    world.append(&message(0));
    world.has_read(0..1);
}
