//! The settings of a TLS client: verification of the server's certificate, and the client certificate: `tls:`.

use super::Pem;
use super::decode::Decoder;
use super::map::{Item, Location, Map};
use super::schema::TLS;
use crate::net::TlsFiles;
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};

/// Settings of a TLS client. The default trusts the system's certificate authorities and has no client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Key `ca_file`: PEM certificates of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Key `cert_file`: the PEM certificate chain to present to the server.
    pub cert_file: Option<PathBuf>,
    /// Key `key_file`: the PEM private key of that certificate.
    pub key_file: Option<PathBuf>,
    /// Key `server_name`: the name that the server's certificate must contain; `None` is the host of the URL.
    pub server_name: Option<String>,
    /// Key `insecure_skip_verify`: `true` accepts any certificate, with a warning.
    pub insecure_skip_verify: bool,
}

impl Tls {
    /// Returns `true` if every key has its default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The files of the certificates and the key.
    pub(crate) fn files(&self) -> TlsFiles<'_> {
        TlsFiles { ca_file: self.ca_file.as_deref(), cert_file: self.cert_file.as_deref(), key_file: self.key_file.as_deref() }
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Self {
        let mut map = decoder.map_or_empty(Some(item), TLS);
        let tls = Self {
            ca_file: file(decoder, &mut map, "ca_file", check_certificates),
            cert_file: file(decoder, &mut map, "cert_file", check_certificates),
            key_file: file(decoder, &mut map, "key_file", check_key),
            server_name: map.take("server_name").and_then(|item| server_name(decoder, &item)),
            insecure_skip_verify: insecure_skip_verify(decoder, &mut map),
        };
        tls.check_pair(decoder, &item.location);
        decoder.finish(map);
        tls
    }

    fn check_pair(&self, decoder: &mut Decoder<'_>, location: &Location) {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => decoder.report(location, "cert_file needs key_file"),
            (None, Some(_)) => decoder.report(location, "key_file needs cert_file"),
            (Some(certificate), Some(key)) => {
                decoder.ok_or_report(location, Pem::File(key.clone()).check_key_of(&Pem::File(certificate.clone())));
            }
            (None, None) => {}
        }
    }
}

fn file(decoder: &mut Decoder<'_>, map: &mut Map<'_>, key: &str, check: fn(&Path) -> Result<(), String>) -> Option<PathBuf> {
    let item = map.take(key)?;
    let path = PathBuf::from(decoder.path_text(&item)?);
    decoder.ok_or_report(&item.location, check(&path));
    Some(path)
}

fn server_name(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let name = decoder.non_empty_text(item)?;
    // The HTTP client connects to this name, and an IP address would override the host of the URL.
    if !matches!(ServerName::try_from(name.as_str()), Ok(ServerName::DnsName(_))) {
        decoder.report(&item.location, format!("{name:?} is not a valid host name"));
        return None;
    }
    Some(name)
}

fn insecure_skip_verify(decoder: &mut Decoder<'_>, map: &mut Map<'_>) -> bool {
    let location = map.entries.iter().find(|(name, _)| *name == "insecure_skip_verify").map(|(_, item)| item.location.clone());
    let insecure = map.flag_or_default(decoder, "insecure_skip_verify");
    if let Some(location) = location.filter(|_| insecure) {
        decoder.warn(&location, "the server's certificate is not verified: a man in the middle can read the credentials");
    }
    insecure
}

/// Checks that the file contains certificates.
pub(super) fn check_certificates(path: &Path) -> Result<(), String> {
    Pem::File(path.to_owned()).certificates().map(drop)
}

/// Checks that the file contains a private key.
pub(super) fn check_key(path: &Path) -> Result<(), String> {
    Pem::File(path.to_owned()).private_key().map(drop)
}
