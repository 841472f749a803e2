//! Saved responses: bodies, gzipped bodies, and the output of `curl -i`.

use crate::model::Families;
use crate::net::read_limited;
use crate::source::{Part, ReadError, ResponseBody, Source, TARGET_URL, TextFormat, check_complete};
use flate2::read::MultiGzDecoder;
use std::fs::File;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file with the response of one part.
#[derive(Debug)]
pub(super) struct SavedResponse {
    pub(super) part: &'static Part,
    path: String,
}

/// The reason why a saved response contains no usable metrics.
#[derive(Debug, thiserror::Error)]
pub(super) enum SavedResponseError {
    #[error("{system} has no part `{part}`; it has {known}")]
    Part { system: &'static str, part: String, known: String },
    #[error("--file: cannot read {path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("{path}: exceeds the limit of {max} bytes")]
    TooLarge { path: String, max: usize },
    #[error("{path}: the server responded with {status}: {hint}")]
    Status { path: String, status: String, hint: &'static str },
    #[error("{path}: the server denied access ({reason}): {hint}")]
    Denied { path: String, reason: String, hint: &'static str },
    #[error("{path}: {error}{}", hint(error, .part))]
    Read { path: String, error: ReadError, part: &'static Part },
}

/// The advice to save a response instead of a file that is none, if one GET request returns it.
fn hint(error: &ReadError, part: &Part) -> String {
    if !matches!(error, ReadError::Malformed(_)) {
        return String::new();
    }
    let request = part.requests.first().filter(|request| request.post_body.is_none() && !request.path.contains('{'));
    let path = request.map(|request| if request.path == TARGET_URL { "" } else { request.path });
    path.map(|path| format!("; save a response with `curl -si URL{path}`")).unwrap_or_default()
}

impl SavedResponse {
    /// Parses `[PART=]PATH`. The default is the required part.
    pub(super) fn new(source: &'static Source, argument: &str) -> Result<Self, SavedResponseError> {
        let (part, path) = argument.split_once('=').filter(|(part, _)| !part.contains('/')).unwrap_or((source.required().name, argument));
        let names = || source.parts.iter().map(|part| part.name).collect::<Vec<_>>().join(", ");
        let unknown = || SavedResponseError::Part { system: source.name, part: part.to_owned(), known: names() };
        Ok(Self { part: source.part(part).ok_or_else(unknown)?, path: path.to_owned() })
    }

    /// Reads the metrics of the response. The second value is the size of the body in bytes.
    pub(super) fn read(&self) -> Result<(Families, usize), SavedResponseError> {
        let path = || self.path.clone();
        let file = |error| SavedResponseError::File { path: path(), error };
        let max = self.part.body_bytes_max;
        let saved = read_limited(File::open(&self.path).map_err(file)?, max as u64).map_err(file)?;
        let Response { status, content_type, body } = parse_response(&saved);
        if let Some(status) = status.filter(|status| !self.part.accepts(status)) {
            let hint = match status.get(..3) {
                Some("401" | "403") => self.part.unauthorized_hint,
                Some("404") => self.part.not_found_hint,
                Some("429") => "the server's rate limit was reached",
                _ => "this response contains no metrics",
            };
            return Err(SavedResponseError::Status { path: path(), status, hint });
        }
        let body = match body.starts_with(&GZIP_MAGIC) {
            true => read_limited(MultiGzDecoder::new(body), max as u64).map_err(file)?,
            false => body.to_vec(),
        };
        if saved.len() > max || body.len() > max {
            return Err(SavedResponseError::TooLarge { path: path(), max });
        }
        let declared = TextFormat::declared_by(&content_type);
        let bytes = body.len();
        let read = check_complete(declared, &body).and_then(|()| self.part.read_saved(ResponseBody { bytes: body, declared }));
        let families = read.map_err(|error| match error {
            ReadError::AccessDenied(reason) => SavedResponseError::Denied { path: path(), reason, hint: self.part.unauthorized_hint },
            error => SavedResponseError::Read { path: path(), error, part: self.part },
        })?;
        Ok((families, bytes))
    }
}

/// A response, with the parts of its head that are used.
struct Response<'a> {
    /// `None` if the response was saved without its head.
    status: Option<String>,
    /// Empty if it is unknown.
    content_type: String,
    body: &'a [u8],
}

/// Separates the head of a saved response from its body.
fn parse_response(saved: &[u8]) -> Response<'_> {
    let mut response = Response { status: None, content_type: String::new(), body: saved };
    // `curl -i` also writes an interim response (100 Continue), which precedes the final one.
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
    let end = |separator: &[u8]| memchr::memmem::find(bytes, separator).map(|at| (at, at + separator.len()));
    let (end, body) = [end(b"\r\n\r\n"), end(b"\n\n")].into_iter().flatten().min()?;
    Some((&bytes[..end], &bytes[body..]))
}
