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

/// Values of an answer: two bytes of JSON can be one, which takes dozens, and the answer to a query for one message has hundreds.
const VALUES_MAX: usize = 200_000;

fn parse(body: &str) -> Result<Value, ReadError> {
    if body.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > VALUES_MAX {
        return Err(ReadError::Malformed(format!("it has more than {VALUES_MAX} values")));
    }
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
            let (name, help) = (out.add_text(name), out.add_text(help));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What it reads, family by family, or what it says.
    #[track_caller]
    fn says(read: fn(String) -> Result<Families, ReadError>, cases: &[(&str, Result<&[f64], ReadError>)]) {
        for (body, expected) in cases {
            let numbers = |families: Families| families.iter().flat_map(|f| f.samples()).filter_map(|s| s.number()).collect::<Vec<_>>();
            assert_eq!(read((*body).to_owned()).map(numbers), expected.clone().map(<[f64]>::to_vec), "{body}");
        }
    }

    fn malformed(why: &str) -> ReadError {
        ReadError::Malformed(why.into())
    }

    #[test]
    fn the_management_api_of_0_15() {
        let older = "{\"id\":340282366920938463463374607431768211455,\"created\":\"1970-01-01T00:01:40Z\"}";
        says(
            read_management,
            &[
                (r#"{"data":{"items":[],"total":0,"status":true}}"#, Ok(&[0.0])),
                (r#"{"data":{"items":[18446744073709551615],"total":2,"status":true}}"#, Ok(&[2.0])),
                (r#"{"data":{"items":[341706292515049750],"total":2,"status":false}}"#, Ok(&[2.0])),
                (&format!("{{\"data\":{{\"items\":[{older}],\"total\":7}}}}"), Ok(&[7.0, 100.0])),
                (r#"{"data":{"items":[{"id":1,"created":"yesterday"}],"total":7}}"#, Ok(&[7.0])),
                (r#"{"error":"forbidden","details":"no right"}"#, Err(ReadError::Denied("forbidden no right".into()))),
                (r#"{"error":"unauthorized"}"#, Err(ReadError::Denied("unauthorized".into()))),
                (r#"{"error":"unsupported","details":"Enterprise"}"#, Err(ReadError::Api("unsupported Enterprise".into()))),
                (r#"{"data":true}"#, Err(malformed("it has no total"))),
                (r#"{"data":{"total":-1}}"#, Err(malformed("it has no total"))),
                (r#"{"data":{"total":"2"}}"#, Err(malformed("it has no total"))),
                (r#"{"methodResponses":[]}"#, Err(malformed("it has neither data nor error"))),
                ("[]", Err(malformed("it has neither data nor error"))),
            ],
        );
        assert!(matches!(read_management("{\"data\":{\"total\":2".into()), Err(ReadError::Malformed(_))), "cut off");
        let many = |n: usize| read_management(format!("{{\"data\":{{\"items\":[{}0],\"total\":2}}}}", "0,".repeat(n)));
        assert!(many(VALUES_MAX - 4).is_ok());
        assert_eq!(many(VALUES_MAX - 3).err(), Some(malformed("it has more than 200000 values")));
    }

    #[test]
    fn jmap_of_0_16() {
        says(
            read_jmap,
            &[
                (r#"{"methodResponses":[["x:QueuedMessage/query",{"ids":["a"],"total":3},"q"]]}"#, Ok(&[3.0])),
                (
                    r#"{"methodResponses":[["error",{"type":"forbidden","description":"no right"},"q"]]}"#,
                    Err(ReadError::Denied("forbidden no right".into())),
                ),
                (r#"{"methodResponses":[["error",{"type":"unknownMethod"},"q"]]}"#, Err(ReadError::Api("unknownMethod".into()))),
                (r#"{"methodResponses":[["error"]]}"#, Err(ReadError::Api(String::new()))),
                (r#"{"methodResponses":[["x:QueuedMessage/query",{"ids":[]},"q"]]}"#, Err(malformed("it has no total"))),
                (r#"{"methodResponses":[]}"#, Err(malformed("it has no method response"))),
                (r#"{"data":{"total":2}}"#, Err(malformed("it has no method response"))),
            ],
        );
    }
}
