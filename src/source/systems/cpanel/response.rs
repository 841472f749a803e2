//! The envelope of every response of WHM API 1: a result, which may be a refusal, and the position in a list of several pages.

use super::lenient::{LenientNumber, LenientText};
use super::object::Object;
use crate::format::quote;
use crate::source::ReadError;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;
use std::marker::PhantomData;

/// Reads `data`, and the number of the first record of the next page if there is one.
///
/// # Errors
/// The server's refusal, or the reason why the response cannot be read.
pub fn read<D: DeserializeOwned>(body: &str) -> Result<(D, Option<u64>), ReadError> {
    let metadata = metadata(body)?;
    let next = metadata.next_page(metadata.overflowed())?;
    Ok((data(body)?, next))
}

/// The position of a page in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paging {
    /// The number of the first record of the next page. `None` if this is the last page.
    pub next: Option<u64>,
    /// The number of pages.
    pub pages: Option<u64>,
    /// `true` if the server omitted records.
    pub overflowed: bool,
    /// The number of the first row of this page, counted from 1.
    pub start: Option<u64>,
    /// The number of rows of all pages.
    pub rows: Option<u64>,
}

/// Reads `data` of a response that may omit records.
///
/// # Errors
/// The errors of [`read`], but not for omitted records.
pub fn read_truncated<D: DeserializeOwned>(body: &str) -> Result<(D, Paging), ReadError> {
    let paging = metadata(body)?.paging()?;
    Ok((data(body)?, paging))
}

fn data<D: DeserializeOwned>(body: &str) -> Result<D, ReadError> {
    let response: Result<Object<Response<D>>, _> = serde_json::from_str(body);
    response.map(|response| response.value.data.value).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> ReadError {
    ReadError::Malformed(quote(&error.to_string()))
}

/// Reads the metadata of a response that is not a refusal.
fn metadata(body: &str) -> Result<Metadata, ReadError> {
    if body.trim_ascii().is_empty() {
        return Err(ReadError::Empty);
    }
    let envelope = serde_json::from_str::<Object<Envelope>>(body).map_err(malformed)?.value;
    if envelope.cpanelresult.is_some() {
        return Err(ReadError::AccessDenied("a response of API 0 instead of API 1".to_owned()));
    }
    envelope
        .metadata
        .ok_or_else(|| ReadError::Malformed("it has no metadata, so it is not a response of WHM API 1".to_owned()))?
        .value
        .accepted()
}

/// Reads `data` of a response that has only one page.
///
/// # Errors
/// The errors of [`read`], and if there are more pages.
pub fn read_complete<D: DeserializeOwned>(body: &str) -> Result<D, ReadError> {
    match read(body)? {
        (data, None) => Ok(data),
        (_, Some(_)) => Err(truncated("in chunks, which were not requested")),
    }
}

/// Reads `data` of a response with one page that contains texts from the internet. WHM does not escape control characters in them, which
/// makes the document invalid JSON: they are replaced by spaces. Returns `true` if there were any.
///
/// # Errors
/// The errors of [`read_complete`].
pub fn read_complete_unescaped<D: DeserializeOwned>(body: &str) -> Result<(D, bool), ReadError> {
    match read_complete(body) {
        Err(ReadError::Malformed(_)) if body.contains(is_control) => Ok((read_complete(&body.replace(is_control, " "))?, true)),
        result => Ok((result?, false)),
    }
}

const fn is_control(c: char) -> bool {
    c < ' '
}

fn truncated(reason: &str) -> ReadError {
    ReadError::Malformed(format!("the response is incomplete ({reason})"))
}

/// Classifies a refusal by keywords: its reason is prose with a varying id.
fn refusal(reason: &str) -> ReadError {
    let lower = reason.to_ascii_lowercase();
    let denied = ["permission", "denied", "access"].iter().any(|keyword| lower.contains(keyword));
    if denied { ReadError::AccessDenied(quote(reason)) } else { ReadError::Refused(quote(reason)) }
}

#[derive(Deserialize)]
struct Envelope {
    metadata: Option<Object<Metadata>>,
    cpanelresult: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Response<D> {
    data: Object<D>,
}

/// `metadata` of a response.
#[derive(Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    result: LenientNumber,
    #[serde(default)]
    reason: LenientText,
    #[serde(default)]
    overflowed: LenientNumber,
    chunk: Option<Object<Chunk>>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    size: LenientNumber,
    #[serde(default)]
    start: LenientNumber,
    #[serde(default)]
    chunks: LenientNumber,
    #[serde(default)]
    current: LenientNumber,
    #[serde(default)]
    records: LenientNumber,
}

impl Metadata {
    /// Returns the metadata if the response is not a refusal.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn accepted(self) -> Result<Self, ReadError> {
        match self.result {
            LenientNumber::Number(n) if n != 0.0 => Ok(self),
            LenientNumber::Number(_) => Err(refusal(&self.reason.0)),
            LenientNumber::Absent | LenientNumber::Invalid => Err(ReadError::Malformed("metadata.result is neither 0 nor 1".to_owned())),
        }
    }

    /// Returns the position in the list, for a response that may omit records.
    ///
    /// # Errors
    /// If there is a next page but its position is missing.
    pub(super) fn paging(&self) -> Result<Paging, ReadError> {
        let chunk = |field: fn(&Chunk) -> LenientNumber| self.chunk.as_ref().and_then(|chunk| field(&chunk.value).to_u64());
        let (pages, start, rows) = (chunk(|c| c.chunks), chunk(|c| c.start), chunk(|c| c.records));
        Ok(Paging { next: self.next_page(false)?, pages, overflowed: self.overflowed(), start, rows })
    }

    fn overflowed(&self) -> bool {
        !matches!(self.overflowed, LenientNumber::Absent | LenientNumber::Number(0.0))
    }

    fn next_page(&self, overflowed: bool) -> Result<Option<u64>, ReadError> {
        let Some(Chunk { size, start, chunks: LenientNumber::Number(chunks), current: LenientNumber::Number(current), .. }) =
            self.chunk.as_ref().map(|chunk| &chunk.value)
        else {
            return if overflowed { Err(truncated("overflowed, and without a next chunk")) } else { Ok(None) };
        };
        if current >= chunks {
            return Ok(None);
        }
        match (start.to_u64(), size.to_u64()) {
            (Some(start), Some(size @ 1..)) => Ok(Some(start.saturating_add(size))),
            _ => Err(truncated("a chunk without start and size")),
        }
    }
}

/// A list of at most `MAX` rows. A row of two bytes takes hundreds of bytes of memory, so a longer list is rejected; so is one without any
/// row of the expected kind, unless it is empty.
#[derive(Debug)]
pub struct BoundedRows<R, const MAX: usize> {
    /// The rows with at least one of the expected members.
    pub rows: Vec<R>,
    /// The number of other rows.
    pub unreadable: usize,
}

impl<'de, R: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedRows<R, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor(PhantomData))
    }
}

struct RowsVisitor<R, const MAX: usize>(PhantomData<R>);

impl<'de, R: Deserialize<'de>, const MAX: usize> Visitor<'de> for RowsVisitor<R, MAX> {
    type Value = BoundedRows<R, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut read = BoundedRows { rows: Vec::new(), unreadable: 0 };
        while let Some(Object { value, has_known_member }) = seq.next_element()? {
            if read.rows.len() + read.unreadable == MAX {
                return Err(de::Error::custom(format_args!("it has more than {MAX} rows")));
            }
            if has_known_member {
                read.rows.push(value);
            } else {
                read.unreadable += 1;
            }
        }
        if read.rows.is_empty() && read.unreadable > 0 {
            return Err(de::Error::custom("none of its rows has an expected member"));
        }
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Anything {}

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "the member is only read")]
    struct Row {
        #[serde(default)]
        n: LenientNumber,
    }

    #[track_caller]
    fn next_page(metadata: &str) -> Result<Option<u64>, ReadError> {
        read::<Anything>(&format!("{{\"data\":{{}},\"metadata\":{{{metadata}}}}}")).map(|(_, next)| next)
    }

    #[test]
    fn too_many_rows_are_rejected() {
        let rows = |n: usize| format!("[{}]", vec!["{\"n\":1}"; n].join(","));
        let read = |n| serde_json::from_str::<BoundedRows<Row, 3>>(&rows(n)).map(|read| read.rows.len()).map_err(|e| e.to_string());
        assert_eq!(read(0), Ok(0));
        assert_eq!(read(3), Ok(3));
        assert_eq!(read(4), Err("it has more than 3 rows at line 1 column 33".to_owned()));
    }

    #[test]
    fn refusals_are_errors() {
        let api = |s: &str| Err(ReadError::Refused(s.to_owned()));
        let denied = |s: &str| Err(ReadError::AccessDenied(s.to_owned()));
        for (metadata, expected) in [
            (r#""result":0,"reason":"Unknown app (“emailtrack”) requested.""#, api("Unknown app (“emailtrack”) requested.")),
            (r#""result":"0","reason":"OK""#, api("OK")),
            (r#""result":0,"reason":null"#, api("")),
            (r#""result":0,"reason":"Access denied""#, denied("Access denied")),
            (r#""result":0,"reason":"You do not have PERMISSION to do this.""#, denied("You do not have PERMISSION to do this.")),
            (r#""result":1,"reason":"anything","command":"another""#, Ok(None)),
            (r#""result":"1""#, Ok(None)),
        ] {
            assert_eq!(next_page(metadata), expected, "{metadata}");
        }
        for metadata in ["", r#""result":null"#, r#""result":"yes""#, r#""result":[]"#] {
            assert!(matches!(next_page(metadata), Err(ReadError::Malformed(_))), "{metadata}");
        }
    }

    #[test]
    fn pages_are_followed() {
        for (rest, expected) in [
            (r#""chunk":{"size":5000,"start":1,"chunks":3,"current":1}"#, Some(5001)),
            (r#""chunk":{"size":"5000","start":"5001","chunks":"3","current":"2"},"overflowed":1"#, Some(10001)),
            (r#""chunk":{"size":5000,"start":10001,"chunks":3,"current":3},"overflowed":1"#, None),
            (r#""chunk":{"size":5000,"start":1,"chunks":0,"current":0}"#, None),
            (r#""chunk":null,"overflowed":0"#, None),
        ] {
            assert_eq!(next_page(&format!("\"result\":1,{rest}")), Ok(expected), "{rest}");
        }
        for rest in [
            r#""overflowed":1"#,
            r#""overflowed":"1","chunk":null"#,
            r#""overflowed":true,"chunk":{"size":5000}"#,
            r#""chunk":{"chunks":3,"current":1}"#,
            r#""chunk":{"size":0,"start":1,"chunks":3,"current":1}"#,
        ] {
            let error = next_page(&format!("\"result\":1,{rest}")).unwrap_err();
            assert!(matches!(&error, ReadError::Malformed(s) if s.contains("incomplete")), "{rest}: {error}");
        }
    }

    #[test]
    fn a_complete_response_has_no_further_pages() {
        let body = |current: u32| {
            format!(
                "{{\"data\":{{}},\"metadata\":{{\"result\":1,\"chunk\":{{\"size\":9,\"start\":1,\"chunks\":2,\"current\":{current}}}}}}}"
            )
        };
        assert!(read_complete::<Anything>(&body(2)).is_ok());
        assert!(read_complete::<Anything>(&body(1)).is_err());
    }

    #[test]
    fn other_documents_are_errors() {
        assert_eq!(read::<Anything>(" \n").unwrap_err(), ReadError::Empty);
        assert!(matches!(read::<Anything>("{\"cpanelresult\":{\"error\":\"Access denied\"}}"), Err(ReadError::AccessDenied(_))));
        for body in ["{}", "[]", "{\"metadata\":null}", "{\"metadata\":{\"result\":1}}", "{\"data\":{},\"metadata\":{\"result\":1}", "text"]
        {
            assert!(matches!(read::<Anything>(body), Err(ReadError::Malformed(_))), "{body}");
        }
    }
}
