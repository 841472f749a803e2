//! Requests with which a simulated server reports its deliveries: those of KumoMTA's log hook and of EmailEngine's webhooks.

use super::delivery_log::{Attempt, AttemptOutcome};
use super::random::mix;
use super::server::SimulatedServer;
use super::{Domain, Origin, System};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder};
use ring::hmac;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The time between two deliveries of a batch.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before a request that was not acknowledged is sent again. The real systems wait longer.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The longest wait for a response: that of EmailEngine.
const RESPONSE_MAX: Duration = Duration::from_secs(30);
/// The records of a request of KumoMTA.
const BATCH_RECORDS_MAX: usize = 500;

/// The receiver of a server's deliveries.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The URL of the target: `http://host:port/v1/deliveries/TARGET`.
    pub url: String,
    /// The bearer token (KumoMTA), or the key of the signatures (EmailEngine).
    pub secret: String,
    /// The fault of the sender.
    pub fault: Option<HookFault>,
}

/// A fault of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookFault {
    /// Each request is sent twice, although the first one was acknowledged.
    Doubles,
    /// The records of a batch are sent in the reverse order.
    OutOfOrder,
    /// The credential or the signature is wrong.
    WrongCredential,
}

impl System {
    /// Returns true if the simulated system can send its deliveries.
    #[must_use]
    pub fn sends_deliveries(self) -> bool {
        matches!(self, Self::Kumomta | Self::Emailengine)
    }
}

/// A sender of deliveries. It stops when it is dropped.
#[derive(Debug)]
pub struct HookSender(JoinHandle<()>);

impl Drop for HookSender {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SimulatedServer {
    /// Sends the deliveries of the server from now on, each until it is acknowledged.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn send_deliveries(&self, hook: Hook) -> Result<HookSender, reqwest::Error> {
        let client = Client::builder().tls_certs_only([]).no_proxy().timeout(RESPONSE_MAX).build()?;
        let (system, source) = (self.system(), self.attempts());
        let mut position = source.position();
        Ok(HookSender(tokio::spawn(async move {
            loop {
                tokio::time::sleep(BATCH_INTERVAL).await;
                let mut attempts = source.since(&mut position);
                if hook.fault == Some(HookFault::OutOfOrder) {
                    attempts.reverse();
                }
                for request in requests(system, &attempts) {
                    for _ in 0..if hook.fault == Some(HookFault::Doubles) { 2 } else { 1 } {
                        deliver(&client, system, &hook, &request).await;
                    }
                }
            }
        })))
    }
}

/// Sends a request until it is acknowledged. A sender with a wrong credential gives up at once.
async fn deliver(client: &Client, system: System, hook: &Hook, body: &str) {
    loop {
        let response = signed(client.post(&hook.url).body(body.to_owned()), system, hook, body).send().await;
        match response {
            Ok(response) if response.status() == 200 || hook.fault == Some(HookFault::WrongCredential) => return,
            _ => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}

fn signed(request: RequestBuilder, system: System, hook: &Hook, body: &str) -> RequestBuilder {
    let secret = if hook.fault == Some(HookFault::WrongCredential) { "wrong" } else { &hook.secret };
    match system {
        System::Emailengine => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, body.as_bytes()));
            request.header("content-type", "application/json").header("x-ee-wh-signature", signature)
        }
        _ => request.header("content-type", "application/x-ndjson").bearer_auth(secret),
    }
}

/// The bodies of the requests that report these attempts.
fn requests(system: System, attempts: &[(Attempt, Domain)]) -> Vec<String> {
    let finished = attempts.iter().filter(|(attempt, _)| attempt.outcome != AttemptOutcome::InProgress);
    match system {
        System::Emailengine => finished.map(|(attempt, domain)| email_engine(attempt, domain).to_string()).collect(),
        _ => {
            let lines: Vec<String> = finished.map(|(attempt, domain)| kumo_mta(attempt, domain).to_string() + "\n").collect();
            lines.chunks(BATCH_RECORDS_MAX).map(<[String]>::concat).collect()
        }
    }
}

/// A reply of the next hop: code, enhanced status code and text.
fn reply(attempt: &Attempt) -> (u16, [u16; 3], &'static str) {
    match (attempt.outcome, mix(attempt.id) % 2) {
        (AttemptOutcome::Success | AttemptOutcome::InProgress, _) => (250, [2, 0, 0], "OK: queued"),
        (AttemptOutcome::Defer, 0) => (451, [4, 7, 1], "greylisted, try again later"),
        (AttemptOutcome::Defer, _) => (421, [4, 3, 2], "service not available"),
        (AttemptOutcome::Failure, 0) => (550, [5, 7, 26], "unauthenticated mail is refused"),
        (AttemptOutcome::Failure, _) => (550, [5, 1, 1], "user unknown"),
    }
}

fn time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}

fn kumo_mta(attempt: &Attempt, domain: &Domain) -> Value {
    let (code, [class, subject, detail], content) = reply(attempt);
    let (kind, bounce_class) = match attempt.outcome {
        AttemptOutcome::Defer => ("TransientFailure", "Uncategorized"),
        AttemptOutcome::Failure => ("Bounce", "InvalidRecipient"),
        AttemptOutcome::Success | AttemptOutcome::InProgress => ("Delivery", "Uncategorized"),
    };
    let tenant = domain.tenant.map(|tenant| format!("{}:{tenant}@", domain.campaign.unwrap_or_default())).unwrap_or_default();
    json!({
        "type": kind,
        "id": format!("{:032x}", attempt.id),
        "sender": "sender@example.com",
        "recipient": attempt.recipient(domain),
        "queue": format!("{tenant}{}", domain.name),
        "site": format!("mx.{}", domain.name),
        "size": attempt.bytes,
        "response": {
            "code": code,
            "enhanced_code": {"class": class, "subject": subject, "detail": detail},
            "content": content,
            "command": if attempt.outcome == AttemptOutcome::Success { ".".to_owned() } else { format!("RCPT TO:<{}>\r\n", attempt.recipient(domain)) },
        },
        "peer_address": {"name": format!("mx.{}", domain.name), "addr": format!("192.0.2.{}", 1 + attempt.domain % 250)},
        "timestamp": attempt.at,
        "event_time": time(attempt.at),
        "created": attempt.received,
        "created_time": time(attempt.received),
        "num_attempts": 0,
        "bounce_classification": bounce_class,
        "egress_pool": "pool",
        "egress_source": format!("source-{}", 1 + attempt.id % 2),
        "source_address": {"address": format!("192.0.2.{}:25000", 200 + attempt.id % 2)},
        "feedback_report": null,
        "meta": {},
        "headers": {},
        "delivery_protocol": "ESMTP",
        "reception_protocol": if attempt.origin == Origin::Remote { "ESMTP" } else { "HTTP" },
        "nodeid": "557f3ad4-2c8c-11ee-976e-782d7e12e173",
        "session_id": null,
        "provider_name": if attempt.domain.is_multiple_of(3) { "example-provider" } else { "other-provider" },
    })
}

fn email_engine(attempt: &Attempt, domain: &Domain) -> Value {
    let (code, [class, subject, detail], text) = reply(attempt);
    let envelope = json!({"from": "sender@example.com", "to": [attempt.recipient(domain)]});
    // The first 11 digits are the milliseconds of queueing.
    let queue_id = format!("{:011x}{:08x}", attempt.received * 1000, attempt.id & 0xffff_ffff);
    let message_id = format!("<{}@example.com>", attempt.id);
    let response = format!("{code} {class}.{subject}.{detail} {text}");
    let (event, data) = match attempt.outcome {
        AttemptOutcome::Success | AttemptOutcome::InProgress => (
            "messageSent",
            json!({"messageId": message_id, "originalMessageId": message_id, "response": response, "queueId": queue_id, "envelope": envelope}),
        ),
        AttemptOutcome::Defer | AttemptOutcome::Failure => {
            let is_final = attempt.outcome == AttemptOutcome::Failure;
            let next = if is_final { Value::Bool(false) } else { Value::from(time(attempt.at + 60)) };
            let data = json!({
                "queueId": queue_id,
                "envelope": envelope,
                "messageId": message_id,
                "error": text,
                "errorCode": "EENVELOPE",
                "smtpResponse": response,
                "smtpResponseCode": code,
                "smtpCommand": "RCPT TO",
                "job": {"attemptsMade": 0, "attempts": 10, "nextAttempt": next},
            });
            ("messageDeliveryError", data)
        }
    };
    json!({"serviceUrl": null, "account": domain.tenant.unwrap_or("account"), "date": time(attempt.at), "event": event, "data": data})
}
