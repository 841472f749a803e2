//! Problems of targets that need attention, each with the error and advice.

use super::format;
use super::target::slowdown;
use super::view::{PageTime, State};
use crate::poll::{PollError, Target};

/// Characters of an error that are shown; the log has the whole text.
const ERROR_CHARS_MAX: usize = 600;

/// A problem of one target.
#[derive(Debug)]
pub(super) struct Problem {
    pub state: State,
    pub name: String,
    pub link: String,
    pub since: Option<String>,
    pub part: Option<&'static str>,
    pub error: ErrorView,
    pub slowdown: Option<String>,
    /// The poll succeeded, and `error` has advice that follows from its metrics.
    pub is_advice: bool,
}

/// An error message with advice.
#[derive(Clone, Debug)]
pub(super) struct ErrorView {
    pub message: String,
    pub advice: Option<&'static str>,
}

/// Returns the problem of a target, if it has one.
pub(super) fn problem(target: &Target, state: State, link: String, now: PageTime) -> Option<Problem> {
    let latest = target.latest();
    let failed = latest.iter().flat_map(|latest| &latest.parts).find_map(|part| part.error.as_ref().map(|error| (part.part, error)));
    let (part, error) = match (state, failed) {
        (State::Down | State::Partial, Some((part, error))) => ((target.config.parts.len() > 1).then_some(part), ErrorView::of(error)),
        (State::Down, None) => (None, latest?.outcome.as_ref().err().map(ErrorView::of)?),
        (State::Idle, _) => {
            let advice = "Postmeter polls only when it is scraped or pushes: is Prometheus scraping it, or is export.otlp configured?";
            (None, ErrorView { message: "not polled for a while, because nothing collected metrics".to_owned(), advice: Some(advice) })
        }
        _ => return None,
    };
    let since =
        target.history(|history| history.down_since).map(|since| format::elapsed(now.clock.duration_since(since).unwrap_or_default()));
    Some(Problem { state, name: target.name().to_owned(), link, since, part, error, slowdown: slowdown(target), is_advice: false })
}

/// Returns the advice that follows from the latest metrics of a target.
pub(super) fn advice(target: &Target, state: State, link: &str) -> Vec<Problem> {
    let latest = target.latest();
    let texts = latest.iter().filter_map(|latest| latest.snapshot()).flat_map(|snapshot| &snapshot.advice);
    let problem = |text: &String| Problem {
        state,
        name: target.name().to_owned(),
        link: link.to_owned(),
        since: None,
        part: None,
        error: ErrorView { message: text.clone(), advice: None },
        slowdown: None,
        is_advice: true,
    };
    texts.map(problem).collect()
}

impl ErrorView {
    pub(super) fn of(error: &PollError) -> Self {
        let text = error.to_string();
        let mut message: String = text.chars().take(ERROR_CHARS_MAX).collect();
        if message.len() < text.len() {
            message.push('…');
        }
        // The texts of the other errors contain advice.
        let advice = match error {
            PollError::Malformed(_) => Some("inspect the response with `postmeter scrape`; are url and system correct?"),
            PollError::Api(_) => Some("this is the server's own error message; the server's log has details"),
            _ => None,
        };
        Self { message, advice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_error_messages_are_truncated() {
        let error = ErrorView::of(&PollError::Api("ü".repeat(5000)));
        assert_eq!(error.message.chars().count(), ERROR_CHARS_MAX + 1);
        assert!(error.message.ends_with('…') && error.advice.is_some());
    }
}
