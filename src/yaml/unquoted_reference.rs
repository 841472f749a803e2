//! The explanation of a reference or a path without quotes in a map in braces, where its own braces or brackets end the map.

/// Returns what to write if a line has `${...}` or a value such as `$.list[*]` without quotes within `{` or `[`.
pub(super) fn explain(line: &str) -> Option<String> {
    let (mut quote, mut depth, mut before, mut is_path) = (None, 0_usize, ' ', false);
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (Some(end), _) if character == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(character),
            (None, '#') if before.is_whitespace() => return None,
            (None, '$') if depth > 0 && line.get(at..).is_some_and(|rest| rest.starts_with("${")) => {
                return Some("put a reference such as ${env:NAME} in quotes, because its braces end the map around it".to_owned());
            }
            (None, '{' | '[') if depth > 0 && (before.is_alphanumeric() || matches!(before, '$' | '.' | '_' | '/' | '=' | '?')) => {
                let kind = if is_path { "path" } else { "value" };
                return Some(format!("put the {kind} in quotes, because its brackets or braces end the map or the list around it"));
            }
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            (None, '$' | '/') if before.is_whitespace() => is_path = true,
            (None, _) if character.is_whitespace() => is_path = false,
            (None, _) => {}
        }
        before = character;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_reference_without_quotes_in_braces_is_explained() {
        for (line, expected) in [
            ("  - {name: a, token: ${env:X}}", true),
            ("list: [${env:X}]", true),
            ("{a: 'b', c: ${file:/x}}", true),
            ("  - {name: it's, token: ${env:X}}", true),
            ("  - {name: a, token: \"${env:X}\"}", false),
            ("  - {name: a, token: '${env:X}'}", false),
            ("token: ${env:X}", false),
            ("  - {name: a} # ${env:X}", false),
            ("  - {name: a}, ${env:X}", false),
        ] {
            assert_eq!(explain(line).is_some(), expected, "{line}");
        }
    }

    #[test]
    fn a_path_or_a_value_with_brackets_in_braces_needs_quotes() {
        for (text, kind) in [
            ("s:\n  - {family: q, each: $.queues[*], value: $.n}\n", "path"),
            ("s:\n  - {family: q, each: $.queues[0], value: $.n}\n", "path"),
            ("s:\n  - {family: q, each: $['queues'][*], value: $.n}\n", "path"),
            ("s:\n  - {family: q, value: $.stats[0].sent}\n", "path"),
            ("r:\n  - {path: /api/queue?a={start:%Y}}\n", "path"),
            ("t:\n  - {name: a, url: http://[::1]:80}\n", "value"),
        ] {
            let error = crate::yaml::parse(text).map(|_| ()).unwrap_err();
            assert_eq!(
                error.message,
                format!("put the {kind} in quotes, because its brackets or braces end the map or the list around it"),
                "{text}"
            );
        }
        for line in ["  - {a: [x], b: {c: d}}", "each: $.queues[*]", "  - {each: \"$.queues[*]\"}", "list: [[a], [b]]", "  - {a:[x]}"] {
            assert_eq!(explain(line), None, "{line}");
        }
    }

    #[test]
    fn a_file_with_such_a_reference_names_it() {
        for text in [
            "t:\n  - {name: a, token: ${env:X}}\n",
            "t:\n  - {token: ${env:X}, name: a}\n",
            "a:\n  [${env:X}]\n",
            "a: 1\nb: {c: ${env:X}}\nd: 2\n",
        ] {
            let error = crate::yaml::parse(text).map(|_| ()).unwrap_err();
            assert!(error.message.starts_with("put a reference such as ${env:NAME} in quotes"), "{text}: {error:?}");
        }
    }
}
