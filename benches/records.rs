//! The whole program with senders of delivery records and an OTLP receiver. Prints one line of JSON for each system: processor time of the `run`
//! process for each record, and its resident memory after half of the records and after all of them. Every record must arrive, and
//! 10,000 records a second must need less than one core. Arguments are names of systems, and the number of records.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use postmeter::simulate::{Delivery, Hook, HookSender, HookSystem, Receiver, SigningKey};
use program::{ANY, Program};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

/// More than twice the records by which repeated ones are recognized, so that their memory is used after half of them.
const RECORDS: u64 = 600_000;
/// Records that are reported at once: fewer than a sender keeps.
const REPORTED: u64 = 20_000;
/// The goal: 10,000 records a second on one core.
const MICROSECONDS_MAX: f64 = 100.0;
/// The largest growth of the resident memory in the second half.
const GROWTH_KIB_MAX: u64 = 8 * 1024;
const STALL_MAX: Duration = Duration::from_secs(120);

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let records = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(RECORDS);
    let selected: Vec<HookSystem> = std::env::args().filter_map(|arg| HookSystem::from_name(&arg)).collect();
    for (system, key) in common::signed_hooks() {
        if selected.contains(&system) || (selected.is_empty() && system == HookSystem::Kumomta) {
            println!("{}", run(system, key, records).await);
        }
    }
}

async fn run(system: HookSystem, signing_key: Option<SigningKey>, records: u64) -> serde_json::Value {
    let receiver = Receiver::start(ANY).await.unwrap();
    let (folder, name) = (tempfile::tempdir().unwrap(), system.name());
    let file = folder.path().join("postmeter.yaml");
    let key = signing_key.as_ref().map(|key| format!(", signing_key: {}", serde_json::Value::from(key.verification_key())));
    let config = format!(
        "state_dir: {}\nreceive: {{listen: \"127.0.0.1:0\"}}\ntargets:\n  - {{name: mta1, system: {name}, parts: {{deliveries: {{token: let-me-in{}}}}}}}\nexport: {{otlp: {{endpoint: \"{}\", interval: 5s}}}}\n",
        folder.path().display(),
        key.unwrap_or_default(),
        receiver.url(),
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Program::command();
    let mut program = Program(command.args(["run", "--config"]).arg(&file).stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(program.0.stderr.take().unwrap()).lines();
    let url = log.find_map(|line| Some(line.unwrap().split_once("receive=\"")?.1.split_once('"')?.0.replace("TARGET", "mta1"))).unwrap();
    let warnings = std::thread::spawn(move || log.map_while(Result::ok).filter(|line| line.contains("WARN")).collect::<Vec<_>>());
    let sender = HookSender::start(system, Hook { token: Some("let-me-in".to_owned()), signing_key, ..Hook::new(url) }).unwrap();

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (began, used) = (Instant::now(), program.processor_time());
    let mut memory = Vec::new();
    for first in (0..records).step_by(REPORTED as usize) {
        let last = (first + REPORTED).min(records);
        sender.report((first..last).map(|id| Delivery::nth(id, now - id % 3600)));
        let (mut arrived, mut since) = (0, Instant::now());
        while receiver.log_records() < last {
            if receiver.log_records() > arrived {
                (arrived, since) = (receiver.log_records(), Instant::now());
            }
            assert!(since.elapsed() < STALL_MAX, "{arrived} of {last} records arrived: {:?}", sender.totals().statuses);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        memory.push(program.resident_kib());
    }
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), (program.processor_time() - used).as_secs_f64());
    assert_eq!((receiver.distinct_log_records() as u64, receiver.log_records()), (records, records));
    drop(program);
    assert_eq!(warnings.join().unwrap(), Vec::<String>::new());
    let microseconds = cpu * 1e6 / records as f64;
    let (half, end) = (memory[(memory.len() - 1) / 2], memory[memory.len() - 1]);
    assert!(microseconds <= MICROSECONDS_MAX, "{name}: {microseconds} us of processor time for each record");
    assert!(records < RECORDS || end <= half + GROWTH_KIB_MAX, "{name}: the resident memory grew from {half} to {end} KiB: {memory:?}");
    serde_json::json!({
        "system": name,
        "records": records,
        "seconds": elapsed,
        "cpu_us_per_record": microseconds,
        "resident_kib_at_half": half,
        "resident_kib_at_end": end,
    })
}
