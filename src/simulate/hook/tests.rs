//! Tests of the queue and of the requests of a sender.
#![allow(clippy::unwrap_used)]

use super::outgoing::{Outgoing, OutgoingQueue, WAITING_MAX};
use super::request::{HookRequest, Item};
use super::*;
use std::time::Instant;

const AT: u64 = 1_795_877_000;

fn item(id: u64) -> Item {
    Item::new(HookSystem::Mox.format(), &Hook::new(String::new()), &Delivery::nth(id, AT))
}

fn outgoing(id: u64, failed_attempts: u32, due: Instant) -> Outgoing {
    Outgoing { id, item: item(id), failed_attempts, due }
}

fn ids(items: &[Outgoing]) -> Vec<u64> {
    items.iter().map(|item| item.id).collect()
}

#[test]
fn due_items_are_sent_in_order_and_failed_ones_behind_newer_ones() {
    let (now, mut queue) = (Instant::now(), OutgoingQueue::default());
    let later = now + Duration::from_secs(1);
    for (id, due) in [(1, now), (2, later), (3, now), (4, now)] {
        assert!(queue.push(outgoing(id, 0, due)));
    }
    let first = queue.next(2, false, now).unwrap();
    assert_eq!(ids(&first), [1, 3]);
    queue.end(2);
    queue.push(outgoing(1, 1, later));
    assert_eq!(ids(&queue.next(9, false, now).unwrap()), [4]);
    assert_eq!(queue.next(9, false, now).unwrap_err(), Some(Duration::from_secs(1)));
    assert_eq!(ids(&queue.next(9, false, later).unwrap()), [2, 1]);
    assert!(!queue.is_idle());
    queue.end(3);
    assert!(queue.is_idle());
}

#[test]
fn the_newest_items_can_be_sent_first() {
    let (now, mut queue) = (Instant::now(), OutgoingQueue::default());
    let later = now + Duration::from_secs(1);
    for (id, due) in [(1, now), (2, now), (3, later), (4, now)] {
        queue.push(outgoing(id, 0, due));
    }
    assert_eq!(ids(&queue.next(2, true, now).unwrap()), [4, 2]);
    assert_eq!(ids(&queue.next(2, true, later).unwrap()), [3, 1]);
}

#[test]
fn a_newer_item_replaces_one_that_waits_for_a_retry() {
    let (now, mut queue) = (Instant::now(), OutgoingQueue::default());
    queue.push(outgoing(1, 0, now));
    queue.push(outgoing(2, 1, now));
    assert!(!queue.replace(1) && queue.replace(2) && !queue.replace(2));
    for id in 0..WAITING_MAX as u64 - 1 {
        assert!(queue.push(outgoing(id, 0, now)));
    }
    assert!(!queue.push(outgoing(7, 0, now)), "the oldest one is dropped");
}

#[test]
fn a_request_has_the_form_of_its_system() {
    let (one, two) = (Delivery::nth(87_654_301, AT), Delivery::nth(87_654_302, AT));
    for system in HookSystem::ALL {
        let (format, mut hook) = (system.format(), Hook::new(String::new()));
        hook.signing_key = system.signs_with_secret().then(|| SigningKey::Secret("secret".to_owned()));
        let items = [&one, &two].map(|delivery| Item::new(format, &hook, delivery));
        let items = &items.iter().collect::<Vec<_>>()[..format.body.items_max().min(2)];
        let request = HookRequest::new(format, &hook, items);
        assert!(request.body.contains(&system.message_id(&one)), "{}: {}", system.name(), request.body);
        assert_eq!(request.body.contains(&system.message_id(&two)), items.len() == 2, "{}", system.name());
        let is_changed = request.with_changed_body().body != request.body;
        assert_eq!(is_changed, system != HookSystem::Mox, "Mox reports no recipient");
    }
}

#[test]
fn pauses_grow_as_those_of_the_system() {
    let first = Duration::from_millis(10);
    let retries = &HookSystem::Kumomta.format().retries;
    assert_eq!([1, 2, 5, 6, 9].map(|failed| retries.pause(failed, first).as_millis()), [10, 20, 160, 200, 200]);
}
