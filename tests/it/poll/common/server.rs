//! A scripted server for responses that no HTTP library would send.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// One act of a script.
pub enum Act {
    Send(Vec<u8>),
    /// Sends bytes one by one, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Waits for the gate.
    Wait(Arc<Semaphore>),
    /// Waits forever.
    Hang,
    Close,
    Reset,
}

/// The acts for each request, by its number from 0 and its text.
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

    /// A server that always sends the same response.
    pub async fn always(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, _| send(bytes.clone())).await
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
            // All connections end with the server.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                let (script, seen, tls) = (script.clone(), seen.clone(), tls.clone());
                open.spawn(async move {
                    match tls {
                        None => play(stream, &*script, &seen).await,
                        // Some tests expect the handshake to fail.
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

/// Plays the script until the connection ends. A client that disconnects is not an error.
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
                Act::Send(bytes) => stream.write_all(&bytes).await.ok()?,
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

pub fn send(bytes: impl Into<Vec<u8>>) -> Vec<Act> {
    vec![Act::Send(bytes.into())]
}

/// A response with its length. `head` follows `HTTP/1.1` and includes header lines.
pub fn response(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A response with chunked encoding.
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
