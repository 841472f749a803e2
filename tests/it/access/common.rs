//! A pull endpoint without targets, and clients with several addresses that send raw HTTP/1.1.

use crate::support::thread_log::Log;
use crate::support::{wait_until, wait_until_async};
use postmeter::config::{self, Environment, Prometheus};
use postmeter::poll::{self, Target};
use postmeter::serve::{Access, AppState, ListenerKind, ServerLimits};
use postmeter::simulate::{Options, SimulatedServer, System};
use postmeter::telemetry::{CollectedTarget, SelfTelemetry, TargetSet};
use ring::digest::{SHA256, digest};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// The maximum time of anything that a test waits for.
pub const TIMEOUT: Duration = Duration::from_secs(20);
/// The addresses of two clients.
pub const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
pub const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub struct TestEndpoint {
    pub addr: SocketAddr,
    pub access: Access,
    pub files: TempDir,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// Parses `export.prometheus` with these lines. `FILES` in them is replaced by the folder of the files.
pub fn prometheus(keys: &str, files: &Path) -> Result<Prometheus, String> {
    let keys = keys.replace("FILES", &files.display().to_string());
    let text = format!(
        "targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\nexport:\n  prometheus:\n    listen: 127.0.0.1:0\n{keys}"
    );
    let parsed = config::parse(&text, "postmeter.yaml", &Environment::default());
    parsed.map(|config| config.export.prometheus.unwrap()).map_err(|problems| problems.to_string())
}

/// The default limits, with a short interval for checking files.
pub fn limits() -> ServerLimits {
    ServerLimits { watch_interval: Duration::from_millis(20), ..ServerLimits::default() }
}

impl TestEndpoint {
    pub async fn new(keys: &str) -> Self {
        Self::with_limits(keys, limits(), tempfile::tempdir().unwrap()).await
    }

    pub async fn with_limits(keys: &str, limits: ServerLimits, files: TempDir) -> Self {
        Self::with_targets(Vec::new(), keys, limits, files).await
    }

    /// Starts an endpoint with a target whose metrics have 700 kB.
    pub async fn with_large_target(keys: &str, limits: ServerLimits, files: TempDir) -> (Self, SimulatedServer) {
        let options = Options { size: 3000, ..Options::default() };
        let server = SimulatedServer::start(System::Kumomta, "127.0.0.1:0".parse().unwrap(), options).await.unwrap();
        let text = format!("targets: [{{name: large, system: kumomta, url: '{}', min_interval: 1h}}]\n", server.url());
        let config = config::parse(&text, "postmeter.yaml", &Environment::default()).unwrap();
        let target = Target::new(config.targets[0].clone(), poll::Limits::default()).unwrap();
        (Self::with_targets(vec![Arc::new(CollectedTarget::new(target))], keys, limits, files).await, server)
    }

    /// Starts an endpoint with a target at this URL, for which a poll waits for minutes.
    pub async fn with_slow_target(url: &str, keys: &str, limits: ServerLimits, files: TempDir) -> Self {
        let text = format!("targets: [{{name: slow, system: kumomta, url: '{url}', timeout: 5m}}]\n");
        let config = config::parse(&text, "postmeter.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
        let target = Target::new(config.targets[0].clone(), poll::Limits::default()).unwrap();
        Self::with_targets(vec![Arc::new(CollectedTarget::new(target))], keys, limits, files).await
    }

    async fn with_targets(targets: Vec<Arc<CollectedTarget>>, keys: &str, limits: ServerLimits, files: TempDir) -> Self {
        let config = prometheus(keys, files.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let access = Access::with_limits(config, telemetry.clone(), limits).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let app = AppState::new(targets.into(), telemetry, access.clone());
        let task = tokio::spawn(app.run(listener, stop.clone()));
        Self { addr, access, files, stop, task }
    }

    /// Starts a health endpoint.
    pub async fn health(limits: ServerLimits) -> Self {
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let config = Prometheus::open("127.0.0.1:0");
        let access = Access::of_listener(ListenerKind::Health, config, telemetry.clone(), limits).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let app = AppState::new(TargetSet::default(), telemetry, access.clone());
        let task = tokio::spawn(app.run_health(listener, stop.clone()));
        Self { addr, access, files: tempfile::tempdir().unwrap(), stop, task }
    }

    pub async fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        socket.connect(self.addr).await.unwrap()
    }

    /// Sends one request over a new connection, with these header lines.
    pub async fn get(&self, from: Ipv4Addr, path: &str, lines: &[&str]) -> TestResponse {
        get(self.connect(from).await, path, lines).await
    }

    /// Sends one request over a new connection and returns the status.
    pub async fn status(&self, from: Ipv4Addr, path: &str, lines: &[&str]) -> u16 {
        self.get(from, path, lines).await.status
    }

    pub async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(TIMEOUT, self.task).await.unwrap().unwrap();
    }
}

pub struct TestResponse {
    /// The status code, or 0 if there was no response.
    pub status: u16,
    pub text: String,
}

impl TestResponse {
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        Self { status: text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), text }
    }

    /// Returns the values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let value_start =
            |line: &'_ str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(key, _)| key.len() + 2);
        head.lines().filter_map(|line| value_start(line).map(|at| &line[at..])).collect()
    }

    /// Returns the number of refusals for this reason.
    pub fn refusals(&self, reason: &str) -> Option<f64> {
        self.value("postmeter_pull_refusals_total", &format!("postmeter_refusal_reason=\"{reason}\""))
    }

    /// Returns the value of the series with this name and label.
    pub fn value(&self, name: &str, label: &str) -> Option<f64> {
        let mut lines = self.text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        lines.next().and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
    }
}

pub fn request(path: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: postmeter\r\n{lines}Connection: close\r\n\r\n")
}

/// Sends a request and reads the whole response.
pub async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, lines: &[&str]) -> TestResponse {
    // The server may close the connection before it has read the whole request.
    let _ = stream.write_all(request(path, lines).as_bytes()).await;
    TestResponse::parse(&read_to_end(stream).await)
}

/// Reads until the server closes the connection.
pub async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 64 * 1024]);
    loop {
        match tokio::time::timeout(TIMEOUT, stream.read(&mut chunk)).await.expect("the server neither responds nor closes the connection") {
            Ok(0) | Err(_) => return bytes,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

/// Waits until the condition is true.
#[track_caller]
pub fn until<F: Future<Output = bool>>(description: &str, condition: impl FnMut() -> F) -> impl Future<Output = ()> {
    wait_until_async(condition, TIMEOUT, description)
}

/// The log of one thread, as far as it is about changed files.
pub struct FilesLog(Log);

impl FilesLog {
    pub fn begin() -> Self {
        Self(Log::begin())
    }

    /// Writes or removes a file, waits until the change is rejected, and returns the reason.
    pub async fn until_rejected(&self, change: impl FnOnce()) -> String {
        let before = self.rejections().len();
        change();
        wait_until(|| self.rejections().len() > before, TIMEOUT, "the changed files are rejected").await;
        self.rejections().pop().unwrap()
    }

    fn rejections(&self) -> Vec<String> {
        let lines = self.0.lines().into_iter();
        lines.filter_map(|line| Some(line.split_once("were rejected, the previous ones stay in use: ")?.1.to_owned())).collect()
    }
}

pub fn sha256(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes a password with the minimum cost, to keep the tests fast.
pub fn bcrypt_hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let credential = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {credential}")
}
