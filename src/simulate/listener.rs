//! The listener of a simulated server: a port that can be closed and opened again, with or without TLS.

use super::connection::{Control, FaultyConnection};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Length of the queue of connections that are not accepted yet.
const BACKLOG: u32 = 1024;
/// The pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A certificate chain and its key, in PEM.
#[derive(Clone)]
#[allow(missing_docs, reason = "PEM text")]
pub struct Tls {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tls")
    }
}

/// The client's address, and control over its connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) ip: IpAddr,
    pub(super) control: Arc<Control>,
}

impl Connected<IncomingStream<'_, ServerListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, ServerListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// The certificate for new connections; plain HTTP without one.
#[derive(Clone, Default)]
pub(super) struct TlsSwitch(Arc<Mutex<Option<TlsAcceptor>>>);

impl TlsSwitch {
    pub(super) fn set(&self, tls: Option<&Tls>) -> io::Result<()> {
        let acceptor = tls.map(acceptor).transpose()?;
        *self.0.lock() = acceptor;
        Ok(())
    }

    pub(super) fn get(&self) -> Option<TlsAcceptor> {
        self.0.lock().clone()
    }
}

fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let unusable = |what: &str, error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {error}"));
    let chain = CertificateDer::pem_slice_iter(&tls.certificate).collect::<Result<Vec<_>, _>>().map_err(|e| unusable("certificate", &e))?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key).map_err(|e| unusable("key", &e))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| unusable("TLS", &e))?.with_no_client_auth();
    Ok(TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).map_err(|e| unusable("certificate", &e))?)))
}

enum Port {
    Open(TcpListener),
    /// The port is bound but not listening, so that connections are refused and no other program gets it.
    Closed(Option<TcpSocket>),
}

/// The listening socket of a simulated server.
pub(super) struct ServerListener {
    addr: SocketAddr,
    port: Port,
    /// `true` if the port should be open.
    wanted: watch::Receiver<bool>,
    /// `true` if the port is open.
    is_open: watch::Sender<bool>,
    tls: TlsSwitch,
    handshakes: JoinSet<Option<(FaultyConnection, IpAddr)>>,
}

impl ServerListener {
    pub(super) async fn bind(listen: SocketAddr, wanted: watch::Receiver<bool>, tls: TlsSwitch) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let (is_open, _) = watch::channel(true);
        Ok(Self { addr, port: Port::Open(listener), wanted, is_open, tls, handshakes: JoinSet::new() })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The state of the port: `true` while connections are accepted.
    pub(super) fn is_open(&self) -> watch::Receiver<bool> {
        self.is_open.subscribe()
    }

    /// Opens or closes the port.
    fn set_open(&mut self, open: bool) {
        let port = std::mem::replace(&mut self.port, Port::Closed(None));
        self.port = match port {
            Port::Open(listener) if !open => {
                drop(listener);
                Port::Closed(self.socket().ok())
            }
            Port::Closed(socket) if open => {
                let listener = socket.map_or_else(|| self.socket(), Ok).and_then(|socket| socket.listen(BACKLOG));
                listener.map_or(Port::Closed(None), Port::Open)
            }
            unchanged => unchanged,
        };
        self.is_open.send_replace(matches!(self.port, Port::Open(_)));
    }

    /// A socket that is bound to the port and does not listen.
    fn socket(&self) -> io::Result<TcpSocket> {
        let socket = if self.addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.addr)?;
        Ok(socket)
    }
}

impl Listener for ServerListener {
    type Io = FaultyConnection;
    type Addr = Peer;

    async fn accept(&mut self) -> (FaultyConnection, Peer) {
        loop {
            let accepted = async {
                match &self.port {
                    Port::Open(listener) => listener.accept().await,
                    Port::Closed(_) => std::future::pending().await,
                }
            };
            let (connection, ip): (FaultyConnection, IpAddr) = tokio::select! {
                Ok(()) = self.wanted.changed() => {
                    let open = *self.wanted.borrow_and_update();
                    self.set_open(open);
                    continue;
                }
                // A failed handshake concerns only its client.
                Some(handshake) = self.handshakes.join_next() => match handshake {
                    Ok(Some(handshake)) => handshake,
                    _ => continue,
                },
                accepted = accepted => match (accepted, self.tls.get()) {
                    (Ok((stream, peer)), None) => (stream.into(), peer.ip()),
                    (Ok((stream, peer)), Some(acceptor)) => {
                        self.handshakes.spawn(async move { Some((acceptor.accept(stream).await.ok()?.into(), peer.ip())) });
                        continue;
                    }
                    (Err(_), _) => {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let control = connection.control.clone();
            return (connection, Peer { ip, control });
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { ip: self.addr.ip(), control: Arc::default() })
    }
}
