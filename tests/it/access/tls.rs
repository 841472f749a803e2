//! TLS: server and client certificates, and their renewal.

use crate::access::authority::Authority;
use crate::access::common::{FilesLog, ONE, TIMEOUT, TestEndpoint, TestResponse, get, limits, request, until};
use http_body::Body as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postmeter::serve::ServerLimits;
use rcgen::SanType;
use std::fs;
use std::pin::Pin;
use std::process::Command;
use tokio::io::AsyncWriteExt;

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// The keys of `tls` for the files of [`Authority::server_files`].
pub const TLS: &str = "cert_file: FILES/server.pem, key_file: FILES/server.key";

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
async fn http2_is_negotiated_if_the_client_offers_it() {
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
async fn a_handshake_completes_with_the_certificate_at_its_beginning() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = tempfile::tempdir().unwrap();
    old.server_files(files.path(), "127.0.0.1");
    // Longer than the waits below.
    let limits = ServerLimits { head_timeout: TIMEOUT * 3, ..limits() };
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

/// A program that renews certificates may fail unnoticed, so the time of the current one is a metric.
#[tokio::test]
async fn the_end_of_the_certificate_is_a_metric_that_follows_the_file() {
    const METRIC: &str = "postmeter_certificate_not_after_timestamp_seconds";
    let server = Authority::new();
    let files = tempfile::tempdir().unwrap();
    server.server_files_until(files.path(), "127.0.0.1", 2040);
    let endpoint = TestEndpoint::with_limits(&format!("    tls: {{{TLS}}}\n"), limits(), files).await;
    let value = || async {
        let stream = server.connect(&endpoint, None, &["http/1.1"]).await.unwrap();
        let page = get(stream, "/metrics", &[]).await.text;
        let line = page.lines().find(|line| line.starts_with(METRIC) && line.contains("job=\"postmeter\""));
        // None if the file changed between the handshake and the request: such a connection ends without a response.
        line.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    };
    assert_eq!(value().await, Some(2_208_988_800.0));
    server.server_files_until(endpoint.files.path(), "127.0.0.1", 2055);
    until("the time of the new certificate", || async { value().await == Some(2_682_374_400.0) }).await;
    endpoint.end().await;

    let plain = TestEndpoint::new("").await;
    let page = get(plain.connect(ONE).await, "/metrics", &[]).await.text;
    assert!(page.contains("postmeter_build_info") && !page.contains(METRIC), "{page}");
    plain.end().await;
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
    let log = FilesLog::begin();
    let (old, new) = (Authority::new(), Authority::new());
    let endpoint = start(&old, &old, "").await;
    let mut kept = old.connect(&endpoint, None, &["http/1.1"]).await.unwrap();
    new.server_files(endpoint.files.path(), "127.0.0.1");
    until("the new certificate", || async { new.status(&endpoint, None).await == 200 }).await;
    assert_eq!(old.status(&endpoint, None).await, 0);
    // Open connections are closed gracefully.
    assert!(crate::access::common::read_to_end(&mut kept).await.is_empty());

    let [certificate, key] = ["server.pem", "server.key"].map(|name| endpoint.files.path().join(name));
    log.until_rejected(|| fs::write(key, "-----BEGIN PRIVATE KEY-----\n!!!\n").unwrap()).await;
    assert_eq!(new.status(&endpoint, None).await, 200);
    log.until_rejected(|| fs::remove_file(certificate).unwrap()).await;
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
