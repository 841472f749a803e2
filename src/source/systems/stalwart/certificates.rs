//! The certificates from JMAP of 0.16: `x:Certificate/get`.

use super::queue::{method_result, parse};
use crate::format::ReadError;
use crate::model::{Families, FamilyType, Repair};
use serde_json::Value;

/// Reads `{"methodResponses":[["x:Certificate/get",{"list":[{"id":"a","notValidAfter":"...","subjectAlternativeNames":{"mail.example.com":true}}]},"c"]]}`.
pub(in crate::source) fn read(body: String) -> Result<Families, ReadError> {
    let response = parse(&body)?;
    let list = method_result(&response)?.get("list").and_then(Value::as_array);
    let list = list.ok_or_else(|| ReadError::Malformed("it has no list".into()))?;
    Families::read(String::new(), |out| {
        let name = out.add_text("stalwart_certificate_expiry_time_seconds");
        let help = out.add_text("End of the validity of a certificate, in Unix seconds.");
        out.family(name, help, FamilyType::Gauge);
        for certificate in list {
            let end = certificate.get("notValidAfter").and_then(Value::as_str).and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let (Some(end), Some(id)) = (end, certificate.get("id").and_then(Value::as_str)) else {
                out.repair(Repair::Unreadable);
                continue;
            };
            for (label, value) in [("id", Some(id)), ("name", first_name(certificate))] {
                let Some(value) = value else { continue };
                let (label, value) = (out.add_text(label), out.add_text(value));
                out.label(label, value);
            }
            out.number(end.as_second() as f64);
        }
        Ok(())
    })
}

/// The first name in alphabetical order. The names are the keys of an object, or a list.
fn first_name(certificate: &Value) -> Option<&str> {
    match certificate.get("subjectAlternativeNames")? {
        Value::Object(names) => names.keys().map(String::as_str).min(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).min(),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn response(list: &str) -> String {
        format!("{{\"methodResponses\":[[\"x:Certificate/get\",{{\"accountId\":\"d1\",\"list\":{list},\"notFound\":[]}},\"c\"]]}}")
    }

    #[test]
    fn each_certificate_has_its_end_and_its_first_name() {
        let list = r#"[{"id":"a","notValidAfter":"1970-01-02T00:00:00Z","subjectAlternativeNames":{"mx.example.com":true,"mail.example.com":true}},
            {"id":"b","notValidAfter":"1970-01-01T00:01:40.5Z","subjectAlternativeNames":["example.org"]},
            {"id":"c","notValidAfter":"1970-01-01T00:00:01Z"},
            {"id":"d","notValidAfter":"soon"}, {"notValidAfter":"1970-01-01T00:00:01Z"}, {"id":"e"}]"#;
        let families = read(response(list)).unwrap();
        let series = families.iter().flat_map(|f| f.samples());
        let series: Vec<_> =
            series.map(|s| (s.labels().map(|(_, value)| value.to_owned()).collect::<Vec<_>>().join(" "), s.number())).collect();
        let expected = [("a mail.example.com", 86_400.0), ("b example.org", 100.0), ("c", 1.0)];
        assert_eq!(series, expected.map(|(labels, number)| (labels.to_owned(), Some(number))));
    }

    #[test]
    fn refusals_and_other_documents_are_errors() {
        assert_eq!(read(response("[]")).unwrap().series(), 0);
        assert!(matches!(read(response("null")), Err(ReadError::Malformed(_))));
        let refused = r#"{"methodResponses":[["error",{"type":"forbidden","description":"no right"},"c"]]}"#;
        assert_eq!(read(refused.to_owned()).err(), Some(ReadError::AccessDenied("forbidden no right".into())));
    }
}
