//! The text of a response body.

use super::TextFormat;
use crate::format::ReadError;
use crate::model::{cut, without_byte_order_mark};

/// The length of the beginning of a document that is searched for the declaration of a web page.
const MARKUP_SEARCHED_BYTES_MAX: usize = 1024;

/// The body of a response, and the format that its content type declares.
#[derive(Clone, Debug)]
pub struct ResponseBody {
    /// The body.
    pub bytes: Vec<u8>,
    /// `None` if the content type is not known, or declares none of the text formats of metrics.
    pub declared: Option<TextFormat>,
}

impl From<Vec<u8>> for ResponseBody {
    /// A body whose content type is not known.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, declared: None }
    }
}

impl From<&[u8]> for ResponseBody {
    /// A body whose content type is not known.
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

/// Returns the text of a body without a byte order mark, and `true` if bytes that are not UTF-8 were replaced.
///
/// # Errors
/// [`ReadError::Html`] if the body is an HTML page, and [`ReadError::Xml`] if it is another document in XML.
pub(super) fn decode(body: Vec<u8>) -> Result<(String, bool), ReadError> {
    let (mut text, is_repaired) = match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(error) => (replace_invalid(error.into_bytes())?, true),
    };
    let mark = text.len() - without_byte_order_mark(&text).len();
    text.drain(..mark);
    check_no_markup(text.trim_ascii_start())?;
    Ok((text, is_repaired))
}

/// Checks that a text is not a web page or another document in XML.
fn check_no_markup(text: &str) -> Result<(), ReadError> {
    if !text.starts_with('<') {
        return Ok(());
    }
    let beginning = cut(text, MARKUP_SEARCHED_BYTES_MAX).to_ascii_lowercase();
    let is_xml = beginning.starts_with("<?xml") && !beginning.contains("<html") && !beginning.contains("<!doctype html");
    Err(if is_xml { ReadError::Xml } else { ReadError::Html })
}

/// Replaces each byte that is not UTF-8 by `?`, in place: U+FFFD would take three bytes, and a hostile body three times its memory.
fn replace_invalid(mut body: Vec<u8>) -> Result<String, ReadError> {
    let mut checked = 0;
    while let Err(error) = std::str::from_utf8(&body[checked..]) {
        let invalid = checked + error.valid_up_to();
        checked = error.error_len().map_or(body.len(), |len| invalid + len);
        body[invalid..checked].fill(b'?');
    }
    String::from_utf8(body).map_err(|error| ReadError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::decode;
    use crate::format::ReadError;

    #[test]
    fn a_byte_order_mark_is_removed() {
        for (body, expected) in [("\u{feff}{\"a\":1}", "{\"a\":1}"), ("\u{feff}", ""), ("a\u{feff}", "a\u{feff}")] {
            assert_eq!(decode(body.into()), Ok((expected.to_owned(), false)), "{body:?}");
        }
        assert_eq!(decode(b"\xef\xbb\xbfx \xff".to_vec()), Ok(("x ?".to_owned(), true)));
    }

    #[test]
    fn web_pages_and_other_documents_are_distinguished() {
        for (body, expected) in [
            ("<html>", ReadError::Html),
            ("\u{feff}\n <!DOCTYPE HTML>", ReadError::Html),
            ("<?xml version=\"1.0\"?><!DOCTYPE html>", ReadError::Html),
            ("<?xml version=\"1.0\"?>\n<HTML xmlns=\"x\">", ReadError::Html),
            ("<h1>Not found</h1>", ReadError::Html),
            ("<?xml version=\"1.0\"?><status><a>1</a></status>", ReadError::Xml),
            ("\u{feff}<?XML?><a/>", ReadError::Xml),
        ] {
            assert_eq!(decode(body.into()), Err(expected), "{body:?}");
        }
    }

    #[test]
    fn invalid_utf_8_is_replaced_in_place() {
        for (body, expected) in [
            (&b"x{q=\"\xff\xfe\"} 1\n"[..], "x{q=\"??\"} 1\n"),
            (b"\xffx\xc3", "?x?"),
            (b"\xe2\x82\"", "??\""),
            (b"\xe2\x82\xac\xf0\x9f\x93", "\u{20ac}???"),
        ] {
            assert_eq!(decode(body.to_vec()), Ok((expected.to_owned(), true)), "{body:?}");
        }
        assert_eq!(decode("\u{20ac}".into()), Ok(("\u{20ac}".to_owned(), false)));
    }
}
