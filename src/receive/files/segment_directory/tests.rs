#![allow(clippy::unwrap_used)]
mod shared_positions;

use super::*;
use crate::model::Field;
use crate::source;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use zstd::stream::write::Encoder;

/// A segment that is being written.
struct Writer {
    path: PathBuf,
    encoder: Encoder<'static, File>,
}

impl Writer {
    /// Opens a segment as KumoMTA does: a new frame is appended.
    fn open(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        Self { path, encoder: Encoder::new(file, 0).unwrap() }
    }

    fn write(&mut self, id: u64) {
        writeln!(self.encoder, "{}", line(id)).unwrap();
    }

    /// Writes the block, so that everything so far can be read.
    fn flush(&mut self) {
        self.encoder.flush().unwrap();
    }

    fn finish(self) {
        self.encoder.finish().unwrap();
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o444)).unwrap();
    }

    /// The writer is killed: the frame has no end.
    fn crash(mut self) {
        self.flush();
        std::mem::forget(self.encoder);
    }
}

fn line(id: u64) -> String {
    format!(
        "{{\"type\":\"Delivery\",\"id\":\"{id:08}\",\"recipient\":\"r@example.net\",\"event_time\":\"2026-11-28T14:43:20Z\",\"nodeid\":\"n\"}}"
    )
}

fn hook() -> &'static Hook {
    source::by_name("kumomta").unwrap().hook.unwrap()
}

/// A reader that is started again after each round, and the ids that it has read.
struct World {
    dir: tempfile::TempDir,
    saved: Vec<u8>,
    directory: Option<SegmentDirectory>,
    restarts: bool,
    ids: Vec<u64>,
    losses: Vec<String>,
    unreadable: u64,
}

impl World {
    fn new(restarts: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (directory, ids, losses, unreadable) = Default::default();
        Self { dir, saved: Positions::default().encode(), directory, restarts, ids, losses, unreadable }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn round(&mut self) -> Round {
        self.round_at(SystemTime::now())
    }

    fn round_at(&mut self, now: SystemTime) -> Round {
        let path = self.path().to_owned();
        let new = || SegmentDirectory::new(path, Positions::decode(&self.saved).unwrap());
        let mut directory = self.directory.take().filter(|_| !self.restarts).unwrap_or_else(new);
        let round = directory.read(hook(), now).unwrap();
        if round.has_moved {
            self.saved = directory.positions().encode();
        }
        self.directory = Some(directory);
        let id = |found: &crate::source::HookRecord| found.record.field(Field::MessageId).unwrap().parse::<u64>().unwrap();
        self.ids.extend(round.page.records.iter().map(id));
        self.losses.extend(round.losses.iter().cloned());
        self.unreadable += round.page.unreadable;
        round
    }

    fn read_all(&mut self) {
        while self.round().has_more {}
    }

    #[track_caller]
    fn has_read(&mut self, expected: std::ops::Range<u64>) {
        self.read_all();
        let difference = self.ids.iter().copied().zip(expected.clone()).find(|(id, expected)| id != expected);
        assert_eq!((self.ids.len() as u64, difference), (expected.end, None), "{:?}", self.losses);
    }
}

#[test]
fn a_growing_segment_is_read_once_whatever_restarts() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        let mut writer = Writer::open(world.path(), "20261128-144320.123456789");
        let mut next = 0;
        for lines in [1, 0, 3, 500, 20_000, 2] {
            (0..lines).for_each(|n| writer.write(next + n));
            next += lines;
            writer.flush();
            world.has_read(0..next);
        }
        writer.finish();
        world.has_read(0..next);
        // A second frame in the same file.
        let path = world.path().join("20261128-144320.123456789");
        std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        let mut writer = Writer::open(world.path(), "20261128-144320.123456789");
        writer.write(next);
        writer.finish();
        for _ in 0..=RECHECK_ROUNDS {
            world.round();
        }
        world.has_read(0..next + 1);
        assert_eq!((world.losses.len(), world.unreadable), (0, 0));
    }
}

#[test]
fn what_is_not_flushed_is_read_later() {
    let mut world = World::new(true);
    let mut writer = Writer::open(world.path(), "20261128-144320.1");
    writer.write(0);
    world.has_read(0..0);
    // The segment has a part of a block.
    writer.flush();
    let whole = std::fs::read(&writer.path).unwrap();
    for cut in [1, 3, 5, 9, whole.len() - 1] {
        std::fs::write(world.path().join("20261128-144320.1"), &whole[..cut]).unwrap();
        world.has_read(0..0);
    }
    std::fs::write(world.path().join("20261128-144320.1"), &whole).unwrap();
    world.has_read(0..1);
}

#[test]
fn segments_are_read_in_the_order_of_their_names_and_open_ones_in_turn() {
    let mut world = World::new(false);
    // 4000 lines of 110 bytes are less than what a file may give in a round.
    for (name, ids) in [("20261128-160000.0", 8000..12_000), ("20261128-140000.0", 0..4000), ("20261128-150000.0", 4000..8000)] {
        let mut writer = Writer::open(world.path(), name);
        ids.for_each(|id| writer.write(id));
        writer.finish();
    }
    world.has_read(0..12_000);
    let mut world = World::new(false);
    let (mut one, mut two) = (Writer::open(world.path(), "20261128-140000.0"), Writer::open(world.path(), "20261128-140000.0_b"));
    (0..15_000).for_each(|id| one.write(id));
    (15_000..30_000).for_each(|id| two.write(id));
    one.flush();
    two.flush();
    assert!(world.round().has_more);
    assert!(world.ids.contains(&0) && world.ids.contains(&15_000) && !world.ids.contains(&14_999), "both are read at once");
    world.read_all();
    assert_eq!(world.ids.iter().copied().collect::<BTreeSet<_>>(), (0..30_000).collect());
    assert_eq!(world.ids.len(), 30_000);
}

#[test]
fn a_later_segment_waits_for_one_that_was_complete_before() {
    let mut world = World::new(false);
    let mut one = Writer::open(world.path(), "20261128-140000.0");
    (0..15_000).for_each(|id| one.write(id));
    one.finish();
    let opened = opened_at(OsStr::new("20261128-140000.0")).unwrap();
    let file = File::open(world.path().join("20261128-140000.0")).unwrap();
    file.set_modified(opened + Duration::from_secs(59)).unwrap();
    let mut two = Writer::open(world.path(), "20261128-140100.5");
    (15_000..15_010).for_each(|id| two.write(id));
    two.finish();
    world.has_read(0..15_010);
}

#[test]
fn a_segment_that_is_replaced_or_truncated_is_read_from_its_start() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        let name = "20261128-144320.1";
        let mut writer = Writer::open(world.path(), name);
        (0..100).for_each(|id| writer.write(id));
        writer.finish();
        world.has_read(0..100);
        std::fs::remove_file(world.path().join(name)).unwrap();
        let mut writer = Writer::open(world.path(), name);
        (100..150).for_each(|id| writer.write(id));
        writer.finish();
        // An inode can be used again, so that only the next check notices it.
        (0..RECHECK_ROUNDS).for_each(|_| drop(world.round()));
        world.has_read(0..150);
        // Truncated, and larger than before at the next check.
        std::fs::remove_file(world.path().join(name)).unwrap();
        let mut writer = Writer::open(world.path(), name);
        (150..400).for_each(|id| writer.write(id));
        writer.finish();
        (0..RECHECK_ROUNDS).for_each(|_| drop(world.round()));
        world.has_read(0..400);
        assert!(world.losses.is_empty(), "{:?}", world.losses);
    }
}

#[test]
fn an_open_segment_that_is_removed_is_read_to_its_end() {
    let mut world = World::new(false);
    let mut writer = Writer::open(world.path(), "20261128-144320.1");
    writer.write(0);
    writer.flush();
    world.has_read(0..1);
    (1..50).for_each(|id| writer.write(id));
    std::fs::remove_file(&writer.path).unwrap();
    writer.encoder.finish().unwrap();
    world.has_read(0..50);
    assert!(world.directory.as_ref().unwrap().segments.is_empty());
    // One that was never read is lost, which is noticed.
    let mut unread = Writer::open(world.path(), "20261128-144321.1");
    unread.write(50);
    unread.flush();
    let name = OsString::from("20261128-144321.1");
    let position = FilePosition { name: b"20261128-144321.1".to_vec(), ..FilePosition::default() };
    world.directory.as_mut().unwrap().segments.insert(name, Segment::new(position));
    std::fs::remove_file(&unread.path).unwrap();
    world.round();
    assert!(world.losses[0].ends_with("was removed before it was read to its end"), "{:?}", world.losses);
}

#[test]
fn the_writer_crashed_and_another_frame_follows() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        let name = "20261128-144320.1";
        let mut writer = Writer::open(world.path(), name);
        (0..10).for_each(|id| writer.write(id));
        writer.crash();
        world.has_read(0..10);
        let mut writer = Writer::open(world.path(), name);
        (10..20).for_each(|id| writer.write(id));
        writer.finish();
        world.read_all();
        world.ids.sort_unstable();
        world.ids.dedup();
        world.has_read(0..20);
        assert_eq!(world.losses.len(), 1, "{:?}", world.losses);
        assert!(world.losses[0].contains("is damaged") && world.unreadable >= 1, "{:?}", world.losses);
    }
}

#[test]
fn a_segment_that_ends_in_the_middle_is_reported_once_whatever_restarts() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        let name = "20261128-144320.1";
        let mut writer = Writer::open(world.path(), name);
        (0..10).for_each(|id| writer.write(id));
        writer.crash();
        world.has_read(0..10);
        let later = SystemTime::now() + 2 * SETTLED_AFTER;
        (0..3).for_each(|_| drop(world.round_at(later)));
        assert_eq!((world.losses.len(), world.unreadable), (1, 1), "{restarts}: {:?}", world.losses);
        assert!(world.losses[0].ends_with("ends in the middle, after 10 lines: its writer crashed"), "{:?}", world.losses);
    }
}

#[test]
fn other_files_are_reported_and_do_not_stop_the_segments() {
    let mut world = World::new(false);
    std::fs::write(world.path().join("20261128-000000.0"), "this is text\n".repeat(100_000)).unwrap();
    std::fs::write(world.path().join(".checkpoint"), "{}").unwrap();
    std::fs::create_dir(world.path().join("20261128-000001.0")).unwrap();
    let mut writer = Writer::open(world.path(), "20261128-144320.1");
    writeln!(writer.encoder, "no JSON").unwrap();
    (0..10).for_each(|id| writer.write(id));
    writer.finish();
    world.has_read(0..10);
    assert_eq!((world.losses.len(), world.unreadable), (1, 2), "{:?}", world.losses);
    assert!(world.losses[0].contains("20261128-000000.0 is damaged 0 lines after byte 0"), "{:?}", world.losses);
    // Text that was no segment becomes one.
    let mut writer = Writer::open(world.path(), "20261128-000000.0");
    writer.write(10);
    writer.finish();
    (0..RECHECK_ROUNDS).for_each(|_| drop(world.round()));
    world.has_read(0..11);
}

#[test]
fn a_file_that_expands_to_much_text_is_read_in_rounds() {
    let mut world = World::new(false);
    let mut writer = Writer::open(world.path(), "20261128-144320.1");
    let line = format!("{{\"type\":\"Delayed\",\"filler\":\"{}\"}}\n", "x".repeat(900_000));
    (0..60).for_each(|_| writer.encoder.write_all(line.as_bytes()).unwrap());
    writer.write(0);
    writer.finish();
    let mut rounds = 0;
    while world.round().has_more {
        rounds += 1;
    }
    assert!(rounds >= 20 && world.ids == [0], "{rounds}");
}

#[test]
fn a_directory_that_cannot_be_read_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = SegmentDirectory::new(dir.path().join("missing"), Positions::default());
    let problem = directory.read(hook(), SystemTime::now()).unwrap_err();
    assert!(problem.contains("/missing cannot be read: No such file or directory") && problem.contains("check log_files"), "{problem}");
}

#[test]
fn the_name_has_the_time() {
    let at = |name: &str| opened_at(OsStr::new(name)).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    assert_eq!(at("20261128-144320.123456789"), Some(1_795_877_000));
    assert_eq!(at("20261128-144320_acct"), Some(1_795_877_000));
    for name in ["", "segment", "20261328-144320.1", "20261128_144320.1"] {
        assert_eq!(at(name), None, "{name}");
    }
}
