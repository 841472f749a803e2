//! JSON values as numbers and as label values.

use crate::format::{number, quote};
use serde_json::Value;
use std::borrow::Cow;

/// A value where a number is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reading {
    /// A finite number.
    Number(f64),
    /// The server has no value: the member is missing, null, an empty text or a dash.
    Missing,
    /// A value that is not a number, so that every sum that includes it is unknown.
    Invalid,
}

/// Texts that stand for a missing value.
const MISSING_TEXTS: [&str; 4] = ["", "-", "--", "null"];

/// Reads a number, which may be written as a text. Boolean values are 1 and 0 if `booleans` is true, and RFC 3339 times are Unix seconds if
/// `times` is.
pub(super) fn number(value: Option<&Value>, booleans: bool, times: bool) -> Reading {
    let number = match value {
        None | Some(Value::Null) => return Reading::Missing,
        Some(Value::Bool(value)) if booleans => Some(f64::from(*value)),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => {
            let text = text.trim();
            if MISSING_TEXTS.contains(&text) {
                return Reading::Missing;
            }
            number_in_text(text, booleans).or_else(|| times.then(|| unix_seconds(text)).flatten())
        }
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    number.filter(|number| number.is_finite()).map_or(Reading::Invalid, Reading::Number)
}

fn number_in_text(text: &str, booleans: bool) -> Option<f64> {
    match text {
        "true" if booleans => Some(1.0),
        "false" if booleans => Some(0.0),
        _ => number::parse(text.as_bytes()),
    }
}

/// The largest number of digits of a fraction that the parser of times accepts.
const FRACTION_DIGITS_MAX: usize = 9;

/// Returns the Unix seconds of an RFC 3339 time, which are negative before 1970. Further digits of its fraction are ignored.
fn unix_seconds(text: &str) -> Option<f64> {
    let time = match text.split_once('.') {
        Some((seconds, rest)) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            format!("{seconds}.{}{}", rest.get(..digits.min(FRACTION_DIGITS_MAX))?, rest.get(digits..)?)
        }
        None => text.to_owned(),
    };
    Some(time.parse::<jiff::Timestamp>().ok()?.as_duration().as_secs_f64())
}

/// Describes a value that is not a number. A text is quoted, within a limit.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text `{}`", quote(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Reads the value of a label. Returns `Ok(None)` if it is missing.
///
/// # Errors
/// The value is a list or an object.
pub(super) fn label(value: Option<&Value>) -> Result<Option<Cow<'_, str>>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
        Some(Value::Bool(value)) => Ok(Some(Cow::Borrowed(if *value { "true" } else { "false" }))),
        Some(Value::Number(number)) => Ok(Some(Cow::Owned(number.to_string()))),
        Some(Value::Array(_) | Value::Object(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_in_texts_are_numbers_and_missing_values_are_missing() {
        for (value, expected) in [
            (json!(3), Reading::Number(3.0)),
            (json!(-2.5), Reading::Number(-2.5)),
            (json!(18_446_744_073_709_551_615_u64), Reading::Number(18_446_744_073_709_551_615.0)),
            (json!("48866"), Reading::Number(48866.0)),
            (json!(" 7.2009345794392523 "), Reading::Number(7.200_934_579_439_252)),
            (json!("1e3"), Reading::Number(1000.0)),
            (json!(null), Reading::Missing),
            (json!(""), Reading::Missing),
            (json!("- "), Reading::Missing),
            (json!("-"), Reading::Missing),
            (json!("NaN"), Reading::Invalid),
            (json!("inf"), Reading::Invalid),
            (json!("12 MB"), Reading::Invalid),
            (json!("1,234"), Reading::Invalid),
            (json!(true), Reading::Invalid),
            (json!([1]), Reading::Invalid),
            (json!({}), Reading::Invalid),
        ] {
            assert_eq!(number(Some(&value), false, false), expected, "{value}");
        }
        assert_eq!(number(None, false, false), Reading::Missing);
    }

    #[test]
    fn boolean_values_are_numbers_only_on_request() {
        for (value, expected) in [(json!(true), 1.0), (json!(false), 0.0), (json!("true"), 1.0), (json!("false"), 0.0), (json!(5), 5.0)] {
            assert_eq!(number(Some(&value), true, false), Reading::Number(expected), "{value}");
        }
        assert_eq!(number(Some(&json!("true")), false, false), Reading::Invalid);
    }

    #[test]
    fn times_are_unix_seconds_only_on_request() {
        for (value, expected) in [
            (json!("2026-08-01T10:00:00Z"), Reading::Number(1_785_578_400.0)),
            (json!("2026-08-01T10:00:00.25Z"), Reading::Number(1_785_578_400.25)),
            (json!("2026-08-01T12:00:00.123456789012+02:00"), Reading::Number(1_785_578_400.123_456_8)),
            (json!("2026-08-01 10:00:00Z"), Reading::Number(1_785_578_400.0)),
            (json!("1785578400"), Reading::Number(1_785_578_400.0)),
            (json!(1_785_578_400_u64), Reading::Number(1_785_578_400.0)),
            (json!("0001-01-01T00:00:00Z"), Reading::Number(-62_135_596_800.0)),
            (json!(""), Reading::Missing),
            (json!(null), Reading::Missing),
            (json!("2026-08-01T10:00:00"), Reading::Invalid),
            (json!("2026-08-01"), Reading::Invalid),
            (json!("2026-13-01T10:00:00Z"), Reading::Invalid),
            (json!("yesterday."), Reading::Invalid),
            (json!("é.é"), Reading::Invalid),
            (json!(true), Reading::Invalid),
        ] {
            assert_eq!(number(Some(&value), false, true), expected, "{value}");
        }
        assert_eq!(number(Some(&json!("2026-08-01T10:00:00Z")), true, false), Reading::Invalid);
    }

    #[test]
    fn labels_are_texts() {
        for (value, expected) in [(json!("a"), "a"), (json!(""), ""), (json!(1), "1"), (json!(1.5), "1.5"), (json!(true), "true")] {
            assert_eq!(label(Some(&value)), Ok(Some(expected.into())), "{value}");
        }
        assert_eq!(label(Some(&Value::Null)), Ok(None));
        assert_eq!(label(None), Ok(None));
        assert_eq!(label(Some(&json!([]))), Err(()));
    }
}
