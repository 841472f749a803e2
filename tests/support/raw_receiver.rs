//! An OTLP receiver that responds with given bytes: frames of HTTP/2, or a response of HTTP/1.1. Libraries would not send some of them.
#![allow(clippy::unwrap_used, dead_code, reason = "not every test binary uses everything")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that a client accepts by default.
const FRAME_BYTES_MAX: usize = 16 * 1024;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A part of a response over HTTP/2.
#[derive(Clone, Debug)]
pub enum Part {
    /// Headers or trailers, and whether they end the response.
    Headers(Vec<(&'static str, Vec<u8>)>, bool),
    /// Data, and whether it ends the response.
    Data(Vec<u8>, bool),
    /// The error code that ends the response.
    Reset(u32),
}

/// A receiver. It stops when it is dropped.
pub struct RawReceiver {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl RawReceiver {
    /// Responds to each gRPC request with these parts.
    pub async fn grpc(response: Vec<Part>) -> Self {
        Self::start(move |stream, requests| serve_http2(stream, response.clone(), requests)).await
    }

    /// Responds to each HTTP request with these bytes.
    pub async fn http(response: Vec<u8>) -> Self {
        Self::start(move |stream, requests| serve_http1(stream, response.clone(), requests)).await
    }

    async fn start<F: Future<Output = Option<()>> + Send + 'static>(
        serve: impl Fn(TcpStream, Arc<AtomicUsize>) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = requests.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::spawn(serve(listener.accept().await.unwrap().0, count.clone()));
            }
        });
        Self { address, requests, task }
    }

    /// The number of requests that arrived.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for RawReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns `None` when the client disconnects.
async fn serve_http2(mut stream: TcpStream, response: Vec<Part>, requests: Arc<AtomicUsize>) -> Option<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await.ok()?;
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; len as usize];
        stream.read_exact(&mut payload).await.ok()?;
        let (kind, flags) = (head[3], head[4]);
        if kind == SETTINGS && flags & ACK == 0 {
            stream.write_all(&frame(SETTINGS, ACK, 0, b"")).await.ok()?;
        }
        if kind == DATA && len > 0 {
            stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &len.to_be_bytes())).await.ok()?;
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            requests.fetch_add(1, Ordering::SeqCst);
            let bytes: Vec<u8> = response.iter().flat_map(|part| encoded(part, id)).collect();
            stream.write_all(&bytes).await.ok()?;
        }
    }
}

fn encoded(part: &Part, id: u32) -> Vec<u8> {
    let end = |is_end: &bool| if *is_end { END_STREAM } else { 0 };
    match part {
        Part::Data(data, is_end) => frame(DATA, end(is_end), id, data),
        Part::Reset(code) => frame(RESET, 0, id, &code.to_be_bytes()),
        Part::Headers(headers, is_end) => {
            let block: Vec<u8> = headers.iter().flat_map(|(name, value)| [&[0], &*text(name.as_bytes()), &text(value)].concat()).collect();
            let pieces: Vec<&[u8]> = block.chunks(FRAME_BYTES_MAX).collect();
            let frames = pieces.iter().enumerate().flat_map(|(at, piece)| {
                let kind = if at == 0 { HEADERS } else { CONTINUATION };
                let flags = if at == 0 { end(is_end) } else { 0 } | if at + 1 == pieces.len() { END_HEADERS } else { 0 };
                frame(kind, flags, id, piece)
            });
            frames.collect()
        }
    }
}

/// A text of HPACK, without Huffman code.
fn text(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len().checked_sub(127) {
        None => bytes.push(text.len() as u8),
        Some(mut rest) => {
            bytes.push(127);
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    [&bytes, text].concat()
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

/// Returns `None` when the client disconnects.
async fn serve_http1(mut stream: TcpStream, response: Vec<u8>, requests: Arc<AtomicUsize>) -> Option<()> {
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
        let Some(head) = received.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&received[..head]).to_lowercase();
        let len = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
        if received.len() < head + 4 + len {
            continue;
        }
        received.drain(..head + 4 + len);
        requests.fetch_add(1, Ordering::SeqCst);
        stream.write_all(&response).await.ok()?;
    }
}
