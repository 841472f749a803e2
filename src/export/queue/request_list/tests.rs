//! The order and the size limits of queued requests.

#![allow(clippy::unwrap_used)]
use super::super::queued_request::Storage;
use super::*;
use crate::export::request_body::RequestBody;
use bytes::Bytes;
use std::time::SystemTime;

/// The disk usage of the smallest request.
const BLOCK: usize = disk_bytes(0);

fn list() -> RequestList {
    RequestList::new(SizeLimits { memory_bytes_max: 10, spool_bytes_max: 10 * BLOCK })
}

fn memory(collection: u64, part: u32, len: usize) -> QueuedRequest {
    let request = ExportRequest { body: RequestBody::uncompressed(vec![0; len].into()), points: 1 };
    QueuedRequest::in_memory(RequestKey { collection, part }, request, SystemTime::UNIX_EPOCH)
}

fn with_points(points: u64, mut request: QueuedRequest) -> QueuedRequest {
    request.points = points;
    request
}

/// A request that uses this many blocks.
fn spooled(collection: u64, part: u32, blocks: usize) -> QueuedRequest {
    let mut request = memory(collection, part, (blocks - 1) * BLOCK);
    request.storage = Storage::Spool;
    request
}

#[track_caller]
fn add(list: &mut RequestList, request: QueuedRequest, dropped: &[(u64, u32)]) {
    let mut actual = Vec::new();
    if request.is_spooled() {
        actual = list.free_spool(request.len, request.key.collection).unwrap();
    }
    actual.extend(list.add(request));
    let keys: Vec<_> = actual.iter().map(|request| (request.key.collection, request.key.part)).collect();
    assert_eq!(keys, dropped);
    assert_eq!(list.points, list.len() as u64);
    for tier in [&list.memory, &list.spool] {
        assert_eq!(tier.usage.bytes, tier.requests.values().map(QueuedRequest::occupied_bytes).sum::<usize>());
    }
    assert!(list.spool.usage.bytes <= list.spool.usage.max_bytes);
}

#[test]
fn the_oldest_collection_is_dropped_as_a_whole() {
    let mut list = list();
    add(&mut list, memory(1, 0, 4), &[]);
    add(&mut list, memory(1, 1, 1), &[]);
    add(&mut list, memory(2, 0, 5), &[]);
    add(&mut list, memory(3, 0, 1), &[(1, 0), (1, 1)]);
}

#[test]
fn the_newest_collection_may_exceed_the_limit() {
    let mut list = list();
    add(&mut list, memory(1, 0, 8), &[]);
    add(&mut list, memory(2, 0, 8), &[(1, 0)]);
    add(&mut list, memory(2, 1, 8), &[]);
    add(&mut list, memory(2, 2, 8), &[]);
    add(&mut list, memory(3, 0, 1), &[(2, 0), (2, 1), (2, 2)]);
}

#[test]
fn the_current_request_is_not_dropped() {
    let mut list = list();
    add(&mut list, memory(1, 0, 4), &[]);
    add(&mut list, memory(1, 1, 4), &[]);
    let first = list.next_request().unwrap_or_else(|| memory(0, 0, 0));
    assert_eq!(first.key, RequestKey { collection: 1, part: 0 });
    add(&mut list, memory(2, 0, 4), &[(1, 1)]);
    add(&mut list, memory(3, 0, 4), &[(2, 0)]);
    assert_eq!(list.remove_current().map(|request| request.key), Some(first.key));
    assert_eq!(list.len(), 1);
}

#[test]
fn a_requeued_request_may_be_dropped() {
    let mut list = list();
    add(&mut list, memory(1, 0, 6), &[]);
    assert!(list.next_request().is_some());
    list.requeue_current();
    add(&mut list, memory(2, 0, 6), &[(1, 0)]);
}

#[test]
fn disk_and_memory_have_separate_limits() {
    let mut list = list();
    add(&mut list, spooled(1, 0, 9), &[]);
    add(&mut list, memory(2, 0, 9), &[]);
    add(&mut list, spooled(3, 0, 2), &[(1, 0)]);
    assert_eq!(list.bytes(), 9 + 2 * BLOCK);
    add(&mut list, memory(4, 0, 2), &[(2, 0)]);
    assert_eq!((list.spool_usage().bytes, list.memory_usage().bytes), (2 * BLOCK, 2), "full memory drops no requests on disk");
}

#[test]
fn a_collection_in_both_tiers_is_dropped_as_a_whole() {
    let mut list = list();
    add(&mut list, spooled(1, 0, 3), &[]);
    add(&mut list, spooled(2, 0, 3), &[]);
    add(&mut list, memory(2, 1, 6), &[]);
    add(&mut list, spooled(2, 2, 3), &[]);
    add(&mut list, memory(3, 0, 6), &[(2, 1), (2, 0), (2, 2)]);
    assert_eq!(list.spool_usage().bytes, 3 * BLOCK);
}

#[test]
fn the_oldest_readable_request_is_sent_first() {
    let mut list = list();
    let first = |list: &mut RequestList| list.next_request().map(|first| first.key.collection);
    add(&mut list, spooled(1, 0, 1), &[]);
    add(&mut list, memory(2, 0, 1), &[]);
    add(&mut list, spooled(3, 0, 1), &[]);
    assert_eq!(first(&mut list), Some(1));
    list.requeue_current();
    list.set_spool_readable(false);
    assert_eq!(first(&mut list), Some(2));
    assert_eq!(list.remove_current().map(|removed| removed.key.collection), Some(2));
    assert_eq!(first(&mut list), Some(1), "the disk is read again when no other request is left");
    list.requeue_current();
    add(&mut list, memory(4, 0, 1), &[]);
    list.set_spool_readable(true);
    assert_eq!(first(&mut list), Some(1));
}

#[test]
fn draining_empties_the_list() {
    let mut list = list();
    add(&mut list, memory(1, 0, 4), &[]);
    add(&mut list, memory(2, 0, 4), &[]);
    assert_eq!(list.drain().len(), 2);
    assert_eq!((list.len(), list.bytes(), list.points()), (0, 0, 0));
}

#[test]
fn a_request_that_cannot_fit_on_disk_drops_nothing() {
    let mut list = list();
    add(&mut list, spooled(1, 0, 2), &[]);
    assert!(list.free_spool(10 * BLOCK, 2).is_none(), "larger than the limit");
    add(&mut list, spooled(2, 0, 6), &[]);
    assert!(list.free_spool(4 * BLOCK, 2).is_none(), "the newest collection uses too much already");
    assert_eq!(list.len(), 2);
    assert!(list.next_request().is_some());
    assert!(list.free_spool(8 * BLOCK, 3).is_none(), "the current request is kept");
    assert_eq!(list.len(), 2);
    let dropped = list.free_spool(7 * BLOCK, 3).unwrap();
    assert_eq!(dropped.iter().map(|request| request.key.collection).collect::<Vec<_>>(), [2]);
}

fn parts(points: &[u64]) -> Vec<ExportRequest> {
    points.iter().map(|points| ExportRequest { body: RequestBody::uncompressed(points.to_string().into()), points: *points }).collect()
}

/// The next request to send: its collection and the bytes of its part.
fn next(list: &mut RequestList) -> (u64, Option<String>) {
    let first = list.next_request().unwrap();
    (first.key.collection, first.next_part().map(|part| String::from_utf8(part.body.bytes.to_vec()).unwrap()))
}

#[test]
fn a_split_request_keeps_its_position_until_its_last_part_is_removed() {
    for on_disk in [false, true] {
        let mut list = list();
        let first = if on_disk { spooled(1, 0, 4) } else { memory(1, 0, 4) };
        let _ = list.add(with_points(7, first));
        let _ = list.add(memory(2, 0, 4));
        assert_eq!(next(&mut list), (1, None));
        list.split_current(parts(&[3, 4]));
        assert_eq!(next(&mut list), (1, Some("3".to_owned())));
        list.split_current(parts(&[1, 2]));
        let mut removed = Vec::new();
        for (part, left) in [("1", 7), ("2", 5), ("4", 1)] {
            assert_eq!(next(&mut list), (1, Some(part.to_owned())));
            let done = list.remove_current().unwrap();
            removed.push((done.points, done.is_spooled()));
            assert_eq!(list.points(), left, "after part {part}");
        }
        assert_eq!(removed, [(1, false), (2, false), (4, on_disk)], "the file is deleted with the last part");
        assert_eq!((list.len(), list.spool_usage().bytes, list.memory_usage().bytes), (1, 0, 4));
        assert_eq!(next(&mut list), (2, None));
    }
}

#[test]
fn parts_are_requeued_and_dropped_with_the_points_that_are_left() {
    let mut list = list();
    let _ = list.add(with_points(7, memory(1, 0, 6)));
    assert_eq!(next(&mut list), (1, None));
    list.split_current(parts(&[3, 4]));
    assert_eq!(next(&mut list), (1, Some("3".to_owned())));
    assert!(list.remove_current().is_some());
    assert_eq!(next(&mut list), (1, Some("4".to_owned())));
    list.requeue_current();
    assert_eq!(next(&mut list), (1, Some("4".to_owned())));
    list.requeue_current();
    let dropped = list.add(memory(2, 0, 6));
    assert_eq!(dropped.iter().map(|request| request.points).collect::<Vec<_>>(), [4]);
    assert_eq!(list.points(), 1);
}

#[test]
fn parts_are_sent_while_the_spool_cannot_be_read() {
    let mut list = list();
    add(&mut list, spooled(1, 0, 1), &[]);
    add(&mut list, memory(2, 0, 1), &[]);
    assert_eq!(next(&mut list), (1, None));
    list.split_current(parts(&[1, 0]));
    list.set_spool_readable(false);
    assert_eq!(next(&mut list).0, 1);
}

#[test]
fn the_age_of_a_request_does_not_depend_on_the_system_clock() {
    let hour = Duration::from_secs(3600);
    let future = QueuedRequest::in_memory(
        RequestKey { collection: 1, part: 0 },
        ExportRequest { body: RequestBody::uncompressed(Bytes::new()), points: 0 },
        SystemTime::now() - hour,
    );
    assert!(!future.has_waited(Duration::from_secs(60)), "the clock was set forward after the request was queued");
    let found = QueuedRequest::in_spool(RequestKey { collection: 1, part: 0 }, 1, 1, SystemTime::now() - hour);
    assert!(found.has_waited(hour) && !found.has_waited(2 * hour));
}
