//! TLS of the pull endpoint: the configuration's words become rustls' own.

use crate::config::{ClientAuth, ServerTls, TlsVersion};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion, version,
};
use std::net::IpAddr;
use std::sync::Arc;
use webpki::EndEntityCert;

/// Reads the files, and makes of them what a handshake needs.
///
/// # Errors
/// What does not fit, with the file's name.
pub(crate) fn server_config(tls: &ServerTls, http2: bool) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(tls));
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    for (name, version) in [(TlsVersion::Tls12, &version::TLS12), (TlsVersion::Tls13, &version::TLS13)] {
        if (tls.min_version..=tls.max_version).contains(&name) {
            versions.push(version);
        }
    }
    let wrong = |error: Error| format!("TLS: {error}");
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions).map_err(wrong)?;
    let builder = match verifier(tls, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = (tls.certificate.certificates()?, tls.key.private_key()?);
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        Error::InconsistentKeys(_) => tls.key.mismatch(&tls.certificate),
        error => format!("{}: {error}", tls.certificate.description("cert")),
    })?;
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(Arc::new(config))
}

/// With those suites of TLS 1.2 and those curves that are asked for. Suites of TLS 1.3 are not chosen, as in Go.
fn provider(tls: &ServerTls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        let asked = |name: Option<&str>| name.is_some_and(|name| tls.cipher_suites.iter().any(|asked| asked == name));
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || asked(suite.suite().as_str()));
    }
    if !tls.curve_preferences.is_empty() {
        let place = |group: NamedGroup| tls.curve_preferences.iter().position(|name| Some(name.as_str()) == curve(group));
        provider.kx_groups.retain(|group| place(group.name()).is_some());
        provider.kx_groups.sort_by_key(|group| place(group.name()));
    }
    provider
}

/// By Go's name.
fn curve(group: NamedGroup) -> Option<&'static str> {
    match group {
        NamedGroup::X25519 => Some("X25519"),
        NamedGroup::secp256r1 => Some("CurveP256"),
        NamedGroup::secp384r1 => Some("CurveP384"),
        _ => None,
    }
}

/// What is asked of clients, if anything is.
fn verifier(tls: &ServerTls, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let chain: Arc<dyn ClientCertVerifier> = match tls.client_auth {
        ClientAuth::None => return Ok(None),
        ClientAuth::Request | ClientAuth::RequireAny => {
            let mandatory = tls.client_auth == ClientAuth::RequireAny;
            Arc::new(AnyCertificate { mandatory, algorithms: provider.signature_verification_algorithms })
        }
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {
            let Some(pem) = &tls.client_ca else { return Err("client_ca_file is missing".to_owned()) };
            let mut roots = RootCertStore::empty();
            for certificate in pem.certificates()? {
                roots.add(certificate).map_err(|error| format!("{}: {error}", pem.description("client_ca")))?;
            }
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            let builder = if tls.client_auth == ClientAuth::VerifyIfGiven { builder.allow_unauthenticated() } else { builder };
            builder.build().map_err(|error| format!("{}: {error}", pem.description("client_ca")))?
        }
    };
    match tls.client_allowed_sans.as_slice() {
        [] => Ok(Some(chain)),
        names => Ok(Some(Arc::new(NamedClient { chain, names: names.to_vec() }))),
    }
}

/// Any certificate whose key the client has.
#[derive(Debug)]
struct AnyCertificate {
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: UnixTime) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A certificate that another verifier takes, and that has one of these names.
#[derive(Debug)]
struct NamedClient {
    chain: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl NamedClient {
    /// Exactly one of the names: a wildcard in the certificate is no other name.
    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
        self.names.iter().any(|name| match name.parse::<IpAddr>() {
            Ok(address) => certificate.verify_is_valid_for_subject_name(&ServerName::IpAddress(address.into())).is_ok(),
            Err(_) => certificate.valid_dns_names().chain(certificate.valid_uri_names()).any(|own| own == name),
        })
    }
}

impl ClientCertVerifier for NamedClient {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(certificate, intermediates, now)?;
        if self.is_named(certificate) { Ok(verified) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
