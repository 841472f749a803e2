//! Senders of all systems, while Postmeter is killed and the OTLP receiver refuses, loses its connections and is replaced, at random: what was
//! acknowledged arrives, and under one identity.

use super::senders::{Senders, deliveries};
use super::wire::Wire;
use super::world::{ANY, until};
use crate::support::install_crypto_provider;
use crate::support::program::Program;
use postmeter::simulate::{HookSender, HookSystem, MessageRecords, Receiver};
use std::collections::BTreeSet;

/// Rounds, each of which ends with a kill.
const ROUNDS: u64 = 6;
/// Deliveries that each sender reports in a round.
const ROUND_DELIVERIES: u64 = 25;

/// Reproducible random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().unwrap())
}

fn acknowledged(senders: &[(HookSystem, HookSender)]) -> usize {
    senders.iter().map(|(_, sender)| sender.totals().acknowledged.len()).sum()
}

/// The records of each message that arrived at any of the receivers.
fn arrived(receivers: &[Receiver], system: HookSystem) -> MessageRecords {
    let mut all = MessageRecords::new();
    for (id, records) in receivers.iter().flat_map(|receiver| receiver.message_records(system.name())) {
        all.entry(id).or_default().extend(records);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_any_system_was_acknowledged_arrives_once() {
    let seed = number_from("POSTMETER_RECORDS_SEED").unwrap_or(1);
    let rounds = number_from("POSTMETER_RECORDS_KILLS").unwrap_or(ROUNDS);
    println!("POSTMETER_RECORDS_SEED={seed} POSTMETER_RECORDS_KILLS={rounds}");
    let mut random = Random(seed);
    install_crypto_provider();

    let (intake, collector) = (Wire::start().await, Wire::start().await);
    let mut receivers = vec![Receiver::start(ANY).await.unwrap()];
    collector.connect(Some(receivers[0].addr()));
    let all = Senders::new();
    let (world, directory) = (all.world(), tempfile::tempdir().unwrap());
    let file = world.file(Some(&collector.url()));
    let senders: Vec<_> = HookSystem::ALL.map(|system| (system, all.start(system, &intake.url(), None))).into();

    let mut reported = 0;
    let mut report = |senders: &[(HookSystem, HookSender)]| {
        senders.iter().for_each(|(_, sender)| sender.report(deliveries(reported..reported + ROUND_DELIVERIES)));
        reported += ROUND_DELIVERIES;
        reported
    };
    for _ in 0..rounds {
        let mut program = Program::spawn_with(directory.path(), &file, &[]);
        intake.connect(Some(program.receive_url().await.strip_prefix("http://").unwrap().parse().unwrap()));
        report(&senders);
        let receiver = receivers.last().unwrap();
        match random.below(4) {
            0 => receiver.fail_with(Some(tonic::Status::unavailable("down"))),
            1 => collector.connect(None),
            _ => {}
        }
        let wanted = acknowledged(&senders) + 1 + random.below(ROUND_DELIVERIES * HookSystem::ALL.len() as u64) as usize;
        let is_idle = || senders.iter().all(|(_, sender)| sender.is_idle());
        until("some records are acknowledged", || acknowledged(&senders) >= wanted || is_idle()).await;
        match random.below(3) {
            // The receiver is killed at the same time, and another one is started.
            0 => {
                collector.connect(None);
                program.kill();
                receivers.push(Receiver::start(ANY).await.unwrap());
            }
            // It loses its connections, perhaps between a request and its response.
            1 => {
                collector.connect(Some(receiver.addr()));
                program.kill();
            }
            _ => drop(program.kill()),
        }
        intake.connect(None);
        let receiver = receivers.last().unwrap();
        receiver.fail_with(None);
        collector.connect(Some(receiver.addr()));
    }

    let mut program = Program::spawn_with(directory.path(), &file, &[]);
    intake.connect(Some(program.receive_url().await.strip_prefix("http://").unwrap().parse().unwrap()));
    let reported = report(&senders);
    until("every sender is idle", || senders.iter().all(|(_, sender)| sender.is_idle())).await;
    for (system, sender) in &senders {
        let (name, totals) = (system.name(), sender.totals());
        let message_id = |delivery| system.message_id(&delivery);
        let ids = |wanted: &dyn Fn(u64) -> bool| -> BTreeSet<String> {
            // Of EmailEngine, the id depends on the time at which the delivery was reported: the number is at its end.
            (0..reported).filter(|id| wanted(*id)).map(|id| key(*system, &message_id(deliveries(id..id + 1).remove(0)))).collect()
        };
        let (acknowledged, all) = (ids(&|id| totals.acknowledged.contains(&id)), ids(&|_| true));
        let keys = |records: &MessageRecords| records.keys().map(|id| key(*system, id)).collect::<BTreeSet<_>>();
        until(&format!("{name}: all acknowledged records have arrived"), || keys(&arrived(&receivers, *system)).is_superset(&acknowledged))
            .await;
        let arrived = arrived(&receivers, *system);
        assert!(keys(&arrived).is_subset(&all), "{name}: a record arrived that was not reported");
        assert!(arrived.values().all(|records| records.len() == 1), "{name}: a record has two identities: {arrived:?}");
        let (dropped, unauthorized) = (totals.dropped, totals.statuses.get(&401));
        assert_eq!((acknowledged.len() as u64 + dropped, unauthorized), (reported, None), "{name}: {:?}", totals.statuses);
        assert!(dropped == 0 || !system.never_gives_up(), "{name} gave up {dropped}");
        assert!(acknowledged.len() as u64 >= ROUND_DELIVERIES, "{name}: {:?}", totals.statuses);
    }
    program.end();
}

/// The part of a message's id that does not depend on the time.
fn key(system: HookSystem, id: &str) -> String {
    if system == HookSystem::Emailengine { id[11..].to_owned() } else { id.to_owned() }
}
