//! Splits a body into its items before anything is parsed, so that a damaged item costs only itself, and the memory of one item is needed
//! at a time.

use super::NodePath;

/// The largest number of items of a body. The rest of the body counts as one unreadable item. The largest body, of 64 MiB, has fewer: a
/// delivery is reported in more than 268 bytes.
pub const ITEMS_MAX: usize = 250_000;
/// The largest size of an item.
pub const ITEM_BYTES_MAX: usize = 1024 * 1024;
/// The deepest nesting of lists and objects in an item.
pub const NESTING_MAX: usize = 32;

/// An item, or the problem with it.
pub(super) type Item<'b> = Result<&'b [u8], String>;

/// The items of a body: it is one JSON value, a list of values, or values in lines. If there is a path, each value has a list of items
/// there.
pub(super) fn items<'b>(body: &'b [u8], list: Option<&NodePath>) -> Vec<Item<'b>> {
    let body = body.trim_ascii();
    let mut items = Items { items: Vec::new(), list };
    if body.is_empty() {
        items.items.push(Err("the body is empty".to_owned()));
    } else if value_end(body).is_ok_and(|end| end == body.len()) {
        items.add_value(body);
    } else {
        items.add_lines(body);
    }
    items.items
}

/// The items found so far.
struct Items<'b, 'p> {
    items: Vec<Item<'b>>,
    list: Option<&'p NodePath>,
}

impl<'b> Items<'b, '_> {
    /// Adds the values of the lines that are not empty.
    fn add_lines(&mut self, body: &'b [u8]) {
        for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            self.add_values(line);
        }
    }

    /// Adds the values of a line. A line has several if a sender joins bodies without a line break.
    fn add_values(&mut self, line: &'b [u8]) {
        let mut rest = line;
        while !rest.is_empty() && !self.is_full() {
            match value_end(rest) {
                // A comma or a bracket that belongs to no value.
                Ok(0) => return self.items.push(check(rest)),
                Ok(end) => {
                    self.add_value(rest[..end].trim_ascii_end());
                    let after = &rest[end..];
                    rest = after.strip_prefix(b",").unwrap_or(after).trim_ascii_start();
                }
                Err(()) => return self.add_value(rest),
            }
        }
    }

    /// Adds a value, or the elements of a list.
    fn add_value(&mut self, value: &'b [u8]) {
        if value.starts_with(b"[") {
            self.add_elements(value, Self::add_items_of);
        } else {
            self.add_items_of(value);
        }
    }

    fn add_items_of(&mut self, value: &'b [u8]) {
        match self.list.map(|path| list_at(value, path).ok_or(path)) {
            None => self.items.push(check(value)),
            Some(Ok(list)) => {
                let after = self.add_elements(list, |items, element| items.items.push(check(element)));
                if after.is_some_and(|after| !self.is_full() && !is_rest_of_value(after, self.list)) {
                    self.items.push(Err("the text after the list is damaged, or contains the list again".to_owned()));
                }
            }
            Some(Err(path)) => self.items.push(Err(format!("the list {} is missing", path.as_str()))),
        }
    }

    /// Adds the elements of the list at the start of a text. Returns the text after the list, or `None` after it has added the problem of a
    /// list that does not end.
    fn add_elements(&mut self, text: &'b [u8], add: fn(&mut Self, &'b [u8])) -> Option<&'b [u8]> {
        let mut rest = text.get(1..).unwrap_or_default().trim_ascii_start();
        if let Some(after) = rest.strip_prefix(b"]") {
            return Some(after);
        }
        while !rest.is_empty() && !self.is_full() {
            let Ok(end) = value_end(rest) else { break };
            add(self, rest[..end].trim_ascii_end());
            match rest.get(end) {
                Some(b',') => rest = rest[end + 1..].trim_ascii_start(),
                Some(b']') => return Some(&rest[end + 1..]),
                Some(b'}') | None => break,
                // A comma is missing.
                Some(_) => rest = &rest[end..],
            }
        }
        if !self.is_full() {
            self.items.push(Err("the list ends in the middle".to_owned()));
        }
        None
    }

    /// Returns `true` if there is no room for another item, after it has added the problem.
    fn is_full(&mut self) -> bool {
        if self.items.len() == ITEMS_MAX {
            self.items.push(Err(format!("the body has more than {ITEMS_MAX} items")));
        }
        self.items.len() > ITEMS_MAX
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

/// Returns the text that begins with the list at a path.
fn list_at<'b>(body: &'b [u8], path: &NodePath) -> Option<&'b [u8]> {
    text_at(body, path.names()).filter(|text| text.starts_with(b"["))
}

/// Returns `true` if a text, which is the end of a value, closes the objects of a path and repeats none of the members of the path.
fn is_rest_of_value(text: &[u8], path: Option<&NodePath>) -> bool {
    let names: Vec<&str> = path.into_iter().flat_map(NodePath::names).collect();
    let mut rest = text.trim_ascii_start();
    for name in names.iter().rev() {
        // A number may be the index of an element. Then the path selects the first one, and the others have no names.
        let is_index = name.bytes().all(|byte| byte.is_ascii_digit());
        while let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
            match member_start(rest) {
                Some((found, value)) if found != name.as_bytes() => rest = value,
                None if is_index => {}
                _ => return false,
            }
            match value_end(rest) {
                Ok(end) if end > 0 => rest = &rest[end..],
                _ => return false,
            }
        }
        match rest {
            [b'}', after @ ..] => rest = after.trim_ascii_start(),
            [b']', after @ ..] if is_index => rest = after.trim_ascii_start(),
            _ => return false,
        }
    }
    rest.is_empty()
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
        let (found, value) = member_start(rest)?;
        if found == name.as_bytes() {
            return Some(value);
        }
        rest = value[value_end(value).ok()?..].strip_prefix(b",")?.trim_ascii_start();
    }
}

/// Returns the name of the member at the start of a text, with its escapes, and the text that begins with its value.
fn member_start(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = string_length(text)?;
    let value = text[length..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    Some((&text[1..length - 1], value))
}

/// Returns the position after the value at the start of a text, with the white space that follows it: of a comma or a bracket, of the next
/// value, or the end of the text. `Err`: the text ends in the middle of the value.
fn value_end(text: &[u8]) -> Result<usize, ()> {
    let (mut depth, mut at, mut is_complete) = (0_usize, 0, false);
    while let Some(byte) = text.get(at) {
        if depth == 0 && (matches!(byte, b',' | b'}' | b']') || (is_complete && !byte.is_ascii_whitespace())) {
            return Ok(at);
        }
        match byte {
            b'"' => at += string_length(&text[at..]).ok_or(())?,
            _ => at += 1,
        }
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        is_complete |= depth == 0 && matches!(byte, b'"' | b'}' | b']');
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
