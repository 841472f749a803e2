//! PEM certificates and keys, in a file or inline in the configuration.

use crate::net::{explain_denied_access, read_limited};
use rustls::Error;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;

/// The largest size of a PEM file.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// PEM certificates or a PEM private key.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The path of a file, which is read again when it changes.
    File(PathBuf),
    /// The PEM text itself.
    Inline(String),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(_) => f.write_str("Inline(***)"),
        }
    }
}

impl Pem {
    /// Reads the PEM text.
    ///
    /// # Errors
    /// The file cannot be read; the message names it.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let path = match self {
            Self::Inline(text) => return Ok(text.as_bytes().to_vec()),
            Self::File(path) => path,
        };
        match File::open(path).and_then(|file| read_limited(file, PEM_BYTES_MAX)) {
            Err(error) => Err(format!("cannot read {}: {}", path.display(), explain_denied_access(path, error))),
            Ok(bytes) if bytes.len() as u64 > PEM_BYTES_MAX => {
                Err(format!("{} exceeds the limit of {PEM_BYTES_MAX} bytes", path.display()))
            }
            Ok(bytes) => Ok(bytes),
        }
    }

    /// Reads the certificates.
    ///
    /// # Errors
    /// The text cannot be read or contains no certificate.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        match certificates {
            Err(_) => Err(self.error("is not valid PEM")),
            Ok(found) if found.is_empty() => Err(self.error("contains no PEM certificate")),
            Ok(found) => Ok(found),
        }
    }

    /// Reads the private key.
    ///
    /// # Errors
    /// The text cannot be read or contains no private key.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|_| self.error("contains no PEM private key"))
    }

    /// Checks that this is the private key of the certificate. Unreadable text is not an error here, because reading it reports one.
    ///
    /// # Errors
    /// The key belongs to another certificate.
    pub fn check_key_of(&self, certificate: &Self) -> Result<(), String> {
        let (Ok(chain), Ok(key)) = (certificate.certificates(), self.private_key()) else { return Ok(()) };
        match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
            Err(Error::InconsistentKeys(_)) => Err(self.mismatch(certificate)),
            _ => Ok(()),
        }
    }

    /// Returns the error message for a private key of another certificate.
    #[must_use]
    pub fn mismatch(&self, certificate: &Self) -> String {
        format!("{} is not the key of {}", self.description("key"), certificate.description("cert"))
    }

    /// Describes the setting in a message: `cert_file server.pem` for a file, or `cert` for inline text.
    #[must_use]
    pub fn description(&self, key: &str) -> String {
        match self {
            Self::File(path) => format!("{key}_file {}", path.display()),
            Self::Inline(_) => key.to_owned(),
        }
    }

    fn error(&self, message: &str) -> String {
        match self {
            Self::File(path) => format!("{}: {message}", path.display()),
            Self::Inline(_) => message.to_owned(),
        }
    }
}
