//! TLS of the pull endpoint: `export.prometheus.tls:`, and the exporter-toolkit's `tls_server_config:`, which has the same keys.
//!
//! The keys and their values are those of docs/web-configuration.md in prometheus/exporter-toolkit, and of Go's `crypto/tls`, whose
//! names the toolkit uses.

use super::Pem;
use super::decode::Decoder;
use super::map::{Item, Location, Map};
use super::schema::SERVER_TLS;
use super::text::suggestion;
use std::path::Path;

/// The largest number of client names, of cipher suites and of curves.
pub(super) const NAMES_MAX: usize = 1000;

/// Go's names of cipher suites; `true` if rustls supports the suite. It does not support the insecure ones.
pub(super) const CIPHER_SUITES: [(&str, bool); 16] = [
    ("TLS_AES_128_GCM_SHA256", true),
    ("TLS_AES_256_GCM_SHA384", true),
    ("TLS_CHACHA20_POLY1305_SHA256", true),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", true),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", true),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", true),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", true),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", true),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", true),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", false),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", false),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", false),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", false),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", false),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", false),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", false),
];
/// The values of `min_version`. Versions below 1.2 are not supported and mean 1.2.
pub(super) const MIN_VERSIONS: [(&str, TlsVersion); 4] =
    [("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13), ("TLS10", TlsVersion::Tls12), ("TLS11", TlsVersion::Tls12)];
/// The values of `max_version`.
pub(super) const MAX_VERSIONS: [(&str, TlsVersion); 2] = [("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)];
/// Go's names of curves; `true` if rustls supports the curve.
pub(super) const CURVES: [(&str, bool); 4] = [("X25519", true), ("CurveP256", true), ("CurveP384", true), ("CurveP521", false)];

/// TLS settings of the pull endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Key `cert_file` or `cert`: the PEM certificate chain.
    pub certificate: Pem,
    /// Key `key_file` or `key`: its PEM private key.
    pub key: Pem,
    /// Key `client_ca_file` or `client_ca`: PEM certificates of the authorities that sign client certificates.
    pub client_ca: Option<Pem>,
    /// Key `client_auth_type`: the policy for client certificates.
    pub client_auth: ClientAuth,
    /// Key `client_allowed_sans`: names of which a client certificate must contain one, exactly; an empty list accepts any.
    pub client_allowed_sans: Vec<String>,
    /// Key `min_version`: the lowest version.
    pub min_version: TlsVersion,
    /// Key `max_version`: the highest version.
    pub max_version: TlsVersion,
    /// Key `cipher_suites`: cipher suites of TLS 1.2, by their Go names; an empty list is all supported ones.
    pub cipher_suites: Vec<String>,
    /// Key `curve_preferences`: curves by their Go names, best first; an empty list is all supported ones.
    pub curve_preferences: Vec<String>,
    /// Key `prefer_server_cipher_suites`: `true` uses the server's order of cipher suites.
    pub prefer_server_cipher_suites: bool,
}

/// The policy for client certificates, as in Go's `crypto/tls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`
    #[default]
    None,
    /// `RequestClientCert`: a certificate is requested, but neither required nor verified.
    Request,
    /// `RequireAnyClientCert`, formerly `RequireClientCert`: a certificate is required but not verified.
    RequireAny,
    /// `VerifyClientCertIfGiven`: a certificate is not required, but verified against `client_ca_file`.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`: a certificate is required and verified. Only this policy restricts access.
    RequireAndVerify,
}

/// The values of `client_auth_type`.
pub(super) const CLIENT_AUTH: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("RequireClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
];

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl ServerTls {
    /// Returns `true` if only clients with a verified certificate are admitted.
    #[must_use]
    pub fn requires_client_certificate(&self) -> bool {
        self.client_auth == ClientAuth::RequireAndVerify
    }

    /// Returns the files that the settings refer to.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pems = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        pems.into_iter().flatten().filter_map(|pem| match pem {
            Pem::File(path) => Some(path.as_path()),
            Pem::Inline(_) => None,
        })
    }

    /// Decodes the settings; relative paths start at `base`. Returns `None`, which is plain HTTP, if there is neither a certificate nor a
    /// key nor a setting for client certificates.
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, base: &Path) -> Option<Self> {
        let mut map = decoder.map(item, SERVER_TLS)?;
        let certificate = pem(decoder, &mut map, ("cert_file", "cert"), base, |pem| pem.certificates().map(drop));
        let key = pem(decoder, &mut map, ("key_file", "key"), base, |pem| pem.private_key().map(drop));
        let client_ca = pem(decoder, &mut map, ("client_ca_file", "client_ca"), base, |pem| pem.certificates().map(drop));
        let client_auth = map.take("client_auth_type");
        let is_configured = certificate.is_some() || key.is_some() || client_ca.is_some() || client_auth.is_some();
        let client_auth = client_auth.map(|item| (decoder.choice(&item, &CLIENT_AUTH).unwrap_or_default(), item.location));
        let (client_auth, location) =
            client_auth.unwrap_or_else(|| (map.default_choice("client_auth_type", &CLIENT_AUTH), item.location.clone()));
        check_client_auth(decoder, &location, client_auth, client_ca.is_some());
        let client_allowed_sans = map.take("client_allowed_sans").map(|item| sans(decoder, &item, client_auth)).unwrap_or_default();
        let min_version = map.choice_or_default(decoder, "min_version", &MIN_VERSIONS);
        let max_version = map.choice_or_default(decoder, "max_version", &MAX_VERSIONS);
        if min_version > max_version {
            decoder.report(&item.location, "min_version is higher than max_version");
        }
        let cipher_suites = map.take("cipher_suites").map(|item| supported(decoder, &item, &CIPHER_SUITES)).unwrap_or_default();
        let curve_preferences = map.take("curve_preferences").map(|item| supported(decoder, &item, &CURVES)).unwrap_or_default();
        let prefer_server_cipher_suites = map.flag_or_default(decoder, "prefer_server_cipher_suites");
        decoder.finish(map);
        if !is_configured {
            return None;
        }
        for (found, message) in [(&certificate, "cert_file is missing"), (&key, "key_file is missing")] {
            if found.is_none() {
                decoder.report(&item.location, message);
            }
        }
        let (certificate, key) = (certificate?, key?);
        decoder.ok_or_report(&item.location, key.check_key_of(&certificate));
        Some(Self {
            certificate,
            key,
            client_ca,
            client_auth,
            client_allowed_sans,
            min_version,
            max_version,
            cipher_suites,
            curve_preferences,
            prefer_server_cipher_suites,
        })
    }
}

fn check_client_auth(decoder: &mut Decoder<'_>, location: &Location, auth: ClientAuth, has_client_ca: bool) {
    match auth {
        ClientAuth::None if has_client_ca => {
            decoder.report(location, "client_ca_file needs client_auth_type; only RequireAndVerifyClientCert restricts access");
        }
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify if !has_client_ca => {
            decoder.report(location, "needs client_ca_file: the authorities that sign client certificates");
        }
        ClientAuth::Request | ClientAuth::RequireAny => {
            decoder.warn(location, "accepts any certificate and so does not restrict access; RequireAndVerifyClientCert does");
        }
        _ => {}
    }
}

fn pem(
    decoder: &mut Decoder<'_>,
    map: &mut Map<'_>,
    (file_key, inline_key): (&str, &str),
    base: &Path,
    check: fn(&Pem) -> Result<(), String>,
) -> Option<Pem> {
    let (file, inline) = (map.take(file_key), map.take(inline_key));
    if let (Some(_), Some(inline)) = (&file, &inline) {
        decoder.report(&inline.location, format!("{file_key} is set as well; remove one of them"));
    }
    let is_file = file.is_some();
    let item = file.or(inline)?;
    let text = if is_file { decoder.path_text(&item) } else { decoder.non_empty_text(&item) }?;
    let pem = if is_file { Pem::File(base.join(text)) } else { Pem::Inline(text) };
    decoder.ok_or_report(&item.location, check(&pem));
    Some(pem)
}

fn sans(decoder: &mut Decoder<'_>, item: &Item<'_>, auth: ClientAuth) -> Vec<String> {
    let mut names = Vec::new();
    for item in decoder.list(item).unwrap_or_default().into_iter().take(NAMES_MAX) {
        let Some(name) = decoder.non_empty_text(&item) else { continue };
        if name.contains('@') && !name.contains("://") {
            decoder.report(&item.location, "e-mail addresses in certificates are not supported; use DNS names, IP addresses or URIs");
        }
        names.push(name);
    }
    if auth == ClientAuth::None || names.is_empty() {
        decoder.report(&item.location, "needs names, and a client_auth_type that requests certificates");
    }
    names
}

/// Returns the supported names of a list. Names that Go supports but rustls does not are ignored, which can only be stricter.
fn supported(decoder: &mut Decoder<'_>, item: &Item<'_>, all: &[(&str, bool)]) -> Vec<String> {
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let items = decoder.list(item).unwrap_or_default();
    let (mut found, names_any) = (Vec::new(), !items.is_empty());
    for item in items.into_iter().take(NAMES_MAX) {
        let Some(text) = decoder.non_empty_text(&item) else { continue };
        match all.iter().find(|(name, _)| *name == text) {
            Some((_, true)) => found.push(text),
            Some((_, false)) => decoder.warn(&item.location, format!("{text} is not supported and ignored")),
            None => decoder.report(&item.location, format!("unknown value {text}; {}", suggestion(&text, &names))),
        }
    }
    if found.is_empty() && names_any && decoder.problems.is_empty() {
        decoder.report(&item.location, "contains no supported value");
    }
    found
}
