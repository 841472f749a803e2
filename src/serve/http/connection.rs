//! Connections: accepted within limits, served by HTTP/1.1 or, over TLS, HTTP/2, and cut off when they are too slow.

use super::activity::{Activity, ObservedStream, ResponseGuard, TooSlow};
use super::client::Client;
use crate::serve::access::rules::{Access, Admitted, Rules};
use crate::serve::limits::client_quota::{ClientQuota, QuotaPermit};
use crate::serve::limits::unauthenticated::Stranger;
use crate::serve::routes::refusal::Refusal;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, Version};
use axum::response::{IntoResponse, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long answers in flight may take once it is time to stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// What a stream of HTTP/2 is handed at once, so that it is seen how much of a large page the client takes. A frame is no longer
/// unless a client asks for it.
const PIECE_BYTES_MAX: usize = 16 * 1024;
/// Between attempts to accept when the system has no room.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);
/// The time that a client has to read why its handshake failed.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// The bytes that such a client may still send.
const LINGER_BYTES_MAX: usize = 16 * 1024;

/// Reads what a client has sent already: closing a socket with unread bytes resets it, and the alert would be lost.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    // A client that is gone needs no alert.
    let _ = stream.shutdown().await;
    let mut left = [0; 1024];
    let drained = async {
        for _ in 0..LINGER_BYTES_MAX / left.len() {
            if !matches!(stream.read(&mut left).await, Ok(1..)) {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_MAX, drained).await;
}

/// Answers until `stop` says so, and then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, router: Router, access: Access, stop: CancellationToken) {
    let limits = access.limits();
    let slots = ClientQuota::new(limits.connections_max, limits.connections_client_max);
    let watching = tokio::spawn(access.clone().watch(stop.clone()));
    let mut connections = JoinSet::new();
    let mut is_full = false;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_full = false;
                let (rules, activity) = (access.rules(), Activity::new(access.limits()));
                let stranger = match access.is_stranger(&rules, peer) {
                    true => access.strangers().admit(peer.into(), activity.clone()).map(Some),
                    false => Some(None),
                };
                let (Some(stranger), Some(slot)) = (stranger, slots.take(peer.into())) else {
                    access.own().access.refused("connections");
                    continue;
                };
                if access.is_known(&rules, peer) {
                    activity.become_known();
                }
                let stranger = Mutex::new(stranger);
                let connection = Connection { peer, router: router.clone(), access: access.clone(), stop: stop.clone(), stranger };
                connections.spawn(connection.run(stream, activity, slot));
            }
            // The client was gone before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_full, true) {
                    warn!("the pull endpoint cannot accept connections for now: {error}");
                }
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
        connections.shutdown().await;
    }
    // It stops by itself, and holds nothing up.
    watching.abort();
}

/// One connection.
struct Connection {
    peer: SocketAddr,
    router: Router,
    access: Access,
    stop: CancellationToken,
    /// Until its client has authenticated.
    stranger: Mutex<Option<Stranger>>,
}

impl Connection {
    async fn run(self, stream: TcpStream, activity: Arc<Activity>, _slot: QuotaPermit) {
        // Answers are written in large pieces, and the last one should not wait.
        let _ = stream.set_nodelay(true);
        let access = self.access.clone();
        let displaced = self.stranger.lock().as_ref().map(Stranger::displaced);
        let displaced = async move {
            match displaced {
                Some(displaced) => displaced.await,
                None => std::future::pending().await,
            }
        };
        let served = pin!(self.serve(ObservedStream::new(stream, activity.clone()), activity.clone()));
        tokio::select! {
            () = served => {}
            () = displaced => access.own().access.refused("displaced"),
            slow = activity.too_slow(access.limits()) => {
                // Nobody has done wrong who keeps a connection for a while.
                if slow != TooSlow::Idle {
                    access.own().access.refused(if slow == TooSlow::Head { "slow_request" } else { "slow_reader" });
                }
            }
        }
    }

    async fn serve(self, stream: ObservedStream<TcpStream>, activity: Arc<Activity>) {
        let rules = self.access.rules();
        let Some(tls) = rules.tls.clone() else { return self.http1(stream, activity, &rules).await };
        match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => self.http2(stream, activity, &rules).await,
            Ok(stream) => self.http1(stream, activity, &rules).await,
            Err((error, stream)) => {
                self.access.own().access.refused("tls");
                debug!(peer = %self.peer, "no TLS: {error}");
                linger(stream).await;
            }
        }
    }

    /// The client has authenticated: its connection is kept as those of others are, and displaced by nobody.
    fn become_known(&self, activity: &Activity) {
        activity.become_known();
        self.stranger.lock().take();
    }

    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, activity: Arc<Activity>, rules: &Rules) {
        activity.is_http1(true);
        let mut builder = http1::Builder::new();
        let limits = self.access.limits();
        // `Activity` has the timeouts; the buffer is the bound of a head that has no end.
        builder.timer(TokioTimer::new()).header_read_timeout(None);
        builder.max_header_size(limits.head_bytes_max).max_buf_size(limits.head_bytes_max);
        let service = service_fn(|request| self.answer(request, activity.clone()));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = self.ended(rules);
        tokio::select! {
            result = connection.as_mut() => return self.broken(result),
            () = ended => {}
        }
        connection.as_mut().graceful_shutdown();
        let result = connection.await;
        self.broken(result);
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, activity: Arc<Activity>, rules: &Rules) {
        activity.is_http1(false);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let limits = self.access.limits();
        let head_bytes_max = u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX);
        builder.timer(TokioTimer::new()).max_concurrent_streams(limits.streams_max).max_header_list_size(head_bytes_max);
        builder.max_send_buf_size(limits.stream_bytes_max);
        let this = Arc::new(self);
        let shared = this.clone();
        let service = service_fn(move |request| {
            let (this, activity) = (shared.clone(), activity.clone());
            async move { this.answer(request, activity).await }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            result = connection.as_mut() => return this.broken(result),
            () = this.ended(rules) => {}
        }
        connection.as_mut().graceful_shutdown();
        let result = connection.await;
        this.broken(result);
    }

    /// Waits until this connection should take no more requests: at the end, or when TLS is not what it was when its handshake
    /// began, however long that took.
    async fn ended(&self, was: &Rules) {
        let stop = self.stop.clone();
        let mut rules = self.access.subscribe();
        tokio::select! {
            () = stop.cancelled() => {}
            _ = rules.wait_for(|rules| !rules.has_tls_of(was)) => {}
        }
    }

    fn broken(&self, result: hyper::Result<()>) {
        let Err(error) = result else { return };
        if error.is_parse_too_large() {
            self.access.own().access.refused("head_too_large");
        }
        debug!(peer = %self.peer, "the connection ended: {error}");
    }

    /// Asks, in this order, whether it comes too often, is too long, is one too many, and may read; then routes it.
    async fn answer(&self, request: hyper::Request<Incoming>, activity: Arc<Activity>) -> Result<Response<HeldBody>, Infallible> {
        let answering = activity.begin();
        let client = Client::from(self.peer);
        let mut slot = self.access.requests().take(client);
        let is_http2 = request.version() == Version::HTTP_2;
        let piece_bytes_max = if is_http2 { PIECE_BYTES_MAX } else { usize::MAX };
        // The router does this for what it answers, and hyper in HTTP/1.1.
        let is_bare = is_http2 && request.method() == Method::HEAD;
        let rules = self.access.rules();
        let mut response = match self.admit(&rules, client, &request, slot.is_some()).await {
            Ok(admitted) => {
                if admitted == Admitted::Authenticated {
                    self.become_known(&activity);
                }
                self.route(request, client).await
            }
            Err(refusal) => {
                self.access.own().access.refused(refusal.reason());
                debug!(peer = %self.peer, reason = refusal.reason(), "refused");
                // Nobody takes a place by not reading that there is none for them.
                slot = None;
                let refused = refusal.into_response();
                if is_bare { refused.map(|_| Body::empty()) } else { refused }
            }
        };
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in rules.config.web_config.iter().flat_map(|web| &web.headers) {
            response.headers_mut().insert(*name, value.clone());
        }
        Ok(response.map(|body| HeldBody { body, rest: Bytes::new(), piece_bytes_max, _slot: slot, answering }))
    }

    async fn admit(&self, rules: &Rules, client: Client, request: &hyper::Request<Incoming>, has_slot: bool) -> Result<Admitted, Refusal> {
        self.access.count(client)?;
        let uri = request.uri();
        if uri.path_and_query().is_some_and(|path| path.as_str().len() > self.access.limits().path_bytes_max) {
            return Err(Refusal::PathTooLong);
        }
        if !has_slot {
            return Err(Refusal::Busy);
        }
        self.access.authenticate(rules, self.peer, uri.path(), request.headers()).await
    }

    async fn route(&self, request: hyper::Request<Incoming>, client: Client) -> Response {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(client);
        match TowerToHyperService::new(self.router.clone()).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// An answer, which counts as being answered until its last byte is on its way.
struct HeldBody {
    body: Body,
    /// Of its last frame, what is not handed over yet.
    rest: Bytes,
    piece_bytes_max: usize,
    _slot: Option<QuotaPermit>,
    answering: ResponseGuard,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let bytes = self.rest.len().min(self.piece_bytes_max);
        let piece = self.rest.split_to(bytes);
        self.answering.handed(bytes);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        all.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}
