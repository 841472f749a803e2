//! `/api/machine-info`: version, identity, and the start time of the process.

use crate::format::quote;
use crate::model::{Families, FamiliesBuilder, FamilyType, Text};
use crate::source::ReadError;
use serde::Deserialize;

/// The exported fields. Hardware addresses and the fingerprint are not read, for privacy.
#[derive(Deserialize)]
struct MachineInfo {
    version: Option<String>,
    node_id: Option<String>,
    hostname: Option<String>,
    process_kind: Option<String>,
    online_since: Option<String>,
}

/// Reads `/api/machine-info`.
///
/// # Errors
/// If the body is not such a document.
pub fn read(body: String) -> Result<Families, ReadError> {
    let info: MachineInfo = serde_json::from_str(&body).map_err(|e| ReadError::Malformed(quote(&e.to_string())))?;
    let labels =
        [("version", &info.version), ("node_id", &info.node_id), ("hostname", &info.hostname), ("process_kind", &info.process_kind)];
    if labels.iter().all(|(_, value)| value.is_none()) {
        return Err(ReadError::Empty);
    }
    Families::read(body, |out| {
        begin(out, "kumomta_machine_info", "Always 1; the labels contain version and identity.");
        for (name, value) in labels {
            let Some(value) = value else { continue };
            let (name, value) = (out.add_text(name), out.add_text(value));
            out.label(name, value);
        }
        out.number(1.0);
        if let Some(seconds) = info.online_since.as_deref().and_then(parse_unix_seconds) {
            begin(out, "kumomta_online_since_seconds", "Start of the process, in Unix seconds.");
            out.number(seconds);
        }
        Ok(())
    })
}

fn begin(out: &mut FamiliesBuilder<'_>, name: &str, help: &str) {
    let (name, help): (Text, Text) = (out.add_text(name), out.add_text(help));
    out.family(name, help, FamilyType::Gauge);
}

/// Returns the Unix seconds of an RFC 3339 time. The fraction is ignored: it may have more digits than the parser accepts.
fn parse_unix_seconds(time: &str) -> Option<f64> {
    let without_fraction = match time.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}{}", fraction.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => time.to_owned(),
    };
    Some(without_fraction.parse::<jiff::Timestamp>().ok()?.as_second() as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_of_any_length() {
        for (time, seconds) in [
            ("", None),
            ("yesterday", None),
            ("2026-08-01T10:00:00", None),
            ("2026-08-01T10:00:00Z", Some(1_785_578_400.0)),
            ("2026-08-01T10:00:00.5Z", Some(1_785_578_400.0)),
            ("2026-08-01T10:00:00.123456789012Z", Some(1_785_578_400.0)),
            ("2026-08-01T12:00:00.123456+02:00", Some(1_785_578_400.0)),
        ] {
            assert_eq!(parse_unix_seconds(time), seconds, "{time:?}");
        }
    }

    #[test]
    fn hardware_is_not_exported() {
        let body = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kumomta/machine-info.json")).to_owned();
        let families = read(body).unwrap();
        let info = families.named("kumomta_machine_info").flat_map(|f| f.samples()).next().unwrap();
        let labels: Vec<_> = info.labels().collect();
        let expected = [
            ("version", "2026.08.01-0123abcd"),
            ("node_id", "00000000-0000-4000-8000-000000000001"),
            ("hostname", "mta1.example.com"),
            ("process_kind", "kumod"),
        ];
        assert_eq!(labels, expected);
        let since = families.named("kumomta_online_since_seconds").flat_map(|f| f.samples()).next().unwrap();
        assert_eq!(since.number(), Some(1_785_578_400.0));
        assert_eq!(families.series(), 2);
    }

    #[test]
    fn other_documents_are_errors() {
        assert!(matches!(read("[]".to_owned()), Err(ReadError::Malformed(_))));
        assert!(matches!(read(String::new()), Err(ReadError::Malformed(_))));
        assert_eq!(read("{}".to_owned()).unwrap_err(), ReadError::Empty);
    }
}
