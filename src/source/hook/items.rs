//! Splits a body into its items before anything is parsed, so that a damaged item costs only itself, and the memory of one item is needed
//! at a time.

use super::NodePath;
use memchr::memchr;

/// The largest number of items of a body. The rest of the body counts as one unreadable item.
pub const ITEMS_MAX: usize = 100_000;
/// The largest size of an item.
pub const ITEM_BYTES_MAX: usize = 1024 * 1024;
/// The deepest nesting of lists and objects in an item.
pub const NESTING_MAX: usize = 32;

/// The form of a body.
#[derive(Debug)]
pub enum BodyForm {
    /// One JSON value, which is the item.
    Value,
    /// JSON in lines, an item each; or a list of items; or one item in several lines.
    Lines,
    /// A list of items, which is the body or is at this path of it.
    List(Option<NodePath>),
}

/// An item, or the problem with it.
type Item<'b> = Result<&'b [u8], String>;

impl BodyForm {
    /// The items of a body. An empty body has none.
    pub(super) fn items<'b>(&self, body: &'b [u8]) -> Vec<Item<'b>> {
        let body = body.trim_ascii();
        if body.is_empty() {
            return vec![Err("the body is empty".to_owned())];
        }
        match self {
            Self::Value => vec![check(body)],
            Self::List(None) => elements(body),
            Self::List(Some(path)) => match list_at(body, path) {
                Some(list) => elements(list),
                None => vec![Err(format!("the body has no list {}", path.as_str()))],
            },
            Self::Lines => match body.first() {
                Some(b'[') => elements(body),
                _ if value_end(body).is_ok_and(|end| end == body.len()) => vec![check(body)],
                _ => lines(body),
            },
        }
    }
}

/// Checks the size and the nesting of an item.
fn check(item: &[u8]) -> Item<'_> {
    if item.len() > ITEM_BYTES_MAX {
        return Err(format!("exceeds the limit of {ITEM_BYTES_MAX} bytes"));
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = item.get(at) {
        match byte {
            b'"' => {
                // The parser reports a text without an end.
                at += string_length(&item[at..]).unwrap_or(item.len() - at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(format!("is nested more than {NESTING_MAX} levels deep"));
        }
        at += 1;
    }
    Ok(item)
}

/// The lines that are not empty.
fn lines(body: &[u8]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..end].trim_ascii();
        rest = &rest[(end + 1).min(rest.len())..];
        if line.is_empty() {
            continue;
        }
        if items.len() == ITEMS_MAX {
            items.push(Err(format!("the body has more than {ITEMS_MAX} items")));
            break;
        }
        items.push(check(line));
    }
    items
}

/// The elements of the list at the start of a text.
fn elements(text: &[u8]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let Some(mut rest) = text.strip_prefix(b"[") else { return vec![Err("the body is not a list".to_owned())] };
    rest = rest.trim_ascii_start();
    if rest.first() == Some(&b']') {
        return items;
    }
    loop {
        if items.len() == ITEMS_MAX {
            items.push(Err(format!("the body has more than {ITEMS_MAX} items")));
            return items;
        }
        let Ok(end) = value_end(rest) else {
            items.push(Err("the list ends in the middle".to_owned()));
            return items;
        };
        items.push(check(rest[..end].trim_ascii_end()));
        match rest.get(end) {
            Some(b',') => rest = rest[end + 1..].trim_ascii_start(),
            Some(b']') => return items,
            _ => {
                items.push(Err("the list ends in the middle".to_owned()));
                return items;
            }
        }
    }
}

/// Returns the text that begins with the list at a path.
fn list_at<'b>(body: &'b [u8], path: &NodePath) -> Option<&'b [u8]> {
    text_at(body, path.names()).filter(|text| text.starts_with(b"["))
}

/// Returns the value at a path, without parsing the body. A name of digits stands for the first element of a list.
pub(super) fn value_at<'b>(body: &'b [u8], path: &[&str]) -> Option<&'b [u8]> {
    let text = text_at(body.trim_ascii(), path.iter().copied())?;
    value_end(text).ok().map(|end| text[..end].trim_ascii_end())
}

/// Returns the text that begins with the value at a path.
fn text_at<'b, 'p>(body: &'b [u8], names: impl Iterator<Item = &'p str>) -> Option<&'b [u8]> {
    let mut text = body;
    for name in names {
        text = match text.strip_prefix(b"[") {
            Some(elements) => elements.trim_ascii_start(),
            None => member(text, name)?,
        };
    }
    Some(text)
}

/// Returns the text that begins with the value of a member of the object at the start of a text. Names with escapes are not found.
fn member<'b>(text: &'b [u8], name: &str) -> Option<&'b [u8]> {
    let mut rest = text.strip_prefix(b"{")?.trim_ascii_start();
    loop {
        let length = string_length(rest)?;
        let found = &rest[1..length - 1];
        rest = rest[length..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if found == name.as_bytes() {
            return Some(rest);
        }
        rest = rest[value_end(rest).ok()?..].strip_prefix(b",")?.trim_ascii_start();
    }
}

/// Returns the position after the value at the start of a text: of the comma or bracket that follows, or the end of the text. The white
/// space after the value belongs to it. `Err`: the text ends in the middle of the value.
fn value_end(text: &[u8]) -> Result<usize, ()> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string_length(&text[at..]).ok_or(())?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Ok(at),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return Ok(at),
            b'\n'
                if depth == 0 && !text[at..].trim_ascii().is_empty() && !matches!(text[at..].trim_ascii_start()[0], b',' | b']' | b'}') =>
            {
                return Ok(at);
            }
            _ => {}
        }
        at += 1;
    }
    if depth == 0 { Ok(at) } else { Err(()) }
}

/// Returns the length of the JSON string at the start of a text, with its quotes.
fn string_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}
