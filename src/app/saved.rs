//! Saved responses: bodies, gzipped bodies, and what `curl -i` wrote.

use crate::model::Families;
use crate::source::{Part, ReadError, Source, check_complete};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A saved response of one part.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) part: &'static Part,
    path: String,
}

/// Why a saved response gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SavedError {
    #[error("{system} has no part `{part}`; it has {known}")]
    Part { system: &'static str, part: String, known: String },
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("{path}: has more than {max} bytes")]
    TooLarge { path: String, max: usize },
    #[error("{path}: the server responded with {status}: {hint}")]
    Status { path: String, status: String, hint: &'static str },
    #[error("{path}: the server denied access ({said}): {hint}")]
    Denied { path: String, said: String, hint: &'static str },
    #[error("{path}: {error}")]
    Read { path: String, error: ReadError },
}

impl Saved {
    /// `[PART=]PATH`; without a part it is the required one.
    pub(super) fn new(source: &'static Source, argument: &str) -> Result<Self, SavedError> {
        let (part, path) = argument.split_once('=').filter(|(part, _)| !part.contains('/')).unwrap_or((source.required().name, argument));
        let known = || source.parts.iter().map(|part| part.name).collect::<Vec<_>>().join(", ");
        let unknown = || SavedError::Part { system: source.name, part: part.to_owned(), known: known() };
        Ok(Self { part: source.part(part).ok_or_else(unknown)?, path: path.to_owned() })
    }

    /// Its series, and how large it was.
    pub(super) fn read(&self) -> Result<(Families, usize), SavedError> {
        let path = || self.path.clone();
        let file = |error| SavedError::File { path: path(), error };
        let max = self.part.body_bytes_max;
        let saved = limited(File::open(&self.path).map_err(file)?, max).map_err(file)?;
        let Response { status, content_type, body } = response(&saved);
        if let Some(status) = status.filter(|status| !status.starts_with("200")) {
            let hint = match status.get(..3) {
                Some("401" | "403") => self.part.unauthorized_hint,
                Some("404") => self.part.not_found_hint,
                Some("429") => "the server's rate limit was reached",
                _ => "this is not an answer with metrics",
            };
            return Err(SavedError::Status { path: path(), status, hint });
        }
        let body = match body.starts_with(&GZIP_MAGIC) {
            true => limited(MultiGzDecoder::new(body), max).map_err(file)?,
            false => body.to_vec(),
        };
        if saved.len() > max || body.len() > max {
            return Err(SavedError::TooLarge { path: path(), max });
        }
        let families = check_complete(&content_type, &body).and_then(|()| self.part.read_saved(&body)).map_err(|error| match error {
            ReadError::AccessDenied(said) => SavedError::Denied { path: path(), said, hint: self.part.unauthorized_hint },
            error => SavedError::Read { path: path(), error },
        })?;
        Ok((families, body.len()))
    }
}

/// One byte more than the limit, to tell that there is more.
fn limited(from: impl Read, max: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A response, with what of its head is used.
struct Response<'a> {
    /// Where it was saved with its head.
    status: Option<String>,
    /// Empty where it is not known.
    content_type: String,
    body: &'a [u8],
}

/// The response that was saved.
fn response(saved: &[u8]) -> Response<'_> {
    let mut response = Response { status: None, content_type: String::new(), body: saved };
    // `curl -i` writes an interim response (100 Continue) before the one that counts.
    while response.body.starts_with(b"HTTP/") {
        let Some((head, body)) = split_head(response.body) else { break };
        let head = String::from_utf8_lossy(head);
        let status = head.lines().next().and_then(|line| line.trim().split_once(' ')).map(|(_, status)| status.to_owned());
        let headers = || head.lines().filter_map(|line| line.split_once(':'));
        let content_type = headers().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.trim().to_owned());
        response = Response { status, content_type: content_type.unwrap_or_default(), body };
    }
    response
}

fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = |mark: &[u8]| memchr::memmem::find(bytes, mark).map(|at| (at, at + mark.len()));
    let (end, body) = [end(b"\r\n\r\n"), end(b"\n\n")].into_iter().flatten().min()?;
    Some((&bytes[..end], &bytes[body..]))
}
