//! Labels of a line that the server wrote without escapes.

use crate::format::number;
use memchr::memmem;

/// Where the labels of a line end: at the last `"}` that only a number follows, or at once.
pub(super) fn labels_end(inside: &str) -> Option<usize> {
    if let Some(behind) = inside.strip_prefix('}') {
        return is_number(behind).then_some(0);
    }
    let quote = memmem::rfind(inside.as_bytes(), b"\"}")?;
    is_number(&inside[quote + 2..]).then_some(quote + 1)
}

/// Whether it is a value, with or without a timestamp.
pub(super) fn is_number(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let value = words.next().is_some_and(|word| number::parse(word.as_bytes()).is_some());
    value && words.next().is_none_or(|word| number::parse(word.as_bytes()).is_some()) && words.next().is_none()
}

/// Writes a line, with escapes where the server wrote none. Gives how many values had to be escaped.
pub(super) fn escape(line: &str, out: &mut String) -> u64 {
    let Some(open) = memchr::memchr(b'{', line.as_bytes()) else {
        out.push_str(line);
        return 0;
    };
    let inside = &line[open + 1..];
    let Some(end) = labels_end(inside.trim_ascii_end()) else {
        out.push_str(line);
        return 0;
    };
    let values = values(&inside[..end]);
    let unescaped = values.iter().filter(|value| has_bare_quote(value)).count();
    if unescaped == 0 {
        out.push_str(line);
        return 0;
    }
    let mut done = 0;
    for value in values {
        // Positions from the slices: each value is a part of the line.
        let start = value.as_ptr() as usize - line.as_ptr() as usize;
        out.push_str(&line[done..start]);
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
        done = start + value.len();
    }
    out.push_str(&line[done..]);
    unescaped as u64
}

/// The values of `a="x", b="y"`, by what stands between two: a quote, a comma, a name, `="`.
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

/// Whether a quote stands in it without a backslash before it.
fn has_bare_quote(value: &str) -> bool {
    let (mut quote, mut escaped) = (false, false);
    for byte in value.bytes() {
        quote |= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
    }
    // One that escapes the closing quote is no escape.
    quote
}
