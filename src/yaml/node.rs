//! YAML as a tree of nodes with positions.
//!
//! # Why not `derive(Deserialize)`
//!
//! Serde stops at the first error, but `postmeter check` reports all of them. YAML is therefore parsed to this tree, and the decoder
//! walks the tree and collects the errors.

use super::explanation::Explanation;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};
use std::fmt;

/// A value and its position.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub value: Value,
}

/// A value. Numbers and booleans are kept as they are written, so that `token: 0123` keeps its zero.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Nothing,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its position.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub name: String,
}

/// An error of the syntax, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub message: String,
}

/// Maps, lists and scalars of a file: those of 10,000 targets with 50 keys each.
const NODES_MAX: usize = 1_000_000;
/// Events of the parser for these nodes: maps and lists have two.
const EVENTS_MAX: usize = 2 * NODES_MAX;

/// The error of an alias where none is allowed.
const ALIAS: &str = "a value must not begin with * as an alias; write out what it repeats, or put the value in quotes";

/// Parses a file with one document.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    parse_with(text, serde_saphyr::budget! { max_nodes: NODES_MAX, max_events: EVENTS_MAX })
}

/// Parses a short text of another program. Many of them with aliases could take as long as one file each.
pub(crate) fn parse_without_aliases(text: &str) -> Result<Node, SyntaxError> {
    parse_with(text, serde_saphyr::budget! { max_nodes: NODES_MAX, max_events: EVENTS_MAX, max_aliases: 0 }).map_err(|error| {
        // A short text reaches no other limit.
        let is_limit = error.message == super::explanation::TOO_MANY_VALUES;
        if is_limit { SyntaxError { message: ALIAS.to_owned(), ..error } } else { error }
    })
}

fn parse_with(text: &str, budget: Option<serde_saphyr::Budget>) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: budget,
        with_snippet: false,
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
    };
    if let Some((line, message)) = invisible_indentation(text) {
        return Err(SyntaxError { line: Some(line), column: Some(1), message });
    }
    match serde_saphyr::from_str_with_options::<Option<Spanned<Raw>>>(text, options) {
        Ok(Some(raw)) => Ok(raw_to_node(raw, text)),
        Ok(None) => Ok(Node { line: None, column: None, value: Value::Nothing }),
        Err(error) => {
            let location = error.location();
            let (at, column) = (location.and_then(line).map(|line| line.min(text.lines().count())), location.and_then(column));
            let explanation = Explanation::of(error.without_snippet(), text, at.unwrap_or(1));
            // Another line has another column.
            let column = if explanation.line.is_none() { column } else { None };
            Err(SyntaxError { line: explanation.line.or(at), column, message: explanation.message })
        }
    }
}

/// Returns the first line whose indentation contains a no-break space, which editors show like a space.
fn invisible_indentation(text: &str) -> Option<(usize, String)> {
    let has_no_break_space = |line: &str| line[..line.len() - line.trim_start().len()].contains('\u{a0}');
    let index = text.lines().position(has_no_break_space)?;
    Some((index + 1, "the indentation contains a no-break space; replace it by a space".to_owned()))
}

fn line(location: Location) -> Option<usize> {
    usize::try_from(location.line()).ok().filter(|line| *line > 0)
}

fn column(location: Location) -> Option<usize> {
    usize::try_from(location.column()).ok().filter(|column| *column > 0)
}

/// A value as the deserializer provides it.
enum Raw {
    Nothing,
    /// A string, quoted or not.
    String(String),
    /// A number or a boolean, as parsed. Its original text is in the source.
    Plain(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn raw_to_node(raw: Spanned<Raw>, source: &str) -> Node {
    let value = match raw.value {
        Raw::Nothing => Value::Nothing,
        Raw::String(text) => Value::Scalar(text),
        Raw::Plain(parsed) => Value::Scalar(source_text(raw.defined, source).map_or(parsed, str::to_owned)),
        Raw::List(list) => Value::List(list.into_iter().map(|raw| raw_to_node(raw, source)).collect()),
        Raw::Map(map) => Value::Map(map.into_iter().map(|(key, raw)| (raw_to_key(key), raw_to_node(raw, source))).collect()),
    };
    Node { line: line(raw.referenced), column: column(raw.referenced), value }
}

fn raw_to_key(key: Spanned<String>) -> Key {
    Key { line: line(key.referenced), column: column(key.referenced), name: key.value }
}

/// Returns the source text of a scalar.
fn source_text(location: Location, source: &str) -> Option<&str> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
    source.get(start..end).map(str::trim).filter(|text| !text.is_empty())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_none<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = access.next_element()? {
            list.push(node);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = access.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn show(node: &Node) -> String {
        let line = node.line.map_or("-".to_owned(), |line| line.to_string());
        match &node.value {
            Value::Nothing => format!("{line}:nothing"),
            Value::Scalar(text) => format!("{line}:{text:?}"),
            Value::List(list) => format!("{line}:[{}]", list.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Map(map) => {
                let entries = map.iter().map(|(key, node)| format!("{}:{}={}", key.line.unwrap_or(0), key.name, show(node)));
                format!("{line}:{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(show(&parse(text).unwrap()), expected);
    }

    #[test]
    fn nodes_have_lines_and_scalars_keep_their_text() {
        check("", "-:nothing");
        check("# only a comment\n", "-:nothing");
        check("a: 0123\nb: 1.10\nc: yes\nd: true\ne:\n", "1:{1:a=1:\"0123\" 2:b=2:\"1.10\" 3:c=3:\"yes\" 4:d=4:\"true\" 5:e=5:nothing}");
        check("é: x\nb: 0x10 # ü\n", "1:{1:é=1:\"x\" 2:b=2:\"0x10\"}");
        check("a: [x, {b: 'y'}]\n", "1:{1:a=1:[1:\"x\" 1:{1:b=1:\"y\"}]}");
        check("a:\n  - x\n  - y\n", "1:{1:a=2:[2:\"x\" 3:\"y\"]}");
        check("a: &x 12\nb: *x\n", "1:{1:a=1:\"12\" 2:b=2:\"12\"}");
        check("a: &x {b: 1}\nc: {<<: *x, d: 2}\n", "1:{1:a=1:{1:b=1:\"1\"} 2:c=2:{2:d=2:\"2\" 2:b=2:\"1\"}}");
        check("1: a\ntrue: b\n", "1:{1:1=1:\"a\" 2:true=2:\"b\"}");
        check("a: 123456789012345678901234567890\n", "1:{1:a=1:\"123456789012345678901234567890\"}");
    }

    #[track_caller]
    fn check_error(text: &str, line: usize, expected: &str) {
        let error = parse(text).unwrap_err();
        assert_eq!((error.line, error.message.as_str()), (Some(line), expected));
    }

    #[test]
    fn invalid_yaml_is_rejected_with_its_line() {
        const INDENTATION: &str = "the indentation does not match the lines above; align the keys of a map with its first key, and the items of a list with its first dash";
        const TAB: &str = "the indentation contains a tab; indent with spaces";
        for (text, line, expected) in [
            ("a: 1\nb: [\n", 2, "unclosed bracket '['; add the one that closes it"),
            ("a: [{b: 1]\n", 1, "a bracket '{' is closed by ']'; add or remove a bracket"),
            ("a: [{b: 1}\nc: {}\n", 2, "a bracket of the lines above is not closed; add the one that closes it"),
            ("a: []]\n", 1, "a closing bracket without an opening one; remove it, or put the value in quotes"),
            ("a: 1\na: 2\n", 2, "duplicate key a; remove one of them"),
            ("%YAML 1.2\n---\na: @x\n", 3, "a value must not begin with @; put the value in quotes"),
            ("a: {b: c: d}\n", 1, "a comma or the closing bracket is missing, or a value with a colon and a space needs quotes"),
            ("a: {b: c d: e}\n", 1, "a comma or the closing bracket is missing, or a value with a colon and a space needs quotes"),
            ("a: *{x\n", 1, "a value must not begin with *; put the value in quotes"),
            ("a: >x # y\n", 1, "a value must not begin with >; put the value in quotes"),
            ("a: 1\n---\nb: 2\n", 3, "a second document begins here; a file may have only one, so remove it with the line above"),
            ("a: *x\n", 1, "a value that begins with * refers to an anchor, and there is none of this name; put the value in quotes"),
            ("a: *\n", 1, "a value must not begin with *; put the value in quotes"),
            ("a: @x\n", 1, "a value must not begin with @; put the value in quotes"),
            ("a: `x\n", 1, "a value must not begin with `; put the value in quotes"),
            ("a: %x\n", 1, "a value must not begin with %; put the value in quotes"),
            ("a: , x\n", 1, "a value must not begin with ,; put the value in quotes"),
            ("a: |x\n", 1, "a value must not begin with |; put the value in quotes"),
            ("a: ? x\n", 1, "a value must not begin with ?; put the value in quotes"),
            ("a: ]x\n", 1, "a value must not begin with ]; put the value in quotes"),
            ("%x\na: 1\n", 1, "a line must not begin with %; remove it, or put the value in quotes"),
            ("a: - x\n", 1, "a list must not begin in the line of its key; write each item with its dash in a line of its own"),
            ("a:\n\tb: 1\n", 2, TAB),
            ("a:\n  - b: 1\n\t  c: 1\n", 3, TAB),
            ("a:\n  - b: 1\n   c: 1\n", 3, INDENTATION),
            ("a: 'x\nb: 1\n", 2, "a quote that begins in this line or above is not closed; add the closing quote"),
            ("a: 'x\n", 1, "a quote that begins in this line or above is not closed; add the closing quote"),
            ("a: 'it's'\n", 1, "a value continues after its closing quote; write a quote inside single quotes as ''"),
            ("a: \"x\" y\n", 1, "a value continues after its closing quote; write a quote inside double quotes as \\\""),
            ("a: \"\\q\"\n", 1, "a backslash in double quotes begins an escape sequence; use single quotes, or write \\\\ for a backslash"),
            ("a: x: y\n", 1, "a value that contains a colon and a space must be in quotes"),
            ("a:\n  b:1\n  c: 1\n", 3, "a space is missing after the colon in line 2"),
            ("a: \u{1}\n", 1, "the line contains a control character; remove it"),
        ] {
            check_error(text, line, expected);
        }
    }

    #[test]
    fn keys_tags_and_limits_are_explained() {
        const KEY: &str = "a key is empty or ~, which is no text; write the key, in quotes if it is meant: \"\" or \"~\"";
        check_error("a: {~: x}\n", 1, KEY);
        check_error("a:\n  : x\n", 2, KEY);
        check_error("a: !!int q\n", 1, "the value is not of the type that its tag (!!) names; remove the tag");
        let deep = format!("a: {}{}\n", "[".repeat(1000), "]".repeat(1000));
        check_error(&deep, 1, "maps and lists are nested too deeply; remove brackets, or indent less");
        let aliases = format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "x, ".repeat(1000), "*a, ".repeat(1000), "*b, ".repeat(1000));
        let error = parse(&aliases).unwrap_err();
        assert_eq!(error.message, "the file has too many values, or aliases (*) that repeat too many; write fewer");
    }

    #[test]
    fn aliases_can_be_forbidden() {
        assert!(parse_without_aliases("{a: [1, 2], b: '*x'}").is_ok());
        let error = parse_without_aliases("a: &x [1]\nb: *x\n").unwrap_err();
        assert_eq!(error.message, ALIAS);
    }

    #[test]
    fn hostile_yaml_is_rejected_and_secrets_are_not_quoted() {
        let deep = format!("a: {}", "[".repeat(100_000));
        let bomb = "a: &a [x, x]\n".to_owned()
            + &(0..24)
                .map(|i| format!("b{i}: &b{i} [*{p}, *{p}]\n", p = if i == 0 { "a".to_owned() } else { format!("b{}", i - 1) }))
                .collect::<String>();
        for text in [&deep, &bomb] {
            assert!(parse(text).is_err());
        }
        for value in [
            "\"hunter2",
            "!!int hunter2",
            "@hunter2",
            "`hunter2",
            "%hunter2",
            "*hunter2",
            "hunter2: hunter2: x",
            "[hunter2",
            "hunter2\n b: x",
            ".inf",
        ] {
            let result = parse(&format!("token: {value}\n"));
            assert!(!format!("{:?}", result.as_ref().err()).contains("hunter2"), "{value} {result:?}");
        }
    }
}
