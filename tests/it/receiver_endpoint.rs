//! The endpoint of an OTLP receiver as it is written, and certificates that are not accepted.
#![allow(clippy::unwrap_used)]

use crate::support::install_crypto_provider;
use crate::support::raw_receiver::{Part, RawReceiver};
use postmeter::config::{self, Environment, Otlp, Protocol};
use postmeter::export::otlp::{OtlpExporter, PartialSuccess, RequestBody, RetryDecision, Signal};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn request() -> RequestBody {
    RequestBody::uncompressed("a request".into())
}

#[track_caller]
fn parsed(endpoint: &str) -> config::Config {
    let target = "targets: [{name: a, system: kumomta, url: 'https://a.example.com'}]";
    let otlp = format!("{{endpoint: '{endpoint}'}}");
    let text = format!("{target}\nexport: {{otlp: {otlp}}}\ntelemetry: {{otlp: {otlp}}}\n");
    config::parse(&text, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

#[tokio::test]
async fn the_case_of_a_grpc_endpoint_and_an_international_name_are_accepted() {
    for (written, expected) in [
        ("HTTPS://Collector.Example.COM:4317", "https://collector.example.com:4317"),
        ("http://bücher.example:4317", "http://xn--bcher-kva.example:4317"),
        ("http://localhost:4317", "http://localhost:4317"),
        ("http://localhost:4317/", "http://localhost:4317/"),
        ("http://[::1]:4317", "http://[::1]:4317"),
    ] {
        let config = parsed(written);
        let otlp = config.export.otlp.unwrap();
        assert_eq!((otlp.endpoint.as_str(), config.telemetry.otlp.unwrap().endpoint.as_str()), (expected, expected));
        OtlpExporter::new(otlp).unwrap();
    }
    let headers = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")];
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
    let receiver = RawReceiver::grpc(vec![Part::Headers(headers, true)]).await;
    let otlp = parsed(&format!("HTTP://{}", receiver.address)).export.otlp.unwrap();
    assert_eq!(OtlpExporter::new(otlp).unwrap().send(Signal::Metrics, &request()).await.unwrap(), PartialSuccess::default());
}

/// Starts a server with a certificate for 127.0.0.1, whose handshakes fail. Returns its address and the certificate in PEM.
async fn tls_server(is_ca: IsCa) -> (SocketAddr, String) {
    install_crypto_provider();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).unwrap();
    let private_key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let chain = vec![certificate.der().clone()];
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private_key).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.unwrap().0;
            assert!(TlsAcceptor::from(Arc::new(tls.clone())).accept(stream).await.is_err());
        }
    });
    (address, certificate.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_not_accepted_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let other = tls_server(IsCa::Ca(BasicConstraints::Unconstrained)).await.1;
    for (is_ca, is_trusted, expected) in [
        (
            IsCa::Ca(BasicConstraints::Unconstrained),
            true,
            "the server's certificate is that of an authority (CA:TRUE), which is not valid for a server: create one that is not",
        ),
        (IsCa::NoCa, false, "; check export.otlp.tls, and the names and the validity of the receiver's certificate"),
    ] {
        let (address, certificate) = tls_server(is_ca).await;
        std::fs::write(&ca, if is_trusted { &certificate } else { &other }).unwrap();
        for (protocol, path) in [(Protocol::Grpc, ""), (Protocol::HttpProtobuf, "/v1/metrics")] {
            let tls = config::Tls { ca_file: Some(ca.clone()), ..config::Tls::default() };
            let config = Otlp { protocol, tls, ..Otlp::to(format!("https://{address}{path}")) };
            let error = OtlpExporter::new(config).unwrap().send(Signal::Metrics, &request()).await.unwrap_err();
            assert_eq!((error.error_type(), error.retry_decision()), ("unreachable", RetryDecision::Later));
            assert!(error.to_string().contains(expected), "{protocol:?}: {error}");
        }
    }
}
