//! The mail queue from the management API: `GET /api/queue/messages` in 0.15, JMAP in 0.16.
//!
//! Both APIs send refusals with status 200. The credential is that of an account, or an API key.

use crate::format::{ReadError, UniqueMembers, quote};
use crate::model::{Families, FamilyType, Repair};
use serde_json::Value;

/// Reads `{"data":{"items":[...],"total":2,"status":true}}`. The oldest item is first, so one item is enough for the age.
pub(in crate::source) fn read_management(body: String) -> Result<Families, ReadError> {
    let response = parse(&body)?;
    if let Some(error) = response.get("error").and_then(Value::as_str) {
        let details = response.get("details").and_then(Value::as_str).unwrap_or_default();
        return Err(refusal(error, details));
    }
    let data = response.get("data").ok_or_else(|| ReadError::Malformed("it has neither data nor error".into()))?;
    let total = total(data)?;
    // Items are objects or only numbers, depending on the request.
    let oldest = data.pointer("/items/0").filter(|item| item.is_object()).map(|item| {
        let created = item.get("created").and_then(Value::as_str).and_then(|text| text.parse::<jiff::Timestamp>().ok());
        created.map_or(f64::NAN, |created| created.as_second() as f64)
    });
    families(&[MESSAGES, OLDEST], &[Some(total as f64), oldest])
}

/// Reads `{"methodResponses":[["x:QueuedMessage/query",{"total":3,...},"q"]]}`, or `["error",{"type":...},"q"]` in its place.
pub(in crate::source) fn read_jmap(body: String) -> Result<Families, ReadError> {
    families(&[MESSAGES], &[Some(jmap_total(&body)?)])
}

/// Reads the response to such a query for the messages that are due.
pub(in crate::source) fn read_overdue(body: String) -> Result<Families, ReadError> {
    families(&[OVERDUE], &[Some(jmap_total(&body)?)])
}

fn jmap_total(body: &str) -> Result<f64, ReadError> {
    let response = parse(body)?;
    Ok(total(method_result(&response)?)? as f64)
}

/// Returns the result of the only method call.
pub(super) fn method_result(response: &Value) -> Result<&Value, ReadError> {
    let method_response = response.pointer("/methodResponses/0").ok_or_else(|| ReadError::Malformed("it has no method response".into()))?;
    let result = method_response.get(1).unwrap_or(&Value::Null);
    if method_response.get(0).and_then(Value::as_str) == Some("error") {
        let text = |key| result.get(key).and_then(Value::as_str).unwrap_or_default();
        return Err(refusal(text("type"), text("description")));
    }
    Ok(result)
}

/// The largest number of values in a response. Two bytes of JSON can be a value, which takes dozens of bytes of memory. The response to a
/// query for one message has hundreds.
const VALUES_MAX: usize = 200_000;

pub(super) fn parse(body: &str) -> Result<Value, ReadError> {
    if body.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > VALUES_MAX {
        return Err(ReadError::Malformed(format!("it has more than {VALUES_MAX} values")));
    }
    let parsed = serde_json::from_str(body).map(|UniqueMembers(value)| value);
    parsed.map_err(|error| ReadError::Malformed(quote(&error.to_string())))
}

fn total(result: &Value) -> Result<u64, ReadError> {
    result.get("total").and_then(Value::as_u64).ok_or_else(|| ReadError::Malformed("it has no total".into()))
}

fn refusal(kind: &str, details: &str) -> ReadError {
    let reason = quote(format!("{kind} {details}").trim());
    if kind.contains("forbidden") || kind.contains("unauthorized") { ReadError::AccessDenied(reason) } else { ReadError::Refused(reason) }
}

/// The name and the help text of a gauge.
type Gauge = (&'static str, &'static str);
const MESSAGES: Gauge = ("stalwart_queue_messages", "Messages in the queue.");
const OLDEST: Gauge = ("stalwart_queue_oldest_time_seconds", "Arrival of the oldest message in the queue, in Unix seconds.");
const OVERDUE: Gauge = (
    "stalwart_queue_overdue_messages",
    "Messages in the queue whose next attempt was due before the request, those of a running attempt included.",
);

/// Makes a family of each value that the response has. One that is NaN cannot be read.
fn families(gauges: &[Gauge], values: &[Option<f64>]) -> Result<Families, ReadError> {
    Families::read(String::new(), |out| {
        for ((name, help), value) in gauges.iter().zip(values) {
            let Some(value) = value else { continue };
            if value.is_nan() {
                out.repair(Repair::Unreadable);
                out.explain_unreadable(name, || "`created` of the oldest message is not a valid time".to_owned());
            }
            let (name, help) = (out.add_text(name), out.add_text(help));
            out.family(name, help, FamilyType::Gauge);
            out.number(*value);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the numbers of all families, or the error.
    #[track_caller]
    fn check(read: fn(String) -> Result<Families, ReadError>, cases: &[(&str, Result<&[f64], ReadError>)]) {
        for (body, expected) in cases {
            let numbers = |families: Families| families.iter().flat_map(|f| f.samples()).filter_map(|s| s.number()).collect::<Vec<_>>();
            assert_eq!(read((*body).to_owned()).map(numbers), expected.clone().map(<[f64]>::to_vec), "{body}");
        }
    }

    fn malformed(why: &str) -> ReadError {
        ReadError::Malformed(why.into())
    }

    #[test]
    fn the_management_api_of_0_15_is_read() {
        let older = "{\"id\":340282366920938463463374607431768211455,\"created\":\"1970-01-01T00:01:40Z\"}";
        check(
            read_management,
            &[
                (r#"{"data":{"items":[],"total":0,"status":true}}"#, Ok(&[0.0])),
                (r#"{"data":{"items":[18446744073709551615],"total":2,"status":true}}"#, Ok(&[2.0])),
                (r#"{"data":{"items":[341706292515049750],"total":2,"status":false}}"#, Ok(&[2.0])),
                (&format!("{{\"data\":{{\"items\":[{older}],\"total\":7}}}}"), Ok(&[7.0, 100.0])),
                (r#"{"error":"forbidden","details":"no right"}"#, Err(ReadError::AccessDenied("forbidden no right".into()))),
                (r#"{"error":"unauthorized"}"#, Err(ReadError::AccessDenied("unauthorized".into()))),
                (r#"{"error":"unsupported","details":"Enterprise"}"#, Err(ReadError::Refused("unsupported Enterprise".into()))),
                (r#"{"data":true}"#, Err(malformed("it has no total"))),
                (r#"{"data":{"total":-1}}"#, Err(malformed("it has no total"))),
                (r#"{"data":{"total":"2"}}"#, Err(malformed("it has no total"))),
                (r#"{"methodResponses":[]}"#, Err(malformed("it has neither data nor error"))),
                ("[]", Err(malformed("it has neither data nor error"))),
                (r#"{"data":{"total":100,"total":5}}"#, Err(malformed("an object has two members `total` at line 1 column 28"))),
            ],
        );
        assert!(matches!(read_management("{\"data\":{\"total\":2".into()), Err(ReadError::Malformed(_))), "cut off");
        let many = |n: usize| read_management(format!("{{\"data\":{{\"items\":[{}0],\"total\":2}}}}", "0,".repeat(n)));
        assert!(many(VALUES_MAX - 4).is_ok());
        assert_eq!(many(VALUES_MAX - 3).err(), Some(malformed("it has more than 200000 values")));
    }

    #[test]
    fn an_arrival_that_cannot_be_read_is_counted() {
        for created in ["\"yesterday\"", "\"2026-02-30T00:00:00Z\"", "null", "7"] {
            let read = read_management(format!("{{\"data\":{{\"items\":[{{\"id\":1,\"created\":{created}}}],\"total\":7}}}}")).unwrap();
            let numbers: Vec<f64> = read.iter().flat_map(|family| family.samples()).filter_map(|sample| sample.number()).collect();
            assert!(numbers[0] == 7.0 && numbers[1].is_nan() && numbers.len() == 2, "{created}: {numbers:?}");
            assert_eq!(read.repairs().get(Repair::Unreadable), 1, "{created}");
        }
    }

    #[test]
    fn jmap_of_0_16_is_read() {
        check(
            read_jmap,
            &[
                (r#"{"methodResponses":[["x:QueuedMessage/query",{"ids":["a"],"total":3},"q"]]}"#, Ok(&[3.0])),
                (
                    r#"{"methodResponses":[["error",{"type":"forbidden","description":"no right"},"q"]]}"#,
                    Err(ReadError::AccessDenied("forbidden no right".into())),
                ),
                (r#"{"methodResponses":[["error",{"type":"unknownMethod"},"q"]]}"#, Err(ReadError::Refused("unknownMethod".into()))),
                (r#"{"methodResponses":[["error"]]}"#, Err(ReadError::Refused(String::new()))),
                (r#"{"methodResponses":[["x:QueuedMessage/query",{"ids":[]},"q"]]}"#, Err(malformed("it has no total"))),
                (r#"{"methodResponses":[]}"#, Err(malformed("it has no method response"))),
                (r#"{"data":{"total":2}}"#, Err(malformed("it has no method response"))),
            ],
        );
    }
}
