//! Errors of the syntax in terms of the file instead of the parser: what is wrong, and what to write.

use super::unquoted_reference;
use serde_saphyr::Error;

/// The explanation of an error. It has one line and quotes no value, which may be a secret.
#[derive(Debug)]
pub(super) struct Explanation {
    pub message: String,
    /// The line of the mistake, if it is not the one at which the parser stopped.
    pub line: Option<usize>,
}

impl From<&str> for Explanation {
    fn from(message: &str) -> Self {
        Self { message: message.to_owned(), line: None }
    }
}

impl From<String> for Explanation {
    fn from(message: String) -> Self {
        Self { message, line: None }
    }
}

impl Explanation {
    /// Explains an error of a text, at which the parser stopped in this line.
    pub(super) fn of(error: &Error, text: &str, line: usize) -> Self {
        match error {
            Error::DuplicateMappingKey { key, .. } => {
                format!("duplicate key {}; remove one of them", key.as_deref().unwrap_or_default()).into()
            }
            Error::MultipleDocuments { .. } => {
                "a second document begins here; a file may have only one, so remove it with the line above".into()
            }
            // The library appends the position, which `Problem` prints in front of the message.
            other => {
                let reason = other.to_string().replace('\n', " ").split(" at line ").next().unwrap_or_default().to_owned();
                Lines(text.lines().collect()).explain(&reason, line).unwrap_or_else(|| reason.into())
            }
        }
    }
}

/// The lines of a file.
struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    /// The line with this number, from 1.
    fn at(&self, number: usize) -> &'a str {
        number.checked_sub(1).and_then(|index| self.0.get(index)).copied().unwrap_or_default()
    }

    /// The number of the line above that has a key or a value.
    fn above(&self, line: usize) -> Option<usize> {
        (1..line).rev().find(|number| !self.at(*number).trim().is_empty() && !self.at(*number).trim_start().starts_with('#'))
    }

    /// Explains the usual mistakes. `None` if the reason is clear already.
    fn explain(&self, reason: &str, line: usize) -> Option<Explanation> {
        let at = self.at(line);
        // Before `---`, such a line is valid.
        let begins_document = |number: usize| (number..line).any(|number| self.at(number).trim_end() == "---");
        if let Some(directive) = (1..=line).find(|number| self.at(*number).starts_with('%') && !begins_document(*number)) {
            let message = "a line must not begin with %; remove it, or put the value in quotes".to_owned();
            return Some(Explanation { message, line: Some(directive) });
        }
        if reason.starts_with("tabs disallowed") || reason.contains("found a tab") {
            let has_tab = |number: &usize| {
                let line = self.at(*number);
                line[..line.len() - line.trim_start().len()].contains('\t')
            };
            let message = "the indentation contains a tab; indent with spaces".to_owned();
            return Some(Explanation { message, line: (line..=self.0.len()).find(has_tab) });
        }
        if let Some(character) = reason.strip_prefix("unexpected character: `").and_then(|rest| rest.chars().next()) {
            return Some(match character {
                '\\' => "the line contains a control character; remove it".into(),
                character => must_not_begin_with(character),
            });
        }
        if reason.starts_with("alias references") {
            return Some("a value that begins with * refers to an anchor, and there is none of this name; put the value in quotes".into());
        }
        if let Some(explanation) = limits(reason) {
            return Some(explanation.into());
        }
        if reason.starts_with("cannot deserialize null into string") {
            return Some("a key is empty or ~, which is no text; write the key, in quotes if it is meant: \"\" or \"~\"".into());
        }
        if reason.starts_with("invalid ") && at.contains("!!") {
            return Some("the value is not of the type that its tag (!!) names; remove the tag".into());
        }
        // The parser may notice it in the next line.
        if let Some(message) = std::iter::once(line).chain(self.above(line)).find_map(|number| unquoted_reference::explain(self.at(number)))
        {
            return Some(message.into());
        }
        if let Some(explanation) = quotes(reason).or_else(|| forbidden_beginning(at).map(must_not_begin_with)).or_else(|| brackets(reason))
        {
            return Some(explanation);
        }
        if reason.starts_with("mapping values are not allowed") {
            return Some(misplaced_colon(at, self.above(line).map(|number| (number, self.at(number)))).into());
        }
        if reason.starts_with("block sequence entries are not allowed") {
            return Some("a list must not begin in the line of its key; write each item with its dash in a line of its own".into());
        }
        if reason.contains("simple key expected") {
            let has_colon = at.contains(':');
            return Some(if has_colon { "a space is missing after the colon" } else { "a colon is missing after the key" }.into());
        }
        if reason.contains("',' or") {
            return Some("a comma or the closing bracket is missing, or a value with a colon and a space needs quotes".into());
        }
        if reason.contains("did not find expected") {
            return Some("the indentation does not match the lines above; align the keys of a map with its first key, and the items of a list with its first dash".into());
        }
        if reason.contains("expected string scalar") {
            return Some(
                "a key must be a single value; a value that begins with { is a map, so put text that contains braces in quotes".into(),
            );
        }
        None
    }
}

/// The error of a file that exceeds the limits of values and aliases.
pub(super) const TOO_MANY_VALUES: &str = "the file has too many values, or aliases (*) that repeat too many; write fewer";

/// Explains the limits of the parser.
fn limits(reason: &str) -> Option<&'static str> {
    if reason.starts_with("budget breached") {
        Some(TOO_MANY_VALUES)
    } else if reason.contains("recursion limit") {
        Some("maps and lists are nested too deeply; remove brackets, or indent less")
    } else {
        None
    }
}

fn must_not_begin_with(character: char) -> Explanation {
    format!("a value must not begin with {character}; put the value in quotes").into()
}

/// Explains mistakes with quotes.
fn quotes(reason: &str) -> Option<Explanation> {
    match reason {
        _ if reason.contains("after single-quoted scalar") => {
            Some("a value continues after its closing quote; write a quote inside single quotes as ''".into())
        }
        _ if reason.contains("after double-quoted scalar") => {
            Some("a value continues after its closing quote; write a quote inside double quotes as \\\"".into())
        }
        _ if reason.starts_with("while parsing a quoted scalar") => {
            Some("a backslash in double quotes begins an escape sequence; use single quotes, or write \\\\ for a backslash".into())
        }
        _ if reason.contains("quoted scalar") || reason.contains("unclosed quote") => {
            Some("a quote that begins in this line or above is not closed; add the closing quote".into())
        }
        _ => None,
    }
}

/// Explains mistakes with brackets and braces.
fn brackets(reason: &str) -> Option<Explanation> {
    match reason {
        _ if reason.starts_with("unclosed bracket") => Some(format!("{reason}; add the one that closes it").into()),
        _ if reason.starts_with("mismatched bracket") => {
            let brackets = reason.trim_start_matches("mismatched bracket ").replace(" closed by ", " is closed by ");
            Some(format!("a bracket {brackets}; add or remove a bracket").into())
        }
        _ if reason.starts_with("misplaced bracket") => {
            Some("a closing bracket without an opening one; remove it, or put the value in quotes".into())
        }
        _ if reason.starts_with("illegal placement of ':'") => {
            Some("a bracket of the lines above is not closed; add the one that closes it".into())
        }
        _ => None,
    }
}

/// Returns the first character of the value in a line, if no value without quotes may begin with it.
fn forbidden_beginning(line: &str) -> Option<char> {
    let content = line.trim_start_matches([' ', '-']);
    let value = content.split_once(": ").map_or(content, |(_, value)| value).trim();
    let mut rest = value.chars();
    let first = rest.next()?;
    let rest = rest.as_str();
    let is_forbidden = match first {
        '@' | '`' | '%' | ',' | ']' | '}' => true,
        '*' | '&' => rest.is_empty() || rest.starts_with([' ', '{', '[', ',', ']', '}']),
        '?' => rest.starts_with(' '),
        // The text of a block begins in the next line.
        '|' | '>' => {
            let header = rest.split_once(" #").map_or(rest, |(header, _)| header);
            !header.trim_start_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']).trim().is_empty()
        }
        _ => false,
    };
    is_forbidden.then_some(first)
}

/// Explains why a colon cannot be where it is.
fn misplaced_colon(line: &str, above: Option<(usize, &str)>) -> String {
    let content = |line: &str| line.trim_start_matches([' ', '-']).trim_end().to_owned();
    let line = content(line);
    if line.split_once(": ").is_some_and(|(_, value)| value.contains(": ") || value.ends_with(':')) {
        return "a value that contains a colon and a space must be in quotes".to_owned();
    }
    if let Some((number, above)) = above {
        let above = content(above);
        match above.split_once(':') {
            None => return format!("a colon is missing after the key in line {number}"),
            Some((_, value)) if !value.is_empty() && !value.starts_with(' ') && !value.starts_with("//") => {
                return format!("a space is missing after the colon in line {number}");
            }
            Some(_) => {}
        }
    }
    "this line is indented further than the line above, which has a value already; align the keys of a map".to_owned()
}
