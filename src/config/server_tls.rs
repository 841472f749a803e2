//! How the pull endpoint shows who it is, and checks who asks: the exporter-toolkit's `tls_server_config`.
//!
//! `export.prometheus.tls` has the same keys, so that there is one set of words to know. The facts are from
//! docs/web-configuration.md of prometheus/exporter-toolkit and from `crypto/tls`, whose names it uses.

use super::Pem;
use super::decode::{Decoder, Item, KeyPath, Map, instead};
use std::path::Path;

/// Names of clients, and suites and curves.
pub(super) const NAMES_MAX: usize = 1000;

/// What Go names, and whether it is here: what is not secure enough for rustls is not.
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
/// What a file may ask for; what is older means 1.2 as the least, and cannot be the most.
pub(super) const MIN_VERSIONS: [(&str, TlsVersion); 4] =
    [("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13), ("TLS10", TlsVersion::Tls12), ("TLS11", TlsVersion::Tls12)];
pub(super) const MAX_VERSIONS: [(&str, TlsVersion); 2] = [("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)];
pub(super) const CURVES: [(&str, bool); 4] = [("X25519", true), ("CurveP256", true), ("CurveP384", true), ("CurveP521", false)];

/// `tls:` of the pull endpoint, and `tls_server_config:` of a web configuration file. Left out: plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// `cert_file:` or `cert:` PEM certificate chain. Required.
    pub certificate: Pem,
    /// `key_file:` or `key:` PEM private key of it. Required.
    pub key: Pem,
    /// `client_ca_file:` or `client_ca:` PEM certificates of the authorities of clients. Left out: none.
    pub client_ca: Option<Pem>,
    /// `client_auth_type:` what is asked of clients. Left out: nothing.
    pub client_auth: ClientAuth,
    /// `client_allowed_sans:` of which a client's certificate must have one, exactly. Left out: any is good.
    pub client_allowed_sans: Vec<String>,
    /// `min_version:` TLS12 or TLS13. Left out: TLS12, which is also what older ones mean: there are none here.
    pub min_version: TlsVersion,
    /// `max_version:` the same. Left out: TLS13.
    pub max_version: TlsVersion,
    /// `cipher_suites:` of TLS 1.2, by Go's names. Left out, or empty: all that there are.
    pub cipher_suites: Vec<String>,
    /// `curve_preferences:` by Go's names, best first. Left out, or empty: all that there are.
    pub curve_preferences: Vec<String>,
    /// `prefer_server_cipher_suites:` whether the server's order counts. Left out: true.
    pub prefer_server_cipher_suites: bool,
}

/// What is asked of clients, after `crypto/tls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`
    #[default]
    None,
    /// `RequestClientCert`: asked for, and any or none is good.
    Request,
    /// `RequireAnyClientCert`, or `RequireClientCert` as it was called: any.
    RequireAny,
    /// `VerifyClientCertIfGiven`: none, or one of `client_ca_file`.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`: one of `client_ca_file`. The only one that keeps anybody out.
    RequireAndVerify,
}

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
    /// Whether only clients with a certificate of `client_ca_file` get in.
    #[must_use]
    pub fn keeps_out(&self) -> bool {
        self.client_auth == ClientAuth::RequireAndVerify
    }

    /// The files that it is in.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pems = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        pems.into_iter().flatten().filter_map(|pem| match pem {
            Pem::File(path) => Some(path.as_path()),
            Pem::Inline(_) => None,
        })
    }

    /// Reads it; relative paths begin at `base`. Nothing without a certificate, a key or clients' certificates: that is plain HTTP.
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, base: &Path) -> Option<Self> {
        let mut map = decoder.map(item)?;
        let certificate = pem(decoder, &mut map, ("cert_file", "cert"), base, |pem| pem.certificates().map(drop));
        let key = pem(decoder, &mut map, ("key_file", "key"), base, |pem| pem.private_key().map(drop));
        let client_ca = pem(decoder, &mut map, ("client_ca_file", "client_ca"), base, |pem| pem.certificates().map(drop));
        let client_auth = map.take("client_auth_type");
        let asked = certificate.is_some() || key.is_some() || client_ca.is_some() || client_auth.is_some();
        let client_auth = client_auth.map(|item| (decoder.choice(&item, &CLIENT_AUTH).unwrap_or_default(), item.place));
        let (client_auth, place) = client_auth.unwrap_or_else(|| (ClientAuth::None, item.place.clone()));
        check_clients(decoder, &place, client_auth, client_ca.is_some());
        let client_allowed_sans = map.take("client_allowed_sans").map(|item| sans(decoder, &item, client_auth)).unwrap_or_default();
        let min_version = map.take("min_version").and_then(|item| decoder.choice(&item, &MIN_VERSIONS));
        let max_version = map.take("max_version").and_then(|item| decoder.choice(&item, &MAX_VERSIONS));
        let (min_version, max_version) = (min_version.unwrap_or(TlsVersion::Tls12), max_version.unwrap_or(TlsVersion::Tls13));
        if min_version > max_version {
            decoder.problem(&item.place, "min_version is above max_version");
        }
        let cipher_suites = map.take("cipher_suites").map(|item| known(decoder, &item, &CIPHER_SUITES)).unwrap_or_default();
        let curve_preferences = map.take("curve_preferences").map(|item| known(decoder, &item, &CURVES)).unwrap_or_default();
        let prefer = map.take("prefer_server_cipher_suites").and_then(|item| decoder.flag(&item));
        decoder.finish(map);
        if !asked {
            return None;
        }
        for (found, message) in [(&certificate, "cert_file is missing"), (&key, "key_file is missing")] {
            if found.is_none() {
                decoder.problem(&item.place, message);
            }
        }
        let (certificate, key) = (certificate?, key?);
        decoder.noted(&item.place, key.is_key_of(&certificate));
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
            prefer_server_cipher_suites: prefer.unwrap_or(true),
        })
    }
}

fn check_clients(decoder: &mut Decoder<'_>, place: &KeyPath, auth: ClientAuth, ca: bool) {
    match auth {
        ClientAuth::None if ca => {
            decoder.problem(place, "client_ca_file needs client_auth_type; RequireAndVerifyClientCert is the one that keeps others out");
        }
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify if !ca => {
            decoder.problem(place, "needs client_ca_file: whose certificates are good");
        }
        ClientAuth::Request | ClientAuth::RequireAny => {
            decoder.warn(place, "takes any certificate, and so keeps nobody out; RequireAndVerifyClientCert does");
        }
        _ => {}
    }
}

fn pem(
    decoder: &mut Decoder<'_>,
    map: &mut Map<'_>,
    (file, inline): (&'static str, &'static str),
    base: &Path,
    check: fn(&Pem) -> Result<(), String>,
) -> Option<Pem> {
    let (in_file, in_text) = (map.take(file), map.take(inline));
    if let (Some(_), Some(text)) = (&in_file, &in_text) {
        decoder.problem(&text.place, format!("{file} is there too; keep one"));
    }
    let is_file = in_file.is_some();
    let item = in_file.or(in_text)?;
    let text = decoder.word(&item)?;
    let pem = if is_file { Pem::File(base.join(text)) } else { Pem::Inline(text) };
    decoder.noted(&item.place, check(&pem));
    Some(pem)
}

fn sans(decoder: &mut Decoder<'_>, item: &Item<'_>, auth: ClientAuth) -> Vec<String> {
    let mut names = Vec::new();
    for item in decoder.list(item).unwrap_or_default().into_iter().take(NAMES_MAX) {
        let Some(name) = decoder.word(&item) else { continue };
        if name.contains('@') && !name.contains("://") {
            decoder.problem(&item.place, "e-mail addresses in certificates are not read; DNS names, IP addresses and URIs are");
        }
        names.push(name);
    }
    if auth == ClientAuth::None || names.is_empty() {
        decoder.problem(&item.place, "needs names, and a client_auth_type that asks for certificates");
    }
    names
}

/// Those of the list that are here. One that Go knows and we have not is passed over, which allows less and never more.
fn known(decoder: &mut Decoder<'_>, item: &Item<'_>, all: &[(&str, bool)]) -> Vec<String> {
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let items = decoder.list(item).unwrap_or_default();
    let (mut found, asked) = (Vec::new(), !items.is_empty());
    for item in items.into_iter().take(NAMES_MAX) {
        let Some(text) = decoder.word(&item) else { continue };
        match all.iter().find(|(name, _)| *name == text) {
            Some((_, true)) => found.push(text),
            Some((_, false)) => decoder.warn(&item.place, format!("{text} is not offered here, and passed over")),
            None => decoder.problem(&item.place, format!("unknown value {text}; {}", instead(&text, &names))),
        }
    }
    if found.is_empty() && asked && decoder.problems.is_empty() {
        decoder.problem(&item.place, "none of these is offered here");
    }
    found
}
