//! The report in a message of a Postfix program.

use super::quoted::{split_address, split_once_outside_quotes};

/// The shortest queue id. Short ids are hexadecimal; long ones have digits, consonants and `z` before the inode.
const QUEUE_ID_BYTES_MIN: usize = 5;
const QUEUE_ID_BYTES_MAX: usize = 64;

/// A message, with its queue id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event<'l> {
    /// smtpd: a client sends a message.
    Client { host: Option<&'l str>, ip: Option<&'l str>, user: Option<&'l str> },
    /// pickup: a local user sends a message.
    Local { sender: &'l str },
    /// cleanup: the message has an id, so that its arrival is in the log.
    Arrival,
    /// qmgr: the message is in the active queue.
    Active { sender: &'l str, size: &'l str },
    /// bounce: this message is a report about the one with the queue id.
    Notification { queue_id: &'l str },
    /// An attempt to deliver it to a recipient.
    Delivery(Delivery<'l>),
    /// qmgr: it was too old.
    Expired { sender: &'l str },
    /// It was rejected.
    Rejection(Rejection<'l>),
    /// It left the queue.
    Removed,
}

/// An attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivery<'l> {
    pub recipient: &'l str,
    pub original: Option<&'l str>,
    pub relay_host: Option<&'l str>,
    pub relay_ip: Option<&'l str>,
    pub delay: &'l str,
    pub delays: &'l str,
    pub dsn: &'l str,
    pub status: &'l str,
    pub text: &'l str,
}

/// A rejection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rejection<'l> {
    /// The SMTP command, or `header` or `body`.
    pub place: &'l str,
    pub host: Option<&'l str>,
    pub ip: Option<&'l str>,
    pub text: &'l str,
    pub sender: Option<&'l str>,
    pub recipient: Option<&'l str>,
}

/// Parses a message: its queue id, which a rejection may lack, and the event. `Ok(None)`: it reports something else.
///
/// # Errors
/// The message begins like a delivery or a rejection, but cannot be read.
pub(super) fn parse<'l>(program: &str, message: &'l str) -> Result<Option<(Option<&'l str>, Event<'l>)>, &'static str> {
    let rejected = |id, rejection: Option<Rejection<'l>>| match rejection {
        Some(rejection) => Ok(Some((id, Event::Rejection(rejection)))),
        None => Err("the line of a rejection has no client or no sender"),
    };
    // The message has no queue id yet: smtpd passes it to the filter.
    if let Some(rest) = message.strip_prefix("proxy-reject: ") {
        return rejected(None, filter_rejection(rest));
    }
    let Some((id, rest)) = message.split_once(": ") else { return Ok(None) };
    let id = if id == "NOQUEUE" { None } else { Some(id).filter(|id| is_queue_id(id)) };
    if id.is_none() && !message.starts_with("NOQUEUE: ") {
        return Ok(None);
    }
    let service = program.rsplit('/').next().unwrap_or(program);
    if let Some(rest) = rest.strip_prefix("to=<") {
        return delivery(rest)
            .map(|delivery| Some((id, Event::Delivery(delivery))))
            .ok_or("the line of a delivery has no relay or no status");
    }
    let actions = ["reject: ", "milter-reject: ", "milter-header-reject: ", "milter-body-reject: "];
    if let Some(rest) = actions.iter().find_map(|action| rest.strip_prefix(action)) {
        return rejected(id, rejection(rest));
    }
    let event = match service {
        _ if rest == "removed" => Some(Event::Removed),
        _ if rest.starts_with("client=") => Some(client(rest)),
        "pickup" => rest.split_once(" from=<").map(|(_, sender)| Event::Local { sender: until_bracket(sender) }),
        "cleanup" => (rest.starts_with("message-id=") || rest.starts_with("resent-message-id=")).then_some(Event::Arrival),
        "bounce" => {
            let id = rest.split_once("notification: ").map(|(_, id)| id).filter(|id| is_queue_id(id));
            id.map(|queue_id| Event::Notification { queue_id })
        }
        "qmgr" => queue_manager(rest),
        _ => None,
    };
    Ok(event.map(|event| (id, event)))
}

fn is_queue_id(id: &str) -> bool {
    (QUEUE_ID_BYTES_MIN..=QUEUE_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && id.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        && id != "NOQUEUE"
}

fn until_bracket(text: &str) -> &str {
    text.split_once('>').map_or(text, |(address, _)| address)
}

/// `client=HOST[IP]`, and further values.
fn client(text: &str) -> Event<'_> {
    let values = || text.split(", ").filter_map(|part| part.split_once('='));
    let value = |key: &str| values().find(|(name, _)| *name == key).map(|(_, value)| value);
    // Behind a filter, the client of the first system.
    let (host, ip) = host_and_ip(value("orig_client").or_else(|| value("client")).unwrap_or_default());
    Event::Client { host, ip, user: value("sasl_username").or_else(|| value("sasl_sender")) }
}

/// `HOST[IP]`, perhaps with a port. A host that is not known has none; a local agent has neither.
fn host_and_ip(text: &str) -> (Option<&str>, Option<&str>) {
    let is_known = |host: &&str| !host.is_empty() && *host != "unknown";
    match text.split_once('[') {
        Some((host, rest)) => (Some(host).filter(is_known), rest.split_once(']').map(|(ip, _)| ip)),
        None => (None, None),
    }
}

/// `from=<SENDER>, size=N, nrcpt=N (queue active)`, or `from=<SENDER>, status=expired, returned to sender`.
fn queue_manager(text: &str) -> Option<Event<'_>> {
    let (sender, rest) = split_address(text.strip_prefix("from=<")?, &[", size=", ", status="])?;
    if let Some(rest) = rest.strip_prefix(", size=") {
        return Some(Event::Active { sender, size: rest.split_once(',').map_or(rest, |(size, _)| size) });
    }
    let rest = rest.strip_prefix(", status=")?;
    let is_expired = rest.starts_with("expired") || rest.starts_with("force-expired");
    is_expired.then_some(Event::Expired { sender })
}

/// The text after `to=<`.
fn delivery(text: &str) -> Option<Delivery<'_>> {
    let (recipient, rest) = split_address(text, &[", orig_to=<", ", relay="])?;
    let mut delivery = Delivery { recipient, ..Delivery::default() };
    let (mut rest, mut is_quoted) = (rest.strip_prefix(", ")?, recipient.starts_with('"'));
    if let Some(original) = rest.strip_prefix("orig_to=<") {
        let (original, after) = split_address(original, &[", relay="])?;
        is_quoted |= original.starts_with('"');
        delivery.original = Some(original);
        rest = after.strip_prefix(", ")?;
    }
    // Before Postfix 3.5, and with `info_log_address_format = internal`, a local part is not quoted and may contain all of this.
    if !is_quoted && rest.contains(">, relay=") {
        return None;
    }
    while let Some((key, after)) = rest.split_once('=') {
        if key == "status" {
            let (status, text) = after.split_once(' ').unwrap_or((after, ""));
            let text = text.trim();
            delivery.status = status.trim_end_matches(',');
            // A line that syslog has cut has no closing parenthesis.
            delivery.text = text.strip_prefix('(').map_or("", |text| text.strip_suffix(')').unwrap_or(text));
            return Some(delivery);
        }
        let (value, after) = after.split_once(", ")?;
        match key {
            "relay" => (delivery.relay_host, delivery.relay_ip) = host_and_ip(value),
            "delay" => delivery.delay = value,
            "delays" => delivery.delays = value,
            "dsn" => delivery.dsn = value,
            _ => {}
        }
        rest = after;
    }
    None
}

/// The text after `reject: `, such as `RCPT from HOST[IP]: TEXT; from=<S> to=<R> proto=ESMTP helo=<H>`.
fn rejection(text: &str) -> Option<Rejection<'_>> {
    let (place, _) = text.split_once(' ')?;
    if matches!(place, "header" | "body" | "content") {
        return content_rejection(place, text);
    }
    let (_, rest) = text.split_once(" from ")?;
    let (client, rest) = rest.split_once(": ")?;
    let (host, ip) = host_and_ip(client);
    let (text, sender, recipient) = reply_and_envelope(rest);
    Some(Rejection { place, host, ip, text, sender, recipient })
}

/// The reply, the sender and the recipient of `TEXT; from=<S> to=<R> proto=...`. A line that syslog has cut may end earlier.
fn reply_and_envelope(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let (text, envelope) = split_once_outside_quotes(text, "; from=<").map_or((text, None), |(text, envelope)| (text, Some(envelope)));
    let (sender, recipient) = envelope.map_or((None, None), envelope_of);
    (text.trim_end_matches(';'), sender, recipient)
}

/// The text after `proxy-reject: `, such as `END-OF-MESSAGE: TEXT; from=<S> to=<R> proto=ESMTP helo=<H>`. The text is the reply of the
/// filter.
fn filter_rejection(text: &str) -> Option<Rejection<'_>> {
    let (place, rest) = text.split_once(": ")?;
    let (text, sender, recipient) = reply_and_envelope(rest);
    Some(Rejection { place, text, sender, recipient, ..Rejection::default() })
}

/// `header CONTENT from HOST[IP]; from=<S> to=<R> proto=ESMTP helo=<H>: TEXT`. The content is not used: it is part of a message.
fn content_rejection<'l>(place: &'l str, text: &'l str) -> Option<Rejection<'l>> {
    let (before, envelope) = text.rsplit_once("; from=<")?;
    let (host, ip) = host_and_ip(before.rsplit_once(" from ").map_or("", |(_, client)| client));
    let (sender, recipient) = envelope_of(envelope);
    let text = envelope.rsplit_once(">: ").map_or("", |(_, text)| text);
    Some(Rejection { place, host, ip, text, sender, recipient })
}

/// The sender and the recipient of `S> to=<R> proto=...`, where commas may stand between.
fn envelope_of(text: &str) -> (Option<&str>, Option<&str>) {
    let Some((sender, rest)) = split_address(text, &[""]) else { return (None, None) };
    let recipient =
        rest.trim_start_matches(',').strip_prefix(" to=<").and_then(|rest| split_address(rest, &[""])).map(|(recipient, _)| recipient);
    (Some(sender), recipient)
}
