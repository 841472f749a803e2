//! `/api/check-liveness/v1`: one line, `OK` with status 200, or with status 503 why the server does not accept messages.

use crate::format::quote;
use crate::model::{Families, FamilyType};
use crate::source::ReadError;

/// The reasons of a server that runs and does not accept messages.
const REASONS: &[&str] = &["shutting down", "load shedding", "waiting for spool enumeration"];

/// Reads `/api/check-liveness/v1`.
///
/// # Errors
/// If the body is neither `OK` nor a known reason.
pub fn read(body: String) -> Result<Families, ReadError> {
    let value = match body.trim_ascii() {
        "" => return Err(ReadError::Empty),
        "OK" => 1.0,
        reason if REASONS.contains(&reason) => 0.0,
        other => return Err(ReadError::Malformed(format!("it is neither OK nor a known reason: {}", quote(other)))),
    };
    Families::read(String::new(), |out| {
        let (name, help) = (out.add_text("kumomta_live"), out.add_text("1 if the server accepts messages, otherwise 0."));
        out.family(name, help, FamilyType::Gauge);
        out.number(value);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_texts_are_states() {
        for (body, expected) in [
            ("OK", Some(1.0)),
            ("OK\n", Some(1.0)),
            ("shutting down", Some(0.0)),
            ("load shedding", Some(0.0)),
            ("waiting for spool enumeration\r\n", Some(0.0)),
            ("", None),
            ("NOT OK", None),
            ("ok computer", None),
            ("Service Unavailable", None),
        ] {
            let value = read(body.to_owned()).ok().and_then(|families| families.iter().flat_map(|f| f.samples()).find_map(|s| s.number()));
            assert_eq!(value, expected, "{body:?}");
        }
    }
}
