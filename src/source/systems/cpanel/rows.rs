//! Reads the rows of a response one by one, so that only an unreadable row is lost.
//!
//! # Invalid JSON
//!
//! A delivery log quotes texts from the internet, and the server may not escape them: a control character, half of a surrogate pair, a
//! number that is too large for a double. A JSON parser rejects the whole document then. In that case the rows are separated by
//! their brackets and parsed one by one.

use super::object::Object;
use super::response::{BoundedRows, Metadata, Paging, read_truncated};
use crate::source::ReadError;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The rows of a page.
#[derive(Debug)]
pub struct ReadRows<R> {
    /// The rows that could be read.
    pub rows: Vec<R>,
    /// A hash of each unreadable row. Hashes are stable only within this process.
    pub unreadable: Vec<u64>,
    /// The position of the page in the list.
    pub paging: Paging,
}

/// Reads `data.records` of a response that may omit records.
///
/// # Errors
/// The server's refusal, or the reason why nothing can be read. More than `MAX` rows are an error.
pub fn read_rows<R: DeserializeOwned, const MAX: usize>(body: &str) -> Result<ReadRows<R>, ReadError> {
    #[derive(serde::Deserialize)]
    #[serde(bound = "R: DeserializeOwned")]
    struct Data<R, const MAX: usize> {
        records: BoundedRows<R, MAX>,
    }
    let error = match read_truncated::<Data<R, MAX>>(body) {
        Ok((data, paging)) if data.records.unreadable == 0 => {
            return Ok(ReadRows { rows: data.records.rows, unreadable: Vec::new(), paging });
        }
        // The unreadable rows are distinguished by their texts.
        Ok(_) => ReadError::Malformed("a row has none of the expected members".to_owned()),
        Err(error @ ReadError::Malformed(_)) => error,
        Err(error) => return Err(error),
    };
    let Some(parts) = split(body).filter(|parts| parts.rows.len() <= MAX) else { return Err(error) };
    let paging = serde_json::from_str::<Object<Metadata>>(parts.metadata).map_err(|_| error)?.value.accepted()?.paging()?;
    let mut read = ReadRows { rows: Vec::with_capacity(parts.rows.len()), unreadable: Vec::new(), paging };
    let mut seen = HashMap::new();
    for text in parts.rows {
        match serde_json::from_str::<Object<R>>(text).ok().filter(|row| row.has_known_member) {
            Some(row) => read.rows.push(row.value),
            None => read.unreadable.push(numbered_hash(&mut seen, &text)),
        }
    }
    Ok(read)
}

/// Returns the hash of a row. Equal rows are numbered, so that each has its own hash.
pub fn numbered_hash<T: Hash>(seen: &mut HashMap<u64, u32>, row: &T) -> u64 {
    let hash = |value: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        value(&mut hasher);
        hasher.finish()
    };
    let plain = hash(&|hasher| row.hash(hasher));
    let number = seen.entry(plain).and_modify(|number| *number += 1).or_insert(0);
    hash(&|hasher| (plain, *number).hash(hasher))
}

/// The parts of a response, as text.
struct ResponseParts<'a> {
    metadata: &'a str,
    rows: Vec<&'a str>,
}

/// Splits a response into its parts. Returns `None` if its brackets and quotes do not match.
fn split(body: &str) -> Option<ResponseParts<'_>> {
    let (mut metadata, mut records) = (None, None);
    for (key, value) in members(body.trim_ascii())? {
        match key {
            "metadata" if metadata.is_none() => metadata = Some(value),
            "data" if records.is_none() => {
                records = members(value)?.into_iter().find(|(key, _)| *key == "records").map(|(_, value)| value);
            }
            "metadata" | "data" => return None,
            _ => {}
        }
    }
    Some(ResponseParts { metadata: metadata?, rows: items(records?, b'[', b']')? })
}

/// Returns the members of an object. Keys are not unescaped.
fn members(object: &str) -> Option<Vec<(&str, &str)>> {
    items(object, b'{', b'}')?.into_iter().map(member).collect()
}

fn member(text: &str) -> Option<(&str, &str)> {
    let end = string_end(text.as_bytes(), 0)?;
    let key = text.get(1..end - 1)?;
    let value = text.get(end..)?.trim_ascii_start().strip_prefix(':')?;
    Some((key, value.trim_ascii()))
}

/// Returns the texts between the commas of a list or an object.
fn items(text: &str, open: u8, close: u8) -> Option<Vec<&str>> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&open) || bytes.len() < 2 || bytes.last() != Some(&close) {
        return None;
    }
    let end = bytes.len() - 1;
    let (mut items, mut depth, mut first, mut at) = (Vec::new(), 0_usize, 1, 1);
    while at < end {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                items.push(text.get(first..at)?.trim_ascii());
                first = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if depth != 0 || at != end {
        return None;
    }
    let last = text.get(first..end)?.trim_ascii();
    if !(items.is_empty() && last.is_empty()) {
        items.push(last);
    }
    Some(items)
}

/// Returns the position after the closing quote of the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::source::systems::cpanel::lenient::{LenientNumber, LenientText};

    #[derive(Debug, serde::Deserialize)]
    struct Row {
        #[serde(default)]
        id: LenientNumber,
        #[serde(default)]
        #[allow(dead_code, reason = "reading it can fail")]
        text: LenientText,
    }

    fn body(rows: &str) -> String {
        format!(
            r#"{{"data":{{"records":[{rows}]}},"metadata":{{"result":1,"overflowed":1,"chunk":{{"size":2,"start":1,"chunks":2,"current":1}}}}}}"#
        )
    }

    #[track_caller]
    fn reads(rows: &str) -> (Vec<u64>, usize) {
        let read = read_rows::<Row, 9>(&body(rows)).unwrap_or_else(|error| panic!("{rows}: {error}"));
        assert_eq!((read.paging.next, read.paging.overflowed), (Some(3), true), "{rows}");
        (read.rows.iter().map(|row| row.id.to_u64().unwrap_or(0)).collect(), read.unreadable.len())
    }

    #[test]
    fn only_an_unreadable_row_is_lost() {
        for bad in [
            "null",
            "5",
            "\"text\"",
            "true",
            "{\"id\":3,\"text\":\"\\ud800\"}",
            "{\"id\":3,\"text\":\"\\udc00 x\"}",
            "{\"id\":3,\"text\":\"a\u{1}b\"}",
            "{\"id\":3,\"text\":\"a\nb,]}{[\"}",
            "{\"id\":3,\"text\":\"\\x\"}",
            "{\"id\":1e999}",
            "{\"id\":-1e999,\"text\":\"\\\"}]\"}",
            "{\"id\":NaN}",
            "{\"id\":01}",
            "{\"id\"}",
            "{\"id\":3,\"id\":4}",
            "",
        ] {
            assert_eq!(reads(&format!("{{\"id\":1}} , {bad},{{\"id\":2,\"text\":\"}}]\\\"\"}}")), (vec![1, 2], 1), "{bad}");
            assert_eq!(reads(&format!("{bad},{bad},{{\"id\":2}}")), (vec![2], 2), "{bad}");
        }
        assert_eq!(reads(""), (vec![], 0));
    }

    #[test]
    fn equal_rows_have_different_hashes_that_are_stable() {
        let unreadable = |rows: &str| read_rows::<Row, 9>(&body(rows)).unwrap().unreadable;
        let twice = unreadable("null,null,7");
        assert!(twice[0] != twice[1] && twice[1] != twice[2]);
        assert_eq!(unreadable("null,{\"id\":1}"), twice[..1]);
    }

    #[test]
    fn a_refusal_or_another_document_is_an_error() {
        let bad = "{\"id\":1e999}";
        for text in [
            body(bad).replace("\"result\":1", "\"result\":0"),
            body(bad)[..60].to_owned(),
            body(bad).replace("]}", "]"),
            body(bad).replace("metadata", "data"),
            body(bad).replace("\"metadata\":", "\"other\":"),
            body(bad).replace("records", "rows"),
            body(bad) + "x",
            body(&format!("{bad},").repeat(10)),
            "{\"data\":\"".to_owned(),
            "\\".to_owned(),
        ] {
            assert!(read_rows::<Row, 9>(&text).is_err(), "{text}");
        }
        let refused = read_rows::<Row, 9>(&body(bad).replace("\"result\":1", "\"result\":0,\"reason\":\"No\""));
        assert_eq!(refused.unwrap_err(), ReadError::Refused("No".to_owned()));
    }
}
