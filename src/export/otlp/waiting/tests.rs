use super::*;

fn line() -> Line {
    Line::new(Bounds { memory_bytes_max: 10, spool_bytes_max: 10 }, Vec::new())
}

fn memory(collection: u64, part: u32, len: usize) -> Waiting {
    let request = Request { bytes: vec![0; len].into(), points: 1 };
    Waiting::in_memory(Key { collection, part }, request, SystemTime::UNIX_EPOCH)
}

fn spooled(collection: u64, part: u32, len: usize) -> Waiting {
    Waiting { held: Held::Spool, ..memory(collection, part, len) }
}

#[track_caller]
fn add(line: &mut Line, waiting: Waiting, dropped: &[(u64, u32)]) {
    let keys: Vec<_> = line.add(waiting).iter().map(|waiting| (waiting.key.collection, waiting.key.part)).collect();
    assert_eq!(keys, dropped);
    assert_eq!(line.points, line.len() as u64);
    for place in [&line.memory, &line.spool] {
        assert_eq!(place.room.bytes, place.requests.values().map(|waiting| waiting.len).sum::<usize>());
    }
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
    assert_eq!(line.bytes(), 11);
    add(&mut line, memory(4, 0, 2), &[(2, 0)]);
    assert_eq!((line.spool().bytes, line.memory().bytes), (2, 2), "what is on disk stays where memory is short");
}

#[test]
fn a_collection_in_both_places_goes_whole() {
    let mut line = line();
    add(&mut line, spooled(1, 0, 3), &[]);
    add(&mut line, spooled(2, 0, 3), &[]);
    add(&mut line, memory(2, 1, 6), &[]);
    add(&mut line, spooled(2, 2, 3), &[]);
    add(&mut line, memory(3, 0, 6), &[(2, 1), (2, 0), (2, 2)]);
    assert_eq!(line.spool().bytes, 3);
}

#[test]
fn the_oldest_that_can_be_read_is_sent_first() {
    let mut line = line();
    let first = |line: &mut Line| line.send_first().map(|first| first.key.collection);
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
