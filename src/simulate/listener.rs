//! Where connections to a stand-in come in: a port that can be closed and opened again, with TLS or without.

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

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// The pause after an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A certificate chain and its key, in PEM.
#[derive(Clone)]
#[allow(missing_docs, reason = "see above")]
pub struct Tls {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tls")
    }
}

/// Who is on the other side, and the connection.
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

/// What the next connection is shown; none is plain HTTP.
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
    /// Kept from others, and connections to it are refused.
    Closed(Option<TcpSocket>),
}

pub(super) struct ServerListener {
    addr: SocketAddr,
    port: Port,
    /// Whether it is to be open.
    wanted: watch::Receiver<bool>,
    /// Whether it is.
    is_open: watch::Sender<bool>,
    trust: TlsSwitch,
    handshakes: JoinSet<Option<(FaultyConnection, IpAddr)>>,
}

impl ServerListener {
    pub(super) async fn bind(listen: SocketAddr, wanted: watch::Receiver<bool>, trust: TlsSwitch) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let (is_open, _) = watch::channel(true);
        Ok(Self { addr, port: Port::Open(listener), wanted, is_open, trust, handshakes: JoinSet::new() })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Tells whether connections are accepted.
    pub(super) fn is_open(&self) -> watch::Receiver<bool> {
        self.is_open.subscribe()
    }

    fn turn(&mut self, open: bool) {
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
            as_wanted => as_wanted,
        };
        self.is_open.send_replace(matches!(self.port, Port::Open(_)));
    }

    /// A socket that has the port and does not listen.
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
            let (line, ip): (FaultyConnection, IpAddr) = tokio::select! {
                Ok(()) = self.wanted.changed() => {
                    let open = *self.wanted.borrow_and_update();
                    self.turn(open);
                    continue;
                }
                // What fails in it is the client's affair.
                Some(shaken) = self.handshakes.join_next() => match shaken {
                    Ok(Some(shaken)) => shaken,
                    _ => continue,
                },
                accepted = accepted => match (accepted, self.trust.get()) {
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
            let control = line.control.clone();
            return (line, Peer { ip, control });
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { ip: self.addr.ip(), control: Arc::default() })
    }
}
