//! What every answer of WHM API 1 has: a result, which may say no, and numbers in any dress.

use crate::format::{number, quote};
use crate::source::ReadError;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;
use std::marker::PhantomData;

/// `data` of an answer that says yes, and the first record of the next page where there is one.
///
/// # Errors
/// What the server says, or why it cannot be read.
pub fn read<D: DeserializeOwned>(body: &str) -> Result<(D, Option<u64>), ReadError> {
    let metadata = metadata(body)?;
    let next = metadata.next_page(metadata.overflowed())?;
    Ok((data(body)?, next))
}

/// What an answer says of its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paging {
    /// The first record of the next page.
    pub next: Option<u64>,
    /// How many pages there are.
    pub pages: Option<u64>,
    /// Records were left out.
    pub overflowed: bool,
    /// The number of the first row of this page, counted from 1.
    pub start: Option<u64>,
    /// Rows of all pages.
    pub rows: Option<u64>,
}

/// The same for an answer that may be cut short.
///
/// # Errors
/// As [`read`], but for that.
pub fn read_cut<D: DeserializeOwned>(body: &str) -> Result<(D, Paging), ReadError> {
    let paging = metadata(body)?.paging()?;
    Ok((data(body)?, paging))
}

fn data<D: DeserializeOwned>(body: &str) -> Result<D, ReadError> {
    let answer: Result<Response<D>, _> = serde_json::from_str(body);
    answer.map(|answer| answer.data).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> ReadError {
    ReadError::Malformed(quote(&error.to_string()))
}

/// The metadata of an answer that says yes.
fn metadata(body: &str) -> Result<Metadata, ReadError> {
    if body.trim_ascii().is_empty() {
        return Err(ReadError::Empty);
    }
    let envelope: Envelope = serde_json::from_str(body).map_err(malformed)?;
    if envelope.cpanelresult.is_some() {
        return Err(ReadError::Denied("an answer of API 0 in place of API 1".to_owned()));
    }
    envelope.metadata.ok_or_else(|| ReadError::Malformed("it has no metadata, so it is no answer of WHM API 1".to_owned()))?.accepted()
}

/// `data` of an answer to a question that has no pages.
///
/// # Errors
/// As [`read`], and when there is more to fetch all the same.
pub fn whole<D: DeserializeOwned>(body: &str) -> Result<D, ReadError> {
    match read(body)? {
        (data, None) => Ok(data),
        (_, Some(_)) => Err(cut_short("in chunks that were not asked for")),
    }
}

/// The same of an answer that quotes what strangers wrote, where a raw control character makes the document invalid: it counts as a
/// space. Returns whether there was one.
///
/// # Errors
/// As [`whole`].
pub fn whole_with_raw_text<D: DeserializeOwned>(body: &str) -> Result<(D, bool), ReadError> {
    match whole(body) {
        Err(ReadError::Malformed(_)) if body.contains(is_control) => Ok((whole(&body.replace(is_control, " "))?, true)),
        result => Ok((result?, false)),
    }
}

const fn is_control(c: char) -> bool {
    c < ' '
}

fn cut_short(what: &str) -> ReadError {
    ReadError::Malformed(format!("the answer is cut short ({what})"))
}

/// The reason is prose, with an id that varies: only its kind can be told.
fn refusal(reason: &str) -> ReadError {
    let lower = reason.to_ascii_lowercase();
    let denied = ["permission", "denied", "access"].iter().any(|word| lower.contains(word));
    if denied { ReadError::Denied(quote(reason)) } else { ReadError::Api(quote(reason)) }
}

#[derive(Deserialize)]
struct Envelope {
    metadata: Option<Metadata>,
    cpanelresult: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Response<D> {
    data: D,
}

/// `metadata` of an answer.
#[derive(Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    result: LenientNumber,
    #[serde(default)]
    reason: LenientText,
    #[serde(default)]
    overflowed: LenientNumber,
    chunk: Option<Chunk>,
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
    /// The same, if the answer is not a refusal.
    ///
    /// # Errors
    /// What the server reports.
    pub(super) fn accepted(self) -> Result<Self, ReadError> {
        match self.result {
            LenientNumber::Is(n) if n != 0.0 => Ok(self),
            LenientNumber::Is(_) => Err(refusal(&self.reason.0)),
            LenientNumber::Absent | LenientNumber::Odd => Err(ReadError::Malformed("metadata.result is neither 0 nor 1".to_owned())),
        }
    }

    /// What it reports of its pages, where the answer may be cut short.
    ///
    /// # Errors
    /// When there is a next page, and not where.
    pub(super) fn paging(&self) -> Result<Paging, ReadError> {
        let chunk = |of: fn(&Chunk) -> LenientNumber| self.chunk.as_ref().and_then(|chunk| of(chunk).whole());
        let (pages, start, rows) = (chunk(|c| c.chunks), chunk(|c| c.start), chunk(|c| c.records));
        Ok(Paging { next: self.next_page(false)?, pages, overflowed: self.overflowed(), start, rows })
    }

    fn overflowed(&self) -> bool {
        !matches!(self.overflowed, LenientNumber::Absent | LenientNumber::Is(0.0))
    }

    fn next_page(&self, overflowed: bool) -> Result<Option<u64>, ReadError> {
        let Some(Chunk { size, start, chunks: LenientNumber::Is(chunks), current: LenientNumber::Is(current), .. }) = &self.chunk else {
            return if overflowed { Err(cut_short("overflowed, and no chunk to follow")) } else { Ok(None) };
        };
        if current >= chunks {
            return Ok(None);
        }
        match (start.whole(), size.whole()) {
            (Some(start), Some(size @ 1..)) => Ok(Some(start.saturating_add(size))),
            _ => Err(cut_short("a chunk without its start and size")),
        }
    }
}

/// Rows of an answer. One of two bytes takes hundreds when it is read: beyond `MAX` it is no answer.
#[derive(Debug)]
pub struct Rows<R, const MAX: usize>(pub Vec<R>);

impl<'de, R: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Rows<R, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Bounded(PhantomData))
    }
}

struct Bounded<R, const MAX: usize>(PhantomData<R>);

impl<'de, R: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<R, MAX> {
    type Value = Rows<R, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element()? {
            if rows.len() == MAX {
                return Err(de::Error::custom(format_args!("it has more than {MAX} rows")));
            }
            rows.push(row);
        }
        Ok(Rows(rows))
    }
}

/// A number: an integer, a decimal, either of them in quotes, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LenientNumber {
    /// Not there, `null`, or an empty string.
    #[default]
    Absent,
    /// There.
    Is(f64),
    /// Something else in its place.
    Odd,
}

impl LenientNumber {
    pub fn whole(self) -> Option<u64> {
        match self {
            Self::Is(n) if (0.0..9e15).contains(&n) => Some(n as u64),
            _ => None,
        }
    }

    pub fn is_true(self) -> bool {
        matches!(self, Self::Is(n) if n != 0.0)
    }
}

impl<'de> Deserialize<'de> for LenientNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient).map(|scalar| match scalar {
            Scalar::Nothing => Self::Absent,
            Scalar::Number(n) => Self::Is(n),
            Scalar::Text(text) if text.trim_ascii().is_empty() => Self::Absent,
            Scalar::Text(text) => number::parse(text.trim_ascii().as_bytes()).filter(|n| n.is_finite()).map_or(Self::Odd, Self::Is),
            Scalar::Odd => Self::Odd,
        })
    }
}

/// A word: a string, a number in its place, or nothing, which is the empty word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LenientText(pub String);

impl<'de> Deserialize<'de> for LenientText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient).map(|scalar| match scalar {
            Scalar::Nothing | Scalar::Odd => Self::default(),
            Scalar::Number(n) => Self(n.to_string()),
            Scalar::Text(text) => Self(text),
        })
    }
}

enum Scalar {
    Nothing,
    Number(f64),
    Text(String),
    Odd,
}

struct Lenient;

impl<'de> Visitor<'de> for Lenient {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a word")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Nothing)
    }

    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Scalar, E> {
        Ok(Scalar::Number(f64::from(b)))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(n as f64))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(n as f64))
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(n))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Odd)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Odd)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Anything {}

    #[track_caller]
    fn next_page(metadata: &str) -> Result<Option<u64>, ReadError> {
        read::<Anything>(&format!("{{\"data\":{{}},\"metadata\":{{{metadata}}}}}")).map(|(_, next)| next)
    }

    #[test]
    fn rows_beyond_the_bound_are_no_answer() {
        let rows = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
        let read = |n| serde_json::from_str::<Rows<Anything, 3>>(&rows(n)).map(|rows| rows.0.len()).map_err(|e| e.to_string());
        assert_eq!(read(0), Ok(0));
        assert_eq!(read(3), Ok(3));
        assert_eq!(read(4), Err("it has more than 3 rows at line 1 column 13".to_owned()));
    }

    #[test]
    fn numbers_in_any_dress() {
        for (json, expected) in [
            ("null", LenientNumber::Absent),
            ("\"\"", LenientNumber::Absent),
            ("\" \"", LenientNumber::Absent),
            ("\"150/150\"", LenientNumber::Odd),
            ("\"NaN\"", LenientNumber::Odd),
            ("[1,[2]]", LenientNumber::Odd),
            ("{\"a\":{}}", LenientNumber::Odd),
            ("true", LenientNumber::Is(1.0)),
            ("0", LenientNumber::Is(0.0)),
            ("-3", LenientNumber::Is(-3.0)),
            ("\"12\"", LenientNumber::Is(12.0)),
            ("\"0.50\"", LenientNumber::Is(0.5)),
            ("1.5", LenientNumber::Is(1.5)),
        ] {
            assert_eq!(serde_json::from_str::<LenientNumber>(json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn an_answer_may_say_no() {
        let api = |s: &str| Err(ReadError::Api(s.to_owned()));
        let denied = |s: &str| Err(ReadError::Denied(s.to_owned()));
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
            assert!(matches!(&error, ReadError::Malformed(s) if s.contains("cut short")), "{rest}: {error}");
        }
    }

    #[test]
    fn without_pages_there_is_no_more() {
        let body = |current: u32| {
            format!(
                "{{\"data\":{{}},\"metadata\":{{\"result\":1,\"chunk\":{{\"size\":9,\"start\":1,\"chunks\":2,\"current\":{current}}}}}}}"
            )
        };
        assert!(whole::<Anything>(&body(2)).is_ok());
        assert!(whole::<Anything>(&body(1)).is_err());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(read::<Anything>(" \n").unwrap_err(), ReadError::Empty);
        assert!(matches!(read::<Anything>("{\"cpanelresult\":{\"error\":\"Access denied\"}}"), Err(ReadError::Denied(_))));
        for body in ["{}", "[]", "{\"metadata\":null}", "{\"metadata\":{\"result\":1}}", "{\"data\":{},\"metadata\":{\"result\":1}", "text"]
        {
            assert!(matches!(read::<Anything>(body), Err(ReadError::Malformed(_))), "{body}");
        }
    }
}
