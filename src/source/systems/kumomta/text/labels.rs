//! Labels of a line that the server did not escape.

use crate::format::number;
use memchr::memmem;

/// Returns the end of the labels: the last `"}` that is followed by nothing but a number, or 0 if there are no labels.
pub(super) fn labels_end(inside: &str) -> Option<usize> {
    if let Some(rest) = inside.strip_prefix('}') {
        return is_number(rest).then_some(0);
    }
    let quote = memmem::rfind(inside.as_bytes(), b"\"}")?;
    is_number(&inside[quote + 2..]).then_some(quote + 1)
}

/// Returns `true` if the text is a number, with or without a timestamp.
pub(super) fn is_number(text: &str) -> bool {
    let mut tokens = text.split_ascii_whitespace();
    let value = tokens.next().is_some_and(|token| number::parse(token.as_bytes()).is_some());
    value && tokens.next().is_none_or(|token| number::parse(token.as_bytes()).is_some()) && tokens.next().is_none()
}

/// Escapes the label values of a line where necessary. Returns the line and the number of values that were escaped, or `None` if no value
/// needs it.
pub(super) fn escape(line: &str) -> Option<(String, u64)> {
    let inside = &line[memchr::memchr(b'{', line.as_bytes())? + 1..];
    let end = labels_end(inside.trim_ascii_end())?;
    let values = values(&inside[..end]);
    let unescaped = values.iter().filter(|value| has_bare_quote(value)).count();
    if unescaped == 0 {
        return None;
    }
    let mut out = String::with_capacity(line.len() + 2 * unescaped);
    let mut written = 0;
    for value in values {
        // Each value is a slice of the line, so its position follows from the addresses.
        let start = value.as_ptr() as usize - line.as_ptr() as usize;
        out.push_str(&line[written..start]);
        if has_bare_quote(value) {
            for c in value.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
        } else {
            out.push_str(value);
        }
        written = start + value.len();
    }
    out.push_str(&line[written..]);
    Some((out, unescaped as u64))
}

/// Returns the values of `a="x", b="y"`. Two values are separated by a quote, a comma, a name and `="`.
fn values(labels: &str) -> Vec<&str> {
    let mut values = Vec::new();
    let Some(first) = labels.find("=\"") else { return values };
    let mut start = first + 2;
    let mut at = start;
    while let Some(quote) = memmem::find(&labels.as_bytes()[at..], b"\",").map(|i| at + i) {
        let next = &labels[quote + 2..];
        let name = next.trim_start_matches([' ', '\t']);
        let len = name.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_')).unwrap_or(name.len());
        if len > 0 && name[len..].starts_with("=\"") {
            values.push(&labels[start..quote]);
            start = labels.len() - name.len() + len + 2;
            at = start;
        } else {
            at = quote + 1;
        }
    }
    // The last one ends before the closing quote.
    values.extend(labels.get(start..labels.len().saturating_sub(1)));
    values
}

/// Returns `true` if the value contains a quote without a backslash before it.
fn has_bare_quote(value: &str) -> bool {
    let (mut quote, mut escaped) = (false, false);
    for byte in value.bytes() {
        quote |= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
    }
    quote
}
