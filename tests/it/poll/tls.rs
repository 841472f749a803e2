//! TLS: the certificate of the server, and the client certificate.

use crate::poll::common::{GOOD, SECRET, Server, emailengine, fails, is_good, response, send, target};
use postmeter::poll::Target;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// A certificate authority, with its certificate in `ca.pem`, and the files of certificates that it has issued.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    files: TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), certificate, files }
    }

    fn sign(&self, params: CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes a client certificate and its key to `client.pem` and `client.key`.
    fn client(&self) {
        let (certificate, key) = self.sign(CertificateParams::new(vec!["client".to_owned()]).unwrap());
        fs::write(self.files.path().join("client.pem"), certificate.pem()).unwrap();
        fs::write(self.files.path().join("client.key"), key.serialize_pem()).unwrap();
    }

    async fn server(&self, params: CertificateParams, clients: Option<&Self>) -> Server {
        let (certificate, key) = self.sign(params);
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Server::tls(Arc::new(config), |_, _| send(response("200 OK", GOOD))).await
    }

    /// A target with these keys of `tls:`. `FILES` is replaced by the directory of the files.
    fn target(&self, server: &Server, tls: &str) -> Arc<Target> {
        let tls = tls.replace("FILES", &self.files.path().display().to_string());
        target(&format!("system: emailengine, url: 'https://{}', token: '${{env:SECRET}}', tls: {{{tls}}}", server.addr))
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

#[tokio::test]
async fn the_authority_must_be_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server(named("127.0.0.1"), None).await;
    let target = other.target(&server, "ca_file: FILES/ca.pem");
    fails(&target, &target.reading().await, "tls", "check tls.ca_file");
    // The system's authorities do not include it either.
    let target = authority.target(&server, "");
    fails(&target, &target.reading().await, "tls", "check tls.ca_file");
    assert_eq!(server.count(), 0, "a credential was sent to an untrusted server");
    is_good(&authority.target(&server, "ca_file: FILES/ca.pem").reading().await);
}

/// Runs `postmeter scrape` for two targets, with this file as the list of the system's authorities.
async fn scrape(server: &Server, authorities: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postmeter"));
    let config = authorities.with_file_name("postmeter.yaml");
    let target = |name| format!("{{name: {name}, system: emailengine, url: 'https://{}', token: x}}", server.addr);
    fs::write(&config, format!("targets: [{}, {}]\n", target("a"), target("b"))).unwrap();
    command.args(["scrape", "--config"]).arg(&config).env("SSL_CERT_FILE", authorities).env_remove("SSL_CERT_DIR");
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_authorities_of_the_system_are_used() {
    let authority = Authority::new();
    let server = authority.server(named("127.0.0.1"), None).await;
    let output = scrape(&server, &authority.files.path().join("ca.pem")).await;
    let page = String::from_utf8_lossy(&output.stdout);
    let up = page.lines().filter(|line| line.starts_with("mail_up{") && line.ends_with(" 1")).count();
    assert_eq!(up, 2, "{page}{}", String::from_utf8_lossy(&output.stderr));
    // Without any, the error names a remedy.
    let output = scrape(&server, &authority.files.path().join("missing.pem")).await;
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("set tls.ca_file"), "{log}");
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let authority = Authority::new();
    let server = authority.server(named("mail.example.com"), None).await;
    let target = authority.target(&server, "ca_file: FILES/ca.pem");
    fails(&target, &target.reading().await, "tls", "tls.server_name");
    let target = authority.target(&server, "ca_file: FILES/ca.pem, server_name: Other.example.com");
    fails(&target, &target.reading().await, "tls", "tls.server_name");
    assert_eq!(server.count(), 0);
    for name in ["mail.example.com", "MAIL.example.com"] {
        is_good(&authority.target(&server, &format!("ca_file: FILES/ca.pem, server_name: {name}")).reading().await);
    }
    let host = format!("\r\nhost: mail.example.com:{}\r\n", server.addr.port());
    assert!(server.requests().iter().all(|request| request.contains(&host)), "{:?}", server.requests());
}

#[tokio::test]
async fn an_error_does_not_list_all_names_of_a_certificate() {
    let names: Vec<String> = (0..500).map(|n| format!("customer-{n}.example.com")).collect();
    let authority = Authority::new();
    let server = authority.server(CertificateParams::new(names).unwrap(), None).await;
    let target = authority.target(&server, "ca_file: FILES/ca.pem");
    let reading = target.reading().await;
    fails(&target, &reading, "tls", "127.0.0.1");
    assert!(!reading.outcome.as_ref().unwrap_err().to_string().contains("customer-10."), "{:?}", reading.outcome);
}

#[tokio::test]
async fn a_certificate_that_has_expired() {
    let authority = Authority::new();
    let mut params = named("127.0.0.1");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let server = authority.server(params, None).await;
    let target = authority.target(&server, "ca_file: FILES/ca.pem");
    fails(&target, &target.reading().await, "tls", "expired");
}

#[tokio::test]
async fn a_client_certificate() {
    let authority = Authority::new();
    authority.client();
    let server = authority.server(named("127.0.0.1"), Some(&authority)).await;
    let target = authority.target(&server, "ca_file: FILES/ca.pem");
    for _ in 0..3 {
        fails(&target, &target.reading().await, "tls", "tls.cert_file");
    }
    is_good(&authority.target(&server, "ca_file: FILES/ca.pem, cert_file: FILES/client.pem, key_file: FILES/client.key").reading().await);
    let other = Authority::new();
    other.client();
    let tls = format!("ca_file: {}/ca.pem, cert_file: FILES/client.pem, key_file: FILES/client.key", authority.files.path().display());
    let target = other.target(&server, &tls);
    fails(&target, &target.reading().await, "tls", "");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn any_certificate_is_accepted_with_insecure_skip_verify() {
    let authority = Authority::new();
    let server = authority.server(named("mail.example.com"), None).await;
    is_good(&authority.target(&server, "insecure_skip_verify: true").reading().await);
    assert!(server.requests()[0].contains(SECRET));
}

#[tokio::test]
async fn a_server_without_tls() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = emailengine(&format!("https://{}", server.local_addr().unwrap()));
    let plain = tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        stream.write_all(&response("400 Bad Request", "")).await.unwrap();
        stream
    });
    fails(&target, &target.reading().await, "tls", "if the server does not use TLS on this port, use http in the url");
    plain.await.unwrap();
    let authority = Authority::new();
    let server = authority.server(named("127.0.0.1"), None).await;
    let target = emailengine(&server.url());
    fails(&target, &target.reading().await, "malformed", "if this is a TLS port, use https in the url");
    // A server that responds with an HTTP error.
    let server = Server::always(response("400 Bad Request", "The plain HTTP request was sent to HTTPS port")).await;
    let target = emailengine(&server.url());
    fails(&target, &target.reading().await, "status", "if this is a TLS port, use https in the url");
}
