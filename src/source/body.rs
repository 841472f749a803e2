//! The text of a response body.

use super::TextFormat;
use crate::format::ReadError;

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

/// Returns the text of a body, and `true` if bytes that are not UTF-8 were replaced.
///
/// # Errors
/// [`ReadError::Html`] if the body is an HTML page.
pub(super) fn decode(body: Vec<u8>) -> Result<(String, bool), ReadError> {
    let (text, is_repaired) = match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(error) => (replace_invalid(error.into_bytes())?, true),
    };
    if text.trim_ascii_start().starts_with('<') { Err(ReadError::Html) } else { Ok((text, is_repaired)) }
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
