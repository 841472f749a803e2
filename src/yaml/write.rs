//! Writes YAML in block style.

use std::fmt::Write as _;

/// A value of a document that is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Written {
    /// Text, which is quoted where YAML requires it.
    Text(String),
    /// A number, a duration, a size, `true` or `false`, which is never quoted.
    Plain(String),
    List(Vec<Written>),
    Map(Vec<(String, Written)>),
}

/// Scalars that are not text without quotes.
const RESERVED: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];

/// Quotes a scalar, unless it has the plain form of a name. JSON strings are YAML strings.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain =
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let is_reserved = RESERVED.contains(&text.to_lowercase().as_str());
    if is_plain && !is_reserved { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// Writes a document that is a map.
pub(crate) fn write(map: &[(String, Written)]) -> String {
    let mut text = String::new();
    write_map(map, 0, false, &mut text);
    text
}

/// Writes the entries of a map, each on a line of its own. The first one continues the current line after the dash of a list.
fn write_map(map: &[(String, Written)], indent: usize, continues_line: bool, text: &mut String) {
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 || !continues_line {
            indent_line(indent, text);
        }
        let _ = write!(text, "{}:", quoted(key));
        write_value(value, indent, text);
    }
}

/// Writes a value after its key.
fn write_value(value: &Written, indent: usize, text: &mut String) {
    match value {
        Written::Text(scalar) => drop(writeln!(text, " {}", quoted(scalar))),
        Written::Plain(scalar) => drop(writeln!(text, " {scalar}")),
        Written::List(list) if list.is_empty() => text.push_str(" []\n"),
        Written::Map(map) if map.is_empty() => text.push_str(" {}\n"),
        Written::List(list) => {
            text.push('\n');
            list.iter().for_each(|item| write_item(item, indent + 1, text));
        }
        Written::Map(map) => {
            text.push('\n');
            write_map(map, indent + 1, false, text);
        }
    }
}

/// Writes an item of a list.
fn write_item(item: &Written, indent: usize, text: &mut String) {
    indent_line(indent, text);
    text.push('-');
    match item {
        Written::Map(map) if !map.is_empty() => {
            text.push(' ');
            write_map(map, indent + 1, true, text);
        }
        item => write_value(item, indent, text),
    }
}

fn indent_line(indent: usize, text: &mut String) {
    (0..indent).for_each(|_| text.push_str("  "));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Node, Value, parse};
    use super::*;

    fn text(text: &str) -> Written {
        Written::Text(text.to_owned())
    }

    fn map(entries: &[(&str, Written)]) -> Vec<(String, Written)> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    /// The tree of a document, without the difference between text and other scalars.
    fn read(node: &Node) -> Written {
        match &node.value {
            Value::Nothing => panic!("a value is missing"),
            Value::Scalar(scalar) => text(scalar),
            Value::List(list) => Written::List(list.iter().map(read).collect()),
            Value::Map(map) => Written::Map(map.iter().map(|(key, node)| (key.name.clone(), read(node))).collect()),
        }
    }

    #[test]
    fn a_document_in_block_style() {
        let inner =
            Written::Map(map(&[("name", text("a")), ("empty", Written::Map(Vec::new())), ("port", Written::Plain("25".to_owned()))]));
        let document = map(&[("targets", Written::List(vec![inner, text("no")])), ("list", Written::List(Vec::new()))]);
        assert_eq!(write(&document), "targets:\n  - name: a\n    empty: {}\n    port: 25\n  - \"no\"\nlist: []\n");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let hostile =
            ["", " a", "a: b", "- a", "#a", "1.5", "0x1f", "~", "null", "No", "a\nb", "\"'\\", "*a", "ü\u{202e}", "{a}", "a #b", "1s"];
        let scalars: Vec<Written> = hostile.iter().map(|scalar| text(scalar)).collect();
        let keys = Written::Map(hostile[1..].iter().map(|key| ((*key).to_owned(), text(key))).collect());
        let nested = Written::List(vec![Written::List(vec![text("a")]), keys]);
        let document = map(&[("scalars", Written::List(scalars)), ("nested", nested)]);
        let written = write(&document);
        assert_eq!(read(&parse(&written).unwrap_or_else(|error| panic!("{error:?}\n{written}"))), Written::Map(document), "{written}");
    }
}
