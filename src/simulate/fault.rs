//! What can be wrong with a mail server: one table, for `simulate --fault` and for the tests.

use super::connection::End;
use super::corruption::{self, HealthyResponse};
use axum::response::Response;

/// A way in which a mail server fails its callers.
#[derive(Debug)]
pub struct Fault {
    /// As in `--fault`.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    pub(super) act: Act,
}

/// Where it is done.
#[derive(Debug)]
pub(super) enum Act {
    /// Nobody listens.
    Refuse,
    /// The connection ends where an answer was due.
    End(End),
    /// The connection ends so at its second request.
    EndWhenKept(End),
    /// There is never an answer.
    Hang,
    /// A line of no header among the headers.
    Leak(&'static str),
    /// Another answer, or the sound one spoiled.
    Answer(fn(HealthyResponse) -> Response),
}

/// One of them.
const fn fault(name: &'static str, help: &'static str, act: Act) -> Fault {
    Fault { name, help, act }
}

/// Every one. Certificates that are wrong or have expired come by `--tls-cert`: making them would need a library that only this
/// stand-in has a use for, so the tests make them and the program takes them.
pub static FAULTS: &[Fault] = &[
    fault("refuse", "nobody listens on the port", Act::Refuse),
    fault("reset", "the connection is reset where an answer is due", Act::End(End::Reset)),
    fault("close", "the connection is closed where an answer is due", Act::End(End::Close)),
    fault("close-kept", "a kept connection is closed at its second request", Act::EndWhenKept(End::Close)),
    fault("hang", "no answer, and the connection stays open", Act::Hang),
    fault("hang-in-body", "half of the body, and then nothing", Act::Answer(corruption::hang_in_body)),
    fault("slow", "the body comes at one byte a second", Act::Answer(corruption::slow)),
    fault("cut", "the connection closes within the body", Act::Answer(corruption::cut)),
    fault("status-401", "the credential is not known", Act::Answer(corruption::status::<401>)),
    fault("status-403", "the credential may not do that", Act::Answer(corruption::status::<403>)),
    fault("status-404", "there is no such page", Act::Answer(corruption::status::<404>)),
    fault("status-429", "too many requests, without Retry-After", Act::Answer(corruption::status::<429>)),
    fault("status-429-retry-after", "too many requests, come again in two seconds", Act::Answer(corruption::retry_after)),
    fault("status-500", "an error of the server", Act::Answer(corruption::status::<500>)),
    fault("status-503", "not available", Act::Answer(corruption::status::<503>)),
    fault("redirect", "302 to another host", Act::Answer(corruption::redirect)),
    fault("html", "a login page with status 200", Act::Answer(corruption::html)),
    fault("empty", "an empty body with status 200", Act::Answer(corruption::empty)),
    fault("truncated", "half of the document, as if it were all of it", Act::Answer(corruption::truncated)),
    fault("truncated-help", "the same, cut in a help text", Act::Answer(corruption::truncated_help)),
    fault("truncated-number", "the same, cut in a number, so that it is another one", Act::Answer(corruption::truncated_number)),
    fault("gzip-bomb", "10 MiB that become 10 GiB", Act::Answer(corruption::gzip_bomb)),
    fault("huge", "a body of 2 GiB, announced as such", Act::Answer(corruption::huge)),
    fault("endless", "a body without an end", Act::Answer(corruption::endless)),
    fault("leaked-line", "a line of the program's output among the headers", Act::Leak("Use of uninitialized value in print")),
    fault("invalid-utf8", "bytes that are no UTF-8 in a label", Act::Answer(corruption::invalid_utf8)),
    fault("non-finite", "NaN and infinities for numbers", Act::Answer(corruption::non_finite)),
    fault("duplicate-series", "each series twice, the second time with another value", Act::Answer(corruption::duplicate_series)),
    fault("duplicate-families", "each family twice", Act::Answer(corruption::duplicate_families)),
    fault("type-change", "counters become gauges, and gauges counters, at every other request", Act::Answer(corruption::type_change)),
    fault("long-labels", "three labels of 1 MiB", Act::Answer(corruption::long_labels)),
    fault("churn", "100,000 new series in each answer", Act::Answer(corruption::churn)),
    fault("future", "a clock that is a day ahead: Date, timestamps and the time of start", Act::Answer(corruption::future)),
];

impl Fault {
    /// The one of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        FAULTS.iter().find(|fault| fault.name == name)
    }
}
