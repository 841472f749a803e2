//! A server that plays bytes: for what no HTTP library would send.

use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// One thing that a server does.
pub enum Act {
    Say(Vec<u8>),
    /// One byte each time.
    Drip(Vec<u8>, Duration),
    /// Until somebody lets it go on.
    Wait(Arc<Semaphore>),
    /// Forever.
    Hang,
    Close,
    Reset,
}

/// What to do about the nth request, from 0, as it came.
type Script = dyn Fn(usize, &str) -> Vec<Act> + Send + Sync;

pub struct Server {
    pub addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(script: impl Fn(usize, &str) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::serve(None, script).await
    }

    /// The same answer to everything.
    pub async fn always(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, _| say(bytes.clone())).await
    }

    pub async fn tls(tls: Arc<rustls::ServerConfig>, script: impl Fn(usize, &str) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::serve(Some(TlsAcceptor::from(tls)), script).await
    }

    async fn serve(tls: Option<TlsAcceptor>, script: impl Fn(usize, &str) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let script: Arc<Script> = Arc::new(script);
        let (requests, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (seen, opened) = (requests.clone(), connections.clone());
        let task = tokio::spawn(async move {
            // Connections end with the server.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                let (script, seen, tls) = (script.clone(), seen.clone(), tls.clone());
                open.spawn(async move {
                    match tls {
                        None => play(stream, &*script, &seen).await,
                        // A handshake that fails is the test's point.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => play(stream, &*script, &seen).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { addr, requests, connections, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Ends with the connection; the client's going away is no fault of a script.
async fn play(mut stream: impl Stream, script: &Script, seen: &Mutex<Vec<String>>) -> Option<()> {
    loop {
        let request = request(&mut stream).await?;
        let nth = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        for act in script(nth, &request) {
            match act {
                Act::Say(bytes) => stream.write_all(&bytes).await.ok()?,
                Act::Drip(bytes, pause) => {
                    for byte in bytes {
                        stream.write_all(&[byte]).await.ok()?;
                        tokio::time::sleep(pause).await;
                    }
                }
                Act::Wait(gate) => gate.acquire().await.ok()?.forget(),
                Act::Hang => std::future::pending().await,
                Act::Close => {
                    stream.shutdown().await.ok()?;
                    return None;
                }
                Act::Reset => {
                    stream.tcp().set_zero_linger().ok()?;
                    return None;
                }
            }
        }
    }
}

async fn request(stream: &mut impl Stream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}

pub fn say(bytes: impl Into<Vec<u8>>) -> Vec<Act> {
    vec![Act::Say(bytes.into())]
}

/// An answer with its length; `head` is what follows `HTTP/1.1`, header lines and all.
pub fn answer(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An answer in chunks.
pub fn chunked(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {head}\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(8192) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
