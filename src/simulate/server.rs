//! A simulated mail server on the network: accepts requests, advances the traffic and lets the system respond.

use super::connection::{Control, End};
use super::corruption::HealthyResponse;
use super::fault::{Act, Fault};
use super::listener::{Peer, ServerListener, Tls, TlsSwitch};
use super::response::reply;
use super::{Attempt, Domain, Options, System, Traffic};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Limit of a request body, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// The time that connections have to finish at a shutdown.
const SHUTDOWN_SECONDS_MAX: u64 = 2;
/// Limit of a healthy response that is buffered to be corrupted, in bytes.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The time that the port may take to close or to open.
const PORT_SECONDS_MAX: u64 = 5;

/// A request that the server received.
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
    /// The credential of this scheme in the `Authorization` header.
    pub(super) fn credential(&self, scheme: &str) -> Option<&str> {
        let (name, credential) = self.headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
        name.eq_ignore_ascii_case(scheme).then_some(credential.trim())
    }

    /// A parameter of the query string.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

/// Times of the requests of the last minute, by client.
pub(super) type RecentRequests = HashMap<IpAddr, VecDeque<Instant>>;

/// The state from which a system's `respond` renders its response.
pub(super) struct ServerState<'a> {
    pub(super) options: &'a Options,
    pub(super) traffic: &'a mut Traffic,
    pub(super) recent_requests: &'a mut RecentRequests,
}

/// The state of a server that its requests share.
struct SharedState {
    system: System,
    options: Options,
    traffic: Mutex<Traffic>,
    advanced_at: Mutex<Instant>,
    recent_requests: Mutex<RecentRequests>,
    requests: AtomicU64,
    is_silent: AtomicBool,
    fixed_response: Mutex<Option<(u16, String)>>,
    fault: Mutex<Option<&'static Fault>>,
    tls: TlsSwitch,
    addr: SocketAddr,
    last_request: Mutex<Option<Request>>,
    stop: CancellationToken,
}

/// A simulated mail server. It stops when it is dropped.
pub struct SimulatedServer {
    addr: SocketAddr,
    shared: Arc<SharedState>,
    /// `true` if the port should be open.
    wants_open: watch::Sender<bool>,
    /// `true` if the port is open.
    is_open: watch::Receiver<bool>,
    task: Option<JoinHandle<()>>,
}

impl SimulatedServer {
    /// Starts a server. Port 0 selects a free port.
    ///
    /// # Errors
    /// The address cannot be bound, or the certificate is not usable.
    pub async fn start(system: System, listen: SocketAddr, options: Options) -> io::Result<Self> {
        let (tls, fault) = (TlsSwitch::default(), options.fault);
        tls.set(options.tls.as_ref())?;
        let (wants_open, wanted) = watch::channel(true);
        let listener = ServerListener::bind(listen, wanted, tls.clone()).await?;
        let (addr, is_open) = (listener.addr(), listener.is_open());
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let traffic = Traffic::starting_at(options.seed, options.size, options.now.unwrap_or_else(clock));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let shared = Arc::new(SharedState {
            system,
            options,
            traffic: Mutex::new(traffic),
            advanced_at: Mutex::new(Instant::now()),
            recent_requests: Mutex::default(),
            requests: AtomicU64::new(0),
            is_silent: AtomicBool::new(false),
            fixed_response: Mutex::default(),
            fault: Mutex::default(),
            tls,
            addr,
            last_request: Mutex::default(),
            stop,
        });
        let state = Arc::clone(&shared);
        let router = Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<Peer>, request: axum::extract::Request| {
            let state = Arc::clone(&state);
            async move { state.serve(peer, request).await }
        });
        let task = tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<Peer>();
            // It returns only after a shutdown, and then without an error.
            let _ = axum::serve(listener, service).with_graceful_shutdown(stopped.cancelled_owned()).await;
        });
        let server = Self { addr, shared, wants_open, is_open, task: Some(task) };
        server.fault(fault).await;
        Ok(server)
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of the server, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.get().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// The simulated system.
    #[must_use]
    pub fn system(&self) -> System {
        self.shared.system
    }

    /// Calls a function with the traffic, which it may read or change.
    pub fn traffic<R>(&self, with: impl FnOnce(&mut Traffic) -> R) -> R {
        with(&mut self.shared.traffic.lock())
    }

    /// The delivery attempts of the server.
    pub(super) fn attempts(&self) -> Attempts {
        Attempts(self.shared.clone())
    }

    /// The number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The last request.
    #[must_use]
    pub fn last_request(&self) -> Option<Request> {
        self.shared.last_request.lock().clone()
    }

    /// Stops responding to requests, or responds again. A request that was received meanwhile never gets a response.
    pub fn silence(&self, is_silent: bool) {
        self.shared.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Responds to every request with this status and body, or as the system does if `None`.
    pub fn respond_with(&self, response: Option<(u16, String)>) {
        *self.shared.fixed_response.lock() = response;
    }

    /// Sets the fault of the server. Requests in flight are not affected.
    pub async fn fault(&self, fault: Option<&'static Fault>) {
        *self.shared.fault.lock() = fault;
        let open = !fault.is_some_and(|fault| matches!(fault.act, Act::Refuse));
        self.wants_open.send_replace(open);
        let mut is_open = self.is_open.clone();
        // A port that another program has bound meanwhile stays closed; then this times out.
        let _ = tokio::time::timeout(Duration::from_secs(PORT_SECONDS_MAX), is_open.wait_for(|is_open| *is_open == open)).await;
    }

    /// Sets the certificate for new connections.
    ///
    /// # Errors
    /// The certificate or its key is not usable.
    pub fn set_tls(&self, tls: &Tls) -> io::Result<()> {
        self.shared.tls.set(Some(tls))
    }

    /// Stops listening and closes the connections.
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

impl SharedState {
    async fn serve(&self, peer: Peer, request: axum::extract::Request) -> Response {
        let (peer, connection) = (peer.ip, peer.control);
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
            return reply(413, "text/plain", "");
        };
        let query = axum::extract::Query::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default();
        let path = parts.uri.path().to_string();
        let request = Request { method: parts.method, path, query, headers: parts.headers, body, peer };
        *self.last_request.lock() = Some(request.clone());
        let nth = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let nth_of_connection = connection.request();
        if self.is_silent.load(Ordering::SeqCst) {
            self.stop.cancelled().await;
            return reply(503, "text/plain", "");
        }
        if let Some((status, body)) = self.fixed_response.lock().clone() {
            return reply(status, "text/plain", body);
        }
        let fault = *self.fault.lock();
        match fault.map(|fault| &fault.act) {
            None => self.respond(&request),
            Some(Act::Refuse) => broken(&connection, End::Close).await,
            Some(Act::End(end)) => broken(&connection, *end).await,
            Some(Act::EndWhenKept(end)) if nth_of_connection > 0 => broken(&connection, *end).await,
            Some(Act::EndWhenKept(_)) => self.respond(&request),
            Some(Act::Hang) => {
                self.stop.cancelled().await;
                reply(503, "text/plain", "")
            }
            Some(Act::Leak(leaked)) => {
                connection.leak(leaked);
                self.respond(&request)
            }
            Some(Act::Respond(corrupt)) => {
                let (parts, body) = self.respond(&request).into_parts();
                let body = to_bytes(body, RESPONSE_BYTES_MAX).await.unwrap_or_default();
                let response = Response::from_parts(parts, Body::empty());
                corrupt(HealthyResponse { response, body, nth, other_host: format!("localhost:{}", self.addr.port()) })
            }
        }
    }

    /// Advances the traffic to the present, unless the time is frozen.
    fn advance(&self, traffic: &mut Traffic) {
        if !self.options.frozen {
            let now = Instant::now();
            let before = std::mem::replace(&mut *self.advanced_at.lock(), now);
            traffic.advance(now.saturating_duration_since(before).as_secs_f64());
        }
    }

    /// The response of the system without a fault.
    fn respond(&self, request: &Request) -> Response {
        let mut traffic = self.traffic.lock();
        self.advance(&mut traffic);
        let state = ServerState { options: &self.options, traffic: &mut traffic, recent_requests: &mut self.recent_requests.lock() };
        self.system.respond(state, request)
    }
}

/// The delivery attempts of a server, as they are made.
pub(super) struct Attempts(Arc<SharedState>);

impl Attempts {
    /// The number of attempts so far.
    pub(super) fn position(&self) -> u64 {
        let mut position = 0;
        self.0.traffic.lock().log.since(&mut position).count();
        position
    }

    /// The attempts after this position, which is moved to the end, with the domains of their recipients.
    pub(super) fn since(&self, position: &mut u64) -> Vec<(Attempt, Domain)> {
        let mut traffic = self.0.traffic.lock();
        self.0.advance(&mut traffic);
        let with_domain = |attempt: &Attempt| Some((*attempt, traffic.domains.get(attempt.domain as usize)?.clone()));
        traffic.log.since(position).filter_map(with_domain).collect()
    }
}

/// Ends the connection instead of responding.
async fn broken(connection: &Control, end: End) -> Response {
    connection.end(end);
    std::future::pending().await
}
