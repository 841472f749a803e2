//! What a reload means for delivery logs: who follows one is replaced with its target, and no record is lost or told twice.

use super::world::{ANY, SOON, World, target};
use crate::support::wait_until;
use postmeter::simulate::{Attempt, AttemptOutcome, DeliveryLog, Options, Origin, Receiver, SimulatedServer, System};
use std::fs::{File, create_dir_all};
use std::time::SystemTime;

const RECORDS: u64 = 6_000;

/// With a delivery log, all of it before now.
async fn logging() -> (SimulatedServer, u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let stand_in =
        SimulatedServer::start(System::Cpanel, ANY, Options { frozen: true, now: Some(now), ..Options::default() }).await.unwrap();
    stand_in.traffic(|traffic| {
        traffic.log = DeliveryLog::default();
        traffic.log.fill(RECORDS, now - 3000, now - 60, traffic.domains.len());
    });
    (stand_in, now)
}

fn late(stand_in: &SimulatedServer, id: u64, now: u64) {
    let (origin, outcome) = (Origin::Remote, AttemptOutcome::Failure);
    let attempt =
        Attempt { id, domain: 1, origin, bytes: 10, received: now - 9, at: now - 9, outcome, visible_at: now, is_duplicated: false };
    stand_in.traffic(|traffic| traffic.log.push(attempt));
}

fn file(receiver: &Receiver, targets: &[String]) -> String {
    let push = format!("{{endpoint: \"{}\", interval: 1s, retry: {{initial: 100ms, max: 500ms}}}}", receiver.url());
    let all = targets.concat();
    format!("state_dir: FOLDER/state\ntargets:\n{all}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {push}\n")
}

fn following(name: &str, stand_in: &SimulatedServer, rest: &str) -> String {
    target(name, stand_in, &format!("min_interval: 1s, parts: {{messages: {{interval: 1s, since: 2h}}}}{rest}"))
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    wait_until(is_so, 3 * SOON, what)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_arrives_once_however_often_its_target_is_changed() {
    let (stand_in, now) = logging().await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let world = World::start(&file(&receiver, &[following("whm", &stand_in, "")]), true).await;
    until("the first records", || receiver.log_records() > 0).await;
    for timeout in 5..9 {
        let changed = following("whm", &stand_in, &format!(", timeout: {timeout}s"));
        world.reloads(&file(&receiver, &[changed]), "1 target, 0 new, 1 changed, 0 gone, 0 kept").await;
        late(&stand_in, 1_000_000 + timeout, now);
        until("what came since", || receiver.distinct_log_records() as u64 > (timeout - 4) * 100).await;
    }
    until("all records", || receiver.distinct_log_records() as u64 == RECORDS + 4).await;

    // Nobody follows it for a while.
    let searches = || stand_in.traffic(|traffic| traffic.log.searches());
    let without = target("whm", &stand_in, "min_interval: 1s");
    world.reloads(&file(&receiver, &[without]), "1 target, 0 new, 1 changed, 0 gone, 0 kept").await;
    late(&stand_in, 2_000_000, now);
    let before = searches();
    world.reloads(&file(&receiver, &[following("whm", &stand_in, "")]), "1 target, 0 new, 1 changed, 0 gone, 0 kept").await;
    until("what came meanwhile", || receiver.distinct_log_records() as u64 == RECORDS + 5).await;
    let enough = searches().max(before) + 3;
    until("more polls", || searches() > enough).await;
    assert_eq!(receiver.log_records(), RECORDS + 5);
    world.end(vec![stand_in]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_goes_on_with_a_changed_target() {
    let (stand_in, now) = logging().await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let world = World::start(&file(&receiver, &[following("whm", &stand_in, "")]), true).await;
    let sum = |page: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with("mail_delivery_attempts_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let ended =
        || stand_in.traffic(|traffic| traffic.log.iter().filter(|attempt| attempt.outcome != AttemptOutcome::InProgress).count()) as f64;
    world.until("/metrics", |page| sum(page) == ended()).await;
    let changed = following("whm", &stand_in, ", timeout: 9s");
    world.reloads(&file(&receiver, &[changed]), "1 target, 0 new, 1 changed, 0 gone, 0 kept").await;
    late(&stand_in, 1_000_000, now);
    world.until("/metrics", |page| sum(page) == ended()).await;
    world.end(vec![stand_in]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_followed_yet_is_followed_when_it_can() {
    let (stand_in, _) = logging().await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let plain = target("plain", &stand_in, "min_interval: 1s");
    let world = World::start(&file(&receiver, std::slice::from_ref(&plain)), true).await;
    create_dir_all(world.at("state")).unwrap();
    let lock = File::create(world.at("state/messages-whm.lock")).unwrap();
    lock.lock().unwrap();
    world.reloads(&file(&receiver, &[plain, following("whm", &stand_in, "")]), "2 targets, 1 new, 0 changed, 0 gone, 1 kept").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(receiver.log_records(), 0, "somebody else has it");
    drop(lock);
    until("all records", || receiver.distinct_log_records() as u64 == RECORDS).await;
    world.end(vec![stand_in]).await;
}
