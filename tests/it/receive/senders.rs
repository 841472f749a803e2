//! A target and a simulated sender for each system, with the credentials of both.

use super::world::{World, client};
use postmeter::simulate::{Delivery, Hook, HookFault, HookSender, HookSystem, SigningKey};
use std::time::{Duration, SystemTime};

const USERNAME: &str = "hook";
const PASSWORD: &str = "a:b";
const SECRET: &str = "signing secret";
/// Keys that were made for these tests.
const RSA_KEY: &str = include_str!("../../fixtures/postal/hook-signing-key.pem");
const OTHER_RSA_KEY: &str = include_str!("../../fixtures/postal/hook-other-signing-key.pem");
/// The first pause of a retry.
pub const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A sender of each system, with the key of its signatures.
pub struct Senders {
    keys: Vec<(HookSystem, Option<SigningKey>)>,
}

impl Senders {
    pub fn new() -> Self {
        Self { keys: HookSystem::ALL.iter().map(|system| (*system, signing_key(*system))).collect() }
    }

    fn key(&self, system: HookSystem) -> Option<SigningKey> {
        self.keys.iter().find(|(of, _)| *of == system).unwrap().1.clone()
    }

    /// A world with a target of each system, which is named after it.
    pub fn world(&self) -> World {
        World { targets: HookSystem::ALL.iter().map(|system| self.target(*system)).collect(), ..World::new() }
    }

    fn target(&self, system: HookSystem) -> String {
        let (token, basic) = credentials(system);
        let mut keys = "include: [message_id]".to_owned();
        if let Some(token) = token {
            keys += &format!(", token: {token}");
        }
        if let Some((username, password)) = basic {
            keys += &format!(", username: {username}, password: \"{password}\"");
        }
        if let Some(key) = self.key(system) {
            keys += &format!(", signing_key: {}", serde_json::Value::from(key.verification_key()));
        }
        let name = system.name();
        format!("  - {{name: {name}, system: {name}, parts: {{deliveries: {{{keys}}}}}}}\n")
    }

    /// The hook of a system's sender. `base` is the URL of the listener without a path.
    pub fn hook(&self, system: HookSystem, base: &str, fault: Option<HookFault>) -> Hook {
        let (token, basic) = credentials(system);
        let hook = Hook::new(format!("{base}/v1/deliveries/{}", system.name()));
        Hook { token, basic, signing_key: self.key(system), fault, retry_pause: RETRY_PAUSE, ..hook }
    }

    /// Starts a sender.
    pub fn start(&self, system: HookSystem, base: &str, fault: Option<HookFault>) -> HookSender {
        HookSender::start(system, self.hook(system, base, fault)).unwrap()
    }
}

/// The token, and the user name with the password. A signature that others could make, too, needs one of them beside it.
fn credentials(system: HookSystem) -> (Option<String>, Option<(String, String)>) {
    let (token, basic) = (Some("let-me-in".to_owned()), Some((USERNAME.to_owned(), PASSWORD.to_owned())));
    match system {
        HookSystem::Kumomta | HookSystem::Mox | HookSystem::Mailgun => (token, None),
        HookSystem::Postal | HookSystem::Postmark => (None, basic),
        HookSystem::Emailengine | HookSystem::Stalwart | HookSystem::Sendgrid => (None, None),
    }
}

fn signing_key(system: HookSystem) -> Option<SigningKey> {
    match system {
        HookSystem::Kumomta | HookSystem::Mox | HookSystem::Postmark => None,
        HookSystem::Postal => Some(SigningKey::rsa(RSA_KEY).unwrap()),
        HookSystem::Sendgrid => Some(SigningKey::new_ecdsa().unwrap()),
        HookSystem::Emailengine | HookSystem::Stalwart | HookSystem::Mailgun => Some(SigningKey::Secret(SECRET.to_owned())),
    }
}

/// A key of the same kind as the system's, but another one.
pub fn other_key(system: HookSystem) -> Option<SigningKey> {
    Some(match signing_key(system)? {
        SigningKey::Rsa(_) => SigningKey::rsa(OTHER_RSA_KEY).unwrap(),
        SigningKey::Ecdsa(_) => SigningKey::new_ecdsa().unwrap(),
        SigningKey::Secret(secret) => SigningKey::Secret(secret + "2"),
    })
}

/// Deliveries with these numbers, one second apart, the last one ten seconds ago.
pub fn deliveries(ids: std::ops::Range<u64>) -> Vec<Delivery> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    ids.clone().map(|id| Delivery::nth(id, now - 10 - (ids.end - id))).collect()
}

/// Requests the metrics page, which must arrive.
pub async fn scrape(base: &str) -> String {
    let response = client().get(format!("{base}/metrics")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}
