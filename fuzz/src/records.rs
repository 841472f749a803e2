//! Delivery logs: what is read of a page keeps within the limits and arrives as it was read, and a cursor comes back as it was kept.

use super::made;
use arbitrary::{Result, Unstructured};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Said;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use postmeter::delivery_log::{Cursor, KEY_BYTES, Key, Uid};
use postmeter::export::otlp::{LogsEncoder, REQUEST_BYTES_MAX};
use postmeter::model::{FIELDS, Field, Privacy, Record, RecordPage};
use postmeter::source;
use postmeter::telemetry::Identity;
use prost::Message;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Bytes of a text of a record.
const TEXT_BYTES_MAX: usize = 2048;
/// Bytes of an error for one line of a log.
const ERROR_BYTES_MAX: usize = 700;
/// Bytes of requests that are split smaller than any receiver asks for.
const SPLITS: [usize; 3] = [1, 700, 3000];
/// What a row may have.
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

/// Of any bytes as an answer and as a cursor's file, and of an answer and a cursor made from them.
pub fn check(bytes: &[u8]) {
    answer(bytes);
    cursor_file(bytes);
    let mut u = Unstructured::new(bytes);
    if let Ok(made) = page(&mut u) {
        answer(made.as_bytes());
    }
    // Too few bytes for more are no fault.
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

fn answer(body: &[u8]) {
    let Some(page) = read(body) else { return };
    assert_eq!(read(body).as_ref(), Some(&page), "read twice");
    assert!(page.records.len() + page.unreadable.len() <= body.len(), "more rows than there is room for");
    assert!(page.next.is_none_or(|next| next > 0), "{:?}", page.next);
    page.records.iter().for_each(keeps_limits);
    let fields: Vec<Field> = FIELDS.iter().map(|info| info.field).collect();
    for include in [&[][..], &fields] {
        arrives(&page.records, include);
    }
}

fn keeps_limits(record: &Record) {
    assert!(record.at > 0 && record.received != Some(0), "{record:?}");
    assert!(record.field(Field::MessageId).or(record.field(Field::Recipient)).is_some(), "{record:?}");
    assert!(record.spam_score.is_none_or(f64::is_finite), "{record:?}");
    assert!(record.fields.windows(2).all(|pair| (pair[0].0 as u8) < pair[1].0 as u8), "{record:?}");
    assert!(record.fields.iter().all(|(_, text)| (1..=TEXT_BYTES_MAX).contains(&text.len())), "{record:?}");
    let reply = &record.reply;
    assert!(reply.code.is_none_or(|code| (200..560).contains(&code)), "{reply:?}");
    assert!(reply.status.is_none_or(|status| [2, 4, 5].contains(&status.class) && status.subject.max(status.detail) < 1000), "{reply:?}");
}

/// Every record is told once and in order, however the requests are split, and nothing of it that is to stay here.
fn arrives(records: &[Record], include: &[Field]) {
    let key = Key::new(&[7; KEY_BYTES]);
    let records: Vec<(Uid, Record)> = records.iter().map(|record| (key.uid(record, &mut Vec::new()), record.clone())).collect();
    let teller = LogsEncoder::new("cpanel", key, include.to_vec());
    let identity = Identity::new("cpanel", "whm1");
    for bytes_max in SPLITS.into_iter().chain([REQUEST_BYTES_MAX, usize::MAX]) {
        let mut told = Vec::new();
        for request in teller.requests(&identity, &records, OBSERVED_NANOS, bytes_max) {
            assert!(
                request.records == 1 || request.bytes.len() <= bytes_max,
                "{} records in {} bytes",
                request.records,
                request.bytes.len()
            );
            let before = told.len();
            let decoded = ExportLogsServiceRequest::decode(request.bytes).expect("protobuf");
            let scopes = decoded.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            told.extend(scopes.flat_map(|scope| scope.log_records));
            assert_eq!((told.len() - before) as u64, request.records, "records are counted");
        }
        assert_eq!(told.len(), records.len(), "in requests of {bytes_max} bytes");
        for ((uid, record), told) in records.iter().zip(&told) {
            says(uid, record, told, include);
        }
    }
}

fn says(uid: &Uid, record: &Record, told: &LogRecord, include: &[Field]) {
    let mut said = BTreeMap::new();
    for attribute in &told.attributes {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref()).expect("a value");
        assert!(said.insert(attribute.key.as_str(), value).is_none(), "{} twice", attribute.key);
    }
    let text = |text: &str| Said::StringValue(text.to_owned());
    assert_eq!((told.time_unix_nano, told.observed_time_unix_nano), (record.at.saturating_mul(1_000_000_000), OBSERVED_NANOS));
    assert_eq!(said["log.record.uid"], &text(std::str::from_utf8(&uid.hex()).expect("hexadecimal")));
    assert_eq!(said.get("mail.message.size"), record.size.map(|size| Said::IntValue(size as i64)).as_ref().as_ref());
    for (field, value) in &record.fields {
        let info = field.info();
        let open = include.contains(field) || info.privacy == Privacy::Open;
        let found = match field {
            Field::Message => told.body.as_ref().and_then(|body| body.value.as_ref()),
            _ => said.get(info.attribute.key).copied(),
        };
        assert_eq!(found, open.then(|| text(value)).as_ref(), "{}", info.name);
        let hashed = !open && info.privacy == Privacy::Hashed;
        assert_eq!(said.contains_key(info.hash.key), hashed, "{}", info.name);
    }
}

/// A page whose rows are odd in any way.
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
        1 => json!([made::text(u)?]),
        2 => json!(made::number(u)?),
        3 => json!(made::number(u)?.to_string()),
        4 => json!(u.arbitrary::<u64>()?),
        5 => json!(made::text(u)?.repeat(600)),
        6 => json!(*u.choose(&["success", "defer", "failure", "inprogress", "-remote-", "550 5.1.1 no", "after DATA: 451 4.7.1 ü"])?),
        7 => json!(made::text(u)?),
        _ => json!(1_795_168_800 + u.int_in_range(0..=100_000)?),
    })
}

/// A file of these bytes, as they are and behind a head and before a check that are right: it is read as it is written again.
fn cursor_file(bytes: &[u8]) {
    for head in ["", "postmeter-cursor 1\n", "postmeter-cursor 2\n", "postmeter-cursor 2\na\n"] {
        let file = [head.as_bytes(), bytes].concat();
        let sealed = [&file, digest(&SHA256, &file).as_ref()].concat();
        for file in [file, sealed] {
            if let Ok(cursor) = Cursor::decode(&file) {
                assert_eq!(Cursor::decode(&cursor.encode()).as_ref(), Ok(&cursor));
            }
        }
    }
}

/// A cursor that went any way: it comes back with what was taken, asks for nothing twice, and no damage goes unseen.
fn cursor(u: &mut Unstructured<'_>) -> Result<()> {
    let overlap = Duration::from_secs(u.int_in_range(0..=100)?);
    let mut cursor = Cursor::starting(OF, u.int_in_range(0..=1000)?, Duration::from_secs(u.int_in_range(0..=2000)?));
    let (mut met, mut taken) = (HashSet::new(), HashSet::new());
    for _ in 0..u.int_in_range(0..=30)? {
        let before = cursor.begin(overlap);
        match u.int_in_range(0..=2)? {
            0 => {
                let (id, at) = (u.int_in_range(0..=20)?, before + u.int_in_range(0..=50)?);
                if !cursor.meet(id, at) {
                    assert!(met.contains(&id), "{id} was never met");
                }
                met.insert(id);
            }
            1 => {
                let id = u.int_in_range(0..=20)?;
                cursor.take(std::iter::once(id));
                taken.insert(id);
            }
            _ => {
                cursor.reach(before + u.int_in_range(0..=60)?, overlap);
            }
        }
        assert!(cursor.begin(overlap) >= before, "it went back");
    }
    let bytes = cursor.encode();
    let mut kept = Cursor::decode(&bytes).expect("what was kept can be used");
    assert_eq!((kept.of(), kept.begin(overlap)), (Some(OF), cursor.begin(overlap)));
    assert_eq!(kept.encode().len(), bytes.len());
    let mut damaged = bytes.clone();
    let at = u.choose_index(damaged.len())?;
    damaged[at] ^= 1 << u.int_in_range(0..=7)?;
    assert!(Cursor::decode(&damaged).is_err(), "damaged at {at}");
    for id in 0..=20 {
        let known = !kept.meet(id, 0);
        assert!(!known || met.contains(&id) && taken.contains(&id), "{id} was not taken");
    }
    Ok(())
}
