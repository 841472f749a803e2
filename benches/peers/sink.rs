//! A receiver that counts the series of the server and the bytes of all requests.

use crate::common::is_named;
use crate::peer::Protocol;
use crate::{ANY, remote_write};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use parking_lot::Mutex;
use postmeter::simulate::Receiver;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The points of the server's series, without the metrics that each program adds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub series: u64,
    pub sum: u64,
}

impl Tally {
    pub fn add(&mut self, value: f64) {
        self.series += 1;
        self.sum += value as u64;
    }

    /// The series of a page of Prometheus' text format.
    pub fn of_page(page: &str) -> Self {
        let mut tally = Self::default();
        for line in page.lines() {
            let (name, rest) = line.split_once('{').unwrap_or_default();
            if is_named(name) {
                let value = rest.rsplit_once("} ").unwrap().1;
                tally.add(value.parse().unwrap());
            }
        }
        tally
    }

    fn add_request(&mut self, request: &ExportMetricsServiceRequest) {
        let scopes = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
        for metric in scopes.flat_map(|scope| &scope.metrics).filter(|metric| is_named(&metric.name)) {
            let points = match metric.data.as_ref().unwrap() {
                Data::Gauge(gauge) => &gauge.data_points,
                Data::Sum(sum) => &sum.data_points,
                other => panic!("{} is neither a gauge nor a sum: {other:?}", metric.name),
            };
            for point in points {
                match point.value {
                    Some(Value::AsDouble(value)) => self.add(value),
                    Some(Value::AsInt(value)) => self.add(value as f64),
                    None => panic!("a point of {} has no value", metric.name),
                }
            }
        }
    }
}

/// A running receiver.
pub struct Sink {
    pub addr: SocketAddr,
    bytes: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    otlp: Option<Receiver>,
}

impl Sink {
    pub async fn start(protocol: Protocol) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (receiver, otlp) = match protocol {
            Protocol::Otlp => {
                let otlp = Receiver::start(ANY).await.unwrap();
                (otlp.addr(), Some(otlp))
            }
            Protocol::RemoteWrite => (receive_remote_write(tally.clone()).await, None),
        };
        let bytes = Arc::new(AtomicU64::new(0));
        Self { addr: forward(receiver, bytes.clone()).await, bytes, tally, otlp }
    }

    /// The series of all requests so far.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.lock();
        for request in self.otlp.iter().flat_map(Receiver::take) {
            tally.add_request(&request);
        }
        *tally
    }

    /// The bytes of all requests so far, with their headers.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

async fn receive_remote_write(tally: Arc<Mutex<Tally>>) -> SocketAddr {
    let receive = async move |headers: http::HeaderMap, body: bytes::Bytes| {
        remote_write::read(&headers, &body, &mut tally.lock());
        http::StatusCode::NO_CONTENT
    };
    let router = Router::new().fallback(receive).layer(DefaultBodyLimit::disable());
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

/// Forwards connections to a receiver and counts the bytes that it receives.
async fn forward(receiver: SocketAddr, bytes: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (sender, _) = listener.accept().await.unwrap();
            let receiver = TcpStream::connect(receiver).await.unwrap();
            let ((mut from_sender, mut to_sender), (mut from_receiver, mut to_receiver)) = (sender.into_split(), receiver.into_split());
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                // A closed connection ends both directions.
                while let Ok(read @ 1..) = from_sender.read(&mut buffer).await {
                    bytes.fetch_add(read as u64, Ordering::Relaxed);
                    if to_receiver.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
            tokio::spawn(async move { tokio::io::copy(&mut from_receiver, &mut to_sender).await });
        }
    });
    addr
}
