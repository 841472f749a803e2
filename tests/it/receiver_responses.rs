//! Unusual responses of OTLP receivers, sent as bytes over gRPC and HTTP: whether the request is sent again, and the text for the operator.
#![allow(clippy::unwrap_used)]

use crate::support::raw_receiver::{Part, RawReceiver};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use postmeter::config::{Otlp, Protocol};
use postmeter::export::otlp::{OtlpExporter, PartialSuccess, RequestBody, RetryDecision, SendError, Signal};
use prost::Message;
use std::io::Write;
use std::time::Duration;

/// The HTTP/2 error code without an error.
const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;

fn headers(extra: &[(&'static str, &[u8])], is_end: bool) -> Part {
    let fixed: [(&'static str, &[u8]); 2] = [(":status", b"200"), ("content-type", b"application/grpc")];
    Part::Headers(fixed.iter().chain(extra).map(|(name, value)| (*name, value.to_vec())).collect(), is_end)
}

fn trailers(extra: &[(&'static str, &[u8])]) -> Part {
    Part::Headers(extra.iter().map(|(name, value)| (*name, value.to_vec())).collect(), true)
}

/// A message without compression, after its prefix.
fn message(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn rejecting(points: i64, reason: &str) -> Vec<u8> {
    let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points: points, error_message: reason.to_owned() });
    ExportMetricsServiceResponse { partial_success }.encode_to_vec()
}

async fn send(config: Otlp, signal: Signal) -> Result<PartialSuccess, SendError> {
    OtlpExporter::new(config).unwrap().send(signal, &RequestBody::uncompressed("a request".into())).await
}

async fn by_grpc(response: Vec<Part>) -> Result<PartialSuccess, SendError> {
    let receiver = RawReceiver::grpc(response).await;
    let metrics = send(Otlp::to(format!("http://{}", receiver.address)), Signal::Metrics).await;
    let logs = send(Otlp::to(format!("http://{}", receiver.address)), Signal::Logs).await;
    assert_eq!(metrics.as_ref().map_err(ToString::to_string), logs.as_ref().map_err(ToString::to_string), "both signals are alike");
    metrics
}

async fn by_http(response: Vec<u8>) -> Result<PartialSuccess, SendError> {
    let receiver = RawReceiver::http(response).await;
    let endpoint = format!("http://{}/v1/metrics", receiver.address);
    send(Otlp { protocol: Protocol::HttpProtobuf, ..Otlp::to(endpoint) }, Signal::Metrics).await
}

fn http(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    [format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_grpc_message_does_not_change_the_code() {
    for (written, expected) in [
        (&b"busy %FF now"[..], "busy \u{fffd} now"),
        (b"\xfcberlastet", "\u{fffd}berlastet"),
        ("überlastet %zz %".as_bytes(), "überlastet %zz %"),
        (b"%C3%BCber%", "über%"),
    ] {
        let error = by_grpc(vec![headers(&[("grpc-status", b"14"), ("grpc-message", written)], true)]).await.unwrap_err();
        assert_eq!(error.retry_decision(), RetryDecision::Later, "{error}");
        assert_eq!(error.to_string(), format!("the receiver is busy: Unavailable {expected}"));
    }
    // Accepted is accepted.
    let accepted = [("grpc-status", &b"0"[..]), ("grpc-message", b"%FF"), ("grpc-status-details-bin", b"!")];
    let response = by_grpc(vec![headers(&[], false), Part::Data(message(b""), false), trailers(&accepted)]).await.unwrap();
    assert_eq!(response, PartialSuccess::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_with_a_long_message_or_long_details_is_read() {
    let (long, details) = ("x".repeat(200_000), "A".repeat(200_000));
    for header in [("grpc-message", long.as_bytes()), ("grpc-status-details-bin", details.as_bytes())] {
        let error = by_grpc(vec![headers(&[("grpc-status", b"3"), header], true)]).await.unwrap_err();
        assert_eq!((error.error_type(), error.retry_decision()), ("refused", RetryDecision::Never), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_response_without_its_end_is_sent_again() {
    for response in [
        vec![headers(&[], false), Part::Reset(NO_ERROR)],
        vec![headers(&[], false), Part::Data(message(b""), false), Part::Reset(NO_ERROR)],
        vec![headers(&[], false), Part::Data(message(b""), true)],
        vec![headers(&[], true)],
        vec![headers(&[], false), Part::Reset(CANCEL)],
    ] {
        let error = by_grpc(response.clone()).await.unwrap_err();
        assert_eq!((error.error_type(), error.retry_decision()), ("unreachable", RetryDecision::Later), "{response:?}: {error}");
    }
    let error = by_grpc(vec![headers(&[], true)]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the response has no gRPC status, so it is incomplete or not from an OTLP receiver; check the endpoint, including http or https, and that the receiver is running"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_has_one_text_however_the_timeout_is_noticed() {
    for response in [vec![], vec![headers(&[], false)]] {
        let receiver = RawReceiver::grpc(response).await;
        let config = Otlp { timeout: Duration::from_millis(500), ..Otlp::to(format!("http://{}", receiver.address)) };
        let exporter = OtlpExporter::new(config).unwrap();
        for _ in 0..3 {
            let error = exporter.send(Signal::Metrics, &RequestBody::uncompressed("a request".into())).await.unwrap_err();
            assert!(error.to_string().starts_with("no response within 500ms; "), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_responses_over_http_are_decoded() {
    const PROTOBUF: &str = "content-type: application/x-protobuf";
    let response = rejecting(5, "too old");
    for (coding, body) in [("gzip", gzip(&response)), ("X-GZIP", gzip(&response)), ("zstd", zstd::encode_all(&response[..], 3).unwrap())] {
        let partial = by_http(http("200 OK", &[PROTOBUF, &format!("content-encoding: {coding}")], &body)).await.unwrap();
        assert_eq!(partial, PartialSuccess { rejected: 5, message: "too old".to_owned() }, "{coding}");
    }
    let empty = by_http(http("200 OK", &[PROTOBUF, "content-encoding: gzip"], b"")).await.unwrap();
    assert_eq!(empty, PartialSuccess::default());
    for (coding, body) in [("br", &response[..]), ("gzip", b"\x1f\x8bnot gzip"), ("gzip", &gzip(&vec![0; 100_000]))] {
        let coding = format!("content-encoding: {coding}");
        let partial = by_http(http("200 OK", &[PROTOBUF, &coding], body)).await.unwrap();
        assert!(partial.rejected == 0 && partial.message.starts_with("the response cannot be decoded: "), "{coding}: {partial:?}");
        let error = by_http(http("400 Bad Request", &[PROTOBUF, &coding], body)).await.unwrap_err().to_string();
        assert!(error.starts_with("the receiver rejected the request: 400 Bad Request (the response cannot be decoded: "), "{error}");
        let page = by_http(http("200 OK", &["content-type: text/html", &coding], body)).await.unwrap_err();
        assert_eq!(page.retry_decision(), RetryDecision::Later);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_of_an_error_is_that_of_its_protobuf_status() {
    const PROTOBUF: &str = "content-type: application/x-protobuf";
    let status =
        tonic_types::Status { code: 3, message: "metric a.b: invalid temporality".to_owned(), details: Vec::new() }.encode_to_vec();
    let expected = "the receiver rejected the request: 400 Bad Request metric a.b: invalid temporality";
    let plain = by_http(http("400 Bad Request", &[PROTOBUF], &status)).await.unwrap_err();
    assert_eq!(plain.to_string(), expected);
    let compressed = by_http(http("400 Bad Request", &[PROTOBUF, "content-encoding: gzip"], &gzip(&status))).await.unwrap_err();
    assert_eq!(compressed.to_string(), expected);
    // The second text is valid Protobuf with unknown fields.
    for text in ["metric a.b: invalid temporality", "internal error"] {
        for headers in [&[PROTOBUF][..], &[PROTOBUF, "content-encoding: utf-8"], &["content-encoding: gzip"]] {
            let error = by_http(http("400 Bad Request", headers, text.as_bytes())).await.unwrap_err().to_string();
            assert_eq!(error, format!("the receiver rejected the request: 400 Bad Request {text}"), "{headers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_of_a_receiver_are_explained() {
    let error = by_http(http("308 Permanent Redirect", &["location: https://otlp.example.com/v1/metrics"], b"")).await.unwrap_err();
    assert_eq!(error.retry_decision(), RetryDecision::Never);
    assert_eq!(
        error.to_string(),
        "the receiver rejected the request: 308 Permanent Redirect; redirects are not followed, set export.otlp.endpoint to the final URL"
    );
    let error = by_grpc(vec![Part::Headers(vec![(":status", b"302".to_vec())], true)]).await.unwrap_err().to_string();
    assert!(error.ends_with("HTTP status code 302; redirects are not followed, set export.otlp.endpoint to the final URL"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepting_response_with_many_headers_is_accepted() {
    let headers: Vec<String> = (0..500).map(|n| format!("x-{n}: a")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    assert_eq!(by_http(http("200 OK", &headers, b"")).await.unwrap(), PartialSuccess::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn any_valid_retry_after_is_respected() {
    for (value, expected) in [("2.5", 3), ("999999999999999999999999", 3600)] {
        let error = by_http(http("429 Too Many Requests", &[&format!("retry-after: {value}")], b"")).await.unwrap_err();
        assert_eq!(error.retry_decision(), RetryDecision::After(Duration::from_secs(expected)), "{value}");
    }
}
