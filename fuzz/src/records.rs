//! Delivery logs: records keep within their limits and arrive as they were read, and a cursor is restored as it was saved.

use super::generators;
use arbitrary::{Result, Unstructured};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AttributeValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use postmeter::delivery_log::{Cursor, HashKey, KEY_BYTES, RecordUid};
use postmeter::export::otlp::{LogsEncoder, REQUEST_BYTES_MAX};
use postmeter::model::{FIELDS, Field, Privacy, Record, RecordPage};
use postmeter::source;
use postmeter::telemetry::Identity;
use prost::Message;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Limit of a text field of a record, in bytes.
const TEXT_BYTES_MAX: usize = 2048;
/// Limit of an error text, in bytes.
const ERROR_BYTES_MAX: usize = 700;
/// Limits of requests in bytes: smaller than those of any receiver, and one that no record fits.
const SPLITS: [usize; 3] = [1, 700, 3000];
/// Keys of a generated row.
const KEYS: &[&str] = &[
    "actionunixtime",
    "sendunixtime",
    "msgid",
    "recipient",
    "type",
    "message",
    "size",
    "spamscore",
    "user",
    "sender",
    "senderauth",
    "transport_is_remote",
    "host",
    "x",
];
const OBSERVED_NANOS: u64 = 1_800_000_000_000_000_007;
const OF: &str = "cpanel at whm.example.com";

/// Checks the bytes as a response and as a cursor file, and a response and a cursor that are generated from them.
pub fn check(bytes: &[u8]) {
    check_response(bytes);
    cursor_file(bytes);
    let mut u = Unstructured::new(bytes);
    if let Ok(generated) = page(&mut u) {
        check_response(generated.as_bytes());
    }
    // Not enough bytes for a cursor is not an error.
    let _ = cursor(&mut u);
}

fn read(body: &[u8]) -> Option<RecordPage> {
    let records = source::by_name("cpanel").and_then(|source| source.delivery_log).expect("a log");
    match records.read(body.to_vec()) {
        Ok(page) => Some(page),
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() <= ERROR_BYTES_MAX && !error.contains(char::is_control), "{error:?}");
            None
        }
    }
}

fn check_response(body: &[u8]) {
    let Some(page) = read(body) else { return };
    assert_eq!(read(body).as_ref(), Some(&page), "a second reading differs");
    assert!(page.records.len() + page.unreadable.len() <= body.len(), "more rows than bytes");
    assert!(page.next.is_none_or(|next| next > 0), "{:?}", page.next);
    page.records.iter().for_each(check_limits);
    let fields: Vec<Field> = FIELDS.iter().map(|info| info.field).collect();
    for include in [&[][..], &fields] {
        check_arrival(&page.records, include);
    }
}

fn check_limits(record: &Record) {
    assert!(record.at > 0 && record.received != Some(0), "{record:?}");
    assert!(record.field(Field::MessageId).or(record.field(Field::Recipient)).is_some(), "{record:?}");
    assert!(record.spam_score.is_none_or(f64::is_finite), "{record:?}");
    assert!(record.fields.windows(2).all(|pair| (pair[0].0 as u8) < pair[1].0 as u8), "{record:?}");
    assert!(record.fields.iter().all(|(_, text)| (1..=TEXT_BYTES_MAX).contains(&text.len())), "{record:?}");
    let reply = &record.reply;
    assert!(reply.code.is_none_or(|code| (200..560).contains(&code)), "{reply:?}");
    assert!(reply.status.is_none_or(|status| [2, 4, 5].contains(&status.class) && status.subject.max(status.detail) < 1000), "{reply:?}");
}

/// Checks that every record is sent once and in order for any split of requests, without its private fields.
fn check_arrival(records: &[Record], include: &[Field]) {
    let key = HashKey::new(&[7; KEY_BYTES]);
    let records: Vec<(RecordUid, Record)> = records.iter().map(|record| (key.uid(record, &mut Vec::new()), record.clone())).collect();
    let encoder = LogsEncoder::new("cpanel", key, include.to_vec());
    let identity = Identity::new("cpanel", "whm1");
    for bytes_max in SPLITS.into_iter().chain([REQUEST_BYTES_MAX, usize::MAX]) {
        let mut sent = Vec::new();
        for request in encoder.requests(&identity, &records, OBSERVED_NANOS, bytes_max) {
            assert!(request.points == 1 || request.bytes.len() <= bytes_max, "{} records in {} bytes", request.points, request.bytes.len());
            let before = sent.len();
            let decoded = ExportLogsServiceRequest::decode(request.bytes).expect("protobuf");
            let scopes = decoded.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            sent.extend(scopes.flat_map(|scope| scope.log_records));
            assert_eq!((sent.len() - before) as u64, request.points, "the number of records differs");
        }
        assert_eq!(sent.len(), records.len(), "in requests of {bytes_max} bytes");
        for ((uid, record), sent) in records.iter().zip(&sent) {
            check_record(uid, record, sent, include);
        }
    }
}

fn check_record(uid: &RecordUid, record: &Record, sent: &LogRecord, include: &[Field]) {
    let mut attributes = BTreeMap::new();
    for attribute in &sent.attributes {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref()).expect("a value");
        assert!(attributes.insert(attribute.key.as_str(), value).is_none(), "duplicate attribute {}", attribute.key);
    }
    let text = |text: &str| AttributeValue::StringValue(text.to_owned());
    assert_eq!((sent.time_unix_nano, sent.observed_time_unix_nano), (record.at.saturating_mul(1_000_000_000), OBSERVED_NANOS));
    assert_eq!(attributes["log.record.uid"], &text(std::str::from_utf8(&uid.hex()).expect("hexadecimal")));
    assert_eq!(attributes.get("mail.message.size"), record.size.map(|size| AttributeValue::IntValue(size as i64)).as_ref().as_ref());
    for (field, value) in &record.fields {
        let info = field.info();
        let open = include.contains(field) || info.privacy == Privacy::Open;
        let found = match field {
            Field::Message => sent.body.as_ref().and_then(|body| body.value.as_ref()),
            _ => attributes.get(info.attribute.key).copied(),
        };
        assert_eq!(found, open.then(|| text(value)).as_ref(), "{}", info.name);
        let hashed = !open && info.privacy == Privacy::Hashed;
        assert_eq!(attributes.contains_key(info.hash.key), hashed, "{}", info.name);
    }
}

/// Generates a page with arbitrary rows.
fn page(u: &mut Unstructured<'_>) -> Result<String> {
    let mut rows = Vec::new();
    for _ in 0..u.int_in_range(0..=8)? {
        let mut row = Map::new();
        for _ in 0..u.int_in_range(0..=10)? {
            row.insert((*u.choose(KEYS)?).to_owned(), value(u)?);
        }
        rows.push(Value::Object(row));
    }
    let chunk = json!({"size": value(u)?, "start": value(u)?, "chunks": value(u)?, "current": value(u)?});
    let metadata = json!({"result": 1, "overflowed": value(u)?, "chunk": if u.arbitrary()? { chunk } else { Value::Null }});
    Ok(json!({"data": {"records": rows}, "metadata": metadata}).to_string())
}

fn value(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.int_in_range(0..=9)? {
        0 => Value::Null,
        1 => json!([generators::text(u)?]),
        2 => json!(generators::number(u)?),
        3 => json!(generators::number(u)?.to_string()),
        4 => json!(u.arbitrary::<u64>()?),
        5 => json!(text_at_the_limit(u)?),
        6 => json!(*u.choose(&["success", "defer", "failure", "inprogress", "-remote-", "550 5.1.1 no", "after DATA: 451 4.7.1 ü"])?),
        7 => json!(generators::text(u)?),
        _ => json!(1_795_168_800 + u.int_in_range(0..=100_000)?),
    })
}

/// Generates a text that is some bytes shorter or longer than the limit, so that it is cut within a character, for example.
fn text_at_the_limit(u: &mut Unstructured<'_>) -> Result<String> {
    let (text, bytes) = (generators::text(u)?, u.int_in_range(TEXT_BYTES_MAX - 8..=TEXT_BYTES_MAX + 8)?);
    let mut long = String::new();
    for c in text.chars().cycle().take(bytes) {
        if long.len() >= bytes {
            break;
        }
        long.push(c);
    }
    Ok(long)
}

/// Checks a cursor file of these bytes, without and with a valid header and checksum: a readable file is restored as it was saved.
fn cursor_file(bytes: &[u8]) {
    for head in ["", "postmeter-cursor 1\n", "postmeter-cursor 1\na\n", "postmeter-cursor 2\na\n"] {
        let file = [head.as_bytes(), bytes].concat();
        let sealed = [&file, digest(&SHA256, &file).as_ref()].concat();
        for file in [file, sealed] {
            if let Ok(cursor) = Cursor::decode(&file) {
                assert_eq!(Cursor::decode(&cursor.encode()).as_ref(), Ok(&cursor));
            }
        }
    }
}

/// Checks a cursor after arbitrary operations: it is restored, no record is requested twice, and all damage is recognized.
fn cursor(u: &mut Unstructured<'_>) -> Result<()> {
    let overlap = Duration::from_secs(u.int_in_range(0..=100)?);
    let mut cursor = Cursor::starting(OF, u.int_in_range(0..=1000)?, Duration::from_secs(u.int_in_range(0..=2000)?));
    let (mut seen, mut accepted) = (HashSet::new(), HashSet::new());
    for _ in 0..u.int_in_range(0..=30)? {
        let before = cursor.next_start(overlap);
        match u.int_in_range(0..=2)? {
            0 => {
                let (id, at) = (u.int_in_range(0..=20)?, before + u.int_in_range(0..=50)?);
                if !cursor.observe(id, at) {
                    assert!(seen.contains(&id), "{id} was never seen");
                }
                seen.insert(id);
            }
            1 => {
                let id = u.int_in_range(0..=20)?;
                cursor.acknowledge(std::iter::once(id));
                accepted.insert(id);
            }
            _ => {
                cursor.advance(before + u.int_in_range(0..=60)?, overlap);
            }
        }
        assert!(cursor.next_start(overlap) >= before, "the cursor moved back");
    }
    let bytes = cursor.encode();
    let mut restored = Cursor::decode(&bytes).expect("a saved cursor is readable");
    assert_eq!((restored.log(), restored.next_start(overlap)), (OF, cursor.next_start(overlap)));
    assert_eq!(restored.encode().len(), bytes.len());
    let mut damaged = bytes.clone();
    let at = u.choose_index(damaged.len())?;
    damaged[at] ^= 1 << u.int_in_range(0..=7)?;
    assert!(Cursor::decode(&damaged).is_err(), "damage at {at} is not recognized");
    for id in 0..=20 {
        let known = !restored.observe(id, 0);
        assert!(!known || seen.contains(&id) && accepted.contains(&id), "{id} was not accepted");
    }
    Ok(())
}
