//! A port at which connections are refused.

use std::net::SocketAddr;
use tokio::net::TcpSocket;

/// An address of this machine whose port is occupied and does not listen.
///
/// A listener that was dropped is not enough: another test may get its port, and a process that is being started has a copy of it.
pub struct ClosedPort {
    pub address: SocketAddr,
    _socket: TcpSocket,
}

impl ClosedPort {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}
