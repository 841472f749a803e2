//! How a server's certificate is checked, and which one is shown to it.

use super::Pem;
use super::decode::{Decoder, Item, KeyPath};
use crate::net::TlsFiles;
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};

/// `tls:`. Left out: the system's certificate authorities, no certificate of our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `ca_file:` PEM certificates of the authorities to trust in place of the system's. Left out: the system's.
    pub ca_file: Option<PathBuf>,
    /// `cert_file:` PEM certificate chain to show to the server, together with `key_file`. Left out: none.
    pub cert_file: Option<PathBuf>,
    /// `key_file:` PEM private key of that certificate. Left out: none.
    pub key_file: Option<PathBuf>,
    /// `server_name:` the name that the server's certificate must have. Left out: the url's host.
    pub server_name: Option<String>,
    /// `insecure_skip_verify:` take any certificate; a warning says so. Left out: false.
    pub insecure_skip_verify: bool,
}

impl Tls {
    /// Whether everything is left out.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The files of the certificates and the key.
    pub(crate) fn files(&self) -> TlsFiles<'_> {
        TlsFiles { ca_file: self.ca_file.as_deref(), cert_file: self.cert_file.as_deref(), key_file: self.key_file.as_deref() }
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let Some(mut map) = decoder.map(item) else { return Self::default() };
        let mut file = |decoder: &mut Decoder<'_>, key, check: fn(&Path) -> Result<(), String>| {
            let item = map.take(key)?;
            let path = PathBuf::from(decoder.word(&item)?);
            decoder.noted(&item.place, check(&path));
            Some(path)
        };
        let tls = Self {
            ca_file: file(decoder, "ca_file", certificates),
            cert_file: file(decoder, "cert_file", certificates),
            key_file: file(decoder, "key_file", key),
            server_name: map.take("server_name").and_then(|item| server_name(decoder, &item)),
            insecure_skip_verify: map.take("insecure_skip_verify").is_some_and(|item| insecure(decoder, &item)),
        };
        tls.check_pair(decoder, &item.place);
        decoder.finish(map);
        tls
    }

    fn check_pair(&self, decoder: &mut Decoder<'_>, place: &KeyPath) {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => decoder.problem(place, "cert_file needs key_file"),
            (None, Some(_)) => decoder.problem(place, "key_file needs cert_file"),
            (Some(certificate), Some(key)) => {
                decoder.noted(place, Pem::File(key.clone()).is_key_of(&Pem::File(certificate.clone())));
            }
            (None, None) => {}
        }
    }
}

fn server_name(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let name = decoder.word(item)?;
    // An address in place of the url's host would be where to connect.
    if !matches!(ServerName::try_from(name.as_str()), Ok(ServerName::DnsName(_))) {
        decoder.problem(&item.place, format!("{name:?} is no host name"));
        return None;
    }
    Some(name)
}

fn insecure(decoder: &mut Decoder<'_>, item: &Item<'_>) -> bool {
    let insecure = decoder.flag(item).unwrap_or(false);
    if insecure {
        decoder.warn(&item.place, "the server's certificate is not checked: anyone in between can read the credentials");
    }
    insecure
}

/// Whether there are certificates in the file.
pub(super) fn certificates(path: &Path) -> Result<(), String> {
    Pem::File(path.to_owned()).certificates().map(drop)
}

/// Whether there is a private key in the file.
pub(super) fn key(path: &Path) -> Result<(), String> {
    Pem::File(path.to_owned()).private_key().map(drop)
}
