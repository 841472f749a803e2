//! Mail systems: each a table of rules plus a pure function from a response body to series.
//!
//! To add one: write `source/NAME.rs` with a [`Source`] (copy `ceymail.rs`, the shortest), name it in [`SOURCES`], put
//! answers of a real server beside the tests in `tests/fixtures/NAME`, and a stand-in into `simulate` if the demo should show it.
//!
//! # A part is what fails alone
//!
//! A target is polled in parts. The first is required: without it there is no reading. Each other one costs only its own
//! points when it fails, so rules belong to parts: an absent series is 0 only if the part that would have it was read.

mod credential;
mod map;
mod rule;
pub(crate) mod systems;

pub use credential::Credential;
pub use map::{Context, CounterMemory, Detail, POINTS_PER_METRIC_MAX, WINDOWS_KEPT_MAX, apply};
pub use rule::{AttributeSource, Rule, Transform};

pub use crate::format::prometheus::check_complete;
pub use crate::format::{ReadError, quote};
use crate::model::{Families, RecordPage, Repair};
use std::time::Duration;

/// Every mail system.
pub static SOURCES: &[&Source] = &[
    &crate::source::systems::cpanel::SOURCE,
    &crate::source::systems::ceymail::SOURCE,
    &crate::source::systems::kumomta::SOURCE,
    &crate::source::systems::stalwart::SOURCE,
    &crate::source::systems::emailengine::SOURCE,
    &crate::source::systems::prometheus::SOURCE,
];

/// The path of a request that is made to the target's url as it stands: nothing is appended, and it may have a query.
pub const WHOLE_URL: &str = "";

/// The mail system of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Source> {
    SOURCES.iter().copied().find(|source| source.name == name)
}

/// A mail system.
#[derive(Debug)]
pub struct Source {
    /// As in `system:` and `service.name`.
    pub name: &'static str,
    /// As its makers write it.
    pub title: &'static str,
    /// What can be asked; the first is required.
    pub parts: &'static [Part],
    /// How often its makers let it be asked, or how long a reading is worth keeping.
    pub min_interval: Duration,
    /// How long a poll may take, all parts together.
    pub timeout: Duration,
    /// A budget that the server enforces, where it has one.
    pub requests_per_minute_max: Option<u32>,
    /// Whether its sums are those of a window of time, so that `window:` applies.
    pub windowed: bool,
    /// Whether it is known to export unsigned gauges that went below zero, as numbers up to 2^64.
    pub gauges_underflow: bool,
    /// Families that count although they say that they are gauges.
    pub mistyped_counters: &'static [&'static str],
    /// The family and label that say `service.version`.
    pub version: Option<(&'static str, &'static str)>,
    /// The family whose value says, in Unix seconds, when the server's counters began.
    pub counters_since: Option<&'static str>,
    /// The family whose value is the time, in Unix seconds, when the server's process began: a later one resets every counter that is
    /// accumulated.
    pub process_since: Option<&'static str>,
    /// The log of deliveries that can be followed, where it has one.
    pub records: Option<&'static Records>,
}

impl Source {
    /// The part that must be read.
    #[must_use]
    pub fn required(&self) -> &'static Part {
        &self.parts[0]
    }

    /// The part of this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&'static Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Whether the target's url is used as it stands.
    #[must_use]
    pub fn takes_whole_url(&self) -> bool {
        self.required().requests.iter().any(|request| request.path == WHOLE_URL)
    }

    /// All rules, with their parts.
    pub fn rules(&self) -> impl Iterator<Item = (&'static Part, &'static Rule)> {
        self.parts.iter().flat_map(|part| part.rules.iter().map(move |rule| (part, rule)))
    }
}

/// A log of deliveries that a server can be asked for: not polled by a collection, but followed on a timer of its own.
///
/// The path of its request has `{start}` and `{end}`, both included, for the Unix seconds in which records happened, and `{rows}` for
/// the rows of a page.
#[derive(Debug)]
pub struct Records {
    /// Its name in `parts:`, its request (whose own reader is not used), its limits and hints.
    pub part: Part,
    /// The path of one page of the newest records from `{start}` on.
    pub newest_path: &'static str,
    /// From an answer to records.
    pub read: fn(&str) -> Result<RecordPage, ReadError>,
}

impl Records {
    /// Reads an answer, as [`Request::read`] does.
    ///
    /// # Errors
    /// Why nothing could be read.
    pub fn read(&self, body: Vec<u8>) -> Result<RecordPage, ReadError> {
        (self.read)(&text(body)?.0)
    }
}

/// One question to a mail server, asked alone and failing alone.
#[derive(Debug)]
pub struct Part {
    /// As in `parts:`, in `--file PART=PATH` and in `mail.poll.part`.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub help: &'static str,
    /// How to ask. With several, `format:` chooses for the required part, which has the first by default; of an optional part
    /// the next is tried where one is not found (404).
    pub requests: &'static [Request],
    /// Bytes of an answer after decompression.
    pub body_bytes_max: usize,
    /// What a request carries.
    pub credential: Credential,
    /// From the server's families to canonical metrics.
    pub rules: &'static [Rule],
    /// Families that no other exporter has, beside those of the rules, by name or up to a `*`: a response without any of them is of
    /// something else. Empty where any response can be right.
    pub known_by: &'static [&'static str],
    /// Families that only a server with a known fault has, whose counters then stand under wrong names: its counters are left out.
    pub misnamed_when: &'static [&'static str],
    /// How often it is requested at most while no counter falls, for an optional part that changes only when the server restarts; none
    /// where it is requested at each poll.
    pub interval: Option<Duration>,
    /// What an operator does about 401 and 403.
    pub on_unauthorized: &'static str,
    /// What an operator does about 404.
    pub on_not_found: &'static str,
}

/// A way of asking.
#[derive(Debug)]
pub struct Request {
    /// As in `format:`; also the server's generation where those differ.
    pub format: &'static str,
    /// Path and query, or [`WHOLE_URL`]. `{start}` and `{end}` become the window's Unix seconds, `{offset}` the page's first record.
    pub path: &'static str,
    /// The body of a POST; a GET without one.
    pub post: Option<&'static str>,
    /// From an answer to series.
    pub read: fn(String) -> Result<Families, ReadError>,
}

impl Request {
    /// Reads an answer: what is not UTF-8 becomes `?` and is counted, and an HTML page is told apart.
    ///
    /// # Errors
    /// Why nothing could be read.
    pub fn read(&self, body: Vec<u8>) -> Result<Families, ReadError> {
        let (body, replaced) = text(body)?;
        let mut families = (self.read)(body)?;
        if replaced {
            families.repair(Repair::InvalidUtf8);
        }
        Ok(families)
    }
}

/// The text of an answer, and whether anything of it had to be replaced.
fn text(body: Vec<u8>) -> Result<(String, bool), ReadError> {
    let (body, replaced) = match String::from_utf8(body) {
        Ok(body) => (body, false),
        Err(error) => (mended(error.into_bytes())?, true),
    };
    if body.trim_ascii_start().starts_with('<') { Err(ReadError::Html) } else { Ok((body, replaced)) }
}

/// Each byte that is not UTF-8 becomes a `?`, in place: U+FFFD would take three bytes, and an answer four times its room.
fn mended(mut body: Vec<u8>) -> Result<String, ReadError> {
    let mut at = 0;
    while let Err(error) = std::str::from_utf8(&body[at..]) {
        let bad = at + error.valid_up_to();
        at = error.error_len().map_or(body.len(), |len| bad + len);
        body[bad..at].fill(b'?');
    }
    String::from_utf8(body).map_err(|error| ReadError::Malformed(error.to_string()))
}

/// Families that many exporters have, whatever they watch: those of Prometheus' client libraries.
const CLIENT_LIBRARY_FAMILIES: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
];
/// Families of another exporter that an error names.
const FOREIGN_NAMED_MAX: usize = 5;

impl Part {
    /// Reads a response of one of its requests, and checks that it is of this mail system.
    ///
    /// # Errors
    /// As those of [`Request::read`], and where it is of another exporter.
    pub fn read(&self, request: &Request, body: Vec<u8>) -> Result<Families, ReadError> {
        let families = request.read(body)?;
        let names = || families.iter().filter(|family| family.samples().len() > 0).map(|family| family.name());
        if self.known_by.is_empty() || families.series() == 0 || names().any(|name| self.knows(name)) {
            return Ok(families);
        }
        let mut first: Vec<&str> = Vec::new();
        for name in names() {
            if first.len() < FOREIGN_NAMED_MAX && !first.contains(&name) {
                first.push(name);
            }
        }
        Err(ReadError::Foreign(quote(&first.join(", "))))
    }

    /// Whether the mail system is known for a family of this name.
    fn knows(&self, name: &str) -> bool {
        let is_pattern_of = |pattern: &&str| pattern.strip_suffix('*').map_or(*pattern == name, |start| name.starts_with(start));
        let by_rule = || self.rules.iter().any(|rule| rule.families.contains(&name)) && !CLIENT_LIBRARY_FAMILIES.contains(&name);
        self.known_by.iter().any(is_pattern_of) || by_rule()
    }

    /// Reads a saved answer, of whichever way of asking it came from.
    ///
    /// # Errors
    /// The server's refusal, where a reader knows it as one, or else what the last reader said.
    pub fn read_any(&self, body: &[u8]) -> Result<Families, ReadError> {
        let mut error = ReadError::Empty;
        for request in self.requests {
            match self.read(request, body.to_vec()) {
                Ok(families) => return Ok(families),
                Err(refusal @ (ReadError::Api(_) | ReadError::Denied(_))) => return Err(refusal),
                Err(e) => error = e,
            }
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests;
