//! Targets that OpenTelemetry's Target Allocator hands to two instances of Postmeter: one instance is removed, and its targets move.
//!
//! `POSTMETER_TARGET_ALLOCATOR` names the allocator (`cmd/otel-allocator` of the OpenTelemetry operator), which watches the pods of a
//! simulated Kubernetes API. Without it that test is skipped, unless `POSTMETER_REQUIRE_TARGET_ALLOCATOR=1`; the same test with a simulated
//! allocator always runs.

mod kubernetes;
mod target_allocator;

use crate::support::program::Program;
use crate::support::{Described, http_client, install_crypto_provider, skipped, wait_until_async};
use postmeter::simulate::{Options, SimulatedServer, System};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use target_allocator::Allocator;
use tempfile::TempDir;

/// The number of mail servers. The chance that a consistent hash gives all of them to one of two instances is 1 in 32,768.
const SERVERS: usize = 16;
const PODS: [&str; 2] = ["postmeter-0", "postmeter-1"];
/// The longest time until the targets of a removed instance are polled by the other.
const MOVE_MAX: Duration = Duration::from_secs(60);

/// One instance of Postmeter.
struct Pod {
    program: Program,
    url: String,
    _folder: TempDir,
}

impl Pod {
    async fn start(list: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Each target is polled once by each instance that has it.
        let config = format!(
            "targets_http: {{url: \"{list}\", interval: 1s}}\n\
             defaults: {{min_interval: 1h}}\n\
             export: {{prometheus: {{listen: \"127.0.0.1:0\"}}}}\n"
        );
        let mut program = Program::spawn_with(folder.path(), &config, &[]);
        let url = program.base_url().await;
        Self { program, url, _folder: folder }
    }

    /// The names of the targets that were polled.
    async fn polled(&self) -> BTreeSet<String> {
        let client = http_client();
        let page = client.get(format!("{}/targets.json", self.url)).send().await.unwrap().text().await.unwrap();
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let targets = page["targets"].as_array().unwrap().iter();
        targets.filter(|target| target["state"] == "up").map(|target| target["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_move_with_a_simulated_allocator() {
    targets_of_a_removed_instance_move(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_move_with_the_target_allocator() {
    match std::env::var_os("POSTMETER_TARGET_ALLOCATOR") {
        Some(program) => targets_of_a_removed_instance_move(Some(program.into())).await,
        None => {
            let is_required = std::env::var_os("POSTMETER_REQUIRE_TARGET_ALLOCATOR").is_some_and(|value| value == "1");
            assert!(!is_required, "POSTMETER_TARGET_ALLOCATOR is not set");
            skipped("targets_move_with_the_target_allocator", "POSTMETER_TARGET_ALLOCATOR is not set");
        }
    }
}

async fn targets_of_a_removed_instance_move(program: Option<PathBuf>) {
    install_crypto_provider();
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(SimulatedServer::start(System::Kumomta, any, Options { frozen: true, ..Options::default() }).await.unwrap());
    }
    let names: Vec<String> = (0..SERVERS).map(|n| format!("mx{n}")).collect();
    let groups: Vec<(String, String)> = names.iter().cloned().zip(servers.iter().map(|server| server.addr().to_string())).collect();
    let mut allocator = Allocator::start(program, &groups, &PODS).await;
    let [kept, removed] = [Pod::start(&allocator.url(PODS[0])).await, Pod::start(&allocator.url(PODS[1])).await];

    let all: BTreeSet<String> = names.iter().cloned().collect();
    let are_all_polled = || async { &kept.polled().await | &removed.polled().await == all };
    wait_until_async(are_all_polled, MOVE_MAX, Described(|| format!("all targets are polled\n{}", allocator.log()))).await;
    let (of_kept, of_removed) = (kept.polled().await, removed.polled().await);
    assert!(of_kept.is_disjoint(&of_removed) && !of_kept.is_empty() && !of_removed.is_empty(), "{of_kept:?} {of_removed:?}");
    let requests: Vec<u64> = servers.iter().map(SimulatedServer::requests).collect();
    assert!(requests.iter().all(|requests| *requests == 1), "each server is polled by one instance: {requests:?}");

    removed.program.kill();
    allocator.remove(PODS[1]);
    let since = Instant::now();
    let have_moved = || async { kept.polled().await == all };
    wait_until_async(have_moved, MOVE_MAX, Described(|| format!("the targets have moved\n{}", allocator.log()))).await;
    assert!(since.elapsed() < MOVE_MAX);
    for (name, server) in names.iter().zip(&servers) {
        let expected = if of_removed.contains(name) { 2 } else { 1 };
        assert_eq!(server.requests(), expected, "{name}: once by each instance that had it");
    }
    kept.program.terminate();
    kept.program.end();
}
