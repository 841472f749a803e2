//! Personal data in requests to the receiver, by gRPC and by HTTP.

use super::world::{ANY, World, grpc, until};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use postmeter::simulate::Receiver;
use prost::Message;
use std::sync::{Arc, Mutex};

/// Returns true if any of the requests contains this text.
fn holds(requests: &[ExportLogsServiceRequest], text: &str) -> bool {
    requests.iter().any(|request| memchr::memmem::find(&request.encode_to_vec(), text.as_bytes()).is_some())
}

/// Personal data in the records of the simulated server.
const PERSONAL: [&str; 7] = ["reader", "sender@", "example.com", "192.0.2.", "198.51.100.", "1v0", "User unknown"];

#[tokio::test(flavor = "multi_thread")]
async fn no_personal_data_is_sent_unless_included() {
    let world = World::with(1_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let service = world.service("", &grpc(&receiver)).await;
    until("all records", || receiver.distinct_log_records() == 1_000).await;
    service.stop().await;
    let requests = receiver.log_requests();
    for text in PERSONAL {
        assert!(!holds(&requests, text), "{text}");
    }
    for text in ["mail.delivery", "mail.recipient.address_hash", "5.1.1", "remote_smtp", "whm1"] {
        assert!(holds(&requests, text), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn included_fields_are_sent_in_clear() {
    let world = World::with(1_000).await;
    let receiver = Receiver::start(ANY).await.unwrap();
    let include = ", include: [recipient, sender, peer_ip, client_ip, message_id, message, delivery_domain]";
    let service = world.service(include, &grpc(&receiver)).await;
    until("all records", || receiver.distinct_log_records() == 1_000).await;
    service.stop().await;
    let requests = receiver.log_requests();
    for text in PERSONAL {
        assert!(holds(&requests, text), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_logs_have_a_path_next_to_that_of_metrics() {
    type Inbox = Arc<Mutex<Vec<ExportLogsServiceRequest>>>;
    async fn logs(State(inbox): State<Inbox>, body: Bytes) -> Vec<u8> {
        inbox.lock().unwrap().push(ExportLogsServiceRequest::decode(body).unwrap());
        Vec::new()
    }
    let inbox = Inbox::default();
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/logs", post(logs)).with_state(inbox.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let world = World::with(1_000).await;
    let service =
        world.service("", &format!("{{endpoint: \"{endpoint}\", protocol: http/protobuf, interval: 1s, compression: none}}")).await;
    let records = || {
        let requests = inbox.lock().unwrap();
        requests.iter().flat_map(|r| &r.resource_logs).flat_map(|of| &of.scope_logs).map(|scope| scope.log_records.len()).sum::<usize>()
    };
    until("all records", || records() == 1_000).await;
    service.stop().await;
    server.abort();
}
