//! Clients without credentials cannot lock out senders.

use super::senders::{Senders, deliveries};
use super::world::{PATIENCE, TOKEN, World, client, page_of, record, until, value};
use crate::support::install_crypto_provider;
use crate::support::program::Program;
use postmeter::simulate::HookSystem;
use reqwest::StatusCode;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

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
    install_crypto_provider();
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

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_client_with_the_most_connections() {
    let world = World::new();
    let mut program = Program::spawn_with(world.state.path(), &world.file(None), &[]);
    let address = program.receive_url().await.strip_prefix("http://").unwrap().parse().unwrap();
    let mut held = Vec::new();
    // As many as there may be: 64 of an address, and 128 in total. The next one is of another address.
    for from in [vec![3; 64], (100..164).collect(), vec![50]].concat() {
        held.push(connect(address, from).await);
    }
    let is_logged = || program.log().iter().any(|line| line.contains("closes connections of clients that have not authenticated"));
    until("a closed connection is logged", is_logged).await;
    drop(held);
    let log = program.end();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("closes connections of clients that have not authenticated")).collect();
    assert!(lines.len() == 1 && lines[0].contains("client=127.0.1.3"), "{log:#?}");
}

/// Sends all but the end of a body without a credential, and waits for the response or the end of the connection.
async fn send_incomplete(to: SocketAddr, target: &str, bytes: usize) {
    let mut stream = connect(to, 1).await;
    let head = format!("POST /v1/deliveries/{target} HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (chunk, mut rest) = (vec![b'x'; 1024 * 1024], bytes - 100);
    // A connection that is closed meanwhile has an error.
    while rest > 0 && stream.write_all(&chunk[..rest.min(chunk.len())]).await.is_ok() {
        rest -= rest.min(chunk.len());
    }
    let _ = stream.read(&mut [0; 100]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_a_credential_leave_memory_to_authenticated_senders() {
    install_crypto_provider();
    let mut world = World::new();
    world.targets = format!(
        "  - {{name: s1, system: stalwart, parts: {{deliveries: {{signing_key: a-long-secret}}}}}}\n  - {{name: s2, system: stalwart, parts: {{deliveries: {{signing_key: a-long-secret}}}}}}\n  - {{name: mta1, system: kumomta, parts: {{deliveries: {{token: {TOKEN}}}}}}}\n"
    );
    let mut program = Program::spawn_with(world.state.path(), &world.file(None), &[]);
    let url = program.receive_url().await;
    let address = url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut strangers = JoinSet::new();
    for target in ["s1", "s2"] {
        strangers.spawn(send_incomplete(address, target, 64 * 1024 * 1024));
    }
    // There is not enough for both.
    tokio::time::timeout(PATIENCE, strangers.join_next()).await.unwrap().unwrap().unwrap();
    for id in 0..5 {
        let request = client().post(format!("{url}/v1/deliveries/mta1")).bearer_auth(TOKEN).body(record(id, "Delivery"));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{id}");
    }
    strangers.shutdown().await;
    let log = program.end();
    let rejected: Vec<_> = log.iter().filter(|line| line.contains("delivery records are rejected with 503")).collect();
    let names_cause = |line: &&String| line.contains("not verified yet") && line.contains("those of target s") && !line.contains("mta1");
    assert!(!rejected.is_empty() && rejected.iter().all(names_cause), "{log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_credential_do_not_occupy_the_slots_of_a_target() {
    const HELD: usize = 40;
    const OF_A_STRANGER: usize = 16;
    let senders = Senders::new();
    let service = senders.world().service(None).await;
    let address = service.receive_address.unwrap();
    let system = HookSystem::Emailengine;
    let mut held = Vec::new();
    for _ in 0..HELD {
        let mut stream = connect(address, 1).await;
        let head = format!("POST /v1/deliveries/{} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx", system.name());
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    until("there are too many of one address", || held.iter().filter(|stream| is_open(stream)).count() <= OF_A_STRANGER).await;
    let sender = senders.start(system, &format!("http://{address}"), None);
    sender.report(deliveries(0..5));
    until("the sender is idle", || sender.is_idle()).await;
    assert_eq!(sender.totals().statuses.into_keys().collect::<Vec<_>>(), [200]);
    drop(held);
    service.stop().await;
}
