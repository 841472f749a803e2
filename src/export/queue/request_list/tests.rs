#![allow(clippy::unwrap_used)]
use super::*;

/// What the smallest request takes of a disk.
const BLOCK: usize = disk_bytes(0);

fn line() -> RequestList {
    RequestList::new(Bounds { memory_bytes_max: 10, spool_bytes_max: 10 * BLOCK })
}

fn memory(collection: u64, part: u32, len: usize) -> QueuedRequest {
    let request = Request { bytes: vec![0; len].into(), points: 1 };
    QueuedRequest::in_memory(Key { collection, part }, request, SystemTime::UNIX_EPOCH)
}

/// Of so many blocks.
fn spooled(collection: u64, part: u32, blocks: usize) -> QueuedRequest {
    QueuedRequest { held: Storage::Spool, ..memory(collection, part, (blocks - 1) * BLOCK) }
}

#[track_caller]
fn add(line: &mut RequestList, waiting: QueuedRequest, dropped: &[(u64, u32)]) {
    let mut gone = Vec::new();
    if waiting.is_spooled() {
        gone = line.make_room_on_disk(waiting.len, waiting.key.collection).unwrap();
    }
    gone.extend(line.add(waiting));
    let keys: Vec<_> = gone.iter().map(|waiting| (waiting.key.collection, waiting.key.part)).collect();
    assert_eq!(keys, dropped);
    assert_eq!(line.points, line.len() as u64);
    for place in [&line.memory, &line.spool] {
        assert_eq!(place.room.bytes, place.requests.values().map(QueuedRequest::room).sum::<usize>());
    }
    assert!(line.spool.room.bytes <= line.spool.room.max_bytes);
}

#[test]
fn the_oldest_collection_goes_whole() {
    let mut line = line();
    add(&mut line, memory(1, 0, 4), &[]);
    add(&mut line, memory(1, 1, 1), &[]);
    add(&mut line, memory(2, 0, 5), &[]);
    add(&mut line, memory(3, 0, 1), &[(1, 0), (1, 1)]);
}

#[test]
fn a_collection_larger_than_the_bound_stays_whole() {
    let mut line = line();
    add(&mut line, memory(1, 0, 8), &[]);
    add(&mut line, memory(2, 0, 8), &[(1, 0)]);
    add(&mut line, memory(2, 1, 8), &[]);
    add(&mut line, memory(2, 2, 8), &[]);
    add(&mut line, memory(3, 0, 1), &[(2, 0), (2, 1), (2, 2)]);
}

#[test]
fn what_is_on_its_way_is_not_dropped() {
    let mut line = line();
    add(&mut line, memory(1, 0, 4), &[]);
    add(&mut line, memory(1, 1, 4), &[]);
    let first = line.send_first().unwrap_or_else(|| memory(0, 0, 0));
    assert_eq!(first.key, Key { collection: 1, part: 0 });
    add(&mut line, memory(2, 0, 4), &[(1, 1)]);
    add(&mut line, memory(3, 0, 4), &[(2, 0)]);
    assert_eq!(line.remove_first().map(|waiting| waiting.key), Some(first.key));
    assert_eq!(line.len(), 1);
}

#[test]
fn what_was_not_taken_may_be_dropped_again() {
    let mut line = line();
    add(&mut line, memory(1, 0, 6), &[]);
    assert!(line.send_first().is_some());
    line.keep_first();
    add(&mut line, memory(2, 0, 6), &[(1, 0)]);
}

#[test]
fn disk_and_memory_have_bounds_of_their_own() {
    let mut line = line();
    add(&mut line, spooled(1, 0, 9), &[]);
    add(&mut line, memory(2, 0, 9), &[]);
    add(&mut line, spooled(3, 0, 2), &[(1, 0)]);
    assert_eq!(line.bytes(), 9 + 2 * BLOCK);
    add(&mut line, memory(4, 0, 2), &[(2, 0)]);
    assert_eq!((line.spool().bytes, line.memory().bytes), (2 * BLOCK, 2), "what is on disk stays where memory is short");
}

#[test]
fn a_collection_in_both_places_goes_whole() {
    let mut line = line();
    add(&mut line, spooled(1, 0, 3), &[]);
    add(&mut line, spooled(2, 0, 3), &[]);
    add(&mut line, memory(2, 1, 6), &[]);
    add(&mut line, spooled(2, 2, 3), &[]);
    add(&mut line, memory(3, 0, 6), &[(2, 1), (2, 0), (2, 2)]);
    assert_eq!(line.spool().bytes, 3 * BLOCK);
}

#[test]
fn the_oldest_that_can_be_read_is_sent_first() {
    let mut line = line();
    let first = |line: &mut RequestList| line.send_first().map(|first| first.key.collection);
    add(&mut line, spooled(1, 0, 1), &[]);
    add(&mut line, memory(2, 0, 1), &[]);
    add(&mut line, spooled(3, 0, 1), &[]);
    assert_eq!(first(&mut line), Some(1));
    line.keep_first();
    line.spool_is_readable(false);
    assert_eq!(first(&mut line), Some(2));
    assert_eq!(line.remove_first().map(|taken| taken.key.collection), Some(2));
    assert_eq!(first(&mut line), Some(1), "with nothing else to send the disk is asked again");
    line.keep_first();
    add(&mut line, memory(4, 0, 1), &[]);
    line.spool_is_readable(true);
    assert_eq!(first(&mut line), Some(1));
}

#[test]
fn what_is_drained_is_gone() {
    let mut line = line();
    add(&mut line, memory(1, 0, 4), &[]);
    add(&mut line, memory(2, 0, 4), &[]);
    assert_eq!(line.drain().len(), 2);
    assert_eq!((line.len(), line.bytes(), line.points()), (0, 0, 0));
}

#[test]
fn what_cannot_fit_on_disk_drops_nothing_there() {
    let mut line = line();
    add(&mut line, spooled(1, 0, 2), &[]);
    assert!(line.make_room_on_disk(10 * BLOCK, 2).is_none(), "larger than the bound");
    add(&mut line, spooled(2, 0, 6), &[]);
    assert!(line.make_room_on_disk(4 * BLOCK, 2).is_none(), "the newest collection takes too much already");
    assert_eq!(line.len(), 2);
    assert!(line.send_first().is_some());
    assert!(line.make_room_on_disk(8 * BLOCK, 3).is_none(), "the one on its way stays");
    assert_eq!(line.len(), 2);
    let dropped = line.make_room_on_disk(7 * BLOCK, 3).unwrap();
    assert_eq!(dropped.iter().map(|waiting| waiting.key.collection).collect::<Vec<_>>(), [2]);
}

fn parts(points: &[u64]) -> Vec<Request> {
    points.iter().map(|points| Request { bytes: points.to_string().into(), points: *points }).collect()
}

/// The next request that is sent: its collection and its part.
fn next(line: &mut RequestList) -> (u64, Option<String>) {
    let first = line.send_first().unwrap();
    (first.key.collection, first.next_part().map(|part| String::from_utf8(part.bytes.to_vec()).unwrap()))
}

#[test]
fn a_request_in_parts_keeps_its_place_until_the_last() {
    for on_disk in [false, true] {
        let mut line = line();
        let first = if on_disk { spooled(1, 0, 4) } else { memory(1, 0, 4) };
        let _ = line.add(QueuedRequest { points: 7, ..first });
        let _ = line.add(memory(2, 0, 4));
        assert_eq!(next(&mut line), (1, None));
        line.split_first(parts(&[3, 4]));
        assert_eq!(next(&mut line), (1, Some("3".to_owned())));
        line.split_first(parts(&[1, 2]));
        let mut removed = Vec::new();
        for (part, left) in [("1", 7), ("2", 5), ("4", 1)] {
            assert_eq!(next(&mut line), (1, Some(part.to_owned())));
            let done = line.remove_first().unwrap();
            removed.push((done.points, done.is_spooled()));
            assert_eq!(line.points(), left, "after part {part}");
        }
        assert_eq!(removed, [(1, false), (2, false), (4, on_disk)], "the file goes with the last part");
        assert_eq!((line.len(), line.spool().bytes, line.memory().bytes), (1, 0, 4));
        assert_eq!(next(&mut line), (2, None));
    }
}

#[test]
fn parts_that_were_not_taken_are_sent_again_and_dropped_with_what_is_left() {
    let mut line = line();
    let _ = line.add(QueuedRequest { points: 7, ..memory(1, 0, 6) });
    assert_eq!(next(&mut line), (1, None));
    line.split_first(parts(&[3, 4]));
    assert_eq!(next(&mut line), (1, Some("3".to_owned())));
    assert!(line.remove_first().is_some());
    assert_eq!(next(&mut line), (1, Some("4".to_owned())));
    line.keep_first();
    assert_eq!(next(&mut line), (1, Some("4".to_owned())));
    line.keep_first();
    let dropped = line.add(memory(2, 0, 6));
    assert_eq!(dropped.iter().map(|waiting| waiting.points).collect::<Vec<_>>(), [4]);
    assert_eq!(line.points(), 1);
}

#[test]
fn parts_are_sent_while_the_disk_cannot_be_read() {
    let mut line = line();
    add(&mut line, spooled(1, 0, 1), &[]);
    add(&mut line, memory(2, 0, 1), &[]);
    assert_eq!(next(&mut line), (1, None));
    line.split_first(parts(&[1, 0]));
    line.spool_is_readable(false);
    assert_eq!(next(&mut line).0, 1);
}

#[test]
fn a_request_is_as_old_as_it_has_waited_whatever_the_clock_says() {
    let hour = Duration::from_secs(3600);
    let future = QueuedRequest::in_memory(Key { collection: 1, part: 0 }, Request::default(), SystemTime::now() - hour);
    assert!(!future.has_waited(Duration::from_secs(60)), "the clock was set forward since it was queued");
    let found = QueuedRequest::in_spool(Key { collection: 1, part: 0 }, 1, 1, SystemTime::now() - hour);
    assert!(found.has_waited(hour) && !found.has_waited(2 * hour));
}
