//! The faults of senders of every system: forgeries let nothing in, doubles, late and unordered records are counted once and keep their time, and a
//! flood costs only its sender.

use super::senders::{Senders, deliveries, other_key, scrape};
use super::world::{ANY, TOKEN, World, arrived, lines, page, post_to, records, until, value};
use crate::support::gzip::gzip;
use postmeter::app::Service;
use postmeter::simulate::{Delivery, HookFault, HookSender, HookSystem, Receiver};

const LATE_SECONDS: u64 = 20 * 3600;

fn intake(service: &Service) -> String {
    format!("http://{}", service.receive_address.unwrap())
}

fn pull(service: &Service) -> String {
    format!("http://{}", service.address.unwrap())
}

async fn idle(sender: &HookSender, what: &str) {
    until(&format!("{what}: the sender is idle"), || sender.is_idle()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_request_is_decompressed_and_another_encoding_is_rejected() {
    let mut world = World::new();
    world.targets = format!("  - {{name: mta1, system: kumomta, parts: {{deliveries: {{token: {TOKEN}}}}}}}\n");
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = world.service(Some(&receiver.url())).await;
    let post = async |encoding: &str, body: Vec<u8>| {
        let request = post_to(&service, "mta1").bearer_auth(TOKEN).header("content-encoding", encoding).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("gzip", gzip(lines(0..100).as_bytes())).await, 200);
    assert_eq!(post("identity", lines(100..200).into_bytes()).await, 200);
    arrived(&receiver, 200).await;
    assert_eq!(post("br", lines(200..201).into_bytes()).await, 415);
    assert_eq!(post("gzip", lines(200..201).into_bytes()).await, 400);
    let page = page(&service).await;
    assert_eq!((records(&page, "mta1", "read"), value(&page, "postmeter_pull_refusals_total", &["\"encoding\""])), (200.0, 2.0));
    assert_eq!(records(&page, "mta1", "unreadable"), 0.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_request_lets_nothing_in() {
    let senders = Senders::new();
    let world = senders.world();
    let service = world.service(None).await;
    let mut next = 0;
    let mut three = || {
        next += 3;
        deliveries(next - 3..next)
    };
    for system in HookSystem::ALL {
        let name = system.name();
        let mut expected = 0.0;
        for fault in HookFault::ALL.into_iter().filter(|fault| fault.is_forgery() && fault.applies_to(system)) {
            let sender = senders.start(system, &intake(&service), Some(fault));
            sender.report(three());
            idle(&sender, name).await;
            let statuses = sender.totals().statuses;
            let accepted = statuses.get(&200).copied().unwrap_or(0);
            if fault == HookFault::ChangedBody {
                // The first of each pair is authentic.
                assert_eq!(statuses.get(&401), Some(&accepted), "{name} {fault:?}: {statuses:?}");
                expected += 3.0;
            } else {
                assert_eq!(statuses.keys().collect::<Vec<_>>(), [&401], "{name} {fault:?}: {statuses:?}");
            }
            let page = scrape(&pull(&service)).await;
            let counts = ["read", "repeated", "unreadable"].map(|state| records(&page, name, state));
            assert_eq!(counts, [expected, 0.0, 0.0], "{name} {fault:?}: {statuses:?}");
        }
        if let Some(key) = other_key(system) {
            let mut hook = senders.hook(system, &intake(&service), None);
            hook.signing_key = Some(key);
            // It would be sent again and again.
            hook.fault = Some(HookFault::ChangedBody);
            let sender = HookSender::start(system, hook).unwrap();
            sender.report(three());
            idle(&sender, name).await;
            assert_eq!(sender.totals().statuses.keys().collect::<Vec<_>>(), [&401], "{name}: another key");
        }
        let sender = senders.start(system, &intake(&service), None);
        sender.report(three());
        idle(&sender, name).await;
        assert_eq!(records(&scrape(&pull(&service)).await, name, "read"), expected + 3.0, "{name}: the sender itself is accepted");
    }
    service.stop().await;
}

/// Reports deliveries of all systems with a fault, and compares what arrives and what is counted.
async fn reported_with(fault: HookFault) {
    const DELIVERIES: u64 = 20;
    let senders = Senders::new();
    let receiver = Receiver::start(ANY).await.unwrap();
    let world = senders.world();
    let service = world.service(Some(&receiver.url())).await;
    let reported: Vec<Delivery> = deliveries(0..DELIVERIES);
    let running: Vec<_> = HookSystem::ALL.map(|system| (system, senders.start(system, &intake(&service), Some(fault)))).into();
    running.iter().for_each(|(_, sender)| sender.report(reported.clone()));
    for (system, sender) in &running {
        let name = system.name();
        idle(sender, name).await;
        let is_complete = || receiver.message_records(name).len() as u64 >= DELIVERIES;
        until(&format!("{name}: every record has arrived"), is_complete).await;
    }
    let page = scrape(&pull(&service)).await;
    let age = if fault == HookFault::Late { LATE_SECONDS } else { 0 };
    for (system, sender) in &running {
        let (name, arrived) = (system.name(), receiver.message_records(system.name()));
        assert_eq!(arrived.len() as u64, DELIVERIES, "{name}");
        for delivery in &reported {
            let delivery = Delivery { at: delivery.at - age, received: delivery.received - age, ..delivery.clone() };
            let times: Vec<u64> = arrived[&system.message_id(&delivery)].values().map(|time| time / 1_000_000_000).collect();
            assert_eq!(times, [delivery.at], "{name}: {}", delivery.id);
        }
        let labels = format!("instance=\"{name}\"");
        let outcomes = ["delivered", "deferred", "failed"].map(|outcome| format!("mail_delivery_outcome=\"{outcome}\""));
        let attempts: f64 = outcomes.iter().map(|outcome| value(&page, "mail_delivery_attempts_total", &[&labels, outcome])).sum();
        assert_eq!(attempts, DELIVERIES as f64, "{name}");
        let repeated = if fault == HookFault::Duplicates { DELIVERIES as f64 } else { 0.0 };
        let counts = ["read", "repeated", "unreadable"].map(|state| records(&page, name, state));
        assert_eq!(counts, [DELIVERIES as f64, repeated, 0.0], "{name}");
        let statuses: Vec<u16> = sender.totals().statuses.into_keys().collect();
        assert_eq!(statuses, if fault == HookFault::MissingBody { vec![200, 503] } else { vec![200] }, "{name}");
        assert_eq!(sender.totals().without_retry_after, 0, "{name}");
    }
    service.stop().await;
    assert!(receiver.log_uids().values().all(|arrivals| *arrivals == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn doubles_are_counted_once() {
    reported_with(HookFault::Duplicates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_records_keep_their_time_and_are_counted_once() {
    reported_with(HookFault::Late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_out_of_order_keep_their_time_and_are_counted_once() {
    reported_with(HookFault::OutOfOrder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_its_body_is_not_acknowledged() {
    reported_with(HookFault::MissingBody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_costs_only_its_sender() {
    const OTHERS_DELIVERIES: u64 = 5;
    let senders = Senders::new();
    let receiver = Receiver::start(ANY).await.unwrap();
    let world = senders.world();
    let service = world.service(Some(&receiver.url())).await;
    // Large batches, and single records with a signature that is expensive to verify.
    let floods = [HookSystem::Kumomta, HookSystem::Postal];
    for flooding in floods {
        let flood = senders.start(flooding, &intake(&service), Some(HookFault::Flood));
        flood.report(deliveries(0..2_000));
        let refused = || flood.totals().statuses.get(&503).copied().unwrap_or(0);
        until("the flood is refused", || refused() >= 20).await;
        let first = 1000 * flooding as u64;
        let others: Vec<_> = HookSystem::ALL.into_iter().filter(|system| !floods.contains(system)).collect();
        let others: Vec<_> = others.into_iter().map(|system| (system, senders.start(system, &intake(&service), None))).collect();
        let before = refused();
        others.iter().for_each(|(_, sender)| sender.report(deliveries(first..first + OTHERS_DELIVERIES)));
        for (system, sender) in &others {
            scrape(&pull(&service)).await;
            idle(sender, system.name()).await;
            let totals = sender.totals();
            assert_eq!(totals.statuses.keys().collect::<Vec<_>>(), [&200], "{} during the flood of {}", system.name(), flooding.name());
            assert_eq!(totals.acknowledged.len() as u64, OTHERS_DELIVERIES);
        }
        until("the flood was refused meanwhile", || refused() > before).await;
        let totals = flood.totals();
        assert_eq!(totals.without_retry_after, 0);
        assert!(totals.statuses.keys().all(|status| [200, 503].contains(status)), "{:?}", totals.statuses);
    }
    for system in HookSystem::ALL.into_iter().filter(|system| !floods.contains(system)) {
        let is_complete = || receiver.message_records(system.name()).len() as u64 == 2 * OTHERS_DELIVERIES;
        until(&format!("{}: every record has arrived", system.name()), is_complete).await;
    }
    service.stop().await;
}
