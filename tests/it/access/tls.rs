//! TLS: server and client certificates, and their renewal.

use crate::access::common::{ONE, TIMEOUT, TestEndpoint, TestResponse, get, limits, request, sha256, until};
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

/// The certificate and key of a client.
type ClientIdentity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes `server.pem` and `server.key`.
    pub fn server_files(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    }

    /// Writes only `server.pem`, for a key that is not stored.
    pub fn certificate_file(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    }

    /// Writes `ca.pem`.
    pub fn ca_file(&self, folder: &Path) {
        fs::write(folder.join("ca.pem"), self.certificate.pem()).unwrap();
    }

    fn client(&self, names: Vec<SanType>) -> ClientIdentity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// Connects with this authority as the root, this client certificate, and these ALPN protocols.
    async fn connect(
        &self,
        endpoint: &TestEndpoint,
        identity: Option<&ClientIdentity>,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(endpoint.connect(ONE).await, identity, protocols).await
    }

    /// Performs the TLS handshake over an existing connection.
    async fn handshake(
        &self,
        stream: TcpStream,
        identity: Option<&ClientIdentity>,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Returns the status of `/metrics`, or 0 if the handshake or the request fails.
    async fn status(&self, endpoint: &TestEndpoint, identity: Option<&ClientIdentity>) -> u16 {
        match self.connect(endpoint, identity, &["http/1.1"]).await {
            Ok(stream) => get(stream, "/metrics", &[]).await.status,
            Err(_) => 0,
        }
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

const TLS: &str = "cert_file: FILES/server.pem, key_file: FILES/server.key";

/// Starts an endpoint with these additional keys in `tls`, and with the authority of clients in `ca.pem`.
async fn start(server: &Authority, clients: &Authority, tls: &str) -> TestEndpoint {
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    clients.ca_file(files.path());
    TestEndpoint::with_limits(&format!("    tls: {{{TLS}{tls}}}\n"), limits(), files).await
}

#[tokio::test]
async fn with_tls_plain_connections_are_refused() {
    let (server, other) = (Authority::new(), Authority::new());
    let endpoint = start(&server, &other, "").await;
    assert_eq!(server.status(&endpoint, None).await, 200);
    assert_eq!(other.status(&endpoint, None).await, 0);
    let mut plain = endpoint.connect(ONE).await;
    plain.write_all(request("/metrics", &[]).as_bytes()).await.unwrap();
    assert_eq!(TestResponse::parse(&crate::access::common::read_to_end(plain).await).status, 0);
    endpoint.end().await;
}

#[tokio::test]
async fn http2_is_spoken_with_those_who_ask_for_it() {
    let server = Authority::new();
    let endpoint = start(&server, &server, "").await;
    let stream = server.connect(&endpoint, None, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (path, expected) in [("/metrics", 200), ("/nowhere", 404)] {
        let request = http::Request::get(format!("https://127.0.0.1{path}")).body(String::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), expected);
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            bytes += frame.unwrap().into_data().map(|data| data.len()).unwrap_or(0);
        }
        assert!(expected == 404 || bytes > 200, "{bytes}");
    }
    // The end is not held up by a connection that is kept.
    endpoint.end().await;
    tokio::time::timeout(TIMEOUT, connection).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_stops_reading_or_sends_no_handshake_is_disconnected() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let short = Duration::from_millis(400);
    let limits = Limits { head_timeout: short, response_timeout: short, ..Limits::default() };
    let (endpoint, mail_server) = TestEndpoint::with_large_target(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let page = get(server.connect(&endpoint, None, &["http/1.1"]).await.unwrap(), "/metrics", &[]).await;
    assert!(page.text.len() > 500_000, "{}", page.text.len());
    // The client sends no handshake.
    assert!(crate::access::common::read_to_end(endpoint.connect(ONE).await).await.is_empty());
    // The HTTP/2 window of the stream stays closed: the connection accepts data, but the response is not sent.
    let stream = server.connect(&endpoint, None, &["h2"]).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.initial_stream_window_size(10_000).handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://127.0.0.1/metrics").body(String::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    // The connection ends, with or without an error, because the server closes it: the sender is still alive.
    let _ended = tokio::time::timeout(TIMEOUT, connection).await.expect("the client is not disconnected").unwrap();
    drop((sender, response));
    let stream = server.connect(&endpoint, None, &["http/1.1"]).await.unwrap();
    let page = get(stream, "/metrics", &[]).await;
    assert_eq!((page.refusals("slow_request"), page.refusals("slow_reader")), (Some(1.0), Some(1.0)));
    endpoint.end().await;
    mail_server.shutdown().await;
}

/// Creates an HTTP/2 client with this stream window, and its connection.
async fn http2(server: &Authority, endpoint: &TestEndpoint, window_bytes: u32) -> (SendRequest<String>, JoinHandle<hyper::Result<()>>) {
    let stream = server.connect(endpoint, None, &["h2"]).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.initial_stream_window_size(window_bytes).handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get_request(path: &str) -> http::Request<String> {
    http::Request::get(format!("https://127.0.0.1{path}")).body(String::new()).unwrap()
}

#[tokio::test]
async fn a_connection_with_stalled_streams_is_closed_in_spite_of_progress_of_another_stream() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let limits = Limits { response_timeout: Duration::from_secs(1), ..Limits::default() };
    let (endpoint, mail_server) = TestEndpoint::with_large_target(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let (mut sender, mut connection) = http2(&server, &endpoint, 10_000).await;
    let mut stalled = Vec::new();
    for _ in 0..15 {
        stalled.push(sender.send_request(get_request("/metrics")).await.unwrap());
    }
    let (started, mut completed) = (Instant::now(), 0);
    while !connection.is_finished() {
        assert!(started.elapsed() < TIMEOUT, "not disconnected after {completed} other requests");
        if let Ok(response) = sender.send_request(get_request("/-/healthy")).await {
            completed += usize::from(response.status() == 200);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(completed > 5, "{completed}");
    let _ended = (&mut connection).await.unwrap();

    // Slow reading is not a stall: the response takes longer than a second, but each part of it less.
    let (mut sender, _connection) = http2(&server, &endpoint, 32 * 1024).await;
    let (started, mut bytes) = (Instant::now(), 0);
    let mut body = sender.send_request(get_request("/metrics")).await.unwrap().into_body();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes += frame.unwrap().into_data().map(|data| data.len()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(bytes > 500_000 && started.elapsed() > Duration::from_secs(1), "{bytes} in {:?}", started.elapsed());
    let page = get(server.connect(&endpoint, None, &["http/1.1"]).await.unwrap(), "/metrics", &[]).await;
    assert_eq!(page.refusals("slow_reader"), Some(1.0));
    drop(stalled);
    endpoint.end().await;
    mail_server.shutdown().await;
}

#[tokio::test]
async fn unread_refusals_do_not_occupy_capacity() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let limits = Limits { requests_max: 2, requests_client_max: 2, ..limits() };
    let auth = format!("    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let endpoint = TestEndpoint::with_limits(&format!("    tls: {{{TLS}}}\n{auth}"), limits, files).await;
    let (mut sender, _connection) = http2(&server, &endpoint, 0).await;
    let mut unread = Vec::new();
    for _ in 0..10 {
        unread.push(sender.send_request(get_request("/metrics")).await.unwrap());
        assert_eq!(unread.last().unwrap().status(), 401);
    }
    let stream = server.connect(&endpoint, None, &["http/1.1"]).await.unwrap();
    assert_eq!(get(stream, "/metrics", &["Authorization: Bearer a"]).await.status, 200);
    endpoint.end().await;
}

#[tokio::test]
async fn a_refused_head_request_has_no_body_in_http2() {
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files(files.path(), "127.0.0.1");
    let auth = format!("    auth: {{tokens: [{{name: a, sha256: {}}}]}}\n", sha256("a"));
    let endpoint = TestEndpoint::with_limits(&format!("    tls: {{{TLS}}}\n{auth}"), limits(), files).await;
    let (mut sender, _connection) = http2(&server, &endpoint, 10_000).await;
    let request = http::Request::head("https://127.0.0.1/metrics").body(String::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 401);
    let mut body = response.into_body();
    let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
    assert!(frame.is_none(), "{frame:?}");
    endpoint.end().await;
}

#[tokio::test]
async fn a_handshake_completes_with_the_certificate_at_its_beginning() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = tempfile::tempdir().unwrap();
    old.server_files(files.path(), "127.0.0.1");
    // Longer than the waits below.
    let limits = Limits { head_timeout: TIMEOUT * 3, ..limits() };
    let endpoint = TestEndpoint::with_limits(&format!("    tls: {{{TLS}}}\n"), limits, files).await;
    let slow = endpoint.connect(ONE).await;
    // Connections are accepted in order, so the slow one has been accepted when this one is served.
    assert_eq!(old.status(&endpoint, None).await, 200);
    new.server_files(endpoint.files.path(), "127.0.0.1");
    until("the new certificate", || async { new.status(&endpoint, None).await == 200 }).await;
    let slow = old.handshake(slow, None, &["http/1.1"]).await.unwrap();
    assert!(crate::access::common::read_to_end(slow).await.is_empty());
    endpoint.end().await;
}

#[tokio::test]
async fn client_certificates_are_checked_as_configured() {
    let (server, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let (valid, invalid) = (clients.client(vec![dns("a")]), others.client(vec![dns("a")]));
    for (tls, none, of_others, of_authority) in [
        ("", 200, 200, 200),
        (", client_auth_type: NoClientCert", 200, 200, 200),
        (", client_auth_type: RequestClientCert", 200, 200, 200),
        (", client_auth_type: RequireAnyClientCert", 0, 200, 200),
        (", client_auth_type: RequireClientCert", 0, 200, 200),
        (", client_auth_type: VerifyClientCertIfGiven, client_ca_file: FILES/ca.pem", 200, 0, 200),
        (", client_auth_type: RequireAndVerifyClientCert, client_ca_file: FILES/ca.pem", 0, 0, 200),
    ] {
        let endpoint = start(&server, &clients, tls).await;
        let statuses = (
            server.status(&endpoint, None).await,
            server.status(&endpoint, Some(&invalid)).await,
            server.status(&endpoint, Some(&valid)).await,
        );
        assert_eq!(statuses, (none, of_others, of_authority), "{tls}");
        assert_eq!(endpoint.access.is_closed(), none == 0 && of_others == 0, "{tls}");
        endpoint.end().await;
    }
}

/// The health check has no client certificate. A failed handshake for that reason shows that the server is alive.
#[tokio::test]
async fn the_health_check_needs_no_certificate() {
    let (server, clients) = (Authority::new(), Authority::new());
    for tls in ["", ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: FILES/ca.pem"] {
        for versions in ["", ", max_version: TLS12"] {
            let endpoint = start(&server, &clients, &format!("{tls}{versions}")).await;
            let url = format!("https://{}/-/healthy", endpoint.addr);
            let run = move || Command::new(env!("CARGO_BIN_EXE_postmeter")).args(["healthcheck", "--url", &url]).output();
            let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
            assert!(output.status.success(), "{tls}{versions}: {}", String::from_utf8_lossy(&output.stderr));
            endpoint.end().await;
        }
    }
}

#[tokio::test]
async fn a_client_certificate_must_have_an_allowed_name() {
    let (server, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let names = "client_allowed_sans: [prometheus.example.com, 192.0.2.7, 'spiffe://example.com/prometheus']";
    let tls = format!(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: FILES/ca.pem, {names}");
    let endpoint = start(&server, &clients, &tls).await;
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
        assert_eq!(server.status(&endpoint, Some(&clients.client(names.clone()))).await, expected, "{names:?}");
    }
    assert_eq!(server.status(&endpoint, Some(&others.client(vec![dns("prometheus.example.com")]))).await, 0);
    endpoint.end().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_applied_but_not_a_broken_one() {
    let (old, new) = (Authority::new(), Authority::new());
    let endpoint = start(&old, &old, "").await;
    let mut kept = old.connect(&endpoint, None, &["http/1.1"]).await.unwrap();
    new.server_files(endpoint.files.path(), "127.0.0.1");
    until("the new certificate", || async { new.status(&endpoint, None).await == 200 }).await;
    assert_eq!(old.status(&endpoint, None).await, 0);
    // Open connections are closed gracefully.
    assert!(crate::access::common::read_to_end(&mut kept).await.is_empty());

    fs::write(endpoint.files.path().join("server.key"), "-----BEGIN PRIVATE KEY-----\n!!!\n").unwrap();
    let several_checks = limits().watch_interval * 10;
    tokio::time::sleep(several_checks).await;
    assert_eq!(new.status(&endpoint, None).await, 200);
    fs::remove_file(endpoint.files.path().join("server.pem")).unwrap();
    tokio::time::sleep(several_checks).await;
    assert_eq!(new.status(&endpoint, None).await, 200);
    old.server_files(endpoint.files.path(), "127.0.0.1");
    until("the old certificate again", || async { old.status(&endpoint, None).await == 200 }).await;
    endpoint.end().await;
}

#[tokio::test]
async fn versions_suites_and_curves_are_those_in_the_configuration() {
    let server = Authority::new();
    for (tls, expected) in [
        ("", "TLSv1_3"),
        (", max_version: TLS12", "TLSv1_2"),
        (", min_version: TLS13", "TLSv1_3"),
        (", min_version: TLS10, max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]", "TLSv1_2"),
        (", curve_preferences: [CurveP384], prefer_server_cipher_suites: false", "TLSv1_3"),
    ] {
        let endpoint = start(&server, &server, tls).await;
        let stream = server.connect(&endpoint, None, &[]).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(format!("{:?}", session.protocol_version().unwrap()), expected, "{tls}");
        if tls.contains("CHACHA20") {
            let suite = session.negotiated_cipher_suite().unwrap().suite();
            assert_eq!(suite.as_str(), Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"));
        }
        if tls.contains("CurveP384") {
            assert_eq!(format!("{:?}", session.negotiated_key_exchange_group().unwrap().name()), "secp384r1");
        }
        assert_eq!(get(stream, "/metrics", &[]).await.status, 200, "{tls}");
        endpoint.end().await;
    }
}
