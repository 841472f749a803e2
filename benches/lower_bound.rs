//! The least processor time that any program needs for the bytes of `end_to_end`: a program that reads a response, copies the page and
//! the OTLP requests that Postmeter would make of it, compresses the requests and sends everything, and Postmeter itself. Prints one line of
//! JSON for each. The number of series, and `json` or `text`, are arguments.
//!
//! `POSTMETER_BENCH_PROGRAM` is the path of another build of Postmeter to measure.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "there is no async runtime whose workers could be blocked")]

mod common;
#[path = "common/program.rs"]
#[allow(dead_code)]
mod program;

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use parking_lot::Mutex;
use program::{Program, TICKS_PER_SECOND, processor_ticks};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SERIES: usize = 100_000;
const ROUNDS: u32 = 5;
/// The time between two polls, pushes and scrapes.
const INTERVAL: Duration = Duration::from_secs(4);
/// The time within which a program serves its first page and pushes.
const START_MAX: Duration = Duration::from_secs(60);
/// The size of the pieces in which a page is sent, as Postmeter sends it.
const CHUNK_BYTES: usize = 64 * 1024;
/// The length of a line or a point, which is copied at once.
const COPY_BYTES: usize = 128;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder] = &arguments[..]
        && mode == "copy"
    {
        return copy(Path::new(folder));
    }
    let series = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(SERIES);
    let format = arguments.iter().find(|argument| *argument == "text").map_or("json", String::as_str);
    let world = World::new(format, series);
    let mut postmeter = Program::command();
    let config = world.folder.path().join("postmeter.yaml");
    postmeter.args(["run", "--log-level", "warn", "--config"]).arg(&config);

    fs::write(&config, world.config(format, "none")).unwrap();
    let prepared = world.run(&mut postmeter, 1);
    let (page, requests) = (prepared.page, prepared.requests.concat());
    assert!(page.len() > series * 50 && requests.len() > series * 50, "{} {}", page.len(), requests.len());
    fs::write(world.folder.path().join("page"), &page).unwrap();
    fs::write(world.folder.path().join("requests"), &requests).unwrap();

    fs::write(&config, world.config(format, "gzip")).unwrap();
    let mut copier = Command::new(std::env::current_exe().unwrap());
    copier.arg("copy").arg(world.folder.path());
    for (name, command) in [("postmeter", &mut postmeter), ("copies", &mut copier)] {
        let run = world.run(command, ROUNDS);
        let sent: usize = run.requests.iter().map(|request| GzDecoder::new(&request[..]).read_to_end(&mut Vec::new()).unwrap()).sum();
        assert!(run.page.len().abs_diff(page.len()) < 10_000, "{name}: a page of {} bytes", run.page.len());
        assert!(sent.abs_diff(ROUNDS as usize * requests.len()) < requests.len() / 2, "{name}: sent {sent} bytes");
        let [user, kernel] = run.ticks.map(|ticks| ticks as f64 / TICKS_PER_SECOND * 1e6 / f64::from(ROUNDS) / series as f64);
        println!("{}", serde_json::json!({"program": name, "format": format, "series": series, "user_us": user, "kernel_us": kernel}));
    }
}

/// A mail server, a receiver, and the settings of the program between them.
struct World {
    folder: tempfile::TempDir,
    mail_server: u16,
    receiver: u16,
    listen: u16,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// The results of a measured program: its processor time, the last page and all requests.
struct Run {
    ticks: [u64; 2],
    page: Vec<u8>,
    requests: Vec<Vec<u8>>,
}

impl World {
    fn new(format: &str, series: usize) -> Self {
        let body = common::named(format, series, |i| i as u64 * 7).into_bytes();
        let received = Arc::new(Mutex::new(Vec::new()));
        let requests = received.clone();
        let media_type = if format == "json" { "application/json" } else { "text/plain; version=0.0.4" };
        let mail_server = serve(move |_| response(media_type, &body));
        let receiver = serve(move |request| {
            requests.lock().push(request);
            response("application/x-protobuf", b"")
        });
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { folder: tempfile::tempdir().unwrap(), mail_server, receiver, listen, received }
    }

    fn config(&self, format: &str, compression: &str) -> String {
        let Self { mail_server, receiver, listen, .. } = self;
        format!(
            "targets:\n  - {{name: mta1, system: kumomta, url: \"http://127.0.0.1:{mail_server}\", format: {format}, min_interval: 4s, timeout: 60s}}\nexport:\n  otlp: {{endpoint: \"http://127.0.0.1:{receiver}\", protocol: http/protobuf, compression: {compression}, interval: 4s}}\n  prometheus: {{listen: \"127.0.0.1:{listen}\"}}\n"
        )
    }

    /// Runs a program for this number of polls, pushes and scrapes.
    fn run(&self, command: &mut Command, rounds: u32) -> Run {
        fs::write(self.folder.path().join("ports"), format!("{} {} {}", self.mail_server, self.receiver, self.listen)).unwrap();
        let program = Program(command.stderr(Stdio::inherit()).spawn().unwrap());
        let began = Instant::now();
        while self.page().is_none_or(|page| page.len() < 10_000) {
            assert!(began.elapsed() < START_MAX, "the program did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        // In the middle between two pushes, so that each round has one.
        self.received.lock().clear();
        while self.received.lock().is_empty() {
            assert!(began.elapsed() < START_MAX, "the program did not push");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(INTERVAL / 2);
        self.received.lock().clear();
        let before = processor_ticks(program.0.id());
        let mut page = Vec::new();
        for _ in 0..rounds {
            std::thread::sleep(INTERVAL);
            page = self.page().unwrap();
        }
        let after = processor_ticks(program.0.id());
        let requests = std::mem::take(&mut *self.received.lock());
        Run { ticks: [after[0] - before[0], after[1] - before[1]], page, requests }
    }

    fn page(&self) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.listen)).ok()?;
        let request = b"GET /metrics HTTP/1.0\r\nhost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 60\r\n\r\n";
        stream.write_all(request).ok()?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page).ok()?;
        Some(page)
    }
}

fn response(media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Serves HTTP/1.1 on a free port. `respond` gets the body of each request.
fn serve(respond: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let respond = Arc::new(respond);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut reader, respond) = (BufReader::new(stream.unwrap()), respond.clone());
            std::thread::spawn(move || {
                while let Some(body) = read_message(&mut reader) {
                    if reader.get_mut().write_all(&respond(body)).is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

/// Reads a message with its body. `None` if the connection is closed.
fn read_message(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = vec![0; read_head(reader)?];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// Reads the lines before a body. Returns its length.
fn read_head(reader: &mut BufReader<TcpStream>) -> Option<usize> {
    let (mut line, mut len) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => len = value.parse().ok()?,
            Some(_) => {}
            None if line.trim_end().is_empty() => return Some(len),
            None => {}
        }
    }
}

/// The measured program: it reads the response of the mail server, and sends the prepared page and requests, each copied once.
fn copy(folder: &Path) {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let ports: Vec<u16> = String::from_utf8(read("ports")).unwrap().split(' ').map(|port| port.parse().unwrap()).collect();
    let (page, requests) = (read("page"), read("requests"));
    let (mail_server, receiver, listen) = (ports[0], ports[1], ports[2]);
    std::thread::spawn(move || push(&requests, receiver));
    let body_start = page.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let mut mail_server = BufReader::with_capacity(CHUNK_BYTES, TcpStream::connect((Ipv4Addr::LOCALHOST, mail_server)).unwrap());
    let (mut body, mut chunk) = (Vec::new(), Vec::with_capacity(2 * CHUNK_BYTES));
    for scraper in TcpListener::bind((Ipv4Addr::LOCALHOST, listen)).unwrap().incoming() {
        let mut scraper = BufReader::new(scraper.unwrap());
        let Some(_) = read_head(&mut scraper) else { continue };
        mail_server.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        body.resize(read_head(&mut mail_server).unwrap(), 0);
        mail_server.read_exact(&mut body).unwrap();
        scraper.get_mut().write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        for piece in page[body_start..].chunks(CHUNK_BYTES) {
            chunk.clear();
            piece.chunks(COPY_BYTES).for_each(|line| chunk.extend_from_slice(line));
            if scraper.get_mut().write_all(&chunk).is_err() {
                break;
            }
        }
    }
}

/// Sends the prepared requests at intervals, each copied and compressed.
fn push(prepared: &[u8], receiver: u16) {
    /// The size of a request, about that of Postmeter's.
    const REQUEST_BYTES: usize = 4_128_768;
    let mut receiver = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, receiver)).unwrap());
    let (mut encoded, mut compressed) = (Vec::new(), Vec::new());
    let mut next = Instant::now() + INTERVAL;
    loop {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += INTERVAL;
        encoded.clear();
        prepared.chunks(COPY_BYTES).for_each(|point| encoded.extend_from_slice(point));
        for request in encoded.chunks(REQUEST_BYTES) {
            compressed.clear();
            let mut encoder = GzEncoder::new(std::mem::take(&mut compressed), Compression::fast());
            encoder.write_all(request).unwrap();
            compressed = encoder.finish().unwrap();
            let head = format!("POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", compressed.len());
            receiver.get_mut().write_all(head.as_bytes()).unwrap();
            receiver.get_mut().write_all(&compressed).unwrap();
            read_message(&mut receiver).unwrap();
        }
    }
}
