//! TLS of the pull endpoint: builds the rustls configuration.

use super::certificate::chain_not_after;
use crate::config::{ClientAuth, ServerTls, TlsVersion};
use jiff::Timestamp;
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

/// The TLS configuration of the pull endpoint.
#[derive(Clone, Debug)]
pub(crate) struct EndpointTls {
    pub(crate) config: Arc<ServerConfig>,
    /// The time when the certificate, or another one of its chain, expires. `None` if a certificate has an unusual form.
    pub(crate) not_after: Option<Timestamp>,
}

/// Reads the certificate files and builds the TLS configuration.
///
/// # Errors
/// Fails if a file is unreadable or invalid, or if the settings do not fit together. The text has the file's name.
pub(crate) fn endpoint_tls(tls: &ServerTls, http2: bool) -> Result<EndpointTls, String> {
    let provider = Arc::new(provider(tls));
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    for (name, version) in [(TlsVersion::Tls12, &version::TLS12), (TlsVersion::Tls13, &version::TLS13)] {
        if (tls.min_version..=tls.max_version).contains(&name) {
            versions.push(version);
        }
    }
    let tls_error = |error: Error| format!("TLS: {error}");
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions).map_err(tls_error)?;
    let builder = match verifier(tls, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = (tls.certificate.certificates()?, tls.key.private_key()?);
    let not_after = chain_not_after(&chain);
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        Error::InconsistentKeys(_) => tls.key.mismatch(&tls.certificate),
        error => format!("{}: {error}", tls.certificate.description("cert")),
    })?;
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(EndpointTls { config: Arc::new(config), not_after })
}

/// Returns a provider with the configured cipher suites of TLS 1.2 and the configured curves. As in Go, the suites of TLS 1.3 cannot be
/// configured.
fn provider(tls: &ServerTls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        let is_configured = |name: Option<&str>| name.is_some_and(|name| tls.cipher_suites.iter().any(|suite| suite == name));
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || is_configured(suite.suite().as_str()));
    }
    if !tls.curve_preferences.is_empty() {
        let position = |group: NamedGroup| tls.curve_preferences.iter().position(|name| Some(name.as_str()) == curve_name(group));
        provider.kx_groups.retain(|group| position(group.name()).is_some());
        provider.kx_groups.sort_by_key(|group| position(group.name()));
    }
    provider
}

/// Returns the name of a curve in Go.
fn curve_name(group: NamedGroup) -> Option<&'static str> {
    match group {
        NamedGroup::X25519 => Some("X25519"),
        NamedGroup::secp256r1 => Some("CurveP256"),
        NamedGroup::secp384r1 => Some("CurveP384"),
        _ => None,
    }
}

/// Returns the verifier of client certificates, if the configuration requests one.
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

/// Accepts any certificate whose private key the client has.
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

/// Accepts a certificate that another verifier accepts and that has one of these names.
#[derive(Debug)]
struct NamedClient {
    chain: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl NamedClient {
    /// Returns true if the certificate has one of the names. A wildcard in the certificate does not match a name.
    fn has_allowed_name(&self, certificate: &CertificateDer<'_>) -> bool {
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
        if self.has_allowed_name(certificate) { Ok(verified) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
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
