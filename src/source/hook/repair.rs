//! Repairs items that are not valid JSON because of single values, so that a value that no record uses does not cost the item.

use crate::format::RepeatedMembers;
use serde::de::DeserializeSeed;
use serde_json::Value;

/// The bytes of an escape such as `\ud83d`.
const UNICODE_ESCAPE_BYTES: usize = 6;
/// The escape of the character that replaces half a surrogate pair, as of a text that was cut inside an emoji.
const REPLACEMENT: &str = "\\ufffd";

/// Reads an item with each of two values wherever the value is not certain: for a member that occurs twice, and for a number that is not
/// finite. Broken characters are replaced, and control characters are escaped. `None`: the item cannot be repaired.
pub(super) fn alternatives(item: &[u8]) -> Option<[Value; 2]> {
    let text = String::from_utf8_lossy(item);
    let read = |repeated: RepeatedMembers, number| {
        let repaired = repair(&text, number);
        let mut deserializer = serde_json::Deserializer::from_str(&repaired);
        let value = repeated.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok().map(|()| value)
    };
    Some([read(RepeatedMembers::First, "null")?, read(RepeatedMembers::Second, "0")?])
}

/// Replaces broken escapes, control characters in strings, and numbers that are not finite.
fn repair(text: &str, number: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let (mut rest, mut is_string) = (text, false);
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        let mut replacement = None;
        match first {
            '"' => is_string = !is_string,
            '\\' if is_string => (length, replacement) = escape(rest),
            _ if is_string => replacement = first.is_ascii_control().then(|| format!("\\u{:04x}", u32::from(first))),
            '-' | '0'..='9' | 'a'..='z' | 'A'..='Z' => {
                length = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
                let is_unusable = rest[..length].parse().is_ok_and(|number: f64| !number.is_finite());
                replacement = is_unusable.then(|| number.to_owned());
            }
            _ => {}
        }
        repaired.push_str(replacement.as_deref().unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    repaired
}

/// Returns the length of the escape at the start of a text, and what replaces it.
fn escape(text: &str) -> (usize, Option<String>) {
    let unit = |at: usize| {
        let digits = text.get(at..at + UNICODE_ESCAPE_BYTES)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    match unit(0) {
        Some(0xd800..=0xdbff) if matches!(unit(UNICODE_ESCAPE_BYTES), Some(0xdc00..=0xdfff)) => (2 * UNICODE_ESCAPE_BYTES, None),
        Some(0xd800..=0xdfff) => (UNICODE_ESCAPE_BYTES, Some(REPLACEMENT.to_owned())),
        _ => (text.chars().take(2).map(char::len_utf8).sum(), None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn single_values_are_repaired() {
        let same = |value: Value| Some([value.clone(), value]);
        for (item, expected) in [
            (&br#"{"a":"cut \ud83d"}"#[..], same(json!({"a": "cut \u{fffd}"}))),
            (
                br#"["\ude00\ud83d\ude00 \ud83d\ud83d\ude00 \\ud83d \ud83dx"]"#,
                same(json!(["\u{fffd}\u{1f600} \u{fffd}\u{1f600} \\ud83d \u{fffd}x"])),
            ),
            (b"[\"caf\xe9\", \"\xf0\x9f\x98\"]", same(json!(["caf\u{fffd}", "\u{fffd}"]))),
            (b"[\"a\tb\x01\"]", same(json!(["a\tb\u{1}"]))),
            (
                br#"{"n":1e999,"m":[-1e400,NaN,-Infinity,1.5,true,null,"1e999"]}"#,
                Some([
                    json!({"n": null, "m": [null, null, null, 1.5, true, null, "1e999"]}),
                    json!({"n": 0, "m": [0, 0, 0, 1.5, true, null, "1e999"]}),
                ]),
            ),
            (br#"{"a":1,"b":"\ud83d","a":2}"#, Some([json!({"a": 1, "b": "\u{fffd}"}), json!({"a": 2, "b": "\u{fffd}"})])),
            // Damage that leaves no certain reading.
            (br#"{"a":1,"a":2,"a":1}"#, None),
            (br#"{"a":"\ud8"}"#, None),
            (br#"{"a":"\x41"}"#, None),
            (br#"{"a":1e}"#, None),
            (br#"{"a":"b}"#, None),
            (b"{\"a\":1}\\", None),
            ("{\"a\":\"\\\u{e9}\"}".as_bytes(), None),
        ] {
            assert_eq!(alternatives(item), expected, "{}", String::from_utf8_lossy(item));
        }
    }
}
