//! The ways to a receiver: gRPC and HTTP, in the clear and by TLS, compressed or not, with headers that nobody else sees.
#![allow(clippy::unwrap_used)]

use crate::support::flat::flatten;
use crate::support::wait_until;
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
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SOON: Duration = Duration::from_secs(20);

/// What a receiver got: requests, each with the header that must come with it; and what it says of them.
#[derive(Clone, Default)]
struct Inbox {
    requests: Arc<Mutex<Vec<(ExportMetricsServiceRequest, String)>>>,
    /// Certificates that were shown, each once.
    shown: Arc<Mutex<Vec<Vec<u8>>>>,
    says: Option<ExportMetricsPartialSuccess>,
}

impl Inbox {
    fn that_says(rejected_data_points: i64, error_message: &str) -> Self {
        let says = ExportMetricsPartialSuccess { rejected_data_points, error_message: error_message.to_owned() };
        Self { says: Some(says), ..Self::default() }
    }

    fn put(&self, request: ExportMetricsServiceRequest, header: Option<&str>) {
        self.requests.lock().unwrap().push((request, header.unwrap_or_default().to_owned()));
    }

    fn answer(&self) -> ExportMetricsServiceResponse {
        ExportMetricsServiceResponse { partial_success: self.says.clone() }
    }

    async fn was_shown(&self, certificates: usize) {
        until("another certificate was shown", || self.shown.lock().unwrap().len() == certificates).await;
    }

    async fn has_mail_up(&self, header: &str) {
        let up = |request: &ExportMetricsServiceRequest| {
            flatten(std::slice::from_ref(request)).iter().any(|point| point.metric == "mail.up" && point.value == 1.0)
        };
        let sent = || self.requests.lock().unwrap().iter().find(|(request, _)| up(request)).map(|(_, sent)| sent.clone());
        until("something arrived", || sent().is_some()).await;
        assert_eq!(sent().as_deref(), Some(header));
        let requests = self.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|(request, _)| &request.resource_metrics).filter_map(|of| of.resource.as_ref());
        let ports = resources.flat_map(|resource| &resource.attributes).filter(|attribute| attribute.key == "server.port");
        let numbers: Vec<bool> = ports.map(|port| matches!(&port.value, Some(AnyValue { value: Some(Value::IntValue(_)) }))).collect();
        assert!(!numbers.is_empty() && numbers.iter().all(|is_number| *is_number), "server.port is an integer");
    }
}

#[track_caller]
fn until(what: &str, done: impl Fn() -> bool) -> impl Future<Output = ()> {
    wait_until(done, SOON, what)
}

#[tonic::async_trait]
impl MetricsService for Inbox {
    async fn export(&self, request: Request<ExportMetricsServiceRequest>) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let header = request.metadata().get("x-key").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let agent = request.metadata().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(agent.starts_with(concat!("postmeter/", env!("CARGO_PKG_VERSION"))), "{agent}");
        let mut shown = self.shown.lock().unwrap();
        for certificate in request.peer_certs().iter().flat_map(|chain| chain.first()) {
            if !shown.iter().any(|known| known == certificate.as_ref()) {
                shown.push(certificate.to_vec());
            }
        }
        drop(shown);
        self.put(request.into_inner(), header.as_deref());
        Ok(Response::new(self.answer()))
    }
}

async fn service(otlp: &str) -> (SimulatedServer, Service) {
    let ceymail = SimulatedServer::start(System::Ceymail, ANY, Options::default()).await.unwrap();
    let file = format!(
        "targets:\n  - {{name: cey, system: ceymail, url: \"{}\", token: {TOKEN}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{interval: 1s, headers: {{X-Key: \"${{env:KEY}}\"}}, {otlp}}}\n",
        ceymail.url()
    );
    let environment: Environment = [("KEY", "s3cret")].into_iter().collect();
    let config = config::parse(&file, "test.yaml", &environment).unwrap_or_else(|problems| panic!("{problems}"));
    (ceymail, Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap())
}

async fn http(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> Vec<u8> {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mut plain = body.to_vec();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        plain.clear();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    }
    inbox.put(ExportMetricsServiceRequest::decode(plain.as_slice()).unwrap(), headers.get("x-key").and_then(|v| v.to_str().ok()));
    inbox.answer().encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_protobuf_with_and_without_gzip() {
    for compression in ["none", "gzip"] {
        let inbox = Inbox::default();
        let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/metrics", post(http)).with_state(inbox.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let (stand_in, service) =
            service(&format!("endpoint: \"http://{address}/v1/metrics?key=hidden\", protocol: http/protobuf, compression: {compression}"))
                .await;
        inbox.has_mail_up("s3cret").await;
        assert_eq!(service.push_status().unwrap().endpoint, format!("http://{address}/v1/metrics?***"));
        service.stop().await;
        stand_in.shutdown().await;
        server.abort();
    }
}

/// An authority, and what it signs.
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

    /// A certificate and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    /// A receiver that shows a certificate of this authority and wants to see one.
    fn receive(&self, incoming: TcpIncoming, inbox: &Inbox) -> Receiving {
        let (cert, key) = self.sign("collector.example.com");
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key)).client_ca_root(Certificate::from_pem(&self.certificate));
        let grpc = MetricsServiceServer::new(inbox.clone()).accept_compressed(CompressionEncoding::Gzip);
        let (stop, stopped) = oneshot::channel();
        let until = async { drop(stopped.await) };
        let server = Server::builder().tls_config(tls).unwrap().add_service(grpc).serve_with_incoming_shutdown(incoming, until);
        Receiving { stop, task: tokio::spawn(async move { drop(server.await) }) }
    }
}

/// A receiver, whose connections end with it.
struct Receiving {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiving {
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// The receiver and its authority are replaced while Postmeter runs: the files that it was told of are read anew.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_by_tls_with_a_client_certificate_and_after_both_are_renewed() {
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
    let server = authority.receive(incoming, &inbox);
    let (ca, cert, key) = (path("ca.pem"), path("c.pem"), path("k.pem"));
    let (stand_in, service) = service(&format!(
        "endpoint: \"https://{address}\", compression: gzip, retry: {{initial: 100ms, max: 1s}}, tls: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}, server_name: collector.example.com}}"
    ))
    .await;
    inbox.has_mail_up("s3cret").await;
    // Renewed in time: nothing fails, and the next request shows it.
    inbox.was_shown(1).await;
    issue(&authority);
    inbox.was_shown(2).await;

    server.end().await;
    let (inbox, authority) = (Inbox::default(), Authority::new());
    let server = authority.receive(TcpIncoming::bind(address).unwrap(), &inbox);
    issue(&authority);
    inbox.has_mail_up("s3cret").await;
    assert_eq!(service.push_status().unwrap().lost_points, 0);
    service.stop().await;
    stand_in.shutdown().await;
    server.end().await;
}

/// A receiver that says this of each request, by gRPC and by HTTP: what Postmeter then counts as lost, and how many it took.
async fn said_of(inbox: Inbox) -> [PushStatus; 2] {
    let incoming = TcpIncoming::bind(ANY).unwrap();
    let grpc = format!("endpoint: \"http://{}\"", incoming.local_addr().unwrap());
    let service = MetricsServiceServer::new(inbox.clone());
    let by_grpc = tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let http = format!("endpoint: \"http://{}/v1/metrics\", protocol: http/protobuf", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(self::http)).with_state(inbox);
    let by_http = tokio::spawn(async move { axum::serve(listener, router).await });
    let statuses = [status_after_two(&grpc).await, status_after_two(&http).await];
    by_grpc.abort();
    by_http.abort();
    statuses
}

/// How the push stands when the receiver has taken some.
async fn status_after_two(otlp: &str) -> PushStatus {
    let (stand_in, service) = service(otlp).await;
    let status = || service.push_status().unwrap();
    until("some were taken", || status().last_taken.is_some() && status().taken_points + status().lost_points > 10).await;
    let status = status();
    service.stop().await;
    stand_in.shutdown().await;
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_receiver_leaves_out_is_lost_and_nothing_else() {
    for status in said_of(Inbox::that_says(3, "too old")).await {
        assert!(status.lost_points > 0 && status.lost_points.is_multiple_of(3) && status.taken_points > 0, "{status:?}");
        assert!(status.failing.is_none(), "it was taken: {status:?}");
    }
    for status in said_of(Inbox::that_says(i64::MAX, "all of it")).await {
        assert!(status.lost_points > 0 && status.taken_points == 0, "no more than was sent: {status:?}");
    }
    // A word of warning, a count that is none, and an answer that is longer than is read.
    let long = "x".repeat(100_000);
    for inbox in [Inbox::that_says(0, "soon too old"), Inbox::that_says(-1, ""), Inbox::that_says(0, &long)] {
        for status in said_of(inbox).await {
            assert!(status.taken_points > 0 && status.lost_points == 0 && status.failing.is_none(), "{status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_otlp_is_no_refusal() {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let otlp = format!("endpoint: \"http://{}/v1/metrics\", protocol: http/protobuf", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/metrics", post(async || "<html>ok</html>"));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let status = status_after_two(&otlp).await;
    assert!(status.taken_points > 0 && status.lost_points == 0 && status.failing.is_none(), "{status:?}");
    server.abort();
}
