//! An OTLP receiver by gRPC and HTTP with the bytes of each request, which rejects compressions and sizes as real receivers do.
#![allow(clippy::unwrap_used, dead_code, reason = "not every test binary uses everything")]

use super::gzip::gzip;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use parking_lot::Mutex;
use prost::Message;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The length of the prefix of a gRPC message.
const PREFIX_LEN: usize = 5;

/// A status that rejects a request: the HTTP status, or the code and the message of gRPC.
#[derive(Clone, Copy, Debug)]
pub struct Rejection(pub u16, pub &'static str);

/// The compressions that a receiver accepts.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Compressions that it supports.
    pub supported: Vec<&'static str>,
    /// The response to other compressions.
    pub unsupported: Rejection,
    /// The response to all requests, if set.
    pub failure: Option<Rejection>,
    /// The largest request after decompression.
    pub bytes_max: usize,
    /// The number of rejected points in each successful response.
    pub rejected_points: i64,
    /// The reason or warning in each successful response.
    pub message: &'static str,
    /// Responds to all requests with status 200 and a web page, as a login page does.
    pub is_web_page: bool,
}

impl Rules {
    /// Accepts everything.
    pub fn all() -> Self {
        Self {
            supported: vec!["gzip", "zstd"],
            unsupported: Rejection(0, ""),
            failure: None,
            bytes_max: usize::MAX,
            rejected_points: 0,
            message: "",
            is_web_page: false,
        }
    }

    /// Supports only these compressions.
    pub fn supporting(supported: &[&'static str], unsupported: Rejection) -> Self {
        Self { supported: supported.to_vec(), unsupported, ..Self::all() }
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub path: String,
    /// The compression, or `none`.
    pub compression: String,
    /// The bytes as they arrived, without the prefix of gRPC.
    pub bytes: Bytes,
    /// The bytes after decompression; `None` if the compression is not supported.
    pub message: Option<Bytes>,
    pub is_accepted: bool,
}

/// A receiver. It stops when it is dropped.
pub struct OtlpReceiver {
    address: SocketAddr,
    is_grpc: bool,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    rules: Rules,
    arrivals: Vec<Arrival>,
}

impl OtlpReceiver {
    pub async fn start(is_grpc: bool, rules: Rules) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { rules, arrivals: Vec::new() }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, state) = (TokioIo::new(listener.accept().await.unwrap().0), shared.clone());
                let service = service_fn(move |request| respond(state.clone(), request, is_grpc));
                tokio::spawn(async move {
                    // Connections end with the program that opened them.
                    let _ = match is_grpc {
                        true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await,
                        false => http1::Builder::new().serve_connection(stream, service).await,
                    };
                });
            }
        });
        Self { address, is_grpc, state, task }
    }

    /// The keys of `export.otlp` for this receiver.
    pub fn config(&self) -> String {
        match self.is_grpc {
            true => format!("protocol: grpc, endpoint: \"http://{}\"", self.address),
            false => format!("protocol: http/protobuf, endpoint: \"http://{}\"", self.address),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set_rules(&self, rules: Rules) {
        self.state.lock().rules = rules;
    }

    /// All requests that arrived, the oldest first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.state.lock().arrivals.clone()
    }

    /// The requests that were accepted.
    pub fn accepted(&self) -> Vec<Arrival> {
        self.arrivals().into_iter().filter(|arrival| arrival.is_accepted).collect()
    }

    /// The accepted requests with metrics.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        let metrics = self.accepted().into_iter().filter(|arrival| !arrival.path.to_lowercase().contains("logs"));
        metrics.map(|arrival| ExportMetricsServiceRequest::decode(arrival.message.unwrap()).unwrap()).collect()
    }

    /// Removes the requests that arrived.
    pub fn clear(&self) {
        self.state.lock().arrivals.clear();
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(state: Arc<Mutex<State>>, request: Request<Incoming>, is_grpc: bool) -> Result<Response<Frames>, Infallible> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(axum::body::Body::new(body), usize::MAX).await.unwrap();
    let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (compression, bytes) = match is_grpc {
        true => {
            assert_eq!((header("content-type").as_deref(), header("te").as_deref()), (Some("application/grpc"), Some("trailers")));
            assert!(header("grpc-timeout").is_some());
            let (prefix, bytes) = body.split_at(PREFIX_LEN);
            assert_eq!(prefix[1..], (bytes.len() as u32).to_be_bytes(), "the length of the message");
            assert_eq!(prefix[0] == 1, header("grpc-encoding").is_some(), "the flag and the header agree");
            (header("grpc-encoding"), body.slice_ref(bytes))
        }
        false => {
            assert_eq!(header("content-type").as_deref(), Some("application/x-protobuf"));
            (header("content-encoding"), body)
        }
    };
    let mut state = state.lock();
    let rules = state.rules.clone();
    let is_supported = compression.as_deref().is_none_or(|compression| rules.supported.contains(&compression));
    let message = is_supported.then(|| decompressed(&bytes, compression.as_deref()).unwrap());
    let too_large = if is_grpc { Rejection(8, "grpc: received message larger than max") } else { Rejection(413, "") };
    let rejection = match &message {
        None => Some(rules.unsupported),
        Some(message) => rules.failure.or((message.len() > rules.bytes_max).then_some(too_large)),
    };
    let (path, is_accepted) = (head.uri.path().to_owned(), rejection.is_none() && !rules.is_web_page);
    let name = compression.clone().unwrap_or_else(|| "none".to_owned());
    state.arrivals.push(Arrival { path, compression: name, bytes, message, is_accepted });
    if rules.is_web_page {
        let mut response = Response::new(Frames::of([Bytes::from_static(b"<!doctype html><title>Sign in</title>")]));
        response.headers_mut().insert("content-type", "text/html; charset=utf-8".parse().unwrap());
        return Ok(response);
    }
    Ok(match (rejection, is_grpc) {
        (Some(Rejection(status, text)), false) => {
            let mut response = Response::new(Frames::of([Bytes::from_static(text.as_bytes())]));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        }
        (Some(Rejection(code, text)), true) => {
            let mut response = Response::new(Frames::of([]));
            *response.headers_mut() = grpc_status(code, text);
            response
        }
        (None, false) => Response::new(Frames::of([success(&rules)])),
        (None, true) => {
            // Servers in Go compress the response like the request.
            let message = compressed(&success(&rules), compression.as_deref());
            let prefix = [&[u8::from(compression.is_some())][..], &(message.len() as u32).to_be_bytes()].concat();
            let mut frames = Frames::of([prefix.into(), message]);
            frames.0.push_back(Frame::trailers(grpc_status(0, "")));
            let mut response = Response::new(frames);
            if let Some(compression) = compression {
                response.headers_mut().insert("grpc-encoding", compression.try_into().unwrap());
            }
            response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            response
        }
    })
}

fn success(rules: &Rules) -> Bytes {
    let partial_success =
        ExportMetricsPartialSuccess { rejected_data_points: rules.rejected_points, error_message: rules.message.to_owned() };
    ExportMetricsServiceResponse { partial_success: Some(partial_success) }.encode_to_vec().into()
}

fn grpc_status(code: u16, message: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("grpc-status", code.into());
    headers.insert("grpc-message", message.parse().unwrap());
    headers
}

/// Returns `None` if the bytes cannot be decompressed.
pub fn decompressed(bytes: &Bytes, compression: Option<&str>) -> Option<Bytes> {
    let mut decompressed = Vec::new();
    match compression {
        None => return Some(bytes.clone()),
        Some("gzip") => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut decompressed).ok()?),
        Some(_) => decompressed = zstd::decode_all(&bytes[..]).ok()?,
    }
    Some(decompressed.into())
}

fn compressed(bytes: &[u8], compression: Option<&str>) -> Bytes {
    match compression {
        None => bytes.to_vec().into(),
        Some("gzip") => gzip(bytes).into(),
        Some(_) => zstd::encode_all(bytes, 3).unwrap().into(),
    }
}

/// The body of a response: frames.
struct Frames(VecDeque<Frame<Bytes>>);

impl Frames {
    fn of(data: impl IntoIterator<Item = Bytes>) -> Self {
        Self(data.into_iter().map(Frame::data).collect())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}
