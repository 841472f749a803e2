//! A connection: it is served by HTTP/1.1 or, over TLS, HTTP/2, and closed if it is too slow.

use super::activity::{Activity, TooSlow};
use super::client::Client;
use super::connection_client::ConnectionClient;
use super::host_header::has_valid_host;
use super::observed_body::ObservedBody;
use super::observed_stream::ObservedStream;
use crate::serve::access::authenticate::Admission;
use crate::serve::access::control::Access;
use crate::serve::access::rules::Rules;
use crate::serve::limits::client_quota::{QuotaPermit, RequestPermit};
use crate::serve::refusal::Refusal;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, Version};
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The size in which data is passed to an HTTP/2 stream, so that its progress can be observed. It is the default maximum size of a
/// frame.
const CHUNK_BYTES_MAX: usize = 16 * 1024;
/// The time for a client to read the alert of a failed handshake.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// The maximum bytes that are read from such a client.
const LINGER_BYTES_MAX: usize = 16 * 1024;

/// Reads the data that a client has already sent. Closing a socket with unread data resets the connection, and the client would not get
/// the alert.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    // An error means that the client has disconnected.
    let _ = stream.shutdown().await;
    let mut buffer = [0; 1024];
    let drained = async {
        for _ in 0..LINGER_BYTES_MAX / buffer.len() {
            if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_MAX, drained).await;
}

/// One connection.
pub(super) struct Connection {
    pub(super) client: ConnectionClient,
    pub(super) router: Router,
    pub(super) access: Access,
    pub(super) stop: CancellationToken,
}

impl Connection {
    /// Serves the requests of the connection until its end.
    pub(super) async fn run(self, stream: TcpStream, activity: Arc<Activity>, _permit: QuotaPermit) {
        // Responses are written in large chunks, and the last one should not be delayed.
        let _ = stream.set_nodelay(true);
        let (access, client) = (self.access.clone(), self.client.clone());
        let served = pin!(self.serve(ObservedStream::new(stream, activity.clone()), activity.clone()));
        tokio::select! {
            () = served => {}
            () = client.displaced() => access.telemetry().access.refused("displaced"),
            too_slow = activity.too_slow(access.limits()) => {
                // An idle keep-alive connection is not a refusal and is not counted.
                if too_slow != TooSlow::Idle {
                    access.telemetry().access.refused(if too_slow == TooSlow::Head { "slow_request" } else { "slow_reader" });
                }
            }
        }
    }

    async fn serve(self, stream: ObservedStream, activity: Arc<Activity>) {
        let rules = self.access.rules();
        let Some(tls) = rules.tls.as_ref().map(|tls| tls.config.clone()) else { return self.http1(stream, activity, &rules).await };
        match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => self.http2(stream, activity, &rules).await,
            Ok(stream) => self.http1(stream, activity, &rules).await,
            Err((error, stream)) => {
                self.access.telemetry().access.refused("tls");
                debug!(peer = %self.client.peer(), "TLS handshake failed: {error}");
                linger(stream).await;
            }
        }
    }

    async fn http1(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, activity: Arc<Activity>, rules: &Rules) {
        activity.set_http1(true);
        let mut builder = http1::Builder::new();
        let limits = self.access.limits();
        // `Activity` implements the timeouts. The buffer limits the size of an endless head.
        builder.timer(TokioTimer::new()).header_read_timeout(None);
        builder.max_header_size(limits.head_bytes_max).max_buf_size(limits.head_bytes_max);
        // A client that closes its side counts as disconnected, which ends its request: a half-closed connection looks like one that is
        // gone until bytes are sent, and clients that are gone must not occupy places.
        let service = service_fn(|request| self.respond(request, activity.clone()));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let must_end = self.must_end(rules);
        tokio::select! {
            result = connection.as_mut() => return self.log_error(result),
            () = must_end => {}
        }
        connection.as_mut().graceful_shutdown();
        let result = connection.await;
        self.log_error(result);
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, activity: Arc<Activity>, rules: &Rules) {
        activity.set_http1(false);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let limits = self.access.limits();
        let head_bytes_max = u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX);
        builder.timer(TokioTimer::new()).max_concurrent_streams(limits.streams_max).max_header_list_size(head_bytes_max);
        builder.max_send_buf_size(limits.stream_bytes_max);
        let this = Arc::new(self);
        let shared = this.clone();
        let service = service_fn(move |request| {
            let (this, activity) = (shared.clone(), activity.clone());
            async move { this.respond(request, activity).await }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            result = connection.as_mut() => return this.log_error(result),
            () = this.must_end(rules) => {}
        }
        connection.as_mut().graceful_shutdown();
        let result = connection.await;
        this.log_error(result);
    }

    /// Waits until this connection must not accept further requests: at shutdown, or when TLS differs from that of `initial`, the rules at
    /// the beginning of the handshake.
    async fn must_end(&self, initial: &Rules) {
        let stop = self.stop.clone();
        let mut rules = self.access.subscribe();
        tokio::select! {
            () = stop.cancelled() => {}
            _ = rules.wait_for(|rules| !rules.has_same_tls(initial)) => {}
        }
    }

    fn log_error(&self, result: hyper::Result<()>) {
        let Err(error) = result else { return };
        if error.is_parse_too_large() {
            self.access.telemetry().access.refused("head_too_large");
        }
        debug!(peer = %self.client.peer(), "connection error: {error}");
    }

    /// Checks the rate limit, the length of the path, the header `Host`, the number of concurrent requests and the credential, in this
    /// order, and routes the request.
    async fn respond(&self, request: hyper::Request<Incoming>, activity: Arc<Activity>) -> Result<Response<ObservedBody>, Infallible> {
        let mut guard = activity.begin_request();
        let client = self.client.client();
        let mut permit = self.access.requests().try_acquire(client).ok().map(RequestPermit::from);
        let is_http2 = request.version() == Version::HTTP_2;
        let chunk_bytes_max = if is_http2 { CHUNK_BYTES_MAX } else { usize::MAX };
        // The router omits the body of its responses to HEAD, and hyper does so in HTTP/1.1.
        let is_head = request.method() == Method::HEAD;
        let omits_body = is_http2 && is_head;
        let rules = self.access.rules();
        let mut response = match self.admit(&rules, client, &request, permit.is_some()).await {
            Ok(admitted) => {
                if admitted == Admission::Authenticated {
                    self.client.set_authenticated();
                }
                self.route(request, client, permit.clone()).await
            }
            Err(refusal) => {
                self.access.telemetry().access.refused(refusal.reason());
                debug!(peer = %self.client.peer(), reason = refusal.reason(), "request refused");
                // A client that does not read the refusal must not occupy a permit.
                permit = None;
                let refused = refusal.into_response();
                if omits_body { refused.map(|_| Body::empty()) } else { refused }
            }
        };
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in rules.config.web_config.iter().flat_map(|web| &web.headers) {
            response.headers_mut().insert(*name, value.clone());
        }
        if is_head || response.body().is_end_stream() {
            guard.complete();
        }
        Ok(response.map(|body| ObservedBody::new(body, chunk_bytes_max, permit, guard)))
    }

    async fn admit(
        &self,
        rules: &Rules,
        client: Client,
        request: &hyper::Request<Incoming>,
        has_permit: bool,
    ) -> Result<Admission, Refusal> {
        self.access.count_request(client)?;
        let uri = request.uri();
        if uri.path_and_query().is_some_and(|path| path.as_str().len() > self.access.limits().path_bytes_max) {
            return Err(Refusal::PathTooLong);
        }
        if !has_valid_host(request.version(), request.headers()) {
            return Err(Refusal::InvalidHost);
        }
        if !has_permit {
            return Err(Refusal::Busy);
        }
        self.access.authenticate(rules, self.client.peer(), uri.path(), request.headers()).await
    }

    async fn route(&self, request: hyper::Request<Incoming>, client: Client, permit: Option<RequestPermit>) -> Response {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(self.client.clone());
        permit.and_then(|permit| request.extensions_mut().insert(permit));
        match TowerToHyperService::new(self.router.clone()).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
