//! The whole program, killed at random moments while its receiver flaps, with bits that flip in its spool between two runs.
//!
//! # Invariants
//!
//! * A request whose file was intact when a process was killed arrives, unless a bit of it flips later.
//! * A damaged request never arrives; it is counted and moved to `damaged/`.
//! * Every point that arrives has a name, labels and a value that the mail server exposed.
//! * A SIGTERM ends the process in order, with exit status 0.
//!
//! `POSTMETER_KILLS` sets the number of rounds, and `POSTMETER_KILLS_SEED` repeats a run:
//! `POSTMETER_KILLS=1000 cargo test --test it kill::`.
#![allow(clippy::unwrap_used)]

use crate::support::flat::flatten;
use crate::support::program::Program;
use crate::support::spool::{request_files, request_in};
use crate::support::{ANY, files, http_client, postmeter, stdout, wait_until, wait_until_async};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use postmeter::simulate::{Options, Receiver, SimulatedServer, System};
use prost::Message;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};
use tonic::Status;

/// Rounds if `POSTMETER_KILLS` is not set.
const ROUNDS_DEFAULT: u64 = 6;
/// A process of a round runs for less than this.
const RUN_MS_MAX: u64 = 400;
/// The longest wait between SIGTERM and SIGKILL.
const TERMINATE_MS_MAX: u64 = 300;
/// Limit for the arrival of everything at the end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Domains of the simulated server: a collection of some ten requests of [`REQUEST_BYTES`].
const SIZE: usize = 4;
const REQUEST_BYTES: &str = "4KiB";
/// Duplicates for each kill: the request in flight, and the one that was accepted but not yet removed.
const DUPLICATES_PER_KILL_MAX: u64 = 2;

/// A reproducible sequence of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A series of the mail server with its value.
type Point = (String, Vec<(String, String)>, u64);

/// Everything that the mail server has exposed, and the names of the canonical metrics.
#[derive(Default)]
struct Exposed {
    points: HashSet<Point>,
    families: HashSet<String>,
    canonical: HashSet<String>,
}

impl Exposed {
    fn new() -> Self {
        let printed = postmeter().args(["metrics", "--format", "json"]).output().unwrap();
        let printed: Value = serde_json::from_str(&stdout(&printed)).unwrap();
        let canonical = printed["metrics"].as_array().unwrap().iter().map(|metric| metric["name"].as_str().unwrap().to_owned()).collect();
        Self { canonical, ..Self::default() }
    }

    /// Adds a body of KumoMTA's `/metrics.json`.
    fn add(&mut self, body: &Value) {
        for (family, content) in body.as_object().unwrap() {
            self.families.insert(family.clone());
            let mut add = |labels: Vec<(String, String)>, value: &Value| {
                if let Some(value) = value.as_f64() {
                    self.points.insert((family.clone(), labels, value.to_bits()));
                }
            };
            match &content["value"] {
                Value::Array(rows) => rows.iter().for_each(|row| {
                    let mut labels = row.as_object().unwrap().clone();
                    let value = labels.remove("@").unwrap();
                    add(labels.into_iter().map(|(label, text)| (label, text.as_str().unwrap().to_owned())).collect(), &value);
                }),
                Value::Object(by_label) => by_label.iter().for_each(|(label, values)| {
                    values.as_object().into_iter().flatten().for_each(|(text, value)| add(vec![(label.clone(), text.clone())], value));
                }),
                single => add(Vec::new(), single),
            }
        }
    }

    /// Fails if a request has a point that was never exposed.
    fn check(&self, request: &ExportMetricsServiceRequest) {
        for point in flatten(std::slice::from_ref(request)).into_iter().filter(|point| point.flags == 0) {
            let name = point.metric.clone();
            if self.families.contains(&name) {
                let mut attributes = point.attributes.clone();
                attributes.sort();
                assert!(self.points.contains(&(name, attributes, point.value.to_bits())), "a point that no server exposed: {point:?}");
            } else {
                assert!(self.canonical.contains(&name), "a metric that is neither native nor canonical: {point:?}");
            }
        }
    }
}

/// The simulated server, the receiver and the spool, with everything that is known about them.
struct World {
    server: SimulatedServer,
    receiver: Receiver,
    http: reqwest::Client,
    directory: tempfile::TempDir,
    exposed: Exposed,
    /// The number of arrivals of each request, by its bytes.
    arrived: HashMap<Vec<u8>, u64>,
    /// Requests of intact files: these arrive.
    promised: HashSet<Vec<u8>>,
    /// Requests of damaged files that had not arrived before: these never arrive.
    forbidden: HashSet<Vec<u8>>,
    /// Names of damaged files, with their content.
    damaged: BTreeMap<String, Vec<u8>>,
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The bytes of the request in a spool file, encoded again so that they compare with those of a request that arrived.
fn request_bytes(content: &[u8]) -> Option<Vec<u8>> {
    Some(request_in(content)?.encode_to_vec())
}

impl World {
    async fn new() -> Self {
        let options = Options { size: SIZE, frozen: true, now: Some(1_700_000_000), ..Options::default() };
        let server = SimulatedServer::start(System::Kumomta, ANY, options).await.unwrap();
        let receiver = Receiver::start(ANY).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "targets: [{{name: mta, system: kumomta, url: \"{}\", min_interval: 1s}}]\n\
             telemetry: {{otlp: false}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  \
             otlp: {{endpoint: \"{}\", interval: 1s, max_request_bytes: {REQUEST_BYTES}, retry: {{initial: 100ms, max: 100ms}}, \
             spool: {{dir: {}}}}}\n",
            server.url(),
            receiver.url(),
            directory.path().join("spool").display(),
        );
        std::fs::write(directory.path().join("postmeter.yaml"), config).unwrap();
        let http = http_client();
        let mut world = Self {
            server,
            receiver,
            http,
            directory,
            exposed: Exposed::new(),
            arrived: HashMap::new(),
            promised: HashSet::new(),
            forbidden: HashSet::new(),
            damaged: BTreeMap::new(),
        };
        world.expose().await;
        world
    }

    fn start(&self) -> Program {
        Program::spawn(&self.directory.path().join("postmeter.yaml"), &[])
    }

    /// Records what the mail server exposes from now on.
    async fn expose(&mut self) {
        let url = format!("{}/metrics.json", self.server.url());
        let body = self.http.get(url).send().await.unwrap().text().await.unwrap();
        self.exposed.add(&serde_json::from_str(&body).unwrap());
    }

    fn accept(&self, is_accepting: bool) {
        self.receiver.fail_with((!is_accepting).then(|| Status::unavailable("busy")));
    }

    /// Takes and checks the requests that arrived.
    fn receive(&mut self) {
        for request in self.receiver.take() {
            self.exposed.check(&request);
            let bytes = request.encode_to_vec();
            assert!(!self.forbidden.contains(&bytes), "a damaged request arrived: {request:?}");
            *self.arrived.entry(bytes).or_default() += 1;
        }
    }

    /// The files of requests in the spool, oldest first.
    fn request_files(&self) -> Vec<PathBuf> {
        request_files(&self.directory.path().join("spool"))
    }

    /// One process from its start to its end. Meanwhile the receiver accepts and rejects in turn, or only rejects.
    async fn run(&mut self, random: &mut Random, is_refusing: bool) {
        self.accept(!is_refusing);
        let mut process = self.start();
        let ends = Instant::now() + Duration::from_millis(random.below(RUN_MS_MAX));
        while Instant::now() < ends {
            tokio::time::sleep(Duration::from_millis(1 + random.below(30))).await;
            if !is_refusing && random.one_in(2) {
                self.accept(random.one_in(2));
            }
            self.receive();
        }
        if random.one_in(3) {
            process.terminate();
            let kill = Instant::now() + Duration::from_millis(random.below(TERMINATE_MS_MAX));
            while Instant::now() < kill && process.exit_status().is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let status = process.exit_status();
        let log = process.kill();
        // A SIGTERM that arrives before its handler is installed ends the process like SIGKILL.
        let is_early = |status: ExitStatus| status.code().is_none() && log.iter().all(|line| !line.contains(" INFO started "));
        assert!(status.is_none_or(|status| status.success() || is_early(status)), "{status:?}: {log:#?}");
        assert!(log.iter().all(|line| !line.contains("panicked") && !line.contains(" ERROR ")), "{log:#?}");
        self.receive();
    }

    /// Records the intact requests on the disk, and checks that damaged files are as they were left.
    fn check_disk(&mut self) {
        for file in self.request_files() {
            let (name, content) = (name_of(&file), std::fs::read(&file).unwrap());
            match self.damaged.get(&name) {
                Some(damaged) => assert_eq!(damaged, &content, "{name} was rewritten"),
                None => {
                    let request = request_bytes(&content).unwrap_or_else(|| panic!("{name} is damaged, and no bit of it was flipped"));
                    self.promised.insert(request);
                }
            }
        }
        for name in self.quarantined() {
            assert!(self.damaged.contains_key(&name), "{name} was moved to damaged/, and no bit of it was flipped");
        }
    }

    /// Names of the files in `damaged/`.
    fn quarantined(&self) -> BTreeSet<String> {
        let directory = self.directory.path().join("spool/otlp-metrics/damaged");
        if directory.exists() { files(&directory).iter().map(|file| name_of(file)).collect() } else { BTreeSet::new() }
    }

    /// Flips a bit of an intact file. No request is in flight, because the receiver rejected all of them during the last run.
    fn flip_a_bit(&mut self, random: &mut Random) {
        let intact: Vec<_> = self.request_files().into_iter().filter(|file| !self.damaged.contains_key(&name_of(file))).collect();
        let Some(file) = intact.get(random.below(intact.len().max(1) as u64) as usize) else { return };
        let mut content = std::fs::read(file).unwrap();
        let request = request_bytes(&content).unwrap();
        let bit = random.below(8 * content.len() as u64) as usize;
        content[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(file, &content).unwrap();
        self.promised.remove(&request);
        if !self.arrived.contains_key(&request) {
            self.forbidden.insert(request);
        }
        self.damaged.insert(name_of(file), content);
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_spool_arrives_after_kills_unless_a_bit_flipped() {
    let rounds = number_from("POSTMETER_KILLS").unwrap_or(ROUNDS_DEFAULT);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = number_from("POSTMETER_KILLS_SEED").unwrap_or(clock);
    println!("POSTMETER_KILLS_SEED={seed}");
    let (mut random, mut world, began) = (Random(seed), World::new().await, Instant::now());
    for round in 0..rounds {
        let is_refusing = random.one_in(3);
        world.run(&mut random, is_refusing).await;
        world.check_disk();
        if is_refusing && random.one_in(2) {
            world.flip_a_bit(&mut random);
        }
        if round % 4 == 3 {
            world.server.traffic(|traffic| traffic.advance(60.0));
            world.expose().await;
        }
    }

    // The last process always finds a damaged file and an intact one.
    world.accept(false);
    let process = world.start();
    wait_until(
        || world.request_files().iter().filter(|file| !world.damaged.contains_key(&name_of(file))).count() >= 2,
        PATIENCE,
        "two intact requests are on the disk",
    )
    .await;
    process.kill();
    world.check_disk();
    world.flip_a_bit(&mut random);

    world.accept(true);
    let pending: BTreeSet<String> = world.request_files().iter().map(|file| name_of(file)).collect();
    let damaged = pending.iter().filter(|name| world.damaged.contains_key(*name)).count();
    let mut process = world.start();
    let page = format!("{}/metrics", process.base_url().await);
    wait_until(
        || {
            world.receive();
            let is_left = world.request_files().iter().any(|file| pending.contains(&name_of(file)));
            !is_left && world.promised.iter().all(|request| world.arrived.contains_key(request))
        },
        PATIENCE,
        "all intact requests arrive",
    )
    .await;
    let http = world.http.clone();
    wait_until_async(
        || async {
            let text = http.get(&page).send().await.unwrap().text().await.unwrap();
            let line = text.lines().find(|line| line.starts_with("postmeter_export_spool_damaged_requests_total"));
            line.is_some_and(|line| line.rsplit(' ').next().unwrap().parse() == Ok(damaged as f64))
        },
        PATIENCE,
        format!("{damaged} damaged requests are counted"),
    )
    .await;
    process.end();
    world.receive();
    assert_eq!(world.request_files(), Vec::<PathBuf>::new(), "requests are left in the spool");
    world.check_disk();
    let duplicates: u64 = world.arrived.values().map(|times| times - 1).sum();
    assert!(duplicates <= DUPLICATES_PER_KILL_MAX * (rounds + 2), "{duplicates} duplicates in {rounds} rounds");
    assert!(!world.promised.is_empty() && damaged > 0);
    println!(
        "{rounds} rounds in {:.1?}: {} requests arrived, {duplicates} of them again, {} were on the disk at a kill, {} damaged",
        began.elapsed(),
        world.arrived.len(),
        world.promised.len(),
        world.damaged.len(),
    );
    world.receiver.shutdown().await;
    world.server.shutdown().await;
}
