//! Pushes by gRPC and HTTP: with and without TLS and compression, with secret headers, and with all kinds of accepting responses.
#![allow(clippy::unwrap_used)]

use crate::support::flat::flatten;
use crate::support::{ANY, wait_until};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{MetricsService, MetricsServiceServer};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use postmeter::app::Service;
use postmeter::config::{self, Environment};
use postmeter::export::otlp::PushStatus;
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN};
use postmeter::telemetry::SelfTelemetry;
use prost::Message;
use rcgen::{CertificateParams, Issuer, KeyPair};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

const WAIT_MAX: Duration = Duration::from_secs(20);

/// The received requests, each with the value of the header `X-Key`, and the response to them.
#[derive(Clone, Default)]
struct Inbox {
    requests: Arc<Mutex<Vec<(ExportMetricsServiceRequest, String)>>>,
    /// The client certificates, without repetitions.
    client_certificates: Arc<Mutex<Vec<Vec<u8>>>>,
    partial_success: Option<ExportMetricsPartialSuccess>,
}

impl Inbox {
    fn responding(rejected_data_points: i64, error_message: &str) -> Self {
        let partial_success = ExportMetricsPartialSuccess { rejected_data_points, error_message: error_message.to_owned() };
        Self { partial_success: Some(partial_success), ..Self::default() }
    }

    fn add(&self, request: ExportMetricsServiceRequest, header: Option<&str>) {
        self.requests.lock().unwrap().push((request, header.unwrap_or_default().to_owned()));
    }

    fn response(&self) -> ExportMetricsServiceResponse {
        ExportMetricsServiceResponse { partial_success: self.partial_success.clone() }
    }

    async fn has_certificates(&self, count: usize) {
        wait_until(|| self.client_certificates.lock().unwrap().len() == count, WAIT_MAX, "another client certificate is used").await;
    }

    async fn has_mail_up(&self, header: &str) {
        let has_mail_up = |request: &ExportMetricsServiceRequest| {
            flatten(std::slice::from_ref(request)).iter().any(|point| point.metric == "mail.up" && point.value == 1.0)
        };
        let received =
            || self.requests.lock().unwrap().iter().find(|(request, _)| has_mail_up(request)).map(|(_, received)| received.clone());
        wait_until(|| received().is_some(), WAIT_MAX, "mail.up arrives").await;
        assert_eq!(received().as_deref(), Some(header));
        let requests = self.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|(request, _)| &request.resource_metrics).filter_map(|of| of.resource.as_ref());
        let ports = resources.flat_map(|resource| &resource.attributes).filter(|attribute| attribute.key == "server.port");
        let are_integers: Vec<bool> = ports.map(|port| matches!(&port.value, Some(AnyValue { value: Some(Value::IntValue(_)) }))).collect();
        assert!(!are_integers.is_empty() && are_integers.iter().all(|is_integer| *is_integer), "server.port is an integer");
    }
}

#[tonic::async_trait]
impl MetricsService for Inbox {
    async fn export(&self, request: Request<ExportMetricsServiceRequest>) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let header = request.metadata().get("x-key").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let agent = request.metadata().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(agent.starts_with(concat!("postmeter/", env!("CARGO_PKG_VERSION"))), "{agent}");
        let mut certificates = self.client_certificates.lock().unwrap();
        for certificate in request.peer_certs().iter().flat_map(|chain| chain.first()) {
            if !certificates.iter().any(|known| known == certificate.as_ref()) {
                certificates.push(certificate.to_vec());
            }
        }
        drop(certificates);
        self.add(request.into_inner(), header.as_deref());
        Ok(Response::new(self.response()))
    }
}

/// Starts Postmeter with one simulated server and this configuration of the push.
async fn start(otlp: &str) -> (SimulatedServer, Service) {
    let ceymail = SimulatedServer::start(System::Ceymail, ANY, Options::default()).await.unwrap();
    let file = format!(
        "targets:\n  - {{name: cey, system: ceymail, url: \"{}\", token: {TOKEN}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{interval: 1s, headers: {{X-Key: \"${{env:KEY}}\"}}, {otlp}}}\n",
        ceymail.url()
    );
    let environment: Environment = [("KEY", "s3cret")].into_iter().collect();
    let config = config::parse(&file, "test.yaml", &environment).unwrap_or_else(|problems| panic!("{problems}"));
    (ceymail, Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap())
}

async fn receive_http(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> Vec<u8> {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mut decompressed = body.to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        decompressed.clear();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut decompressed).unwrap();
    }
    let request = ExportMetricsServiceRequest::decode(decompressed.as_slice()).unwrap();
    inbox.add(request, headers.get("x-key").and_then(|value| value.to_str().ok()));
    inbox.response().encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_protobuf_with_and_without_gzip() {
    for compression in ["none", "gzip"] {
        let inbox = Inbox::default();
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/otlp/aB3dE6fG9hJ2/v1/metrics", post(receive_http)).with_state(inbox.clone());
        let receiver = tokio::spawn(async move { axum::serve(listener, router).await });
        let (server, service) = start(&format!(
            "endpoint: \"http://{address}/otlp/aB3dE6fG9hJ2/v1/metrics?key=hidden\", protocol: http/protobuf, compression: {compression}"
        ))
        .await;
        inbox.has_mail_up("s3cret").await;
        assert_eq!(service.push_status().unwrap().endpoint, format!("http://{address}/otlp/***/v1/metrics?key=***"));
        service.stop().await;
        server.shutdown().await;
        receiver.abort();
    }
}

/// A certificate authority.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Returns a certificate and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    /// Starts a receiver with a certificate of this authority that requires client certificates of this authority.
    fn start_receiver(&self, incoming: TcpIncoming, inbox: &Inbox) -> TlsReceiver {
        let (cert, key) = self.sign("collector.example.com");
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key)).client_ca_root(Certificate::from_pem(&self.certificate));
        let grpc = MetricsServiceServer::new(inbox.clone()).accept_compressed(CompressionEncoding::Gzip);
        let (stop, stopped) = oneshot::channel();
        let until_stopped = async { drop(stopped.await) };
        let server = Server::builder().tls_config(tls).unwrap().add_service(grpc).serve_with_incoming_shutdown(incoming, until_stopped);
        TlsReceiver { stop, task: tokio::spawn(async move { drop(server.await) }) }
    }
}

/// A receiver that closes its connections when it stops.
struct TlsReceiver {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl TlsReceiver {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// Renews the client certificate, then replaces the receiver and its authority while Postmeter runs: the TLS files are read again.
#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_need_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let issue = |authority: &Authority| {
        let (cert, key) = authority.sign("postmeter.example.com");
        for (name, text) in [("ca.pem", &authority.certificate), ("c.pem", &cert), ("k.pem", &key)] {
            std::fs::write(path(name), text).unwrap();
        }
    };
    let (inbox, authority) = (Inbox::default(), Authority::new());
    issue(&authority);
    let incoming = TcpIncoming::bind(ANY).unwrap();
    let address = incoming.local_addr().unwrap();
    let receiver = authority.start_receiver(incoming, &inbox);
    let (ca, cert, key) = (path("ca.pem"), path("c.pem"), path("k.pem"));
    let (server, service) = start(&format!(
        "endpoint: \"https://{address}\", compression: gzip, retry: {{initial: 100ms, max: 1s}}, tls: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}, server_name: collector.example.com}}"
    ))
    .await;
    inbox.has_mail_up("s3cret").await;
    // A certificate that is renewed in time is used without a failed request.
    inbox.has_certificates(1).await;
    issue(&authority);
    inbox.has_certificates(2).await;

    receiver.stop().await;
    let (inbox, authority) = (Inbox::default(), Authority::new());
    let receiver = authority.start_receiver(TcpIncoming::bind(address).unwrap(), &inbox);
    issue(&authority);
    inbox.has_mail_up("s3cret").await;
    assert_eq!(service.push_status().unwrap().lost_points, 0);
    service.stop().await;
    server.shutdown().await;
    receiver.stop().await;
}

/// Pushes to receivers with this response, by gRPC and by HTTP, and returns the state of both pushes.
async fn statuses_with(inbox: Inbox) -> [PushStatus; 2] {
    let incoming = TcpIncoming::bind(ANY).unwrap();
    let grpc = format!("endpoint: \"http://{}\"", incoming.local_addr().unwrap());
    let service = MetricsServiceServer::new(inbox.clone());
    let grpc_receiver = tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let http = format!("endpoint: \"http://{}/v1/metrics\", protocol: http/protobuf", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(receive_http)).with_state(inbox);
    let http_receiver = tokio::spawn(async move { axum::serve(listener, router).await });
    let statuses = [status_after_push(&grpc).await, status_after_push(&http).await];
    grpc_receiver.abort();
    http_receiver.abort();
    statuses
}

/// Returns the state of a push after the receiver has accepted a request.
async fn status_after_push(otlp: &str) -> PushStatus {
    let (server, service) = start(otlp).await;
    let status = || service.push_status().unwrap();
    let is_accepted = || status().last_accepted_at.is_some() && status().accepted_points + status().lost_points > 10;
    wait_until(is_accepted, WAIT_MAX, "the receiver accepts a request").await;
    let status = status();
    service.stop().await;
    server.shutdown().await;
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_points_of_an_accepted_request_are_lost() {
    for status in statuses_with(Inbox::responding(3, "too old")).await {
        assert!(status.lost_points > 0 && status.lost_points.is_multiple_of(3) && status.accepted_points > 0, "{status:?}");
        assert!(status.failure.is_none(), "the request was accepted: {status:?}");
    }
    for status in statuses_with(Inbox::responding(i64::MAX, "all of them")).await {
        assert!(status.lost_points > 0 && status.accepted_points == 0, "no more points are lost than were sent: {status:?}");
    }
    // A warning, an invalid number, and a response that exceeds the size limit.
    let long = "x".repeat(100_000);
    for inbox in [Inbox::responding(0, "soon too old"), Inbox::responding(-1, ""), Inbox::responding(0, &long)] {
        for status in statuses_with(inbox).await {
            assert!(status.accepted_points > 0 && status.lost_points == 0 && status.failure.is_none(), "{status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_response_with_a_success_status_accepts_the_request() {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let otlp = format!("endpoint: \"http://{}/v1/metrics\", protocol: http/protobuf", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(async || "ok"));
    let receiver = tokio::spawn(async move { axum::serve(listener, router).await });
    let status = status_after_push(&otlp).await;
    assert!(status.accepted_points > 0 && status.lost_points == 0 && status.failure.is_none(), "{status:?}");
    receiver.abort();
}
