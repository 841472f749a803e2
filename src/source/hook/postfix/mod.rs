//! The log of Postfix: lines in, items out, without I/O. The section `hook` of the definition makes records of the items, as of any others.
//!
//! The facts of a delivery are in several lines: the client in one of smtpd, sender and size in one of qmgr, the outcome in one of the
//! delivery agent. They are joined by queue id. The identity of a record depends on its own line only, so that it is the same whatever was
//! read before.

mod equal_lines;
mod line;
mod message_table;
mod quoted;
mod syslog;

pub use message_table::MESSAGES_MAX;

use super::{Hook, HookPage};
use crate::model::cut;
use equal_lines::EqualLines;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use line::{Delivery, Event, Rejection};
use message_table::{Message, MessageTable};
use serde_json::{Map, Value, json};
use std::time::SystemTime;
use syslog::SyslogLine;

/// The largest line. Postfix writes at most 2000 bytes of a message.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// The largest text that is kept of a line until the message leaves the queue.
const KEPT_BYTES_MAX: usize = 320;
/// The times that a line can be repeated. A line that was repeated more often is unreadable.
const REPETITIONS_MAX: u32 = 10_000;
/// The delivery agents and the other programs whose lines are read are recognized by the `/` in their names, such as `postfix/smtp`.
const PROGRAM_SEPARATOR: char = '/';

/// A reader of the log of Postfix.
#[derive(Debug)]
pub struct PostfixLog {
    zone: TimeZone,
    messages: MessageTable,
    equal_lines: EqualLines,
    /// The last line was read and has no record, so that its repetitions have none either. `false` at the start, when it is not known.
    last_has_no_record: bool,
}

/// The contents of lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogItems {
    /// Items for the definition.
    pub items: Vec<Value>,
    /// The number of lines that report something else.
    pub ignored: u64,
    /// The number of lines that cannot be read.
    pub unreadable: u64,
    /// The first problem of an unreadable line, without personal data.
    pub problem: Option<&'static str>,
    /// The number of deliveries of messages without earlier lines.
    pub unjoined: u64,
}

impl LogItems {
    fn report_unreadable(&mut self, problem: &'static str) {
        self.unreadable += 1;
        self.problem.get_or_insert(problem);
    }
}

impl PostfixLog {
    /// Creates a reader without state. `zone` applies to times without a zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, messages: MessageTable::default(), equal_lines: EqualLines::default(), last_has_no_record: false }
    }

    /// For tests: creates a reader without state. Times without a zone are in UTC.
    #[must_use]
    pub fn in_utc() -> Self {
        Self::new(TimeZone::UTC)
    }

    /// The number of messages of which earlier lines were read and that are still in the queue.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// Returns the state, so that another reader can continue.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        json!({"messages": self.messages.save(), "moments": self.equal_lines.save()}).to_string().into_bytes()
    }

    /// Continues with a saved state. Entries that cannot be read are omitted.
    #[must_use]
    pub fn load(mut self, saved: &[u8]) -> Self {
        let saved: Value = serde_json::from_slice(saved).unwrap_or_default();
        self.messages = saved.get("messages").map(MessageTable::load).unwrap_or_default();
        self.equal_lines = saved.get("moments").map(EqualLines::load).unwrap_or_default();
        self
    }

    /// Notes that the next line is the first one of another file.
    pub fn begin_file(&mut self) {
        self.equal_lines.begin_file();
    }

    /// Reads lines. Returns the records, and the number of deliveries of messages without earlier lines.
    pub fn read(&mut self, hook: &Hook, lines: &[u8], now: SystemTime) -> (HookPage, u64) {
        let mut found = LogItems::default();
        let mut problem_line = None;
        for (number, line) in (1..).zip(lines.split(|byte| *byte == b'\n')) {
            self.push(line, now, &mut found);
            if found.problem.is_some() {
                problem_line.get_or_insert(number);
            }
        }
        let mut page = hook.read_values(&found.items, now);
        (page.ignored, page.unreadable) = (page.ignored + found.ignored, page.unreadable + found.unreadable);
        if let Some(problem) = found.problem {
            (page.problem, page.problem_line) = (Some(problem.to_owned()), problem_line);
        }
        (page, found.unjoined)
    }

    /// Reads a line.
    pub fn push(&mut self, line: &[u8], now: SystemTime, found: &mut LogItems) {
        let before = (found.items.len(), found.unreadable);
        self.push_line(line, now, found);
        self.last_has_no_record = before == (found.items.len(), found.unreadable);
    }

    fn push_line(&mut self, line: &[u8], now: SystemTime, found: &mut LogItems) {
        // A writer that does not append leaves zeros after the file was truncated.
        let text = String::from_utf8_lossy(line);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if text.is_empty() {
            return;
        }
        if text.len() > LINE_BYTES_MAX {
            return found.report_unreadable("the line is too long");
        }
        let Some(line) = SyslogLine::parse(text) else {
            if !is_repetition(text) {
                return found.report_unreadable("the line is not a syslog line");
            }
            if self.last_has_no_record {
                found.ignored += 1;
                return;
            }
            return found.report_unreadable(
                "it is the line \"last message repeated\" of a syslog service, which does not contain the records; let the service write equal lines",
            );
        };
        if !line.program.contains(PROGRAM_SEPARATOR) {
            found.ignored += 1;
            return;
        }
        let (repetitions, message) = repeated(line.message);
        if repetitions > REPETITIONS_MAX {
            return found.report_unreadable("the line is repeated too often");
        }
        match line::parse(line.program, message) {
            Ok(Some((queue_id, event))) => {
                for _ in 0..repetitions {
                    let number = self.equal_lines.number(line.stamp, text);
                    match self.item(&line, queue_id, &event, now, found) {
                        Some(mut item) => {
                            item.insert("line".to_owned(), text.into());
                            item.insert("number".to_owned(), number.into());
                            found.items.push(Value::Object(item));
                        }
                        None => found.ignored += 1,
                    }
                }
            }
            Ok(None) => found.ignored += 1,
            Err(problem) => found.report_unreadable(problem),
        }
    }

    /// Notes what a line reports of its message, and makes the item of the record that it is, if any.
    fn item(
        &mut self,
        line: &SyslogLine<'_>,
        queue_id: Option<&str>,
        event: &Event<'_>,
        now: SystemTime,
        found: &mut LogItems,
    ) -> Option<Map<String, Value>> {
        let instance = line.program.split(PROGRAM_SEPARATOR).next().unwrap_or_default();
        let key_of = |queue_id: &str| format!("{} {instance} {queue_id}", line.host);
        let key = queue_id.map(key_of);
        if let Event::Notification { queue_id } = event {
            self.messages.update(&key_of(queue_id)).origin = Some("dsn");
            return None;
        }
        let mut item = self.record_item(event, key.as_deref(), found)?;
        put(&mut item, "host", line.host);
        put(&mut item, "instance", instance);
        put(&mut item, "service", line.program.rsplit(PROGRAM_SEPARATOR).next().unwrap_or_default());
        put(&mut item, "queue_id", queue_id.unwrap_or_default());
        if let Some(message) = key.as_deref().and_then(|key| self.messages.get(key)) {
            put_message(&mut item, message);
        }
        let now = Timestamp::try_from(now).unwrap_or_default();
        let time = line.time.resolve(&self.zone, now).map(|time| time.to_string()).unwrap_or_default();
        put(&mut item, "time", &time);
        Some(item)
    }

    /// Makes the item of an event that is a record, with what the event reports. Notes what other events report of their message.
    fn record_item(&mut self, event: &Event<'_>, key: Option<&str>, found: &mut LogItems) -> Option<Map<String, Value>> {
        let mut item = Map::new();
        match (event, key) {
            (Event::Active { sender, size }, Some(key)) => {
                let message = self.messages.update(key);
                (message.sender, message.size) = (kept(sender), kept(size));
                // It is logged again at each retry.
                if message.origin.is_none() || std::mem::replace(&mut message.is_received, true) {
                    return None;
                }
                item.insert("kind".to_owned(), "received".into());
            }
            (Event::Expired { sender }, Some(_)) => {
                item.insert("kind".to_owned(), "expired".into());
                put(&mut item, "sender", sender);
            }
            (Event::Delivery(delivery), Some(key)) => {
                put_delivery(&mut item, delivery);
                found.unjoined += u64::from(self.messages.get(key).is_none_or(|message| message.size.is_none()));
            }
            (Event::Rejection(rejection), _) => put_rejection(&mut item, rejection),
            (event, Some(key)) => {
                self.note(event, key);
                return None;
            }
            _ => return None,
        }
        Some(item)
    }

    /// Notes what an event that is not a record reports of its message.
    fn note(&mut self, event: &Event<'_>, key: &str) {
        match event {
            Event::Client { host, ip, user } => {
                // The id may be that of an earlier message whose end is not in the log, such as one that a milter rejected.
                *self.messages.update(key) = Message {
                    origin: Some(if user.is_some() { "authenticated" } else { "remote" }),
                    client_host: host.and_then(kept),
                    client_ip: ip.and_then(kept),
                    user: user.and_then(kept),
                    ..Message::default()
                };
            }
            Event::Local { sender } => {
                *self.messages.update(key) = Message { origin: Some("local"), sender: kept(sender), ..Message::default() };
            }
            Event::Arrival => {
                let message = self.messages.update(key);
                // The Message-ID is logged before the message is in the active queue, so this is another message.
                if message.is_received {
                    *message = Message::default();
                }
                message.origin.get_or_insert("local");
            }
            Event::Removed => self.messages.remove(key),
            _ => {}
        }
    }
}

/// Returns the part of a text that is kept; `None` if the text is empty.
fn kept(text: &str) -> Option<String> {
    Some(cut(text, KEPT_BYTES_MAX).to_owned()).filter(|text| !text.is_empty())
}

/// Adds what earlier lines reported of the message.
fn put_message(item: &mut Map<String, Value>, message: &Message) {
    let known = [
        ("sender", &message.sender),
        ("size", &message.size),
        ("client_host", &message.client_host),
        ("client_ip", &message.client_ip),
        ("user", &message.user),
    ];
    for (name, value) in known {
        if let Some(value) = value.as_deref().filter(|_| !item.contains_key(name)) {
            put(item, name, value);
        }
    }
    put(item, "origin", message.origin.unwrap_or_default());
}

/// Returns the number of times that a message was written, and the message: rsyslog writes `message repeated N times: [ MESSAGE]` for equal
/// ones (`$RepeatedMsgReduction on`).
fn repeated(message: &str) -> (u32, &str) {
    let unfolded = || {
        let (times, message) = message.strip_prefix("message repeated ")?.split_once(" times: [")?;
        Some((times.parse().ok()?, message.trim_start().strip_suffix(']')?))
    };
    unfolded().unwrap_or((1, message))
}

/// Returns `true` for a line that a syslog service writes for lines that are equal to the one before, without the name of a program.
fn is_repetition(text: &str) -> bool {
    let times = text.strip_suffix(" times").and_then(|text| text.rsplit_once(" last message repeated "));
    times.is_some_and(|(_, times)| times.parse::<u64>().is_ok())
}

fn put(item: &mut Map<String, Value>, name: &str, value: &str) {
    if !value.is_empty() {
        item.insert(name.to_owned(), value.into());
    }
}

fn put_delivery(item: &mut Map<String, Value>, delivery: &Delivery<'_>) {
    let Delivery { recipient, original, relay_host, relay_ip, delay, delays, dsn, status, text } = delivery;
    put(item, "kind", "delivery");
    put(item, "recipient", recipient);
    put(item, "original", original.unwrap_or_default());
    put(item, "relay_host", relay_host.unwrap_or_default());
    put(item, "relay_ip", relay_ip.unwrap_or_default());
    put(item, "delay", delay);
    put(item, "dsn", dsn);
    put(item, "status", status);
    put(item, "text", text);
    // Before the queue manager, in it, connecting, sending: the last two are the attempt.
    let parts: Vec<f64> = delays.split('/').filter_map(|part| part.parse().ok()).collect();
    if let [_, _, connecting, sending] = parts[..] {
        item.insert("attempt_delay".to_owned(), json!(connecting + sending));
    }
}

fn put_rejection(item: &mut Map<String, Value>, rejection: &Rejection<'_>) {
    let Rejection { place, host, ip, text, sender, recipient } = rejection;
    put(item, "kind", "rejection");
    put(item, "place", place);
    put(item, "client_host", host.unwrap_or_default());
    put(item, "client_ip", ip.unwrap_or_default());
    put(item, "text", text);
    put(item, "sender", sender.unwrap_or_default());
    put(item, "recipient", recipient.unwrap_or_default());
}

#[cfg(test)]
mod tests;
