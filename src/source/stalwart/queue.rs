//! The queue, as the management API tells it: `GET /api/queue/messages` on 0.15, JMAP on 0.16.
//!
//! Both answer their own refusals with status 200. The required credential is an account's or an API key's.

use crate::format::{ReadError, quote};
use crate::model::{Families, FamilyType};
use serde_json::Value;

/// The smallest query that gives a total; without `accountId` it is the caller's own.
pub(super) const JMAP_QUERY: &str = r#"{"using":["urn:ietf:params:jmap:core","urn:stalwart:jmap"],"methodCalls":[["x:QueuedMessage/query",{"calculateTotal":true,"limit":1},"q"]]}"#;

/// `{"data":{"items":[...],"total":2,"status":true}}`: items are the oldest first, so one of them tells the age.
pub(super) fn read_management(body: String) -> Result<Families, ReadError> {
    let answer = parse(&body)?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        let details = answer.get("details").and_then(Value::as_str).unwrap_or_default();
        return Err(refusal(error, details));
    }
    let data = answer.get("data").ok_or_else(|| ReadError::Malformed("it has neither data nor error".into()))?;
    let total = total(data)?;
    let created = data.pointer("/items/0/created").and_then(Value::as_str);
    let oldest = created.and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(|t| t.as_second() as f64);
    families(total, oldest)
}

/// `{"methodResponses":[["x:QueuedMessage/query",{"total":3,...},"q"]]}`, or `["error",{"type":...},"q"]` in its place.
pub(super) fn read_jmap(body: String) -> Result<Families, ReadError> {
    let answer = parse(&body)?;
    let response = answer.pointer("/methodResponses/0").ok_or_else(|| ReadError::Malformed("it has no method response".into()))?;
    let result = response.get(1).unwrap_or(&Value::Null);
    if response.get(0).and_then(Value::as_str) == Some("error") {
        let said = |key| result.get(key).and_then(Value::as_str).unwrap_or_default();
        return Err(refusal(said("type"), said("description")));
    }
    families(total(result)?, None)
}

fn parse(body: &str) -> Result<Value, ReadError> {
    serde_json::from_str(body).map_err(|error| ReadError::Malformed(quote(&error.to_string())))
}

fn total(of: &Value) -> Result<u64, ReadError> {
    of.get("total").and_then(Value::as_u64).ok_or_else(|| ReadError::Malformed("it has no total".into()))
}

fn refusal(kind: &str, details: &str) -> ReadError {
    let said = quote(format!("{kind} {details}").trim());
    if kind.contains("forbidden") || kind.contains("unauthorized") { ReadError::Denied(said) } else { ReadError::Api(said) }
}

fn families(total: u64, oldest: Option<f64>) -> Result<Families, ReadError> {
    Families::read(String::new(), |out| {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let (name, help) = (out.own(name), out.own(help));
            out.family(name, help, FamilyType::Gauge);
            out.number(value);
        };
        gauge("stalwart_queue_messages", "Messages in the queue.", total as f64);
        if let Some(oldest) = oldest {
            gauge("stalwart_queue_oldest_time_seconds", "When the oldest message in the queue came, in Unix seconds.", oldest);
        }
        Ok(())
    })
}
