//! The faults of a mail server in one table, for `simulate --fault` and for the tests.

use super::connection::End;
use super::corruption::{self, HealthyResponse};
use axum::response::Response;

/// A fault of a mail server.
#[derive(Debug)]
pub struct Fault {
    /// The name, as in `--fault`.
    pub name: &'static str,
    /// The description.
    pub help: &'static str,
    pub(super) act: Act,
}

/// The effect of a fault.
#[derive(Debug)]
pub(super) enum Act {
    /// The port is closed.
    Refuse,
    /// The connection ends instead of a response.
    End(End),
    /// The connection ends at its second request.
    EndWhenKept(End),
    /// There is never a response.
    Hang,
    /// A line that is not a header appears among the headers.
    Leak(&'static str),
    /// The healthy response is replaced or corrupted.
    Respond(fn(HealthyResponse) -> Response),
}

const fn fault(name: &'static str, help: &'static str, act: Act) -> Fault {
    Fault { name, help, act }
}

/// All faults. Invalid and expired certificates are passed with `--tls-cert` instead: generating them here would add a dependency
/// to the program that only the simulator uses.
pub static FAULTS: &[Fault] = &[
    fault("refuse", "the port is closed", Act::Refuse),
    fault("reset", "the connection is reset instead of a response", Act::End(End::Reset)),
    fault("close", "the connection is closed instead of a response", Act::End(End::Close)),
    fault("close-kept", "a keep-alive connection is closed at its second request", Act::EndWhenKept(End::Close)),
    fault("hang", "no response, and the connection stays open", Act::Hang),
    fault("hang-in-body", "half of the body, and no end", Act::Respond(corruption::hang_in_body)),
    fault("slow", "the body is sent at one byte per second", Act::Respond(corruption::slow)),
    fault("cut", "the connection is closed in the middle of the body", Act::Respond(corruption::cut)),
    fault("status-401", "status 401: the credential is not valid", Act::Respond(corruption::status::<401>)),
    fault("status-403", "status 403: the credential has no permission", Act::Respond(corruption::status::<403>)),
    fault("status-404", "status 404: not found", Act::Respond(corruption::status::<404>)),
    fault("status-429", "status 429: too many requests, without Retry-After", Act::Respond(corruption::status::<429>)),
    fault(
        "status-429-retry-after",
        "status 429: too many requests, with a Retry-After of two seconds",
        Act::Respond(corruption::retry_after),
    ),
    fault("status-500", "status 500: internal error", Act::Respond(corruption::status::<500>)),
    fault("status-503", "status 503: unavailable", Act::Respond(corruption::status::<503>)),
    fault("redirect", "status 302: a redirect to another host", Act::Respond(corruption::redirect)),
    fault("html", "a login page with status 200", Act::Respond(corruption::html)),
    fault("empty", "an empty body with status 200", Act::Respond(corruption::empty)),
    fault("truncated", "half of the document, with a matching length", Act::Respond(corruption::truncated)),
    fault("truncated-help", "the document ends within a help text, with a matching length", Act::Respond(corruption::truncated_help)),
    fault("truncated-number", "the document ends within a number, with a matching length", Act::Respond(corruption::truncated_number)),
    fault("gzip-bomb", "10 MiB that decompress to 10 GiB", Act::Respond(corruption::gzip_bomb)),
    fault("huge", "a body of 2 GiB with its Content-Length", Act::Respond(corruption::huge)),
    fault("endless", "a body that never ends", Act::Respond(corruption::endless)),
    fault("leaked-line", "a line of program output among the headers", Act::Leak("Use of uninitialized value in print")),
    fault("invalid-utf8", "a label with bytes that are not valid UTF-8", Act::Respond(corruption::invalid_utf8)),
    fault("non-finite", "NaN and infinities as values", Act::Respond(corruption::non_finite)),
    fault("duplicate-series", "each series twice, with different values", Act::Respond(corruption::duplicate_series)),
    fault("duplicate-families", "each family twice", Act::Respond(corruption::duplicate_families)),
    fault("type-change", "counters and gauges swap their types at every other request", Act::Respond(corruption::type_change)),
    fault("long-labels", "three labels of 1 MiB", Act::Respond(corruption::long_labels)),
    fault("churn", "100,000 new series in each response", Act::Respond(corruption::churn)),
    fault("future", "a clock that is a day ahead: Date, timestamps and start time", Act::Respond(corruption::future)),
];

impl Fault {
    /// The fault with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        FAULTS.iter().find(|fault| fault.name == name)
    }
}
