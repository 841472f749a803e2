//! TLS: certificates of both sides, and their renewal.

use crate::access::common::{Answer, ONE, SOON, World, ask, limits, request, sha256, until};
use http_body::Body as _;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postmeter::serve::Limits;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// What a client shows.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// `server.pem` and `server.key`.
    pub fn server_files(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    }

    /// `server.pem` alone, of a key that is nowhere.
    pub fn certificate_file(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    }

    /// `ca.pem`.
    pub fn ca_file(&self, folder: &Path) {
        fs::write(folder.join("ca.pem"), self.certificate.pem()).unwrap();
    }

    fn client(&self, names: Vec<SanType>) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// A connection that trusts this authority, shows this certificate, and speaks one of these protocols.
    async fn connect(&self, world: &World, shown: Option<&Shown>, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(world.connect(ONE).await, shown, protocols).await
    }

    /// The same over one that there is.
    async fn handshake(&self, stream: TcpStream, shown: Option<&Shown>, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match shown {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The status of `/metrics`; 0 where the handshake or what follows it fails.
    async fn status(&self, world: &World, shown: Option<&Shown>) -> u16 {
        match self.connect(world, shown, &["http/1.1"]).await {
            Ok(stream) => ask(stream, "/metrics", &[]).await.status,
            Err(_) => 0,
        }
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

const TLS: &str = "cert_file: FILES/server.pem, key_file: FILES/server.key";

/// An endpoint with `tls:` of these keys besides, whose clients' authority is in `ca.pem`.
async fn world(server: &Authority, clients: &Authority, tls: &str) -> World {
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    clients.ca_file(files.path());
    World::with(&format!("    tls: {{{TLS}{tls}}}\n"), limits(), files).await
}

#[tokio::test]
async fn with_tls_there_is_nothing_without() {
    let (server, other) = (Authority::new(), Authority::new());
    let world = world(&server, &other, "").await;
    assert_eq!(server.status(&world, None).await, 200);
    assert_eq!(other.status(&world, None).await, 0);
    let mut plain = world.connect(ONE).await;
    plain.write_all(request("/metrics", &[]).as_bytes()).await.unwrap();
    assert_eq!(Answer::of(&crate::access::common::rest(plain).await).status, 0);
    world.end().await;
}

#[tokio::test]
async fn http2_is_spoken_with_those_who_ask_for_it() {
    let server = Authority::new();
    let world = world(&server, &server, "").await;
    let stream = server.connect(&world, None, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (path, expected) in [("/metrics", 200), ("/nowhere", 404)] {
        let request = http::Request::get(format!("https://127.0.0.1{path}")).body(String::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), expected);
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            bytes += frame.unwrap().into_data().map(|data| data.len()).unwrap_or(0);
        }
        assert!(expected == 404 || bytes > 200, "{bytes}");
    }
    // The end is not held up by a connection that is kept.
    world.end().await;
    tokio::time::timeout(SOON, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_stops_reading_or_greeting_is_cut_off() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let short = Duration::from_millis(400);
    let limits = Limits { head_timeout: short, answer_timeout: short, ..Limits::default() };
    let (world, stand_in) = World::large(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let page = ask(server.connect(&world, None, &["http/1.1"]).await.unwrap(), "/metrics", &[]).await;
    assert!(page.text.len() > 500_000, "{}", page.text.len());
    // Silent where a handshake should be.
    assert!(crate::access::common::rest(world.connect(ONE).await).await.is_empty());
    // A window of HTTP/2 that is never opened again: the connection takes everything, and the answer is not sent.
    let stream = server.connect(&world, None, &["h2"]).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.initial_stream_window_size(10_000).handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://127.0.0.1/metrics").body(String::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    // It ends, whether that is called an error or not; and only because it was cut off, since the sender is still there.
    let _ended = tokio::time::timeout(SOON, connection).await.expect("it is not cut off").unwrap();
    drop((sender, answer));
    let stream = server.connect(&world, None, &["http/1.1"]).await.unwrap();
    let page = ask(stream, "/metrics", &[]).await;
    assert_eq!((page.refusals("slow_request"), page.refusals("slow_reader")), (Some(1.0), Some(1.0)));
    world.end().await;
    stand_in.shutdown().await;
}

/// A client of HTTP/2 that takes so much of a stream before it reads, and its connection.
async fn http2(server: &Authority, world: &World, window_bytes: u32) -> (SendRequest<String>, JoinHandle<hyper::Result<()>>) {
    let stream = server.connect(world, None, &["h2"]).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.initial_stream_window_size(window_bytes).handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get(path: &str) -> http::Request<String> {
    http::Request::get(format!("https://127.0.0.1{path}")).body(String::new()).unwrap()
}

#[tokio::test]
async fn streams_that_stand_still_are_cut_off_beside_one_that_moves() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let limits = Limits { answer_timeout: Duration::from_secs(1), ..Limits::default() };
    let (world, stand_in) = World::large(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let (mut sender, mut connection) = http2(&server, &world, 10_000).await;
    let mut stuck = Vec::new();
    for _ in 0..15 {
        stuck.push(sender.send_request(get("/metrics")).await.unwrap());
    }
    let (began, mut moved) = (Instant::now(), 0);
    while !connection.is_finished() {
        assert!(began.elapsed() < SOON, "not cut off, with {moved} requests beside them");
        if let Ok(answer) = sender.send_request(get("/-/healthy")).await {
            moved += usize::from(answer.status() == 200);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(moved > 5, "{moved}");
    let _ended = (&mut connection).await.unwrap();

    // Slowly is not standing still: it takes longer than a second, and each part of it less.
    let (mut sender, _connection) = http2(&server, &world, 32 * 1024).await;
    let (began, mut bytes) = (Instant::now(), 0);
    let mut body = sender.send_request(get("/metrics")).await.unwrap().into_body();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes += frame.unwrap().into_data().map(|data| data.len()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(bytes > 500_000 && began.elapsed() > Duration::from_secs(1), "{bytes} in {:?}", began.elapsed());
    let page = ask(server.connect(&world, None, &["http/1.1"]).await.unwrap(), "/metrics", &[]).await;
    assert_eq!(page.refusals("slow_reader"), Some(1.0));
    drop(stuck);
    world.end().await;
    stand_in.shutdown().await;
}

#[tokio::test]
async fn refusals_that_nobody_reads_take_no_place_from_others() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let limits = Limits { requests_max: 2, requests_client_max: 2, ..limits() };
    let auth = format!("    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let world = World::with(&format!("    tls: {{{TLS}}}\n{auth}"), limits, files).await;
    let (mut sender, _connection) = http2(&server, &world, 0).await;
    let mut unread = Vec::new();
    for _ in 0..10 {
        unread.push(sender.send_request(get("/metrics")).await.unwrap());
        assert_eq!(unread.last().unwrap().status(), 401);
    }
    let stream = server.connect(&world, None, &["http/1.1"]).await.unwrap();
    assert_eq!(ask(stream, "/metrics", &["Authorization: Bearer a"]).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn a_refused_head_has_no_body_in_http2_either() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let auth = format!("    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let world = World::with(&format!("    tls: {{{TLS}}}\n{auth}"), limits(), files).await;
    let (mut sender, _connection) = http2(&server, &world, 10_000).await;
    let request = http::Request::head("https://127.0.0.1/metrics").body(String::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 401);
    let mut body = answer.into_body();
    let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
    assert!(frame.is_none(), "{frame:?}");
    world.end().await;
}

#[tokio::test]
async fn a_handshake_that_began_before_a_change_ends_with_what_was_before() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = tempfile::tempdir().unwrap();
    old.server_files(files.path(), "127.0.0.1");
    // Longer than it is waited for below.
    let limits = Limits { head_timeout: SOON * 3, ..limits() };
    let world = World::with(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let slow = world.connect(ONE).await;
    // Connections are accepted in their order.
    assert_eq!(old.status(&world, None).await, 200);
    new.server_files(world.files.path(), "127.0.0.1");
    until("the new certificate", || async { new.status(&world, None).await == 200 }).await;
    let slow = old.handshake(slow, None, &["http/1.1"]).await.unwrap();
    assert!(crate::access::common::rest(slow).await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn only_certificates_of_the_authority_are_let_in() {
    let (server, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let (good, bad) = (clients.client(vec![dns("a")]), others.client(vec![dns("a")]));
    for (tls, none, of_others, of_authority) in [
        ("", 200, 200, 200),
        (", client_auth_type: NoClientCert", 200, 200, 200),
        (", client_auth_type: RequestClientCert", 200, 200, 200),
        (", client_auth_type: RequireAnyClientCert", 0, 200, 200),
        (", client_auth_type: RequireClientCert", 0, 200, 200),
        (", client_auth_type: VerifyClientCertIfGiven, client_ca_file: FILES/ca.pem", 200, 0, 200),
        (", client_auth_type: RequireAndVerifyClientCert, client_ca_file: FILES/ca.pem", 0, 0, 200),
    ] {
        let world = world(&server, &clients, tls).await;
        let statuses =
            (server.status(&world, None).await, server.status(&world, Some(&bad)).await, server.status(&world, Some(&good)).await);
        assert_eq!(statuses, (none, of_others, of_authority), "{tls}");
        assert_eq!(world.access.is_closed(), none == 0 && of_others == 0, "{tls}");
        world.end().await;
    }
}

/// A health check has none, and is no reader: who asks for one is alive.
#[tokio::test]
async fn the_health_check_needs_no_certificate() {
    let (server, clients) = (Authority::new(), Authority::new());
    for tls in ["", ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: FILES/ca.pem"] {
        for versions in ["", ", max_version: TLS12"] {
            let world = world(&server, &clients, &format!("{tls}{versions}")).await;
            let url = format!("https://{}/-/healthy", world.addr);
            let ask = move || Command::new(env!("CARGO_BIN_EXE_postmeter")).args(["healthcheck", "--url", &url]).output();
            let said = tokio::task::spawn_blocking(ask).await.unwrap().unwrap();
            assert!(said.status.success(), "{tls}{versions}: {}", String::from_utf8_lossy(&said.stderr));
            world.end().await;
        }
    }
}

#[tokio::test]
async fn a_clients_certificate_has_one_of_the_names() {
    let (server, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let names = "client_allowed_sans: [prometheus.example.com, 192.0.2.7, 'spiffe://example.com/prometheus']";
    let tls = format!(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: FILES/ca.pem, {names}");
    let world = world(&server, &clients, &tls).await;
    let uri = SanType::URI("spiffe://example.com/prometheus".try_into().unwrap());
    for (names, expected) in [
        (vec![dns("prometheus.example.com")], 200),
        (vec![dns("other.example.com"), dns("prometheus.example.com")], 200),
        (vec![SanType::IpAddress([192, 0, 2, 7].into())], 200),
        (vec![uri], 200),
        (vec![dns("other.example.com")], 0),
        (vec![dns("*.example.com")], 0),
        (vec![dns("192.0.2.7")], 0),
        (vec![SanType::IpAddress([192, 0, 2, 8].into())], 0),
        (vec![], 0),
    ] {
        assert_eq!(server.status(&world, Some(&clients.client(names.clone()))).await, expected, "{names:?}");
    }
    assert_eq!(server.status(&world, Some(&others.client(vec![dns("prometheus.example.com")]))).await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let world = world(&old, &old, "").await;
    let mut kept = old.connect(&world, None, &["http/1.1"]).await.unwrap();
    new.server_files(world.files.path(), "127.0.0.1");
    until("the new certificate", || async { new.status(&world, None).await == 200 }).await;
    assert_eq!(old.status(&world, None).await, 0);
    // What was open before ends, in order.
    assert!(crate::access::common::rest(&mut kept).await.is_empty());

    fs::write(world.files.path().join("server.key"), "-----BEGIN PRIVATE KEY-----\n!!!\n").unwrap();
    let looks = limits().watch_interval * 10;
    tokio::time::sleep(looks).await;
    assert_eq!(new.status(&world, None).await, 200);
    fs::remove_file(world.files.path().join("server.pem")).unwrap();
    tokio::time::sleep(looks).await;
    assert_eq!(new.status(&world, None).await, 200);
    old.server_files(world.files.path(), "127.0.0.1");
    until("the old one again", || async { old.status(&world, None).await == 200 }).await;
    world.end().await;
}

#[tokio::test]
async fn versions_and_suites_are_those_that_are_asked_for() {
    let server = Authority::new();
    for (tls, expected) in [
        ("", "TLSv1_3"),
        (", max_version: TLS12", "TLSv1_2"),
        (", min_version: TLS13", "TLSv1_3"),
        (", min_version: TLS10, max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]", "TLSv1_2"),
        (", curve_preferences: [CurveP384], prefer_server_cipher_suites: false", "TLSv1_3"),
    ] {
        let world = world(&server, &server, tls).await;
        let stream = server.connect(&world, None, &[]).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(format!("{:?}", session.protocol_version().unwrap()), expected, "{tls}");
        if tls.contains("CHACHA20") {
            let suite = session.negotiated_cipher_suite().unwrap().suite();
            assert_eq!(suite.as_str(), Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"));
        }
        if tls.contains("CurveP384") {
            assert_eq!(format!("{:?}", session.negotiated_key_exchange_group().unwrap().name()), "secp384r1");
        }
        assert_eq!(ask(stream, "/metrics", &[]).await.status, 200, "{tls}");
        world.end().await;
    }
}
