//! A TCP proxy between two programs: its address stays when the program behind it is started anew, and it can break every connection.

use super::world::ANY;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The address behind a wire, and the signal that breaks its connections.
#[derive(Default)]
struct Connected {
    to: Option<SocketAddr>,
    broken: CancellationToken,
}

/// A proxy. It stops when it is dropped.
pub struct Wire {
    address: SocketAddr,
    connected: Arc<Mutex<Connected>>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.connected.lock().broken.cancel();
        self.task.abort();
    }
}

impl Wire {
    /// Starts a proxy without anything behind it: connections are closed at once.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connected = Arc::<Mutex<Connected>>::default();
        let current = connected.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (to, broken) = {
                    let connected = current.lock();
                    (connected.to, connected.broken.clone())
                };
                if let Some(to) = to {
                    tokio::spawn(async move { broken.run_until_cancelled(forward(stream, to)).await });
                }
            }
        });
        Self { address, connected, task }
    }

    /// The URL of the proxy.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connects the proxy to an address, or to nothing, and breaks every connection so far.
    pub fn connect(&self, to: Option<SocketAddr>) {
        let before = std::mem::replace(&mut *self.connected.lock(), Connected { to, broken: CancellationToken::new() });
        before.broken.cancel();
    }
}

async fn forward(mut stream: TcpStream, to: SocketAddr) {
    if let Ok(mut behind) = TcpStream::connect(to).await {
        // Both ends notice that a connection breaks.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
    }
}
