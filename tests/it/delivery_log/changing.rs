//! A log that changes while it is read: the server removes, adds and reorders rows between any two requests. In the end all records of the
//! log have arrived, each once.

use super::world::{ANY, until};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use postmeter::delivery_log::{self, Acceptance};
use postmeter::model::Field;
use postmeter::poll::{Limits, Target};
use postmeter::telemetry::CollectedTarget;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

const SEEDS: u64 = 50;
/// Seeds that run concurrently.
const SEEDS_AT_ONCE: u64 = 25;
/// The time of both clocks.
const NOW: u64 = 1_800_000_000;
/// The time span of the log in seconds.
const SPAN: u64 = 3000;
/// The longest delay with which a row is written. The overlap is longer.
const LATE_SECONDS_MAX: u64 = 40;
/// The number of requests after which the log no longer changes.
const CHANGES_MAX: u32 = 40;

#[derive(Clone)]
struct Row {
    id: u64,
    at: u64,
    kind: &'static str,
}

struct Log {
    random: u64,
    rows: Vec<Row>,
    /// The largest number of rows of a page, whatever is requested.
    page_rows_max: usize,
    /// Rows of the same second are ordered differently in each response.
    ties_are_mixed: bool,
    requests: u32,
    /// The number of requests after which the log no longer changes.
    changes_max: u32,
    /// Every response has the mark that records were omitted.
    overflowed: u8,
    next_id: u64,
}

impl Log {
    fn new(seed: u64) -> Self {
        let is_large = seed % 10 == 3;
        let (rows, page_rows_max) = if is_large { (7_000, usize::MAX) } else { (1_500, 60 + seed as usize * 3) };
        let mut log = Self {
            random: seed + 1,
            rows: Vec::new(),
            page_rows_max,
            ties_are_mixed: seed.is_multiple_of(2),
            requests: 0,
            changes_max: CHANGES_MAX,
            overflowed: 0,
            next_id: 0,
        };
        for n in 0..rows {
            log.push(NOW - SPAN + n * SPAN / rows);
        }
        // One second has more rows than a page.
        let busy = if is_large { 6_000 } else { log.page_rows_max as u64 * 5 / 2 };
        (0..busy).for_each(|_| log.push(NOW - 1234));
        log
    }

    fn below(&mut self, most: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % most
    }

    fn push(&mut self, at: u64) {
        let kind = ["success", "success", "defer", "failure", "inprogress"][self.below(5) as usize];
        self.rows.push(Row { id: self.next_id, at, kind });
        self.next_id += 1;
    }

    /// Changes the log between two requests.
    fn change(&mut self) {
        self.requests += 1;
        if self.requests > self.changes_max {
            return;
        }
        // Deliveries in progress end, and old rows are purged.
        for _ in 0..self.below(30) {
            let at = self.below(self.rows.len() as u64) as usize;
            if self.rows[at].at != NOW - 1234 {
                self.rows.swap_remove(at);
            }
        }
        for _ in 0..self.below(12) {
            let at = NOW - self.below(LATE_SECONDS_MAX);
            self.push(at);
        }
        // The table has no order.
        for last in (1..self.rows.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            self.rows.swap(last, other);
        }
    }

    fn response(&mut self, query: &str) -> Value {
        self.change();
        let parameters: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let number = |name: &str| parameters.get(name).and_then(|n| n.parse::<u64>().ok());
        let bound = |letter: &str, kind: &str| {
            let of = |what: &str| format!("api.filter.{letter}.{what}");
            (parameters.get(of("type").as_str()) == Some(&kind)).then(|| number(&of("arg0")).unwrap())
        };
        let (from, to) = (bound("a", "gt_equal").unwrap(), bound("b", "lt_equal").unwrap_or(u64::MAX));
        let mut rows: Vec<Row> = self.rows.iter().filter(|row| (from..=to).contains(&row.at)).cloned().collect();
        let has_ties = parameters.contains_key("api.sort.b.field") && !self.ties_are_mixed;
        rows.sort_by_key(|row| (row.at, if has_ties { format!("m{}", row.id) } else { String::new() }));
        if parameters.get("api.sort.a.reverse") == Some(&"1") {
            rows.reverse();
        }
        let (start, all) = (number("api.chunk.start").unwrap() as usize, rows.len());
        let size = (number("api.chunk.size").unwrap() as usize).min(self.page_rows_max);
        let page: Vec<Value> = rows.iter().skip(start - 1).take(size).map(row).collect();
        let chunk = json!({"size": size, "start": start, "records": all, "chunks": all.div_ceil(size), "current": (start - 1) / size + 1});
        json!({"data": {"records": page}, "metadata": {"result": 1, "reason": "OK", "overflowed": self.overflowed, "chunk": chunk}})
    }
}

fn row(row: &Row) -> Value {
    json!({
        "actionunixtime": row.at, "sendunixtime": row.at - 5, "type": row.kind, "msgid": format!("m{}", row.id),
        "recipient": "reader@example.com", "message": "Accepted", "size": 100,
    })
}

async fn response(State(log): State<Arc<Mutex<Log>>>, RawQuery(query): RawQuery) -> String {
    log.lock().unwrap().response(&query.unwrap_or_default()).to_string()
}

/// A follower of a log, and the number of times that each message has arrived.
struct Reading {
    log: Arc<Mutex<Log>>,
    arrived: Arc<Mutex<HashMap<String, u32>>>,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _state: tempfile::TempDir,
}

impl Reading {
    async fn start(log: Log) -> Self {
        let log = Arc::new(Mutex::new(log));
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/json-api/emailtrack_search", get(response)).with_state(log.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let server_stop = stopped.clone();
        let stopping = async move { server_stop.cancelled().await };
        let server = tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopping).await.unwrap() });
        let state = tempfile::tempdir().unwrap();
        let file = format!(
            "state_dir: {}\ntargets:\n  - {{name: whm1, system: cpanel, url: \"{url}\", username: u, token: t, min_interval: 1s, parts: {{messages: {{interval: 1s, since: 1h, overlap: 1m, include: [message_id]}}}}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: false\n",
            state.path().display()
        );
        let config = postmeter::config::parse(&file, "test.yaml", &Default::default()).unwrap_or_else(|problems| panic!("{problems}"));
        let clock = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let target = Target::with_clock(config.targets[0].clone(), Limits::default(), clock).unwrap();
        let (follower, mut feed, _) = delivery_log::open(&CollectedTarget::new(target), state.path()).unwrap().unwrap();
        let arrived: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
        let (collected, follower) = (arrived.clone(), tokio::spawn(follower.run(stopped)));
        let collector = tokio::spawn(async move {
            while let Some(batch) = feed.next().await {
                for (_, record) in &batch.records {
                    *collected.lock().unwrap().entry(record.field(Field::MessageId).unwrap().to_owned()).or_default() += 1;
                }
                feed.settle(batch, Acceptance::Counted).await;
            }
        });
        Self { log, arrived, stop, tasks: vec![follower, collector, server], _state: state }
    }

    fn requests(&self) -> u32 {
        self.log.lock().unwrap().requests
    }

    /// The age in seconds of the first few rows that have not arrived.
    fn missing(&self) -> Vec<u64> {
        let (log, arrived) = (self.log.lock().unwrap(), self.arrived.lock().unwrap());
        let missing = log.rows.iter().filter(|row| !arrived.contains_key(&format!("m{}", row.id)));
        missing.map(|row| NOW - row.at).take(20).collect()
    }

    /// Stops the follower, and checks that no record has arrived twice.
    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
        assert!(self.arrived.lock().unwrap().values().all(|n| *n == 1), "records came twice");
    }
}

/// Reads the log of one seed until all of its records have arrived.
async fn check_seed(seed: u64) {
    let reading = Reading::start(Log::new(seed)).await;
    until(&format!("seed {seed}: the last change"), || reading.requests() > CHANGES_MAX).await;
    let requests = reading.requests();
    until(&format!("seed {seed}: everything"), || reading.missing().is_empty() || reading.requests() > requests + 300).await;
    assert_eq!(reading.missing(), [0; 0], "seed {seed}");
    reading.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_always_reports_omissions_is_not_read_second_by_second() {
    let mut log = Log { changes_max: 0, overflowed: 1, page_rows_max: usize::MAX, rows: Vec::new(), ..Log::new(0) };
    (0..500).for_each(|n| log.push(NOW - SPAN + n * 5));
    let reading = Reading::start(log).await;
    until("everything", || reading.missing().is_empty()).await;
    let first_poll = reading.requests();
    until("more polls", || reading.requests() > first_poll + 20).await;
    assert!(first_poll < 30, "{first_poll} requests");
    reading.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_of_a_changing_log_is_missing() {
    for first in (0..SEEDS).step_by(SEEDS_AT_ONCE as usize) {
        let mut seeds = tokio::task::JoinSet::new();
        (first..first + SEEDS_AT_ONCE).for_each(|seed| drop(seeds.spawn(check_seed(seed))));
        while let Some(done) = seeds.join_next().await {
            done.unwrap();
        }
    }
}
