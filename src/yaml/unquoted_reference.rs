//! The explanation of a reference without quotes in a map in braces, where its own braces end the map.

/// Returns what to write if a line has `${...}` without quotes within `{` or `[`.
pub(super) fn explain(line: &str) -> Option<String> {
    let (mut quote, mut depth, mut before) = (None, 0_usize, ' ');
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (Some(end), _) if character == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(character),
            (None, '#') if before.is_whitespace() => return None,
            (None, '$') if depth > 0 && line.get(at..).is_some_and(|rest| rest.starts_with("${")) => {
                return Some("put a reference such as ${env:NAME} in quotes, because its braces end the map around it".to_owned());
            }
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
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
