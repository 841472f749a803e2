//! A certificate authority for tests, and TLS clients that trust it.

use crate::access::common::{ONE, TestEndpoint, get};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// The certificate and key of a client.
pub type ClientIdentity = (CertificateDer<'static>, PrivateKeyDer<'static>);

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
        self.server_files_until(folder, name, 4000);
    }

    /// Writes `server.pem` and `server.key`. The certificate expires when this year begins.
    pub fn server_files_until(&self, folder: &Path, name: &str, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
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

    /// Issues a client certificate with these names.
    pub fn client(&self, names: Vec<SanType>) -> ClientIdentity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// Connects with this authority as the root, this client certificate, and these ALPN protocols.
    pub async fn connect(
        &self,
        endpoint: &TestEndpoint,
        identity: Option<&ClientIdentity>,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(endpoint.connect(ONE).await, identity, protocols).await
    }

    /// Performs the TLS handshake over an existing connection.
    pub async fn handshake(
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
    pub async fn status(&self, endpoint: &TestEndpoint, identity: Option<&ClientIdentity>) -> u16 {
        match self.connect(endpoint, identity, &["http/1.1"]).await {
            Ok(stream) => get(stream, "/metrics", &[]).await.status,
            Err(_) => 0,
        }
    }
}
