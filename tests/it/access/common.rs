//! An endpoint without targets, and clients of several addresses that speak HTTP/1.1 by hand.

use crate::support::wait_until_async;
use postmeter::config::{self, Environment, Prometheus};
use postmeter::poll::{self, Target};
use postmeter::serve::{Access, AppState, Limits};
use postmeter::simulate::{Options, SimulatedServer, System};
use postmeter::telemetry::{CollectedTarget, SelfTelemetry};
use ring::digest::{SHA256, digest};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long anything may take that should be soon.
pub const SOON: Duration = Duration::from_secs(20);
/// A client, and another.
pub const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
pub const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub struct World {
    pub addr: SocketAddr,
    pub access: Access,
    pub files: TempDir,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

/// `export.prometheus` of these lines; `FILES` stands for where the files are.
pub fn prometheus(keys: &str, files: &Path) -> Result<Prometheus, String> {
    let keys = keys.replace("FILES", &files.display().to_string());
    let text = format!(
        "targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\nexport:\n  prometheus:\n    listen: 127.0.0.1:0\n{keys}"
    );
    let parsed = config::parse(&text, "postmeter.yaml", &Environment::default());
    parsed.map(|config| config.export.prometheus.unwrap()).map_err(|problems| problems.to_string())
}

/// Short enough for a test, where files are looked at.
pub fn limits() -> Limits {
    Limits { watch_interval: Duration::from_millis(20), ..Limits::default() }
}

impl World {
    pub async fn new(keys: &str) -> Self {
        Self::with(keys, limits(), tempfile::tempdir().unwrap()).await
    }

    pub async fn with(keys: &str, limits: Limits, files: TempDir) -> Self {
        Self::of(Vec::new(), keys, limits, files).await
    }

    /// With a target whose page has 700 kB.
    pub async fn large(keys: &str, limits: Limits, files: TempDir) -> (Self, SimulatedServer) {
        let options = Options { size: 3000, ..Options::default() };
        let stand_in = SimulatedServer::start(System::Kumomta, "127.0.0.1:0".parse().unwrap(), options).await.unwrap();
        let text = format!("targets: [{{name: large, system: kumomta, url: '{}', min_interval: 1h}}]\n", stand_in.url());
        let config = config::parse(&text, "postmeter.yaml", &Environment::default()).unwrap();
        let target = Target::new(config.targets[0].clone(), poll::Limits::default()).unwrap();
        (Self::of(vec![Arc::new(CollectedTarget::new(target).unwrap())], keys, limits, files).await, stand_in)
    }

    async fn of(targets: Vec<Arc<CollectedTarget>>, keys: &str, limits: Limits, files: TempDir) -> Self {
        let config = prometheus(keys, files.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let own = Arc::new(SelfTelemetry::quiet().unwrap());
        let access = Access::with_limits(config, own.clone(), limits).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let served = AppState::new(targets.into(), own, access.clone());
        let served = tokio::spawn(served.run(listener, stopped));
        Self { addr, access, files, stop, served }
    }

    pub async fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        socket.connect(self.addr).await.unwrap()
    }

    /// Asks once, over a connection of its own, with these lines after the request line.
    pub async fn ask(&self, from: Ipv4Addr, path: &str, lines: &[&str]) -> Answer {
        ask(self.connect(from).await, path, lines).await
    }

    /// The status of an answer to this.
    pub async fn status(&self, from: Ipv4Addr, path: &str, lines: &[&str]) -> u16 {
        self.ask(from, path, lines).await.status
    }

    pub async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.served).await.unwrap().unwrap();
    }
}

pub struct Answer {
    /// 0 where there is none.
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        Self { status: text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), text }
    }

    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let of = |line: &'_ str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(key, _)| key.len() + 2);
        head.lines().filter_map(|line| of(line).map(|at| &line[at..])).collect()
    }

    /// How often it was refused for this reason.
    pub fn refusals(&self, reason: &str) -> Option<f64> {
        self.value("postmeter_pull_refusals_total", &format!("postmeter_refusal_reason=\"{reason}\""))
    }

    /// The value of a series of this name with this label.
    pub fn value(&self, name: &str, label: &str) -> Option<f64> {
        let mut lines = self.text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        lines.next().and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
    }
}

pub fn request(path: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: postmeter\r\n{lines}Connection: close\r\n\r\n")
}

/// One request and all of its answer.
pub async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, lines: &[&str]) -> Answer {
    // A server that has seen enough may have closed already.
    let _ = stream.write_all(request(path, lines).as_bytes()).await;
    Answer::of(&rest(stream).await)
}

/// Reads until the other side closes.
pub async fn rest(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 64 * 1024]);
    loop {
        match tokio::time::timeout(SOON, stream.read(&mut piece)).await.expect("the server neither answers nor closes") {
            Ok(0) | Err(_) => return bytes,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
    }
}

/// Tries until it is so.
#[track_caller]
pub fn until<F: Future<Output = bool>>(what: &str, is_so: impl FnMut() -> F) -> impl Future<Output = ()> {
    wait_until_async(is_so, SOON, what)
}

pub fn sha256(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The least cost: what is tested is around it.
pub fn bcrypt_hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let credential = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {credential}")
}
