//! Kills processes that use a spool at arbitrary moments, and flips bits of their files in between. Acknowledged requests must be found
//! or be recognized as damaged, deleted requests must not return, and only written bytes may be read.
//!
//! `POSTMETER_KILLS` sets the number of processes: `POSTMETER_KILLS=1000 cargo test --lib store::tests::kills`.

use super::*;
use crate::config::Compression;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The number of processes, unless `POSTMETER_KILLS` is set.
const KILLS_DEFAULT: u64 = 20;
/// The variable with the directory of the spool, for the child process.
const CHILD_DIR: &str = "POSTMETER_KILLS_DIR";
/// The variable with the first collection that the child process writes.
const CHILD_FROM: &str = "POSTMETER_KILLS_FROM";
/// A child process that is not killed closes the store and exits after this many requests.
const REQUESTS_MAX: u64 = 60;

/// A reproducible sequence of pseudo-random numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The only request of a collection.
fn request(collection: u64) -> Vec<u8> {
    let mut numbers = Numbers(collection);
    let len = numbers.below(20_000);
    (0..len).map(|_| numbers.below(256) as u8).collect()
}

/// The child process: writes requests, deletes about half of them, and reports acknowledged operations on standard output.
#[test]
fn child() {
    let (Ok(dir), Ok(from)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_FROM)) else { return };
    // The test harness has printed the name of the test on the first line.
    println!();
    let from: u64 = from.parse().unwrap();
    let mut store = Store::new(Path::new(&dir), SpoolSignal::Metrics, 1 << 30);
    let mut kept: Vec<RequestKey> = store.open().unwrap().requests.iter().map(|request| request.key).collect();
    let mut numbers = Numbers(from);
    for collection in from..from + REQUESTS_MAX {
        let deleted: Vec<RequestKey> = if numbers.below(2) == 0 { kept.drain(..kept.len().min(2)).collect() } else { Vec::new() };
        // From now on the files may be missing.
        deleted.iter().for_each(|key| println!("deleting {}", key.collection));
        let compression = [Compression::None, Compression::Gzip, Compression::Zstd][collection as usize % 3];
        let body = RequestBody::compressed(request(collection).into(), compression);
        store.change(Some(&SpoolEntry { body, ..entry(key(collection, 0), 1, "") }), &deleted).unwrap();
        println!("wrote {collection}");
        deleted.iter().for_each(|key| println!("deleted {}", key.collection));
        kept.push(key(collection, 0));
    }
    store.close();
}

/// The operations that child processes have reported.
#[derive(Default)]
struct Acknowledged {
    /// Written requests whose deletion has not begun.
    kept: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
    highest: u64,
}

impl Acknowledged {
    fn add(&mut self, line: &str) {
        let Some((operation, collection)) = line.split_once(' ') else { return };
        let Ok(collection) = collection.parse() else { return };
        match operation {
            "wrote" => {
                self.kept.insert(collection);
                self.highest = self.highest.max(collection);
            }
            "deleting" => {
                self.kept.remove(&collection);
            }
            "deleted" => {
                self.deleted.insert(collection);
            }
            _ => {}
        }
    }
}

#[test]
fn acknowledged_requests_survive_kills_and_flipped_bits() {
    let kills = std::env::var("POSTMETER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let dir = tempdir().unwrap();
    let (mut acknowledged, mut numbers) = (Acknowledged::default(), Numbers(7));
    let (mut damaged, mut flipped, mut read, mut ended) = (BTreeSet::new(), 0, 0, 0);
    for _ in 0..kills {
        let from = acknowledged.highest + REQUESTS_MAX + 1;
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "export::queue::store::tests::kills::child", "--nocapture", "--test-threads=1"]);
        let mut child = child.env(CHILD_DIR, dir.path()).env(CHILD_FROM, from.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The child keeps writing while it is killed, which is the moment to test. About one in four exits before.
        let lines_max = numbers.below(4 * REQUESTS_MAX) as usize;
        lines.by_ref().take(lines_max).for_each(|line| acknowledged.add(&line));
        child.kill().unwrap();
        lines.for_each(|line| acknowledged.add(&line));
        ended += u64::from(child.wait().unwrap().success());

        // Flips a bit in some of the files between two processes.
        for file in files(&dir) {
            if numbers.below(20) == 0 {
                let mut content = fs::read(&file).unwrap();
                let bit = numbers.below(8 * content.len() as u64) as usize;
                content[bit / 8] ^= 1 << (bit % 8);
                fs::write(&file, content).unwrap();
                let name = RequestFileName::parse(file.file_name().unwrap().to_str().unwrap()).unwrap();
                damaged.insert(name.key.collection);
                flipped += 1;
            }
        }

        let (mut store, found) = open(dir.path());
        let found: BTreeMap<u64, usize> = found.into_iter().map(|(key, _, len)| (key.collection, len)).collect();
        for collection in &acknowledged.kept {
            assert!(found.contains_key(collection), "request {collection} was acknowledged and is lost");
        }
        for collection in found.keys() {
            assert!(!acknowledged.deleted.contains(collection), "request {collection} was deleted and is found again");
            match store.body(key(*collection, 0)) {
                Ok(body) => {
                    assert!(body.decompressed().unwrap() == request(*collection), "request {collection} differs from the written one");
                    assert!(!damaged.contains(collection), "request {collection} is damaged and was read");
                    read += 1;
                }
                Err(SpoolError::Damaged(..)) => assert!(damaged.contains(collection), "request {collection} is not damaged"),
                Err(error) => panic!("{error}"),
            }
        }
        acknowledged.kept.retain(|collection| !damaged.contains(collection));
    }
    assert!(read > 0 && (kills < 10 || flipped > 0), "{read} read, {flipped} flipped");
    eprintln!("{kills} processes, {ended} of them exited normally, {flipped} bits flipped, {read} requests read");
}
