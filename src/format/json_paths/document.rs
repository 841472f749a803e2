//! Bodies as JSON values, within limits: a few bytes of JSON can need many times their memory.

use crate::format::{ReadError, UniqueMembers, quote};
use serde_json::Value;

/// The deepest nesting of lists and objects.
pub const DEPTH_MAX: usize = 64;
/// The memory that the values of a response may need: more than 16 MiB of records with dozens of members.
pub const VALUES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The memory of an object in addition to its members: a node of a map has room for eleven.
const OBJECT_BYTES: usize = 640;
/// The memory of a member or an element, without a long text.
const VALUE_BYTES: usize = 160;

/// Parses a body.
///
/// # Errors
/// The body is empty, is not JSON, repeats a member of an object, or exceeds a limit.
pub(super) fn parse(body: &str) -> Result<Value, ReadError> {
    if body.trim_ascii().is_empty() {
        return Err(ReadError::Empty);
    }
    check_limits(body)?;
    let parsed = serde_json::from_str(body).map(|UniqueMembers(value)| value);
    parsed.map_err(|error| ReadError::Malformed(quote(&error.to_string())))
}

/// Checks the nesting, and the memory that the values would need.
fn check_limits(body: &str) -> Result<(), ReadError> {
    let (mut depth, mut bytes, mut in_text, mut is_escaped) = (0_usize, 0_usize, false, false);
    for byte in body.bytes() {
        if in_text {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => {
                depth += 1;
                bytes = bytes.saturating_add(if byte == b'{' { OBJECT_BYTES } else { VALUE_BYTES });
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => bytes = bytes.saturating_add(VALUE_BYTES),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(ReadError::Malformed(format!("it is nested more than {DEPTH_MAX} levels deep")));
        }
        if bytes > VALUES_BYTES_MAX {
            return Err(ReadError::Malformed(format!("its values need more than {} MiB of memory", VALUES_BYTES_MAX / (1024 * 1024))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_before_anything_is_stored() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(parse(&nested(DEPTH_MAX + 1)), Err(ReadError::Malformed("it is nested more than 64 levels deep".into())));
        let objects = |n: usize| format!("[{}0]", "{},".repeat(n));
        let max = VALUES_BYTES_MAX / (OBJECT_BYTES + VALUE_BYTES);
        assert!(check_limits(&objects(max - 1)).is_ok());
        assert_eq!(parse(&objects(max + 1)), Err(ReadError::Malformed("its values need more than 128 MiB of memory".into())));
        // Brackets and commas in texts are not values.
        let text = format!("[\"{}\\\"{}\"]", "[".repeat(200), "{,".repeat(10));
        assert!(parse(&text).is_ok());
    }

    #[test]
    fn a_body_without_json_is_an_error() {
        for body in ["", " \n", "\t"] {
            assert_eq!(parse(body), Err(ReadError::Empty), "{body:?}");
        }
        for body in ["{", "[1,]", "x 1", "{\"a\":1} b", "nul"] {
            assert!(matches!(parse(body), Err(ReadError::Malformed(_))), "{body}");
        }
    }
}
