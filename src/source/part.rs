//! Parts of a poll and their requests, and how their responses are read.

use super::body::{ResponseBody, decode};
use super::pattern::is_match;
use super::{Credential, Reader, Rule, SOURCES};
use crate::format::{ReadError, quote};
use crate::model::{Families, Repair};
use std::time::Duration;

/// The path of a request that goes to the target's URL unchanged: nothing is appended, and the URL may have a query.
pub const TARGET_URL: &str = "";

/// One part of a poll: it is requested, and can fail, independently of the other parts. [`Part::new`] has the defaults of all fields that
/// it does not take.
#[derive(Debug)]
pub struct Part {
    /// The name in `parts:`, in `--file PART=PATH` and in `postmeter.poll.part`.
    pub name: &'static str,
    /// A short description of what the part reports.
    pub help: &'static str,
    /// The alternative requests. For the required part, `format:` selects one; the first is the default. For an optional part, the next
    /// one is tried if the server responds with 404.
    pub requests: &'static [Request],
    /// The largest response, in bytes after decompression. All pages of a response count together.
    pub body_bytes_max: usize,
    /// The kind of credential that the requests carry.
    pub credential: Credential,
    /// The mapping from native families to canonical metrics.
    pub rules: &'static [Rule],
    /// Families that no other exporter has, or patterns of their names, in addition to those of the rules. A response without any of these
    /// families comes from another exporter. If empty, every response is accepted.
    pub identifying_families: &'static [&'static str],
    /// `true` if a server that has counted nothing has none of its own families. A response without any is then accepted, unless it has
    /// families of another known system; no rule applies to it.
    pub identity_is_optional: bool,
    /// Families, or patterns of their names, that only a version with a known fault exposes: its counters have the names of other counters,
    /// so none of them is mapped.
    pub misnaming_families: &'static [&'static str],
    /// For an optional part that changes only when the server restarts: the shortest time between two requests as long as no counter
    /// decreases. `None`: it is requested in each poll.
    pub interval: Option<Duration>,
    /// The advice for status 401 or 403.
    pub unauthorized_hint: &'static str,
    /// The advice for status 404.
    pub not_found_hint: &'static str,
}

/// Families of Prometheus' client libraries and of scrapes, as patterns: many exporters have them, so they do not identify one.
pub(super) const CLIENT_LIBRARY_FAMILIES: &[&str] =
    &["process_*", "go_*", "promhttp_*", "python_*", "nodejs_*", "jvm_*", "ruby_*", "scrape_*", "up", "target_info"];
/// The number of unexpected families that an error names.
const UNEXPECTED_FAMILIES_NAMED_MAX: usize = 5;

impl Part {
    /// A part without rules whose responses have at most 16 MiB and need no credential.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, requests: &'static [Request]) -> Self {
        Self {
            name,
            help,
            requests,
            body_bytes_max: 16 * 1024 * 1024,
            credential: Credential::Optional,
            rules: &[],
            identifying_families: &[],
            identity_is_optional: false,
            misnaming_families: &[],
            interval: None,
            unauthorized_hint: "",
            not_found_hint: "",
        }
    }

    /// Reads the response to one of the part's requests, and checks that it comes from this mail system.
    ///
    /// # Errors
    /// The errors of [`Request::read`], and [`ReadError::OtherExporter`].
    pub fn read(&self, request: &Request, body: impl Into<ResponseBody>) -> Result<Families, ReadError> {
        let families = request.read(body)?;
        let is_accepted = self.identifying_families.is_empty() && !self.identity_is_optional
            || families.series() == 0
            || self.identifies(&families)
            || self.identity_is_optional && !SOURCES.iter().any(|other| other.required().identifies_its_own(&families));
        if is_accepted {
            return Ok(families);
        }
        if let Some(missing) = self.missing_identity(request, &families) {
            return Err(ReadError::Malformed(missing));
        }
        let mut unexpected: Vec<&str> = Vec::new();
        for name in names(&families) {
            if unexpected.len() < UNEXPECTED_FAMILIES_NAMED_MAX && !unexpected.contains(&name) {
                unexpected.push(name);
            }
        }
        Err(ReadError::OtherExporter(quote(&unexpected.join(", "))))
    }

    /// Returns `true` if a response has a family that only this mail system has.
    #[must_use]
    pub fn identifies(&self, families: &Families) -> bool {
        names(families).any(|name| self.is_identified_by(name))
    }

    /// Describes a JSON document that has series of the definition, but none that identifies the server.
    fn missing_identity(&self, request: &Request, families: &Families) -> Option<String> {
        let Reader::Paths(series) = request.reader else { return None };
        let mut absent: Vec<&str> = Vec::new();
        for series in series.iter().filter(|series| self.is_identified_by(series.family)) {
            if !absent.contains(&series.family) {
                absent.push(series.family);
            }
        }
        let found = quote(names(families).next()?);
        let absent = quote(&absent.join(", "));
        (!absent.is_empty())
            .then(|| format!("it has {found}, but no value of {absent}; check whether the lists in it are null, and the paths"))
    }

    /// Returns `true` if a response has a family that identifies this mail system, and the mail system can be identified at all.
    fn identifies_its_own(&self, families: &Families) -> bool {
        (!self.identifying_families.is_empty() || self.identity_is_optional) && self.identifies(families)
    }

    /// Returns `true` if only this mail system has a family with this name.
    fn is_identified_by(&self, name: &str) -> bool {
        let is_any_of = |patterns: &[&str]| patterns.iter().any(|pattern| is_match(pattern, name));
        // The end of a name does not identify a system: many exporters have a family that ends in "_delivered_total".
        let names_a_beginning = |family: &&&str| !family.starts_with(['*', '?']);
        let of_rules = || self.rules.iter().flat_map(|rule| rule.families).filter(names_a_beginning);
        let has_rule = || of_rules().any(|family| is_match(family, name)) && !is_client_library_family(name);
        is_any_of(self.identifying_families) || has_rule()
    }

    /// Returns `true` if the body of a response with this status is read. The text may go on after the number.
    #[must_use]
    pub fn accepts(&self, status: &str) -> bool {
        let code = status.get(..3).and_then(|code| code.parse().ok());
        code.is_some_and(|code| code == 200 || self.requests.iter().any(|request| request.statuses.contains(&code)))
    }

    /// Reads a saved response to any of the part's requests.
    ///
    /// # Errors
    /// The rejection, if the response is one; otherwise the error of the last reader that was tried.
    pub fn read_saved(&self, body: impl Into<ResponseBody>) -> Result<Families, ReadError> {
        let body = body.into();
        let mut last_error = ReadError::Empty;
        for request in self.requests {
            match self.read(request, body.clone()) {
                Ok(families) => return Ok(families),
                Err(refusal @ (ReadError::Refused(_) | ReadError::AccessDenied(_))) => return Err(refusal),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }
}

/// Returns `true` for a family that many exporters have, or for a pattern of only such families.
pub(super) fn is_client_library_family(name: &str) -> bool {
    CLIENT_LIBRARY_FAMILIES.iter().any(|pattern| is_match(pattern, name))
}

/// The names of the families that have series.
fn names(families: &Families) -> impl Iterator<Item = &str> {
    families.iter().filter(|family| family.samples().len() > 0).map(|family| family.name())
}

/// A request to a mail server.
#[derive(Debug)]
pub struct Request {
    /// The value of `format:` that selects the request. If versions of the server differ in their API, the version.
    pub format: &'static str,
    /// The path and query, or [`TARGET_URL`]. `{start}` and `{end}` are replaced by the window's Unix seconds, `{offset}` by the number of
    /// the page's first record.
    pub path: &'static str,
    /// The body of a POST request. `None`: a GET request.
    pub post_body: Option<&'static str>,
    /// The media type of the body of a POST request.
    pub content_type: &'static str,
    /// Statuses other than 200 whose body is a response, too: a server that is not ready reports why.
    pub statuses: &'static [u16],
    /// OpenMetrics and UTF-8 names are preferred to the text format, if the server has them. The same metrics can have other names there,
    /// so rules for those of the text format would not apply.
    pub prefers_openmetrics: bool,
    /// Reads the families of a response.
    pub reader: Reader,
}

impl Request {
    /// A GET request.
    #[must_use]
    pub const fn get(format: &'static str, path: &'static str, reader: fn(String) -> Result<Families, ReadError>) -> Self {
        let (post_body, content_type, prefers_openmetrics) = (None, "application/json", false);
        Self { format, path, post_body, content_type, statuses: &[], prefers_openmetrics, reader: Reader::Code(reader) }
    }

    /// Reads a response. Bytes that are not UTF-8 are replaced by `?` and counted as a repair.
    ///
    /// # Errors
    /// [`ReadError::Html`] for an HTML page, or the error of the reader.
    pub fn read(&self, body: impl Into<ResponseBody>) -> Result<Families, ReadError> {
        let ResponseBody { bytes, declared } = body.into();
        let (body, is_repaired) = decode(bytes)?;
        let mut families = self.reader.read(body, declared)?;
        if is_repaired {
            families.repair(Repair::InvalidUtf8);
        }
        Ok(families)
    }
}
