//! The program is killed at arbitrary times: no record is lost, the cursor is never ahead of the receiver, and memory does not grow.

use super::world::{ANY, World, grpc, until};
use crate::support::postmeter;
use crate::support::program::Program;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use postmeter::delivery_log::BATCH_RECORDS_MAX;
use postmeter::simulate::Receiver;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

fn run(file: &Path) -> Program {
    let mut command = postmeter();
    // With one arena for each thread, the memory that glibc retains would vary with the load of the machine.
    command.env("MALLOC_ARENA_MAX", "1");
    Program::spawn_command(command, file, &[])
}

/// `log.record.uid` and the time in seconds of each record.
fn received(requests: &[ExportLogsServiceRequest]) -> Vec<(String, u64)> {
    let records = requests.iter().flat_map(|r| &r.resource_logs).flat_map(|of| &of.scope_logs).flat_map(|scope| &scope.log_records);
    let uid = |record: &opentelemetry_proto::tonic::logs::v1::LogRecord| {
        let attribute = record.attributes.iter().find(|attribute| attribute.key == "log.record.uid").unwrap();
        match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::StringValue(uid) => uid.clone(),
            other => panic!("{other:?}"),
        }
    };
    records.map(|record| (uid(record), record.time_unix_nano / 1_000_000_000)).collect()
}

/// Reads the cursor file: the position, and the known identities in hexadecimal.
fn cursor(state: &Path) -> Option<(u64, Vec<String>)> {
    let bytes = std::fs::read(state.join("messages-whm1.cursor")).ok()?;
    let numbers = bytes.strip_prefix(b"postmeter-cursor 1\ncpanel at 127.0.0.1\n").unwrap();
    let number = |at: usize| u64::from_le_bytes(numbers[8 * at..8 * at + 8].try_into().unwrap());
    let count = number(2) as usize;
    let id = |n: usize| numbers[8 * (3 + 2 * n)..][..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Some((number(1), (0..count).map(id).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_kills_lose_no_record_and_the_cursor_is_never_ahead() {
    const RECORDS: u64 = 30_000;
    const KILLS: u64 = 12;
    let world = World::with(RECORDS).await;
    world.simulated.traffic(|traffic| traffic.log.fault_every = Some(5));
    let receiver = Receiver::start(ANY).await.unwrap();
    let file = world.state.path().join("postmeter.yaml");
    std::fs::write(&file, world.file("", &grpc(&receiver))).unwrap();
    let mut kills = 0;
    while kills < KILLS {
        let running = run(&file);
        // Kill at an arbitrary time: after more records have arrived, and a little later.
        let (before, more) = (receiver.log_records(), kills * 977 % 4_000);
        let done = || receiver.log_records() >= before + more || receiver.distinct_log_records() as u64 == RECORDS;
        until("more records", || done() && cursor(world.state.path()).is_some()).await;
        tokio::time::sleep(Duration::from_millis(kills * 37 % 90)).await;
        running.kill();
        kills += 1;

        let arrived = received(&receiver.log_requests());
        let short: HashSet<&str> = arrived.iter().map(|(uid, _)| &uid[..16]).collect();
        let (reached, held) = cursor(world.state.path()).unwrap();
        for id in &held {
            assert!(short.contains(id.as_str()), "{id} was never acknowledged");
        }
        let distinct: HashSet<&(String, u64)> = arrived.iter().collect();
        let up_to = |at: u64| distinct.iter().filter(|(_, time)| *time <= at).count();
        let truth = world.simulated.traffic(|traffic| traffic.log.iter().filter(|attempt| attempt.at <= reached).count());
        assert_eq!(up_to(reached), truth, "all up to the cursor has arrived");
    }
    let _running = run(&file);
    until("all records", || receiver.distinct_log_records() as u64 == RECORDS).await;
    let twice = receiver.log_records() - RECORDS;
    assert!(twice <= KILLS * BATCH_RECORDS_MAX as u64, "{twice} came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_log() {
    let mut peaks = Vec::new();
    for records in [40_000, 100_000] {
        let world = World::with(records).await;
        let receiver = Receiver::start(ANY).await.unwrap();
        let file = world.state.path().join("postmeter.yaml");
        std::fs::write(&file, world.file("", &grpc(&receiver))).unwrap();
        let running = run(&file);
        until("all records", || receiver.distinct_log_records() as u64 == records).await;
        peaks.push(running.peak_kib() / 1024);
    }
    let [small, large] = peaks[..] else { panic!() };
    assert!(large <= small + 12 && large < 100, "{small} MiB with 40,000 records and {large} MiB with 100,000");
}
