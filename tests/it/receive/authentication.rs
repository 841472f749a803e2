//! Only requests with every configured credential are accepted.

use super::world::{TOKEN, World, attempts, client, page, post_to, record, records};
use crate::support::program::Program;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postmeter::app::Service;
use reqwest::StatusCode;

#[tokio::test]
async fn a_wrong_credential_lets_nothing_in() {
    let mut world = World::new();
    world.targets = "  - {name: mta1, system: kumomta, url: \"http://127.0.0.1:9\", parts: {deliveries: {token: let-me-in}}}\n  - {name: mta2, system: kumomta, url: \"http://127.0.0.1:9\", parts: {deliveries: {username: hook, password: \"a:b\"}}}\n".to_owned();
    let service = world.service(None).await;
    let body = record(1, "Delivery");
    let post = |target: &str| post_to(&service, target).body(body.clone());
    let refused = [
        post("mta1"),
        post("mta1").bearer_auth("let-me-i"),
        post("mta1").bearer_auth("let-me-in2"),
        post("mta1").bearer_auth(""),
        post("mta1").basic_auth("let-me-in", None::<&str>),
        post("mta1").header("authorization", "Bearer let-me-in").header("authorization", "Bearer other"),
        post("mta1").header("authorization", "Token let-me-in"),
        post("mta2").basic_auth("hook", Some("a")),
        post("mta2").basic_auth("hook:a", None::<&str>),
        post("mta2").basic_auth("Hook", Some("a:b")),
        post("mta2").bearer_auth("let-me-in"),
    ];
    for (number, request) in refused.into_iter().enumerate() {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{number}");
        assert!(response.headers().contains_key("www-authenticate"));
        assert!(!response.text().await.unwrap().contains("let-me-in"));
    }
    assert_eq!(records(&page(&service).await, "mta1", "read"), 0.0);
    for accepted in [
        post("mta1").bearer_auth("let-me-in"),
        post("mta1").header("authorization", "bearer let-me-in"),
        post("mta1").header("authorization", "let-me-in"),
        post("mta2").basic_auth("hook", Some("a:b")),
    ] {
        assert_eq!(accepted.send().await.unwrap().status(), StatusCode::OK);
    }
    service.stop().await;
}

fn hmac(key: &str, body: &str) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    ring::hmac::sign(&key, body.as_bytes()).as_ref().to_vec()
}

async fn send_signed(service: &Service, body: &str, signature: Option<&str>) -> StatusCode {
    let request = post_to(service, "ee1").body(body.to_owned());
    let request = match signature {
        Some(signature) => request.header("x-ee-wh-signature", signature),
        None => request,
    };
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_signature_covers_the_whole_body() {
    let mut world = World::new();
    world.targets =
        "  - {name: ee1, system: emailengine, url: \"http://127.0.0.1:9\", token: t, parts: {deliveries: {signing_key: secret}}}\n"
            .to_owned();
    let service = world.service(None).await;
    let date = jiff::Timestamp::now().to_string();
    let body = format!(
        "{{\"serviceUrl\":null,\"account\":\"acme\",\"date\":\"{date}\",\"event\":\"messageSent\",\"data\":{{\"messageId\":\"<1@example.com>\",\"response\":\"250 2.0.0 OK\",\"queueId\":\"1a2229c2c30a1b2c3d4\",\"envelope\":{{\"from\":\"s@example.com\",\"to\":[\"r@example.net\"]}}}}}}"
    );
    let signature = |key: &str, body: &str| URL_SAFE_NO_PAD.encode(hmac(key, body));
    let right = signature("secret", &body);
    assert_eq!(send_signed(&service, &body, None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send_signed(&service, &body, Some(&signature("other", &body))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send_signed(&service, &format!("{body} "), Some(&right)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send_signed(&service, &body.replace("acme", "evil"), Some(&right)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send_signed(&service, &body, Some(&right)).await, StatusCode::OK);
    assert_eq!(attempts(&page(&service).await, "ee1", "delivered"), 1.0);
    service.stop().await;
}

#[tokio::test]
async fn each_time_that_requests_begin_to_be_refused_is_logged() {
    let (world, directory) = (World::new(), tempfile::tempdir().unwrap());
    let mut program = Program::spawn_with(directory.path(), &world.file(None), &[]);
    let url = format!("{}/v1/deliveries/mta1", program.receive_url().await);
    for token in ["wrong", "wrong", TOKEN, TOKEN, "wrong", TOKEN] {
        let status = client().post(&url).bearer_auth(token).body(record(1, "Delivery")).send().await.unwrap().status();
        assert_eq!(status, if token == TOKEN { StatusCode::OK } else { StatusCode::UNAUTHORIZED });
    }
    let log = program.end();
    let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("delivery records are rejected with 401"), count("delivery records are accepted again")), (2, 2), "{log:#?}");
    assert_eq!(count("wrong"), 2, "the reason is in each line, and no token: {log:#?}");
}
