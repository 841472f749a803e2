//! TLS of clients: trusted authorities and a client certificate, read from files, for reqwest and tonic.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

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
#[error("{}: {error}", path.display())]
pub(crate) struct TlsFileError {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// A setting whose file reqwest does not accept.
#[derive(Debug)]
pub(crate) struct UnusableTls {
    pub(crate) setting: &'static str,
    pub(crate) error: reqwest::Error,
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
        let read = |path: &Path| std::fs::read(path).map_err(|error| TlsFileError { path: path.to_owned(), error });
        let ca = self.ca_file.map(read).transpose()?;
        let identity = match (self.cert_file, self.key_file) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        Ok(ClientTls { ca, identity })
    }
}

impl ClientTls {
    /// Configures a client of reqwest. Without `https` no authorities are loaded: a container may have none.
    ///
    /// # Errors
    /// The setting whose file is not usable PEM.
    pub(crate) fn configure(self, mut builder: reqwest::ClientBuilder, https: bool) -> Result<reqwest::ClientBuilder, UnusableTls> {
        let unusable = |setting| move |error| UnusableTls { setting, error };
        if let Some(ca) = self.ca {
            let authorities = reqwest::Certificate::from_pem_bundle(&ca).map_err(unusable("tls.ca_file"))?;
            builder = builder.tls_certs_only(authorities);
        } else if !https {
            builder = builder.tls_certs_only([]);
        }
        if let Some((cert, key)) = self.identity {
            let identity = reqwest::Identity::from_pem(&[cert, key].join(&b'\n'));
            builder = builder.identity(identity.map_err(unusable("tls.cert_file and tls.key_file"))?);
        }
        Ok(builder)
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

/// Installs rustls' provider of cryptography for this process. Call this before the first client is built.
pub(crate) fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It fails only if an embedding program has installed another provider, which then is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
