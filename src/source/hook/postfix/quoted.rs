//! Searches text that contains addresses. The local part of an address may be quoted and contain any text, such as the rest of a line,
//! which strangers choose.

/// The beginning of an address whose local part is quoted.
const QUOTED_ADDRESS: &str = "<\"";

/// Returns the text before and after `separator`, where it is not in a quoted local part (`info_log_address_format = external`, the
/// default).
pub(super) fn split_once_outside_quotes<'t>(text: &'t str, separator: &str) -> Option<(&'t str, &'t str)> {
    let mut from = 0;
    loop {
        let found = from + text.get(from..)?.find(separator)?;
        let quoted = text.get(from..found)?.find(QUOTED_ADDRESS).map(|at| from + at + QUOTED_ADDRESS.len());
        match quoted {
            // A local part that does not end was cut, or is not one.
            Some(start) => from = text.get(start..).and_then(end_of_quoted).map_or(start, |len| start + len),
            None => return Some((text.get(..found)?, text.get(found + separator.len()..)?)),
        }
    }
}

/// Splits `ADDRESS>REST`, where the rest begins with one of these texts.
pub(super) fn split_address<'t>(text: &'t str, beginnings: &[&str]) -> Option<(&'t str, &'t str)> {
    let quoted = text.strip_prefix('"').and_then(end_of_quoted).map_or(0, |len| 1 + len);
    let ends = text.get(quoted..)?.match_indices('>').map(|(at, _)| quoted + at);
    let mut splits = ends.filter_map(|end| Some((text.get(..end)?, text.get(end + 1..)?)));
    splits.find(|(_, rest)| beginnings.iter().any(|beginning| rest.starts_with(beginning)))
}

/// The length up to the closing quote, of text after the opening one. A backslash quotes the next character.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_in_a_quoted_local_part_is_not_one() {
        for (text, expected) in [
            ("a; b", Some(("a", "b"))),
            (r#"<"x; y"@z>; b"#, Some((r#"<"x; y"@z>"#, "b"))),
            (r#"<"x\"; y"@z>; <"u; v"@w>"#, Some((r#"<"x\"; y"@z>"#, r#"<"u; v"@w>"#))),
            (r#"<"x\\"@z>; b"#, Some((r#"<"x\\"@z>"#, "b"))),
            (r#"<"x"@z; <"y; z"#, Some((r#"<"x"@z"#, r#"<"y; z"#))),
            (r#"<"x; y"#, Some((r#"<"x"#, "y"))),
            ("a", None),
        ] {
            assert_eq!(split_once_outside_quotes(text, "; "), expected, "{text}");
        }
    }

    #[test]
    fn an_address_ends_after_its_quoted_local_part() {
        for (text, expected) in [
            ("a@b>, c", Some(("a@b", ", c"))),
            (">, c", Some(("", ", c"))),
            (r#""x>, y"@b>, c"#, Some((r#""x>, y"@b"#, ", c"))),
            (r#""x\">"@b>, c>"#, Some((r#""x\">"@b"#, ", c>"))),
            ("a>b@c>, d", Some(("a>b@c", ", d"))),
            ("a@b> c", None),
            (r#""x"#, None),
        ] {
            assert_eq!(split_address(text, &[", "]), expected, "{text}");
        }
    }
}
