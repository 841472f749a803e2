//! Processes that use a spool and are killed at any moment, and bits that flip in between: what was acknowledged is there, or is
//! known to be damaged; what was removed is not; nothing is ever read that was not written.
//!
//! `POSTMETER_KILLS` says how many processes; `cargo test --lib store::tests::kills`.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// How many processes, unless `POSTMETER_KILLS` is set.
const KILLS_DEFAULT: u64 = 20;
/// The directory, for the process that is killed.
const CHILD_DIR: &str = "POSTMETER_KILLS_DIR";
/// The collection that it begins with.
const CHILD_FROM: &str = "POSTMETER_KILLS_FROM";
/// A child ends of itself, closed in order, after so many requests.
const REQUESTS_MAX: u64 = 60;

/// A reproducible series of numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The only request that a collection has.
fn request(collection: u64) -> Vec<u8> {
    let mut numbers = Numbers(collection);
    let len = numbers.below(20_000);
    (0..len).map(|_| numbers.below(256) as u8).collect()
}

/// What is killed: writes requests and removes about half of them, and reports on standard output what was acknowledged.
#[test]
fn child() {
    let (Ok(dir), Ok(from)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_FROM)) else { return };
    // The name of the test stands on the first line.
    println!();
    let from: u64 = from.parse().unwrap();
    let mut store = Store::new(Path::new(&dir), 1 << 30);
    let mut kept: Vec<Key> = store.open().unwrap().requests.iter().map(|waiting| waiting.key).collect();
    let mut numbers = Numbers(from);
    for collection in from..from + REQUESTS_MAX {
        let removed: Vec<Key> = if numbers.below(2) == 0 { kept.drain(..kept.len().min(2)).collect() } else { Vec::new() };
        // From here on they may be gone.
        removed.iter().for_each(|key| println!("removing {}", key.collection));
        store.change(Some(&row(key(collection, 0), 1, request(collection))), &removed).unwrap();
        println!("wrote {collection}");
        removed.iter().for_each(|key| println!("removed {}", key.collection));
        kept.push(key(collection, 0));
    }
    store.close();
}

/// What the children have reported.
#[derive(Default)]
struct Acknowledged {
    /// Written, and not being removed.
    kept: BTreeSet<u64>,
    removed: BTreeSet<u64>,
    highest: u64,
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let Some((what, collection)) = line.split_once(' ') else { return };
        let Ok(collection) = collection.parse() else { return };
        match what {
            "wrote" => {
                self.kept.insert(collection);
                self.highest = self.highest.max(collection);
            }
            "removing" => {
                self.kept.remove(&collection);
            }
            "removed" => {
                self.removed.insert(collection);
            }
            _ => {}
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_kills_and_flipped_bits() {
    let kills = std::env::var("POSTMETER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let dir = tempdir().unwrap();
    let (mut acknowledged, mut numbers) = (Acknowledged::default(), Numbers(7));
    let (mut damaged, mut flipped, mut read, mut ended) = (BTreeSet::new(), 0, 0, 0);
    for _ in 0..kills {
        let from = acknowledged.highest + REQUESTS_MAX + 1;
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "export::otlp::store::tests::kills::child", "--nocapture", "--test-threads=1"]);
        let mut child = child.env(CHILD_DIR, dir.path()).env(CHILD_FROM, from.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // It goes on while it is being killed: that is the moment that matters. About one in four ends of itself before that.
        let lines_max = numbers.below(4 * REQUESTS_MAX) as usize;
        lines.by_ref().take(lines_max).for_each(|line| acknowledged.take(&line));
        child.kill().unwrap();
        lines.for_each(|line| acknowledged.take(&line));
        ended += u64::from(child.wait().unwrap().success());

        // Between two processes bits flip in some of the files.
        for file in files(&dir) {
            if numbers.below(20) == 0 {
                let mut content = fs::read(&file).unwrap();
                let bit = numbers.below(8 * content.len() as u64) as usize;
                content[bit / 8] ^= 1 << (bit % 8);
                fs::write(&file, content).unwrap();
                let name = RequestName::parse(file.file_name().unwrap().to_str().unwrap()).unwrap();
                damaged.insert(name.key.collection);
                flipped += 1;
            }
        }

        let (mut store, found) = open(dir.path());
        let found: BTreeMap<u64, usize> = found.into_iter().map(|(key, _, len)| (key.collection, len)).collect();
        for collection in &acknowledged.kept {
            assert!(found.contains_key(collection), "{collection} was acknowledged, and is lost");
        }
        for collection in found.keys() {
            assert!(!acknowledged.removed.contains(collection), "{collection} was removed, and is there again");
            match store.bytes(key(*collection, 0)) {
                Ok(bytes) => {
                    assert!(bytes == request(*collection), "{collection} is not what was written");
                    assert!(!damaged.contains(collection), "{collection} is damaged, and was read");
                    read += 1;
                }
                Err(SpoolError::Damaged(..)) => assert!(damaged.contains(collection), "{collection} is not damaged"),
                Err(error) => panic!("{error}"),
            }
        }
        acknowledged.kept.retain(|collection| !damaged.contains(collection));
    }
    assert!(read > 0 && (kills < 10 || flipped > 0), "{read} read, {flipped} flipped");
    eprintln!("{kills} processes, {ended} of them ended in order, {flipped} bits flipped, {read} requests read");
}
