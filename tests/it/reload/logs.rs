//! Delivery logs during reloads: the reader is replaced together with its target, and no record is lost or exported twice.

use super::world::{ANY, SOON, World, target};
use crate::support::thread_log::Log;
use crate::support::wait_until;
use postmeter::simulate::{Attempt, AttemptOutcome, DeliveryLog, Options, Origin, Receiver, SimulatedServer, System};
use std::fs::{File, create_dir_all};
use std::time::SystemTime;

const RECORDS: u64 = 6_000;

/// Starts a simulated server whose delivery log ends before now.
async fn server_with_log() -> (SimulatedServer, u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let server = SimulatedServer::start(System::Cpanel, ANY, Options { frozen: true, now: Some(now), ..Options::default() }).await.unwrap();
    server.traffic(|traffic| {
        traffic.log = DeliveryLog::default();
        traffic.log.fill(RECORDS, now - 3000, now - 60, traffic.domains.len());
    });
    (server, now)
}

fn late(server: &SimulatedServer, id: u64, now: u64) {
    let (origin, outcome) = (Origin::Remote, AttemptOutcome::Failure);
    let attempt =
        Attempt { id, domain: 1, origin, bytes: 10, received: now - 9, at: now - 9, outcome, visible_at: now, is_duplicated: false };
    server.traffic(|traffic| traffic.log.push(attempt));
}

fn file(receiver: &Receiver, targets: &[String]) -> String {
    let push = format!("{{endpoint: \"{}\", interval: 1s, retry: {{initial: 100ms, max: 500ms}}}}", receiver.url());
    let all = targets.concat();
    format!("state_dir: FOLDER/state\ntargets:\n{all}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {push}\n")
}

fn following(name: &str, server: &SimulatedServer, rest: &str) -> String {
    target(name, server, &format!("min_interval: 1s, parts: {{messages: {{interval: 1s, since: 2h}}}}{rest}"))
}

#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    wait_until(condition, 3 * SOON, what)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_arrives_once_although_its_target_changes_often() {
    let (server, now) = server_with_log().await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let world = World::start(&file(&receiver, &[following("whm", &server, "")]), true).await;
    until("the first records", || receiver.log_records() > 0).await;
    for timeout in 5..9 {
        let changed = following("whm", &server, &format!(", timeout: {timeout}s"));
        world.reloads(&file(&receiver, &[changed]), "1 target: 0 added, 1 changed, 0 removed, 0 unchanged").await;
        late(&server, 1_000_000 + timeout, now);
        until("what came since", || receiver.distinct_log_records() as u64 > (timeout - 4) * 100).await;
    }
    until("all records", || receiver.distinct_log_records() as u64 == RECORDS + 4).await;

    // The log is not read for a while.
    let searches = || server.traffic(|traffic| traffic.log.searches());
    let without = target("whm", &server, "min_interval: 1s");
    world.reloads(&file(&receiver, &[without]), "1 target: 0 added, 1 changed, 0 removed, 0 unchanged").await;
    late(&server, 2_000_000, now);
    let before = searches();
    world.reloads(&file(&receiver, &[following("whm", &server, "")]), "1 target: 0 added, 1 changed, 0 removed, 0 unchanged").await;
    until("what came meanwhile", || receiver.distinct_log_records() as u64 == RECORDS + 5).await;
    let enough = searches().max(before) + 3;
    until("more polls", || searches() > enough).await;
    assert_eq!(receiver.log_records(), RECORDS + 5);
    world.end(vec![server]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_of_records_continue_with_a_changed_target() {
    let (server, now) = server_with_log().await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let world = World::start(&file(&receiver, &[following("whm", &server, "")]), true).await;
    let sum = |page: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with("mail_delivery_attempts_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let ended =
        || server.traffic(|traffic| traffic.log.iter().filter(|attempt| attempt.outcome != AttemptOutcome::InProgress).count()) as f64;
    world.until("/metrics", |page| sum(page) == ended()).await;
    let changed = following("whm", &server, ", timeout: 9s");
    world.reloads(&file(&receiver, &[changed]), "1 target: 0 added, 1 changed, 0 removed, 0 unchanged").await;
    late(&server, 1_000_000, now);
    world.until("/metrics", |page| sum(page) == ended()).await;
    world.end(vec![server]).await;
}

/// One thread, whose log is captured.
#[tokio::test]
async fn a_log_that_cannot_be_opened_is_tried_again() {
    let log = Log::begin();
    let (server, _) = server_with_log().await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let plain = target("plain", &server, "min_interval: 1s");
    let world = World::start(&file(&receiver, std::slice::from_ref(&plain)), true).await;
    create_dir_all(world.at("state")).unwrap();
    let lock = File::create(world.at("state/messages-whm.lock")).unwrap();
    lock.lock().unwrap();
    world.reloads(&file(&receiver, &[plain, following("whm", &server, "")]), "2 targets: 1 added, 0 changed, 0 removed, 1 unchanged").await;
    let problem = "messages-whm.lock is in use; another Postmeter follows the same target";
    until("the lock is noticed", || log.text().contains(problem)).await;
    assert_eq!(receiver.log_records(), 0, "somebody else has it");
    drop(lock);
    until("all records", || receiver.distinct_log_records() as u64 == RECORDS).await;
    assert!(log.text().contains("all delivery logs are read"), "{}", log.text());
    world.end(vec![server]).await;
}
