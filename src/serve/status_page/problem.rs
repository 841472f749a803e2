//! Problems that need attention, each with the targets that have it, the error and advice.
//!
//! The same problem of many targets is one entry: an outage of a network would otherwise hide everything else.

use super::concern::Concern;
use super::format;
use super::state::State;
use super::target::slowdown;
use super::view::PageTime;
use crate::net::shorten;
use crate::poll::{PollError, Target};
use crate::telemetry::{StaleReading, StaleReason};
use std::time::{Duration, SystemTime};

/// Characters of an error that are shown; the log has the whole text.
const ERROR_CHARS_MAX: usize = 600;
/// Targets that an entry names. Further ones are only counted.
const NAMES_MAX: usize = 12;

/// A problem of one or more targets.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub severity: Severity,
    /// The label: the state of the targets, or the kind of the concern.
    pub label: &'static str,
    /// The number of the targets, as `12 targets`, if there are several.
    pub count: Option<String>,
    pub affected: Vec<Affected>,
    /// The number of targets that are not named.
    pub omitted: usize,
    pub part: Option<&'static str>,
    /// The duration of the problem; of several targets, the longest.
    pub since: Option<String>,
    pub slowdown: Option<String>,
    pub error: ErrorView,
    key: Key,
    began: Option<SystemTime>,
}

/// The severity of a problem, which is also its CSS class. The page lists problems in the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Down,
    Partial,
    Stale,
}

impl Severity {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Partial => "partial",
            Self::Stale => "stale",
        }
    }
}

/// A target that has the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Affected {
    pub name: String,
    pub link: String,
    /// The value of this target.
    pub value: Option<String>,
}

/// An error message with advice.
#[derive(Clone, Debug, Default)]
pub(super) struct ErrorView {
    pub message: String,
    pub advice: Option<&'static str>,
}

/// The facts that are equal in problems of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    label: &'static str,
    part: Option<&'static str>,
    /// The message without the numbers and the host in it.
    message: String,
}

/// A target with what the page has found out about it.
#[derive(Debug)]
pub(super) struct Examined<'a> {
    pub target: &'a Target,
    pub state: State,
    pub stale: Option<StaleReading>,
    pub concerns: Vec<Concern>,
}

/// Returns the problems of these targets, the most severe ones first. `link` returns the link to a target.
pub(super) fn problems(targets: &[Examined<'_>], link: impl Fn(&str) -> String, now: PageTime) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for examined in targets {
        for problem in of_target(examined, &link) {
            match problems.iter_mut().find(|known| known.key == problem.key) {
                Some(known) => known.add(problem),
                None => problems.push(problem),
            }
        }
    }
    for problem in &mut problems {
        problem.count_targets(now);
    }
    // The sort is stable: problems of one severity keep the order of the targets.
    problems.sort_by_key(|problem| problem.severity);
    problems
}

fn of_target(examined: &Examined<'_>, link: &impl Fn(&str) -> String) -> Vec<Problem> {
    let Examined { target, state, stale, concerns } = examined;
    let latest = target.latest();
    let affected = |value| Affected { name: target.name().to_owned(), link: link(target.name()), value };
    let problem = |severity, label, part, error: ErrorView, value| {
        let key = Key { label, part, message: without_specifics(&error.message, target) };
        let (count, omitted, since, slowdown, began) = Default::default();
        Problem { severity, label, count, affected: vec![affected(value)], omitted, part, since, slowdown, error, key, began }
    };
    let mut problems = Vec::new();
    let down_since = target.history(|history| history.down_since);
    if let Some(stale) = stale {
        let mut error = ErrorView::of_stale(*stale);
        if let Some(Err(failure)) = latest.as_ref().map(|latest| &latest.outcome) {
            error.message += &format!("; the last poll failed: {}", ErrorView::of(failure).message);
        }
        let began = latest.as_ref().map(|latest| latest.at);
        problems.push(Problem { began, ..problem(Severity::Stale, State::Stale.name(), None, error, None) });
    } else {
        let severity = if *state == State::Down { Severity::Down } else { Severity::Partial };
        let parts = latest.iter().flat_map(|latest| &latest.parts);
        let mut failed: Vec<(Option<&'static str>, ErrorView)> =
            parts.filter_map(|part| part.error.as_ref().map(|error| (Some(part.part), ErrorView::of(error)))).collect();
        if let (Some(Err(error)), true) = (latest.as_ref().map(|latest| &latest.outcome), failed.is_empty()) {
            failed.push((None, ErrorView::of(error)));
        }
        // The other parts of a target that is down fail for the same reason, or were not requested.
        failed.truncate(if *state == State::Down { 1 } else { usize::MAX });
        for (part, error) in failed {
            let part = part.filter(|_| target.config.parts.len() > 1);
            problems.push(Problem { began: down_since, slowdown: slowdown(target), ..problem(severity, state.name(), part, error, None) });
        }
    }
    if let Some(failure) = target.history(|history| history.log_failure.clone()) {
        problems.push(problem(Severity::Partial, State::Partial.name(), Some(failure.part), ErrorView::of(&failure.error), None));
    }
    for Concern { kind, value } in concerns {
        let severity = if kind.is_severe() { Severity::Down } else { Severity::Partial };
        let error = ErrorView { message: kind.advice().to_owned(), advice: None };
        problems.push(problem(severity, kind.label(), None, error, Some(value.clone())));
    }
    let advice = latest.iter().filter_map(|latest| latest.snapshot()).flat_map(|snapshot| &snapshot.advice);
    problems.extend(advice.map(|text| problem(Severity::Partial, "advice", None, ErrorView { message: text.clone(), advice: None }, None)));
    problems
}

/// The message without numbers and without the target's host, which differ between targets with the same problem.
fn without_specifics(message: &str, target: &Target) -> String {
    let host = target.config.url.host_str().unwrap_or_default();
    let message = if host.is_empty() { message.to_owned() } else { message.replace(host, "HOST") };
    message.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect::<String>().replace("##", "#")
}

impl Problem {
    /// Adds the target of another problem, which is the same.
    fn add(&mut self, other: Self) {
        self.began = self.began.into_iter().chain(other.began).min();
        self.severity = self.severity.min(other.severity);
        self.affected.extend(other.affected);
    }

    fn count_targets(&mut self, now: PageTime) {
        // A target has several values of one kind if, for example, mail is held in two ways.
        self.affected.dedup_by(|next, first| {
            let is_same = next.name == first.name;
            if is_same {
                let values: Vec<String> = first.value.take().into_iter().chain(next.value.take()).collect();
                first.value = Some(values.join(", ")).filter(|values| !values.is_empty());
            }
            is_same
        });
        let n = self.affected.len();
        self.count = (n > 1).then(|| format::pluralize(n, "target"));
        self.omitted = n.saturating_sub(NAMES_MAX);
        self.affected.truncate(NAMES_MAX);
        let longest = self.began.map(|began| format::elapsed(now.clock.duration_since(began).unwrap_or(Duration::ZERO)));
        self.since = longest.map(|longest| if n > 1 { format!("for up to {longest}") } else { format!("for {longest}") });
        self.slowdown = self.slowdown.take().filter(|_| n == 1);
    }
}

impl ErrorView {
    pub(super) fn of(error: &PollError) -> Self {
        let message = shorten(&error.to_string(), ERROR_CHARS_MAX);
        // The texts of the other errors contain advice.
        let advice = match error {
            PollError::Malformed(_) => Some("inspect the response with `postmeter scrape`; are url and system correct?"),
            PollError::Api(_) => Some("this is the server's own error message; the server's log has details"),
            _ => None,
        };
        Self { message, advice }
    }

    fn of_stale(stale: StaleReading) -> Self {
        let advice = match stale.reason {
            StaleReason::NotCollected => {
                Some("Postmeter polls only when it is scraped or pushes: is Prometheus scraping it, or is export.otlp configured?")
            }
            StaleReason::PollRunning | StaleReason::WaitsForLimit | StaleReason::SlowedDown => None,
        };
        Self { message: stale.reason.to_string(), advice }
    }
}

#[cfg(test)]
mod tests;
