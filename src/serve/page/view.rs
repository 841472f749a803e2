//! What the page shows of the targets, in words: filled once for each request, from what is known already. Nothing is polled.

use super::figure::silence;
use super::format::{self, TimeView, counted};
use super::push::PushView;
use super::target::{Detail, Row, detail, held, row};
use crate::poll::{PollError, Target};
use crate::serve::TokenUse;
use crate::telemetry::ReloadStatus;
use askama::Template;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Targets whose figures are drawn on one page; the others have a page each. Keeps a page of 1,000 targets below 3 MB, a tenth
/// of that compressed.
const DETAILED_MAX: usize = 60;
/// Targets that are opened before anybody asks.
const OPENED_MAX: usize = 8;
/// Troubles that are told at the top.
const TROUBLES_MAX: usize = 20;
/// Words of a mail server's that are shown; what it says beyond is in the log.
const SAID_CHARS_MAX: usize = 600;
/// How often the page renews itself, and above how many targets less often.
const REFRESH_SECONDS: u32 = 5;
const REFRESH_SECONDS_MANY: u32 = 15;
const MANY: usize = 100;

/// The whole page.
#[derive(Debug, Template)]
#[template(config = "src/serve/page/askama.toml", path = "page.html")]
pub(super) struct PageView {
    pub version: &'static str,
    pub asset: &'static str,
    pub uptime: String,
    pub now: TimeView,
    pub refresh_seconds: u32,
    /// The one target that was asked for.
    pub only: Option<String>,
    pub summary: String,
    pub tally: Vec<(State, String)>,
    pub down: usize,
    pub troubles: Vec<Problem>,
    pub troubles_more: usize,
    pub rows: Vec<Row>,
    pub details: Vec<Detail>,
    pub push: Option<PushView>,
    pub configured: ConfigView,
    pub tokens: Vec<TokenView>,
}

/// How the configuration stands.
#[derive(Debug, Default)]
pub(super) struct ConfigView {
    pub taken_up: Option<TimeView>,
    /// When it was last read, where what was read could not be taken up.
    pub refused: Option<TimeView>,
    /// Files of `targets_files` that are wrong, as `2 files`.
    pub files_failing: Option<String>,
}

impl ConfigView {
    pub(super) fn of(standing: ReloadStatus, now: SystemTime) -> Self {
        Self {
            taken_up: standing.applied.map(|at| TimeView::new(at, now)),
            refused: standing.rejected.map(|at| TimeView::new(at, now)),
            files_failing: (standing.files_failing > 0).then(|| counted(standing.files_failing, "file")),
        }
    }
}

/// A token that lets somebody read.
#[derive(Debug)]
pub(super) struct TokenView {
    pub name: String,
    pub used: Option<TimeView>,
    pub expires: Option<String>,
    pub expired: bool,
}

impl TokenView {
    pub(super) fn of(token: TokenUse, now: SystemTime) -> Self {
        let expired = token.expires.is_some_and(|at| SystemTime::from(at) <= now);
        Self {
            name: token.name,
            used: token.last_used.map(|at| TimeView::new(at.into(), now)),
            expires: token.expires.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()),
            expired,
        }
    }
}

/// How a target is. The order is that of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Down,
    Partly,
    Idle,
    Waiting,
    Up,
}

impl State {
    const ALL: [Self; 5] = [Self::Down, Self::Partly, Self::Idle, Self::Waiting, Self::Up];

    /// Also its class and its shape.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Partly => "partly",
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Up => "up",
        }
    }
}

/// Something to do.
#[derive(Debug)]
pub(super) struct Problem {
    pub state: State,
    pub name: String,
    pub link: String,
    pub since: Option<String>,
    pub part: Option<&'static str>,
    pub said: LastError,
    pub held: Option<String>,
}

/// An error in words, with what to do.
#[derive(Clone, Debug)]
pub(super) struct LastError {
    pub what: String,
    pub advice: Option<&'static str>,
}

/// When the page is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageTime {
    pub clock: SystemTime,
    pub instant: Instant,
    pub began: SystemTime,
}

impl PageView {
    /// The page of these targets, or of the one that is named; nothing if there is none of that name.
    pub(super) fn of(targets: &[Arc<Target>], only: Option<&str>, asset: &'static str, now: PageTime) -> Option<Self> {
        let mut chosen: Vec<(State, &Arc<Target>)> =
            targets.iter().filter(|target| only.is_none_or(|name| target.name() == name)).map(|t| (state(t, now.instant), t)).collect();
        if only.is_some() && chosen.is_empty() {
            return None;
        }
        // The sort is stable: the order of the configuration otherwise.
        chosen.sort_by_key(|(state, _)| *state);
        let number = |state: State| chosen.iter().filter(|(s, _)| *s == state).count();
        let tally: Vec<(State, String)> =
            State::ALL.into_iter().map(|s| (s, number(s))).filter(|(_, n)| *n > 0).map(|(s, n)| (s, format::count(n as u64))).collect();
        let link = |at: usize, name: &str| if at < DETAILED_MAX { format!("#target-{name}") } else { format!("?target={name}") };
        let mut troubles: Vec<Problem> =
            chosen.iter().enumerate().filter_map(|(at, (state, target))| trouble(target, *state, link(at, target.name()), now)).collect();
        let troubles_more = troubles.len().saturating_sub(TROUBLES_MAX);
        troubles.truncate(TROUBLES_MAX);
        let rows = chosen.iter().enumerate().map(|(at, (state, target))| row(target, *state, link(at, target.name()), now)).collect();
        let opened = |at: usize| at < OPENED_MAX && (chosen.len() <= OPENED_MAX || chosen[at].0 < State::Up);
        let details = chosen.iter().take(DETAILED_MAX).enumerate();
        let details = details.map(|(at, (state, target))| detail(target, *state, opened(at), link(at, target.name()), now)).collect();
        Some(Self {
            version: env!("CARGO_PKG_VERSION"),
            asset,
            uptime: format::span(now.clock.duration_since(now.began).unwrap_or_default()),
            now: TimeView::new(now.clock, now.clock),
            refresh_seconds: if chosen.len() > MANY { REFRESH_SECONDS_MANY } else { REFRESH_SECONDS },
            only: only.map(str::to_owned),
            summary: summary(chosen.len(), number(State::Up)),
            tally,
            down: number(State::Down),
            troubles,
            troubles_more,
            rows,
            details,
            push: None,
            configured: ConfigView::default(),
            tokens: Vec::new(),
        })
    }
}

impl PageView {
    fn push_fails(&self) -> bool {
        self.push.as_ref().is_some_and(|push| push.failing.is_some())
    }

    fn needs_attention(&self) -> bool {
        let config = &self.configured;
        self.push_fails() || !self.troubles.is_empty() || config.refused.is_some() || config.files_failing.is_some()
    }
}

fn summary(all: usize, up: usize) -> String {
    match (all, up) {
        (0, _) => "No targets: nothing is polled yet.".to_owned(),
        (1, 1) => "The target answers.".to_owned(),
        (all, up) if all == up => format!("All {} answer.", counted(all, "target")),
        (all, up) => format!("{} of {} answer in full.", format::count(up as u64), counted(all, "target")),
    }
}

fn state(target: &Target, now: Instant) -> State {
    let Some(latest) = target.latest() else { return State::Waiting };
    let idle = silence(target);
    match &latest.outcome {
        Err(_) => State::Down,
        Ok(_) if now.saturating_duration_since(latest.began) > idle => State::Idle,
        Ok(_) if !latest.has_all_parts() => State::Partly,
        Ok(_) => State::Up,
    }
}

fn trouble(target: &Target, state: State, link: String, now: PageTime) -> Option<Problem> {
    let latest = target.latest();
    let failed = latest.iter().flat_map(|latest| &latest.parts).find_map(|part| part.error.as_ref().map(|error| (part.part, error)));
    let (part, said) = match (state, failed) {
        (State::Down | State::Partly, Some((part, error))) => ((target.config.parts.len() > 1).then_some(part), LastError::of(error)),
        (State::Down, None) => (None, latest?.outcome.as_ref().err().map(LastError::of)?),
        (State::Idle, _) => {
            let advice = "Postmeter polls only for who collects: is Prometheus scraping, or is export.otlp on?";
            (None, LastError { what: "nobody has collected for a while, so nothing was polled".to_owned(), advice: Some(advice) })
        }
        _ => return None,
    };
    let since = target.history(|history| history.down_since).map(|since| format::span(now.clock.duration_since(since).unwrap_or_default()));
    Some(Problem { state, name: target.name().to_owned(), link, since, part, said, held: held(target) })
}

impl LastError {
    pub(super) fn of(error: &PollError) -> Self {
        let mut what: String = error.to_string().chars().take(SAID_CHARS_MAX).collect();
        if what.len() < error.to_string().len() {
            what.push('…');
        }
        // The others say in themselves what to do.
        let advice = match error {
            PollError::Malformed(_) => Some("look at what it sends with `postmeter scrape`; is this the right url, and the right system?"),
            PollError::Api(_) => Some("these are the server's own words; its log says more"),
            _ => None,
        };
        Self { what, advice }
    }
}

#[cfg(test)]
mod tests;
