//! The requests of a sender: items, bodies, credentials and signatures, with the faults of the sender.

use super::format::{BodyForm, HookFormat, Signing};
use super::{Delivery, Hook, HookFault, SigningKey};
use crate::simulate::random::mix;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A wrong credential.
const WRONG: &str = "wrong";

/// A request, without its URL.
#[derive(Clone, Debug)]
pub struct HookRequest {
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// An item as it stands in a body, and as it was signed.
#[derive(Clone, Debug)]
pub(super) struct Item {
    text: String,
    /// Differs from `text` if the time was changed after the request was signed.
    signed: String,
}

/// The present time in Unix seconds, less the age of the sender's requests.
fn signed_at(fault: Option<HookFault>) -> u64 {
    let age = fault.filter(|fault| *fault == HookFault::Replayed).map_or(Duration::ZERO, HookFault::age);
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age).as_secs()
}

impl Item {
    /// Renders the item of a delivery. It stays the same in all attempts.
    pub(super) fn new(format: &HookFormat, hook: &Hook, delivery: &Delivery) -> Self {
        let signed = render(format, hook, delivery, 0);
        let later = || render(format, hook, &Delivery { at: delivery.at + 1, ..delivery.clone() }, 1);
        let text = if hook.fault == Some(HookFault::ChangedTime) { later() } else { signed.clone() };
        Self { text, signed }
    }
}

/// Renders an item. `added` is added to the time of a signature in the item, after it was signed.
fn render(format: &HookFormat, hook: &Hook, delivery: &Delivery, added: u64) -> String {
    let item = (format.item)(delivery);
    let BodyForm::BesideSignature = format.body else { return item.to_string() };
    let timestamp = signed_at(hook.fault);
    let token = format!("{:016x}{:016x}", mix(delivery.id), mix(delivery.id ^ u64::from(delivery.attempt) << 32));
    let signature = hook.key().filter(|_| hook.fault != Some(HookFault::MissingCredential)).map(|key| {
        let signature = key.sign_hex(format!("{timestamp}{token}").as_bytes());
        json!({"timestamp": (timestamp + added).to_string(), "token": token, "signature": signature})
    });
    match signature {
        Some(signature) => json!({"signature": signature, "event-data": item}).to_string(),
        None => json!({"event-data": item}).to_string(),
    }
}

impl HookRequest {
    /// Builds the request with these items.
    pub(super) fn new(format: &HookFormat, hook: &Hook, items: &[&Item]) -> Self {
        let body = |text: fn(&Item) -> &str| format.body.body(&items.iter().map(|item| text(item)).collect::<Vec<_>>());
        let (signed, body) = (body(|item| &item.signed), body(|item| &item.text));
        let mut headers = vec![("content-type", format.content_type.to_owned())];
        if let Some(name) = format.id_header {
            headers.push((name, format!("{:016x}", signed.bytes().fold(0, |id, byte| mix(id ^ u64::from(byte))))));
        }
        if hook.fault != Some(HookFault::MissingCredential) {
            headers.extend(hook.authorization().map(|value| ("authorization", value)));
            headers.extend(signature_headers(format.signing, hook, &signed));
        }
        Self { headers, body }
    }

    /// The same request about another recipient, with the signature of this one.
    pub(super) fn with_changed_body(&self) -> Self {
        Self { body: self.body.replace("reader", "writer"), ..self.clone() }
    }

    /// The same request with its headers only.
    pub(super) fn without_body(&self) -> Self {
        Self { body: String::new(), ..self.clone() }
    }
}

impl Hook {
    /// The key of the signatures.
    fn key(&self) -> Option<SigningKey> {
        let key = self.signing_key.clone()?;
        let is_wrong = self.fault == Some(HookFault::WrongCredential);
        Some(match key {
            SigningKey::Secret(_) if is_wrong => SigningKey::Secret(WRONG.to_owned()),
            // A new key. There is always one unless the operating system has no random numbers.
            SigningKey::Ecdsa(pair) if is_wrong => SigningKey::new_ecdsa().unwrap_or(SigningKey::Ecdsa(pair)),
            key => key,
        })
    }

    /// The value of the header `Authorization`.
    fn authorization(&self) -> Option<String> {
        let is_wrong = self.fault == Some(HookFault::WrongCredential);
        if let Some(token) = &self.token {
            return Some(format!("Bearer {}", if is_wrong { WRONG } else { token }));
        }
        let (username, password) = self.basic.as_ref()?;
        let password = if is_wrong { WRONG } else { password };
        Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
    }
}

fn signature_headers(signing: Signing, hook: &Hook, body: &str) -> Vec<(&'static str, String)> {
    let Some(key) = hook.key() else { return Vec::new() };
    match signing {
        Signing::None | Signing::BodyToken => Vec::new(),
        Signing::Hmac { header, is_url_safe } => vec![(header, key.sign_base64(body.as_bytes(), is_url_safe))],
        Signing::Rsa { header } => {
            // The signature of another key matches as little as that of another text.
            let text = if hook.fault == Some(HookFault::WrongCredential) { WRONG } else { body };
            vec![(header, key.sign_base64(text.as_bytes(), false))]
        }
        Signing::Ecdsa { header, timestamp } => {
            let seconds = signed_at(hook.fault);
            let signature = key.sign_base64(format!("{seconds}{body}").as_bytes(), false);
            let sent = seconds + u64::from(hook.fault == Some(HookFault::ChangedTime));
            vec![(header, signature), (timestamp, sent.to_string())]
        }
    }
}
