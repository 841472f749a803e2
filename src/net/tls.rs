//! TLS of clients: trusted authorities and a client certificate, read from files, for reqwest and tonic.
//!
//! Clients without a configuration of their own share one of rustls: the system's authorities need 110 KB of memory, and a cache of
//! sessions 14 KB for 32 servers.

use super::{open_regular_file, read_limited, root_cause};
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Once};
use std::time::{Duration, Instant};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// The largest file of certificates. That of the authorities of a system has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The time in which further clients get the same configuration: those of one start or reload. Later ones read the system's authorities
/// again.
const SHARED_FOR: Duration = Duration::from_secs(60);
/// Servers whose TLS sessions are remembered and resumed.
const SERVERS_MAX: usize = 2048;
/// rustls counts sessions, of which it remembers several for each server.
const SESSIONS_PER_SERVER: usize = 8;

/// PEM files of a client's TLS configuration. Absent ones keep the defaults: the system's authorities, no client certificate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TlsFiles<'a> {
    pub(crate) ca_file: Option<&'a Path>,
    pub(crate) cert_file: Option<&'a Path>,
    pub(crate) key_file: Option<&'a Path>,
}

/// The contents of [`TlsFiles`].
#[derive(Debug)]
pub(crate) struct ClientTls {
    ca: Option<Vec<u8>>,
    /// The certificate chain and its private key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// A TLS file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {error}", path.display())]
pub(crate) struct TlsFileError {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// A setting whose file is not accepted.
#[derive(Debug)]
pub(crate) struct UnusableTls {
    pub(crate) setting: &'static str,
    pub(crate) reason: String,
}

impl UnusableTls {
    fn of(setting: &'static str) -> impl Fn(reqwest::Error) -> Self {
        move |error| Self { setting, reason: root_cause(&error.without_url()) }
    }
}

impl<'a> TlsFiles<'a> {
    /// The paths of the files that are configured.
    pub(crate) fn paths(self) -> impl Iterator<Item = &'a Path> {
        [self.ca_file, self.cert_file, self.key_file].into_iter().flatten()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// The file that cannot be read.
    pub(crate) fn read(self) -> Result<ClientTls, TlsFileError> {
        let read = |path: &Path| read_file(path).map_err(|error| TlsFileError { path: path.to_owned(), error });
        let read_authorities = |path: &Path| {
            let bytes = read(path)?;
            match check_authorities(&bytes) {
                Ok(()) => Ok(bytes),
                Err(error) => Err(TlsFileError { path: path.to_owned(), error }),
            }
        };
        let ca = self.ca_file.map(read_authorities).transpose()?;
        let identity = match (self.cert_file, self.key_file) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        Ok(ClientTls { ca, identity })
    }
}

/// Checks that there are authorities, without which every server would be rejected as one of an unknown issuer.
fn check_authorities(pem: &[u8]) -> io::Result<()> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate.map_err(|error| error.to_string()).and_then(|der| authorities.add(der).map_err(|error| error.to_string()));
        added.map_err(|error| io::Error::other(format!("a certificate in it is not valid: {error}")))?;
    }
    if authorities.is_empty() { Err(io::Error::other("it has no certificate in PEM format")) } else { Ok(()) }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = read_limited(open_regular_file(path)?, FILE_BYTES_MAX)?;
    if bytes.len() as u64 > FILE_BYTES_MAX { Err(io::Error::other("it exceeds the limit of 16 MiB")) } else { Ok(bytes) }
}

impl ClientTls {
    /// Configures a client of reqwest. Without `is_https` no authorities are loaded: a container may have none.
    ///
    /// # Errors
    /// The setting whose file is not usable PEM, or the system's authorities cannot be loaded.
    pub(crate) fn configure(
        self,
        mut builder: reqwest::ClientBuilder,
        is_https: bool,
        is_verified: bool,
    ) -> Result<reqwest::ClientBuilder, UnusableTls> {
        if self.ca.is_none() && self.identity.is_none() && is_verified {
            let shared = if is_https { with_system_authorities()? } else { WITHOUT_AUTHORITIES.clone() };
            return Ok(builder.tls_backend_preconfigured(shared));
        }
        if let Some(ca) = self.ca {
            let authorities = reqwest::Certificate::from_pem_bundle(&ca).map_err(UnusableTls::of("tls.ca_file"))?;
            builder = builder.tls_certs_only(authorities);
        } else if !is_https {
            builder = builder.tls_certs_only([]);
        }
        if let Some((cert, key)) = self.identity {
            let identity = reqwest::Identity::from_pem(&[cert, key].join(&b'\n'));
            builder = builder.identity(identity.map_err(UnusableTls::of("tls.cert_file and tls.key_file"))?);
        }
        Ok(builder.tls_danger_accept_invalid_certs(!is_verified))
    }

    /// The configuration of a gRPC channel. `server_name` replaces the host of the endpoint as the name that the certificate must have.
    pub(crate) fn for_grpc(self, server_name: Option<&str>) -> ClientTlsConfig {
        let mut tls = match self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((cert, key)) = self.identity {
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        if let Some(name) = server_name {
            tls = tls.domain_name(name);
        }
        tls
    }
}

/// The configuration of clients that do not use TLS.
static WITHOUT_AUTHORITIES: LazyLock<ClientConfig> = LazyLock::new(|| {
    install_crypto_provider();
    let mut config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
});

/// A configuration with the system's authorities and no client certificate.
fn with_system_authorities() -> Result<ClientConfig, UnusableTls> {
    static SHARED: Mutex<Option<(Instant, ClientConfig)>> = Mutex::new(None);
    let mut shared = SHARED.lock();
    if let Some((_, config)) = shared.as_ref().filter(|(since, _)| since.elapsed() < SHARED_FOR) {
        return Ok(config.clone());
    }
    install_crypto_provider();
    let mut config = ClientConfig::builder().with_platform_verifier().map_err(without_authorities)?.with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SERVERS_MAX * SESSIONS_PER_SERVER);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    *shared = Some((Instant::now(), config.clone()));
    Ok(config)
}

fn without_authorities(error: rustls::Error) -> UnusableTls {
    let reason = match error {
        rustls::Error::General(reason) => reason,
        other => other.to_string(),
    };
    UnusableTls { setting: "tls", reason: format!("{reason}; install the package ca-certificates, or set tls.ca_file") }
}

/// Installs rustls' provider of cryptography for this process. Call this before the first client is built.
pub(crate) fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails only if an embedding program has installed another provider, which then is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_without_a_certificate_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let read = || TlsFiles { ca_file: Some(&path), ..TlsFiles::default() }.read();
        for content in ["", "# later\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&path, content).unwrap();
            let error = read().unwrap_err().to_string();
            assert!(error.ends_with("/ca.pem: it has no certificate in PEM format"), "{error}");
        }
        let certified = rcgen::generate_simple_self_signed(["mail.example.com".to_owned()]).unwrap();
        std::fs::write(&path, certified.cert.pem()).unwrap();
        assert!(read().is_ok());
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.contains("/ca.pem: a certificate in it is not valid: "), "{error}");
    }
}
