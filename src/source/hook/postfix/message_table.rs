//! Facts about a message from the lines before its delivery, by queue id.

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The largest number of messages. The one whose last line is the oldest is dropped.
pub const MESSAGES_MAX: usize = 20_000;

/// The known facts about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub sender: Option<String>,
    pub size: Option<String>,
    pub client_host: Option<String>,
    pub client_ip: Option<String>,
    pub user: Option<String>,
    /// The way of its arrival: `remote`, `authenticated`, `dsn` or `local`. `None`: its arrival was not read.
    pub origin: Option<&'static str>,
    /// It was reported that it was received.
    pub is_received: bool,
}

/// The ways in which a message can arrive.
const ORIGINS: [&str; 4] = ["remote", "authenticated", "dsn", "local"];

/// The messages, by host, instance and queue id.
#[derive(Clone, Debug, Default)]
pub(super) struct MessageTable {
    messages: HashMap<String, (u64, Message)>,
    by_age: BTreeMap<u64, String>,
    next: u64,
}

impl MessageTable {
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Message> {
        self.messages.get(key).map(|(_, message)| message)
    }

    /// The message, which is new if it is not known. It becomes the newest.
    pub(super) fn update(&mut self, key: &str) -> &mut Message {
        let before = self.messages.get(key).map(|(age, _)| *age);
        if let Some(age) = before {
            self.by_age.remove(&age);
        } else if self.messages.len() >= MESSAGES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.messages.remove(&oldest);
        }
        let age = self.next;
        self.next += 1;
        self.by_age.insert(age, key.to_owned());
        let entry = self.messages.entry(key.to_owned()).or_default();
        entry.0 = age;
        &mut entry.1
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some((age, _)) = self.messages.remove(key) {
            self.by_age.remove(&age);
        }
    }

    /// The messages, the oldest first.
    pub(super) fn save(&self) -> Value {
        let messages = self.by_age.values().filter_map(|key| {
            let message = self.get(key)?;
            let Message { sender, size, client_host, client_ip, user, origin, is_received } = message;
            Some(json!([key, sender, size, client_host, client_ip, user, origin, is_received]))
        });
        Value::Array(messages.collect())
    }

    /// The saved messages.
    pub(super) fn load(saved: &Value) -> Self {
        let mut table = Self::default();
        for row in saved.as_array().into_iter().flatten() {
            let text = |at: usize| row.get(at).and_then(Value::as_str).map(str::to_owned);
            let Some(key) = text(0) else { continue };
            *table.update(&key) = Message {
                sender: text(1),
                size: text(2),
                client_host: text(3),
                client_ip: text(4),
                user: text(5),
                origin: text(6).and_then(|origin| ORIGINS.into_iter().find(|known| *known == origin)),
                is_received: row.get(7).and_then(Value::as_bool).unwrap_or_default(),
            };
        }
        table
    }
}
