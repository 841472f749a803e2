//! Clients without credentials cannot lock out senders.

use super::world::{PATIENCE, TOKEN, World, client, page_of, record, until, value};
use crate::support::program::Program;
use reqwest::StatusCode;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// A connection from this address of the network 127.0.1.0.
async fn connect(to: SocketAddr, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 1, from), 0))).unwrap();
    tokio::time::timeout(PATIENCE, socket.connect(to)).await.unwrap().unwrap()
}

fn is_open(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_held_open_do_not_lock_out_senders() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = World::new();
    let mut program = Program::spawn_with(world.state.path(), &world.file(None), &[]);
    let url = program.receive_url().await;
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let post = async |id: u64| {
        let request = client().post(format!("{url}/v1/deliveries/mta1")).bearer_auth(TOKEN).body(record(id, "Delivery"));
        request.send().await.unwrap().status()
    };
    // More than there may be, and more of each address than there may be.
    let mut held = Vec::new();
    for n in 0..800_u64 {
        held.push(connect(address, (n % 2) as u8).await);
        if n % 50 == 0 {
            held.retain(is_open);
            assert_eq!(post(n).await, StatusCode::OK, "{n}");
        }
    }
    until("the rest are closed", || {
        held.retain(is_open);
        held.len() <= 128
    })
    .await;
    let page = page_of(&program.base_url().await).await;
    assert!(value(&page, "postmeter_pull_refusals_total", &["\"displaced\""]) >= 600.0, "{page}");
    drop(held);
    let log = program.end();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("closes connections of clients that have not authenticated")).collect();
    assert!(lines.len() == 1 && lines[0].contains("the listener of receive") && lines[0].contains("127.0.1."), "{log:#?}");
}
