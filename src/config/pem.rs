//! Certificates and keys, in a file or in the configuration itself.

use rustls::Error;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

/// Bytes of a file with certificates or a key.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Certificates or a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In this file, which is read again when it changes.
    File(PathBuf),
    /// In the configuration itself.
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
    /// The text now.
    ///
    /// # Errors
    /// Why there is none, with the file's name.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let path = match self {
            Self::Inline(text) => return Ok(text.as_bytes().to_vec()),
            Self::File(path) => path,
        };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes));
        match read {
            Err(error) => Err(format!("{}: {error}", path.display())),
            Ok(_) if bytes.len() as u64 > PEM_BYTES_MAX => Err(format!("{} has more than {PEM_BYTES_MAX} bytes", path.display())),
            Ok(_) => Ok(bytes),
        }
    }

    /// The certificates in it.
    ///
    /// # Errors
    /// Why there are none.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        match certificates {
            Err(_) => Err(self.wrong("is broken PEM")),
            Ok(found) if found.is_empty() => Err(self.wrong("no PEM certificate in it")),
            Ok(found) => Ok(found),
        }
    }

    /// The private key in it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|_| self.wrong("no PEM private key in it"))
    }

    /// Whether this is the private key of that certificate; what cannot be read is said by the others.
    ///
    /// # Errors
    /// When it is another's.
    pub fn is_key_of(&self, certificate: &Self) -> Result<(), String> {
        let (Ok(chain), Ok(key)) = (certificate.certificates(), self.private_key()) else { return Ok(()) };
        match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
            Err(Error::InconsistentKeys(_)) => Err(self.is_not_of(certificate)),
            _ => Ok(()),
        }
    }

    /// That this is not the private key of that certificate, in words.
    #[must_use]
    pub fn is_not_of(&self, certificate: &Self) -> String {
        format!("{} is not the key of {}", self.called("key"), certificate.called("cert"))
    }

    /// What to call it in a message: `cert_file server.pem`, or `cert` where the text itself stands in the configuration.
    #[must_use]
    pub fn called(&self, key: &str) -> String {
        match self {
            Self::File(path) => format!("{key}_file {}", path.display()),
            Self::Inline(_) => key.to_owned(),
        }
    }

    fn wrong(&self, what: &str) -> String {
        match self {
            Self::File(path) => format!("{}: {what}", path.display()),
            Self::Inline(_) => what.to_owned(),
        }
    }
}
