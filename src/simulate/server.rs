//! One stand-in on the network: takes requests, lets time pass, and has its system answer.

use super::connection::{Control, End};
use super::corruption::HealthyResponse;
use super::fault::{Act, Fault};
use super::listener::{Peer, ServerListener, Tls, TlsSwitch};
use super::{Options, System, Traffic};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Bytes of a request's body that are read.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// How long connections get to end at a shutdown.
const SHUTDOWN_SECONDS_MAX: u64 = 2;
/// Bytes of an answer that is spoiled.
const ANSWER_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// How long the port may take to close or to open.
const DOOR_SECONDS_MAX: u64 = 5;
/// Bytes of one chunk of an answer without a length.
const CHUNK_BYTES: usize = 64 * 1024;

/// A request as it came.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the parts of an HTTP request")]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub query: HashMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub peer: IpAddr,
}

impl Request {
    /// What stands behind this scheme in the `Authorization` header.
    pub(super) fn credential(&self, scheme: &str) -> Option<&str> {
        let (said, credential) = self.headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
        said.eq_ignore_ascii_case(scheme).then_some(credential.trim())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

/// Times of the requests of the last minute, by who asked.
pub(super) type RecentRequests = HashMap<IpAddr, VecDeque<Instant>>;

/// What a system's `answer` works with.
pub(super) struct ServerState<'a> {
    pub(super) options: &'a Options,
    pub(super) traffic: &'a mut Traffic,
    pub(super) asked: &'a mut RecentRequests,
}

struct Shared {
    system: System,
    options: Options,
    traffic: Mutex<Traffic>,
    moved: Mutex<Instant>,
    asked: Mutex<RecentRequests>,
    requests: AtomicU64,
    silent: AtomicBool,
    instead: Mutex<Option<(u16, String)>>,
    fault: Mutex<Option<&'static Fault>>,
    trust: TlsSwitch,
    addr: SocketAddr,
    last: Mutex<Option<Request>>,
    stop: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// A mail server that is none.
pub struct SimulatedServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    open: watch::Sender<bool>,
    is_open: watch::Receiver<bool>,
    task: Option<JoinHandle<()>>,
}

impl SimulatedServer {
    /// Starts one; port 0 takes a free one.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn start(system: System, listen: SocketAddr, options: Options) -> io::Result<Self> {
        let (trust, fault) = (TlsSwitch::default(), options.fault);
        trust.set(options.tls.as_ref())?;
        let (open, wanted) = watch::channel(true);
        let door = ServerListener::bind(listen, wanted, trust.clone()).await?;
        let (addr, is_open) = (door.addr(), door.is_open());
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let traffic = Traffic::starting_at(options.seed, options.size, options.now.unwrap_or_else(clock));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let shared = Arc::new(Shared {
            system,
            options,
            traffic: Mutex::new(traffic),
            moved: Mutex::new(Instant::now()),
            asked: Mutex::default(),
            requests: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            instead: Mutex::default(),
            fault: Mutex::default(),
            trust,
            addr,
            last: Mutex::default(),
            stop,
        });
        let state = Arc::clone(&shared);
        let router = Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<Peer>, request: axum::extract::Request| {
            let state = Arc::clone(&state);
            async move { state.serve(peer, request).await }
        });
        let task = tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<Peer>();
            // It only returns when told to stop.
            let _ = axum::serve(door, service).with_graceful_shutdown(stopped.cancelled_owned()).await;
        });
        let stand_in = Self { addr, shared, open, is_open, task: Some(task) };
        stand_in.fault(fault).await;
        Ok(stand_in)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL to configure for it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.trust.get().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// What it stands in for.
    #[must_use]
    pub fn system(&self) -> System {
        self.shared.system
    }

    /// Looks at its traffic, or moves it.
    pub fn traffic<R>(&self, with: impl FnOnce(&mut Traffic) -> R) -> R {
        with(&mut lock(&self.shared.traffic))
    }

    /// How many requests it got.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The last request it got.
    #[must_use]
    pub fn last_request(&self) -> Option<Request> {
        lock(&self.shared.last).clone()
    }

    /// Takes requests without ever answering them. One that was not answered stays so.
    pub fn silence(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::SeqCst);
    }

    /// Answers everything with this status and body instead.
    pub fn answer_with(&self, answer: Option<(u16, String)>) {
        *lock(&self.shared.instead) = answer;
    }

    /// Has this fault from now on, or none. What is under way goes on as it began.
    pub async fn fault(&self, fault: Option<&'static Fault>) {
        *lock(&self.shared.fault) = fault;
        let open = !fault.is_some_and(|fault| matches!(fault.act, Act::Refuse));
        self.open.send_replace(open);
        let mut is_open = self.is_open.clone();
        // A port that another program took meanwhile stays closed; then this waits in vain.
        let _ = tokio::time::timeout(Duration::from_secs(DOOR_SECONDS_MAX), is_open.wait_for(|is_open| *is_open == open)).await;
    }

    /// Shows this certificate to those who connect from now on.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn show(&self, tls: &Tls) -> io::Result<()> {
        self.shared.trust.set(Some(tls))
    }

    /// Stops listening and closes its connections.
    pub async fn shutdown(mut self) {
        self.shared.stop.cancel();
        if let Some(task) = self.task.take() {
            let abort = task.abort_handle();
            if tokio::time::timeout(Duration::from_secs(SHUTDOWN_SECONDS_MAX), task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for SimulatedServer {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    async fn serve(&self, peer: Peer, request: axum::extract::Request) -> Response {
        let (peer, line) = (peer.ip, peer.control);
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
            return reply(413, "text/plain", "");
        };
        let query = axum::extract::Query::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default();
        let path = parts.uri.path().to_string();
        let request = Request { method: parts.method, path, query, headers: parts.headers, body, peer };
        *lock(&self.last) = Some(request.clone());
        let nth = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let nth_of_line = line.request();
        if self.silent.load(Ordering::SeqCst) {
            self.stop.cancelled().await;
            return reply(503, "text/plain", "");
        }
        if let Some((status, body)) = lock(&self.instead).clone() {
            return reply(status, "text/plain", body);
        }
        let fault = *lock(&self.fault);
        match fault.map(|fault| &fault.act) {
            None => self.answer(&request),
            Some(Act::Refuse) => broken(&line, End::Close).await,
            Some(Act::End(end)) => broken(&line, *end).await,
            Some(Act::EndWhenKept(end)) if nth_of_line > 0 => broken(&line, *end).await,
            Some(Act::EndWhenKept(_)) => self.answer(&request),
            Some(Act::Hang) => {
                self.stop.cancelled().await;
                reply(503, "text/plain", "")
            }
            Some(Act::Leak(leaked)) => {
                line.leak(leaked);
                self.answer(&request)
            }
            Some(Act::Answer(spoil)) => {
                let (parts, body) = self.answer(&request).into_parts();
                let body = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
                let response = Response::from_parts(parts, Body::empty());
                spoil(HealthyResponse { response, body, nth, elsewhere: format!("localhost:{}", self.addr.port()) })
            }
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let mut traffic = lock(&self.traffic);
        if !self.options.frozen {
            let now = Instant::now();
            let before = std::mem::replace(&mut *lock(&self.moved), now);
            traffic.advance(now.saturating_duration_since(before).as_secs_f64());
        }
        let site = ServerState { options: &self.options, traffic: &mut traffic, asked: &mut lock(&self.asked) };
        self.system.respond(site, request)
    }
}

/// The end of a connection instead of an answer.
async fn broken(line: &Control, end: End) -> Response {
    line.end(end);
    std::future::pending().await
}

/// An answer with its length.
pub(super) fn reply(status: u16, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// With headers besides.
pub(super) fn with_headers(mut response: Response, headers: &[(&'static str, &'static str)]) -> Response {
    for (name, value) in headers {
        response.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// An answer in chunks, without its length.
pub(super) fn chunked(status: u16, content_type: &'static str, body: String) -> Response {
    reply(status, content_type, Body::new(Chunks(Bytes::from(body))))
}

/// An answer that begins and never ends.
pub(super) fn unending(status: u16, content_type: &'static str) -> Response {
    reply(status, content_type, Body::new(Unending))
}

struct Unending;

impl hyper::body::Body for Unending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

struct Chunks(Bytes);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let len = CHUNK_BYTES.min(self.0.len());
        Poll::Ready((len > 0).then(|| Ok(Frame::data(self.0.split_to(len)))))
    }
}
