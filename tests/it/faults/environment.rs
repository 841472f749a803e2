//! Faults around Postmeter: of the fleet, of clients, of disks and of files. For each, the series that are pulled, the points that
//! are pushed, and the health that is reported.
//!
//! Other tests have the details of single mechanisms; this one has the real program with all three interfaces.

mod rows;

use self::rows::{ROWS, Row, row};
use super::expectation::Expectation;
use super::page::Scraper;
use super::{ANY, PATIENCE, compare_table};
use crate::support::flat::flatten;
use crate::support::gzip::gzip;
use crate::support::spool::{self, request_files};
use crate::support::{wait_until, wait_until_async};
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use postmeter::simulate::{Fault, Options, Receiver, SimulatedServer, System};
use ring::digest::{SHA256, digest};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tonic::Status;

/// Targets of the fleet that do not respond: 90 % of 20.
const DARK_TARGETS: usize = 18;
/// The token of every client that is allowed to scrape, and the header with it.
const TOKEN: &str = "a-token-of-a-client";
const BEARER: &str = "Bearer a-token-of-a-client";
/// A secret with characters that percent-encoding changes.
const SECRET: &str = "s3cr3t/with+signs&more";
const SECRET_ENCODED: &str = "s3cr3t%2Fwith%2Bsigns%26more";
/// Bytes of a gzip bomb after decompression.
const BOMB_BYTES: usize = 64 * 1024 * 1024;
/// Peak memory of a program that refuses a gzip bomb, in KiB.
const BOMB_MEMORY_KIB_MAX: u64 = 60 * 1024;
/// Connections of a client that sends nothing.
const IDLE_CONNECTIONS: usize = 300;
/// Requests that each write a line at level debug: more than a pipe and the log's queue hold.
const LOGGED_REQUESTS: usize = 24_000;
/// Requests of one connection.
const PIPELINED_REQUESTS: usize = 400;

#[test]
fn the_table_has_every_fault_of_the_environment() {
    let mut table = String::from("| fault | what it does | pull | push | health |\n|---|---|---|---|---|\n");
    let joined = |expected: &[Expectation]| expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    for Row { fault, help, pull, push, health } in ROWS {
        writeln!(table, "| {fault} | {help} | {} | {} | `{}` |", joined(pull), joined(push), health.trim_end()).unwrap();
    }
    compare_table("environment", &table);
}

/// A healthy target, a receiver, and a directory for files.
struct Environment {
    good: SimulatedServer,
    receiver: Receiver,
    files: TempDir,
}

impl Environment {
    async fn new() -> Self {
        let options = Options { size: 2, frozen: true, now: Some(1_700_000_000), ..Options::default() };
        let good = SimulatedServer::start(System::Kumomta, ANY, options).await.unwrap();
        Self { good, receiver: Receiver::start(ANY).await.unwrap(), files: tempfile::tempdir().unwrap() }
    }

    fn files(&self) -> &Path {
        self.files.path()
    }

    /// The configuration with these targets besides the healthy one, and these keys of both exports.
    fn config(&self, targets: &str, prometheus: &str, otlp: &str) -> String {
        let (good, receiver) = (self.good.url(), self.receiver.url());
        format!(
            "defaults: {{min_interval: 1s}}\ntargets:\n  - {{name: good, system: kumomta, url: \"{good}\", timeout: 120s}}\n{targets}\
             export:\n  prometheus: {{listen: \"127.0.0.1:0\", scrape_wait_max: 150s{prometheus}}}\n  \
             otlp: {{endpoint: \"{receiver}\", interval: 1s, retry: {{initial: 100ms, max: 300ms}}{otlp}}}\n"
        )
    }

    async fn start(&self, config: &str) -> Scraper {
        Scraper::start(self.files(), config, &[], None).await
    }

    /// Waits until the pull, the push and the health are as expected.
    async fn check(&self, row: &Row, scraper: &Scraper) {
        self.receiver.clear();
        for expected in row.pull {
            scraper.wait_for(&format!("{}: pull: {expected}", row.fault), |page| expected.holds_on(page.text())).await;
        }
        for expected in row.push {
            let what = format!("{}: push: {expected}", row.fault);
            wait_until(|| expected.holds_in(&flatten(&self.receiver.requests())), PATIENCE, what).await;
        }
        let is_healthy = || async { scraper.get("/-/ready").await.lines().any(|line| line.starts_with(row.health)) };
        wait_until_async(is_healthy, PATIENCE, format!("{}: health: {}", row.fault, row.health)).await;
        // A condition that appears once must not hide one that is false by now.
        let page = scraper.get("/metrics").await;
        assert!(row.pull.iter().all(|expected| expected.holds_on(&page)), "{}: {page}", row.fault);
    }

    async fn end(self, scraper: Scraper) -> Vec<String> {
        let log = scraper.end();
        assert!(log.iter().all(|line| !line.contains(" ERROR ") && !line.contains("panicked")), "{log:#?}");
        self.receiver.shutdown().await;
        self.good.shutdown().await;
        log
    }
}

/// The key of `export.prometheus` that requires [`TOKEN`].
fn auth() -> String {
    let sha256: String = digest(&SHA256, TOKEN.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(", auth: {{tokens: [{{name: a, sha256: {sha256}}}]}}")
}

/// An endpoint that responds to each request with the same response.
async fn endpoint<R: IntoResponse + Clone + Send + Sync + 'static>(response: R) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/metrics", get(move || async move { response }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn dark_targets() {
    let environment = Environment::new().await;
    let options = Options { fault: Fault::by_name("hang"), ..Options::default() };
    let dark = SimulatedServer::start(System::Kumomta, ANY, options).await.unwrap();
    // One more healthy target makes 20.
    let mut targets = format!("  - {{name: good-2, system: kumomta, url: \"{}\", timeout: 120s}}\n", environment.good.url());
    for n in 0..DARK_TARGETS {
        targets += &format!("  - {{name: dark-{n}, system: kumomta, url: \"{}\", timeout: 2s}}\n", dark.url());
    }
    let scraper = environment.start(&environment.config(&targets, "", "")).await;
    environment.check(row("dark-targets"), &scraper).await;
    environment.end(scraper).await;
    dark.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_log() {
    let environment = Environment::new().await;
    let config = environment.config("", &auth(), "");
    let scraper = Scraper::start(environment.files(), &config, &["--log-level", "debug"], Some(BEARER)).await;
    scraper.program().ignore_log();
    // Each request is rejected, and logged at level debug.
    for _ in 0..LOGGED_REQUESTS / PIPELINED_REQUESTS {
        let (mut reader, mut writer) = TcpStream::connect(scraper.address()).await.unwrap().into_split();
        let requests = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(PIPELINED_REQUESTS - 1);
        let requests = requests + "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let writing = tokio::spawn(async move { writer.write_all(requests.as_bytes()).await });
        reader.read_to_end(&mut Vec::new()).await.unwrap();
        writing.await.unwrap().unwrap();
    }
    environment.check(row("unread-log"), &scraper).await;
    environment.end(scraper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_spool() {
    let environment = Environment::new().await;
    let directory = environment.files().join("spool");
    let config = environment.config("", "", &format!(", spool: {{dir: {}}}", directory.display()));
    environment.receiver.fail_with(Some(Status::unavailable("busy")));
    let requests = || request_files(&directory);
    let scraper = environment.start(&config).await;
    wait_until(|| requests().len() >= 4, PATIENCE, "four requests are in the spool").await;
    scraper.kill();
    let request_in = |file: &Path| spool::request_in(&std::fs::read(file).unwrap()).unwrap();
    let files = requests();
    let (zeros, flipped, other_version, intact) = (&files[0], &files[1], &files[2], &files[3]);
    let (damaged, intact) = ([zeros, flipped, other_version].map(|file| request_in(file)), request_in(intact));
    std::fs::write(zeros, vec![0; std::fs::read(zeros).unwrap().len()]).unwrap();
    let mut content = std::fs::read(flipped).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(flipped, content).unwrap();
    let mut content = std::fs::read(other_version).unwrap();
    content[spool::MAGIC.len() - 1] += 1;
    std::fs::write(other_version, content).unwrap();
    environment.receiver.fail_with(None);
    let scraper = environment.start(&config).await;
    assert!(environment.receiver.wait_for(|arrived| arrived.contains(&intact), PATIENCE).await, "the intact request does not arrive");
    assert!(damaged.iter().all(|request| !environment.receiver.requests().contains(request)), "a damaged request arrives");
    environment.check(row("damaged-spool"), &scraper).await;
    environment.end(scraper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_web_config() {
    let environment = Environment::new().await;
    let file = environment.files().join("web.yml");
    let hash = bcrypt::hash(TOKEN, 4).unwrap();
    std::fs::write(&file, format!("basic_auth_users: {{a: '{hash}'}}\n")).unwrap();
    let config = environment.config("", &format!(", web_config_file: {}", file.display()), "");
    // On all addresses, so that the endpoint needs protection.
    let config = config.replace("listen: \"127.0.0.1:0\"", "listen: \"127.1:0\"");
    let basic = {
        use base64::Engine as _;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("a:{TOKEN}")))
    };
    let scraper = Scraper::start(environment.files(), &config, &[], Some(&basic)).await;
    assert_eq!(scraper.anonymous_status("/metrics").await, 401);
    std::fs::write(&file, "").unwrap();
    let is_noticed = || scraper.program().log().iter().any(|line| line.contains(" WARN ") && line.contains("allow_unprotected"));
    wait_until(is_noticed, PATIENCE, "the empty file is logged").await;
    environment.check(row("emptied-web-config"), &scraper).await;
    assert_eq!(scraper.anonymous_status("/metrics").await, 401);
    environment.end(scraper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_secret() {
    let environment = Environment::new().await;
    let bad = SimulatedServer::start(System::Emailengine, ANY, Options { token: SECRET.to_owned(), ..Options::default() }).await.unwrap();
    bad.respond_with(Some((401, format!("token {SECRET_ENCODED} and {SECRET} are not valid"))));
    let targets = format!("  - {{name: bad, system: emailengine, url: \"{}\", token: \"{SECRET}\"}}\n", bad.url());
    let scraper = environment.start(&environment.config(&targets, "", "")).await;
    environment.check(row("repeated-secret"), &scraper).await;
    let mut texts = vec![format!("{:?}", environment.receiver.requests())];
    for path in ["/metrics", "/probe?target=bad", "/targets.json", "/-/ready", "/"] {
        texts.push(scraper.get(path).await);
    }
    texts.extend(environment.end(scraper).await);
    for text in texts {
        assert!(!text.contains(SECRET) && !text.contains(SECRET_ENCODED), "a secret is visible: {text}");
    }
    bad.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_bomb() {
    let environment = Environment::new().await;
    let body = bytes::Bytes::from(gzip(&[&b"bomb{label=\""[..], &vec![b'a'; BOMB_BYTES], b"\"} 1\n"].concat()));
    let address = endpoint(([("content-encoding", "gzip"), ("content-type", "text/plain; version=0.0.4")], body)).await;
    let targets = format!("  - {{name: bad, system: prometheus, url: \"http://{address}\", body_bytes_max: 4MiB}}\n");
    let scraper = environment.start(&environment.config(&targets, "", "")).await;
    environment.check(row("series-bomb"), &scraper).await;
    let memory = scraper.program().peak_kib();
    assert!(memory <= BOMB_MEMORY_KIB_MAX, "{memory} KiB");
    environment.end(scraper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_strangers() {
    let environment = Environment::new().await;
    let config = environment.config("", &auth(), "");
    let scraper = Scraper::start(environment.files(), &config, &[], Some(BEARER)).await;
    let address: SocketAddr = scraper.address().parse().unwrap();
    let mut connections: Vec<TcpStream> = Vec::new();
    for _ in 0..IDLE_CONNECTIONS {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        connections.extend(socket.connect(address).await);
    }
    environment.check(row("idle-strangers"), &scraper).await;
    assert_eq!(connections.len(), IDLE_CONNECTIONS);
    environment.end(scraper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_names() {
    let environment = Environment::new().await;
    let body = "# TYPE mail_up gauge\nmail_up 0\n# TYPE up gauge\nup 0\n";
    let address = endpoint(([("content-type", "text/plain; version=0.0.4")], body)).await;
    let targets = format!("  - {{name: bad, system: prometheus, url: \"http://{address}\"}}\n");
    let scraper = environment.start(&environment.config(&targets, "", "")).await;
    environment.check(row("reserved-names"), &scraper).await;
    // One series of this name for each target: the native one does not hide that the target is up.
    let page = scraper.get("/metrics").await;
    let series: Vec<&str> = page.lines().filter(|line| line.starts_with("mail_up{instance=\"bad\"")).collect();
    assert!(series.iter().filter(|line| line.contains("mail_system_name=")).count() == 1, "{series:?}");
    environment.end(scraper).await;
}
