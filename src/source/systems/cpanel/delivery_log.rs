//! `emailtrack_search`: the delivery log, read as records, or as the family that `cpanel_mail_exporter` exports.

use super::lenient::{LenientNumber, LenientText};
use super::rows::{ReadRows, numbered_hash, read_rows};
use crate::format::parse_smtp_reply;
use crate::model::{Families, FamilyType, Field, Outcome, Record, RecordPage, Repair};
use crate::source::ReadError;
use serde::Deserialize;
use std::collections::HashMap;

/// The largest number of series of `email_logs`. The newest deliveries are kept.
const EMAIL_LOGS_MAX: usize = 1000;
/// The largest number of rows of a page: twenty times the requested number, for a server that ignores it.
const ROWS_MAX: usize = 100_000;
/// The largest size of a text in a record, in bytes: Exim quotes the replies of other servers.
const TEXT_BYTES_MAX: usize = 2048;

/// The fields of a record. All but the last two can be in the records of other systems.
pub const FIELDS: &[&str] = &[
    "time",
    "received",
    "duration",
    "size",
    "code",
    "status",
    "stage",
    "error_type",
    "source",
    "message_id",
    "sender",
    "recipient",
    "delivered_to",
    "account",
    "user",
    "owner",
    "domain",
    "delivery_user",
    "delivery_domain",
    "client_ip",
    "client_host",
    "peer_ip",
    "peer_host",
    "method",
    "router",
    "transport",
    "message",
    "remote",
    "spam_score",
];

/// Reads a page of the log.
///
/// # Errors
/// See [`read_rows`].
pub fn read_page(body: &str) -> Result<RecordPage, ReadError> {
    let ReadRows { rows, mut unreadable, paging } = read_rows::<Row, ROWS_MAX>(body)?;
    let (mut records, mut seen) = (Vec::with_capacity(rows.len()), HashMap::new());
    for row in rows {
        match row.into_record() {
            Ok(record) => records.push(record),
            Err(row) => unreadable.push(numbered_hash(&mut seen, &format!("{row:?}"))),
        }
    }
    Ok(RecordPage { records, unreadable, next: paging.next, pages: paging.pages, total: paging.rows, overflowed: paging.overflowed })
}

/// Reads the newest deliveries as the family `email_logs` of `cpanel_mail_exporter`: one series with the value 1 for each delivery.
///
/// # Errors
/// See [`read_rows`].
pub fn read_email_logs(body: String) -> Result<Families, ReadError> {
    let ReadRows { mut rows, unreadable, .. } = read_rows::<Row, ROWS_MAX>(&body)?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.sendunixtime.to_u64()));
    rows.truncate(EMAIL_LOGS_MAX);
    Families::read(body, |out| {
        let (name, help) = (out.add_text("email_logs"), out.add_text("Always 1; each series is one of the newest deliveries."));
        out.family(name, help, FamilyType::Gauge);
        for row in &rows {
            for (name, value) in row.labels() {
                let (name, value) = (out.add_text(name), out.add_text(&value));
                out.label(name, value);
            }
            out.number(1.0);
            if row.sendunixtime == LenientNumber::Invalid || row.actionunixtime == LenientNumber::Invalid {
                out.repair(Repair::Unreadable);
            }
        }
        unreadable.iter().for_each(|_| out.repair(Repair::Unreadable));
        Ok(())
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    actiontime: LenientText,
    actionunixtime: LenientNumber,
    deliveredto: LenientText,
    deliverydomain: LenientText,
    deliveryuser: LenientText,
    domain: LenientText,
    email: LenientText,
    host: LenientText,
    ip: LenientText,
    message: LenientText,
    msgid: LenientText,
    owner: LenientText,
    recipient: LenientText,
    router: LenientText,
    sender: LenientText,
    senderauth: LenientText,
    senderhost: LenientText,
    senderip: LenientText,
    sendunixtime: LenientNumber,
    size: LenientNumber,
    spamscore: LenientNumber,
    transport: LenientText,
    transport_is_remote: LenientNumber,
    #[serde(rename = "type")]
    kind: LenientText,
    user: LenientText,
}

impl Row {
    /// Converts the row to a record. Returns the row if it has no time, or neither a message id nor a recipient.
    fn into_record(self) -> Result<Record, Box<Self>> {
        let received = self.sendunixtime.to_u64().filter(|at| *at > 0);
        // An attempt in progress may have no time of its end.
        let at = self.actionunixtime.to_u64().filter(|at| *at > 0).or(received);
        let Some(at) = at.filter(|_| !(self.msgid.0.is_empty() && self.recipient.0.is_empty())) else {
            return Err(Box::new(self));
        };
        let outcome = match self.kind.0.as_str() {
            "inprogress" => Some(Outcome::InProgress),
            "success" => Some(Outcome::Delivered),
            "defer" => Some(Outcome::Deferred),
            "failure" => Some(Outcome::Failed),
            _ => None,
        };
        let source = match (self.user.0.as_str(), self.sender.0.is_empty(), self.senderauth.0.is_empty()) {
            ("-remote-", ..) => Some("remote"),
            (_, _, false) => Some("authenticated"),
            (_, true, true) => Some("dsn"),
            _ => None,
        };
        let remote = match self.transport_is_remote {
            LenientNumber::Number(n) => Some(n != 0.0),
            LenientNumber::Absent | LenientNumber::Invalid => None,
        };
        let spam_score = match self.spamscore {
            LenientNumber::Number(n) => Some(n),
            LenientNumber::Absent | LenientNumber::Invalid => None,
        };
        let (size, reply) = (self.size.to_u64(), parse_smtp_reply(&self.message.0));
        let duration = received.and_then(|received| at.checked_sub(received)).map(|seconds| seconds as f64);
        // In the order of `model::FIELDS`.
        let fields = [
            (Field::MessageId, self.msgid),
            (Field::Sender, self.sender),
            (Field::Recipient, self.recipient),
            (Field::DeliveredTo, self.deliveredto),
            (Field::Account, self.email),
            (Field::User, self.user),
            (Field::Owner, self.owner),
            (Field::Domain, self.domain),
            (Field::DeliveryUser, self.deliveryuser),
            (Field::DeliveryDomain, self.deliverydomain),
            (Field::ClientIp, self.senderip),
            (Field::ClientHost, self.senderhost),
            (Field::PeerIp, self.ip),
            (Field::PeerHost, self.host),
            (Field::Method, self.senderauth),
            (Field::Router, self.router),
            (Field::Transport, self.transport),
            (Field::Message, self.message),
        ];
        // Thousands of records are queued at a time, so the list has exactly the capacity that it needs.
        let mut kept = Vec::with_capacity(fields.iter().filter(|(_, text)| !text.0.is_empty()).count());
        kept.extend(fields.into_iter().filter(|(_, text)| !text.0.is_empty()).map(|(field, text)| (field, truncate(text.0))));
        Ok(Record { at, received, outcome, duration, size, source, reply, remote, spam_score, fields: kept, ..Record::default() })
    }

    /// The labels that `cpanel_mail_exporter` has, in its order.
    fn labels(&self) -> [(&'static str, String); 22] {
        let text = |text: &LenientText| text.0.clone();
        let number = |n: LenientNumber| n.to_u64().unwrap_or(0).to_string();
        [
            ("time", text(&self.actiontime)),
            ("actionunixtime", number(self.actionunixtime)),
            ("delivered_to", text(&self.deliveredto)),
            ("delivery_domain", text(&self.deliverydomain)),
            ("delivery_user", text(&self.deliveryuser)),
            ("domain", text(&self.domain)),
            ("host", text(&self.host)),
            ("ip", text(&self.ip)),
            ("message", text(&self.message)),
            ("msg_id", text(&self.msgid)),
            ("recipient", text(&self.recipient)),
            ("router", text(&self.router)),
            ("sender", text(&self.sender)),
            ("sender_auth", text(&self.senderauth)),
            ("sender_host", text(&self.senderhost)),
            ("sender_ip", text(&self.senderip)),
            ("sendunixtime", number(self.sendunixtime)),
            ("size", number(self.size)),
            ("transport", text(&self.transport)),
            ("transport_is_remote", number(self.transport_is_remote)),
            ("type", text(&self.kind)),
            ("user", text(&self.user)),
        ]
    }
}

fn truncate(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(crate::model::cut(&text, TEXT_BYTES_MAX).len());
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn body(records: &str, metadata: &str) -> String {
        format!("{{\"data\":{{\"records\":[{records}]}},\"metadata\":{{\"result\":1,\"reason\":\"OK\"{metadata}}}}}")
    }

    #[test]
    fn every_outcome_is_read() {
        let rows = r#"
            {"actionunixtime":1795168802,"sendunixtime":"1795168800","type":"success","msgid":"1a","recipient":"a@example.com","size":"10","message":"Accepted",
             "user":"u","sender":"s@example.net","senderauth":"dovecot_login","spamscore":0.5,"transport_is_remote":1,"transport":"remote_smtp","host":null},
            {"actionunixtime":5,"type":"defer","msgid":"1b","recipient":"b","message":"x: 451 4.7.1 later","user":"-remote-"},
            {"actionunixtime":6,"type":"failure","msgid":"1c","recipient":"c","message":"550 5.1.1 none","sender":"","senderauth":null},
            {"actionunixtime":null,"sendunixtime":7,"type":"inprogress","msgid":"1d","recipient":"d"},
            {"actionunixtime":8,"type":"archived","msgid":"1e","recipient":"e"},
            {"type":"success","msgid":"1f","recipient":"f"},
            {"actionunixtime":9,"type":"success"}"#;
        let page = read_page(&body(rows, r#","overflowed":1,"chunk":{"size":7,"start":1,"chunks":2,"current":1}"#)).unwrap();
        assert!(page.unreadable.len() == 2 && page.unreadable[0] != page.unreadable[1], "{:?}", page.unreadable);
        assert_eq!((page.next, page.pages, page.overflowed), (Some(8), Some(2), true));
        let outcomes: Vec<_> = page.records.iter().map(|r| (r.at, r.outcome)).collect();
        use Outcome::{Deferred, Delivered, Failed, InProgress};
        assert_eq!(outcomes, [(1_795_168_802, Some(Delivered)), (5, Some(Deferred)), (6, Some(Failed)), (7, Some(InProgress)), (8, None)]);
        let first = &page.records[0];
        assert_eq!((first.received, first.size, first.source), (Some(1_795_168_800), Some(10), Some("authenticated")));
        assert_eq!((first.remote, first.spam_score, first.field(Field::PeerHost)), (Some(true), Some(0.5), None));
        assert_eq!(page.records[1].reply.status.unwrap().to_string(), "4.7.1");
        assert_eq!((page.records[1].source, page.records[2].source), (Some("remote"), Some("dsn")));
        for record in &page.records {
            assert!(record.fields.is_sorted_by_key(|(field, _)| *field as u8));
        }
    }

    #[test]
    fn the_list_of_fields_has_every_text() {
        let columns = [
            "deliveredto",
            "deliverydomain",
            "deliveryuser",
            "domain",
            "email",
            "host",
            "ip",
            "message",
            "msgid",
            "owner",
            "recipient",
            "router",
            "sender",
            "senderauth",
            "senderhost",
            "senderip",
            "transport",
            "user",
        ];
        let row: serde_json::Map<_, _> = columns.iter().map(|name| ((*name).to_owned(), "x".into())).collect();
        let row = serde_json::Value::from(row).to_string().replacen('{', "{\"actionunixtime\":1,", 1);
        let page = read_page(&body(&row, "")).unwrap();
        let texts: Vec<&str> = page.records[0].fields.iter().map(|(field, _)| field.info().name).collect();
        let listed: Vec<&str> = FIELDS.iter().copied().filter(|name| Field::by_name(name).is_some()).collect();
        assert_eq!(texts, listed);
    }

    #[test]
    fn a_page_with_omitted_records_is_marked() {
        let page = read_page(&body("", r#","overflowed":1"#)).unwrap();
        assert_eq!((page.next, page.overflowed), (None, true));
        assert!(matches!(read_page(&body("", "").replace("\"result\":1", "\"result\":0")), Err(ReadError::Refused(_))));
    }

    #[test]
    fn only_the_newest_deliveries_are_series() {
        let rows: Vec<String> = (0..1500).map(|n| format!("{{\"sendunixtime\":{n},\"actionunixtime\":{n},\"msgid\":\"{n}\"}}")).collect();
        let families = read_email_logs(body(&rows.join(","), r#","chunk":{"size":1500,"start":1,"chunks":9,"current":1}"#)).unwrap();
        assert_eq!((families.series(), families.edge), (EMAIL_LOGS_MAX, None));
    }
}
